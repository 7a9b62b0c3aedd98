/// \file
/// Internal: 64 comparisons at a time with AVX-512 (F and BW). Only kernel sources include this.
#pragma once

#if !defined(OPSPILOT_EMULATED_AVX512)  // tests bring intrinsics of their own where the machine has none
#include <immintrin.h>
#endif

#include <type_traits>

#include "opspilot/policy/detail/columns/kernel_loops.hpp"

namespace opspilot::cel::detail {

template <class Tag>
struct avx512_words {
    template <class Test>
    static constexpr int ordered() noexcept {
        if constexpr (std::is_same_v<Test, is_less>) return _CMP_LT_OQ;
        if constexpr (std::is_same_v<Test, is_less_equal>) return _CMP_LE_OQ;
        if constexpr (std::is_same_v<Test, is_greater>) return _CMP_GT_OQ;
        if constexpr (std::is_same_v<Test, is_greater_equal>) return _CMP_GE_OQ;
        return _CMP_EQ_OQ;
    }
    template <class Test>
    static constexpr int whole() noexcept {
        if constexpr (std::is_same_v<Test, is_less>) return _MM_CMPINT_LT;
        if constexpr (std::is_same_v<Test, is_less_equal>) return _MM_CMPINT_LE;
        if constexpr (std::is_same_v<Test, is_greater>) return _MM_CMPINT_NLE;
        if constexpr (std::is_same_v<Test, is_greater_equal>) return _MM_CMPINT_NLT;
        return _MM_CMPINT_EQ;
    }
    template <class Test>
    static std::uint64_t word(const double* x, double limit, Test) noexcept {
        const __m512d wanted = _mm512_set1_pd(limit);
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; k += 8)
            out |= static_cast<std::uint64_t>(_mm512_cmp_pd_mask(_mm512_loadu_pd(x + k), wanted, ordered<Test>())) << k;
        return out;
    }
    template <class Test>
    static std::uint64_t pair(const double* x, const double* y, Test) noexcept {
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; k += 8)
            out |= static_cast<std::uint64_t>(_mm512_cmp_pd_mask(_mm512_loadu_pd(x + k), _mm512_loadu_pd(y + k), ordered<Test>()))
                   << k;
        return out;
    }
    template <class Test>
    static std::uint64_t word(const std::int64_t* x, std::int64_t limit, Test) noexcept {
        const __m512i wanted = _mm512_set1_epi64(limit);
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; k += 8)
            out |= static_cast<std::uint64_t>(_mm512_cmp_epi64_mask(_mm512_loadu_si512(x + k), wanted, whole<Test>())) << k;
        return out;
    }
    template <class Test>
    static std::uint64_t pair(const std::int64_t* x, const std::int64_t* y, Test) noexcept {
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; k += 8)
            out |= static_cast<std::uint64_t>(
                       _mm512_cmp_epi64_mask(_mm512_loadu_si512(x + k), _mm512_loadu_si512(y + k), whole<Test>()))
                   << k;
        return out;
    }
    static std::uint64_t word(const std::uint32_t* x, std::uint32_t limit, is_equal) noexcept {
        const __m512i wanted = _mm512_set1_epi32(static_cast<int>(limit));
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; k += 16)
            out |= static_cast<std::uint64_t>(_mm512_cmpeq_epi32_mask(_mm512_loadu_si512(x + k), wanted)) << k;
        return out;
    }
    static std::uint64_t word(const std::uint8_t* x, std::uint8_t limit, is_equal) noexcept {
        return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(x), _mm512_set1_epi8(static_cast<char>(limit)));
    }
};

}  // namespace opspilot::cel::detail
