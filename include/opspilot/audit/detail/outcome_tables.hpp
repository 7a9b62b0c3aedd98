/// \file
/// Internal: the keys of an outcome, as a host tells it and as a line holds it.
#pragma once

#include <array>
#include <string_view>

#include "opspilot/base/document.hpp"

namespace opspilot::detail {

// In the order of `outcome_kind`.
inline constexpr std::array<std::string_view, 5> outcome_kinds{"accepted", "overridden", "reversed", "complaint", "observed"};
inline constexpr std::array<std::string_view, 1> outcome_types{"outcome"};

inline constexpr std::array<document_field, 4> outcome_table{{
    {"kind", json_kind::text, true, "what came of the decision", outcome_kinds},
    {"action", json_kind::text, false, "overridden: id of what the person did; no free text"},
    {"reward", json_kind::number, false, "finite, in the host's unit; required when observed"},
    {"delay_us", json_kind::integer, false, "microseconds from the decision to what came of it, 0 or more"},
}};

// In the order in which a line holds them. Numbers that may be null are of kind any and checked apart.
inline constexpr std::array<document_field, 8> outcome_record_table{{
    {"v", json_kind::integer, true, "version of the form of a line: 1"},
    {"type", json_kind::text, true, "what the line records: outcome", outcome_types},
    {"decision", json_kind::text, true, "id of the decision"},
    {"time", json_kind::integer, true, "microseconds since 1970 UTC at which it was recorded"},
    {"kind", json_kind::text, true, "what came of the decision", outcome_kinds},
    {"action", json_kind::text, true, "id of what the person did, or empty"},
    {"reward", json_kind::any, true, "a number or null"},
    {"delay_us", json_kind::any, true, "microseconds from the decision to what came of it; an integer or null"},
}};

}  // namespace opspilot::detail
