// Values with their kinds written out, as the conformance cases of CEL have them: {"int": "5"}, {"list": [...]}.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>

#include "opspilot/policy/cel/value.hpp"

namespace opspilot::python {

inline constexpr int deepest_given = 64;
/// Lists of an evaluation may share their items, and then stand for more than any memory holds.
inline constexpr std::size_t most_values = 3'000'000;  // an arena holds no more that are not shared

[[noreturn]] void refuse_value(std::string message, std::string hint);
/// Where values are counted down to nothing: an error of kind limit.
void count_value(std::size_t& left);

[[nodiscard]] cel::value from_typed(const pybind11::handle& typed, cel::arena& memory);
[[nodiscard]] pybind11::dict to_typed(const cel::value& v, std::size_t& left);

}  // namespace opspilot::python
