/// \file
/// The library's own file of a tree ensemble: for ensembles that come from no file, such as those of scikit-learn.
///
/// Layout, little-endian: "OPSPT", version u8 = 1, two zero bytes; u32 length of the header; the header, a JSON object:
///     {"features": [name…], "objective": "log_loss", "outputs": 1, "average": false, "scale": 1.0, "zero_threshold": -1.0,
///      "float_values": true, "float_sums": false, "fractions_are_zero": true, "covers": true,
///      "trees": 100, "splits": 700, "sets": 0, "words": 0}
/// then, without gaps,
///     start        f64 per output
///     bias         f64 per output
///     trees        u32 output the tree adds to, or 0xFFFFFFFF for one whose leaves have a value for every output; u32 splits
///     splits       f64 threshold; u32 feature; u32 category set; i32 left, i32 right (>= 0 a split of the tree, < 0 leaf ~i);
///                  u8 missing rule (0 none, 1 zero, 2 nan), u8 default left, u8 categorical, u8 0
///     leaves       f64 each; a tree has one leaf more than splits
///     covers       if there are any: f64 per split, then f64 per leaf of all trees
///     sets         u32 number of words of each category set, then the words, u32 each
///     SHA-256 of everything before it, 32 bytes
/// Nothing follows. Splits and leaves of a tree are numbered depth first, left before right; sets in the order of their first
/// use. What this library wrote is, read and written again, the same bytes.
#pragma once

#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

[[nodiscard]] OPSPILOT_API std::string write_tree_file(const tree_ensemble& ensemble);

/// Whether the bytes begin like such a file; `read_tree_file` decides whether they are one.
[[nodiscard]] OPSPILOT_API bool is_tree_file(std::string_view bytes) noexcept;

/// Errors: kind model or limit, with the byte or the JSON pointer: model.magic, model.version, model.truncated,
/// model.trailing, model.checksum, model.count, model.limit_bytes, model.split_fields, model.category_set, model.numbering,
/// those of JSON and of `tree_builder` (split i keeps its number, leaf i is node splits + i).
[[nodiscard]] OPSPILOT_API result<tree_ensemble> read_tree_file(std::string_view bytes, const tree_limits& limits = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/tree_file-inl.hpp"
#endif
