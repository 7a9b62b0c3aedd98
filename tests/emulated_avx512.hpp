// AVX-512 intrinsics by SIMDe, and in plain loops those that its version 0.7.4 lacks.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstdint>
#include <cstring>

using __mmask8 = simde__mmask8;
using __mmask16 = simde__mmask16;
using __mmask64 = simde__mmask64;

namespace emulated {

template <class Vector, class T, std::size_t N, class From>
Vector widened(const From& from) noexcept {
    std::uint8_t bytes[sizeof(From)];
    std::memcpy(bytes, &from, sizeof bytes);
    T wide[N];
    for (std::size_t i = 0; i < N; ++i) wide[i] = bytes[i];
    Vector out;
    std::memcpy(&out, wide, sizeof out);
    return out;
}

/// Lanes whose bit is not set are zero, and their memory is not touched.
template <class Vector, class T, std::size_t N>
Vector loaded(unsigned mask, const void* from) noexcept {
    T lanes[N] = {};
    for (std::size_t i = 0; i < N; ++i)
        if ((mask >> i & 1U) != 0) std::memcpy(lanes + i, static_cast<const T*>(from) + i, sizeof(T));
    Vector out;
    std::memcpy(&out, lanes, sizeof out);
    return out;
}

}  // namespace emulated

inline __m512i _mm512_maskz_cvtepu8_epi64(__mmask8, __m128i a) noexcept {
    return emulated::widened<__m512i, std::uint64_t, 8>(a);
}
inline __m512i _mm512_maskz_cvtepu8_epi32(__mmask16, __m128i a) noexcept {
    return emulated::widened<__m512i, std::uint32_t, 16>(a);
}
inline __m512d _mm512_maskz_loadu_pd(__mmask8 mask, const void* from) noexcept {
    return emulated::loaded<__m512d, double, 8>(mask, from);
}
inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* from) noexcept {
    return emulated::loaded<__m512, float, 16>(mask, from);
}
/// Intel's numbers of comparisons.
enum : std::uint8_t { _MM_CMPINT_EQ, _MM_CMPINT_LT, _MM_CMPINT_LE, _MM_CMPINT_NE = 4, _MM_CMPINT_NLT, _MM_CMPINT_NLE };

inline __mmask8 _mm512_cmp_epi64_mask(__m512i a, __m512i b, int how) noexcept {
    std::int64_t x[8], y[8];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    const auto holds = [how](std::int64_t p, std::int64_t q) {
        switch (how) {
            case _MM_CMPINT_EQ: return p == q;
            case _MM_CMPINT_LT: return p < q;
            case _MM_CMPINT_LE: return p <= q;
            case _MM_CMPINT_NE: return p != q;
            case _MM_CMPINT_NLT: return p >= q;
            case _MM_CMPINT_NLE: return p > q;
            default: return false;
        }
    };
    unsigned out = 0;
    for (std::size_t i = 0; i < 8; ++i) out |= static_cast<unsigned>(holds(x[i], y[i])) << i;
    return static_cast<__mmask8>(out);
}
