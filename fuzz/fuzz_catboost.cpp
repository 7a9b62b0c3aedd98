// Any bytes as a model of CatBoost.
#include "opspilot/rank/catboost.hpp"
#include "trees.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    opspilot::fuzz::check(opspilot::read_catboost({reinterpret_cast<const char*>(data), size}, opspilot::fuzz::small_limits()));
    return 0;
}
