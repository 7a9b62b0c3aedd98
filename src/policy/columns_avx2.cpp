#if defined(__x86_64__)
#include "opspilot/policy/detail/columns/kernel_simd.hpp"

namespace opspilot::cel::detail {

const column_kernel& column_kernel_avx2() noexcept;

const column_kernel& column_kernel_avx2() noexcept {
    static constexpr column_kernel kernel = column_loops<simd_words<xsimd::avx2>>::make("avx2");
    return kernel;
}

}  // namespace opspilot::cel::detail
#endif
