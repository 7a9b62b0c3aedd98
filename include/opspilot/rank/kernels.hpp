/// \file
/// Kernels of the dense linear ranker, one per instruction set: found once, named, forceable, equal bit for bit.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// One implementation of score = x · w + intercept in float32.
///
/// All kernels compute the same expression: p_l = Σ x_j w_j over the features j with j mod 8 = l, in ascending j from +0, each
/// product rounded before it is added (no fused multiply-add); score = (((p0+p4)+(p2+p6)) + ((p1+p5)+(p3+p7))) + intercept.
struct linear_kernel {
    std::string_view name;  ///< "avx512", "avx2", "sse4" or "scalar"
    /// n rows of `features` values one after the other; exactly n × features values are read.
    void (*rows)(const float* x, std::size_t n, std::size_t features, const float* weights, float intercept, float* out) noexcept;
    /// One pointer per feature to n values each; exactly n values of each are read.
    void (*columns)(const float* const* x, std::size_t n, std::size_t features, const float* weights, float intercept,
                    float* out) noexcept;
};

/// The kernels of this build that this machine can run, best first; "scalar" is always the last.
[[nodiscard]] OPSPILOT_API std::span<const linear_kernel* const> linear_kernels() noexcept;

/// The kernel of that name, or the best one for "". Errors: usage.unknown_engine.
[[nodiscard]] OPSPILOT_API result<const linear_kernel*> find_linear_kernel(std::string_view name);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/kernels-inl.hpp"
#endif
