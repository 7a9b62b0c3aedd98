#if defined(__x86_64__)
#include "opspilot/rank/detail/explain_avx2.hpp"

namespace opspilot::detail {

const explain_kernel& explain_kernel_avx2() noexcept;

const explain_kernel& explain_kernel_avx2() noexcept {
    static constexpr explain_kernel kernel = make_explain_kernel<avx2_four>("avx2");
    return kernel;
}

}  // namespace opspilot::detail
#endif
