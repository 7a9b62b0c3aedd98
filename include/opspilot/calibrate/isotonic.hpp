/// \file
/// Isotonic calibration: the nondecreasing curve that fits the labels best.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// A nondecreasing curve through knots (score[i], value[i]): linear between knots, constant outside. Scores ascend strictly,
/// values do not fall.
struct isotonic {
    std::vector<double> score;
    std::vector<double> value;

    /// The probability of a score, in [0, 1]; NaN for NaN. The same bits on every machine.
    [[nodiscard]] OPSPILOT_API double probability(double at) const noexcept;
};

/// Pools adjacent violators: equal scores are one block, sums of labels and weights are exact where they are counts, and means
/// are compared by cross-multiplication. O(n) after the sort; the order of the input never matters without weights. `weight`
/// is empty or one number per score, from 0 to 1e100. Wants about 1000 labels of each class: with fewer the curve has
/// steps, and says 0 or 1 at its ends.
/// Errors: as `check_labelled`; calibration.one_class, .bad_weight, .too_many (2^31 scores).
/// Sources: Barlow et al. 1972; Zadrozny, Elkan 2002.
[[nodiscard]] OPSPILOT_API result<isotonic> fit_isotonic(std::span<const double> score, std::span<const std::uint8_t> label,
                                                         std::span<const double> weight = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/isotonic-inl.hpp"
#endif
