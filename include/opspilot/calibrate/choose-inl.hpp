#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <utility>

#include "opspilot/base/math.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/choose.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/score_order.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::uint64_t labels_for_beta = 100, labels_for_isotonic = 1000;
inline constexpr std::size_t choice_folds = 5;
inline constexpr double wide_pair = 0.1;

/// The fold of each row, by chance: one stream along the sorted scores for each outcome, so that the order of the rows does not
/// matter. (Folds in turn would tell of each other: where four have a positive, the fifth is likely to have one.)
inline std::vector<std::uint8_t> folds_of_rows(std::span<const double> score, std::span<const std::uint8_t> label) {
    std::vector<std::uint8_t> fold(score.size());
    std::array<std::mt19937_64, 2> random{std::mt19937_64(1), std::mt19937_64(2)};
    for (const ordered_score& entry : order_scores(score))
        fold[entry.row] = static_cast<std::uint8_t>(random[label[entry.row]]() % choice_folds);
    return fold;
}

/// Losses of rows by calibrators fitted to the other folds. A step of 0 or 1 costs what one more label could have cost at most.
inline result<std::vector<double>> held_out_losses(calibrator_kind kind, calibrator_input input, std::span<const double> score,
                                                   std::span<const std::uint8_t> label, std::span<const std::uint8_t> fold) {
    std::vector<double> loss(score.size());
    const double least = 0.5 / static_cast<double>(score.size());
    std::vector<double> other_score;
    std::vector<std::uint8_t> other_label;
    for (std::size_t f = 0; f < choice_folds; ++f) {
        other_score.clear();
        other_label.clear();
        for (std::size_t i = 0; i < score.size(); ++i) {
            if (fold[i] == f) continue;
            other_score.push_back(score[i]);
            other_label.push_back(label[i]);
        }
        OPSPILOT_TRY(const score_calibrator fitted, fit_calibrator(kind, input, other_score, other_label));
        for (std::size_t i = 0; i < score.size(); ++i) {
            if (fold[i] != f) continue;
            const double p = std::clamp(fitted.probability(score[i]), least, 1.0 - least);
            loss[i] = -std::log(label[i] != 0 ? p : 1.0 - p);
        }
    }
    return loss;
}

/// Logits of probabilities, in `room`; margins as they are.
inline std::span<const double> margins_of(calibrator_input input, std::span<const double> score, std::vector<double>& room) {
    if (input == calibrator_input::margin) return score;
    room.assign(score.begin(), score.end());
    for (double& s : room) s = kept_logit(s);
    return room;
}

inline double mean_of(std::span<const double> values) noexcept {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
}

inline std::string reason_of(const calibrator_choice& choice, std::uint64_t rarer) {
    const std::string_view chosen = name(choice.calibrator.kind());
    std::string out;
    if (choice.compared.empty()) {
        out = fmt::format("{}: {} labels of the rarer outcome; beta calibration wants {}, isotonic {}", chosen, rarer,
                          labels_for_beta, labels_for_isotonic);
    } else {
        out = fmt::format("{}: log-loss on held-out rows", chosen);
        for (const calibrator_candidate& c : choice.compared)
            out += fmt::format("{} {} {:.5f}", &c == choice.compared.data() ? "" : ",", name(c.kind), c.log_loss);
        out += "; a richer curve must save more than a standard error";
        if (rarer < labels_for_isotonic)
            out += fmt::format("; isotonic calibration wants {} labels of the rarer outcome, there are {}", labels_for_isotonic,
                               rarer);
    }
    out += fmt::format(". Venn-Abers pairs are {:.3f} apart on average", choice.venn_abers_width);
    out += choice.venn_abers_width > wide_pair ? ": too few labels to trust any probability much, gather more." : ".";
    return out;
}

}  // namespace detail

OPSPILOT_INLINE result<score_calibrator> fit_calibrator(calibrator_kind kind, calibrator_input input,
                                                        std::span<const double> score, std::span<const std::uint8_t> label) {
    score_calibrator out;
    out.input = input;
    OPSPILOT_CHECK(check_labelled(score, label));
    if (input == calibrator_input::probability) OPSPILOT_CHECK(detail::check_probabilities(score, "score"));
    std::vector<double> other;
    if (kind == calibrator_kind::platt || kind == calibrator_kind::temperature || kind == calibrator_kind::hierarchical_platt)
        score = detail::margins_of(input, score, other);
    if (kind == calibrator_kind::beta && input == calibrator_input::margin) {
        other.assign(score.begin(), score.end());
        for (double& s : other) s = portable_logistic(s);
        score = other;
    }
    switch (kind) {
        case calibrator_kind::none: break;
        case calibrator_kind::platt: {
            OPSPILOT_TRY(out.curve, fit_platt(score, label));
            break;
        }
        case calibrator_kind::beta: {
            OPSPILOT_TRY(out.curve, fit_beta(score, label));
            break;
        }
        case calibrator_kind::temperature: {
            OPSPILOT_TRY(out.curve, fit_temperature(score, label));
            break;
        }
        case calibrator_kind::isotonic: {
            OPSPILOT_TRY(out.curve, fit_isotonic(score, label));
            break;
        }
        case calibrator_kind::venn_abers: {
            OPSPILOT_TRY(out.curve, fit_venn_abers(score, label));
            break;
        }
        case calibrator_kind::hierarchical_platt: {
            OPSPILOT_TRY(out.curve, fit_hierarchical_platt(score, label, {}, 0));
            break;
        }
    }
    return out;
}

OPSPILOT_INLINE result<score_calibrator> fit_client_calibrator(calibrator_input input, std::span<const double> score,
                                                               std::span<const std::uint8_t> label,
                                                               std::span<const std::uint32_t> client,
                                                               std::vector<std::string> names,
                                                               const hierarchical_options& options) {
    OPSPILOT_CHECK(check_labelled(score, label));
    if (input == calibrator_input::probability) OPSPILOT_CHECK(detail::check_probabilities(score, "score"));
    for (std::size_t k = 1; k < names.size(); ++k)
        if (names[k] <= names[k - 1])
            return detail::calibration_error_at("calibration.client_order",
                                                fmt::format("client {} after {}", quote(names[k]), quote(names[k - 1])),
                                                fmt::format("client {}", k), "give each name once, in ascending order");
    score_calibrator out;
    out.input = input;
    std::vector<double> room;
    OPSPILOT_TRY(out.curve, fit_hierarchical_platt(detail::margins_of(input, score, room), label, client,
                                                   static_cast<std::uint32_t>(names.size()), options));
    out.clients = std::move(names);
    return out;
}

OPSPILOT_INLINE result<calibrator_choice> choose_calibrator(std::span<const double> score, std::span<const std::uint8_t> label,
                                                            calibrator_input input) {
    calibrator_choice out;
    OPSPILOT_TRY(out.calibrator, fit_calibrator(calibrator_kind::platt, input, score, label));
    out.positives = static_cast<std::uint64_t>(std::count(label.begin(), label.end(), std::uint8_t{1}));
    out.negatives = score.size() - out.positives;
    const std::uint64_t rarer = std::min(out.positives, out.negatives);

    OPSPILOT_TRY(const venn_abers pairs, fit_venn_abers(score, label));
    for (const double s : score) out.venn_abers_width += pairs.interval(s).width() / static_cast<double>(score.size());

    std::vector<calibrator_kind> kinds;
    if (rarer >= detail::labels_for_beta) kinds = {calibrator_kind::platt, calibrator_kind::beta};
    if (rarer >= detail::labels_for_isotonic) kinds.push_back(calibrator_kind::isotonic);
    calibrator_kind chosen = calibrator_kind::platt;
    std::vector<double> best;
    const std::vector<std::uint8_t> fold = detail::folds_of_rows(score, label);
    for (const calibrator_kind kind : kinds) {
        OPSPILOT_TRY(std::vector<double> loss, detail::held_out_losses(kind, input, score, label, fold));
        calibrator_candidate candidate{kind, detail::mean_of(loss), 0, 0};
        if (!best.empty()) {
            std::vector<double> saved(loss.size());
            for (std::size_t i = 0; i < loss.size(); ++i) saved[i] = best[i] - loss[i];
            candidate.gain = detail::mean_of(saved);
            for (double& s : saved) s = (s - candidate.gain) * (s - candidate.gain);
            candidate.standard_error = std::sqrt(detail::mean_of(saved) / static_cast<double>(saved.size()));
        }
        out.compared.push_back(candidate);
        if (!best.empty() && candidate.gain <= candidate.standard_error) continue;
        best = std::move(loss);
        chosen = kind;
    }
    if (chosen != calibrator_kind::platt) {
        OPSPILOT_TRY(out.calibrator, fit_calibrator(chosen, input, score, label));
    }
    out.reason = detail::reason_of(out, rarer);
    return out;
}

}  // namespace opspilot
