#pragma once

#include <fmt/format.h>

#include "opspilot/rank/detail/json_pull.hpp"
#include "opspilot/rank/detail/ubj_pull.hpp"
#include "opspilot/rank/detail/xgboost_head.hpp"
#include "opspilot/rank/detail/xgboost_tree.hpp"
#include "opspilot/rank/xgboost.hpp"

namespace opspilot {

namespace detail {

/// The second pass: trees, now that outputs, features and weights are known, wherever in the file they stand.
inline result<tree_ensemble> xgboost_build(pull_reader& in, const xgboost_head& head, const tree_limits& limits, bool covers) {
    tree_builder builder(limits);
    std::vector<std::string> names = head.names;
    if (names.empty())
        for (std::uint32_t j = 0; j < head.features; ++j) names.push_back(fmt::format("f{}", j));
    OPSPILOT_CHECK(builder.begin(std::move(names), head.outputs(), head.trees));
    builder.objective(head.objective);
    builder.arithmetic({.float_values = true, .float_sums = true, .fractions_are_zero = false});
    const std::vector<double> start(head.base_scores.begin(), head.base_scores.end());
    OPSPILOT_CHECK(builder.start(start));

    in.go_to(head.trees_at);
    xgboost_tree_reader trees(in, limits, head, builder, covers);
    const auto wrong_count = [&](std::uint32_t t) {
        return in.problem("model.tree_count", in.at(),
                          fmt::format("the file has {} trees or more, num_trees says {}", t, head.trees));
    };
    OPSPILOT_CHECK(in.open_array());
    for (std::uint32_t t = 0;; ++t) {
        OPSPILOT_TRY(const bool more, in.next());
        if (more && t == head.trees) return wrong_count(t + 1);
        if (!more && t < head.trees)
            return in.problem("model.tree_count", in.at(),
                              fmt::format("the file has {} trees, num_trees says {}", t, head.trees));
        if (!more) break;
        OPSPILOT_CHECK(trees.read(t));
    }
    return builder.finish();
}

inline result<tree_ensemble> xgboost_read(pull_reader& in, const tree_limits& limits) {
    OPSPILOT_TRY(const xgboost_head head, xgboost_head_reader(in, limits).read());
    auto read = xgboost_build(in, head, limits, true);
    // A custom objective may have had hessians whose sums are no weights; scores need none.
    if (!read && (read.error().code == "model.cover" || read.error().code == "model.cover_missing"))
        return xgboost_build(in, head, limits, false);
    return read;
}

}  // namespace detail

OPSPILOT_INLINE xgboost_format find_xgboost_format(std::string_view bytes) noexcept {
    if (bytes.size() < 2 || bytes[0] != '{') return xgboost_format::neither;
    if (std::string_view(" \t\r\n\"}").find(bytes[1]) != std::string_view::npos) return xgboost_format::json;
    return bytes[1] == 'L' ? xgboost_format::ubj : xgboost_format::neither;
}

OPSPILOT_INLINE result<tree_ensemble> read_xgboost(std::string_view bytes, const tree_limits& limits) {
    if (bytes.size() > limits.bytes)
        return error{error_kind::limit,
                     "model.limit_bytes",
                     fmt::format("the model has {} bytes, at most {} are allowed", bytes.size(), limits.bytes),
                     {},
                     "raise the limit if the model can be trusted"};
    switch (find_xgboost_format(bytes)) {
        case xgboost_format::json: {
            detail::json_pull in(bytes);
            return detail::xgboost_read(in, limits);
        }
        case xgboost_format::ubj: {
            detail::ubj_pull in(bytes);
            return detail::xgboost_read(in, limits);
        }
        case xgboost_format::neither: break;
    }
    const bool old = bytes.starts_with("binf") || bytes.starts_with("CONFIG-offset:");
    return error{error_kind::model, "model.not_xgboost",
                 old ? "the binary format of XGBoost before 2" : "neither XGBoost's JSON nor its UBJ", "byte 0",
                 old ? "load it with the XGBoost that wrote it and save it as .json or .ubj"
                     : "expected what Booster.save_model writes to a .json or .ubj file"};
}

}  // namespace opspilot
