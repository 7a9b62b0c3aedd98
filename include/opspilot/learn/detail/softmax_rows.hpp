/// \file
/// Internal: training rows made ready for many passes: which slots each row touches and which bucket has which weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/learn/detail/softmax_problem.hpp"

namespace opspilot::detail {

struct softmax_rows {
    const softmax_input* in = nullptr;
    const standardisation* row_scale = nullptr;
    const standardisation* option_scale = nullptr;
    std::vector<std::uint32_t> row;          // the training rows
    std::vector<std::uint32_t> feature_of;   // bucket -> feature, or nothing
    std::vector<std::uint32_t> bucket;       // feature -> bucket, ascending
    std::vector<std::uint32_t> count;        // per feature: rows that have it
    std::vector<double> square;              // per feature: Σ value²
    bool full = false;                       // every row has all slots, slot = option
    std::vector<std::uint32_t> all;          // 0 … slots-1, the active slots of a full row
    std::vector<std::size_t> active_start;   // per row, otherwise
    std::vector<std::uint32_t> active_slot;  // ascending within a row
    std::vector<std::size_t> option_start;   // per row: first option (the outside one counted)
    std::vector<std::uint32_t> position;     // options × keys: place in the row's active slots, or nothing
    std::size_t most_active = 0;
    std::size_t most_options = 0;

    softmax_rows(const softmax_input& input, std::span<const std::uint32_t> subset, const standardisation& rows_scale,
                 const standardisation& options_scale, std::uint32_t min_count);

    [[nodiscard]] std::size_t size() const noexcept { return row.size(); }
    /// Buckets with weights, then dense task columns, then the constant 1 of the bias.
    [[nodiscard]] std::size_t features() const noexcept { return bucket.size() + in->row_columns + 1; }
    [[nodiscard]] std::size_t bias_feature() const noexcept { return features() - 1; }
    [[nodiscard]] std::span<const std::uint32_t> active(std::size_t i) const noexcept {
        if (full) return all;
        return std::span(active_slot).subspan(active_start[i], active_start[i + 1] - active_start[i]);
    }
    [[nodiscard]] std::size_t options(std::size_t i) const noexcept {
        return full ? in->slot_count : option_start[i + 1] - option_start[i];
    }
    [[nodiscard]] float weight(std::size_t i) const noexcept { return in->weights.empty() ? 1.0F : in->weights[row[i]]; }
    [[nodiscard]] float dense(std::size_t i, std::size_t j) const noexcept {
        const float x = in->row_dense[std::size_t{row[i]} * in->row_columns + j];
        return std::isfinite(x) ? (x - row_scale->centre[j]) * row_scale->scale[j] : 0.0F;
    }
    /// Whether option o of row i has dense columns, i.e. is not the outside option.
    [[nodiscard]] bool inside(std::size_t i, std::size_t o) const noexcept { return !in->outside || o + 1 < options(i); }
    [[nodiscard]] float option_dense(std::size_t i, std::size_t o, std::size_t j) const noexcept {
        const std::size_t first = static_cast<std::size_t>(in->option_offsets[row[i]]);
        const float x = in->option_dense[(first + o) * in->option_columns + j];
        return std::isfinite(x) ? (x - option_scale->centre[j]) * option_scale->scale[j] : 0.0F;
    }
    /// Calls f(feature, value) for each feature of row i, the bias last.
    template <class F>
    void each_feature(std::size_t i, F&& f) const {
        if (in->x.rows() > 0) {
            const sparse_view view = in->x.row(row[i]);
            for (std::size_t j = 0; j < view.index.size(); ++j)
                if (const std::uint32_t k = feature_of[view.index[j]]; k != nothing) f(std::size_t{k}, view.value[j]);
        }
        for (std::size_t j = 0; j < in->row_columns; ++j) f(bucket.size() + j, dense(i, j));
        f(bias_feature(), 1.0F);
    }
    /// Utilities of all options of row i into `out`, from the sums of its active slots and the column weights.
    template <class Scalar>
    void utilities(std::size_t i, const Scalar* sums, const Scalar* beta, double* out) const {
        const std::size_t n = options(i);
        for (std::size_t o = 0; o < n; ++o) {
            double u = 0;
            if (full) {
                u = static_cast<double>(sums[o]);
            } else {
                const std::uint32_t* at = position.data() + (option_start[i] + o) * in->keys;
                for (std::size_t k = 0; k < in->keys; ++k)
                    if (at[k] != nothing) u += static_cast<double>(sums[at[k]]);
            }
            if (in->option_columns > 0 && inside(i, o))
                for (std::size_t j = 0; j < in->option_columns; ++j)
                    u += static_cast<double>(beta[j]) * static_cast<double>(option_dense(i, o, j));
            out[o] = u;
        }
    }
    /// Adds the residuals of options to those of the active slots.
    template <class Scalar>
    void to_slots(std::size_t i, const double* residual, Scalar* out) const {
        const std::size_t n = options(i);
        for (std::size_t o = 0; o < n; ++o) {
            if (full) {
                out[o] += static_cast<Scalar>(residual[o]);
                continue;
            }
            const std::uint32_t* at = position.data() + (option_start[i] + o) * in->keys;
            for (std::size_t k = 0; k < in->keys; ++k)
                if (at[k] != nothing) out[at[k]] += static_cast<Scalar>(residual[o]);
        }
    }
};

/// Turns utilities into weight · (p - chosen) in place; returns weight · -log p(chosen).
double softmax_residual(std::span<double> utilities, std::size_t chosen, double weight) noexcept;

}  // namespace opspilot::detail
