/// \file
/// Internal: from the caller's arrays to the problem to solve, with every shape, label and value checked.
#pragma once

#include <numeric>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"

namespace opspilot {
struct classifier_data;
struct choice_data;
}  // namespace opspilot

namespace opspilot::detail {

[[nodiscard]] result<softmax_input> classifier_input(const classifier_data& data);
[[nodiscard]] result<softmax_input> choice_input(const choice_data& data);

/// The rows asked for, all of them when none were named.
inline std::vector<std::uint32_t> rows_or_all(std::span<const std::uint32_t> rows, std::size_t count) {
    std::vector<std::uint32_t> out(rows.begin(), rows.end());
    if (out.empty()) {
        out.resize(count);
        std::iota(out.begin(), out.end(), 0U);
    }
    return out;
}

}  // namespace opspilot::detail
