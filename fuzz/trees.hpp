// What every fuzz target of a tree format does with its bytes.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::fuzz {

/// Small, so that inputs stay fast and a limit that is not kept shows as memory.
inline tree_limits small_limits() {
    tree_limits limits;
    limits.trees = 200;
    limits.nodes = 20'000;
    limits.depth = 64;
    limits.features = 500;
    limits.outputs = 50;
    limits.category_words = 1 << 16;
    return limits;
}

/// Rows of one value each, the awkward ones among them.
inline std::vector<double> awkward_rows(std::size_t features, std::size_t rows) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const double values[] = {0.0, -0.0, 1.0, -0.5, 3e9, 1e300, inf, -inf, nan, 1e-36, 31, 64};
    std::vector<double> out;
    for (std::size_t i = 0; i < rows; ++i) out.insert(out.end(), features, values[i % std::size(values)]);
    return out;
}

/// An error has a code and a message and is one of a model or a limit. What is accepted gives finite scores, the same bits by
/// every engine, and is the same model when it was written and read again.
inline void check(const result<tree_ensemble>& read) {
    if (!read) {
        const error& e = read.error();
        if (e.code.empty() || e.message.empty() || (e.kind != error_kind::model && e.kind != error_kind::limit)) std::abort();
        return;
    }
    constexpr std::size_t rows = 24;
    const std::vector<double> values = awkward_rows(read->features(), rows);
    std::vector<double> expected(rows * read->outputs()), got(expected.size());
    if (!read->score_rows(std::span<const double>(values), rows, expected)) std::abort();
    for (const double score : expected)
        if (!std::isfinite(score)) std::abort();
    tree_workspace scratch;
    for (const std::string_view engine : tree_engines()) {
        const auto scorer = tree_scorer::compile(*read, engine);
        if (!scorer || !scorer->score_rows({values.data(), rows, read->features()}, got, scratch)) std::abort();
        if (std::memcmp(got.data(), expected.data(), got.size() * sizeof(double)) != 0) std::abort();
    }
    const std::string written = write_tree_file(*read);
    const auto again = read_tree_file(written, small_limits());
    if (!again || write_tree_file(*again) != written) std::abort();
}

}  // namespace opspilot::fuzz
