#pragma once

#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

OPSPILOT_INLINE status tree_ensemble::score_rows(std::span<const double> rows, std::size_t n, std::span<double> out) const {
    return detail::score_tree_rows(*this, rows, n, out);
}

OPSPILOT_INLINE status tree_ensemble::score_rows(std::span<const float> rows, std::size_t n, std::span<double> out) const {
    return detail::score_tree_rows(*this, rows, n, out);
}

}  // namespace opspilot
