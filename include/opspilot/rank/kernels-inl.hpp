#pragma once

#include <fmt/format.h>

#include <array>
#include <vector>

#include "opspilot/rank/kernels.hpp"

#if defined(OPSPILOT_HEADER_ONLY)
// Without sources of their own the wider kernels exist when the including program is compiled for them.
#if defined(__AVX2__)
#include "opspilot/rank/detail/linear_simd.hpp"
#endif
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "opspilot/rank/detail/linear_avx512.hpp"
#endif
#endif

namespace opspilot {

namespace detail {

inline void linear_rows_scalar(const float* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                               float* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const float* row = x + i * features;
        float p[8] = {};
        for (std::size_t j = 0; j < features; ++j) p[j % 8] = p[j % 8] + row[j] * weights[j];
        out[i] = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) + intercept;
    }
}

inline void linear_columns_scalar(const float* const* x, std::size_t n, std::size_t features, const float* weights,
                                  float intercept, float* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        float p[8] = {};
        for (std::size_t j = 0; j < features; ++j) p[j % 8] = p[j % 8] + x[j][i] * weights[j];
        out[i] = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) + intercept;
    }
}

inline constexpr linear_kernel linear_scalar{"scalar", &linear_rows_scalar, &linear_columns_scalar};

#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
inline constexpr linear_kernel linear_avx512{"avx512", &linear_rows_avx512, &linear_columns_avx512};
#endif
#if defined(__AVX2__)
inline constexpr linear_kernel linear_avx2{"avx2", &linear_rows_simd<xsimd::avx2>, &linear_columns_simd<xsimd::avx2>};
#endif
#elif defined(__x86_64__)
// Each in a source compiled for its instruction set.
const linear_kernel& linear_kernel_avx512() noexcept;
const linear_kernel& linear_kernel_avx2() noexcept;
const linear_kernel& linear_kernel_sse4() noexcept;
#endif

struct linear_kernel_list {
    std::array<const linear_kernel*, 4> kernels{};
    std::size_t count = 0;
    void add(const linear_kernel& kernel) noexcept { kernels[count++] = &kernel; }
};

inline linear_kernel_list detect_linear_kernels() noexcept {
    linear_kernel_list found;
#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    found.add(linear_avx512);
#endif
#if defined(__AVX2__)
    found.add(linear_avx2);
#endif
#elif defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        found.add(linear_kernel_avx512());
    if (__builtin_cpu_supports("avx2")) found.add(linear_kernel_avx2());
    if (__builtin_cpu_supports("sse4.2")) found.add(linear_kernel_sse4());
#endif
    found.add(linear_scalar);
    return found;
}

}  // namespace detail

OPSPILOT_INLINE std::span<const linear_kernel* const> linear_kernels() noexcept {
    static const detail::linear_kernel_list found = detail::detect_linear_kernels();
    return {found.kernels.data(), found.count};
}

OPSPILOT_INLINE result<const linear_kernel*> find_linear_kernel(std::string_view name) {
    const auto kernels = linear_kernels();
    if (name.empty()) return kernels.front();
    std::vector<std::string_view> names;
    for (const linear_kernel* kernel : kernels) {
        if (kernel->name == name) return kernel;
        names.push_back(kernel->name);
    }
    return error{error_kind::usage,
                 "usage.unknown_engine",
                 fmt::format("this machine has no linear kernel '{}'", name),
                 {},
                 fmt::format("one of: {}", fmt::join(names, ", "))};
}

}  // namespace opspilot
