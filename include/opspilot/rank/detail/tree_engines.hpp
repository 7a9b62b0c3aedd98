// Which tree kernels this build has and this machine can run.
#pragma once

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/detail/tree_kernel.hpp"
#include "opspilot/rank/detail/tree_portable.hpp"
#include "opspilot/rank/tree_scorer.hpp"

#if defined(OPSPILOT_HEADER_ONLY)
// Without sources of their own the wider kernels exist when the including program is compiled for them.
#if defined(__AVX2__)
#include "opspilot/rank/detail/tree_simd.hpp"
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "opspilot/rank/detail/tree_avx512.hpp"
#endif
#endif

namespace opspilot::detail {

struct scalar_tag;
inline constexpr tree_kernel tree_scalar = make_tree_kernel<portable_trees<scalar_tag>>("scalar", 16);

#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX2__)
inline constexpr tree_kernel tree_avx2 = make_tree_kernel<simd_trees<xsimd::avx2>>("avx2", 32);
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
struct avx512_tag;
inline constexpr tree_kernel tree_avx512 = make_tree_kernel<avx512_trees<avx512_tag>>("avx512", 64);
#endif
#elif defined(__x86_64__)
const tree_kernel& tree_kernel_avx512() noexcept;
const tree_kernel& tree_kernel_avx2() noexcept;
const tree_kernel& tree_kernel_sse4() noexcept;
#elif defined(__aarch64__)
const tree_kernel& tree_kernel_neon() noexcept;
#endif

struct tree_kernel_list {
    std::array<const tree_kernel*, 4> kernels{};
    std::array<std::string_view, 4> names{};
    std::size_t count = 0;
    void add(const tree_kernel& kernel) noexcept {
        names[count] = kernel.name;
        kernels[count++] = &kernel;
    }
};

inline tree_kernel_list detect_tree_kernels() noexcept {
    tree_kernel_list found;
#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    found.add(tree_avx512);
#endif
#if defined(__AVX2__)
    found.add(tree_avx2);
#endif
#elif defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        found.add(tree_kernel_avx512());
    if (__builtin_cpu_supports("avx2")) found.add(tree_kernel_avx2());
    if (__builtin_cpu_supports("sse4.2")) found.add(tree_kernel_sse4());
#elif defined(__aarch64__)
    found.add(tree_kernel_neon());
#endif
    found.add(tree_scalar);
    return found;
}

inline const tree_kernel_list& known_tree_kernels() noexcept {
    static const tree_kernel_list found = detect_tree_kernels();
    return found;
}

inline result<const tree_kernel*> find_tree_kernel(std::string_view name) {
    const tree_kernel_list& known = known_tree_kernels();
    if (name.empty()) return known.kernels.front();
    for (std::size_t i = 0; i < known.count; ++i)
        if (known.names[i] == name) return known.kernels[i];
    return error{error_kind::usage,
                 "usage.unknown_engine",
                 fmt::format("this machine has no tree engine '{}'", name),
                 {},
                 fmt::format("one of: {}", fmt::join(tree_engines(), ", "))};
}

}  // namespace opspilot::detail
