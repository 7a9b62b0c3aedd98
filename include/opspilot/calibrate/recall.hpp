/// \file
/// Recall floors from samples that were not drawn evenly, and a recall and a risk that hold together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

/// `recall_floor` for a set whose items were drawn for labelling with the probabilities `inclusion` in (0, 1], which the sampling
/// design gave and which were written down with the labels; only their ratios matter. Equal ones: the exact limit of
/// `recall_floor`. Unequal ones: each positive counts by the inverse of its probability, and the betting bound of `bounded.hpp`
/// is walked up the positives' scores until it fails; `misses_allowed` is then what was missed, and `needed` counts
/// positives of the mean weight. Positives that were found because a model flagged them are no sample, whatever is stated here.
/// The smallest probability given must be the design's smallest. Errors: as `recall_floor`; calibration.bad_inclusion for one
/// outside (0, 1], and where unequal ones weigh an item more than 20-fold (a probability below 0.05).
[[nodiscard]] OPSPILOT_API result<certified_recall> weighted_recall_floor(std::span<const double> score,
                                                                          std::span<const std::uint8_t> label,
                                                                          std::span<const double> inclusion, double min_recall,
                                                                          double confidence = 0.95, std::uint64_t seed = 0);

/// Labels that show what a flag misses: drawn from all traffic, `inclusion` empty or as above.
struct recall_sample {
    std::span<const double> flag;         ///< flag score: higher = more likely of the class that must not be missed
    std::span<const std::uint8_t> label;  ///< 1 = of the class
    std::span<const double> inclusion = {};
};
/// Labels that show where automation errs: other items than those of the recall sample.
struct risk_sample {
    std::span<const double> score;        ///< confidence in the automated action
    std::span<const double> flag;         ///< flag score of the same items
    std::span<const std::uint8_t> error;  ///< 1 = the automated action was wrong
    std::span<const double> start_probability = {};
};

/// One point of the curve: what a recall costs.
struct recall_price {
    certified_recall floor;          ///< at (1 - confidence) / 2
    certified_threshold automation;  ///< above the line and not flagged, at (1 - confidence) / 2
    double flagged = 0;              ///< share of the risk sample that the floor sends to people
    double extra_flagged = 0;        ///< more than at the first point of the curve
};

/// For each of `min_recall`, in the order given: a floor under the recall and a threshold for what it leaves, which hold together
/// with probability `confidence`. Each point holds by itself; name the one to be used before looking at the curve, or
/// share the failure probability among them. The floor is set by the recall sample, and the risk is certified for items that it
/// does not flag, whose labels had no part in it: hence two samples. Without a sufficient floor nothing is automated.
/// Errors: as `weighted_recall_floor` and `automation_threshold`; calibration.empty without a `min_recall`.
[[nodiscard]] OPSPILOT_API result<std::vector<recall_price>> recall_and_risk(const recall_sample& recall, const risk_sample& risk,
                                                                             std::span<const double> min_recall, double max_risk,
                                                                             double confidence = 0.95);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/recall-inl.hpp"
#endif
