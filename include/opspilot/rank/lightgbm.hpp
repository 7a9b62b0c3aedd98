/// \file
/// Models trained with LightGBM, read from its text format (`Booster.save_model`, versions v3 and v4).
#pragma once

#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

/// Reads a whole model file. Scores of the result are bit-identical to LightGBM's `predict(raw_score=True)`, random forests
/// (average_output) to its average.
///
/// Read exactly: every built-in objective (their raw scores) and models without one; several trees per iteration; gbdt, dart,
/// goss and rf; numerical splits with missing type none, zero and nan; categorical splits; trees of a single leaf.
/// Refused by name: linear trees (model.linear_tree), other file versions (model.version), unknown objectives
/// (model.unknown_objective). Categories of a data frame are scored by their codes, as LightGBM scores rows of codes.
/// Every count is compared with what is there, every key may occur once, no key is unknown, nothing may follow the end;
/// a truncated file is refused (model.truncated).
/// Errors: kind model or limit, with "byte N" of the offending text; those of `tree_builder` with tree and node too.
[[nodiscard]] OPSPILOT_API result<tree_ensemble> read_lightgbm(std::string_view text, const tree_limits& limits = {});

/// How a feature of any name is called in a LightGBM model, which allows neither white space nor `" , : [ ] { }` in names:
/// those, control characters and '%' become %XX. Trainers use it, and models' names are matched through it.
[[nodiscard]] OPSPILOT_API std::string lightgbm_feature_name(std::string_view name);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/lightgbm-inl.hpp"
#endif
