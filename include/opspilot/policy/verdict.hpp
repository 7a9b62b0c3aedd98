/// \file
/// The five answers, ordered by how much they let a machine do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace opspilot {

/// Wider verdicts have higher values. `escalate` and `abstain` are equally narrow; `escalate` wins between them, because an
/// escalation with a queue is never replaced by an abstention.
enum class verdict : std::uint8_t { abstain = 0, escalate = 1, suggest = 2, require_approval = 3, auto_execute = 4 };

[[nodiscard]] constexpr std::string_view name(verdict v) noexcept {
    switch (v) {
        case verdict::abstain: return "abstain";
        case verdict::escalate: return "escalate";
        case verdict::suggest: return "suggest";
        case verdict::require_approval: return "require_approval";
        case verdict::auto_execute: return "auto_execute";
    }
    return "abstain";
}

/// The narrower of two verdicts.
[[nodiscard]] constexpr verdict narrower(verdict a, verdict b) noexcept {
    const verdict low = std::min(a, b);
    if (low == verdict::abstain && (a == verdict::escalate || b == verdict::escalate)) return verdict::escalate;
    return low;
}

}  // namespace opspilot
