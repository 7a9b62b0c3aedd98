#pragma once

#include <algorithm>
#include <array>

#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "opspilot/rank/xgboost.hpp"

namespace opspilot {

namespace detail {

/// Keys with which CatBoost's documents begin, which it sorts. XGBoost's begin with "learner" or "version".
inline constexpr std::array<std::string_view, 6> catboost_keys{"ctr_data",        "features_info",  "model_info",
                                                               "oblivious_trees", "scale_and_bias", "trees"};

/// The first key of a JSON object; empty when the text does not begin like one.
inline std::string_view first_json_key(std::string_view text) noexcept {
    constexpr std::string_view space = " \t\r\n";
    const auto skip = [&](char wanted) {
        text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
        if (text.empty() || text.front() != wanted) return false;
        text.remove_prefix(1);
        return true;
    };
    if (!skip('{') || !skip('"')) return {};
    return text.substr(0, std::min(text.find('"'), std::size_t{64}));
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(tree_format format) noexcept {
    constexpr std::array<std::string_view, 4> names{"lightgbm", "xgboost", "catboost", "trees"};
    return names[static_cast<std::size_t>(format)];
}

OPSPILOT_INLINE result<tree_format> find_tree_format(std::string_view bytes) {
    if (bytes.starts_with("tree\n") || bytes.starts_with("tree\r\n")) return tree_format::lightgbm;
    if (is_tree_file(bytes)) return tree_format::own;
    const std::string_view key = detail::first_json_key(bytes);
    if (std::find(detail::catboost_keys.begin(), detail::catboost_keys.end(), key) != detail::catboost_keys.end())
        return tree_format::catboost;
    if (find_xgboost_format(bytes) != xgboost_format::neither) return tree_format::xgboost;
    return error{error_kind::model, "model.unknown_format", "these are not the first bytes of a tree model", "byte 0",
                 "LightGBM's text, XGBoost's JSON and UBJ, CatBoost's JSON and the library's own file can be read"};
}

OPSPILOT_INLINE result<tree_ensemble> read_trees(std::string_view bytes, const tree_limits& limits) {
    OPSPILOT_TRY(const tree_format format, find_tree_format(bytes));
    switch (format) {
        case tree_format::lightgbm: return read_lightgbm(bytes, limits);
        case tree_format::catboost: return read_catboost(bytes, limits);
        case tree_format::own: return read_tree_file(bytes, limits);
        case tree_format::xgboost: break;
    }
    return read_xgboost(bytes, limits);
}

}  // namespace opspilot
