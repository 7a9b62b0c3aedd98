// The library's own file of trees. The checksum is made right before reading, so that what stands behind it is reached.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "opspilot/base/hash.hpp"
#include "opspilot/rank/tree_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace opspilot;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (size > 32) {
        const sha256_digest digest = sha256(std::string_view(bytes).substr(0, size - 32));
        std::copy(digest.begin(), digest.end(), bytes.end() - 32);
    }
    tree_limits limits;
    limits.nodes = std::size_t{1} << 18;
    const auto model = read_tree_file(bytes, limits);
    if (!model) {
        if (model.error().message.empty() || model.error().code.empty()) std::abort();
        return 0;
    }
    const std::vector<double> row(model->features(), 0.5);
    std::vector<double> out(model->outputs());
    if (!model->score_rows(std::span<const double>(row), 1, out)) std::abort();
    for (const double v : out)
        if (!std::isfinite(v)) std::abort();
    const std::string written = write_tree_file(*model);
    const auto again = read_tree_file(written, limits);
    if (!again || write_tree_file(*again) != written) std::abort();
    return 0;
}
