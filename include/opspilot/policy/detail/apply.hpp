/// \file
/// Internal: what rules do to candidates, and the two ways of finding out to which: by columns, and by the scalar machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/policy_state.hpp"

namespace opspilot::detail {

/// Whether a rule does anything to a candidate for which its condition holds, fails, or neither.
inline bool acts(const policy_rule& rule, bool holds, bool failed) noexcept {
    return rule.effect == policy_effect::allow_only ? !holds : holds || failed;
}

/// What rule `r`, which acts, does to candidate `i`.
inline void apply_rule(const std::vector<policy_rule>& rules, std::uint32_t r, std::uint32_t i, bool failed,
                       policy_outcome& out) {
    const policy_rule& rule = rules[r];
    out.hits.push_back({r, i, failed});
    const auto cap = [&](verdict v) { out.cap[i] = narrower(out.cap[i], v); };
    if (failed) {
        if (rule.failing == on_error::abstain) return cap(verdict::abstain);
        if (!traits_of(rule.effect).narrowing) return;
    }
    switch (rule.effect) {
        case policy_effect::forbid:
        case policy_effect::allow_only: out.allowed[i] = 0; return cap(verdict::abstain);
        case policy_effect::require_approval: return cap(verdict::require_approval);
        case policy_effect::suggest_only: return cap(verdict::suggest);
        case policy_effect::escalate: cap(verdict::escalate); [[fallthrough]];
        case policy_effect::route: {
            if (rule.queue.empty()) return;
            // A queue stays, but for one thing: an escalation's takes the place of a route's of the same layer.
            const std::uint32_t known = out.queue[i];
            const bool replaces = known != 0 && rule.effect == policy_effect::escalate &&
                                  rules[known - 1].effect == policy_effect::route && rules[known - 1].layer == rule.layer;
            if (known == 0 || replaces) out.queue[i] = r + 1;
            return;
        }
        case policy_effect::boost: out.boost[i] += rule.by; return;
        case policy_effect::penalise: out.boost[i] -= rule.by; return;
        case policy_effect::pin: out.boost[i] += pin_boost; return;
        default: return cap(verdict::abstain);  // refused when the document is read
    }
}

/// All rules over all candidates, by columns: block by block, in each in rule order.
inline void apply_by_columns(const policy_set::impl& set, const frame& f, const cel::detail::prepared_catalogue* ready,
                             const cel::detail::column_kernel& kernel, policy_workspace::impl& scratch, policy_outcome& out) {
    using namespace cel::detail;
    scratch.machine.memory = &scratch.memory;
    block_evaluator block(set.columns, f, ready, kernel, scratch.machine, scratch.columns);
    for (std::size_t first = 0; first < f.size(); first += block_rows) {
        const std::size_t rows = std::min(block_rows, f.size() - first);
        block.begin(first, rows);
        plane acting{};
        plane every{};
        fill_rows(every.data(), rows);
        for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
            const truths t = block.truth(set.rules[r].part);
            const std::size_t words = (rows + 63) / 64;
            const bool inverted = set.rules[r].effect == policy_effect::allow_only;
            for (std::size_t w = 0; w < words; ++w)
                acting[w] = inverted ? every[w] & ~t.yes[w] : t.yes[w] | (t.error == nullptr ? 0 : t.error[w]);
            each_bit(acting.data(), words, [&](std::size_t i) {
                const bool failed = t.error != nullptr && (t.error[i / 64] >> (i % 64) & 1) != 0;
                apply_rule(set.rules, r, static_cast<std::uint32_t>(first + i), failed, out);
            });
        }
    }
}

/// The same, rule by rule and candidate by candidate.
inline void apply_by_machine(const policy_set::impl& set, const frame& f, policy_workspace& scratch, policy_outcome& out) {
    const auto candidates = static_cast<std::uint32_t>(f.size());
    cel::detail::machine& m = machine_over(f, scratch);
    for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
        const cel::detail::program& p = set.rules[r].condition;
        const auto apply = [&](std::uint32_t i, const cel::value& v) {
            const bool failed = !v.is(cel::kind::boolean);
            if (acts(set.rules[r], v.is_true(), failed)) apply_rule(set.rules, r, i, failed, out);
        };
        m.memory->reset();
        m.prepare(p);
        cel::detail::run(p, m, 0, p.main_begin);
        const cel::arena::mark after_task = m.memory->here();
        const auto end = static_cast<std::uint32_t>(p.code.size());
        for (std::uint32_t i = 0; i < candidates; ++i) {
            m.memory->rewind(after_task);
            m.candidate = i;
            m.steps = 0;
            cel::detail::run(p, m, p.main_begin, end);
            apply(i, m.registers[p.result]);
        }
    }
}

}  // namespace opspilot::detail
