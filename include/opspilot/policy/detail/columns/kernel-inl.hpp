#pragma once

#include <fmt/format.h>

#include <array>
#include <vector>

#include "opspilot/policy/detail/columns/kernel_loops.hpp"

#if defined(OPSPILOT_HEADER_ONLY)
// Without sources of their own the wider kernels exist when the including program is compiled for them.
#if defined(__AVX2__)
#include "opspilot/policy/detail/columns/kernel_simd.hpp"
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__)
#include "opspilot/policy/detail/columns/kernel_avx512.hpp"
#endif
#endif

namespace opspilot::cel::detail {

struct scalar_tag;
inline constexpr column_kernel column_scalar = column_loops<portable_words<scalar_tag>>::make("scalar");

#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX2__)
inline constexpr column_kernel column_avx2 = column_loops<simd_words<xsimd::avx2>>::make("avx2");
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__)
struct avx512_tag;
inline constexpr column_kernel column_avx512 = column_loops<avx512_words<avx512_tag>>::make("avx512");
#endif
#elif defined(__x86_64__)
// Each in a source compiled for its instruction set.
const column_kernel& column_kernel_avx512() noexcept;
const column_kernel& column_kernel_avx2() noexcept;
const column_kernel& column_kernel_sse4() noexcept;
#endif

struct column_kernel_list {
    std::array<const column_kernel*, 4> kernels{};
    std::size_t count = 0;
    void add(const column_kernel& kernel) noexcept { kernels[count++] = &kernel; }
};

inline column_kernel_list detect_column_kernels() noexcept {
    column_kernel_list found;
#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX512F__) && defined(__AVX512BW__)
    found.add(column_avx512);
#endif
#if defined(__AVX2__)
    found.add(column_avx2);
#endif
#elif defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) found.add(column_kernel_avx512());
    if (__builtin_cpu_supports("avx2")) found.add(column_kernel_avx2());
    if (__builtin_cpu_supports("sse4.2")) found.add(column_kernel_sse4());
#endif
    found.add(column_scalar);
    return found;
}

OPSPILOT_INLINE std::span<const column_kernel* const> column_kernels() noexcept {
    static const column_kernel_list found = detect_column_kernels();
    return {found.kernels.data(), found.count};
}

OPSPILOT_INLINE result<const column_kernel*> find_column_kernel(std::string_view name) {
    if (name.empty()) return column_kernels().front();
    std::vector<std::string_view> known;
    for (const column_kernel* kernel : column_kernels()) {
        if (kernel->name == name) return kernel;
        known.push_back(kernel->name);
    }
    return error{error_kind::usage,
                 "usage.unknown_engine",
                 fmt::format("this machine has no policy engine '{}'", name),
                 {},
                 fmt::format("one of: {}", fmt::join(known, ", "))};
}

}  // namespace opspilot::cel::detail
