/// \file
/// Models trained with CatBoost, read from its JSON format (`CatBoost.save_model(path, format="json")`, CatBoost 1.x).
#pragma once

#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

/// Reads a whole model. Scores are those that the trained model gives by `predict(prediction_type="RawFormulaVal")`, bit for bit:
/// its additions in its order, on values rounded to float32. (CatBoost's own reader of JSON does not round leaf values correctly,
/// so a model it has read from the same file may differ in the last bits.) Columns are in the order of the training pool ("flat"
/// indices); columns without a name are called by their index.
///
/// Read exactly: symmetric, depthwise and lossguide trees, also without a split; one output or several (multiclass, multi-target,
/// uncertainty, quantiles); scale and bias; every treatment of missing values; leaf weights, as covers. Categorical columns may
/// be there as long as no tree splits on them. Refused by name: splits on categories (model.categorical_split: their values are
/// hashes of text), text and embedding features, which CatBoost does not write as JSON either. Every count is compared with what
/// is there, every key may occur once, no key is unknown outside model_info and ctr_data, nothing may follow the end. Errors:
/// kind model or limit, with the byte or the JSON pointer of the offending text; those of `tree_builder` with tree and node too
/// (children of node i of a symmetric tree are 2i+1 and 2i+2; other trees count their nodes as they stand).
[[nodiscard]] OPSPILOT_API result<tree_ensemble> read_catboost(std::string_view json, const tree_limits& limits = {});

/// Whether the bytes begin like such a model: an object whose first key is one of CatBoost's. `read_catboost` decides whether
/// they are one.
[[nodiscard]] OPSPILOT_API bool is_catboost(std::string_view bytes) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/catboost-inl.hpp"
#endif
