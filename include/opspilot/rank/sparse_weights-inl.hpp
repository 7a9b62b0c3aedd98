#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/little_endian.hpp"
#include "opspilot/rank/detail/weight_file.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot {

namespace detail {
/// Rows whose largest weight is below this are dropped: their scale would lose precision to denormals.
inline constexpr float least_weight = 1e-30F;

inline error unknown_feature(std::string_view code, std::string_view what, std::string_view name,
                             std::span<const std::string_view> offered) {
    return {error_kind::features, code,
            fmt::format("the model reads {} \"{}\", which the feature plan does not make", what, quote(name)), "",
            did_you_mean(name, offered)};
}
}  // namespace detail

OPSPILOT_INLINE result<feature_binding> bind_features(const feature_names& offered, std::span<const std::string> columns,
                                                      std::span<const sparse_block> blocks, std::string_view fingerprint) {
    if (!fingerprint.empty() && !offered.fingerprint.empty() && fingerprint != offered.fingerprint)
        return error{
            error_kind::features, "features.fingerprint",
            fmt::format("the model was trained with features {}, the plan is {}", quote(fingerprint), quote(offered.fingerprint)),
            "", "train the model again with this plan, or restore the plan it was trained with"};
    feature_binding out;
    const std::vector<std::string_view> column_names(offered.columns.begin(), offered.columns.end());
    for (const std::string& name : columns) {
        const auto at = std::find(column_names.begin(), column_names.end(), name);
        if (at == column_names.end()) return detail::unknown_feature("features.unknown_column", "column", name, column_names);
        out.columns.push_back(static_cast<std::uint32_t>(at - column_names.begin()));
    }
    std::vector<std::string_view> block_names;
    for (const sparse_block& b : offered.blocks) block_names.push_back(b.name);
    for (const sparse_block& b : blocks) {
        const auto at = std::find(block_names.begin(), block_names.end(), b.name);
        if (at == block_names.end())
            return detail::unknown_feature("features.unknown_block", "sparse block", b.name, block_names);
        const auto position = static_cast<std::size_t>(at - block_names.begin());
        if (offered.blocks[position].dimension != b.dimension)
            return error{error_kind::features, "features.dimension",
                         fmt::format("sparse block \"{}\" has {} buckets, the model was trained with {}", quote(b.name),
                                     offered.blocks[position].dimension, b.dimension),
                         "", "train the model again with this plan"};
        out.blocks.push_back(static_cast<std::uint32_t>(position));
    }
    return out;
}

OPSPILOT_INLINE void sparse_weights::index_rows(std::span<const sparse_block> blocks) {
    block_start_.assign(1, 0);
    for (const sparse_block& b : blocks) block_start_.push_back(block_start_.back() + b.dimension);
    dimension_ = block_start_.back();
    present_.assign(dimension_ / 64 + 1, 0);
    rank_.assign(present_.size(), 0);
    for (const std::uint32_t bucket : bucket_) present_[bucket / 64] |= std::uint64_t{1} << bucket % 64;
    std::uint32_t before = 0;
    for (std::size_t i = 0; i < present_.size(); ++i) {
        rank_[i] = before;
        before += static_cast<std::uint32_t>(std::popcount(present_[i]));
    }
}

OPSPILOT_INLINE result<sparse_weights> sparse_weights::quantise(std::span<const sparse_block> blocks, std::size_t outputs,
                                                                std::span<const std::uint32_t> rows,
                                                                std::span<const float> weights) {
    const auto problem = [](std::string_view code, std::string message) {
        return error{error_kind::model, code, std::move(message), "", ""};
    };
    if (outputs > detail::most_outputs || blocks.size() > detail::most_blocks)
        return problem("model.shape", fmt::format("{} outputs and {} blocks, at most {} and {}", outputs, blocks.size(),
                                                  detail::most_outputs, detail::most_blocks));
    std::size_t buckets = 0;
    for (const sparse_block& b : blocks) buckets += b.dimension;
    if (buckets > detail::most_buckets)
        return problem("model.shape", fmt::format("{} buckets, at most {}", buckets, detail::most_buckets));
    if (weights.size() != rows.size() * outputs)
        return problem("model.shape", fmt::format("{} weights for {} rows of {}", weights.size(), rows.size(), outputs));
    sparse_weights out;
    out.outputs_ = outputs;
    out.start_.push_back(0);
    for (std::size_t r = 0; r < rows.size(); ++r) {
        if (rows[r] >= buckets || (r > 0 && rows[r] <= rows[r - 1]))
            return problem("model.shape", fmt::format("row {} is bucket {}: rows must ascend below {}", r, rows[r], buckets));
        const std::span<const float> row = weights.subspan(r * outputs, outputs);
        float largest = 0.0F;
        for (const float w : row) {
            if (!std::isfinite(w))
                return problem("model.not_finite", fmt::format("a weight of bucket {} is not a finite number", rows[r]));
            largest = std::max(largest, std::abs(w));
        }
        if (largest < detail::least_weight) continue;
        const float scale = largest / 127.0F;
        for (std::size_t k = 0; k < outputs; ++k) {
            const auto q = static_cast<int>(std::lround(std::clamp(row[k] / scale, -127.0F, 127.0F)));
            if (q == 0) continue;
            out.output_.push_back(static_cast<std::uint16_t>(k));
            out.entry_.push_back(static_cast<std::int8_t>(q));
        }
        out.bucket_.push_back(rows[r]);
        out.scale_.push_back(scale);
        out.start_.push_back(static_cast<std::uint32_t>(out.entry_.size()));
    }
    out.index_rows(blocks);
    return out;
}

OPSPILOT_INLINE void sparse_weights::add_row(std::size_t bucket, float value, float* sums) const noexcept {
    const std::uint64_t word = present_[bucket / 64];
    const std::uint64_t bit = std::uint64_t{1} << bucket % 64;
    if ((word & bit) == 0) return;
    const std::size_t row = rank_[bucket / 64] + static_cast<std::size_t>(std::popcount(word & (bit - 1)));
    const float scaled = value * scale_[row];
    const std::uint16_t* output = output_.data();
    const std::int8_t* entry = entry_.data();
    for (std::size_t e = start_[row], end = start_[row + 1]; e < end; ++e)
        sums[output[e]] += scaled * static_cast<float>(entry[e]);
}

OPSPILOT_INLINE void sparse_weights::add(std::span<const sparse_view> blocks, std::span<float> sums) const noexcept {
    if (sums.size() < outputs_) return;
    for (std::size_t b = 0; b < blocks.size() && b + 1 < block_start_.size(); ++b) {
        const std::size_t first = block_start_[b];
        const std::size_t dimension = block_start_[b + 1] - first;
        const sparse_view& view = blocks[b];
        const std::size_t count = std::min(view.index.size(), view.value.size());
        for (std::size_t i = 0; i < count; ++i)
            if (view.index[i] < dimension) add_row(first + view.index[i], view.value[i], sums.data());
    }
}

OPSPILOT_INLINE void sparse_weights::add(sparse_view row, std::span<float> sums) const noexcept {
    if (sums.size() < outputs_) return;
    const std::size_t count = std::min(row.index.size(), row.value.size());
    for (std::size_t i = 0; i < count; ++i)
        if (row.index[i] < dimension_) add_row(row.index[i], row.value[i], sums.data());
}

OPSPILOT_INLINE void sparse_weights::write(std::string& out) const {
    for (const std::uint32_t bucket : bucket_) detail::store_u32(out, bucket);
    for (const float scale : scale_) detail::store_f32(out, scale);
    const std::size_t mask_bytes = (outputs_ + 7) / 8;
    for (std::size_t r = 0; r < rows(); ++r) {
        const std::size_t at = out.size();
        out.append(mask_bytes, '\0');
        for (std::size_t e = start_[r]; e < start_[r + 1]; ++e) {
            char& byte = out[at + output_[e] / 8U];
            byte = static_cast<char>(static_cast<unsigned char>(byte) | 1U << output_[e] % 8U);
        }
    }
    for (const std::int8_t q : entry_) out += static_cast<char>(q);
}

OPSPILOT_INLINE result<sparse_weights> sparse_weights::read(std::string_view& bytes, std::size_t offset,
                                                            std::span<const sparse_block> blocks, std::size_t outputs,
                                                            std::size_t rows, std::size_t entries) {
    const auto problem = [](std::string_view code, std::string message, std::size_t at) {
        return error{error_kind::model, code, std::move(message), fmt::format("byte {}", at),
                     "the model file is damaged or was not written by this library"};
    };
    const std::size_t mask_bytes = (outputs + 7) / 8;
    if (rows > bytes.size() / (8 + mask_bytes) || entries > bytes.size() - rows * (8 + mask_bytes))
        return problem("model.truncated",
                       fmt::format("{} rows and {} entries do not fit into {} bytes", rows, entries, bytes.size()), offset);
    std::size_t buckets = 0;
    for (const sparse_block& b : blocks) buckets += b.dimension;
    sparse_weights out;
    out.outputs_ = outputs;
    out.bucket_.resize(rows);
    out.scale_.resize(rows);
    const char* at = bytes.data();
    for (std::size_t r = 0; r < rows; ++r, at += 4) {
        out.bucket_[r] = detail::load_u32(at);
        if (out.bucket_[r] >= buckets || (r > 0 && out.bucket_[r] <= out.bucket_[r - 1]))
            return problem("model.rows",
                           fmt::format("row {} is bucket {}: rows must ascend below {}", r, out.bucket_[r], buckets),
                           offset + r * 4);
    }
    for (std::size_t r = 0; r < rows; ++r, at += 4) {
        out.scale_[r] = detail::load_f32(at);
        if (!std::isfinite(out.scale_[r]) || !(out.scale_[r] > 0.0F))
            return problem("model.not_finite", fmt::format("the scale of row {} is not a positive number", r),
                           offset + (rows + r) * 4);
    }
    out.start_.reserve(rows + 1);
    out.output_.reserve(entries);
    out.start_.push_back(0);
    for (std::size_t r = 0; r < rows; ++r, at += mask_bytes) {
        const std::size_t before = out.output_.size();
        for (std::size_t k = 0; k < mask_bytes; ++k)
            for (unsigned mask = static_cast<unsigned char>(at[k]); mask != 0; mask &= mask - 1)
                out.output_.push_back(static_cast<std::uint16_t>(k * 8 + static_cast<std::size_t>(std::countr_zero(mask))));
        if (out.output_.size() > entries || out.output_.size() == before || out.output_.back() >= outputs)
            return problem("model.entries",
                           fmt::format("the mask of row {} does not fit {} outputs and {} entries", r, outputs, entries),
                           offset + rows * 8 + r * mask_bytes);
        out.start_.push_back(static_cast<std::uint32_t>(out.output_.size()));
    }
    if (out.output_.size() != entries)
        return problem("model.entries", fmt::format("the masks name {} entries, the header {}", out.output_.size(), entries),
                       offset);
    out.entry_.resize(entries);
    for (std::size_t e = 0; e < entries; ++e) {
        out.entry_[e] = static_cast<std::int8_t>(at[e]);
        if (out.entry_[e] == 0 || out.entry_[e] == -128)
            return problem("model.entries", fmt::format("entry {} is {}", e, static_cast<int>(out.entry_[e])),
                           offset + rows * (8 + mask_bytes) + e);
    }
    bytes.remove_prefix(rows * (8 + mask_bytes) + entries);
    out.index_rows(blocks);
    return out;
}

}  // namespace opspilot
