#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "opspilot/base/math.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/newton.hpp"
#include "opspilot/calibrate/hierarchical.hpp"

namespace opspilot {

namespace detail {

inline constexpr double hierarchical_prior = 1.0 / 100.0;  // precision of the common coefficients
inline constexpr double smallest_variance = 1e-6;

/// A symmetric 2 x 2 matrix and a vector of two: a client's curvature and slope of the objective.
struct small_matrix {
    double a = 0, b = 0, c = 0;  // (a b; b c)
    [[nodiscard]] small_matrix inverse() const noexcept {
        const double determinant = a * c - b * b;
        return {c / determinant, -b / determinant, a / determinant};
    }
};

/// The joint posterior of common and client coefficients under given variances, over rows sorted by client.
class hierarchical_problem {
public:
    hierarchical_problem(std::span<const double> x, std::span<const std::uint8_t> label, std::span<const std::uint32_t> client,
                         std::uint32_t clients, std::size_t slope_labels)
        : x_(x.size()), label_(x.size()), start_(clients + std::size_t{1}, 0), has_slope_(clients, 0) {
        if (client.empty()) {
            std::copy(x.begin(), x.end(), x_.begin());
            std::copy(label.begin(), label.end(), label_.begin());
            return;
        }
        for (const std::uint32_t k : client) ++start_[k + std::size_t{1}];
        for (std::size_t k = 0; k < clients; ++k) start_[k + 1] += start_[k];
        std::vector<std::size_t> fill(start_.begin(), start_.end() - 1);
        std::vector<std::size_t> positives(clients, 0);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t at = fill[client[i]]++;
            x_[at] = x[i];
            label_[at] = label[i];
            positives[client[i]] += label[i];
        }
        for (std::size_t k = 0; k < clients; ++k)
            has_slope_[k] = positives[k] >= slope_labels && start_[k + 1] - start_[k] - positives[k] >= slope_labels ? 1 : 0;
    }

    [[nodiscard]] std::size_t clients() const noexcept { return has_slope_.size(); }
    [[nodiscard]] bool has_slope(std::size_t k) const noexcept { return has_slope_[k] != 0; }
    [[nodiscard]] bool any_slope() const noexcept {
        return std::any_of(has_slope_.begin(), has_slope_.end(), [](char has) { return has != 0; });
    }

    /// Rows of a client; those of a problem without clients are asked for as client 0.
    [[nodiscard]] std::pair<std::size_t, std::size_t> rows(std::size_t k) const noexcept {
        return clients() == 0 ? std::pair{std::size_t{0}, x_.size()} : std::pair{start_[k], start_[k + 1]};
    }
    [[nodiscard]] std::size_t parts() const noexcept { return std::max<std::size_t>(1, clients()); }

    [[nodiscard]] double value(const hierarchical_platt& m) const noexcept {
        double sum = 0.5 * hierarchical_prior * (m.intercept * m.intercept + m.slope * m.slope);
        for (std::size_t k = 0; k < parts(); ++k) {
            const hierarchical_platt::client_curve own = clients() == 0 ? hierarchical_platt::client_curve{} : m.clients[k];
            const auto [from, to] = rows(k);
            for (std::size_t i = from; i < to; ++i)
                sum += logit_loss(m.intercept + own.offset + (m.slope + own.slope) * x_[i], label_[i] != 0);
            if (clients() != 0) sum += 0.5 * own.offset * own.offset / m.offset_variance;
            if (clients() != 0 && has_slope(k)) sum += 0.5 * own.slope * own.slope / m.slope_variance;
        }
        return sum;
    }

    /// One Newton step with backtracking. Returns whether it was worth another. The Hessian is an arrow: a 2 x 2 block per client
    /// and the two common coefficients, which are solved first, with the clients eliminated.
    bool step(hierarchical_platt& m) {
        std::vector<small_matrix> inverse(clients()), cross(clients());
        std::vector<std::array<double, 2>> slope(clients());
        small_matrix common{hierarchical_prior, 0, hierarchical_prior};
        std::array<double, 2> gradient{hierarchical_prior * m.intercept, hierarchical_prior * m.slope};
        for (std::size_t k = 0; k < parts(); ++k) {
            small_matrix h;
            std::array<double, 2> g{0, 0};
            const auto [from, to] = rows(k);
            const hierarchical_platt::client_curve own = clients() == 0 ? hierarchical_platt::client_curve{} : m.clients[k];
            for (std::size_t i = from; i < to; ++i) {
                const double p = portable_logistic(m.intercept + own.offset + (m.slope + own.slope) * x_[i]);
                const double wrong = p - label_[i], weight = p * (1.0 - p);
                g[0] += wrong;
                g[1] += wrong * x_[i];
                h.a += weight;
                h.b += weight * x_[i];
                h.c += weight * x_[i] * x_[i];
            }
            common = {common.a + h.a, common.b + h.b, common.c + h.c};
            gradient[0] += g[0];
            gradient[1] += g[1];
            if (clients() == 0) break;
            cross[k] = h;
            const double offset_precision = 1.0 / m.offset_variance;
            g[0] += own.offset * offset_precision;
            if (has_slope(k)) {
                const double slope_precision = 1.0 / m.slope_variance;
                g[1] += own.slope * slope_precision;
                inverse[k] = small_matrix{h.a + offset_precision, h.b, h.c + slope_precision}.inverse();
            } else {
                g[1] = 0;
                inverse[k] = {1.0 / (h.a + offset_precision), 0, 0};
            }
            slope[k] = g;
            // Schur complement: common - cross inverse cross, gradient - cross inverse g.
            const small_matrix& v = inverse[k];
            const double p00 = h.a * v.a + h.b * v.b, p01 = h.a * v.b + h.b * v.c;
            const double p10 = h.b * v.a + h.c * v.b, p11 = h.b * v.b + h.c * v.c;
            common.a -= p00 * h.a + p01 * h.b;
            common.b -= p00 * h.b + p01 * h.c;
            common.c -= p10 * h.b + p11 * h.c;
            gradient[0] -= p00 * g[0] + p01 * g[1];
            gradient[1] -= p10 * g[0] + p11 * g[1];
        }
        const small_matrix back = common.inverse();
        const double d0 = -(back.a * gradient[0] + back.b * gradient[1]), d1 = -(back.b * gradient[0] + back.c * gradient[1]);
        std::vector<std::array<double, 2>> own_step(clients());
        for (std::size_t k = 0; k < clients(); ++k) {
            const double r0 = slope[k][0] + cross[k].a * d0 + cross[k].b * d1;
            const double r1 = has_slope(k) ? slope[k][1] + cross[k].b * d0 + cross[k].c * d1 : 0.0;
            own_step[k] = {-(inverse[k].a * r0 + inverse[k].b * r1), -(inverse[k].b * r0 + inverse[k].c * r1)};
        }
        const double before = value(m);
        for (double stride = 1.0; stride >= 1e-10; stride *= 0.5) {
            hierarchical_platt next = m;
            next.intercept += stride * d0;
            next.slope += stride * d1;
            double largest = std::max(std::fabs(d0), std::fabs(d1));
            for (std::size_t k = 0; k < clients(); ++k) {
                next.clients[k].offset += stride * own_step[k][0];
                next.clients[k].slope += stride * own_step[k][1];
                largest = std::max({largest, std::fabs(own_step[k][0]), std::fabs(own_step[k][1])});
            }
            const double after = value(next);
            // Near the mode rounding hides the decrease, and the step is right all the same.
            if (after < before || (largest < 1e-6 && stride == 1.0)) {
                m = std::move(next);
                return largest > 1e-12 && stride * largest > 1e-13;
            }
        }
        return false;
    }

    void find_mode(hierarchical_platt& m) {
        for (int round = 0; round < 100 && step(m); ++round) {
        }
        for (std::size_t k = 0; k < clients(); ++k) {
            small_matrix h;
            hierarchical_platt::client_curve& own = m.clients[k];
            for (auto [i, to] = rows(k); i < to; ++i) {
                const double p = portable_logistic(m.intercept + own.offset + (m.slope + own.slope) * x_[i]);
                h.a += p * (1.0 - p);
                h.b += p * (1.0 - p) * x_[i];
                h.c += p * (1.0 - p) * x_[i] * x_[i];
            }
            const double offset_precision = 1.0 / m.offset_variance;
            const small_matrix v = has_slope(k)
                                       ? small_matrix{h.a + offset_precision, h.b, h.c + 1.0 / m.slope_variance}.inverse()
                                       : small_matrix{1.0 / (h.a + offset_precision), 0, 0};
            own.offset_variance = v.a;
            own.covariance = v.b;
            own.slope_variance = v.c;
        }
    }

private:
    std::vector<double> x_;
    std::vector<std::uint8_t> label_;
    std::vector<std::size_t> start_;
    std::vector<char> has_slope_;
};

/// tau^2 <- mean of u^2 + v, over the clients that have labels (and a slope, for slopes).
inline void update_variances(const hierarchical_problem& problem, hierarchical_platt& m) {
    double offsets = 0, slopes = 0, counted = 0, sloped = 0;
    for (std::size_t k = 0; k < m.clients.size(); ++k) {
        const auto [from, to] = problem.rows(k);
        if (from == to) continue;
        const hierarchical_platt::client_curve& own = m.clients[k];
        offsets += own.offset * own.offset + own.offset_variance;
        counted += 1;
        if (!problem.has_slope(k)) continue;
        slopes += own.slope * own.slope + own.slope_variance;
        sloped += 1;
    }
    if (counted > 0) m.offset_variance = std::max(smallest_variance, offsets / counted);
    if (sloped > 0) m.slope_variance = std::max(smallest_variance, slopes / sloped);
}

inline status check_clients(std::size_t rows, std::span<const std::uint32_t> client, std::uint32_t client_count,
                            const hierarchical_options& options) {
    if (!client.empty() || client_count > 0) OPSPILOT_CHECK(calibration_same_length(rows, client.size(), "clients"));
    for (std::size_t i = 0; i < client.size(); ++i)
        if (client[i] >= client_count)
            return calibration_error_at("calibration.bad_client", fmt::format("client {} of {}", client[i], client_count),
                                        fmt::format("row {}", i), "number clients from 0");
    if (options.offset_variance && !(*options.offset_variance > 0.0 && *options.offset_variance < 1e6))
        return calibration_error_at("calibration.bad_variance", fmt::format("offset_variance {}", *options.offset_variance),
                                    "offset_variance", "give a number above 0, or none to have it estimated");
    return {};
}

}  // namespace detail

OPSPILOT_INLINE double hierarchical_platt::probability(double score, std::uint32_t client) const noexcept {
    const double x = (score - centre) / spread;
    const client_curve own = client < clients.size() ? clients[client] : client_curve{0, 0, offset_variance, 0, 0};
    const double variance = own.offset_variance + 2.0 * own.covariance * x + own.slope_variance * x * x;
    const double margin = intercept + own.offset + (slope + own.slope) * x;
    return portable_logistic(margin / std::sqrt(1.0 + std::numbers::pi * std::max(0.0, variance) / 8.0));
}

OPSPILOT_INLINE result<hierarchical_platt> fit_hierarchical_platt(std::span<const double> score,
                                                                  std::span<const std::uint8_t> label,
                                                                  std::span<const std::uint32_t> client,
                                                                  std::uint32_t client_count,
                                                                  const hierarchical_options& options) {
    OPSPILOT_CHECK(detail::check_both_classes(score, label));
    OPSPILOT_CHECK(detail::check_not_tied(score));
    OPSPILOT_CHECK(detail::check_clients(score.size(), client, client_count, options));
    hierarchical_platt m;
    const auto n = static_cast<double>(score.size());
    double mean = 0, square = 0, positives = 0;
    for (std::size_t i = 0; i < score.size(); ++i) {
        mean += score[i] / n;
        positives += label[i];
    }
    for (const double s : score) square += (s - mean) / n * (s - mean);
    m.centre = mean;
    m.spread = std::sqrt(square);
    if (!(m.spread > 0.0) || !std::isfinite(m.spread))
        return detail::calibration_error_at("calibration.not_finite", "the scores have no finite deviation", "",
                                            "give margins of ordinary size");
    std::vector<double> x(score.begin(), score.end());
    for (double& value : x) value = (value - m.centre) / m.spread;
    m.intercept = std::log(positives / (n - positives));
    m.slope = 0;
    m.clients.resize(client_count);
    detail::hierarchical_problem problem(x, label, client, client_count, std::max<std::size_t>(1, options.slope_labels));
    m.offset_variance = client_count == 0 ? 0.0 : options.offset_variance.value_or(1.0);
    m.slope_variance = problem.any_slope() ? 1.0 : 0.0;
    for (int sweep = 0; sweep < std::max(1, options.sweeps); ++sweep) {
        problem.find_mode(m);
        if (client_count == 0 || (options.offset_variance && !problem.any_slope())) break;
        const double before = m.offset_variance, slope_before = m.slope_variance;
        detail::update_variances(problem, m);
        if (options.offset_variance) m.offset_variance = *options.offset_variance;
        if (std::fabs(m.offset_variance - before) < 1e-6 * before &&
            std::fabs(m.slope_variance - slope_before) <= 1e-6 * slope_before)
            break;
    }
    problem.find_mode(m);
    return m;
}

}  // namespace opspilot
