// Populations with a known risk above every threshold, for simulated certificates.
#pragma once

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace worlds {

struct sample {
    std::vector<double> score, belief;
    std::vector<std::uint8_t> error;
};

/// Draws a score, says how often an item of that score is wrong, and knows P(error | score > line).
struct world {
    std::string name;
    std::function<double(std::mt19937_64&)> draw;
    std::function<double(double)> error_rate;
    std::function<double(double)> risk_above;
};

inline double beta_draw(std::mt19937_64& random, double a, double b) {
    const double x = std::gamma_distribution<double>(a)(random);
    const double y = std::gamma_distribution<double>(b)(random);
    return x / (x + y);
}

/// Confidence ~ Beta(a, b), errors ~ Bernoulli(1 - confidence): E[s | s > l] in closed form.
inline world calibrated(std::string name, double a, double b) {
    return {std::move(name), [=](auto& random) { return beta_draw(random, a, b); }, [](double s) { return 1 - s; },
            [=](double l) { return 1 - a / (a + b) * boost::math::ibetac(a + 1, b, l) / boost::math::ibetac(a, b, l); }};
}

/// Any world by its quantiles: the risk above a line as an average over 20,000 of them.
inline world numeric(std::string name, const std::function<double(double)>& quantile, std::function<double(double)> error_rate) {
    constexpr std::size_t n = 20'000;
    std::vector<double> scores(n), cumulated(n);  // best first
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        scores[i] = quantile(1 - (static_cast<double>(i) + 0.5) / n);
        sum += error_rate(scores[i]);
        cumulated[i] = sum;
    }
    const auto risk_above = [scores, cumulated](double l) {
        const auto above = std::partition_point(scores.begin(), scores.end(), [&](double s) { return s > l; });
        const auto count = static_cast<std::size_t>(above - scores.begin());
        return count == 0 ? 0.0 : cumulated[count - 1] / static_cast<double>(count);
    };
    // Draws from the same 20,000 points, so that the risk above is exact, ties included.
    const auto draw = [scores](auto& random) { return scores[random() % n]; };
    return {std::move(name), draw, std::move(error_rate), risk_above};
}

inline double quantile_a(double u) { return boost::math::ibeta_inv(6.0, 0.6, u); }
inline double quantile_b(double u) { return boost::math::ibeta_inv(4.0, 0.25, u); }

inline world case_a() { return calibrated("A", 6, 0.6); }
inline world case_b() { return calibrated("B", 4, 0.25); }
/// Believes 1 - s, errs (1 - s)^0.85: too sure of itself.
inline world overconfident(std::string name, double (*quantile)(double)) {
    return numeric(std::move(name), quantile, [](double s) { return std::pow(std::max(0.0, 1 - s), 0.85); });
}
/// Error rate in three steps of a continuous score; the risk crosses 2 % and 5 % at kinks.
inline world steps() {
    return numeric("steps", [](double u) { return u; }, [](double s) { return s > 0.8 ? 0.004 : s > 0.5 ? 0.03 : 0.3; });
}
/// Scores on the middles of a grid: a few large tie blocks, or many small ones.
inline world grid(double per_unit) {
    return numeric(
        "grid " + std::to_string(static_cast<int>(per_unit)),
        [=](double u) { return (std::floor(std::min(quantile_b(u), 0.999999) * per_unit) + 0.5) / per_unit; },
        [](double s) { return 1 - s; });
}
/// Half of the mass on two atoms between continuous parts, placed so that the risk jumps across 2 % and 5 % at them.
inline world atoms() {
    return numeric(
        "atoms",
        [](double u) {
            if (u > 0.8) return u;
            if (u > 0.5) return 0.8;
            if (u > 0.4) return 0.5 + u / 10;
            return u > 0.2 ? 0.5 : u;
        },
        [](double s) {
            return s > 0.8 ? 0.015 : s > 0.54 ? 0.024 : s >= 0.5 ? 0.12 : 0.5;
        });
}

inline sample draw(const world& w, std::size_t n, std::mt19937_64& random) {
    sample out;
    std::uniform_real_distribution<double> uniform;
    for (std::size_t i = 0; i < n; ++i) {
        const double s = w.draw(random);
        out.score.push_back(s);
        out.belief.push_back(std::clamp(s, 0.0, 1.0));
        out.error.push_back(uniform(random) < w.error_rate(s) ? 1 : 0);
    }
    return out;
}

}  // namespace worlds
