/// \file
/// Policy documents in one layout, so that a change of one shows what changed and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

/// A condition in canonical form: one space around operators, no bracket that changes nothing, texts in single quotes where they
/// hold the text as it is. It parses to the same tree. One with comments is given back as it is. Errors: those of the parser.
[[nodiscard]] OPSPILOT_API result<std::string> format_condition(std::string_view source);

/// A document in canonical form: keys in the order of the format's tables, unknown ones after them as they came; two spaces a
/// level, every rule a key a line, invariants and tests on one line where it fits; conditions as `format_condition` prints them.
/// What it says stays the same, and formatting again changes nothing. Only what cannot be read is refused: errors of JSON and of
/// the syntax of conditions, with line and column.
[[nodiscard]] OPSPILOT_API result<std::string> format_policy(const policy_set::document& document);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/format-inl.hpp"
#endif
