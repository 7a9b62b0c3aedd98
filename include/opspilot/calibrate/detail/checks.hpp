/// \file
/// Internal: what every calibrator asks of its labelled set, beyond `check_labelled`.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "opspilot/base/math.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot::detail {

/// Products of counts must stay below 2^63.
inline constexpr std::size_t calibration_most_rows = (std::size_t{1} << 31U) - 2;

/// `check_labelled`, both labels present, and not too many of them.
inline status check_both_classes(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(check_labelled(score, label));
    if (score.size() > calibration_most_rows)
        return calibration_error_at("calibration.too_many", fmt::format("{} labelled scores", score.size()), "",
                                    "give a random sample: nothing is gained beyond some million labels");
    const auto positives = static_cast<std::size_t>(std::count(label.begin(), label.end(), std::uint8_t{1}));
    if (positives == 0 || positives == label.size())
        return calibration_error_at("calibration.one_class", fmt::format("all {} labels are {}", label.size(), label[0]), "",
                                    "a calibrator needs examples of both outcomes");
    return {};
}

inline status check_not_tied(std::span<const double> score) {
    const auto [low, high] = std::minmax_element(score.begin(), score.end());
    if (*low != *high) return {};
    return calibration_error_at("calibration.all_ties", fmt::format("all {} scores are {}", score.size(), *low), "",
                                "a constant score cannot be calibrated");
}

/// Every score is a probability.
inline status check_probabilities(std::span<const double> score, std::string_view what) {
    for (std::size_t i = 0; i < score.size(); ++i)
        if (!(score[i] >= 0.0 && score[i] <= 1.0))
            return calibration_error_at("calibration.bad_probability", fmt::format("{} {} is not a probability", what, score[i]),
                                        fmt::format("row {}", i), "probabilities lie in [0, 1]; for margins use Platt scaling");
    return {};
}

inline constexpr double smallest_probability = std::numeric_limits<double>::epsilon();

/// ln p and ln(1 - p) of a probability that is kept off 0 and 1 by 2^-52.
struct log_pair {
    double of_p, of_rest;
    explicit log_pair(double p) noexcept {
        const double kept = std::clamp(p, smallest_probability, 1.0 - smallest_probability);
        of_p = portable_log(kept);
        of_rest = portable_log1p(-kept);
    }
};

/// The logit of a probability, finite.
inline double kept_logit(double p) noexcept {
    const log_pair logs(p);
    return logs.of_p - logs.of_rest;
}

}  // namespace opspilot::detail
