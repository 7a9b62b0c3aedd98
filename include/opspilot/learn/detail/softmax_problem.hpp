/// \file
/// Internal: the one optimisation problem behind text classifiers and choice models.
///
/// A row has options; an option has up to `keys` slots; utility(option) = Σ slots s[slot] + Σ columns β · z(option), where
/// s = bias + Σ features W · value has one entry per slot. A classifier is the case of one key whose slots are the classes; its
/// dense task columns are features like any bucket. The outside option has the last slot for itself and no columns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/parallel.hpp"
#include "opspilot/learn/softmax.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot::detail {

inline constexpr std::uint32_t nothing = 0xFFFFFFFFU;

/// Everything to learn from, checked by the caller; views only.
struct softmax_input {
    std::size_t row_count = 0;
    std::size_t slot_count = 0;
    std::size_t dimension = 0;         // buckets
    csr_view x;                        // without rows when there are no buckets
    std::span<const float> row_dense;  // row_count × row_columns
    std::size_t row_columns = 0;
    std::span<const std::int64_t> option_offsets;  // empty: every row has all slots as options
    std::span<const std::uint32_t> slots;          // options × keys
    std::size_t keys = 1;
    bool outside = false;
    std::span<const float> option_dense;  // options × option_columns
    std::size_t option_columns = 0;
    std::vector<std::uint32_t> chosen;  // per row, the outside option being the last; `nothing` = row is not for training
    std::span<const float> weights;     // per row; empty = 1
};

/// z = (x - centre) · scale; missing values become 0.
struct standardisation {
    std::vector<float> centre;
    std::vector<float> scale;
};
/// Means and inverse standard deviations (1 where a column does not vary); 0 and 1 when not `scaled`.
[[nodiscard]] standardisation standardise_rows(const softmax_input& in, std::span<const std::uint32_t> rows, bool scaled);
[[nodiscard]] standardisation standardise_options(const softmax_input& in, std::span<const std::uint32_t> rows, bool scaled);

/// Learned numbers in the units of the caller's columns, not yet quantised. `columns` of a classifier: row_columns × slots.
struct softmax_weights {
    sparse_weights::float_rows rows;
    std::vector<float> bias;
    std::vector<float> row_columns;     // row_columns × slots
    std::vector<float> option_columns;  // one per column
    std::vector<float> spread;          // per entry of `rows`: √Σ value² of its bucket over the training rows
    softmax_report report;
};

/// Trains. `dense_rows`, `dense_options`: how columns are standardised.
[[nodiscard]] result<softmax_weights> train_softmax(const softmax_input& in, std::span<const std::uint32_t> rows,
                                                    const standardisation& dense_rows, const standardisation& dense_options,
                                                    const softmax_options& options, const parallel_for& threads);

/// Keeps at most `most` entries, those with the largest |weight| · spread; ties fall together, so it may keep fewer.
void prune(softmax_weights& weights, std::size_t most);

/// Mean of the weights of several trainings; spreads are averaged too.
[[nodiscard]] softmax_weights average(std::span<const softmax_weights> parts);

/// Options the solvers cannot work with. Error: usage, "learn.options".
[[nodiscard]] status check_options(const softmax_options& options);
/// Offsets ascend from 0 to the ends of index and value, columns ascend below `dimension`, values are finite.
[[nodiscard]] status check_csr(const csr_view& x, std::size_t rows, std::size_t dimension);
[[nodiscard]] status check_offsets(std::span<const std::int64_t> offsets, std::size_t rows, std::size_t end,
                                   std::string_view what);
[[nodiscard]] status check_row_weights(std::span<const float> weights, std::size_t rows);
[[nodiscard]] status check_subset(std::span<const std::uint32_t> rows, std::size_t count);

/// Runs `body` for 0 … count-1 with the host's threads, or one after the other.
inline void run_all(const parallel_for& threads, std::size_t count, const std::function<void(std::size_t)>& body) {
    if (threads && count > 1) return threads(count, body);
    for (std::size_t i = 0; i < count; ++i) body(i);
}

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/detail/softmax_problem-inl.hpp"
#endif
