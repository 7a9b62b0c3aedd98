#if defined(__x86_64__)
#include "opspilot/rank/detail/linear_simd.hpp"
#include "opspilot/rank/kernels.hpp"

namespace opspilot::detail {

const linear_kernel& linear_kernel_sse4() noexcept;

const linear_kernel& linear_kernel_sse4() noexcept {
    static constexpr linear_kernel kernel{"sse4", &linear_rows_simd<xsimd::sse4_2>, &linear_columns_simd<xsimd::sse4_2>};
    return kernel;
}

}  // namespace opspilot::detail
#endif
