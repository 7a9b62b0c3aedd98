#if defined(__x86_64__)
#include "opspilot/rank/detail/tree_avx512.hpp"

namespace opspilot::detail {

const tree_kernel& tree_kernel_avx512() noexcept;

struct avx512_tag;

const tree_kernel& tree_kernel_avx512() noexcept {
    static constexpr tree_kernel kernel = make_tree_kernel<avx512_trees<avx512_tag>>("avx512", 64);
    return kernel;
}

}  // namespace opspilot::detail
#endif
