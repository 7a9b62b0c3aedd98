#pragma once

#include <algorithm>

#include "opspilot/features/matrix.hpp"

namespace opspilot {

OPSPILOT_INLINE feature_matrix::feature_matrix(const feature_matrix& other) { *this = other; }

OPSPILOT_INLINE feature_matrix& feature_matrix::operator=(const feature_matrix& other) {
    if (this == &other) return *this;
    resize(other.rows_, other.scopes_, other.sparse_.size());
    if (stride_ > 0) std::copy_n(other.data_, stride_ * scopes_.size(), data_);
    sparse_ = other.sparse_;
    return *this;
}

OPSPILOT_INLINE void feature_matrix::resize(std::size_t rows, std::span<const scope> scopes, std::size_t sparse_blocks) {
    constexpr std::size_t lanes = 16;  // floats in 64 bytes
    rows_ = rows;
    // An odd number of cache lines between columns keeps them from colliding in the same L1 sets.
    stride_ = (rows + lanes - 1) / lanes * lanes;
    if (stride_ > 0 && stride_ / lanes % 2 == 0) stride_ += lanes;
    scopes_.assign(scopes.begin(), scopes.end());
    if (storage_.size() < stride_ * scopes.size() + lanes) storage_.resize(stride_ * scopes.size() + lanes);
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    data_ = storage_.data() + (64 - address % 64) % 64 / sizeof(float);
    for (std::size_t j = 0; j < scopes_.size(); ++j)
        for (std::size_t i = rows; i < stride_; ++i) data_[j * stride_ + i] = 0.0F;
    if (sparse_.size() != sparse_blocks) sparse_.resize(sparse_blocks);
    for (sparse_storage& block : sparse_) {
        block.index.clear();
        block.value.clear();
    }
}

}  // namespace opspilot
