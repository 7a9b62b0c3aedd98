#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/label_noise.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

OPSPILOT_INLINE double symmetric_noise(double disagreement) noexcept {
    return 0.5 * (1.0 - std::sqrt(1.0 - 2.0 * std::clamp(disagreement, 0.0, 0.5)));
}

OPSPILOT_INLINE double majority_noise(double noise, std::uint32_t labels) noexcept {
    // Wrong when more than half of the labels are, that is when fewer than the other half are right.
    return labels == 0 ? 0.0 : binomial_cdf(labels - labels / 2 - 1, labels, 1.0 - noise);
}

OPSPILOT_INLINE double apparent_recall(double prevalence, double noise) noexcept {
    const double right = prevalence * (1.0 - noise);
    return right / (right + (1.0 - prevalence) * noise);
}

OPSPILOT_INLINE result<label_noise_bounds> label_noise(std::uint64_t disagreements, std::uint64_t pairs, double confidence) {
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    if (disagreements > pairs)
        return detail::calibration_error_at("calibration.bad_count",
                                            fmt::format("{} disagreements among {} pairs", disagreements, pairs));
    label_noise_bounds out;
    out.pairs = pairs;
    out.disagreements = disagreements;
    if (pairs == 0) return out;
    out.noise = symmetric_noise(static_cast<double>(disagreements) / static_cast<double>(pairs));
    out.lower = symmetric_noise(binomial_lower(disagreements, pairs, 1.0 - confidence));
    out.upper = symmetric_noise(binomial_upper(disagreements, pairs, 1.0 - confidence));
    return out;
}

OPSPILOT_INLINE status check_noise_floor(double max_risk, const label_noise_bounds& bounds) {
    OPSPILOT_CHECK(check_open_unit(max_risk, "max_risk"));
    if (max_risk > bounds.lower) return {};
    return detail::calibration_error_at(
        "calibration.noise_floor",
        fmt::format(
            "a risk of {:.4g} cannot be certified on these labels: at least {:.4g} of them are wrong ({} of {} pairs differ), "
            "and a perfect model would measure that",
            max_risk, bounds.lower, bounds.disagreements, bounds.pairs),
        "", "adjudicate the labels, take a majority of three, or audit in two phases");
}

OPSPILOT_INLINE result<double> noise_corrected_upper(std::uint64_t errors, std::uint64_t n, std::uint64_t disagreements,
                                                     std::uint64_t pairs, double confidence) {
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    if (errors > n) return detail::calibration_error_at("calibration.bad_count", fmt::format("{} errors among {}", errors, n));
    const double half = 0.5 * (1.0 - confidence);
    OPSPILOT_TRY(const label_noise_bounds noise, label_noise(disagreements, pairs, 1.0 - half));
    const double observed = binomial_upper(errors, n, half);
    // The correction falls with the noise only where the observed rate is below a half; above, nothing is gained by it.
    if (observed >= 0.5 || noise.lower >= 0.5) return std::min(1.0, observed);
    return std::max(0.0, (observed - noise.lower) / (1.0 - 2.0 * noise.lower));
}

OPSPILOT_INLINE result<two_phase_bound> two_phase_audit(const two_phase_counts& c, double confidence) {
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    if (c.apparent > c.n || c.apparent_adjudicated > c.apparent || c.apparent_confirmed > c.apparent_adjudicated ||
        c.rest_adjudicated > c.n - c.apparent || c.rest_found > c.rest_adjudicated)
        return detail::calibration_error_at(
            "calibration.bad_count",
            fmt::format("n {}, apparent {}, of which adjudicated {} and confirmed {}; rest adjudicated {}, found {}", c.n,
                        c.apparent, c.apparent_adjudicated, c.apparent_confirmed, c.rest_adjudicated, c.rest_found),
            "", "each count is part of the one before it");
    const bool all = c.apparent_adjudicated == c.apparent;
    const double delta = (1.0 - confidence) / (all ? 3.0 : 4.0);
    two_phase_bound out;
    out.confidence = confidence;
    out.apparent_part =
        all ? binomial_upper(c.apparent_confirmed, c.n, delta)
            : binomial_upper(c.apparent, c.n, delta) * binomial_upper(c.apparent_confirmed, c.apparent_adjudicated, delta);
    out.rest_part =
        std::min(1.0, 1.0 - binomial_lower(c.apparent, c.n, delta)) * binomial_upper(c.rest_found, c.rest_adjudicated, delta);
    out.risk_upper = std::min(1.0, out.apparent_part + out.rest_part);
    return out;
}

}  // namespace opspilot
