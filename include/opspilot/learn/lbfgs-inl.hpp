#pragma once

#include <fmt/format.h>

#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "opspilot/learn/lbfgs.hpp"

namespace opspilot {

namespace detail {

template <class Scalar>
using dense_vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

/// Inner product in double, in blocks, so that a float32 vector of millions loses nothing.
template <class Scalar>
double inner(const dense_vector<Scalar>& a, const dense_vector<Scalar>& b) {
    if constexpr (std::is_same_v<Scalar, double>) return a.dot(b);
    double sum = 0;
    for (Eigen::Index i = 0; i < a.size(); i += 4096) {
        const Eigen::Index n = std::min<Eigen::Index>(4096, a.size() - i);
        sum += a.segment(i, n).template cast<double>().dot(b.segment(i, n).template cast<double>());
    }
    return sum;
}

/// The last pairs of steps and gradient differences, oldest first in a ring.
template <class Scalar>
struct lbfgs_history {
    struct pair {
        dense_vector<Scalar> step, change;
        double inverse = 0;  // 1 / (step · change)
    };
    std::vector<pair> pairs;
    std::size_t first = 0;
    std::size_t most = 0;

    [[nodiscard]] pair& at(std::size_t age) { return pairs[(first + age) % pairs.size()]; }

    void push(const dense_vector<Scalar>& step, const dense_vector<Scalar>& change, double curvature) {
        if (pairs.size() < most) {
            pairs.push_back({step, change, 1.0 / curvature});
            return;
        }
        pair& oldest = pairs[first];
        oldest.step = step;
        oldest.change = change;
        oldest.inverse = 1.0 / curvature;
        first = (first + 1) % pairs.size();
    }

    /// direction = -H · gradient by the two-loop recursion.
    void direction(const dense_vector<Scalar>& gradient, dense_vector<Scalar>& out) {
        out = -gradient;
        if (pairs.empty()) return;
        std::vector<double> alpha(pairs.size());
        for (std::size_t i = pairs.size(); i-- > 0;) {
            alpha[i] = at(i).inverse * inner<Scalar>(at(i).step, out);
            out -= static_cast<Scalar>(alpha[i]) * at(i).change;
        }
        pair& last = at(pairs.size() - 1);
        out *= static_cast<Scalar>(1.0 / (last.inverse * inner<Scalar>(last.change, last.change)));
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            const double beta = at(i).inverse * inner<Scalar>(at(i).change, out);
            out += static_cast<Scalar>(alpha[i] - beta) * at(i).step;
        }
    }
};

template <class Scalar>
result<lbfgs_report> minimise_smooth(const std::function<double(std::span<const Scalar>, std::span<Scalar>)>& objective,
                                     std::span<Scalar> w, const lbfgs_options& options) {
    constexpr double sufficient = 1e-4, curvature = 0.9;
    if (options.max_iterations < 0 || options.memory < 1 || options.max_line_search < 1)
        return error{error_kind::usage, "learn.options",
                     fmt::format("max_iterations {}, memory {}, max_line_search {}: must be at least 0, 1 and 1",
                                 options.max_iterations, options.memory, options.max_line_search),
                     "", ""};
    const auto n = static_cast<Eigen::Index>(w.size());
    Eigen::Map<dense_vector<Scalar>> position(w.data(), n);
    dense_vector<Scalar> x = position, gradient(n), trial(n), trial_gradient(n), direction(n);
    const auto evaluate = [&](const dense_vector<Scalar>& at, dense_vector<Scalar>& slope) {
        return objective({at.data(), w.size()}, {slope.data(), w.size()});
    };
    const auto steepness = [n](const dense_vector<Scalar>& g) {
        return n == 0 ? 0.0 : static_cast<double>(g.cwiseAbs().maxCoeff());
    };
    lbfgs_history<Scalar> history;
    history.most = static_cast<std::size_t>(options.memory);
    lbfgs_report report;
    report.loss = evaluate(x, gradient);
    report.evaluations = 1;
    report.gradient = steepness(gradient);
    if (!std::isfinite(report.loss) || !std::isfinite(report.gradient))
        return error{error_kind::model, "learn.not_finite", "the loss or its gradient is not finite at the start", "",
                     "look for extreme values in the data"};

    for (;;) {
        const auto small = [&] { return report.gradient <= options.gradient_tolerance * std::max(1.0, std::abs(report.loss)); };
        if (small()) {
            report.reason = lbfgs_stop::gradient;
            break;
        }
        if (report.iterations >= options.max_iterations) break;
        history.direction(gradient, direction);
        double slope = inner<Scalar>(gradient, direction);
        if (!(slope < 0)) {  // rounding spoilt the memory: steepest descent
            history.pairs.clear();
            history.first = 0;
            direction = -gradient;
            slope = inner<Scalar>(gradient, direction);
        }
        double low = 0, high = std::numeric_limits<double>::infinity();
        double step = history.pairs.empty() ? std::min(1.0, 1.0 / std::sqrt(-slope)) : 1.0;
        double loss = 0;
        bool found = false;
        for (int tries = 0; tries < options.max_line_search && !found; ++tries) {
            trial = x + static_cast<Scalar>(step) * direction;
            loss = evaluate(trial, trial_gradient);
            ++report.evaluations;
            if (!(loss <= report.loss + sufficient * step * slope))
                high = step;  // also when not a number
            else if (inner<Scalar>(trial_gradient, direction) < curvature * slope)
                low = step;
            else
                found = true;
            if (!found) step = std::isinf(high) ? 2 * low : (low + high) / 2;
        }
        // A step that lowers the loss serves even where the slope condition was out of reach.
        if (!found && !(loss < report.loss)) {
            if (!history.pairs.empty()) {  // once more without memory
                history.pairs.clear();
                history.first = 0;
                continue;
            }
            report.reason = lbfgs_stop::line_search;
            break;
        }
        direction = trial - x;
        gradient = trial_gradient - gradient;
        const double product = inner<Scalar>(direction, gradient);
        if (product > 1e-10 * inner<Scalar>(gradient, gradient) * std::numeric_limits<Scalar>::epsilon())
            history.push(direction, gradient, product);
        std::swap(x, trial);
        std::swap(gradient, trial_gradient);
        const double fall = report.loss - loss;
        report.loss = loss;
        report.gradient = steepness(gradient);
        ++report.iterations;
        if (!small() && fall <= options.decrease_tolerance * std::abs(loss)) {
            report.reason = lbfgs_stop::decrease;
            break;
        }
    }
    position = x;
    return report;
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(lbfgs_stop why) noexcept {
    switch (why) {
        case lbfgs_stop::gradient: return "gradient";
        case lbfgs_stop::decrease: return "decrease";
        case lbfgs_stop::iterations: return "iterations";
        case lbfgs_stop::line_search: return "line_search";
    }
    return "";
}

OPSPILOT_INLINE result<lbfgs_report> minimise(const std::function<double(std::span<const double>, std::span<double>)>& objective,
                                              std::span<double> w, const lbfgs_options& options) {
    return detail::minimise_smooth<double>(objective, w, options);
}

OPSPILOT_INLINE result<lbfgs_report> minimise(const std::function<double(std::span<const float>, std::span<float>)>& objective,
                                              std::span<float> w, const lbfgs_options& options) {
    return detail::minimise_smooth<float>(objective, w, options);
}

}  // namespace opspilot
