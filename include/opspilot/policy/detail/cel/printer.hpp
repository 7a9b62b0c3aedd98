/// \file
/// Internal: a tree as canonical source, one space around operators and no bracket that changes nothing.
#pragma once

#include <string>
#include <string_view>

#include "opspilot/policy/detail/cel/ast.hpp"

namespace opspilot::cel::detail {

/// Source that parses to the same tree. Literals keep their spelling, but for texts in double quotes that single quotes hold as
/// well, which need no escapes inside JSON. `t` as `parse` made it.
[[nodiscard]] std::string print(const tree& t);

/// Whether anything but white space stands between the tokens: comments, which a tree does not hold.
[[nodiscard]] bool has_comments(std::string_view source);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/printer-inl.hpp"
#endif
