/// \file
/// Internal: what rules do, for reasoning: when they act, how far they narrow, and which rule leaves another nothing to do.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "opspilot/policy/detail/analysis/outcomes.hpp"
#include "opspilot/policy/detail/rules.hpp"

namespace opspilot::detail::analysis {

/// The widest verdict where the rule acts without failing; nothing for effects that narrow none.
[[nodiscard]] inline std::optional<verdict> cap_of(const policy_rule& r) noexcept {
    switch (r.effect) {
        case policy_effect::forbid:
        case policy_effect::allow_only: return verdict::abstain;
        case policy_effect::escalate: return verdict::escalate;
        case policy_effect::suggest_only: return verdict::suggest;
        case policy_effect::require_approval: return verdict::require_approval;
        case policy_effect::kill: return r.whole ? verdict::escalate : verdict::suggest;
        default: return {};
    }
}

/// Outcomes of its condition for which the effect takes place.
[[nodiscard]] inline outcomes acting(const policy_rule& r) noexcept {
    outcomes out = r.effect == policy_effect::allow_only ? lapses : holds;
    if (traits_of(r.effect).narrowing && r.failing == on_error::by_effect) out |= fails;
    return out;
}

/// Outcomes for which the verdict is at most `below`'s narrower neighbours.
[[nodiscard]] inline outcomes narrowing_below(const policy_rule& r, verdict below) noexcept {
    outcomes out = 0;
    const auto cap = cap_of(r);
    if (cap && *cap < below) out |= acting(r);
    if (r.failing == on_error::abstain) out |= fails;
    return out;
}

/// The time in which a rule acts.
struct rule_times {
    std::int64_t from = std::numeric_limits<std::int64_t>::min(), until = std::numeric_limits<std::int64_t>::max();
    [[nodiscard]] bool always() const noexcept {
        return from == std::numeric_limits<std::int64_t>::min() && until == std::numeric_limits<std::int64_t>::max();
    }
    [[nodiscard]] bool within(const rule_times& o) const noexcept { return from >= o.from && until <= o.until; }
};
[[nodiscard]] inline rule_times times_of(const policy_rule& r) noexcept { return {r.valid_from_us, r.valid_until_us}; }

/// The threshold a rule sets, or nothing.
[[nodiscard]] inline std::optional<double> threshold_of(const policy_rule& r) noexcept {
    if (r.effect != policy_effect::set_threshold) return {};
    return r.threshold;
}

/// Whether `b` changes nothing where `a` acts too. `a` stands before `b`, or in the same layer behind it.
[[nodiscard]] inline bool leaves_nothing(const policy_rule& a, const policy_rule& b, bool before) noexcept {
    const auto among = [&](auto... effects) { return ((a.effect == effects) || ...); };
    using enum policy_effect;
    switch (b.effect) {
        case forbid:
        case allow_only: return among(forbid, allow_only);
        case require_approval: return among(require_approval, suggest_only, escalate, forbid, allow_only);
        case suggest_only: return among(suggest_only, escalate, forbid, allow_only);
        case escalate:  // an escalation is not lost in a ban, and its queue is that of the first
            if (a.effect != escalate) return false;
            return b.queue.empty() || (!a.queue.empty() && (before || a.queue == b.queue));
        case route:
            if (a.queue.empty()) return false;
            return (a.effect == route && before) || (a.effect == escalate && (before || a.layer == b.layer));
        case boost:
        case penalise:
        case pin: return among(forbid, allow_only);  // the order of what may not be done
        default: return false;
    }
}

}  // namespace opspilot::detail::analysis
