/// \file
/// What transforms produce and rankers read: named float columns over candidates, and named sparse vectors of the task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// What a column depends on. Task columns hold one value for all candidates; action columns were computed for the whole
/// catalogue when the bundle was compiled; pair columns are computed per decision.
enum class scope : std::uint8_t { task, action, pair };

/// A hashed sparse vector: strictly ascending indices below the block's dimension.
struct sparse_view {
    std::span<const std::uint32_t> index;
    std::span<const float> value;
};

/// Dense columns of float32 over the candidates of one decision, plus sparse blocks of the task. Missing is NaN.
/// Columns are contiguous, 64-byte aligned and padded to a multiple of 16 rows with zeros, so that kernels need no tail.
/// Keeps its memory between decisions; not thread-safe.
class OPSPILOT_API feature_matrix {
public:
    feature_matrix() = default;
    feature_matrix(const feature_matrix& other);  // the columns of a copy are aligned within its own memory
    feature_matrix& operator=(const feature_matrix& other);
    feature_matrix(feature_matrix&&) noexcept = default;
    feature_matrix& operator=(feature_matrix&&) noexcept = default;
    ~feature_matrix() = default;

    /// Sets the shape; contents are undefined until written.
    void resize(std::size_t rows, std::span<const scope> scopes, std::size_t sparse_blocks);

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return scopes_.size(); }
    [[nodiscard]] scope scope_of(std::size_t j) const noexcept { return scopes_[j]; }
    /// Column j for all candidates (task values repeated, action values gathered).
    [[nodiscard]] const float* column(std::size_t j) const noexcept { return data_ + j * stride_; }
    [[nodiscard]] float* column(std::size_t j) noexcept { return data_ + j * stride_; }
    /// Floats between the starts of neighbouring columns.
    [[nodiscard]] std::size_t stride() const noexcept { return stride_; }
    [[nodiscard]] float at(std::size_t row, std::size_t j) const noexcept { return column(j)[row]; }

    [[nodiscard]] std::size_t sparse_blocks() const noexcept { return sparse_.size(); }
    [[nodiscard]] sparse_view sparse(std::size_t block) const noexcept { return {sparse_[block].index, sparse_[block].value}; }

    struct sparse_storage {
        std::vector<std::uint32_t> index;
        std::vector<float> value;
    };
    [[nodiscard]] sparse_storage& sparse_for_writing(std::size_t block) noexcept { return sparse_[block]; }

private:
    std::size_t rows_ = 0;
    std::size_t stride_ = 0;
    std::vector<scope> scopes_;
    std::vector<float> storage_;
    float* data_ = nullptr;  // first aligned float of storage_
    std::vector<sparse_storage> sparse_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/features/matrix-inl.hpp"
#endif
