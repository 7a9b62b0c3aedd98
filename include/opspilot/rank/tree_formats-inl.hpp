#pragma once

#include <array>

#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "opspilot/rank/xgboost.hpp"

namespace opspilot {

OPSPILOT_INLINE std::string_view name(tree_format format) noexcept {
    constexpr std::array<std::string_view, 4> names{"lightgbm", "xgboost", "catboost", "trees"};
    return names[static_cast<std::size_t>(format)];
}

OPSPILOT_INLINE result<tree_format> find_tree_format(std::string_view bytes) {
    if (bytes.starts_with("tree\n") || bytes.starts_with("tree\r\n")) return tree_format::lightgbm;
    if (is_tree_file(bytes)) return tree_format::own;
    if (is_catboost(bytes)) return tree_format::catboost;
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
