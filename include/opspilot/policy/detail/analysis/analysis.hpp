/// \file
/// Internal: what can be said of a compiled policy without running it: warnings, notes and proofs of invariants.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot::detail::analysis {

/// Warnings of the rules together, and of invariants that they do not keep. `strings`: what the set was compiled with.
void add_warnings(const policy_set& set, dictionary& strings, std::vector<policy_finding>& out);

/// What may be meant and may be not.
void add_notes(const policy_set& set, dictionary& strings, std::vector<policy_finding>& out);

/// Warnings about rules whose time is over.
void add_expired(const policy_set& set, std::int64_t now_us, std::vector<policy_finding>& out);

/// Whether the rules keep each invariant.
[[nodiscard]] std::vector<policy_set::proof> prove(const policy_set& set, dictionary& strings);

/// Fills `excerpt` from the line and column in `where`.
void add_excerpts(std::span<policy_finding> findings, std::string_view text);

/// Characters of a text that are not what they seem, in words; "" when there are none.
[[nodiscard]] std::string odd_characters(std::string_view text);
/// What a text looks like: the same for texts that people cannot tell apart.
[[nodiscard]] std::string appearance(std::string_view text);

}  // namespace opspilot::detail::analysis

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/analysis/characters-inl.hpp"
#include "opspilot/policy/detail/analysis/excerpts-inl.hpp"
#include "opspilot/policy/detail/analysis/invariants-inl.hpp"
#include "opspilot/policy/detail/analysis/lints-inl.hpp"
#include "opspilot/policy/detail/analysis/tree_json-inl.hpp"
#endif
