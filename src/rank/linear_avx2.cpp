#if defined(__x86_64__)
#include "opspilot/rank/detail/linear_simd.hpp"
#include "opspilot/rank/kernels.hpp"

namespace opspilot::detail {

const linear_kernel& linear_kernel_avx2() noexcept;

const linear_kernel& linear_kernel_avx2() noexcept {
    static constexpr linear_kernel kernel{"avx2", &linear_rows_simd<xsimd::avx2>, &linear_columns_simd<xsimd::avx2>};
    return kernel;
}

}  // namespace opspilot::detail
#endif
