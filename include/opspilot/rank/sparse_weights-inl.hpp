#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/little_endian.hpp"
#include "opspilot/rank/detail/weight_file.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot {

namespace detail {
/// Rows whose largest weight is below this are dropped: their scale would lose precision to denormals.
inline constexpr float least_weight = 1e-30F;
inline constexpr std::size_t most_entries = 0xFFFFFFFFU;  // offsets have 32 bits

/// A 127th of the largest weight of a row, rounded up to what 16 bits hold, so that no entry exceeds 127.
inline float scale_of(float largest) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(largest / 127.0F);
    return std::bit_cast<float>((bits + 0xFFFFU) & 0xFFFF0000U);
}

inline void store_leb128(std::string& out, std::uint32_t value) {
    for (; value >= 0x80U; value >>= 7) out += static_cast<char>(static_cast<unsigned char>(value | 0x80U));
    out += static_cast<char>(static_cast<unsigned char>(value));
}

/// Takes an unsigned LEB128 number of at most 32 bits off the front; false when there is none.
inline bool take_leb128(std::string_view& bytes, std::uint32_t& value) noexcept {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < 5 && i < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        sum |= std::uint64_t{byte & 0x7FU} << (7 * i);
        if (byte >= 0x80U) continue;
        if (sum > 0xFFFFFFFFU || (byte == 0 && i > 0)) return false;  // too large, or not the shortest form
        bytes.remove_prefix(i + 1);
        value = static_cast<std::uint32_t>(sum);
        return true;
    }
    return false;
}

/// How a row with `count` entries says which outputs they belong to: bytes of a mask, or of a list.
struct output_code {
    std::size_t width = 0;  // bytes per output of a list, 0 = mask
    std::size_t bytes = 0;
    output_code(std::size_t outputs, std::size_t count) noexcept {
        const std::size_t item = outputs <= 256 ? 1 : 2;
        const std::size_t mask = (outputs + 7) / 8;
        if (count < mask / item) width = item;
        bytes = width == 0 ? mask : count * item;
    }
};

/// The ascending outputs of a row, as far as there is room; returns how many it has. 0 when they do not ascend.
inline std::size_t read_outputs(const char* bytes, const output_code& code, std::span<std::uint16_t> out) noexcept {
    std::size_t n = 0;
    if (code.width == 0) {
        for (std::size_t first = 0; first < code.bytes; first += 8) {  // by words: the end of each loop is guessed wrong
            std::uint64_t mask = 0;
            for (std::size_t b = first; b < std::min(first + 8, code.bytes); ++b)
                mask |= std::uint64_t{static_cast<unsigned char>(bytes[b])} << (8 * (b - first));
            for (; mask != 0; mask &= mask - 1, ++n)
                if (n < out.size())
                    out[n] = static_cast<std::uint16_t>(first * 8 + static_cast<std::size_t>(std::countr_zero(mask)));
        }
        return n;
    }
    for (; n < out.size(); ++n) {
        unsigned output = static_cast<unsigned char>(bytes[n * code.width]);
        if (code.width == 2) output |= static_cast<unsigned>(static_cast<unsigned char>(bytes[n * 2 + 1])) << 8;
        if (n > 0 && output <= out[n - 1]) return 0;
        out[n] = static_cast<std::uint16_t>(output);
    }
    return n;
}

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
                                                                const float_rows& rows) {
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
    const std::size_t count = rows.bucket.size();
    if ((count > 0 && (rows.start.size() != count + 1 || rows.start.back() != rows.weight.size())) ||
        rows.output.size() != rows.weight.size() || rows.weight.size() > detail::most_entries)
        return problem("model.shape", fmt::format("{} rows with {} offsets, {} outputs and {} weights do not fit together", count,
                                                  rows.start.size(), rows.output.size(), rows.weight.size()));
    sparse_weights out;
    out.outputs_ = outputs;
    out.start_.push_back(0);
    for (std::size_t r = 0; r < count; ++r) {
        if (rows.bucket[r] >= buckets || (r > 0 && rows.bucket[r] <= rows.bucket[r - 1]))
            return problem("model.shape",
                           fmt::format("row {} is bucket {}: rows must ascend below {}", r, rows.bucket[r], buckets));
        if (rows.start[r] > rows.start[r + 1] || rows.start[r + 1] > rows.weight.size())
            return problem("model.shape", fmt::format("offsets of row {} do not ascend", r));
        float largest = 0.0F;
        for (std::size_t e = rows.start[r]; e < rows.start[r + 1]; ++e) {
            if (rows.output[e] >= outputs || (e > rows.start[r] && rows.output[e] <= rows.output[e - 1]))
                return problem("model.shape", fmt::format("outputs of row {} must ascend below {}", r, outputs));
            if (!std::isfinite(rows.weight[e]))
                return problem("model.not_finite", fmt::format("a weight of bucket {} is not a finite number", rows.bucket[r]));
            largest = std::max(largest, std::abs(rows.weight[e]));
        }
        if (largest < detail::least_weight) continue;
        const float scale = detail::scale_of(largest);
        if (!std::isfinite(scale))
            return problem("model.not_finite", fmt::format("a weight of bucket {} is too large", rows.bucket[r]));
        for (std::size_t e = rows.start[r]; e < rows.start[r + 1]; ++e) {
            const auto q = static_cast<int>(std::lround(std::clamp(rows.weight[e] / scale, -127.0F, 127.0F)));
            if (q == 0) continue;
            out.output_.push_back(rows.output[e]);
            out.entry_.push_back(static_cast<std::int8_t>(q));
        }
        out.bucket_.push_back(rows.bucket[r]);
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
    std::uint32_t previous = 0;
    for (std::size_t r = 0; r < rows(); ++r) {
        const std::size_t count = start_[r + 1] - start_[r];
        detail::store_leb128(out, bucket_[r] - previous);
        previous = bucket_[r];
        const std::uint32_t scale = std::bit_cast<std::uint32_t>(scale_[r]) >> 16;
        out += static_cast<char>(static_cast<unsigned char>(scale & 0xFFU));
        out += static_cast<char>(static_cast<unsigned char>(scale >> 8));
        detail::store_leb128(out, static_cast<std::uint32_t>(count));
        const detail::output_code code(outputs_, count);
        const std::size_t at = out.size();
        out.append(code.bytes, '\0');
        for (std::size_t e = 0; e < count; ++e) {
            const unsigned output = output_[start_[r] + e];
            if (code.width == 0) {
                char& byte = out[at + output / 8];
                byte = static_cast<char>(static_cast<unsigned char>(static_cast<unsigned char>(byte) | 1U << output % 8));
            }
            for (std::size_t b = 0; b < code.width; ++b)
                out[at + e * code.width + b] = static_cast<char>(static_cast<unsigned char>(output >> (8 * b)));
        }
        for (std::size_t e = 0; e < count; ++e) out += static_cast<char>(entry_[start_[r] + e]);
    }
}

OPSPILOT_INLINE result<sparse_weights> sparse_weights::read(std::string_view& bytes, std::size_t offset,
                                                            std::span<const sparse_block> blocks, std::size_t outputs,
                                                            std::size_t rows, std::size_t entries) {
    const std::size_t whole = offset + bytes.size();
    const auto problem = [&](std::string_view code, std::string message) {
        return error{error_kind::model, code, std::move(message), fmt::format("byte {}", whole - bytes.size()),
                     "the model file is damaged or was not written by this library"};
    };
    constexpr std::size_t least_row = 1 + 2 + 1 + 1;  // bucket, scale, count, one entry
    if (rows > bytes.size() / least_row || entries > bytes.size())
        return problem("model.truncated",
                       fmt::format("{} rows and {} entries do not fit into {} bytes", rows, entries, bytes.size()));
    if (entries > detail::most_entries || rows > detail::most_entries)
        return error{error_kind::limit, "limit.entries",
                     fmt::format("{} rows and {} entries, at most {}", rows, entries, detail::most_entries), "", ""};
    std::size_t buckets = 0;
    for (const sparse_block& b : blocks) buckets += b.dimension;
    sparse_weights out;
    out.outputs_ = outputs;
    out.bucket_.reserve(rows);
    out.scale_.reserve(rows);
    out.start_.reserve(rows + 1);
    out.output_.resize(entries);
    out.entry_.resize(entries);
    out.start_.push_back(0);
    std::size_t bucket = 0;
    std::size_t taken = 0;  // entries so far
    for (std::size_t r = 0; r < rows; ++r) {
        std::uint32_t step = 0;
        if (!detail::take_leb128(bytes, step))
            return problem("model.rows", fmt::format("the bucket of row {} cannot be read", r));
        bucket += step;
        if (bucket >= buckets || (r > 0 && step == 0))
            return problem("model.rows", fmt::format("row {} is bucket {}: rows must ascend below {}", r, bucket, buckets));
        if (bytes.size() < 2) return problem("model.truncated", fmt::format("row {} ends early", r));
        const float scale = std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[0])) << 16 |
                                                 static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[1])) << 24);
        if (!std::isfinite(scale) || !(scale > 0.0F))
            return problem("model.not_finite", fmt::format("the scale of row {} is not a positive number", r));
        bytes.remove_prefix(2);
        std::uint32_t count = 0;
        if (!detail::take_leb128(bytes, count) || count == 0 || count > outputs || count > entries - taken)
            return problem("model.entries", fmt::format("row {} has {} entries of {}", r, count, outputs));
        const detail::output_code code(outputs, count);
        if (bytes.size() < code.bytes + count) return problem("model.truncated", fmt::format("row {} ends early", r));
        std::uint16_t* const row_outputs = out.output_.data() + taken;
        if (detail::read_outputs(bytes.data(), code, {row_outputs, count}) != count || row_outputs[count - 1] >= outputs)
            return problem("model.entries",
                           fmt::format("the outputs of row {} do not ascend or do not fit its {} entries", r, count));
        bytes.remove_prefix(code.bytes);
        std::int8_t* const row_entries = out.entry_.data() + taken;
        std::memcpy(row_entries, bytes.data(), count);
        const auto wrong = [](std::int8_t q) { return q == 0 || q == -128; };
        if (std::count_if(row_entries, row_entries + count, wrong) > 0) {
            const auto at = std::find_if(row_entries, row_entries + count, wrong) - row_entries;
            return problem("model.entries", fmt::format("entry {} of row {} is {}", at, r, static_cast<int>(row_entries[at])));
        }
        bytes.remove_prefix(count);
        taken += count;
        out.bucket_.push_back(static_cast<std::uint32_t>(bucket));
        out.scale_.push_back(scale);
        out.start_.push_back(static_cast<std::uint32_t>(taken));
    }
    if (taken != entries)
        return problem("model.entries", fmt::format("the rows have {} entries, the header says {}", taken, entries));
    out.index_rows(blocks);
    return out;
}

}  // namespace opspilot
