#pragma once

#include <array>

#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "opspilot/rank/xgboost.hpp"

namespace opspilot {

OPSPILOT_INLINE std::string_view name(tree_format format) noexcept {
    constexpr std::array<std::string_view, 2> names{"lightgbm", "xgboost"};
    return names[static_cast<std::size_t>(format)];
}

OPSPILOT_INLINE result<tree_format> find_tree_format(std::string_view bytes) {
    if (bytes.starts_with("tree\n") || bytes.starts_with("tree\r\n")) return tree_format::lightgbm;
    // Other formats in JSON are to be told from XGBoost's here, by their first key: XGBoost's is "learner" or "version".
    if (find_xgboost_format(bytes) != xgboost_format::neither) return tree_format::xgboost;
    return error{error_kind::model, "model.unknown_format", "these are not the first bytes of a tree model", "byte 0",
                 "LightGBM's text and XGBoost's JSON and UBJ can be read"};
}

OPSPILOT_INLINE result<tree_ensemble> read_trees(std::string_view bytes, const tree_limits& limits) {
    OPSPILOT_TRY(const tree_format format, find_tree_format(bytes));
    switch (format) {
        case tree_format::lightgbm: return read_lightgbm(bytes, limits);
        case tree_format::xgboost: break;
    }
    return read_xgboost(bytes, limits);
}

}  // namespace opspilot
