/// \file
/// Field tables: the one list of keys per JSON document from which its reader, its JSON Schema and its docs come.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace opspilot {

/// What a JSON value must be.
enum class json_kind : std::uint8_t { any, boolean, integer, number, text, array, object };

/// One key of a document.
struct document_field {
    std::string_view name;
    json_kind kind = json_kind::any;
    bool required = false;
    std::string_view doc;                            ///< one line: meaning, unit, default
    std::span<const std::string_view> choices = {};  ///< allowed texts, empty for any
};

/// Limits of every JSON document read into memory as a tree.
struct document_limits {
    std::size_t bytes = std::size_t{64} << 20;
    std::size_t depth = 64;
};

}  // namespace opspilot
