/// \file
/// Internal: the keys of a record line and of its parts.
#pragma once

#include <array>
#include <string_view>

#include "opspilot/base/document.hpp"

namespace opspilot::detail {

inline constexpr std::array<std::string_view, 5> record_verdicts{"abstain", "escalate", "suggest", "require_approval",
                                                                 "auto_execute"};
inline constexpr std::array<std::string_view, 1> record_types{"decision"};

// In the order in which a line holds them. Numbers that may be null are of kind any and checked apart.
inline constexpr std::array<document_field, 25> record_table{{
    {"v", json_kind::integer, true, "version of the form of a line: 1"},
    {"type", json_kind::text, true, "what the line records: decision", record_types},
    {"id", json_kind::text, true, "id of the decision"},
    {"time", json_kind::integer, true, "microseconds since 1970 UTC"},
    {"client", json_kind::text, true, "client of the task, or empty"},
    {"task", json_kind::text, true, "id of the task, or empty"},
    {"stage", json_kind::text, true, "rollout stage"},
    {"shadow", json_kind::boolean, true, "decided for the record only"},
    {"verdict", json_kind::text, true, "after the rollout stage", record_verdicts},
    {"proposed", json_kind::text, true, "before the rollout stage", record_verdicts},
    {"action", json_kind::text, true, "id of the best allowed candidate, or empty"},
    {"queue", json_kind::text, true, "human queue, or empty"},
    {"probability", json_kind::any, true, "of the action; a number or null"},
    {"threshold", json_kind::any, true, "automation needs a probability above it; null: nothing is certified"},
    {"override_probability", json_kind::any, true, "that the operator would do none of the candidates; a number or null"},
    {"propensity", json_kind::any, true, "with which the action was chosen; a number or null"},
    {"rung", json_kind::text, true, "how much of the machinery stood behind the decision"},
    {"degraded", json_kind::array, true, "what was not available"},
    {"versions", json_kind::object, true, "of everything that decided"},
    {"reasons", json_kind::array, true, "of the decision as a whole"},
    {"candidates", json_kind::integer, true, "how many were ranked"},
    {"ranked", json_kind::array, true, "the best of them, best first"},
    {"explanation", json_kind::object, false, "what made the score of the best candidate, when it was asked for"},
    {"clauses", json_kind::object, false, "why the rules acted, down to the clause, when it was asked for"},
    {"fields", json_kind::object, true, "the task's recordable fields"},
}};
inline constexpr std::array<document_field, 8> record_explanation_table{{
    {"action", json_kind::text, true, "id of the candidate"},
    {"stage", json_kind::text, true, "that scored it, or empty"},
    {"method", json_kind::text, true, "tree_shap, linear, or empty when there is no explanation"},
    {"missing", json_kind::text, true, "code of why there is none, or empty"},
    {"score", json_kind::any, true, "of the stage; a number or null"},
    {"base", json_kind::any, true, "what a candidate nothing is known of gets; a number or null"},
    {"contributions", json_kind::array, true, "of the features that matter most, largest first"},
    {"others", json_kind::any, true, "of all other features together; a number or null"},
}};
inline constexpr std::array<document_field, 2> record_part_table{{
    {"feature", json_kind::text, true, "name"},
    {"contribution", json_kind::any, true, "to the score; a number or null"},
}};
inline constexpr std::array<std::string_view, 3> clause_outcomes{"false", "true", "error"};

inline constexpr std::array<document_field, 3> record_clauses_table{{
    {"missing", json_kind::text, true, "code of why there are none, or empty"},
    {"rules", json_kind::array, true, "rules that acted: on the best candidate, then on refused ones"},
    {"left_out", json_kind::integer, true, "rules, clauses and changes beyond what a record holds"},
}};
inline constexpr std::array<document_field, 7> record_rule_table{{
    {"action", json_kind::text, true, "id of the candidate, or empty: of the task as a whole"},
    {"rule", json_kind::text, true, "id"},
    {"layer", json_kind::text, true, "of the rule"},
    {"effect", json_kind::text, true, "of the rule"},
    {"failed", json_kind::boolean, true, "the condition could not be evaluated"},
    {"clauses", json_kind::array, true, "the parts of the condition that decided"},
    {"change", json_kind::array, true,
     "the smallest change that would keep the rule from acting: clauses that would all have to hold"},
}};
inline constexpr std::array<document_field, 6> record_clause_table{{
    {"text", json_kind::text, true, "as it stands in the condition"},
    {"offset", json_kind::integer, true, "where, in bytes"},
    {"length", json_kind::integer, true, "in bytes"},
    {"gives", json_kind::text, true, "for this candidate", clause_outcomes},
    {"problem", json_kind::text, true, "why it is an error, or empty"},
    {"values", json_kind::array, true, "of the fields that it reads"},
}};
inline constexpr std::array<document_field, 2> record_seen_table{{
    {"field", json_kind::text, true, "task.x, action.x or candidate.x"},
    {"value", json_kind::text, true, "as JSON; (missing), (personal), (sensitive) or (redacted) where it cannot be shown"},
}};
inline constexpr std::array<document_field, 8> record_version_table{{
    {"bundle", json_kind::text, true, "fingerprint"},
    {"bundle_version", json_kind::text, true, "name of the version"},
    {"schema", json_kind::text, true, "fingerprint"},
    {"features", json_kind::text, true, "fingerprint"},
    {"model", json_kind::text, true, "fingerprint"},
    {"policy", json_kind::text, true, "fingerprint"},
    {"calibration", json_kind::text, true, "fingerprint"},
    {"library", json_kind::text, true, "version"},
}};
inline constexpr std::array<document_field, 5> record_reason_table{{
    {"code", json_kind::text, true, "stable dotted name"},
    {"rule", json_kind::text, true, "id of the rule, or empty"},
    {"layer", json_kind::text, true, "layer of the rule, or empty"},
    {"text", json_kind::text, true, "for people"},
    {"failed", json_kind::boolean, true, "the condition could not be evaluated"},
}};
inline constexpr std::array<document_field, 6> record_candidate_table{{
    {"action", json_kind::text, true, "id"},
    {"score", json_kind::any, true, "a number or null"},
    {"probability", json_kind::any, true, "a number or null"},
    {"verdict", json_kind::text, true, "for this candidate", record_verdicts},
    {"allowed", json_kind::boolean, true, "false: a rule forbids it"},
    {"reasons", json_kind::array, true, "why"},
}};

}  // namespace opspilot::detail
