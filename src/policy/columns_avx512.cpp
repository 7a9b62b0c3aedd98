#if defined(__x86_64__)
#include "opspilot/policy/detail/columns/kernel_avx512.hpp"

namespace opspilot::cel::detail {

const column_kernel& column_kernel_avx512() noexcept;

struct avx512_tag;

const column_kernel& column_kernel_avx512() noexcept {
    static constexpr column_kernel kernel = column_loops<avx512_words<avx512_tag>>::make("avx512");
    return kernel;
}

}  // namespace opspilot::cel::detail
#endif
