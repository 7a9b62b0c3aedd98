#if defined(__aarch64__)
#include "opspilot/rank/detail/tree_simd.hpp"

namespace opspilot::detail {

const tree_kernel& tree_kernel_neon() noexcept;

const tree_kernel& tree_kernel_neon() noexcept {
    static constexpr tree_kernel kernel = make_tree_kernel<simd_trees<xsimd::neon64>>("neon", 16);
    return kernel;
}

}  // namespace opspilot::detail
#endif
