/// \file
/// Tree models in any format that this library reads, told apart by their first bytes.
#pragma once

#include <cstdint>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

enum class tree_format : std::uint8_t { lightgbm, xgboost, catboost, own };

/// Stable lower-case name of a format, e.g. "xgboost"; "trees" is the library's own file.
[[nodiscard]] OPSPILOT_API std::string_view name(tree_format format) noexcept;

/// The format that the bytes claim to be in. Errors: model.unknown_format.
[[nodiscard]] OPSPILOT_API result<tree_format> find_tree_format(std::string_view bytes);

/// `read_lightgbm`, `read_xgboost`, `read_catboost` or `read_tree_file`. Errors: model.unknown_format, and those of the reader.
[[nodiscard]] OPSPILOT_API result<tree_ensemble> read_trees(std::string_view bytes, const tree_limits& limits = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/tree_formats-inl.hpp"
#endif
