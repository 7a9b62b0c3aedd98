/// \file
/// Models trained with XGBoost, read from its JSON and UBJ formats (`Booster.save_model`, `save_raw`; versions 1 to 3).
#pragma once

#include <cstdint>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

/// Which of XGBoost's formats the bytes are in. Both begin with '{'. In JSON a blank, a quote or '}' follows it; in UBJ the 'L'
/// of a key's length.
enum class xgboost_format : std::uint8_t { neither, json, ubj };
[[nodiscard]] OPSPILOT_API xgboost_format find_xgboost_format(std::string_view bytes) noexcept;

/// Reads a whole model. Scores of the result are bit-identical to `Booster.predict(DMatrix, output_margin=True)` of XGBoost 3.2
/// over all trees of the file, its float32 sums widened. (`XGBModel.predict` stops at the best iteration when it stopped early:
/// slice the booster before saving to have that.)
///
/// Read exactly: boosters gbtree and dart; every objective of XGBoost 3.2 and its link from base score to margin; several
/// classes, targets and parallel trees; trees with vector leaves; numerical splits with default directions; categorical splits,
/// one-hot or by partition, where categories are the trainer's integer codes; pruned trees. Features without names are f0, f1, …
/// Refused by name: linear boosters (model.linear_booster), snapshots of a booster in memory (model.snapshot), base scores that
/// have no margin (model.base_score), other versions and objectives, the binary format of old (model.not_xgboost).
/// Every count is compared with what is there, every key may occur once, no key is unknown, nothing may follow the end. Memory
/// is bounded by the arrays of one tree and the result, whatever the bytes are.
/// Errors: kind model or limit, with JSON pointer and byte; those of `tree_builder` with tree and node too.
[[nodiscard]] OPSPILOT_API result<tree_ensemble> read_xgboost(std::string_view bytes, const tree_limits& limits = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/xgboost-inl.hpp"
#endif
