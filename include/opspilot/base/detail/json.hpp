/// \file
/// Internal: JSON documents as checked trees. Text only, duplicate keys refused, depth bounded, places as JSON pointers.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot::detail {

using json = nlohmann::json;

/// Parses a whole document. Errors: "<kind>.json_syntax", ".json_duplicate_key", ".json_depth", ".json_size", ".utf8" with the
/// byte offset; `kind` names the family the caller belongs to.
[[nodiscard]] result<json> parse_json(std::string_view text, error_kind kind, const document_limits& limits = {});

/// Checks that `node` is an object with the fields of the table: no unknown key (nearest name offered), none missing, each
/// of its kind and among its choices. `where` is the JSON pointer of `node`.
[[nodiscard]] status check_object(const json& node, std::span<const document_field> table, std::string_view where,
                                  error_kind kind);

/// `where` + "/" + key, escaped as RFC 6901 wants.
[[nodiscard]] std::string pointer(std::string_view where, std::string_view key);
[[nodiscard]] std::string pointer(std::string_view where, std::size_t index);

/// JSON Schema (2020-12) of a field table.
[[nodiscard]] json json_schema(std::span<const document_field> table, std::string_view title);

/// What a node is, for messages: "a string", "an array", …
[[nodiscard]] std::string_view kind_name(const json& node) noexcept;

// Shorthands for optional keys of an object that `check_object` accepted.
[[nodiscard]] std::string text_or(const json& node, std::string_view key, std::string_view otherwise);
[[nodiscard]] double number_or(const json& node, std::string_view key, double otherwise);
[[nodiscard]] std::int64_t integer_or(const json& node, std::string_view key, std::int64_t otherwise);
[[nodiscard]] bool boolean_or(const json& node, std::string_view key, bool otherwise);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/detail/json-inl.hpp"
#endif
