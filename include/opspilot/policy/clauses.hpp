/// \file
/// Why a rule acted, down to the clause: which part of its condition decided, with the values it saw, and what would have to be
/// different.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/policy/policy.hpp"

namespace opspilot {

/// A part of a condition, small enough that nothing inside it could have decided otherwise by itself: a comparison, a bool field,
/// a call. Conditions are taken apart at `&&`, `||`, `!` and `?:`.
struct policy_clause {
    enum class outcome : std::uint8_t { no, yes, failed };
    /// A field that the clause reads.
    struct seen {
        std::string field;  ///< "task.amount"
        std::string
            value;  ///< as JSON; "(missing)", or "(personal)", "(sensitive)" and "(redacted)" for what nobody may see here
    };
    std::string text;                      ///< as it stands in the condition
    std::uint32_t offset = 0, length = 0;  ///< there, in bytes
    outcome gives = outcome::no;
    std::string problem;  ///< why it failed: "the field is missing: 'amount'"
    std::vector<seen> values;
};

/// "false", "true" or "error".
[[nodiscard]] OPSPILOT_API std::string_view name(policy_clause::outcome o) noexcept;

/// Why a rule does to a candidate what it does.
struct rule_explanation {
    std::vector<policy_clause> clauses;  ///< those that decided, as they stand in the condition
    /// The smallest change that would keep the rule from acting: clauses that would all have to hold, in CEL; "has(task.x)" where
    /// only a missing value is in the way. Each clause counts as one; of several smallest changes the first.
    std::vector<std::string> change;
};

/// Explains rule `r` for a candidate of the frame, by the scalar machine; allocates freely: for people, not for every decision.
/// `hidden`: fields that must not be shown, beside those more personal than pseudonymous.
[[nodiscard]] OPSPILOT_API rule_explanation explain_rule(const policy_set& set, std::uint32_t r, const frame& f,
                                                         std::size_t candidate, policy_workspace& scratch,
                                                         std::span<const schema::path> hidden = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/clauses-inl.hpp"
#endif
