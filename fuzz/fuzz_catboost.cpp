// CatBoost's JSON: whatever the bytes, a model that scores finite numbers, or an error with a place or a limit.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/tree_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace opspilot;
    tree_limits limits;
    limits.nodes = std::size_t{1} << 18;
    limits.depth = 64;
    const auto model = read_catboost({reinterpret_cast<const char*>(data), size}, limits);
    if (!model) {
        if (model.error().message.empty() || model.error().code.empty()) std::abort();
        return 0;
    }
    const std::vector<double> row(model->features(), 0.5);
    std::vector<double> out(model->outputs());
    if (!model->score_rows(std::span<const double>(row), 1, out)) std::abort();
    for (const double v : out)
        if (!std::isfinite(v)) std::abort();
    // What was read can be written, and is the same then.
    const std::string written = write_tree_file(*model);
    const auto again = read_tree_file(written, limits);
    if (!again || write_tree_file(*again) != written) std::abort();
    return 0;
}
