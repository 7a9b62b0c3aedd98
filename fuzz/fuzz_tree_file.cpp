// The library's own file of trees. The checksum is made right before reading, so that what stands behind it is reached.
#include <algorithm>

#include "opspilot/base/hash.hpp"
#include "trees.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (size > 32) {
        const opspilot::sha256_digest digest = opspilot::sha256(std::string_view(bytes).substr(0, size - 32));
        std::copy(digest.begin(), digest.end(), bytes.end() - 32);
    }
    opspilot::fuzz::check(opspilot::read_tree_file(bytes, opspilot::fuzz::small_limits()));
    return 0;
}
