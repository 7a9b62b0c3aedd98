// Blocks of candidates: values become ranks, programs run over them, leaves are added up.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_fold.hpp"
#include "opspilot/rank/detail/tree_input.hpp"
#include "opspilot/rank/detail/tree_kernel.hpp"
#include "opspilot/rank/detail/tree_program.hpp"

namespace opspilot::detail {

/// Bytes for vector loads, aligned so that no load crosses a cache line.
class aligned_bytes {
public:
    void reserve(std::size_t size) {
        if (size <= size_) return;
        memory_.assign(size + 64, 0);
        size_ = size;
    }
    [[nodiscard]] std::int8_t* data() noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
        return memory_.data() + (64 - address % 64) % 64;
    }

private:
    std::vector<std::int8_t> memory_;
    std::size_t size_ = 0;
};

/// Everything a block needs; one per thread.
struct tree_block {
    aligned_bytes columns;  // rows of tree_lanes
    alignas(64) std::uint8_t slots[tree_slots * tree_lanes] = {};
    alignas(64) float floats[tree_lanes] = {};
    alignas(64) double doubles[tree_lanes] = {};
    alignas(64) std::uint16_t ranks[tree_lanes] = {};
    alignas(64) std::uint8_t codes[most_chunks * tree_lanes] = {};
    std::uint32_t candidates[tree_lanes] = {};
    std::vector<double> sums;  // per output tree_lanes
    std::vector<float> float_sums;
};

/// Ranks of one feature's values into its byte columns.
class block_ranker {
public:
    block_ranker(const tree_program& program, const tree_kernel& kernel, tree_block& block) noexcept
        : t_(program.ranks), k_(kernel), b_(block) {}

    /// `out`: byte columns, `stride` apart, the first being the feature's first column.
    void rank(const feature_ranks& f, const tree_piece& piece, std::size_t lanes, std::int8_t* out, std::size_t stride) noexcept {
        const bool doubles = piece.is_double() && !t_.float_values;
        if (doubles)
            gather(piece, f.feature, b_.candidates, lanes, b_.doubles);
        else
            gather(piece, f.feature, b_.candidates, lanes, b_.floats);
        if (f.categorical && f.chunks != 0 && lanes >= 8)
            doubles ? sets(f, b_.doubles, lanes, out, stride) : sets(f, b_.floats, lanes, out, stride);
        else if (f.categorical)
            doubles ? categories(f, b_.doubles, lanes, out, stride) : categories(f, b_.floats, lanes, out, stride);
        else
            doubles ? numbers(f, b_.doubles, lanes, out, stride) : numbers(f, b_.floats, lanes, out, stride);
    }

private:
    template <class T>
    void numbers(const feature_ranks& f, const T* values, std::size_t lanes, std::int8_t* out, std::size_t stride) noexcept {
        rank_task<T> task;
        task.values = values;
        task.lanes = lanes;
        task.thresholds = thresholds_of<T>(t_, f).data();
        task.count = f.thresholds;
        const bool narrow = f.thresholds <= run_length;
        task.cells = narrow ? t_.cells.data() + f.first_cell : nullptr;
        task.wide_cells = narrow ? nullptr : t_.wide_cells.data() + f.first_cell;
        task.bytes = narrow ? out : nullptr;
        task.cell_count = f.cells;
        task.steps = f.steps;
        task.low = f.low;
        task.scale = f.scale;
        task.ranks = b_.ranks;
        bool missing = false;
        if constexpr (std::is_same_v<T, float>)
            missing = k_.rank_floats(task);
        else
            missing = k_.rank_doubles(task);
        for (std::uint32_t c = 0; c < f.columns; ++c) {
            const byte_column& column = t_.columns[f.first_column + c];
            std::int8_t* const bytes = out + c * stride;
            if (!narrow)
                k_.narrow(b_.ranks, lanes, column.run * run_length, bytes);
            else if (c > 0)
                std::copy_n(plain_, lanes, bytes);
            else if (f.columns > 1)
                std::copy_n(bytes, lanes, plain_);  // before missing values are put in
            const bool zero = column.missing == missing_way::zero_left || column.missing == missing_way::zero_right;
            if (!missing && !zero) continue;
            const std::int32_t of_zero =
                std::clamp(static_cast<std::int32_t>(f.zero) - static_cast<std::int32_t>(column.run * run_length), 0, 255) - 128;
            std::int8_t instead = static_cast<std::int8_t>(of_zero);
            if (column.missing == missing_way::left || column.missing == missing_way::zero_left) instead = goes_left_byte;
            if (column.missing == missing_way::right || column.missing == missing_way::zero_right) instead = goes_right_byte;
            const auto most = static_cast<T>(std::max(t_.zero_threshold, 0.0));
            for (std::size_t i = 0; i < lanes; ++i) {
                const T v = values[i];
                if (std::isnan(v) || (zero && v <= most && v >= -most)) bytes[i] = instead;
            }
        }
    }
    /// Every category's code in its chunk first, then set after set by shuffles.
    template <class T>
    void sets(const feature_ranks& f, const T* values, std::size_t lanes, std::int8_t* out, std::size_t stride) noexcept {
        const T lowest = t_.fractions_are_zero ? T{-1} : T{0};
        const auto most = static_cast<T>(f.chunks * category_chunk);
        constexpr std::int32_t none = -1;
        std::int32_t category[tree_lanes];
        bool missing = false;
        for (std::size_t i = 0; i < lanes; ++i) {
            const T v = values[i];
            const bool some = (t_.fractions_are_zero ? v > lowest : v >= lowest) && v < most;
            category[i] = some ? static_cast<std::int32_t>(v) : none;
            missing |= std::isnan(v);
        }
        for (std::uint32_t chunk = 0; chunk < f.chunks; ++chunk) {
            std::uint8_t* const codes = b_.codes + chunk * tree_lanes;
            const auto first = static_cast<std::int32_t>(chunk * category_chunk);
            for (std::size_t i = 0; i < lanes; ++i) {
                const std::int32_t code = category[i] - first;
                codes[i] = code >= 0 && code < static_cast<std::int32_t>(category_chunk) ? static_cast<std::uint8_t>(code)
                                                                                         : no_category_code;
            }
        }
        if (missing)
            for (std::size_t i = 0; i < lanes; ++i)
                if (std::isnan(values[i])) b_.codes[i] = missing_code;
        const std::size_t padded = (lanes + 63) / 64 * 64;
        const bool room = stride == tree_lanes;  // rows of a block may be written to their end
        for (std::uint32_t c = 0; c < f.columns; ++c) {
            const byte_column& column = t_.columns[f.first_column + c];
            std::int8_t* const bytes = room ? out + c * stride : plain_;
            if (column.pieces == 0) std::fill_n(bytes, lanes, goes_right_byte);
            for (std::uint32_t p = 0; p < column.pieces; ++p) {
                const category_piece& piece = t_.pieces[column.first_piece + p];
                k_.members(b_.codes + piece.chunk * tree_lanes, piece.bits, p > 0, bytes, padded);
            }
            if (!room) std::copy_n(bytes, lanes, out + c * stride);
        }
    }
    template <class T>
    void categories(const feature_ranks& f, const T* values, std::size_t lanes, std::int8_t* out, std::size_t stride) noexcept {
        const T lowest = t_.fractions_are_zero ? T{-1} : T{0};
        for (std::uint32_t c = 0; c < f.columns; ++c) {
            const byte_column& column = t_.columns[f.first_column + c];
            const std::span<const std::uint32_t> words = t_.set(column.run);
            const auto bits = static_cast<T>(words.size() * 32);
            std::int8_t* const bytes = out + c * stride;
            const std::int8_t missing = column.missing == missing_way::left ? goes_left_byte : goes_right_byte;
            for (std::size_t i = 0; i < lanes; ++i) {
                const T v = values[i];
                const bool some = (t_.fractions_are_zero ? v > lowest : v >= lowest) && v < bits;
                const auto category = some ? static_cast<std::uint32_t>(static_cast<std::int32_t>(v)) : 0U;
                // An empty set has no word for category 0 either, which fractions below zero name.
                const bool in = some && !words.empty() && ((words[category / 32] >> (category % 32)) & 1U) != 0;
                bytes[i] = std::isnan(v) ? missing : in ? goes_left_byte : goes_right_byte;
            }
        }
    }
    const rank_tables& t_;
    const tree_kernel& k_;
    tree_block& b_;
    std::int8_t plain_[tree_lanes] = {};
};

}  // namespace opspilot::detail
