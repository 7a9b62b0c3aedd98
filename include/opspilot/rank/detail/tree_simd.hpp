// The tree kernel over xsimd's batches: SSE4, AVX2, NEON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <xsimd/xsimd.hpp>

#include "opspilot/rank/detail/tree_members.hpp"
#include "opspilot/rank/detail/tree_portable.hpp"

namespace opspilot::detail {

template <class Arch>
struct simd_trees : portable_trees<Arch> {
    // Signed, as the compare is; sums and choices are the same for either.
    using bytes = xsimd::batch<std::int8_t, Arch>;
    static constexpr std::size_t width = bytes::size;

    static bytes load(const std::uint8_t* from) noexcept {
        return bytes::load_unaligned(reinterpret_cast<const std::int8_t*>(from));
    }
    static void store(bytes value, std::uint8_t* to) noexcept { value.store_unaligned(reinterpret_cast<std::int8_t*>(to)); }

    static bytes choose(const std::int8_t* ranks, bytes rank, bytes right, bytes left) noexcept {
        return xsimd::select(bytes::load_unaligned(ranks) > rank, right, left);
    }

    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        simd_members<Arch>::members(codes, bits, more, out, lanes);
    }

    template <bool Coarse, std::size_t Lanes>
    static void step(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                     std::size_t lanes) noexcept {
        if constexpr (Lanes != 0) lanes = Lanes;
        for (std::size_t k = 0; k < count; ++k) {
            const tree_op& op = ops[k];
            const std::int8_t* const ranks = columns + op.column * tree_lanes;
            const std::uint8_t* const left = slots + op.left * tree_lanes;
            const std::uint8_t* const right = slots + op.right * tree_lanes;
            std::uint8_t* const dest = slots + op.dest * tree_lanes;
            const bytes rank(op.rank);
            const bytes more(static_cast<std::int8_t>(Coarse ? op.coarse : op.step));
            for (std::size_t i = 0; i < lanes; i += width)
                store(choose(ranks + i, rank, load(right + i) + more, load(left + i)), dest + i);
        }
    }
    static void splits(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                       std::size_t lanes) noexcept {
        lanes == tree_lanes ? step<false, tree_lanes>(ops, count, columns, slots, lanes)
                            : step<false, 0>(ops, count, columns, slots, lanes);
    }
    static void coarse_splits(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                              std::size_t lanes) noexcept {
        lanes == tree_lanes ? step<true, tree_lanes>(ops, count, columns, slots, lanes)
                            : step<true, 0>(ops, count, columns, slots, lanes);
    }
    static void levels(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* out,
                       std::size_t lanes) noexcept {
        // 64 lanes at a time stay in registers over all levels.
        constexpr std::size_t parts = 64 / width;
        for (std::size_t b = 0; b < lanes; b += 64) {
            bytes at[parts];
            for (bytes& part : at) part = bytes(std::int8_t{0});
            for (std::size_t k = 0; k < count; ++k) {
                const std::int8_t* const ranks = columns + ops[k].column * tree_lanes + b;
                const bytes rank(ops[k].rank);
                for (std::size_t p = 0; p < parts; ++p) {
                    const bytes twice = at[p] + at[p];
                    at[p] = choose(ranks + p * width, rank, twice + bytes(std::int8_t{1}), twice);
                }
            }
            for (std::size_t p = 0; p < parts; ++p) store(at[p], out + b + p * width);
        }
    }
    template <class T>
    static void add(const std::uint8_t* index, const T* leaves, std::size_t count, T* sums, std::size_t lanes) noexcept {
        using batch = xsimd::batch<T, Arch>;
        if (count == 1) {
            for (std::size_t i = 0; i < lanes; i += batch::size)
                (batch::load_unaligned(sums + i) + batch(leaves[0])).store_unaligned(sums + i);
            return;
        }
        for (std::size_t i = 0; i < lanes; i += batch::size)
            (batch::load_unaligned(sums + i) + look_up<batch>(index + i, leaves, std::make_index_sequence<batch::size>()))
                .store_unaligned(sums + i);
    }
    template <class Batch, class T, std::size_t... I>
    static Batch look_up(const std::uint8_t* index, const T* leaves, std::index_sequence<I...>) noexcept {
        return Batch{leaves[index[I]]...};  // put together in registers: scalars stored side by side would stall the load
    }
    static void add_doubles(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                            std::size_t lanes) noexcept {
        add(index, leaves, count, sums, lanes);
    }
    static void add_floats(const std::uint8_t* index, const float* leaves, std::size_t count, float* sums,
                           std::size_t lanes) noexcept {
        add(index, leaves, count, sums, lanes);
    }
};

}  // namespace opspilot::detail
