#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/random.hpp"
#include "opspilot/calibrate/label_plan.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

namespace detail {

inline status check_beliefs(std::size_t n, std::span<const double> belief, std::string_view what) {
    OPSPILOT_CHECK(calibration_same_length(n, belief.size(), what));
    for (std::size_t i = 0; i < n; ++i)
        if (!(belief[i] >= 0.0 && belief[i] <= 1.0))
            return calibration_error_at("calibration.bad_probability", fmt::format("{} {} is not in [0, 1]", what, belief[i]),
                                        fmt::format("row {}", i), "give believed probabilities");
    return {};
}

inline status check_label_plan(std::span<const double> score, std::span<const double> believed_right,
                               const label_plan_options& options) {
    if (score.empty()) return calibration_error_at("calibration.empty", "no unlabelled scores");
    OPSPILOT_CHECK(calibration_finite(score, "score"));
    OPSPILOT_CHECK(check_beliefs(score.size(), believed_right, "believed probabilities"));
    OPSPILOT_CHECK(check_open_unit(options.max_risk, "max_risk"));
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    if (options.min_recall != 0.0) OPSPILOT_CHECK(check_open_unit(options.min_recall, "min_recall"));
    if (!options.believed_positive.empty())
        OPSPILOT_CHECK(check_beliefs(score.size(), options.believed_positive, "believed positives"));
    if (options.budget == 0 || options.budget > score.size())
        return calibration_error_at("calibration.bad_budget",
                                    fmt::format("a budget of {} labels for {} items", options.budget, score.size()), "",
                                    "give at least one label, and no more than there are items");
    if (!(options.margin >= 1.0) || !std::isfinite(options.margin))
        return calibration_error_at("calibration.bad_margin", fmt::format("margin {}", options.margin), "",
                                    "at least 1: a line at the risk itself");
    if (!(options.rate_above >= 0.05 && options.rate_above <= 1.0))
        return calibration_error_at("calibration.bad_inclusion",
                                    fmt::format("items above the line would be drawn at a rate of {}", options.rate_above),
                                    "rate_above", "at least 0.05: a rarer item would weigh more than 20-fold");
    return {};
}

/// The lowest line whose believed risk is at most margin times the risk; whole tie blocks. `order`: best first.
inline void draw_label_line(std::span<const double> score, std::span<const double> believed_right,
                            std::span<const std::uint32_t> order, double limit, label_plan& out) {
    double doubt = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        doubt += 1.0 - believed_right[order[i]];
        const bool ends_block = i + 1 == order.size() || score[order[i + 1]] != score[order[i]];
        const auto count = static_cast<double>(i + 1);
        if (!ends_block || doubt > limit * count) continue;
        const double below = i + 1 < order.size() ? score[order[i + 1]] + 0.0
                                                  : std::nextafter(score[order[i]], -std::numeric_limits<double>::infinity());
        if (!std::isfinite(below)) continue;
        out.line = below;
        out.above = i + 1;
        out.believed_risk = doubt / count;
    }
}

/// The first `count` of a random order of `rows`, ascending. `rows` keeps the others.
inline std::vector<std::uint32_t> draw_rows(std::vector<std::uint32_t>& rows, std::uint64_t count, seeded_random& random) {
    for (std::size_t i = 0; i < count; ++i) std::swap(rows[i], rows[i + random.below(rows.size() - i)]);
    std::vector<std::uint32_t> out(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(out.begin(), out.end());
    std::sort(rows.begin(), rows.end());
    return out;
}

/// How many labels the recall gets: what a floor with two misses is believed to need, at most half of the budget; half of it
/// where nothing is believed.
inline std::uint64_t recall_labels(std::span<const std::uint32_t> order, const label_plan_options& options, label_plan& plan) {
    if (options.min_recall == 0.0) return 0;
    const std::uint64_t half = options.budget / 2;
    if (options.believed_positive.empty()) return half;
    double positives = 0, drawn = 0;  // expected positives and labels when every item is drawn at its rate
    for (std::size_t i = 0; i < order.size(); ++i) {
        const double rate = i < plan.above ? options.rate_above : 1.0;
        positives += rate * options.believed_positive[order[i]];
        drawn += rate;
    }
    critical_ranks ranks(1.0 - options.min_recall, 1.0 - options.confidence);
    const auto wanted = static_cast<double>(ranks.rank(2, std::uint64_t{1} << 40U).value_or(std::uint64_t{1} << 40U));
    plan.recall_needed = static_cast<std::uint64_t>(std::min(1e15, std::ceil(wanted * drawn / std::max(positives, 1e-300))));
    return std::min(half, plan.recall_needed);
}

struct imagined_labels {
    double automation = 0, none = 0;
};

/// Draws labels for rows out of `from`, by belief, certifies, and averages what is automated of all traffic.
inline imagined_labels imagine(std::span<const double> score, std::span<const double> believed_right,
                               std::span<const std::uint32_t> order, std::span<const std::uint32_t> from, std::uint64_t count,
                               const label_plan_options& options) {
    imagined_labels out;
    std::vector<std::uint32_t> pool(from.begin(), from.end());
    seeded_random random(options.seed ^ 0x5851F42D4C957F2DU);
    std::vector<double> s(count), belief(count);
    std::vector<std::uint8_t> error(count);
    threshold_options certify{.max_risk = options.max_risk, .confidence = options.confidence};
    for (std::uint32_t round = 0; round < options.simulations; ++round) {
        for (std::size_t i = 0; i < count; ++i) {
            std::swap(pool[i], pool[i + random.below(pool.size() - i)]);
            s[i] = score[pool[i]];
            belief[i] = believed_right[pool[i]];
            error[i] = random.uniform() < belief[i] ? 0 : 1;
        }
        certify.start_probability = belief;
        const auto made = automation_threshold(s, error, certify);
        if (!made || !made->value) {
            out.none += 1;
            continue;
        }
        const auto line =
            std::partition_point(order.begin(), order.end(), [&](std::uint32_t i) { return score[i] > *made->value; });
        out.automation += static_cast<double>(line - order.begin()) / static_cast<double>(order.size());
    }
    out.automation /= options.simulations;
    out.none /= options.simulations;
    return out;
}

}  // namespace detail

OPSPILOT_INLINE result<label_plan> plan_labels(std::span<const double> score, std::span<const double> believed_right,
                                               const label_plan_options& options) {
    OPSPILOT_CHECK(detail::check_label_plan(score, believed_right, options));
    std::vector<std::uint32_t> order(score.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t x, std::uint32_t y) { return score[x] != score[y] ? score[x] > score[y] : x < y; });
    label_plan out;
    detail::draw_label_line(score, believed_right, order, options.margin * options.max_risk, out);

    const std::uint64_t for_recall = detail::recall_labels(order, options, out);
    std::vector<std::uint32_t> all(order.begin(), order.end());
    std::sort(all.begin(), all.end());
    std::vector<std::uint32_t> above(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(out.above));
    if (!out.line) above = all;
    std::sort(above.begin(), above.end());
    detail::seeded_random random(options.seed);
    const std::vector<std::uint32_t> region = above;
    const std::uint64_t for_risk = std::min<std::uint64_t>(options.budget - for_recall, above.size());
    out.risk = detail::draw_rows(above, for_risk, random);

    if (options.min_recall != 0.0) {
        // Above the line at `rate_above`, below it at 1: n_above / N_above = rate n_below / N_below, as whole numbers.
        std::vector<std::uint32_t> below(order.begin() + static_cast<std::ptrdiff_t>(region.size()), order.end());
        std::sort(below.begin(), below.end());
        const auto region_size = static_cast<double>(region.size());
        const auto below_size = static_cast<double>(below.size());
        const std::uint64_t labels = std::min<std::uint64_t>(options.budget - for_risk, above.size() + below.size());
        const double share = options.rate_above * region_size / (options.rate_above * region_size + below_size);
        auto from_above = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(labels)));
        from_above = std::min<std::uint64_t>(from_above, above.size());
        const std::uint64_t from_below = std::min<std::uint64_t>(labels - from_above, below.size());
        const double q_above = region.empty() ? 1.0 : static_cast<double>(from_above) / region_size;
        const double q_below = below.empty() ? 1.0 : static_cast<double>(from_below) / below_size;
        const double most = std::max({q_above, q_below, std::numeric_limits<double>::min()});
        if (from_above > 0 && from_below > 0 && std::min(q_above, q_below) < 0.05 * most)
            return detail::calibration_error_at(
                "calibration.bad_inclusion",
                fmt::format("{} of {} items above the line and {} of {} below it would weigh more than 20-fold", from_above,
                            region.size(), from_below, below.size()),
                "", "label more, or raise rate_above");
        std::vector<std::pair<std::uint32_t, double>> rows;
        for (const std::uint32_t i : detail::draw_rows(above, from_above, random)) rows.emplace_back(i, q_above / most);
        for (const std::uint32_t i : detail::draw_rows(below, from_below, random)) rows.emplace_back(i, q_below / most);
        std::sort(rows.begin(), rows.end());
        for (const auto& [row, q] : rows) {
            out.recall.push_back(row);
            out.inclusion.push_back(q);
        }
    }
    if (options.simulations > 0 && for_risk > 0) {
        const auto planned = detail::imagine(score, believed_right, order, region, for_risk, options);
        const auto evenly = detail::imagine(score, believed_right, order, all, for_risk, options);
        out.automation = planned.automation;
        out.none = planned.none;
        out.automation_random = evenly.automation;
        out.none_random = evenly.none;
    }
    return out;
}

}  // namespace opspilot
