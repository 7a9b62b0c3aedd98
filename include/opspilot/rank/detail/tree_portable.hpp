// The tree kernel in plain loops. Instantiated once per instruction set under a tag of its own, so that a copy compiled for a
// wider set never stands in for the portable one; wider kernels replace what they do better.
#pragma once

#include <cstddef>
#include <cstdint>

#include "opspilot/rank/detail/tree_kernel.hpp"

namespace opspilot::detail {

template <class Tag>
struct portable_trees {
    /// Nothing here calls a function of the standard library: those have one copy for all instruction sets.
    template <class T>
    static bool rank(const rank_task<T>& task) noexcept {
        const T* const t = task.thresholds;
        bool missing = false;
        for (std::size_t i = 0; i < task.lanes; ++i) missing |= task.values[i] != task.values[i];
        if (task.cell_count == 0) {
            for (std::size_t i = 0; i < task.lanes; ++i) {
                const T value = task.values[i];
                std::uint32_t rank = 0;
                std::uint32_t left = task.count;  // thresholds from `rank` on that may still be below
                while (left > 0) {
                    const std::uint32_t half = (left + 1) / 2;
                    const bool above = value > t[rank + half - 1];
                    rank += above ? half : 0;
                    left = above ? left - half : half - 1;
                }
                if (task.bytes != nullptr)
                    task.bytes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(rank) - 128);
                else
                    task.ranks[i] = static_cast<std::uint16_t>(rank);
            }
            return missing;
        }
        std::uint32_t cell[tree_lanes];
        const float last = static_cast<float>(task.cell_count - 1);
        for (std::size_t i = 0; i < task.lanes; ++i) {
            float x = (static_cast<float>(task.values[i]) - task.low) * task.scale;
            x = x > 0.0F ? x : 0.0F;
            x = x < last ? x : last;
            cell[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(x));
        }
        if (task.bytes == nullptr)
            search(task, cell, task.wide_cells,
                   [&](std::size_t i, std::uint32_t rank) { task.ranks[i] = static_cast<std::uint16_t>(rank); });
        else
            search(task, cell, task.cells, [&](std::size_t i, std::uint32_t rank) {
                task.bytes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(rank) - 128);
            });
        return missing;
    }
    template <class T, class Cell, class Keep>
    static void search(const rank_task<T>& task, const std::uint32_t* cell, const Cell* cells, const Keep& keep) noexcept {
        switch (task.steps) {
            case 0: steps<0>(task, cell, cells, keep); break;
            case 1: steps<1>(task, cell, cells, keep); break;
            case 2: steps<2>(task, cell, cells, keep); break;
            case 3: steps<3>(task, cell, cells, keep); break;
            default: steps<4>(task, cell, cells, keep); break;
        }
    }
    template <int Steps, class T, class Cell, class Keep>
    static void steps(const rank_task<T>& task, const std::uint32_t* cell, const Cell* cells, const Keep& keep) noexcept {
        const T* const t = task.thresholds;
        for (std::size_t i = 0; i < task.lanes; ++i) {
            const T value = task.values[i];
            std::uint32_t rank = cells[cell[i]];
            for (int s = 0; s < Steps; ++s) rank += value > t[rank] ? 1U : 0U;
            keep(i, rank);
        }
    }
    static bool rank_floats(const rank_task<float>& task) noexcept { return rank(task); }
    static bool rank_doubles(const rank_task<double>& task) noexcept { return rank(task); }

    static void narrow(const std::uint16_t* ranks, std::size_t lanes, std::uint32_t base, std::int8_t* out) noexcept {
        for (std::size_t i = 0; i < lanes; ++i) {
            std::int32_t r = static_cast<std::int32_t>(ranks[i]) - static_cast<std::int32_t>(base);
            r = r > 0 ? r : 0;
            r = r < 255 ? r : 255;
            out[i] = static_cast<std::int8_t>(r - 128);
        }
    }

    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        std::int8_t sides[256];
        for (std::size_t code = 0; code < 256; ++code)
            sides[code] = static_cast<std::int8_t>((bits[code / 8] >> (code % 8) & 1U) != 0 ? -128 : 127);
        for (std::size_t i = 0; i < lanes; ++i)
            if (!more || out[i] != -128) out[i] = sides[codes[i]];
    }

    template <bool Coarse>
    static void run(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                    std::size_t lanes) noexcept {
        for (std::size_t k = 0; k < count; ++k) {
            const tree_op op = ops[k];
            const std::int8_t* const ranks = columns + op.column * tree_lanes;
            const std::uint8_t* const left = slots + op.left * tree_lanes;
            const std::uint8_t* const right = slots + op.right * tree_lanes;
            std::uint8_t* const dest = slots + op.dest * tree_lanes;
            const std::uint8_t step = Coarse ? op.coarse : op.step;
            for (std::size_t b = 0; b < lanes; b += 64) {
                std::uint8_t chosen[64];
                for (std::size_t i = 0; i < 64; ++i) {  // by masks: compilers turn this into vectors of the baseline set
                    const std::uint8_t above = ranks[b + i] > op.rank ? 255 : 0;
                    const auto r = static_cast<std::uint8_t>(right[b + i] + step);
                    const std::uint8_t l = left[b + i];
                    chosen[i] = static_cast<std::uint8_t>(l ^ ((l ^ r) & above));
                }
                for (std::size_t i = 0; i < 64; ++i) dest[b + i] = chosen[i];
            }
        }
    }
    static void splits(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                       std::size_t lanes) noexcept {
        run<false>(ops, count, columns, slots, lanes);
    }
    static void coarse_splits(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                              std::size_t lanes) noexcept {
        run<true>(ops, count, columns, slots, lanes);
    }
    static void levels(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* out,
                       std::size_t lanes) noexcept {
        for (std::size_t i = 0; i < lanes; ++i) out[i] = 0;
        for (std::size_t k = 0; k < count; ++k) {
            const std::int8_t* const ranks = columns + ops[k].column * tree_lanes;
            const std::int8_t rank = ops[k].rank;
            for (std::size_t i = 0; i < lanes; ++i)
                out[i] = static_cast<std::uint8_t>(out[i] + out[i] + (ranks[i] > rank ? 1 : 0));
        }
    }

    template <class T>
    static void add(const std::uint8_t* index, const T* leaves, std::size_t count, T* sums, std::size_t lanes) noexcept {
        if (count == 1)
            for (std::size_t i = 0; i < lanes; ++i) sums[i] += leaves[0];
        else
            for (std::size_t i = 0; i < lanes; ++i) sums[i] += leaves[index[i]];
    }
    static void add_doubles(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                            std::size_t lanes) noexcept {
        add(index, leaves, count, sums, lanes);
    }
    static void add_floats(const std::uint8_t* index, const float* leaves, std::size_t count, float* sums,
                           std::size_t lanes) noexcept {
        add(index, leaves, count, sums, lanes);
    }
    static void add_bytes(const std::uint8_t* values, std::uint8_t base, std::uint16_t* sums, std::size_t lanes) noexcept {
        for (std::size_t i = 0; i < lanes; ++i)
            sums[i] = static_cast<std::uint16_t>(sums[i] + static_cast<std::uint8_t>(values[i] + base));
    }
};

/// The kernel made of the functions of `K`.
template <class K>
constexpr tree_kernel make_tree_kernel(std::string_view name, std::size_t width) noexcept {
    return {name,       width,           &K::rank_floats, &K::rank_doubles,
            &K::narrow, &K::members,     &K::splits,      &K::coarse_splits,
            &K::levels, &K::add_doubles, &K::add_floats,  &K::add_bytes};
}

}  // namespace opspilot::detail
