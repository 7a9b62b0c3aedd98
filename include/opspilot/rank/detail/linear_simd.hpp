/// \file
/// Internal: the linear kernels written once over xsimd batches of 4 or 8 floats. Only kernel sources include this.
#pragma once

#include <cstddef>
#include <xsimd/xsimd.hpp>

namespace opspilot::detail {

/// (p0+p4, p1+p5, p2+p6, p3+p7) of the eight partial sums of one row, which stand in 8 / size registers.
template <class Arch>
inline __m128 linear_halves(const xsimd::batch<float, Arch>* sum) noexcept {
    if constexpr (xsimd::batch<float, Arch>::size == 4)
        return static_cast<__m128>(sum[0] + sum[1]);
    else
        return _mm_add_ps(_mm256_castps256_ps128(sum[0]), _mm256_extractf128_ps(sum[0], 1));
}

/// Scores of `Rows` rows, 1 or a multiple of 4, whose additions overlap. Rows are reached from one pointer by their stride: with
/// a pointer for each, the registers of x86-64 do not suffice and every load waits for another. `next` is fetched meanwhile.
template <class Arch, std::size_t Rows>
inline void linear_row_group(const float* x, const float* next, std::size_t features, const float* weights,
                             const float* last_weights, float intercept, float* out) noexcept {
    using batch = xsimd::batch<float, Arch>;
    constexpr std::size_t parts = 8 / batch::size;
    const std::size_t whole = features / 8 * 8;
    batch p[Rows][parts];
    for (auto& row : p)
        for (batch& sum : row) sum = batch(0.0F);
    for (std::size_t j = 0; j < whole; j += 8) {
        for (std::size_t line = 0; line < Rows; line += 2)
            _mm_prefetch(reinterpret_cast<const char*>(next + Rows * j + 8 * line), _MM_HINT_T0);
        for (std::size_t k = 0; k < parts; ++k) {
            const batch w = batch::load_unaligned(weights + j + k * batch::size);
            for (std::size_t r = 0; r < Rows; ++r)
                p[r][k] = p[r][k] + batch::load_unaligned(x + r * features + j + k * batch::size) * w;
        }
    }
    if (whole < features)
        for (std::size_t r = 0; r < Rows; ++r) {
            // A sum that began with +0 is never -0, so adding the +0 of an absent feature changes nothing.
            alignas(32) float values[8] = {};
            for (std::size_t l = 0; whole + l < features; ++l) values[l] = x[r * features + whole + l];
            for (std::size_t k = 0; k < parts; ++k)
                p[r][k] =
                    p[r][k] + batch::load_aligned(values + k * batch::size) * batch::load_aligned(last_weights + k * batch::size);
        }
    if constexpr (Rows == 1) {
        const __m128 q = linear_halves<Arch>(p[0]);
        const __m128 pair = _mm_add_ps(q, _mm_movehl_ps(q, q));  // 0 + 2, 1 + 3
        *out = _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1))) + intercept;
    } else {
        for (std::size_t r = 0; r < Rows; r += 4) {
            __m128 a = linear_halves<Arch>(p[r]);
            __m128 b = linear_halves<Arch>(p[r + 1]);
            __m128 c = linear_halves<Arch>(p[r + 2]);
            __m128 d = linear_halves<Arch>(p[r + 3]);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(out + r, _mm_add_ps(_mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d)), _mm_set1_ps(intercept)));
        }
    }
}

template <class Arch>
inline void linear_rows_simd(const float* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                             float* out) noexcept {
    constexpr std::size_t group = xsimd::batch<float, Arch>::size;  // as many rows as leave registers for the rest
    alignas(32) float last_weights[8] = {};
    for (std::size_t j = features / 8 * 8; j < features; ++j) last_weights[j % 8] = weights[j];
    std::size_t row = 0;
    for (; row + group <= n; row += group) {
        // Rows are read once and hardware guesses late: the group after this one is fetched while this one is summed.
        const float* const start = x + row * features;
        const float* const next = row + 2 * group <= n ? start + group * features : start;
        linear_row_group<Arch, group>(start, next, features, weights, last_weights, intercept, out + row);
    }
    for (; row < n; ++row) {
        const float* const start = x + row * features;
        linear_row_group<Arch, 1>(start, start, features, weights, last_weights, intercept, out + row);
    }
}

template <class Arch>
inline void linear_columns_simd(const float* const* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                                float* out) noexcept {
    using batch = xsimd::batch<float, Arch>;
    const std::size_t whole = features / 8 * 8;
    std::size_t row = 0;
    for (; row + batch::size <= n; row += batch::size) {
        batch p[8];
        for (batch& sum : p) sum = batch(0.0F);
        for (std::size_t j = 0; j < whole; j += 8)
            for (std::size_t l = 0; l < 8; ++l) p[l] = p[l] + batch::load_unaligned(x[j + l] + row) * batch(weights[j + l]);
        for (std::size_t l = 0; whole + l < features; ++l)
            p[l] = p[l] + batch::load_unaligned(x[whole + l] + row) * batch(weights[whole + l]);
        const batch total = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
        (total + batch(intercept)).store_unaligned(out + row);
    }
    for (; row < n; ++row) {
        float p[8] = {};
        for (std::size_t j = 0; j < features; ++j) p[j % 8] = p[j % 8] + x[j][row] * weights[j];
        out[row] = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) + intercept;
    }
}

}  // namespace opspilot::detail
