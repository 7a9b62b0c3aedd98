#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/score_order.hpp"
#include "opspilot/calibrate/venn_abers.hpp"

namespace opspilot {

namespace detail {

/// A corner of the cumulative sum diagram: how many rows, how many positive ones.
struct sum_corner {
    std::int64_t weight;
    std::int64_t sum;
};

/// Whether `c` lies at or above the line through `a` and `b` (or its extension); a is left of b, b is left of c or c left of b.
inline bool at_or_above(sum_corner c, sum_corner a, sum_corner b) noexcept {
    return (c.sum - a.sum) * (b.weight - a.weight) >= (b.sum - a.sum) * (c.weight - a.weight);
}

/// p1 of each block: the isotonic fit at the block with one positive row more in it, as an exact fraction sum / weight.
///
/// The extra row is a step (1, 1) of the diagram. First it stands before all blocks; each turn reads the slope of the convex
/// minorant over it and moves it behind the next block, which moves one corner by (-1, -1). `hull` holds the corners right of
/// the step, the nearest on top; a corner that the moved one hides is never seen again, so that each is pushed and popped once.
inline std::vector<sum_corner> slopes_with_positive(std::span<const score_block<std::int64_t>> blocks) {
    std::vector<sum_corner> corner(blocks.size() + 1, {0, 0});
    for (std::size_t i = 0; i < blocks.size(); ++i)
        corner[i + 1] = {corner[i].weight + blocks[i].weight, corner[i].sum + blocks[i].sum};
    std::vector<sum_corner> hull;  // lower convex hull, from the right end to the left
    const auto push = [&hull](sum_corner c) {
        while (hull.size() > 1 && at_or_above(hull.back(), c, hull[hull.size() - 2])) hull.pop_back();
        hull.push_back(c);
    };
    for (std::size_t i = corner.size(); i-- > 0;) push(corner[i]);
    sum_corner before{-1, -1};  // where the extra step begins
    push(before);

    std::vector<sum_corner> out(blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const sum_corner left = hull.back(), right = hull[hull.size() - 2];
        out[i] = {right.weight - left.weight, right.sum - left.sum};
        before = {before.weight + blocks[i].weight, before.sum + blocks[i].sum};
        if (at_or_above(before, left, right)) continue;
        hull.pop_back();
        push(before);
    }
    return out;
}

/// p0 by symmetry: with scores reversed and labels exchanged, it is one minus p1.
inline std::vector<sum_corner> slopes_with_negative(std::span<const score_block<std::int64_t>> blocks) {
    std::vector<score_block<std::int64_t>> mirrored(blocks.rbegin(), blocks.rend());
    for (score_block<std::int64_t>& block : mirrored) block.sum = block.weight - block.sum;
    std::vector<sum_corner> out = slopes_with_positive(mirrored);
    std::reverse(out.begin(), out.end());
    for (sum_corner& slope : out) slope.sum = slope.weight - slope.sum;
    return out;
}

inline double slope_of(sum_corner c) noexcept { return static_cast<double>(c.sum) / static_cast<double>(c.weight); }

}  // namespace detail

OPSPILOT_INLINE venn_abers_pair venn_abers::interval(double score) const noexcept {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (std::isnan(score) || lower_score.empty()) return {nan, nan};
    const std::size_t above = detail::table_lower_bound(upper_score.data(), upper_score.size(), score);
    std::size_t from = detail::table_lower_bound(lower_score.data(), lower_score.size(), score);
    if (from < lower_score.size() && lower_score[from] == score) ++from;
    return {from == 0 ? 0.0 : lower[from - 1], above == upper.size() ? 1.0 : upper[above]};
}

OPSPILOT_INLINE result<venn_abers> fit_venn_abers(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(detail::check_both_classes(score, label));
    if (score.size() > detail::calibration_most_rows / 2)  // differences of the corners are multiplied
        return detail::calibration_error_at("calibration.too_many", fmt::format("{} labelled scores", score.size()), "",
                                            "give a random sample: nothing is gained beyond some million labels");
    const auto blocks = detail::score_blocks<std::int64_t>(score, label);
    const std::vector<detail::sum_corner> p0 = detail::slopes_with_negative(blocks), p1 = detail::slopes_with_positive(blocks);
    venn_abers out;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const double low = detail::slope_of(p0[i]), high = detail::slope_of(p1[i]);
        if (out.lower.empty() || low != out.lower.back()) {
            out.lower_score.push_back(blocks[i].score);
            out.lower.push_back(low);
        }
        if (!out.upper.empty() && high == out.upper.back()) {
            out.upper_score.back() = blocks[i].score;
        } else {
            out.upper_score.push_back(blocks[i].score);
            out.upper.push_back(high);
        }
    }
    return out;
}

}  // namespace opspilot
