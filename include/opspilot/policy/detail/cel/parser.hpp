/// \file
/// Internal: from CEL source to the tree, macros expanded. Bounded in size, depth and nodes; no recursion on operators.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "opspilot/policy/detail/cel/ast.hpp"
#include "opspilot/policy/detail/cel/lexer.hpp"

namespace opspilot::cel::detail {

/// Variables of macros that may live at once.
inline constexpr std::size_t most_slots = 24;

/// Bounds of one expression. They are part of a document's admission, so later releases may not lower them silently.
struct parse_limits {
    std::size_t bytes = 10 * 1024;
    std::size_t nodes = 10'000;
    std::size_t depth = 100;         ///< of brackets, calls and conditionals in each other
    std::size_t macro_nesting = 12;  ///< macros over lists in each other
};

[[nodiscard]] std::optional<problem> parse(std::string_view source, const parse_limits& limits, tree& out);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/parser-inl.hpp"
#endif
