/// \file
/// Internal: lines of a log that are parsed already, by what they record.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"

namespace opspilot {
struct parsed_record;
struct outcome_record;
}  // namespace opspilot

namespace opspilot::detail {

inline constexpr std::array<std::string_view, 2> line_types{"decision", "outcome"};

/// What a line says it records, "" when it says nothing readable.
inline std::string_view line_type(const json& root) noexcept {
    if (!root.is_object()) return {};
    const auto type = root.find("type");
    return type != root.end() && type->is_string() ? std::string_view(type->get_ref<const std::string&>()) : std::string_view{};
}

/// Refuses a line of another type before its keys are looked at: its type is the helpful thing to name.
inline status check_type(const json& root, std::string_view wanted) {
    const std::string_view type = line_type(root);
    if (type.empty() || type == wanted) return {};  // without a type the field table says what is missing
    if (std::find(line_types.begin(), line_types.end(), type) != line_types.end())
        return error{error_kind::audit, "audit.bad_choice",
                     fmt::format("a line of type {} where one of type {} is read", type, wanted), "/type", ""};
    std::string hint = did_you_mean(type, line_types);
    if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(line_types, ", "));
    return error{error_kind::audit, "audit.bad_choice", fmt::format("'type' cannot be {}", quote(type)), "/type", hint};
}

[[nodiscard]] result<parsed_record> record_of(const json& root);
[[nodiscard]] result<outcome_record> outcome_of(const json& root);

}  // namespace opspilot::detail
