/// \file
/// Internal: 64 comparisons at a time over xsimd's batches. Only kernel sources include this.
#pragma once

#include <xsimd/xsimd.hpp>

#include "opspilot/policy/detail/columns/kernel_loops.hpp"

namespace opspilot::cel::detail {

template <class Arch>
struct simd_words {
    /// A bit per lane. xsimd has a name for it from version 9 on.
    template <class T>
    static std::uint64_t bits(const xsimd::batch_bool<T, Arch>& lanes) noexcept {
        const typename xsimd::batch_bool<T, Arch>::register_type mask = lanes;
        if constexpr (xsimd::batch<T, Arch>::size * sizeof(T) == 32) {
#if defined(__AVX2__)
            const auto bytes = reinterpret_cast<__m256i>(mask);
            if constexpr (sizeof(T) == 8) return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(bytes)));
            if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(bytes)));
            return static_cast<unsigned>(_mm256_movemask_epi8(bytes));
#endif
        } else {
            const auto bytes = reinterpret_cast<__m128i>(mask);
            if constexpr (sizeof(T) == 8) return static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(bytes)));
            if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm_movemask_ps(_mm_castsi128_ps(bytes)));
            return static_cast<unsigned>(_mm_movemask_epi8(bytes));
        }
    }
    template <class T, class Test>
    static std::uint64_t word(const T* x, T limit, Test test) noexcept {
        using batch = xsimd::batch<T, Arch>;
        const batch wanted(limit);
        std::uint64_t out = 0;
        for (std::size_t k = 0; k < 64; k += batch::size) out |= bits<T>(test(batch::load_unaligned(x + k), wanted)) << k;
        return out;
    }
    template <class T, class Test>
    static std::uint64_t pair(const T* x, const T* y, Test test) noexcept {
        using batch = xsimd::batch<T, Arch>;
        std::uint64_t out = 0;
        for (std::size_t k = 0; k < 64; k += batch::size)
            out |= bits<T>(test(batch::load_unaligned(x + k), batch::load_unaligned(y + k))) << k;
        return out;
    }
};

}  // namespace opspilot::cel::detail
