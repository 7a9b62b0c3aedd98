#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/pool.hpp"
#include "opspilot/calibrate/isotonic.hpp"

namespace opspilot {

namespace detail {

/// Both edges of each run; between the edges of one run the curve is flat.
template <class Number>
isotonic isotonic_of(const std::vector<score_block<Number>>& blocks) {
    isotonic out;
    for (const pooled_run<Number>& run : pool_adjacent<Number>(blocks)) {
        const double mean = run.mean();
        out.score.push_back(blocks[run.first].score);
        out.value.push_back(mean);
        if (run.last == run.first) continue;
        out.score.push_back(blocks[run.last].score);
        out.value.push_back(mean);
    }
    return out;
}

}  // namespace detail

OPSPILOT_INLINE double isotonic::probability(double at) const noexcept {
    if (std::isnan(at) || score.empty()) return std::numeric_limits<double>::quiet_NaN();
    const std::size_t i = detail::table_lower_bound(score.data(), score.size(), at);
    if (i == score.size()) return value.back();
    if (i == 0 || score[i] == at || value[i] == value[i - 1]) return value[i];
    // Halves: the difference of two finite scores may overflow.
    const double share = (at / 2 - score[i - 1] / 2) / (score[i] / 2 - score[i - 1] / 2);
    return std::min(value[i], value[i - 1] + share * (value[i] - value[i - 1]));
}

OPSPILOT_INLINE result<isotonic> fit_isotonic(std::span<const double> score, std::span<const std::uint8_t> label,
                                              std::span<const double> weight) {
    OPSPILOT_CHECK(detail::check_both_classes(score, label));
    if (weight.empty()) return detail::isotonic_of(detail::score_blocks<std::int64_t>(score, label));
    OPSPILOT_CHECK(detail::calibration_same_length(score.size(), weight.size(), "weights"));
    bool any = false;
    for (std::size_t i = 0; i < weight.size(); ++i) {
        if (!(weight[i] >= 0.0) || weight[i] > 1e100)  // their products are compared
            return detail::calibration_error_at("calibration.bad_weight", fmt::format("weight {} of a row", weight[i]),
                                                fmt::format("row {}", i), "weights lie between 0 and 1e100");
        any = any || weight[i] > 0.0;
    }
    if (!any)
        return detail::calibration_error_at("calibration.bad_weight", "no row has a weight", "", "give some weight above 0");
    auto blocks = detail::score_blocks<double>(score, label, weight);
    std::erase_if(blocks, [](const detail::score_block<double>& block) { return block.weight == 0.0; });
    return detail::isotonic_of(blocks);
}

}  // namespace opspilot
