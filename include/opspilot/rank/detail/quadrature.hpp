// Gauss-Legendre quadrature on [0, 1]: n points integrate polynomials up to degree 2n - 1 exactly.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace opspilot::detail {

/// A number as a sum of two doubles, some 106 bits (Dekker 1971). What a long double is differs from machine to machine.
struct two_doubles {
    double high = 0, low = 0;

    two_doubles(double x) noexcept : high(x) {}
    two_doubles(double a, double b) noexcept : high(a + b), low(0) {
        const double of_b = high - a;
        low = (a - (high - of_b)) + (b - of_b);
    }
    friend two_doubles operator+(two_doubles a, two_doubles b) noexcept {
        const two_doubles sum(a.high, b.high);
        return {sum.high, sum.low + (a.low + b.low)};
    }
    friend two_doubles operator-(two_doubles a, two_doubles b) noexcept {
        b.high = -b.high;
        b.low = -b.low;
        return a + b;
    }
    friend two_doubles operator*(two_doubles a, two_doubles b) noexcept {
        const two_doubles x = halves(a.high), y = halves(b.high);
        const double product = a.high * b.high;
        const double rest = ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low;
        return {product, rest + (a.high * b.low + a.low * b.high)};
    }
    friend two_doubles operator/(two_doubles a, two_doubles b) noexcept {
        const double first = a.high / b.high;
        const two_doubles left = a - b * first;
        const double second = left.high / b.high;
        return two_doubles(first, second) + (left - b * second).high / b.high;
    }

private:
    /// Halves of 26 bits, whose products are exact.
    static two_doubles halves(double x) noexcept {
        const double spread = 134217729.0 * x;
        two_doubles out(spread - (spread - x));
        out.low = x - out.high;
        return out;
    }
};

struct quadrature {
    std::vector<double> points, weights;
};

/// The roots of the Legendre polynomial by Newton's method from Tricomi's estimates, so precisely that rounding to double
/// gives the same bits on every machine, whatever its cosine is.
inline quadrature gauss_legendre(std::size_t n) {
    quadrature out{std::vector<double>(n), std::vector<double>(n)};
    const auto size = static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
        two_doubles x = std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) / (size + 0.5));
        two_doubles slope = 1;
        for (int step = 0; step < 100; ++step) {
            two_doubles value = 1, before = 0;
            for (std::size_t k = 1; k <= n; ++k) {
                const auto degree = static_cast<double>(k);
                const two_doubles next = (x * value * (2 * degree - 1) - before * (degree - 1)) / degree;
                before = value;
                value = next;
            }
            slope = (x * value - before) * size / (x * x - 1);
            const two_doubles change = value / slope;
            x = x - change;
            if (std::fabs(change.high) < 1e-28) break;
        }
        out.points[i] = ((two_doubles(1) - x) * 0.5).high;
        out.weights[i] = (two_doubles(1) / ((two_doubles(1) - x * x) * slope * slope)).high;
    }
    return out;
}

}  // namespace opspilot::detail
