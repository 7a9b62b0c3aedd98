// Category sets by byte shuffle: 32 bytes of a set lie in registers, and each lane picks the byte and the bit of its category.
#pragma once

#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "opspilot/rank/detail/tree_portable.hpp"

namespace opspilot::detail {

/// `tree_kernel::members` for one of xsimd's instruction sets, which has no shuffle by variable bytes; else in plain loops.
template <class Arch>
struct simd_members {
    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        portable_trees<Arch>::members(codes, bits, more, out, lanes);
    }
};

#if defined(__AVX2__)
template <>
struct simd_members<xsimd::avx2> {
    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        const auto* const half = reinterpret_cast<const __m128i*>(bits);
        const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128(half));
        const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128(half + 1));
        const __m256i powers = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
        const __m256i right = _mm256_set1_epi8(127);
        for (std::size_t i = 0; i < lanes; i += 32) {
            const __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
            const __m256i place = _mm256_and_si256(_mm256_srli_epi16(code, 3), _mm256_set1_epi8(15));
            const __m256i byte =
                _mm256_blendv_epi8(_mm256_shuffle_epi8(low, place), _mm256_shuffle_epi8(high, place), code);  // by its top bit
            const __m256i bit = _mm256_shuffle_epi8(powers, _mm256_and_si256(code, _mm256_set1_epi8(7)));
            __m256i side = _mm256_xor_si256(right, _mm256_cmpeq_epi8(_mm256_and_si256(byte, bit), bit));  // 127, or -128
            auto* const to = reinterpret_cast<__m256i*>(out + i);
            if (more) side = _mm256_min_epi8(side, _mm256_loadu_si256(to));
            _mm256_storeu_si256(to, side);
        }
    }
};
#endif

#if defined(__SSE4_2__)
template <>
struct simd_members<xsimd::sse4_2> {
    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        const auto* const half = reinterpret_cast<const __m128i*>(bits);
        const __m128i low = _mm_loadu_si128(half), high = _mm_loadu_si128(half + 1);
        const __m128i powers = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
        const __m128i right = _mm_set1_epi8(127);
        for (std::size_t i = 0; i < lanes; i += 16) {
            const __m128i code = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i));
            const __m128i place = _mm_and_si128(_mm_srli_epi16(code, 3), _mm_set1_epi8(15));
            const __m128i byte = _mm_blendv_epi8(_mm_shuffle_epi8(low, place), _mm_shuffle_epi8(high, place), code);
            const __m128i bit = _mm_shuffle_epi8(powers, _mm_and_si128(code, _mm_set1_epi8(7)));
            __m128i side = _mm_xor_si128(right, _mm_cmpeq_epi8(_mm_and_si128(byte, bit), bit));
            auto* const to = reinterpret_cast<__m128i*>(out + i);
            if (more) side = _mm_min_epi8(side, _mm_loadu_si128(to));
            _mm_storeu_si128(to, side);
        }
    }
};
#endif

#if defined(__aarch64__)
template <>
struct simd_members<xsimd::neon64> {
    static void members(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out,
                        std::size_t lanes) noexcept {
        const uint8x16x2_t set = vld1q_u8_x2(bits);
        const uint8x16_t powers = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ULL));
        for (std::size_t i = 0; i < lanes; i += 16) {
            const uint8x16_t code = vld1q_u8(codes + i);
            const uint8x16_t byte = vqtbl2q_u8(set, vshrq_n_u8(code, 3));
            const uint8x16_t bit = vqtbl1q_u8(powers, vandq_u8(code, vdupq_n_u8(7)));
            int8x16_t side = veorq_s8(vdupq_n_s8(127), vreinterpretq_s8_u8(vtstq_u8(byte, bit)));
            if (more) side = vminq_s8(side, vld1q_s8(out + i));
            vst1q_s8(out + i, side);
        }
    }
};
#endif

}  // namespace opspilot::detail
