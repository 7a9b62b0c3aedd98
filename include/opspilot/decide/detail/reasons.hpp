/// \file
/// Internal: what a rule did, as a reason.
#pragma once

#include <array>
#include <string_view>

#include "opspilot/decide/decision.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot::detail {

/// Stable reason code of an effect: "policy.<effect>".
inline std::string_view policy_reason_code(std::string_view effect) noexcept {
    static constexpr std::array<std::string_view, 15> codes{
        "policy.forbid",       "policy.allow_only",    "policy.require_approval", "policy.escalate",
        "policy.suggest_only", "policy.boost",         "policy.penalise",         "policy.pin",
        "policy.limit",        "policy.set_threshold", "policy.redact",           "policy.route",
        "policy.diversify",    "policy.kill",          "policy.abstain"};
    for (const std::string_view code : codes)
        if (code.substr(7) == effect) return code;
    return "policy.rule";
}

/// `own` rules, of the task's client, have their indexes after the `base` ones.
inline reason reason_of(const policy_set& base, const policy_set* own, const rule_hit& hit) noexcept {
    const std::uint32_t first = base.rules();
    const rule_info rule = hit.rule < first || own == nullptr ? base.rule(hit.rule) : own->rule(hit.rule - first);
    return {.code = policy_reason_code(rule.effect),
            .rule = rule.id,
            .layer = rule.layer,
            .text = rule.because,
            .failed = hit.failed};
}

}  // namespace opspilot::detail
