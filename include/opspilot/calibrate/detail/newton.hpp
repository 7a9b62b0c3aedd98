/// \file
/// Internal: damped Newton on a smooth convex function of a few variables.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace opspilot::detail {

/// Solves H x = b in place (b becomes x) by Cholesky; H is d x d, row by row, and its lower half is overwritten. False where H is
/// not positive definite.
inline bool solve_positive(std::span<double> h, std::span<double> b) noexcept {
    const std::size_t d = b.size();
    for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = h[i * d + j];
            for (std::size_t k = 0; k < j; ++k) sum -= h[i * d + k] * h[j * d + k];
            if (i != j) {
                h[i * d + j] = sum / h[j * d + j];
            } else {
                if (!(sum > 0.0)) return false;
                h[i * d + i] = std::sqrt(sum);
            }
        }
    }
    for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t k = 0; k < i; ++k) b[i] -= h[i * d + k] * b[k];
        b[i] /= h[i * d + i];
    }
    for (std::size_t i = d; i-- > 0;) {
        for (std::size_t k = i + 1; k < d; ++k) b[i] -= h[k * d + i] * b[k];
        b[i] /= h[i * d + i];
    }
    return true;
}

/// Minimises from `x` on. `function.value(x)` is what is minimised; `function.derivatives(x, g, h)` writes the gradient and the
/// lower half of the Hessian into zeroed memory. Ends where rounding hides further decrease, at the latest after 200 steps.
template <class Function>
void minimise_by_newton(const Function& function, std::vector<double>& x) {
    const std::size_t d = x.size();
    std::vector<double> g(d), h(d * d), step(d), next(d);
    double value = function.value(x);
    for (int round = 0; round < 200; ++round) {
        g.assign(d, 0.0);
        h.assign(d * d, 0.0);
        function.derivatives(x, g, h);
        for (std::size_t i = 0; i < d; ++i) {
            step[i] = -g[i];
            h[i * d + i] *= 1.0 + 1e-14;  // columns that repeat each other
            h[i * d + i] += 1e-300;
        }
        if (!solve_positive(h, step)) return;
        double descent = 0;
        for (std::size_t i = 0; i < d; ++i) descent += g[i] * step[i];
        if (!(descent < 0.0)) return;
        if (-descent < 1e-12 * (1.0 + std::fabs(value))) {  // what is left is below the rounding of the sum: only sharpen
            for (std::size_t i = 0; i < d; ++i) x[i] += step[i];
            return;
        }
        bool moved = false;
        for (double stride = 1.0; stride >= 1e-10 && !moved; stride *= 0.5) {
            for (std::size_t i = 0; i < d; ++i) next[i] = x[i] + stride * step[i];
            const double there = function.value(next);
            if (there < value + 1e-4 * stride * descent) {
                x = next;
                value = there;
                moved = true;
            }
        }
        if (!moved) return;
    }
}

/// Cross-entropy of one row with log-odds z, written so that the exponential cannot overflow.
inline double logit_loss(double z, bool positive) noexcept {
    const double wrong = positive ? -z : z;
    return wrong > 0.0 ? wrong + std::log1p(std::exp(-wrong)) : std::log1p(std::exp(wrong));
}

}  // namespace opspilot::detail
