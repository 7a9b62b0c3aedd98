#if defined(__x86_64__)
#include "opspilot/rank/detail/explain_pairs.hpp"

namespace opspilot::detail {

const explain_kernel& explain_kernel_sse4() noexcept;

const explain_kernel& explain_kernel_sse4() noexcept {
    static constexpr explain_kernel kernel = make_explain_kernel<paired_four<xsimd::sse4_2>>("sse4");
    return kernel;
}

}  // namespace opspilot::detail
#endif
