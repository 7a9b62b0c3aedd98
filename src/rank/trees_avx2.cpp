#if defined(__x86_64__)
#include "opspilot/rank/detail/tree_simd.hpp"

namespace opspilot::detail {

const tree_kernel& tree_kernel_avx2() noexcept;

const tree_kernel& tree_kernel_avx2() noexcept {
    static constexpr tree_kernel kernel = make_tree_kernel<simd_trees<xsimd::avx2>>("avx2", 32);
    return kernel;
}

}  // namespace opspilot::detail
#endif
