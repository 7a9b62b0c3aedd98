/// \file
/// Inductive Venn-Abers prediction: two probabilities for each score, of which one is perfectly calibrated.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// What isotonic regression says of a new score, with the new score's label taken as 0 (`p0`) and as 1 (`p1`).
struct venn_abers_pair {
    double p0;
    double p1;
    /// One probability for both: p1 / (1 - p0 + p1), the minimax of logarithmic loss.
    [[nodiscard]] double probability() const noexcept { return p1 / (1.0 - p0 + p1); }
    /// Large where labels are few: a reason to abstain, and no statement about the error of the probability.
    [[nodiscard]] double width() const noexcept { return p1 - p0; }
};

/// The pairs of all possible scores, as two nondecreasing step functions. p0 <= p1 always.
/// [p0, p1] is NOT a confidence interval of P(y = 1 | score): under exchangeability the one of the two that belongs to the true
/// label is calibrated, and nobody knows which it is. Certified thresholds (threshold.hpp) carry guarantees; this does not.
struct venn_abers {
    std::vector<double> lower_score;  ///< ascending: p0 is lower[i] from lower_score[i] on, 0 below the first
    std::vector<double> lower;
    std::vector<double> upper_score;  ///< ascending: p1 is upper[i] up to and with upper_score[i], 1 above the last
    std::vector<double> upper;

    /// NaN for NaN. Two binary searches; the same bits on every machine.
    [[nodiscard]] OPSPILOT_API venn_abers_pair interval(double score) const noexcept;
    [[nodiscard]] double probability(double score) const noexcept { return interval(score).probability(); }
};

/// One pass over the sorted calibration scores: O(n log n), integer counts, slopes compared by cross-multiplication. Ties are one
/// block; the order of the input never matters.
/// Errors: as `check_labelled`; calibration.one_class, .too_many (2^30 scores).
/// Source: Vovk, Petej, Fedorova 2015, "Large-scale probabilistic predictors with and without guarantees of validity".
[[nodiscard]] OPSPILOT_API result<venn_abers> fit_venn_abers(std::span<const double> score, std::span<const std::uint8_t> label);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/venn_abers-inl.hpp"
#endif
