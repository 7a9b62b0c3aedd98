/// \file
/// Internal: scores of candidates as probabilities.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "opspilot/base/math.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot::detail {

/// Log-odds of a share, kept finite so that a calibrator always gets a number.
inline double share_margin(double share) noexcept {
    constexpr double edge = 1e-12;
    const double p = std::min(std::max(share, edge), 1.0 - edge);
    return portable_log(p / (1.0 - p));
}

/// Probability that each candidate is the right one: its share by the models' own scores, times the probability that any
/// candidate is, through the calibrator. Policies order and forbid, but neither a boost nor a ban of the others makes the
/// models surer, so no change of policy can lift a candidate over the threshold. 0 without a score; NaN on lower rungs, whose
/// scores were never calibrated.
inline void calibrate_candidates(const bundle::impl& b, workspace::impl& ws, rung reached, double override_probability,
                                 std::string_view client_name) {
    const std::size_t n = ws.model_scores.size();
    double best = -std::numeric_limits<double>::infinity();
    for (const double score : ws.model_scores) best = std::max(best, score);  // keeps `best` where the score is NaN
    const bool calibrated = b.confidence && reached >= rung::cached && std::isfinite(best);
    ws.probabilities.assign(n, calibrated ? 0.0 : std::numeric_limits<double>::quiet_NaN());
    if (!calibrated) return;
    const std::uint32_t client = b.confidence->calibrator.client_number(client_name);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (std::isnan(ws.model_scores[i])) continue;
        ws.probabilities[i] = portable_exp((ws.model_scores[i] - best) / b.confidence->temperature);
        total += ws.probabilities[i];
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (std::isnan(ws.model_scores[i])) continue;  // 0, whatever the curve makes of no share
        double& p = ws.probabilities[i];
        const double share = p / total * (1.0 - override_probability);
        p = b.confidence->probability(b.confidence->input == calibrator_input::probability ? share : share_margin(share), client);
    }
}

}  // namespace opspilot::detail
