// Gauss-Legendre quadrature on [0, 1]: n points integrate polynomials up to degree 2n - 1 exactly.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace opspilot::detail {

struct quadrature {
    std::vector<double> points, weights;
};

/// The roots of the Legendre polynomial by Newton's method from Tricomi's estimates, in long double, so that rounding to
/// double gives the same bits whatever the estimate's were.
inline quadrature gauss_legendre(std::size_t n) {
    quadrature out{std::vector<double>(n), std::vector<double>(n)};
    const auto size = static_cast<long double>(n);
    for (std::size_t i = 0; i < n; ++i) {
        long double x = std::cos(std::numbers::pi_v<long double> * (static_cast<long double>(i) + 0.75L) / (size + 0.5L));
        long double slope = 1;
        for (int step = 0; step < 100; ++step) {
            long double value = 1, before = 0;
            for (std::size_t k = 1; k <= n; ++k) {
                const auto degree = static_cast<long double>(k);
                const long double next = ((2 * degree - 1) * x * value - (degree - 1) * before) / degree;
                before = value;
                value = next;
            }
            slope = size * (x * value - before) / (x * x - 1);
            const long double change = value / slope;
            x -= change;
            if (std::fabs(change) < 1e-18L) break;
        }
        out.points[i] = static_cast<double>((1 - x) / 2);
        out.weights[i] = static_cast<double>(1 / ((1 - x * x) * slope * slope));
    }
    return out;
}

}  // namespace opspilot::detail
