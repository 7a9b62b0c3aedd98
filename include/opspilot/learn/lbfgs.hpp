/// \file
/// Smooth unconstrained minimisation: limited-memory BFGS (Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4
/// and 7.5) with a line search to the weak Wolfe conditions by bracketing and bisection (Lewis and Overton 2013).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "opspilot/base/result.hpp"

namespace opspilot {

struct lbfgs_options {
    int max_iterations = 200;
    int memory = 10;                    ///< pairs kept; each costs two vectors
    double gradient_tolerance = 1e-6;   ///< stop when the largest |component| falls below this times max(1, |loss|)
    double decrease_tolerance = 1e-12;  ///< stop when an iteration lowers the loss by less than this share of it
    int max_line_search = 40;           ///< evaluations per iteration
};

enum class lbfgs_stop : std::uint8_t {
    gradient,     ///< the gradient is small: converged
    decrease,     ///< the loss no longer falls
    iterations,   ///< the limit was reached
    line_search,  ///< no step lowers the loss: at the precision of the numbers, or the gradient is wrong
};
[[nodiscard]] OPSPILOT_API std::string_view name(lbfgs_stop reason) noexcept;

struct lbfgs_report {
    double loss = 0;
    double gradient = 0;  ///< largest |component|
    int iterations = 0;
    int evaluations = 0;
    lbfgs_stop reason = lbfgs_stop::iterations;
};

/// Minimises `objective`, which returns the loss at `w` and writes the gradient, starting from and ending in `w`. Deterministic.
/// Errors: kind usage, "learn.options"; kind model, "learn.not_finite" when the loss at the start is not finite.
[[nodiscard]] OPSPILOT_API result<lbfgs_report> minimise(
    const std::function<double(std::span<const double> w, std::span<double> gradient)>& objective, std::span<double> w,
    const lbfgs_options& options = {});
/// The same for large models: vectors in float32, inner products in double.
[[nodiscard]] OPSPILOT_API result<lbfgs_report> minimise(
    const std::function<double(std::span<const float> w, std::span<float> gradient)>& objective, std::span<float> w,
    const lbfgs_options& options = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/lbfgs-inl.hpp"
#endif
