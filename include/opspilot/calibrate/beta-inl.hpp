#pragma once

#include <cmath>
#include <vector>

#include "opspilot/base/math.hpp"
#include "opspilot/calibrate/beta.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/newton.hpp"

namespace opspilot {

namespace detail {

inline constexpr double beta_penalty = 1e-11;

/// Cross-entropy of (free coefficients..., c); those that are not free are 0.
struct beta_function {
    std::span<const double> log_p, minus_log_rest;
    std::span<const std::uint8_t> label;
    bool free_a = true, free_b = true;

    [[nodiscard]] beta_curve curve(std::span<const double> x) const noexcept {
        return {free_a ? x[0] : 0.0, free_b ? x[free_a ? 1 : 0] : 0.0, x.back()};
    }
    [[nodiscard]] double value(std::span<const double> x) const noexcept {
        const beta_curve k = curve(x);
        double sum = 0.5 * beta_penalty * (k.a * k.a + k.b * k.b);
        for (std::size_t i = 0; i < label.size(); ++i)
            sum += logit_loss(k.a * log_p[i] + k.b * minus_log_rest[i] + k.c, label[i] != 0);
        return sum;
    }
    void derivatives(std::span<const double> x, std::span<double> g, std::span<double> h) const noexcept {
        const beta_curve k = curve(x);
        const std::size_t d = x.size();
        double row[3] = {0, 0, 1};
        for (std::size_t i = 0; i < label.size(); ++i) {
            std::size_t at = 0;
            if (free_a) row[at++] = log_p[i];
            if (free_b) row[at++] = minus_log_rest[i];
            row[at] = 1;
            const double p = portable_logistic(k.a * log_p[i] + k.b * minus_log_rest[i] + k.c);
            for (std::size_t j = 0; j < d; ++j) {
                g[j] += (p - label[i]) * row[j];
                for (std::size_t m = 0; m <= j; ++m) h[j * d + m] += p * (1.0 - p) * row[j] * row[m];
            }
        }
        for (std::size_t j = 0; j + 1 < d; ++j) {
            g[j] += beta_penalty * x[j];
            h[j * d + j] += beta_penalty;
        }
    }
};

struct beta_fit {
    beta_curve curve;
    double objective;
};

inline beta_fit fit_beta_with(beta_function function, bool free_a, bool free_b, double base_logit) {
    function.free_a = free_a;
    function.free_b = free_b;
    std::vector<double> x(1 + std::size_t{free_a} + std::size_t{free_b}, 0.0);
    x.back() = base_logit;
    constexpr std::size_t few = std::size_t{1} << 15U;
    if (const std::size_t stride = function.label.size() / few; stride > 3) {  // near the end at a fraction of the price
        std::vector<double> log_p, minus_log_rest;
        std::vector<std::uint8_t> label;
        for (std::size_t i = 0; i < function.label.size(); i += stride) {
            log_p.push_back(function.log_p[i]);
            minus_log_rest.push_back(function.minus_log_rest[i]);
            label.push_back(function.label[i]);
        }
        minimise_by_newton(beta_function{log_p, minus_log_rest, label, free_a, free_b}, x);
    }
    minimise_by_newton(function, x);
    return {function.curve(x), function.value(x)};
}

}  // namespace detail

OPSPILOT_INLINE double beta_curve::probability(double score) const noexcept {
    if (std::isnan(score)) return score;
    const detail::log_pair logs(score);
    return portable_logistic(a * logs.of_p - b * logs.of_rest + c);
}

OPSPILOT_INLINE double beta_objective(const beta_curve& curve, std::span<const double> score,
                                      std::span<const std::uint8_t> label) noexcept {
    double sum = 0.5 * detail::beta_penalty * (curve.a * curve.a + curve.b * curve.b);
    for (std::size_t i = 0; i < score.size(); ++i) {
        const detail::log_pair logs(score[i]);
        sum += detail::logit_loss(curve.a * logs.of_p - curve.b * logs.of_rest + curve.c, label[i] != 0);
    }
    return sum;
}

OPSPILOT_INLINE result<beta_curve> fit_beta(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(detail::check_both_classes(score, label));
    OPSPILOT_CHECK(detail::check_probabilities(score, "score"));
    OPSPILOT_CHECK(detail::check_not_tied(score));
    std::vector<double> log_p(score.size()), minus_log_rest(score.size());
    double positives = 0;
    for (std::size_t i = 0; i < score.size(); ++i) {
        const detail::log_pair logs(score[i]);
        log_p[i] = logs.of_p;
        minus_log_rest[i] = -logs.of_rest;
        positives += label[i];
    }
    const double base = std::log(positives / (static_cast<double>(score.size()) - positives));
    const detail::beta_function function{log_p, minus_log_rest, label};
    const detail::beta_fit free = detail::fit_beta_with(function, true, true, base);
    if (free.curve.a >= 0.0 && free.curve.b >= 0.0) return free.curve;
    // The optimum lies where a violated bound holds.
    detail::beta_fit best = detail::fit_beta_with(function, false, false, base);
    for (const bool keep_b : {true, false}) {
        if ((keep_b ? free.curve.a : free.curve.b) >= 0.0) continue;
        const detail::beta_fit one = detail::fit_beta_with(function, !keep_b, keep_b, base);
        if ((keep_b ? one.curve.b : one.curve.a) >= 0.0 && one.objective < best.objective) best = one;
    }
    return best.curve;
}

}  // namespace opspilot
