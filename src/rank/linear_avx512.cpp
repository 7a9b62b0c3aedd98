#if defined(__x86_64__)
#include "opspilot/rank/detail/linear_avx512.hpp"
#include "opspilot/rank/kernels.hpp"

namespace opspilot::detail {

const linear_kernel& linear_kernel_avx512() noexcept;

const linear_kernel& linear_kernel_avx512() noexcept {
    static constexpr linear_kernel kernel{"avx512", &linear_rows_avx512, &linear_columns_avx512};
    return kernel;
}

}  // namespace opspilot::detail
#endif
