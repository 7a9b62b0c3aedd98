#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "opspilot/base/math.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/newton.hpp"
#include "opspilot/calibrate/temperature.hpp"

namespace opspilot {

namespace detail {

inline status check_logits(std::span<const double> logits, std::size_t classes, std::span<const std::uint32_t> label) {
    if (classes < 2 || logits.size() % classes != 0)
        return calibration_error_at("calibration.length_mismatch",
                                    fmt::format("{} logits are no rows of {} classes", logits.size(), classes), "",
                                    "give one row of logits per label, and at least two classes");
    if (logits.empty()) return calibration_error_at("calibration.empty", "no labelled rows", "", "give labelled rows");
    OPSPILOT_CHECK(calibration_same_length(logits.size() / classes, label.size(), "labels"));
    for (std::size_t i = 0; i < logits.size(); ++i)
        if (!std::isfinite(logits[i]))
            return calibration_error_at("calibration.not_finite", fmt::format("logit {} is not finite", logits[i]),
                                        fmt::format("row {}, column {}", i / classes, i % classes),
                                        "drop such rows, or bound the probabilities before taking their logarithm");
    for (std::size_t i = 0; i < label.size(); ++i)
        if (label[i] >= classes)
            return calibration_error_at("calibration.bad_class", fmt::format("class {} of {}", label[i], classes),
                                        fmt::format("row {}", i), "number classes from 0 as the columns");
    return {};
}

inline status check_informative(std::span<const double> logits, std::size_t classes, std::span<const std::uint32_t> label) {
    if (std::all_of(label.begin(), label.end(), [&](std::uint32_t y) { return y == label[0]; }))
        return calibration_error_at("calibration.one_class", fmt::format("all {} labels are {}", label.size(), label[0]), "",
                                    "a calibrator needs examples of several classes");
    for (std::size_t i = 0; i < logits.size(); ++i)
        if (logits[i] != logits[i - i % classes]) return {};
    return calibration_error_at("calibration.all_ties", "the logits of every row are equal", "",
                                "constant logits cannot be calibrated");
}

/// Writes softmax(z) over z itself; returns the largest logit plus the logarithm of the sum.
inline double softmax_in_place(std::span<double> z) noexcept {
    const double most = *std::max_element(z.begin(), z.end());
    double total = 0;
    for (double& value : z) total += value = portable_exp(value - most);
    for (double& value : z) value /= total;
    return most + portable_log(total);
}

/// Slope and curvature of the mean cross-entropy in b = 1 / t. Rows of (0, score) are stored as their score alone: `classes` 1.
struct temperature_slopes {
    double first = 0, second = 0;

    temperature_slopes(double b, std::span<const double> logits, std::size_t classes, std::span<const std::uint32_t> label) {
        std::vector<double> p(classes);
        for (std::size_t i = 0; i < label.size(); ++i) {
            const std::span<const double> z = logits.subspan(i * classes, classes);
            double mean = 0, square = 0;
            if (classes == 1) {
                const double one = portable_logistic(b * z[0]);
                mean = one * z[0];
                square = one * z[0] * z[0];
                first += mean - (label[i] != 0 ? z[0] : 0.0);
            } else {
                for (std::size_t k = 0; k < classes; ++k) p[k] = b * z[k];
                softmax_in_place(p);
                for (std::size_t k = 0; k < classes; ++k) {
                    mean += p[k] * z[k];
                    square += p[k] * z[k] * z[k];
                }
                first += mean - z[label[i]];
            }
            second += std::max(0.0, square - mean * mean);
        }
    }
};

/// The root of the slope, which rises with b: Newton, and halving of the bracket in log b where Newton leaves it. Logits are
/// taken in units of the largest, so that the range means the same for all and squares stay finite.
inline double solve_temperature(std::span<const double> logits, std::size_t classes, std::span<const std::uint32_t> label) {
    double unit = 0;
    for (const double z : logits) unit = std::max(unit, std::fabs(z));
    std::vector<double> scaled(logits.begin(), logits.end());
    for (double& z : scaled) z /= unit;
    double low = -10.0, high = 10.0, x = 0.0;
    const auto slope_at = [&](double log_b) { return temperature_slopes(std::exp(log_b), scaled, classes, label).first; };
    bool bounds_checked = false;
    for (int round = 0; round < 200; ++round) {
        const double b = std::exp(x);
        const temperature_slopes slopes(b, scaled, classes, label);
        double next = slopes.second > 0.0 ? std::log(std::max(b - slopes.first / slopes.second, 1e-300)) : high;
        const bool arrived = std::fabs(next - x) < 1e-9;  // Newton squares it once more; rounding may leave the bracket here
        if ((round == 8 || slopes.first == 0.0 || !(next > low && next < high)) && !bounds_checked) {
            // Eight steps suffice for most roots: is there one at all?
            if (slopes.first <= 0.0 && slope_at(high) <= 0.0) return std::exp(-high) * unit;
            if (slopes.first >= 0.0 && slope_at(low) >= 0.0) return std::exp(-low) * unit;
            bounds_checked = true;
        }
        if (slopes.first == 0.0) break;
        (slopes.first > 0.0 ? high : low) = x;
        if (!arrived && !(next > low && next < high)) next = 0.5 * (low + high);
        x = next;
        if (arrived) break;
    }
    return std::exp(-x) * unit;
}

/// Cross-entropy of vector scaling; the variables are all scales, then all shifts.
struct vector_function {
    std::span<const double> logits;
    std::size_t classes;
    std::span<const std::uint32_t> label;
    double ridge;

    void scaled(std::span<const double> x, std::size_t row, std::span<double> z) const noexcept {
        for (std::size_t k = 0; k < classes; ++k) z[k] = x[k] * logits[row * classes + k] + x[classes + k];
    }
    [[nodiscard]] double value(std::span<const double> x) const {
        double sum = 0;
        for (std::size_t k = 0; k < classes; ++k)
            sum += 0.5 * ridge * ((x[k] - 1.0) * (x[k] - 1.0) + x[classes + k] * x[classes + k]);
        std::vector<double> z(classes);
        for (std::size_t i = 0; i < label.size(); ++i) {
            scaled(x, i, z);
            const double own = z[label[i]];
            sum += softmax_in_place(z) - own;
        }
        return sum;
    }
    void derivatives(std::span<const double> x, std::span<double> g, std::span<double> h) const {
        const std::size_t d = 2 * classes;
        std::vector<double> p(classes);
        for (std::size_t i = 0; i < label.size(); ++i) {
            const double* z = &logits[i * classes];
            scaled(x, i, p);
            softmax_in_place(p);
            for (std::size_t k = 0; k < classes; ++k) {
                const double slope = p[k] - (label[i] == k ? 1.0 : 0.0);
                g[k] += slope * z[k];
                g[classes + k] += slope;
                for (std::size_t j = 0; j <= k; ++j) {
                    const double curvature = (j == k ? p[k] : 0.0) - p[k] * p[j];
                    h[k * d + j] += curvature * z[k] * z[j];
                    h[(classes + k) * d + j] += curvature * z[j];
                    if (j != k) h[(classes + j) * d + k] += curvature * z[k];
                    h[(classes + k) * d + classes + j] += curvature;
                }
            }
        }
        for (std::size_t k = 0; k < classes; ++k) {
            g[k] += ridge * (x[k] - 1.0);
            g[classes + k] += ridge * x[classes + k];
            h[k * d + k] += ridge;
            h[(classes + k) * d + classes + k] += ridge;
        }
    }
};

}  // namespace detail

OPSPILOT_INLINE double temperature_curve::probability(double score) const noexcept { return portable_logistic(score / t); }

OPSPILOT_INLINE void temperature_curve::probabilities(std::span<const double> logits, std::size_t classes,
                                                      std::span<double> out) const noexcept {
    if (classes == 0) return;
    const std::size_t n = std::min(logits.size(), out.size());
    for (std::size_t i = 0; i + classes <= n; i += classes) {
        for (std::size_t k = 0; k < classes; ++k) out[i + k] = logits[i + k] / t;
        detail::softmax_in_place(out.subspan(i, classes));
    }
}

OPSPILOT_INLINE result<temperature_curve> fit_temperature(std::span<const double> logits, std::size_t classes,
                                                          std::span<const std::uint32_t> label) {
    OPSPILOT_CHECK(detail::check_logits(logits, classes, label));
    OPSPILOT_CHECK(detail::check_informative(logits, classes, label));
    return temperature_curve{detail::solve_temperature(logits, classes, label)};
}

OPSPILOT_INLINE result<temperature_curve> fit_temperature(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(detail::check_both_classes(score, label));
    if (std::all_of(score.begin(), score.end(), [](double s) { return s == 0.0; }))
        return detail::calibration_error_at("calibration.all_ties", fmt::format("all {} scores are 0", score.size()), "",
                                            "a constant score cannot be calibrated");
    const std::vector<std::uint32_t> classes(label.begin(), label.end());
    return temperature_curve{detail::solve_temperature(score, 1, classes)};
}

OPSPILOT_INLINE void vector_scaling::probabilities(std::span<const double> logits, std::span<double> out) const noexcept {
    const std::size_t n = std::min(logits.size(), out.size()), classes = scale.size();
    if (classes == 0) return;
    for (std::size_t i = 0; i + classes <= n; i += classes) {
        for (std::size_t k = 0; k < classes; ++k) out[i + k] = scale[k] * logits[i + k] + shift[k];
        detail::softmax_in_place(out.subspan(i, classes));
    }
}

OPSPILOT_INLINE result<vector_scaling> fit_vector_scaling(std::span<const double> logits, std::size_t classes,
                                                          std::span<const std::uint32_t> label, double ridge) {
    OPSPILOT_CHECK(detail::check_logits(logits, classes, label));
    if (classes > 256)
        return detail::calibration_error_at("calibration.too_many_classes", fmt::format("{} classes", classes), "",
                                            "vector scaling takes 256; temperature scaling takes any number");
    if (!(ridge > 0.0) || !std::isfinite(ridge))
        return detail::calibration_error_at("calibration.bad_ridge", fmt::format("ridge {}", ridge), "ridge",
                                            "it must be above 0");
    OPSPILOT_CHECK(detail::check_informative(logits, classes, label));
    std::vector<double> x(2 * classes, 0.0);
    std::fill_n(x.begin(), classes, 1.0);
    detail::minimise_by_newton(detail::vector_function{logits, classes, label, ridge}, x);
    const auto middle = x.begin() + static_cast<std::ptrdiff_t>(classes);
    return vector_scaling{{x.begin(), middle}, {middle, x.end()}};
}

OPSPILOT_INLINE result<top_class_task> top_class(std::span<const double> rows, std::size_t classes,
                                                 std::span<const std::uint32_t> label) {
    OPSPILOT_CHECK(detail::check_logits(rows, classes, label));
    top_class_task out;
    for (std::size_t i = 0; i < label.size(); ++i) {
        const std::span<const double> row = rows.subspan(i * classes, classes);
        const auto best = std::max_element(row.begin(), row.end());
        out.score.push_back(*best);
        out.label.push_back(static_cast<std::size_t>(best - row.begin()) == label[i] ? 1 : 0);
    }
    return out;
}

}  // namespace opspilot
