/// \file
/// Platt scaling: from a margin to a probability by a logistic curve with two parameters.
#pragma once

#include <cstdint>
#include <span>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// p(f) = 1 / (1 + exp(a f + b)). A higher score means a likelier positive when `a` is negative.
/// Source: Platt 1999; the fit is Lin, Lin, Weng 2007, "A note on Platt's probabilistic outputs for support vector machines".
struct platt {
    double a = -1;
    double b = 0;

    /// The probability of a margin, in [0, 1]; never NaN for finite input. The same bits on every machine.
    [[nodiscard]] OPSPILOT_API double probability(double score) const noexcept;
    /// Writes the probability of each score. `out` is as long as `score`.
    OPSPILOT_API void probabilities(std::span<const double> score, std::span<double> out) const noexcept;
};

/// Fits by damped Newton on the cross-entropy with targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep the curve finite on
/// separable data. Feed margins or logits, not probabilities. `label` 1 = positive. The order of rows matters only in the last
/// bits. Scores of magnitude 30 and more are scaled before the fit and the scale folded back.
/// Errors: as `check_labelled`; calibration.one_class when only one label occurs; calibration.all_ties when all scores are equal.
[[nodiscard]] OPSPILOT_API result<platt> fit_platt(std::span<const double> score, std::span<const std::uint8_t> label);

/// The objective that `fit_platt` minimises, for comparison with other implementations.
[[nodiscard]] OPSPILOT_API double platt_objective(const platt& p, std::span<const double> score,
                                                  std::span<const std::uint8_t> label) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/platt-inl.hpp"
#endif
