// What every fuzz target of a tree format does with its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::fuzz {

/// Small, so that inputs stay fast and a limit that is not kept shows as memory.
inline tree_limits small_limits() {
    tree_limits limits;
    limits.trees = 200;
    limits.nodes = 20'000;
    limits.features = 500;
    limits.outputs = 50;
    limits.category_words = 1 << 16;
    return limits;
}

/// An error has a message and is one of a model; what is accepted scores every kind of value without fault.
inline void check(const result<tree_ensemble>& read) {
    if (!read) {
        const error& e = read.error();
        if (e.code.empty() || e.message.empty() || (e.kind != error_kind::model && e.kind != error_kind::limit)) std::abort();
        return;
    }
    constexpr double inf = std::numeric_limits<double>::infinity();
    std::vector<double> out(read->outputs());
    for (const double value : {0.0, -0.0, 1.0, -0.5, 3e9, 1e300, inf, -inf, std::numeric_limits<double>::quiet_NaN()}) {
        const std::vector<double> row(read->features(), value);
        if (!read->score_rows(std::span<const double>(row), 1, out)) std::abort();
    }
}

}  // namespace opspilot::fuzz
