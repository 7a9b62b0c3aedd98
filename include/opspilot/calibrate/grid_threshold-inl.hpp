#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/grid_threshold.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

namespace detail {

/// The grid from the top down, each value once.
inline result<std::vector<double>> walked_grid(std::span<const double> grid, const std::optional<double>& start) {
    std::vector<double> out;
    for (const double value : grid) {
        if (!std::isfinite(value))
            return calibration_error_at("calibration.bad_grid", fmt::format("grid value {} is not finite", value));
        out.push_back(value + 0.0);
    }
    std::sort(out.begin(), out.end(), std::greater<>{});
    out.erase(std::unique(out.begin(), out.end()), out.end());
    if (out.empty()) return calibration_error_at("calibration.bad_grid", "the grid is empty", "", "give thresholds to test");
    if (!start) return out;
    const auto first = std::find(out.begin(), out.end(), *start);
    if (first == out.end())
        return calibration_error_at("calibration.bad_grid", fmt::format("the start {} is not a value of the grid", *start), "",
                                    "start at one of its values");
    out.erase(out.begin(), first);
    return out;
}

}  // namespace detail

OPSPILOT_INLINE result<certified_threshold> grid_threshold(std::span<const double> score, std::span<const std::uint8_t> error,
                                                           std::span<const double> grid, const grid_options& options) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_CHECK(check_open_unit(options.max_risk, "max_risk"));
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    OPSPILOT_TRY(const std::vector<double> values, detail::walked_grid(grid, options.start_value));
    std::vector<std::uint32_t> order(score.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t x, std::uint32_t y) { return score[x] > score[y]; });

    const double delta = 1.0 - options.confidence;
    critical_ranks ranks(options.max_risk, delta);
    certified_threshold out;
    out.n = score.size();
    out.max_risk = options.max_risk;
    out.confidence = options.confidence;
    out.delta = delta;
    out.needed = zero_error_minimum(options.max_risk, delta);
    out.start_errors = options.start_errors;
    out.reason = "too_few";
    const std::uint64_t least = options.start_value ? 0 : ranks.rank(options.start_errors, out.n).value_or(out.n + 1);
    std::uint64_t above = 0, errors = 0;
    for (const double value : values) {
        for (; above < out.n && score[order[above]] > value; ++above) errors += error[order[above]];
        if (above < least) continue;
        threshold_step step;
        step.rank = step.tested = above;
        step.allowed = step.tolerated = static_cast<std::uint64_t>(std::max<std::int64_t>(ranks.allowed(above), 0));
        step.errors = errors;
        step.value = value;
        step.passed = static_cast<std::int64_t>(errors) <= ranks.allowed(above);
        out.steps.push_back(step);
        if (!step.passed) break;
        out.value = value;
        out.sufficient = true;
        out.automated = above;
        out.errors = errors;
    }
    if (!out.sufficient) {
        if (!out.steps.empty() && out.steps.front().tested >= out.needed) out.reason = "start_failed";
        return out;
    }
    out.reason = "";
    out.coverage = static_cast<double>(out.automated) / static_cast<double>(out.n);
    out.risk_upper = binomial_upper(out.errors, out.automated, delta);
    return out;
}

OPSPILOT_INLINE result<expected_selection_result> expected_selection(std::span<const double> score,
                                                                     std::span<const std::uint8_t> error,
                                                                     std::span<const double> batch, double max_risk) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_CHECK(check_open_unit(max_risk, "max_risk"));
    OPSPILOT_CHECK(detail::calibration_finite(batch, "score"));
    if (batch.empty()) return detail::calibration_error_at("calibration.empty", "no scores to select from");
    std::vector<double> wrong;
    for (std::size_t i = 0; i < score.size(); ++i)
        if (error[i] != 0) wrong.push_back(score[i]);
    std::sort(wrong.begin(), wrong.end());
    std::vector<double> sorted(batch.begin(), batch.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<>{});

    expected_selection_result out;
    out.n = score.size();
    out.batch = batch.size();
    // p-values rise as scores fall, so the k best items are the ones of the k smallest: Benjamini-Hochberg takes the last k with
    // p_k <= max_risk k / m.
    for (std::size_t k = 1; k <= sorted.size(); ++k) {
        const auto worse = static_cast<double>(wrong.end() - std::lower_bound(wrong.begin(), wrong.end(), sorted[k - 1]));
        const double p = (1.0 + worse) / (static_cast<double>(out.n) + 1.0);
        if (p * static_cast<double>(out.batch) <= max_risk * static_cast<double>(k)) out.value = sorted[k - 1];
    }
    for (std::size_t i = 0; i < batch.size(); ++i)
        if (out.value && batch[i] >= *out.value) out.selected.push_back(static_cast<std::uint32_t>(i));
    return out;
}

}  // namespace opspilot
