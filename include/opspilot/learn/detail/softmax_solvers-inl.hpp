#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "opspilot/learn/detail/softmax_objective.hpp"
#include "opspilot/learn/detail/softmax_solvers.hpp"
#include "opspilot/learn/lbfgs.hpp"

namespace opspilot::detail {

template <class Scalar>
result<std::vector<Scalar>> train_lbfgs(const softmax_rows& rows, const softmax_options& options, const parallel_for& threads,
                                        softmax_report& report) {
    softmax_objective<Scalar> objective(rows, options, threads);
    std::vector<Scalar> w(objective.parameters(), Scalar{0});
    lbfgs_options settings;
    settings.max_iterations = options.max_iterations;
    settings.memory = options.memory;
    settings.gradient_tolerance = options.tolerance;
    const std::function<double(std::span<const Scalar>, std::span<Scalar>)> call = std::ref(objective);
    OPSPILOT_TRY(const lbfgs_report found, minimise(call, std::span<Scalar>(w), settings));
    report.iterations = found.iterations;
    report.converged = found.reason == lbfgs_stop::gradient || found.reason == lbfgs_stop::decrease;
    double total = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) total += static_cast<double>(rows.weight(i));
    report.loss = total > 0 ? objective.data_loss / total : 0;
    return w;
}

/// One AdaGrad step on n weights: gradient = x · residual + decay · w. The square root and the division are those of IEEE 754
/// on every path.
inline void adagrad_step(float* w, float* square, const float* residual, std::size_t n, float x, float decay,
                         float rate) noexcept {
    std::size_t a = 0;
#if defined(__SSE2__)
    const __m128 xs = _mm_set1_ps(x), ds = _mm_set1_ps(decay), rs = _mm_set1_ps(rate);
    for (; a + 4 <= n; a += 4) {
        const __m128 weight = _mm_loadu_ps(w + a);
        const __m128 g = _mm_add_ps(_mm_mul_ps(xs, _mm_loadu_ps(residual + a)), _mm_mul_ps(ds, weight));
        const __m128 sum = _mm_add_ps(_mm_loadu_ps(square + a), _mm_mul_ps(g, g));
        _mm_storeu_ps(square + a, sum);
        _mm_storeu_ps(w + a, _mm_sub_ps(weight, _mm_div_ps(_mm_mul_ps(rs, g), _mm_sqrt_ps(sum))));
    }
#endif
    for (; a < n; ++a) {
        const float g = x * residual[a] + decay * w[a];
        square[a] += g * g;
        w[a] -= rate * g / std::sqrt(square[a]);
    }
}

OPSPILOT_INLINE std::vector<float> train_adagrad(const softmax_rows& rows, const softmax_options& options,
                                                 softmax_report& report) {
    struct feature {
        std::size_t at;
        float value, decay;
    };
    const std::size_t width = rows.in->slot_count, columns = rows.in->option_columns, count = rows.features();
    std::vector<float> w(count * width + columns, 0.0F);
    std::vector<float> square(w.size(), static_cast<float>(options.initial_square));
    const auto total = static_cast<double>(rows.size());
    const auto decay_of = [&](std::size_t f) {
        const double l2 = f == rows.bias_feature() ? options.bias_l2 : options.l2;
        return static_cast<float>(l2 / (f < rows.bucket.size() ? static_cast<double>(rows.count[f]) : total));
    };
    const auto column_decay = static_cast<float>(options.l2 / total);
    std::vector<std::uint32_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0U);
    std::mt19937_64 random(options.seed);
    std::vector<feature> present;
    const std::size_t padded = rows.most_active + 4;
    std::vector<float> sums(padded), residual(padded), own_w(padded), own_square(padded), slope(columns);
    std::vector<double> utility(rows.most_options);
    std::vector<std::uint32_t> lines;
    constexpr std::size_t ahead = 8;
    double weight_sum = 0;
    for (int epoch = 0; epoch < options.epochs; ++epoch) {
        for (std::size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random() % (i + 1)]);
        const double fall = options.epochs > 1 ? 0.9 * epoch / (options.epochs - 1) : 0.0;
        const auto rate = static_cast<float>(options.learning_rate * (1.0 - fall));
        double loss = 0;
        weight_sum = 0;
        for (const std::uint32_t i : order) {
            const std::span<const std::uint32_t> active = rows.active(i);
            const std::size_t n = active.size();
            present.clear();
            rows.each_feature(i, [&](std::size_t f, float value) { present.push_back({f * width, value, decay_of(f)}); });
            std::fill(sums.begin(), sums.end(), 0.0F);
            const bool together = n > 0 && active[n - 1] - active[0] + 1 == n;  // neighbouring slots need no gathering
            const std::size_t first = n > 0 ? active[0] : 0;
            // The weights of a large table are far away: ask for those of later features while the earlier ones are summed.
            lines.clear();
            for (const std::uint32_t slot : active)
                if (lines.empty() || slot >= lines.back() + 16) lines.push_back(slot);
            for (std::size_t p = 0; p < present.size(); ++p) {
                const feature& f = present[p];
                if (p + ahead < present.size())
                    for (const std::uint32_t line : lines) {
                        __builtin_prefetch(w.data() + present[p + ahead].at + line, 1);
                        __builtin_prefetch(square.data() + present[p + ahead].at + line, 1);
                    }
                const float* from = w.data() + f.at;
                if (together)
                    for (std::size_t a = 0; a < n; ++a) sums[a] += f.value * from[first + a];
                else
                    for (std::size_t a = 0; a < n; ++a) sums[a] += f.value * from[active[a]];
            }
            rows.utilities(i, sums.data(), w.data() + count * width, utility.data());
            const std::span<double> own(utility.data(), rows.options(i));
            loss += softmax_residual(own, rows.in->chosen[rows.row[i]], static_cast<double>(rows.weight(i)));
            weight_sum += static_cast<double>(rows.weight(i));
            std::fill(residual.begin(), residual.end(), 0.0F);
            rows.to_slots(i, own.data(), residual.data());
            for (const feature& f : present) {
                if (together) {
                    adagrad_step(w.data() + f.at + first, square.data() + f.at + first, residual.data(), n, f.value, f.decay,
                                 rate);
                    continue;
                }
                float* to = w.data() + f.at;
                float* to_square = square.data() + f.at;
                for (std::size_t a = 0; a < n; ++a) {
                    own_w[a] = to[active[a]];
                    own_square[a] = to_square[active[a]];
                }
                adagrad_step(own_w.data(), own_square.data(), residual.data(), n, f.value, f.decay, rate);
                for (std::size_t a = 0; a < n; ++a) {
                    to[active[a]] = own_w[a];
                    to_square[active[a]] = own_square[a];
                }
            }
            if (columns == 0) continue;
            std::fill(slope.begin(), slope.end(), 0.0F);
            for (std::size_t o = 0; o < own.size(); ++o)
                if (rows.inside(i, o))
                    for (std::size_t j = 0; j < columns; ++j) slope[j] += static_cast<float>(own[o]) * rows.option_dense(i, o, j);
            adagrad_step(w.data() + count * width, square.data() + count * width, slope.data(), columns, 1.0F, column_decay,
                         rate);
        }
        report.loss = weight_sum > 0 ? loss / weight_sum : 0;
        report.iterations = epoch + 1;
    }
    return w;
}

}  // namespace opspilot::detail
