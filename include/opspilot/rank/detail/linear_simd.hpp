/// \file
/// Internal: the linear kernels written once over xsimd batches of 4 or 8 floats. Only kernel sources include this.
#pragma once

#include <cstddef>
#include <xsimd/xsimd.hpp>

namespace opspilot::detail {

/// The eight partial sums of one row, in 8 / size registers.
template <class Arch>
struct linear_partials {
    using batch = xsimd::batch<float, Arch>;
    static constexpr std::size_t parts = 8 / batch::size;
    batch sum[parts];

    /// (p0+p4, p1+p5, p2+p6, p3+p7)
    __m128 halves() const noexcept {
        if constexpr (parts == 2)
            return static_cast<__m128>(sum[0] + sum[1]);
        else
            return _mm_add_ps(_mm256_castps256_ps128(sum[0]), _mm256_extractf128_ps(sum[0], 1));
    }
};

template <class Arch>
inline void linear_rows_simd(const float* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                             float* out) noexcept {
    using batch = xsimd::batch<float, Arch>;
    constexpr std::size_t parts = linear_partials<Arch>::parts;
    constexpr std::size_t group = 8 / parts;  // rows whose additions overlap
    const std::size_t whole = features / 8 * 8;
    const std::size_t tail = features - whole;
    const float* const end = x + n * features;
    alignas(32) float last_weights[8] = {};
    for (std::size_t l = 0; l < tail; ++l) last_weights[l] = weights[whole + l];

    std::size_t row = 0;
    while (row < n) {
        // The last group may reach back over rows already done: they get the same bits again.
        const std::size_t step = n - row < group ? n - row : group;
        linear_partials<Arch> p[group];
        const float* start[group];
        for (std::size_t r = 0; r < group; ++r) {
            start[r] = x + (row + (r < step ? r : 0)) * features;
            for (std::size_t k = 0; k < parts; ++k) p[r].sum[k] = batch(0.0F);
        }
        // The group after this one is fetched while this one is summed: rows are read once and hardware guesses late.
        const float* next = row + 2 * group <= n ? start[0] + group * features : start[0];
        for (std::size_t j = 0; j < whole; j += 8) {
            for (std::size_t line = 0; line < group; line += 2)
                _mm_prefetch(reinterpret_cast<const char*>(next + group * j + 8 * line), _MM_HINT_T0);
            for (std::size_t k = 0; k < parts; ++k) {
                const batch w = batch::load_unaligned(weights + j + k * batch::size);
                for (std::size_t r = 0; r < group; ++r)
                    p[r].sum[k] = p[r].sum[k] + batch::load_unaligned(start[r] + j + k * batch::size) * w;
            }
        }
        if (tail > 0)
            for (std::size_t r = 0; r < group; ++r) {
                // A sum that began with +0 is never -0, so adding the +0 of an absent feature changes nothing.
                alignas(32) float values[8] = {};
                const float* from = start[r] + whole;
                for (std::size_t l = 0; l < tail && from + l < end; ++l) values[l] = from[l];
                for (std::size_t k = 0; k < parts; ++k)
                    p[r].sum[k] = p[r].sum[k] + batch::load_aligned(values + k * batch::size) *
                                                    batch::load_aligned(last_weights + k * batch::size);
            }
        alignas(16) float scores[group];
        for (std::size_t r = 0; r < group; r += 4) {
            __m128 a = p[r].halves();
            __m128 b = p[r + 1].halves();
            __m128 c = p[r + 2].halves();
            __m128 d = p[r + 3].halves();
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_store_ps(scores + r, _mm_add_ps(_mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d)), _mm_set1_ps(intercept)));
        }
        for (std::size_t r = 0; r < step; ++r) out[row + r] = scores[r];
        row += step;
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
