#if defined(__x86_64__)
#include "opspilot/base/detail/sha256_x86.hpp"

namespace opspilot::detail {

void sha256_kernel_x86(std::uint32_t* state, const unsigned char* bytes, std::size_t blocks) noexcept;

void sha256_kernel_x86(std::uint32_t* state, const unsigned char* bytes, std::size_t blocks) noexcept {
    sha256_blocks_x86(state, bytes, blocks);
}

}  // namespace opspilot::detail
#endif
