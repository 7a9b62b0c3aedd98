/// \file
/// How far stated probabilities are from what happens: four measures, each with an interval.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

enum class calibration_measure : std::uint8_t {
    debiased,  ///< root of the squared error over bins less what chance adds to it (Kumar, Liang, Ma 2019)
    smooth,    ///< smECE: residuals smoothed by a reflected Gaussian as wide as the error itself (Blasiok, Nakkiran 2023)
    corp,      ///< MCB, the part of the Brier score that recalibration would take away (Dimitriadis, Gneiting, Jordan 2021)
    binned,    ///< the plain ECE, mean |share - mean probability| over bins; biased up, so read it with its interval
};
[[nodiscard]] OPSPILOT_API std::string_view name(calibration_measure measure) noexcept;

struct calibration_error_options {
    /// Bins of equal mass, of `debiased` and `binned`; equal probabilities share one. 0: 15, or one per distinct probability
    /// where those are fewer than a quarter of the rows.
    std::size_t bins = 0;
    double confidence = 0.95;
    std::size_t resamples = 200;  ///< of the rows, for the interval, and of the labels, for `calibrated_high`; at most 100000
    std::uint64_t seed = 0;       ///< the same seed gives the same interval
};

/// A measure with its basic bootstrap interval (2 value - quantiles of resamples, so that much of the bias goes; Davison, Hinkley
/// 1997), cut at 0. The interval is approximate: the measures are not smooth where calibration is perfect.
struct measured_calibration {
    double value = 0;
    double low = 0;
    double high = 0;
    /// What a perfectly calibrated model with the same probabilities and as many rows stays below, with probability `confidence`:
    /// a value below it is no evidence of an error.
    double calibrated_high = 0;
    double confidence = 0;
    std::uint64_t n = 0;
    std::size_t bins = 0;  ///< of the binned measures
};

/// O(n log n), then O(n) per resample. The order of the input moves the interval within its own randomness only.
/// Errors: as `check_labelled`; calibration.bad_probability, .bad_confidence, .bad_bins, .bad_resamples, .too_many.
[[nodiscard]] OPSPILOT_API result<measured_calibration> measure_calibration(std::span<const double> p,
                                                                            std::span<const std::uint8_t> label,
                                                                            calibration_measure measure,
                                                                            const calibration_error_options& options = {});

/// Brier score = miscalibration - discrimination + uncertainty, exactly and without bins: with the isotonic fit to the labels as
/// what the probabilities should have been, and the mean label as what anybody could have said.
struct score_decomposition {
    double score = 0;
    double miscalibration = 0;
    double discrimination = 0;
    double uncertainty = 0;
};
/// Errors: as `measure_calibration`.
[[nodiscard]] OPSPILOT_API result<score_decomposition> decompose_score(std::span<const double> p,
                                                                       std::span<const std::uint8_t> label);

/// One bin of a reliability diagram, or one step of the isotonic curve through it (CORP).
struct reliability_bin {
    double low = 0, high = 0;  ///< smallest and largest probability in it
    double mean_probability = 0;
    double share = 0;  ///< of positive labels
    std::uint64_t n = 0;
};
struct reliability {
    std::vector<reliability_bin> bins;
    std::vector<reliability_bin> curve;  ///< shares rise from step to step
};
/// Bins as in `calibration_error_options`. Errors: as `measure_calibration`.
[[nodiscard]] OPSPILOT_API result<reliability> reliability_diagram(std::span<const double> p, std::span<const std::uint8_t> label,
                                                                   std::size_t bins = 0);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/calibration_error-inl.hpp"
#endif
