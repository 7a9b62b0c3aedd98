#if defined(__x86_64__)
#include "opspilot/policy/detail/columns/kernel_simd.hpp"

namespace opspilot::cel::detail {

const column_kernel& column_kernel_sse4() noexcept;

const column_kernel& column_kernel_sse4() noexcept {
    static constexpr column_kernel kernel = column_loops<simd_words<xsimd::sse4_2>>::make("sse4");
    return kernel;
}

}  // namespace opspilot::cel::detail
#endif
