// Four doubles in one AVX2 register.
#pragma once

#include <immintrin.h>

#include "opspilot/rank/detail/explain_kernel.hpp"

namespace opspilot::detail {

struct avx2_four {
    __m256d v;

    static avx2_four load(const double* from) noexcept { return {_mm256_loadu_pd(from)}; }
    static avx2_four all(double x) noexcept { return {_mm256_set1_pd(x)}; }
    void store(double* to) const noexcept { _mm256_storeu_pd(to, v); }
    friend avx2_four operator+(avx2_four a, avx2_four b) noexcept { return {_mm256_add_pd(a.v, b.v)}; }
    friend avx2_four operator-(avx2_four a, avx2_four b) noexcept { return {_mm256_sub_pd(a.v, b.v)}; }
    friend avx2_four operator*(avx2_four a, avx2_four b) noexcept { return {_mm256_mul_pd(a.v, b.v)}; }
    [[nodiscard]] double total() const noexcept {
        const __m128d pairs = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
        return _mm_cvtsd_f64(_mm_add_sd(pairs, _mm_unpackhi_pd(pairs, pairs)));
    }
};

}  // namespace opspilot::detail
