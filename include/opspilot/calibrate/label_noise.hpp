/// \file
/// What labels with mistakes can prove: the noise in them, the risks they cannot reach, and the audit that gets round it.
#pragma once

#include <cstdint>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Error rate of one label when two independent ones with the same symmetric noise differ with probability `disagreement`:
/// (1 - sqrt(1 - 2 d)) / 2. 14 % of disagreement are 7.6 %. `disagreement` is clamped to [0, 1/2].
[[nodiscard]] OPSPILOT_API double symmetric_noise(double disagreement) noexcept;
/// Error rate of the majority of `labels` (odd) independent labels: 1.6 % for three of 7.6 %.
[[nodiscard]] OPSPILOT_API double majority_noise(double noise, std::uint32_t labels) noexcept;
/// Recall that single labels would show of a perfect model, for a class of the given prevalence.
[[nodiscard]] OPSPILOT_API double apparent_recall(double prevalence, double noise) noexcept;

/// Noise of one label from items that were labelled twice: one-sided bounds, each at `confidence`.
struct label_noise_bounds {
    double noise = 0, lower = 0, upper = 0.5;
    std::uint64_t pairs = 0, disagreements = 0;
};
/// Items labelled twice must be a random sample of what the noise is asked for. Errors: calibration.bad_count, .bad_confidence.
[[nodiscard]] OPSPILOT_API result<label_noise_bounds> label_noise(std::uint64_t disagreements, std::uint64_t pairs,
                                                                  double confidence = 0.95);

/// Refuses what cannot be certified on such labels: a perfect model would measure the noise as its error.
/// Errors: calibration.noise_floor when max_risk <= bounds.lower; calibration.bad_risk.
[[nodiscard]] OPSPILOT_API status check_noise_floor(double max_risk, const label_noise_bounds& bounds);

/// Upper bound of the true risk from single noisy labels: (U - l) / (1 - 2 l) with U the Clopper-Pearson bound of the observed
/// rate and l the lower bound of the noise, each at half the failure probability. The doubly labelled items come from the SAME
/// automated region: easy items carry less noise, and the noise of all traffic would make the bound too small.
/// Errors: calibration.bad_count, .bad_confidence.
[[nodiscard]] OPSPILOT_API result<double> noise_corrected_upper(std::uint64_t errors, std::uint64_t n,
                                                                std::uint64_t disagreements, std::uint64_t pairs,
                                                                double confidence = 0.95);

/// An audit in two phases: label n automated items once, then have some looked at by an adjudicator, who is right.
struct two_phase_counts {
    std::uint64_t n = 0;                     ///< labelled once, drawn at random from what is automated
    std::uint64_t apparent = 0;              ///< of which labelled as errors
    std::uint64_t apparent_adjudicated = 0;  ///< a random part of those, or all
    std::uint64_t apparent_confirmed = 0;    ///< of which are errors
    std::uint64_t rest_adjudicated = 0;      ///< a random part of the other n - apparent
    std::uint64_t rest_found = 0;            ///< of which are errors
};
struct two_phase_bound {
    double risk_upper = 1;     ///< of the true risk, at `confidence`
    double apparent_part = 1;  ///< bound of P(labelled as an error, and one)
    double rest_part = 1;      ///< bound of P(not labelled as an error, and one)
    double confidence = 0;
};
/// R <= a_U q_U + (1 - a_L) h_U: a the share of apparent errors, q the share of errors among them, h the share among the rest;
/// Clopper-Pearson at a quarter of the failure probability each. When all apparent errors are adjudicated, the confirmed ones
/// are a count among n, which is bounded directly, at a third each. Nothing is assumed about the noise.
/// Errors: calibration.bad_count for counts that cannot be, calibration.bad_confidence.
[[nodiscard]] OPSPILOT_API result<two_phase_bound> two_phase_audit(const two_phase_counts& counts, double confidence = 0.95);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/label_noise-inl.hpp"
#endif
