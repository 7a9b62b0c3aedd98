#pragma once

#include <fmt/format.h>

#include <bit>
#include <numeric>

#include "opspilot/base/math.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"
#include "opspilot/learn/detail/softmax_rows.hpp"
#include "opspilot/learn/detail/softmax_solvers.hpp"

namespace opspilot::detail {

OPSPILOT_INLINE softmax_rows::softmax_rows(const softmax_input& input, std::span<const std::uint32_t> subset,
                                           const standardisation& rows_scale, const standardisation& options_scale,
                                           std::uint32_t min_count)
    : in(&input), row_scale(&rows_scale), option_scale(&options_scale) {
    for (const std::uint32_t r : subset)
        if (input.chosen[r] != nothing) row.push_back(r);

    // Features: buckets that enough of the rows have.
    std::vector<std::uint32_t> seen(input.dimension, 0);
    for (const std::uint32_t r : row)
        if (input.x.rows() > 0)
            for (const std::uint32_t b : input.x.row(r).index) ++seen[b];
    feature_of.assign(input.dimension, nothing);
    for (std::size_t b = 0; b < input.dimension; ++b) {
        if (seen[b] == 0 || seen[b] < min_count) continue;
        feature_of[b] = static_cast<std::uint32_t>(bucket.size());
        bucket.push_back(static_cast<std::uint32_t>(b));
        count.push_back(seen[b]);
    }
    square.assign(bucket.size(), 0.0);
    for (std::size_t i = 0; i < row.size() && input.x.rows() > 0; ++i) {
        const sparse_view view = input.x.row(row[i]);
        for (std::size_t j = 0; j < view.index.size(); ++j)
            if (const std::uint32_t k = feature_of[view.index[j]]; k != nothing)
                square[k] += static_cast<double>(view.value[j]) * static_cast<double>(view.value[j]);
    }

    // Options and the slots they touch.
    full = input.option_offsets.empty();
    if (full) {
        all.resize(input.slot_count);
        std::iota(all.begin(), all.end(), 0U);
        most_active = most_options = input.slot_count;
        return;
    }
    std::vector<std::uint32_t> place(input.slot_count, nothing);
    active_start.push_back(0);
    option_start.push_back(0);
    for (const std::uint32_t r : row) {
        const auto first = static_cast<std::size_t>(input.option_offsets[r]),
                   last = static_cast<std::size_t>(input.option_offsets[r + 1]);
        const std::size_t start = active_slot.size();
        const std::span<const std::uint32_t> own = input.slots.subspan(first * input.keys, (last - first) * input.keys);
        for (const std::uint32_t s : own)
            if (s != nothing && place[s] == nothing) {
                place[s] = 0;
                active_slot.push_back(s);
            }
        if (input.outside && input.keys > 0) active_slot.push_back(static_cast<std::uint32_t>(input.slot_count - 1));
        std::sort(active_slot.begin() + static_cast<std::ptrdiff_t>(start), active_slot.end());
        for (std::size_t a = start; a < active_slot.size(); ++a) place[active_slot[a]] = static_cast<std::uint32_t>(a - start);
        for (const std::uint32_t s : own) position.push_back(s == nothing ? nothing : place[s]);
        if (input.outside)
            for (std::size_t k = 0; k < input.keys; ++k) position.push_back(k == 0 ? place[input.slot_count - 1] : nothing);
        for (std::size_t a = start; a < active_slot.size(); ++a) place[active_slot[a]] = nothing;
        active_start.push_back(active_slot.size());
        option_start.push_back(option_start.back() + (last - first) + (input.outside ? 1 : 0));
        most_active = std::max(most_active, active_slot.size() - start);
        most_options = std::max(most_options, option_start.back() - option_start[option_start.size() - 2]);
    }
}

OPSPILOT_INLINE double softmax_residual(std::span<double> utilities, std::size_t chosen, double weight) noexcept {
    double largest = utilities[0];
    for (const double u : utilities) largest = std::max(largest, u);
    const double own = utilities[chosen] - largest;
    double sum = 0;
    for (double& u : utilities) sum += u = portable_exp(u - largest);
    for (double& u : utilities) u *= weight / sum;
    utilities[chosen] -= weight;
    return weight * (portable_log(sum) - own);
}

/// Mean and inverse standard deviation of columns of a row-major matrix over the given rows, or 0 and 1 when not `scaled`;
/// missing values are left out.
inline standardisation standardise_columns(std::span<const float> values, std::size_t columns,
                                           const std::vector<std::pair<std::size_t, std::size_t>>& ranges, bool scaled) {
    standardisation out;
    for (std::size_t j = 0; j < columns; ++j) {
        double sum = 0, square = 0, n = 0;
        for (const auto& [first, last] : ranges)
            for (std::size_t i = first; i < last; ++i)
                if (const float x = values[i * columns + j]; std::isfinite(x)) {
                    sum += static_cast<double>(x);
                    n += 1;
                }
        const float centre = static_cast<float>(scaled && n > 0 ? sum / n : 0.0);
        for (const auto& [first, last] : ranges)
            for (std::size_t i = first; i < last; ++i)
                if (const float x = values[i * columns + j]; std::isfinite(x)) {
                    const double d = static_cast<double>(x) - static_cast<double>(centre);
                    square += d * d;
                }
        const double deviation = n > 0 ? std::sqrt(square / n) : 0.0;
        out.centre.push_back(centre);
        out.scale.push_back(scaled && deviation > 1e-12 * (1.0 + std::abs(static_cast<double>(centre)))
                                ? static_cast<float>(1.0 / deviation)
                                : 1.0F);
    }
    return out;
}

OPSPILOT_INLINE standardisation standardise_rows(const softmax_input& in, std::span<const std::uint32_t> rows, bool scaled) {
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    for (const std::uint32_t r : rows) ranges.emplace_back(r, r + 1);
    return standardise_columns(in.row_dense, in.row_columns, ranges, scaled);
}

OPSPILOT_INLINE standardisation standardise_options(const softmax_input& in, std::span<const std::uint32_t> rows, bool scaled) {
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    for (const std::uint32_t r : rows)
        if (in.option_columns > 0)
            ranges.emplace_back(static_cast<std::size_t>(in.option_offsets[r]),
                                static_cast<std::size_t>(in.option_offsets[r + 1]));
    return standardise_columns(in.option_dense, in.option_columns, ranges, scaled);
}

OPSPILOT_INLINE result<softmax_weights> train_softmax(const softmax_input& in, std::span<const std::uint32_t> rows,
                                                      const standardisation& dense_rows, const standardisation& dense_options,
                                                      const softmax_options& options, const parallel_for& threads) {
    OPSPILOT_CHECK(check_options(options));
    const softmax_rows prepared(in, rows, dense_rows, dense_options, options.min_count);
    if (prepared.size() == 0) return error{error_kind::usage, "learn.shape", "no rows to learn from", "", ""};
    const std::size_t width = in.slot_count;
    const std::size_t parameters = prepared.features() * width + in.option_columns;
    constexpr std::size_t small = std::size_t{1} << 20;  // below this, double costs nothing and reaches the exact minimum
    softmax_weights out;
    std::vector<float> w;
    if (options.solver == softmax_solver::adagrad) {
        w = train_adagrad(prepared, options, out.report);
    } else if (parameters <= small) {
        OPSPILOT_TRY(const std::vector<double> exact, train_lbfgs<double>(prepared, options, threads, out.report));
        w.assign(exact.begin(), exact.end());
    } else {
        OPSPILOT_TRY(w, train_lbfgs<float>(prepared, options, threads, out.report));
    }
    out.report.rows = prepared.size();
    out.report.buckets = prepared.bucket.size();

    out.rows.start.push_back(0);
    for (std::size_t f = 0; f < prepared.bucket.size(); ++f) {
        const auto spread = static_cast<float>(std::sqrt(prepared.square[f]));
        for (std::size_t s = 0; s < width; ++s) {
            if (w[f * width + s] == 0.0F) continue;
            out.rows.output.push_back(static_cast<std::uint16_t>(s));
            out.rows.weight.push_back(w[f * width + s]);
            out.spread.push_back(spread);
        }
        out.rows.bucket.push_back(prepared.bucket[f]);
        out.rows.start.push_back(out.rows.weight.size());
    }
    for (std::size_t j = 0; j < in.row_columns; ++j)
        for (std::size_t s = 0; s < width; ++s)
            out.row_columns.push_back(w[(prepared.bucket.size() + j) * width + s] * dense_rows.scale[j]);
    for (std::size_t s = 0; s < width; ++s) out.bias.push_back(w[prepared.bias_feature() * width + s]);
    for (std::size_t j = 0; j < in.option_columns; ++j)
        out.option_columns.push_back(w[prepared.features() * width + j] * dense_options.scale[j]);
    return out;
}

OPSPILOT_INLINE void prune(softmax_weights& weights, std::size_t most) {
    sparse_weights::float_rows& rows = weights.rows;
    const std::size_t entries = rows.weight.size();
    if (most == 0 || entries <= most) return;
    // Importance as an integer: non-negative floats sort like their bits. A histogram over the upper bits finds the cut.
    const auto importance = [&](std::size_t e) {
        return std::bit_cast<std::uint32_t>(std::abs(rows.weight[e]) * weights.spread[e]) >> 12;
    };
    std::vector<std::size_t> histogram(std::size_t{1} << 20, 0);
    for (std::size_t e = 0; e < entries; ++e) ++histogram[importance(e)];
    std::size_t kept = 0;
    std::uint32_t cut = static_cast<std::uint32_t>(histogram.size());
    while (cut > 0 && kept + histogram[cut - 1] <= most) kept += histogram[--cut];
    sparse_weights::float_rows out;
    std::vector<float> spread;
    out.start.push_back(0);
    for (std::size_t r = 0; r < rows.bucket.size(); ++r) {
        for (std::size_t e = rows.start[r]; e < rows.start[r + 1]; ++e) {
            if (importance(e) < cut) continue;
            out.output.push_back(rows.output[e]);
            out.weight.push_back(rows.weight[e]);
            spread.push_back(weights.spread[e]);
        }
        if (out.weight.size() == out.start.back()) continue;
        out.bucket.push_back(rows.bucket[r]);
        out.start.push_back(out.weight.size());
    }
    rows = std::move(out);
    weights.spread = std::move(spread);
}

OPSPILOT_INLINE softmax_weights average(std::span<const softmax_weights> parts) {
    const float share = 1.0F / static_cast<float>(parts.size());
    softmax_weights out;
    const auto mean = [&](auto member) {
        std::vector<float> sum(((parts[0]).*member).size(), 0.0F);
        for (const softmax_weights& p : parts)
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += (p.*member)[i] * share;
        return sum;
    };
    out.bias = mean(&softmax_weights::bias);
    out.row_columns = mean(&softmax_weights::row_columns);
    out.option_columns = mean(&softmax_weights::option_columns);
    // Merge the rows: each part's rows ascend, and so do the outputs within a row.
    std::vector<std::size_t> at(parts.size(), 0);
    std::vector<float> sum(out.bias.size(), 0.0F);
    out.rows.start.push_back(0);
    for (;;) {
        std::uint32_t next = nothing;
        for (std::size_t p = 0; p < parts.size(); ++p)
            if (at[p] < parts[p].rows.bucket.size()) next = std::min(next, parts[p].rows.bucket[at[p]]);
        if (next == nothing) return out;
        float spread = 0;
        for (std::size_t p = 0; p < parts.size(); ++p) {
            const sparse_weights::float_rows& rows = parts[p].rows;
            if (at[p] >= rows.bucket.size() || rows.bucket[at[p]] != next) continue;
            const std::size_t r = at[p]++;
            for (std::size_t e = rows.start[r]; e < rows.start[r + 1]; ++e) sum[rows.output[e]] += rows.weight[e] * share;
            if (rows.start[r] < rows.start[r + 1]) spread += parts[p].spread[rows.start[r]] * share;
        }
        out.rows.bucket.push_back(next);
        for (std::size_t s = 0; s < sum.size(); ++s) {
            if (sum[s] == 0.0F) continue;
            out.rows.output.push_back(static_cast<std::uint16_t>(s));
            out.rows.weight.push_back(sum[s]);
            out.spread.push_back(spread);
            sum[s] = 0.0F;
        }
        out.rows.start.push_back(out.rows.weight.size());
    }
}

inline error learn_problem(std::string_view code, std::string message, std::string where = {}) {
    return {error_kind::usage, code, std::move(message), std::move(where), ""};
}

OPSPILOT_INLINE status check_options(const softmax_options& o) {
    const auto sensible = [](double v) { return std::isfinite(v) && v >= 0; };
    if (!sensible(o.l2) || !sensible(o.bias_l2))
        return learn_problem("learn.options", fmt::format("l2 {} and bias_l2 {} must not be negative", o.l2, o.bias_l2));
    if (o.solver == softmax_solver::adagrad && (o.epochs < 1 || !sensible(o.learning_rate) || !(o.learning_rate > 0) ||
                                                !(o.initial_square > 0) || !sensible(o.initial_square)))
        return learn_problem("learn.options", fmt::format("epochs {}, learning_rate {} and initial_square {} must be positive",
                                                          o.epochs, o.learning_rate, o.initial_square));
    if (o.max_iterations < 0 || o.memory < 1 || !sensible(o.tolerance))
        return learn_problem("learn.options", fmt::format("max_iterations {}, memory {}, tolerance {}: out of range",
                                                          o.max_iterations, o.memory, o.tolerance));
    return {};
}

OPSPILOT_INLINE status check_offsets(std::span<const std::int64_t> offsets, std::size_t rows, std::size_t end,
                                     std::string_view what) {
    if (offsets.size() != rows + 1)
        return learn_problem("learn.shape", fmt::format("{} offsets of {}, {} are needed", offsets.size(), what, rows + 1));
    if (offsets[0] != 0 || offsets[rows] < 0 || static_cast<std::size_t>(offsets[rows]) != end)
        return learn_problem("learn.shape", fmt::format("offsets of {} run from {} to {}, not from 0 to {}", what, offsets[0],
                                                        offsets[rows], end));
    for (std::size_t i = 0; i < rows; ++i)
        if (offsets[i + 1] < offsets[i])
            return learn_problem("learn.shape", fmt::format("offsets of {} fall", what), fmt::format("row {}", i));
    return {};
}

OPSPILOT_INLINE status check_csr(const csr_view& x, std::size_t rows, std::size_t dimension) {
    if (x.index.size() != x.value.size())
        return learn_problem("learn.shape", fmt::format("{} indices and {} values", x.index.size(), x.value.size()));
    OPSPILOT_CHECK(check_offsets(x.offsets, rows, x.index.size(), "sparse rows"));
    for (std::size_t i = 0; i < rows; ++i) {
        const sparse_view view = x.row(i);
        for (std::size_t j = 0; j < view.index.size(); ++j) {
            if (view.index[j] >= dimension || (j > 0 && view.index[j] <= view.index[j - 1]))
                return learn_problem(
                    "learn.shape",
                    fmt::format("column {} of a sparse row: columns must ascend below {}", view.index[j], dimension),
                    fmt::format("row {}", i));
            if (!std::isfinite(view.value[j]))
                return learn_problem("learn.value", fmt::format("the value of column {} is not finite", view.index[j]),
                                     fmt::format("row {}", i));
        }
    }
    return {};
}

OPSPILOT_INLINE status check_row_weights(std::span<const float> weights, std::size_t rows) {
    if (weights.empty()) return {};
    if (weights.size() != rows) return learn_problem("learn.shape", fmt::format("{} weights for {} rows", weights.size(), rows));
    for (std::size_t i = 0; i < rows; ++i)
        if (!std::isfinite(weights[i]) || weights[i] < 0.0F)
            return learn_problem("learn.value", fmt::format("weight {}: must be finite and not negative", weights[i]),
                                 fmt::format("row {}", i));
    return {};
}

OPSPILOT_INLINE status check_subset(std::span<const std::uint32_t> rows, std::size_t count) {
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i] >= count)
            return learn_problem("learn.shape", fmt::format("row {} of {} was asked for", rows[i], count),
                                 fmt::format("place {}", i));
    return {};
}

}  // namespace opspilot::detail
