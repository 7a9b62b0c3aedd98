#if defined(__x86_64__)
#include "opspilot/features/detail/columns.hpp"

namespace opspilot::detail {

namespace {
struct avx2_columns {};
}  // namespace

const column_kernel& column_kernel_avx2() noexcept {
    static constexpr column_kernel kernel = make_column_kernel<avx2_columns>("avx2");
    return kernel;
}

}  // namespace opspilot::detail
#endif
