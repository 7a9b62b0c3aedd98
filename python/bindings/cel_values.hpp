// Values of CEL from Python and back.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string_view>

#include "opspilot/policy/cel/value.hpp"

namespace opspilot::python {

/// Python values into an arena, so that the evaluation needs neither them nor the GIL.
class value_maker {
public:
    explicit value_maker(cel::arena& memory);

    /// Raises UsageError for what CEL has no kind for.
    cel::value make(const pybind11::handle& object, int depth = 0);
    [[nodiscard]] cel::arena& memory() const noexcept { return memory_; }

private:
    std::string_view copy(std::string_view s);
    cel::value integer(const pybind11::handle& object);
    cel::value optional(const pybind11::handle& object, int depth);
    cel::value list(const pybind11::tuple& items, int depth);
    cel::value map(const pybind11::dict& items, int depth);

    cel::arena& memory_;
    pybind11::object uint_, optional_;
};

/// `left`: how many values more may be made, see `most_values`.
pybind11::object to_python(const cel::value& v, std::size_t& left);

}  // namespace opspilot::python
