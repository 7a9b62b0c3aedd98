// The tree kernel for AVX-512 (F, BW, DQ, VL), in intrinsics: compares write masks, and leaves are looked up by permutes.
#pragma once

#if !defined(OPSPILOT_EMULATED_AVX512)  // tests bring intrinsics of their own where the machine has none
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "opspilot/rank/detail/tree_portable.hpp"

namespace opspilot::detail {

// `Tag` keeps copies of different sources apart. Widening loads are written with full zeroing masks: GCC 12 takes the plain forms
// for uses of an uninitialised register.
template <class Tag>
struct avx512_trees : portable_trees<Tag> {
    /// As `simd_members`.
    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        const auto* const half = reinterpret_cast<const __m128i*>(bits);
        const __m512i low = _mm512_maskz_broadcast_i32x4(0xFFFF, _mm_loadu_si128(half));
        const __m512i high = _mm512_maskz_broadcast_i32x4(0xFFFF, _mm_loadu_si128(half + 1));
        const __m512i powers = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201ULL));
        const __m512i to_right = _mm512_set1_epi8(127), to_left = _mm512_set1_epi8(-128);
        for (std::size_t i = 0; i < lanes; i += 64) {
            const __m512i code = _mm512_loadu_si512(codes + i);
            const __m512i place = _mm512_and_si512(_mm512_srli_epi16(code, 3), _mm512_set1_epi8(15));
            const __mmask64 upper = _mm512_cmpgt_epi8_mask(_mm512_setzero_si512(), code);
            const __m512i byte = _mm512_mask_blend_epi8(upper, _mm512_shuffle_epi8(low, place), _mm512_shuffle_epi8(high, place));
            const __m512i bit = _mm512_shuffle_epi8(powers, _mm512_and_si512(code, _mm512_set1_epi8(7)));
            const __mmask64 in = _mm512_cmpeq_epi8_mask(_mm512_and_si512(byte, bit), bit);
            const __m512i otherwise = more ? _mm512_loadu_si512(out + i) : to_right;
            _mm512_storeu_si512(out + i, _mm512_mask_blend_epi8(in, otherwise, to_left));
        }
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
            const __m512i rank = _mm512_set1_epi8(static_cast<char>(op.rank));
            const __m512i more = _mm512_set1_epi8(static_cast<char>(Coarse ? op.coarse : op.step));
            for (std::size_t i = 0; i < lanes; i += 64) {
                const __mmask64 above = _mm512_cmpgt_epi8_mask(_mm512_loadu_si512(ranks + i), rank);
                const __m512i l = _mm512_loadu_si512(left + i);
                const __m512i r = _mm512_loadu_si512(right + i);
                _mm512_storeu_si512(dest + i, _mm512_mask_add_epi8(l, above, r, more));
            }
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
        const __m512i one = _mm512_set1_epi8(1);
        for (std::size_t b = 0; b < lanes; b += 64) {
            __m512i at = _mm512_setzero_si512();
            for (std::size_t k = 0; k < count; ++k) {
                const __mmask64 above = _mm512_cmpgt_epi8_mask(_mm512_loadu_si512(columns + ops[k].column * tree_lanes + b),
                                                               _mm512_set1_epi8(static_cast<char>(ops[k].rank)));
                at = _mm512_add_epi8(at, at);
                at = _mm512_mask_add_epi8(at, above, at, one);
            }
            _mm512_storeu_si512(out + b, at);
        }
    }

    /// Up to 16 leaves: two registers of doubles, looked up for eight lanes at once.
    static void sixteen(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                        std::size_t lanes) noexcept {
        const __m512d low = _mm512_maskz_loadu_pd(first_of(count), leaves);
        const __m512d high = _mm512_maskz_loadu_pd(first_of(count > 8 ? count - 8 : 0), leaves + 8);
        for (std::size_t i = 0; i < lanes; i += 8) {
            const __m512i at = _mm512_maskz_cvtepu8_epi64(0xFF, _mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + i)));
            _mm512_storeu_pd(sums + i, _mm512_add_pd(_mm512_loadu_pd(sums + i), _mm512_permutex2var_pd(low, at, high)));
        }
    }
    /// Up to 32 or 64 leaves. One port permutes, and a permute of words finds sixteen lanes' halves where one of doubles finds
    /// eight lanes: lower and upper halves have tables of their own, and are joined when they are found.
    template <std::size_t Pairs>
    static void halved(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                       std::size_t lanes) noexcept {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        __m512i lower[2 * Pairs], upper[2 * Pairs];
        for (std::size_t r = 0; r < 2 * Pairs; ++r) {
            const std::size_t left = count > 16 * r ? count - 16 * r : 0;
            const double* const from = leaves + (left != 0 ? 16 * r : 0);
            const __m512i a = _mm512_castpd_si512(_mm512_maskz_loadu_pd(first_of(left), from));
            const __m512i b = _mm512_castpd_si512(_mm512_maskz_loadu_pd(first_of(left > 8 ? left - 8 : 0), from + 8));
            lower[r] = _mm512_permutex2var_epi32(a, even, b);
            upper[r] = _mm512_permutex2var_epi32(a, odd, b);
        }
        const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
        for (std::size_t i = 0; i < lanes; i += 16) {
            const __m512i at = _mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(index + i)));
            __m512i low = _mm512_permutex2var_epi32(lower[0], at, lower[1]);
            __m512i high = _mm512_permutex2var_epi32(upper[0], at, upper[1]);
            if constexpr (Pairs > 1) {
                const __mmask16 beyond = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
                low = _mm512_mask_blend_epi32(beyond, low, _mm512_permutex2var_epi32(lower[2], at, lower[3]));
                high = _mm512_mask_blend_epi32(beyond, high, _mm512_permutex2var_epi32(upper[2], at, upper[3]));
            }
            add_to(sums + i, _mm512_permutex2var_epi32(low, first, high));
            add_to(sums + i + 8, _mm512_permutex2var_epi32(low, second, high));
        }
    }
    static __mmask8 first_of(std::size_t count) noexcept {
        return static_cast<__mmask8>(count >= 8 ? 0xFFU : (1U << count) - 1U);
    }
    static void add_to(double* sums, __m512i bits) noexcept {
        _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_castsi512_pd(bits)));
    }
    static void add_doubles(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                            std::size_t lanes) noexcept {
        if (count == 1 || count > 64)
            portable_trees<Tag>::add(index, leaves, count, sums, lanes);
        else if (count <= 16)
            sixteen(index, leaves, count, sums, lanes);
        else if (count <= 32)
            halved<1>(index, leaves, count, sums, lanes);
        else
            halved<2>(index, leaves, count, sums, lanes);
    }

    template <std::size_t Pairs>
    static void permuted(const std::uint8_t* index, const float* leaves, std::size_t count, float* sums,
                         std::size_t lanes) noexcept {
        __m512 table[2 * Pairs];
        for (std::size_t r = 0; r < 2 * Pairs; ++r) {
            const std::size_t left = count > 16 * r ? count - 16 * r : 0;
            table[r] = _mm512_maskz_loadu_ps(static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1U), leaves + 16 * r);
        }
        for (std::size_t i = 0; i < lanes; i += 16) {
            const __m512i at = _mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(index + i)));
            __m512 found = _mm512_permutex2var_ps(table[0], at, table[1]);
            if constexpr (Pairs > 1)
                found = _mm512_mask_blend_ps(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), found,
                                             _mm512_permutex2var_ps(table[2], at, table[3]));
            _mm512_storeu_ps(sums + i, _mm512_add_ps(_mm512_loadu_ps(sums + i), found));
        }
    }
    static void add_floats(const std::uint8_t* index, const float* leaves, std::size_t count, float* sums,
                           std::size_t lanes) noexcept {
        if (count == 1 || count > 64)
            portable_trees<Tag>::add(index, leaves, count, sums, lanes);
        else if (count <= 32)
            permuted<1>(index, leaves, count, sums, lanes);
        else
            permuted<2>(index, leaves, count, sums, lanes);
    }
};

}  // namespace opspilot::detail
