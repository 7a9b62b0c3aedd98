/// \file
/// Internal: the container of linear model files and what its kinds share.
///
/// Layout, little-endian: "OPSPW", version u8 = 1, two zero bytes; u32 length of the header; the header, a JSON object; then
/// bias f32[outputs], centre f32[columns], column weights f32[columns × width], and the rows of `sparse_weights`. The width
/// is the number of outputs for a classifier and 1 for a choice model. Nothing follows.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot::detail {

/// Numbers and names that a classifier and a choice model have in common.
struct weight_file {
    std::vector<sparse_block> blocks;
    std::vector<std::string> columns;
    std::vector<float> bias;
    std::vector<float> centre;
    std::vector<float> column_weights;
    std::string fingerprint;
    std::string training;  // canonical JSON object
    sparse_weights table;
};

/// What the kind-specific part of a header decides about the arrays.
struct weight_shape {
    std::size_t outputs = 0;
    std::size_t column_width = 0;  // 0 stands for "as many as outputs"
};

/// Keys of every header, and of a block in it.
inline constexpr std::array<document_field, 7> weight_common_fields{{
    {"kind", json_kind::text, true, "which model this is", {}},
    {"blocks", json_kind::array, true, "sparse blocks it reads", {}},
    {"columns", json_kind::array, true, "dense columns it reads", {}},
    {"rows", json_kind::integer, true, "buckets that have weights", {}},
    {"entries", json_kind::integer, true, "weights of all rows", {}},
    {"fingerprint", json_kind::text, true, "of the feature plan it was trained with, or empty", {}},
    {"training", json_kind::object, true, "how it was trained", {}},
}};
inline constexpr std::array<document_field, 2> weight_block_fields{{
    {"name", json_kind::text, true, "sparse block of the feature plan", {}},
    {"dimension", json_kind::integer, true, "its number of buckets", {}},
}};
/// Keys of a classifier's header alone.
inline constexpr std::array<document_field, 1> classifier_fields{{
    {"classes", json_kind::array, true, "action ids, and \"override\" for none of them", {}},
}};
/// Keys of a choice model's header alone, and of an item of its keys.
inline constexpr std::array<document_field, 2> choice_fields{{
    {"keys", json_kind::array, true, "action fields that are crossed with the task's text, and their values", {}},
    {"outside", json_kind::boolean, true, "whether choosing none of the candidates has a utility", {}},
}};
inline constexpr std::array<document_field, 2> choice_key_fields{{
    {"field", json_kind::text, true, "name of a string field of actions", {}},
    {"values", json_kind::array, true, "its values seen in training", {}},
}};

/// Limits that keep an untrusted header from asking for more than it brings.
inline constexpr std::size_t most_outputs = 65535;
inline constexpr std::size_t most_buckets = std::size_t{1} << 26;
inline constexpr std::size_t most_blocks = 64;

/// The whole file; `header` holds the keys of the kind and gets those common to all.
[[nodiscard]] std::string write_weight_file(json header, const weight_file& file);

/// Reads a file of the given kind. `fields` are the header's own keys beside the common ones; `shape` reads them.
[[nodiscard]] result<weight_file> read_weight_file(std::string_view bytes, std::string_view kind,
                                                   std::span<const document_field> fields,
                                                   const std::function<result<weight_shape>(const json&)>& shape);

/// Checks names, shapes and finiteness of what a builder was given, and quantises. Fills everything of `out`.
[[nodiscard]] status fill_weight_file(std::size_t outputs, std::size_t column_width, const sparse_weights::float_rows& rows,
                                      std::string_view training, weight_file& out);

/// Array of strings under `key`, valid and unique. Error: model.names with the JSON pointer.
[[nodiscard]] result<std::vector<std::string>> read_names(const json& list, std::string_view where);
[[nodiscard]] status check_names(std::span<const std::string> names, std::string_view where);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/detail/weight_file-inl.hpp"
#endif
