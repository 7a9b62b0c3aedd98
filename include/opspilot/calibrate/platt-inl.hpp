#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "opspilot/base/math.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/platt.hpp"

namespace opspilot {

namespace detail {

/// Smoothed targets of the two labels.
struct platt_targets {
    double of[2];

    explicit platt_targets(std::span<const std::uint8_t> label) noexcept {
        double positives = 0;
        for (const std::uint8_t y : label) positives += y;
        const double negatives = static_cast<double>(label.size()) - positives;
        of[0] = 1.0 / (negatives + 2.0);
        of[1] = (positives + 1.0) / (positives + 2.0);
    }
};

/// Cross-entropy of one row at z = a f + b, written so that the exponential cannot overflow.
inline double platt_loss(double z, double target) noexcept {
    return z >= 0 ? target * z + std::log1p(std::exp(-z)) : (target - 1.0) * z + std::log1p(std::exp(z));
}

inline double platt_sum(double a, double b, double scale, std::span<const double> score, std::span<const std::uint8_t> label,
                        const platt_targets& targets) noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < score.size(); ++i) sum += platt_loss(a * (score[i] * scale) + b, targets.of[label[i]]);
    return sum;
}

}  // namespace detail

OPSPILOT_INLINE double platt::probability(double score) const noexcept { return portable_logistic(-(a * score + b)); }

OPSPILOT_INLINE void platt::probabilities(std::span<const double> score, std::span<double> out) const noexcept {
    const std::size_t n = std::min(score.size(), out.size());
    for (std::size_t i = 0; i < n; ++i) out[i] = probability(score[i]);
}

OPSPILOT_INLINE double platt_objective(const platt& p, std::span<const double> score,
                                       std::span<const std::uint8_t> label) noexcept {
    return detail::platt_sum(p.a, p.b, 1.0, score, label, detail::platt_targets(label));
}

OPSPILOT_INLINE result<platt> fit_platt(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(check_labelled(score, label));
    const auto positives = static_cast<std::size_t>(std::count(label.begin(), label.end(), std::uint8_t{1}));
    if (positives == 0 || positives == label.size())
        return detail::calibration_error_at("calibration.one_class", fmt::format("all {} labels are {}", label.size(), label[0]),
                                            "", "a calibrator needs examples of both outcomes");
    const auto [low, high] = std::minmax_element(score.begin(), score.end());
    if (*low == *high)
        return detail::calibration_error_at("calibration.all_ties", fmt::format("all {} scores are {}", score.size(), *low), "",
                                            "a constant score cannot be calibrated");

    const detail::platt_targets targets(label);
    const double largest = std::max(std::fabs(*low), std::fabs(*high));
    const double scale = largest >= 30.0 ? 1.0 / largest : 1.0;
    const double negatives = static_cast<double>(label.size() - positives);

    double a = 0;
    double b = std::log((negatives + 1.0) / (static_cast<double>(positives) + 1.0));
    double objective = detail::platt_sum(a, b, scale, score, label, targets);
    constexpr int step_limit = 200;  // damped Newton on a smooth convex function of two variables takes about ten
    for (int step = 0; step < step_limit; ++step) {
        double haa = 1e-12, hbb = 1e-12, hab = 0, ga = 0, gb = 0;
        for (std::size_t i = 0; i < score.size(); ++i) {
            const double f = score[i] * scale;
            const double p = portable_logistic(-(a * f + b));
            const double weight = p * (1.0 - p);
            const double slope = targets.of[label[i]] - p;
            haa += f * f * weight;
            hbb += weight;
            hab += f * weight;
            ga += f * slope;
            gb += slope;
        }
        const double determinant = haa * hbb - hab * hab;
        if (!(determinant > 0.0)) break;
        const double da = -(hbb * ga - hab * gb) / determinant;
        const double db = -(haa * gb - hab * ga) / determinant;
        const double descent = ga * da + gb * db;  // directional derivative, negative
        if (!(descent < 0.0)) break;
        if (-descent < 1e-12 * (1.0 + std::fabs(objective))) {  // what is left is below the rounding of the sum: only sharpen
            a += da;
            b += db;
            break;
        }
        bool moved = false;
        for (double stride = 1.0; stride >= 1e-10 && !moved; stride *= 0.5) {
            const double next = detail::platt_sum(a + stride * da, b + stride * db, scale, score, label, targets);
            if (next < objective + 1e-4 * stride * descent) {
                a += stride * da;
                b += stride * db;
                objective = next;
                moved = true;
            }
        }
        if (!moved) break;
    }
    return platt{a * scale, b};
}

}  // namespace opspilot
