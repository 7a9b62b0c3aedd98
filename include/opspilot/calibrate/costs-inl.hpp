#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/bounded.hpp"
#include "opspilot/calibrate/costs.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/random.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

namespace detail {

inline error bad_cost(std::string message, std::string where = {}, std::string hint = {}) {
    return calibration_error_at("calibration.bad_cost", std::move(message), std::move(where), std::move(hint));
}

/// The largest cost of an error, once all prices make sense.
inline result<double> check_costs(std::size_t n, const cost_options& options) {
    if (!(options.review > 0.0) || !std::isfinite(options.review))
        return bad_cost(fmt::format("a review costs {}", options.review), "review", "give a price above 0");
    if (options.wrong.size() != 1) OPSPILOT_CHECK(calibration_same_length(n, options.wrong.size(), "costs of an error"));
    double most = options.most_wrong;
    for (std::size_t i = 0; i < options.wrong.size(); ++i) {
        const double cost = options.wrong[i];
        if (!(cost > 0.0) || !std::isfinite(cost) || (options.most_wrong > 0.0 && cost > options.most_wrong))
            return bad_cost(fmt::format("an error costs {}", cost), fmt::format("row {}", i),
                            "give prices above 0 and none above the most that an error can cost");
        most = std::max(most, cost);
    }
    if (options.review >= most)
        return bad_cost(fmt::format("a review costs {}, the worst error {}", options.review, most), "review",
                        "nothing is worth a review at these prices");
    return most;
}

/// A line that one of the sequence's tests certified, with its bound.
struct certified_line {
    double value, upper;
};

/// The certified line of the largest observed saving; equal ones: the lowest line.
inline void choose_line(std::span<const double> score, std::span<const std::uint8_t> error, const cost_options& options,
                        std::span<const certified_line> lines, costed_threshold& out) {
    const auto cost_of = [&](std::size_t i) { return error[i] == 0 ? 0.0 : options.wrong[options.wrong.size() == 1 ? 0 : i]; };
    std::vector<std::pair<double, double>> by_score;  // score and cost, best first
    for (std::size_t i = 0; i < score.size(); ++i) by_score.emplace_back(score[i], cost_of(i));
    std::sort(by_score.begin(), by_score.end(),
              [](const auto& x, const auto& y) { return x.first != y.first ? x.first > y.first : x.second < y.second; });
    double best = -std::numeric_limits<double>::infinity(), cost = 0;
    std::size_t above = 0;
    for (const certified_line& line : lines) {  // from the highest down
        for (; above < by_score.size() && by_score[above].first > line.value; ++above) cost += by_score[above].second;
        const double saved = options.review * static_cast<double>(above) - cost;
        if (above == 0 || saved < best) continue;
        best = saved;
        out.value = line.value;
        out.cost_upper = line.upper;
        out.automated = above;
        out.cost = cost / static_cast<double>(above);
        out.coverage = static_cast<double>(above) / static_cast<double>(score.size());
        out.saving = saved / static_cast<double>(score.size());
    }
    out.sufficient = out.value.has_value();
    if (out.sufficient) out.reason = "";
}

}  // namespace detail

OPSPILOT_INLINE result<costed_threshold> cost_threshold(std::span<const double> score, std::span<const std::uint8_t> error,
                                                        const cost_options& options) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_TRY(const double most, detail::check_costs(score.size(), options));
    costed_threshold out;
    out.n = score.size();
    out.confidence = options.confidence;
    out.cost_upper = most;
    std::vector<detail::certified_line> lines;
    const bool equal = std::all_of(options.wrong.begin(), options.wrong.end(), [&](double c) { return c == most; });
    if (equal) {
        out.break_even = options.review / most;
        threshold_options binary{.max_risk = out.break_even, .confidence = options.confidence};
        binary.start_probability = options.start_probability;
        OPSPILOT_TRY(const automation_certificates made, automation_threshold(score, error, binary));
        out.needed = made.needed;
        out.reason = made.reason;
        for (const threshold_step& step : made.steps)
            if (step.passed && made.value && step.value > *made.value)
                lines.push_back({step.value, most * binomial_upper(step.errors, step.tested, made.delta)});
        if (made.value) lines.push_back({*made.value, most * made.risk_upper});
    } else {
        std::vector<double> loss(score.size()), believed;
        for (std::size_t i = 0; i < loss.size(); ++i) loss[i] = error[i] == 0 ? 0.0 : options.wrong[i] / most;
        if (!options.start_probability.empty()) {
            OPSPILOT_CHECK(
                detail::calibration_same_length(score.size(), options.start_probability.size(), "start probabilities"));
            for (std::size_t i = 0; i < loss.size(); ++i)
                believed.push_back((1.0 - options.start_probability[i]) * options.wrong[i] / most);
        }
        graded_options graded{.max_loss = options.review / most, .confidence = options.confidence};
        graded.start_loss = believed;
        graded.seed = options.seed;
        OPSPILOT_TRY(const graded_threshold_result made, graded_threshold(score, loss, graded));
        out.needed = made.needed;
        out.reason = made.reason;
        for (const graded_step& step : made.steps)
            if (step.passed) lines.push_back({step.value, step.value == *made.value ? most * made.upper : options.review});
    }
    detail::choose_line(score, error, options, lines, out);
    return out;
}

OPSPILOT_INLINE result<review_plan> plan_reviews(std::span<const double> score, std::span<const double> gain,
                                                 std::optional<double> line, std::uint64_t capacity, std::uint64_t seed) {
    OPSPILOT_CHECK(detail::calibration_same_length(score.size(), gain.size(), "gains"));
    OPSPILOT_CHECK(detail::calibration_finite(score, "score"));
    OPSPILOT_CHECK(detail::calibration_finite(gain, "gain"));
    review_plan out;
    std::vector<std::uint32_t> others;
    for (std::size_t i = 0; i < score.size(); ++i)
        (line && score[i] > *line ? out.automated : others).push_back(static_cast<std::uint32_t>(i));
    std::sort(others.begin(), others.end(),
              [&](std::uint32_t x, std::uint32_t y) { return gain[x] != gain[y] ? gain[x] > gain[y] : x < y; });
    const auto taken = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(capacity, others.size()));
    out.reviewed.assign(others.begin(), others.begin() + taken);
    out.waiting.assign(others.begin() + taken, others.end());
    for (const std::uint32_t i : out.reviewed) out.worth += gain[i];
    if (!out.waiting.empty()) out.next_gain = gain[out.waiting.front()];

    const std::uint64_t left = std::min<std::uint64_t>(capacity - out.reviewed.size(), out.automated.size());
    if (left == 0) return out;
    detail::seeded_random random(seed);
    const std::vector<std::uint32_t> order = detail::random_order(out.automated.size(), random);
    for (std::uint64_t i = 0; i < left; ++i) out.audited.push_back(out.automated[order[i]]);
    std::sort(out.audited.begin(), out.audited.end());
    out.audit_probability = static_cast<double>(left) / static_cast<double>(out.automated.size());
    return out;
}

}  // namespace opspilot
