/// \file
/// Platt scaling for many clients of which most have few labels: one curve, and an offset per client shrunk towards it.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// logit p = intercept + offset of the client + (slope + its change for the client) x, x = (score - centre) / spread. What is not
/// known of a client widens p towards 1/2: sigmoid(m / sqrt(1 + pi v / 8)), v the variance of its offset (MacKay 1992).
/// Shrinkage makes probabilities better on average over clients; it guarantees nothing to any one of them.
struct hierarchical_platt {
    /// For scores of a client that had no labels.
    static constexpr std::uint32_t new_client = std::numeric_limits<std::uint32_t>::max();

    /// Deviations from the common curve, and their posterior variances and covariance.
    struct client_curve {
        double offset = 0, slope = 0;
        double offset_variance = 0, covariance = 0, slope_variance = 0;
    };

    double centre = 0, spread = 1;
    double intercept = 0, slope = 1;
    double offset_variance = 0;  ///< tau^2: how much clients differ in their offsets
    double slope_variance = 0;   ///< the same of slopes; 0 unless some client has enough labels for one
    std::vector<client_curve> clients;

    /// The probability of a score of client number `client`; numbers that are not known are new clients. NaN for NaN.
    [[nodiscard]] OPSPILOT_API double probability(double score, std::uint32_t client = new_client) const noexcept;
};

struct hierarchical_options {
    int sweeps = 50;                             ///< of empirical Bayes, at most; each refits the curves under the last tau
    std::optional<double> offset_variance = {};  ///< tau^2 as given instead of estimated; > 0
    std::size_t slope_labels = 200;              ///< a client with this many labels of each outcome gets a slope of its own
};

/// Modes of all coefficients given tau by Newton (arrow-shaped, one small system per client), tau^2 by EM: the mean of u_k^2 +
/// v_k over clients, at least 1e-6. The common coefficients have priors N(0, 10^2) on scores scaled to mean 0 and deviation 1,
/// which keep separable data finite and are of no weight otherwise. `client` numbers are below `client_count`; without clients
/// this is a logistic regression. Deterministic. Errors: as `check_labelled`; calibration.one_class, .all_ties, .too_many,
/// .bad_client, .bad_variance. Sources: Gelman, Hill 2007; Efron, Morris 1975; MacKay 1992, "The evidence framework applied to
/// classification networks".
[[nodiscard]] OPSPILOT_API result<hierarchical_platt> fit_hierarchical_platt(std::span<const double> score,
                                                                             std::span<const std::uint8_t> label,
                                                                             std::span<const std::uint32_t> client,
                                                                             std::uint32_t client_count,
                                                                             const hierarchical_options& options = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/hierarchical-inl.hpp"
#endif
