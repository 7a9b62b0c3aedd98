#if defined(__x86_64__)
#include "opspilot/rank/detail/tree_simd.hpp"

namespace opspilot::detail {

const tree_kernel& tree_kernel_sse4() noexcept;

const tree_kernel& tree_kernel_sse4() noexcept {
    static constexpr tree_kernel kernel = make_tree_kernel<simd_trees<xsimd::sse4_2>>("sse4", 16);
    return kernel;
}

}  // namespace opspilot::detail
#endif
