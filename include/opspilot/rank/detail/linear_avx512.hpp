/// \file
/// Internal: the linear kernels for AVX-512 (F and DQ). Only kernel sources include this.
#pragma once

// GCC 12 takes the undefined registers inside its own intrinsics for mistakes (its bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <cstddef>

namespace opspilot::detail {

/// Two rows in one register: 8 partial sums each.
inline __m512 linear_two_rows(const float* low, const float* high) noexcept {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high), 1);
}

inline void linear_rows_avx512(const float* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                               float* out) noexcept {
    constexpr std::size_t group = 8;
    const std::size_t whole = features / 8 * 8;
    const auto tail = static_cast<__mmask8>((1U << (features - whole)) - 1U);
    std::size_t row = 0;
    while (row < n) {
        const std::size_t step = n - row < group ? n - row : group;
        const float* start[group];
        for (std::size_t r = 0; r < group; ++r) start[r] = x + (row + (r < step ? r : 0)) * features;
        // The group after this one is fetched while this one is summed: rows are read once and hardware guesses late.
        const float* next = row + 2 * group <= n ? start[0] + group * features : start[0];
        __m512 p[group / 2];
        for (__m512& sum : p) sum = _mm512_setzero_ps();
        for (std::size_t j = 0; j < whole; j += 8) {
            const __m512 w = _mm512_broadcast_f32x8(_mm256_loadu_ps(weights + j));
            for (std::size_t line = 0; line < 4; ++line)
                _mm_prefetch(reinterpret_cast<const char*>(next + group * j + 16 * line), _MM_HINT_T0);
            for (std::size_t r = 0; r < group / 2; ++r)
                p[r] = _mm512_add_ps(p[r], _mm512_mul_ps(linear_two_rows(start[2 * r] + j, start[2 * r + 1] + j), w));
        }
        if (tail != 0) {
            // A sum that began with +0 is never -0, so adding the +0 of an absent feature changes nothing.
            const __m512 w = _mm512_broadcast_f32x8(_mm256_maskz_loadu_ps(tail, weights + whole));
            for (std::size_t r = 0; r < group / 2; ++r) {
                const __m256 low = _mm256_maskz_loadu_ps(tail, start[2 * r] + whole);
                const __m256 high = _mm256_maskz_loadu_ps(tail, start[2 * r + 1] + whole);
                p[r] = _mm512_add_ps(p[r], _mm512_mul_ps(_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1), w));
            }
        }
        // Per row (p0+p4, p1+p5, p2+p6, p3+p7), rows 0 2 4 6 in the lower halves and 1 3 5 7 in the upper ones.
        __m256 q[group / 2];
        for (std::size_t r = 0; r < group / 2; ++r) {
            const __m512 swapped = _mm512_shuffle_f32x4(p[r], p[r], 0xB1);  // exchanges p0..p3 with p4..p7 in both rows
            const __m512 sums = _mm512_add_ps(p[r], swapped);
            q[r] = _mm512_castps512_ps256(_mm512_shuffle_f32x4(sums, sums, 0x08));  // quarters 0 and 2
        }
        const __m256 ab = _mm256_unpacklo_ps(q[0], q[1]);
        const __m256 ab2 = _mm256_unpackhi_ps(q[0], q[1]);
        const __m256 cd = _mm256_unpacklo_ps(q[2], q[3]);
        const __m256 cd2 = _mm256_unpackhi_ps(q[2], q[3]);
        const __m256 first = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab2, cd2, 0x44));   // 0 + 2
        const __m256 second = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0xEE), _mm256_shuffle_ps(ab2, cd2, 0xEE));  // 1 + 3
        const __m256 total = _mm256_add_ps(_mm256_add_ps(first, second), _mm256_set1_ps(intercept));
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256 scores = _mm256_permutevar8x32_ps(total, order);
        _mm256_mask_storeu_ps(out + row, static_cast<__mmask8>((1U << step) - 1U), scores);
        row += step;
    }
}

/// Up to 32 rows; `left` and `right` say which of the first and the last 16 exist.
inline void linear_column_block(const float* const* x, std::size_t row, std::size_t features, const float* weights,
                                float intercept, __mmask16 left, __mmask16 right, float* out) noexcept {
    __m512 p[8];
    __m512 q[8];
    for (std::size_t l = 0; l < 8; ++l) p[l] = q[l] = _mm512_setzero_ps();
    const auto add = [&](std::size_t j, std::size_t l) noexcept {
        const __m512 w = _mm512_set1_ps(weights[j]);
        p[l] = _mm512_add_ps(p[l], _mm512_mul_ps(_mm512_maskz_loadu_ps(left, x[j] + row), w));
        q[l] = _mm512_add_ps(q[l], _mm512_mul_ps(_mm512_maskz_loadu_ps(right, x[j] + row + 16), w));
    };
    const std::size_t whole = features / 8 * 8;
    for (std::size_t j = 0; j < whole; j += 8)
        for (std::size_t l = 0; l < 8; ++l) add(j + l, l);
    for (std::size_t l = 0; whole + l < features; ++l) add(whole + l, l);
    const auto total = [&](const __m512* s) noexcept {
        const __m512 even = _mm512_add_ps(_mm512_add_ps(s[0], s[4]), _mm512_add_ps(s[2], s[6]));
        const __m512 odd = _mm512_add_ps(_mm512_add_ps(s[1], s[5]), _mm512_add_ps(s[3], s[7]));
        return _mm512_add_ps(_mm512_add_ps(even, odd), _mm512_set1_ps(intercept));
    };
    _mm512_mask_storeu_ps(out + row, left, total(p));
    _mm512_mask_storeu_ps(out + row + 16, right, total(q));
}

inline void linear_columns_avx512(const float* const* x, std::size_t n, std::size_t features, const float* weights,
                                  float intercept, float* out) noexcept {
    std::size_t row = 0;
    for (; row + 32 <= n; row += 32) linear_column_block(x, row, features, weights, intercept, 0xFFFF, 0xFFFF, out);
    if (row < n) {
        const auto some = static_cast<unsigned>((1ULL << (n - row)) - 1ULL);
        linear_column_block(x, row, features, weights, intercept, static_cast<__mmask16>(some & 0xFFFFU),
                            static_cast<__mmask16>(some >> 16U), out);
    }
}

}  // namespace opspilot::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
