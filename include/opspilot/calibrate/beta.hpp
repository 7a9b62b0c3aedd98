/// \file
/// Beta calibration: from a probability to a better one by a curve with three parameters.
#pragma once

#include <cstdint>
#include <span>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// logit p = a ln s - b ln(1 - s) + c for a score s in [0, 1], with a, b >= 0: nondecreasing. a = b = 1, c = 0 changes nothing,
/// which Platt scaling of a probability cannot do. Scores are kept off 0 and 1 by 2^-52. Source: Kull, Silva Filho, Flach 2017,
/// "Beta calibration".
struct beta_curve {
    double a = 1;
    double b = 1;
    double c = 0;

    /// In [0, 1]; NaN for NaN. The same bits on every machine.
    [[nodiscard]] OPSPILOT_API double probability(double score) const noexcept;
};

/// Maximum likelihood ("abm"): Newton on the cross-entropy with a penalty of 0.5e-11 (a^2 + b^2), which keeps separable data
/// finite. A coefficient that comes out negative is fixed at 0 and the rest fitted again; where both have to be, the scores say
/// nothing about the labels and the curve is their mean. Feed probabilities, not margins. Errors: as `check_labelled`;
/// calibration.bad_probability, .one_class, .all_ties, .too_many.
[[nodiscard]] OPSPILOT_API result<beta_curve> fit_beta(std::span<const double> score, std::span<const std::uint8_t> label);

/// The objective that `fit_beta` minimises, for comparison with other implementations.
[[nodiscard]] OPSPILOT_API double beta_objective(const beta_curve& curve, std::span<const double> score,
                                                 std::span<const std::uint8_t> label) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/beta-inl.hpp"
#endif
