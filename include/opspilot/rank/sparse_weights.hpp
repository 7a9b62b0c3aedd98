/// \file
/// Weights of hashed sparse vectors as a small table: one int8 row per bucket that training saw, one entry per output.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/features/plan.hpp"

namespace opspilot {

/// What a feature plan offers to a model: names and kinds of the dense columns, the sparse blocks, and the fingerprint.
/// Views only; fill it from a `feature_plan`.
struct feature_names {
    std::span<const std::string> columns;
    std::span<const scope> scopes;  ///< one per column
    std::span<const sparse_block> blocks;
    std::string_view fingerprint;  ///< "" = do not compare
};

/// Where a model finds its inputs in a `feature_matrix`.
struct feature_binding {
    std::vector<std::uint32_t> columns;  ///< position of each of the model's columns
    std::vector<std::uint32_t> blocks;   ///< position of each of the model's blocks
};

/// Looks up a model's columns and blocks. Errors (kind features): "features.unknown_column", "features.unknown_block" with the
/// nearest name, "features.dimension" when the bucket counts differ, "features.fingerprint" when both fingerprints are given
/// and differ.
[[nodiscard]] OPSPILOT_API result<feature_binding> bind_features(const feature_names& offered,
                                                                 std::span<const std::string> columns,
                                                                 std::span<const sparse_block> blocks,
                                                                 std::string_view fingerprint);

/// A sparse matrix (buckets × outputs) with int8 entries and one float scale per row. Immutable once made; reading is
/// thread-safe and allocates nothing. `add` performs, for each known bucket in the order blocks and indices come,
/// `sums[output] += (value * scale) * entry`, each step rounded to float32: the same bits on every machine.
class OPSPILOT_API sparse_weights {
public:
    sparse_weights() = default;

    /// Float weights before quantisation, as compressed rows.
    struct float_rows {
        std::vector<std::uint32_t> bucket;  ///< strictly ascending, counted through all blocks one after the other
        std::vector<std::size_t> start;     ///< rows + 1; empty when there are no rows
        std::vector<std::uint16_t> output;  ///< strictly ascending within a row
        std::vector<float> weight;
    };
    /// Quantises: weights of a row are rounded to about 1/127 of its largest; zero ones are not stored, and neither are rows
    /// without entries. Errors (kind model): "model.shape", "model.not_finite".
    [[nodiscard]] static result<sparse_weights> quantise(std::span<const sparse_block> blocks, std::size_t outputs,
                                                         const float_rows& rows);

    [[nodiscard]] std::size_t outputs() const noexcept { return outputs_; }
    [[nodiscard]] std::size_t rows() const noexcept { return scale_.size(); }
    [[nodiscard]] std::size_t entries() const noexcept { return entry_.size(); }
    /// Buckets of all blocks together.
    [[nodiscard]] std::size_t dimension() const noexcept { return dimension_; }

    /// Adds the products of one task's sparse vectors, one view per block in the order of the model's blocks.
    /// `sums.size() >= outputs()`. Buckets without a row, and indices beyond a block, count nothing.
    void add(std::span<const sparse_view> blocks, std::span<float> sums) const noexcept;
    /// Adds one row of a CSR matrix whose columns run through all blocks one after the other (training data).
    void add(sparse_view row, std::span<float> sums) const noexcept;

    /// Appends the rows, little-endian. Per row: the bucket as a LEB128 difference to the previous one (the first to 0), the
    /// scale as the upper 16 bits of a float32, the number of entries as LEB128, which outputs they belong to, and the entries
    /// (i8, neither 0 nor -128). Outputs are a bit mask of ⌈outputs/8⌉ bytes, or ascending u8 (u16 beyond 256 outputs) where
    /// that is shorter.
    void write(std::string& out) const;
    /// Reads what `write` wrote from the front of `bytes` and drops it there. `rows` and `entries` come from the model's header
    /// and are checked against the bytes left before anything is allocated. Errors (kind model), with "byte N" counted from
    /// `offset`: "model.truncated", "model.rows", "model.not_finite", "model.entries", "limit.entries".
    [[nodiscard]] static result<sparse_weights> read(std::string_view& bytes, std::size_t offset,
                                                     std::span<const sparse_block> blocks, std::size_t outputs, std::size_t rows,
                                                     std::size_t entries);

private:
    void index_rows(std::span<const sparse_block> blocks);
    void add_row(std::size_t bucket, float value, float* sums) const noexcept;

    std::size_t outputs_ = 0;
    std::size_t dimension_ = 0;
    std::vector<std::size_t> block_start_;  // first bucket of each block, and the end
    std::vector<std::uint64_t> present_;    // one bit per bucket
    std::vector<std::uint32_t> rank_;       // rows before each word of present_
    std::vector<std::uint32_t> bucket_;     // per row, ascending
    std::vector<float> scale_;              // per row
    std::vector<std::uint32_t> start_;      // rows + 1 offsets into output_ and entry_
    std::vector<std::uint16_t> output_;     // which output an entry belongs to
    std::vector<std::int8_t> entry_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/sparse_weights-inl.hpp"
#endif
