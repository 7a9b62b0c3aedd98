#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/betting.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/random.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/recall.hpp"

namespace opspilot {

namespace detail {

inline status check_inclusion(std::size_t n, std::span<const double> inclusion) {
    OPSPILOT_CHECK(calibration_same_length(n, inclusion.size(), "inclusion probabilities"));
    for (std::size_t i = 0; i < n; ++i)
        if (!(inclusion[i] > 0.0 && inclusion[i] <= 1.0))
            return calibration_error_at(
                "calibration.bad_inclusion", fmt::format("inclusion probability {} is not in (0, 1]", inclusion[i]),
                fmt::format("row {}", i), "state with which probability the item was drawn for labelling");
    const auto [least, most] = std::minmax_element(inclusion.begin(), inclusion.end());
    if (*least < *most && *least < 0.05)
        return calibration_error_at("calibration.bad_inclusion",
                                    fmt::format("unequal sampling with a weight of {:.3g}, at most 20 is taken", 1.0 / *least),
                                    fmt::format("row {}", least - inclusion.begin()),
                                    "draw evenly, or no item with a probability below 0.05");
    return {};
}

struct weighted_positive {
    double score, weight;
};

/// Bets against "recall of `score` >= value is less than min_recall", where `missed` positives lie below the value. With Z = 1 -
/// min_recall + w (missed - (1 - min_recall)) / W for weights w <= W, the mean of Z over drawn positives is at least
/// 1 - min_recall just when the recall is at most min_recall.
inline double recall_wealth(std::span<const weighted_positive> positives, std::span<const std::uint32_t> order,
                            std::size_t missed, double largest, double tolerated, double level) noexcept {
    betting_wealth wealth(tolerated, positives.size(), level);
    for (const std::uint32_t i : order)
        wealth.bet(tolerated + positives[i].weight / largest * ((i < missed ? 1.0 : 0.0) - tolerated));
    return wealth.best();
}

/// Why walking up is valid: let t be the highest value with the recall asked for. A false floor has to pass the test of the first
/// positive's score above t, whose missed items are those with a score of at most t: one fixed hypothesis, which is false by at
/// most the failure probability.
inline void walk_up(std::vector<weighted_positive>& positives, double largest, std::uint64_t seed, certified_recall& out) {
    std::sort(positives.begin(), positives.end(), [](const weighted_positive& x, const weighted_positive& y) {
        return x.score != y.score ? x.score < y.score : x.weight < y.weight;
    });
    const double level = -std::log(1.0 - out.confidence);
    const double tolerated = 1.0 - out.min_recall;
    seeded_random random(seed);
    const std::vector<std::uint32_t> order = random_order(positives.size(), random);
    for (std::size_t i = 0; i < positives.size();) {
        if (recall_wealth(positives, order, i, largest, tolerated, level) < level) return;
        out.sufficient = true;
        out.value = positives[i].score;
        out.misses = out.misses_allowed = i;
        const double score = positives[i].score;
        while (i < positives.size() && positives[i].score == score) ++i;
    }
}

inline double flagged_share(std::span<const double> score, std::optional<double> value) {
    if (!value) return 1.0;
    return static_cast<double>(std::count_if(score.begin(), score.end(), [&](double s) { return s >= *value; })) /
           static_cast<double>(score.size());
}

}  // namespace detail

OPSPILOT_INLINE result<certified_recall> weighted_recall_floor(std::span<const double> score, std::span<const std::uint8_t> label,
                                                               std::span<const double> inclusion, double min_recall,
                                                               double confidence, std::uint64_t seed) {
    if (inclusion.empty()) return recall_floor(score, label, min_recall, confidence);
    OPSPILOT_CHECK(check_labelled(score, label));
    OPSPILOT_CHECK(check_open_unit(min_recall, "min_recall"));
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    OPSPILOT_CHECK(detail::check_inclusion(score.size(), inclusion));
    const auto [least, most] = std::minmax_element(inclusion.begin(), inclusion.end());
    if (*least == *most) return recall_floor(score, label, min_recall, confidence);

    certified_recall out;
    out.n = score.size();
    out.min_recall = min_recall;
    out.confidence = confidence;
    std::vector<detail::weighted_positive> positives;
    double weight = 0, all = 0, flagged = 0;
    for (std::size_t i = 0; i < score.size(); ++i) {
        all += 1.0 / inclusion[i];
        if (label[i] == 0) continue;
        positives.push_back({score[i] + 0.0, 1.0 / inclusion[i]});
        weight += positives.back().weight;
    }
    const double largest = 1.0 / *least;
    const double mean = positives.empty() ? largest : weight / static_cast<double>(positives.size());
    out.positives = positives.size();
    out.needed = static_cast<std::uint64_t>(
        std::ceil(-std::log(1.0 - confidence) / std::log1p((1.0 - min_recall) * std::min(1.0, mean / largest))));
    detail::walk_up(positives, largest, seed, out);
    if (!out.value) return out;
    for (std::size_t i = 0; i < score.size(); ++i)
        if (score[i] >= *out.value) flagged += 1.0 / inclusion[i];
    out.flagged = flagged / all;
    return out;
}

OPSPILOT_INLINE result<std::vector<recall_price>> recall_and_risk(const recall_sample& recall, const risk_sample& risk,
                                                                  std::span<const double> min_recall, double max_risk,
                                                                  double confidence) {
    if (min_recall.empty()) return detail::calibration_error_at("calibration.empty", "no recall is asked for");
    OPSPILOT_CHECK(check_open_unit(max_risk, "max_risk"));
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    OPSPILOT_CHECK(check_labelled(risk.score, risk.error));
    if (!risk.start_probability.empty())
        OPSPILOT_CHECK(detail::calibration_same_length(risk.score.size(), risk.start_probability.size(), "start probabilities"));
    OPSPILOT_CHECK(detail::calibration_same_length(risk.score.size(), risk.flag.size(), "flag scores"));
    OPSPILOT_CHECK(detail::calibration_finite(risk.flag, "flag score"));
    // Half of the failure probability each; 1 - (1 - c) / 2.
    const double each = 0.5 + 0.5 * confidence;
    std::vector<recall_price> out;
    for (const double wanted : min_recall) {
        recall_price point;
        OPSPILOT_TRY(point.floor, weighted_recall_floor(recall.flag, recall.label, recall.inclusion, wanted, each));
        point.flagged = detail::flagged_share(risk.flag, point.floor.value);
        point.extra_flagged = out.empty() ? 0.0 : point.flagged - out.front().flagged;
        std::vector<double> score, belief;
        std::vector<std::uint8_t> error;
        for (std::size_t i = 0; i < risk.score.size(); ++i) {
            if (!point.floor.value || risk.flag[i] >= *point.floor.value) continue;
            score.push_back(risk.score[i]);
            error.push_back(risk.error[i]);
            if (!risk.start_probability.empty()) belief.push_back(risk.start_probability[i]);
        }
        point.automation.reason = "too_few";
        point.automation.max_risk = max_risk;
        point.automation.confidence = each;
        point.automation.delta = 1.0 - each;
        if (!score.empty()) {
            threshold_options options{.max_risk = max_risk, .confidence = each};
            options.start_probability = belief;
            OPSPILOT_TRY(point.automation, automation_threshold(score, error, options));
        }
        // Of all items, flagged ones included.
        point.automation.n = risk.score.size();
        point.automation.coverage = static_cast<double>(point.automation.automated) / static_cast<double>(risk.score.size());
        out.push_back(std::move(point));
    }
    return out;
}

}  // namespace opspilot
