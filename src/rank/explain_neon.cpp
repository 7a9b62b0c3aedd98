#if defined(__aarch64__)
#include "opspilot/rank/detail/explain_pairs.hpp"

namespace opspilot::detail {

const explain_kernel& explain_kernel_neon() noexcept;

const explain_kernel& explain_kernel_neon() noexcept {
    static constexpr explain_kernel kernel = make_explain_kernel<paired_four<xsimd::neon64>>("neon");
    return kernel;
}

}  // namespace opspilot::detail
#endif
