/// \file
/// Internal: what rules do to candidates, and the two ways of finding out to which: by columns, and by the scalar machine.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/policy_state.hpp"

namespace opspilot::detail {

/// Whether a rule does anything to a candidate for which its condition holds, fails, or neither.
inline bool acts(const policy_rule& rule, bool holds, bool failed) noexcept {
    return rule.effect == policy_effect::allow_only ? !holds : holds || failed;
}

/// Rule `r` names a queue. One that is known stays, but for one thing: an escalation's takes the place of a route's of the same
/// layer.
inline void send(const std::vector<policy_rule>& rules, std::uint32_t r, std::uint32_t& queue) noexcept {
    const bool replaces = queue != 0 && rules[r].effect == policy_effect::escalate &&
                          rules[queue - 1].effect == policy_effect::route && rules[queue - 1].layer == rules[r].layer;
    if (queue == 0 || replaces) queue = r + 1;
}

/// A limit by itself does nothing; its counters may.
inline bool idle(const policy_rule& rule, bool failed) noexcept { return rule.effect == policy_effect::limit && !failed; }

inline verdict killed_cap(const policy_rule& rule) noexcept { return rule.whole ? verdict::escalate : verdict::suggest; }

inline void note_once(std::uint32_t r, std::vector<std::uint32_t>& rules) {
    if (std::find(rules.begin(), rules.end(), r) == rules.end()) rules.push_back(r);
}

/// What rule `r`, which acts, does to candidate `i`.
inline void apply_rule(const std::vector<policy_rule>& rules, std::uint32_t r, std::uint32_t i, bool failed,
                       policy_outcome& out) {
    const policy_rule& rule = rules[r];
    out.hits.push_back({r, i, failed, idle(rule, failed)});
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
            if (!rule.queue.empty()) send(rules, r, out.queue[i]);
            return;
        }
        case policy_effect::boost: out.boost[i] += rule.by; return;
        case policy_effect::penalise: out.boost[i] -= rule.by; return;
        case policy_effect::pin: out.boost[i] += pin_boost; return;
        case policy_effect::set_threshold: out.threshold[i] = std::max(out.threshold[i], rule.threshold); return;
        case policy_effect::kill: return cap(killed_cap(rule));
        case policy_effect::redact: return note_once(r, out.redacted);
        case policy_effect::limit:
            if (failed) cap(verdict::suggest);  // as exhausted; whether it is, counters know
            return;
        case policy_effect::diversify: return;  // needs the order of all candidates
    }
}

/// What the rules do to one block of candidates. Caps are kept as bits, a plane per verdict, and written out once.
class block_effects {
public:
    block_effects(const std::vector<policy_rule>& rules, std::size_t first, std::size_t rows, policy_outcome& out)
        : rules_(rules), first_(first), words_((rows + 63) / 64), out_(out) {
        cel::detail::fill_rows(every_.data(), rows);
    }

    void apply(std::uint32_t r, const cel::detail::truths& t) {
        const policy_rule& rule = rules_[r];
        const bool inverted = rule.effect == policy_effect::allow_only;
        for (std::size_t w = 0; w < words_; ++w) {
            failed_[w] = t.error == nullptr ? 0 : t.error[w];
            acting_[w] = inverted ? every_[w] & ~t.yes[w] : t.yes[w] | failed_[w];
        }
        if (!note_hits(r)) return;
        if (rule.failing == on_error::abstain) narrow(verdict::abstain, failed_);
        if (rule.failing == on_error::abstain || !traits_of(rule.effect).narrowing)
            for (std::size_t w = 0; w < words_; ++w) acting_[w] &= ~failed_[w];
        act(r, rule);
    }

    void finish() {
        for (std::size_t v = caps_.size(); v-- > 0;)
            cel::detail::each_bit(caps_[v].data(), words_, [&](std::size_t i) {
                out_.cap[first_ + i] = narrower(out_.cap[first_ + i], static_cast<verdict>(v));
            });
        cel::detail::each_bit(forbidden_.data(), words_, [&](std::size_t i) { out_.allowed[first_ + i] = 0; });
    }

private:
    /// False when there are none.
    bool note_hits(std::uint32_t r) {
        std::size_t count = 0;
        for (std::size_t w = 0; w < words_; ++w) count += static_cast<std::size_t>(std::popcount(acting_[w]));
        if (count == 0) return false;
        const std::size_t before = out_.hits.size();
        out_.hits.resize(before + count);
        rule_hit* to = out_.hits.data() + before;
        cel::detail::each_bit(acting_.data(), words_, [&](std::size_t i) {
            const bool failed = (failed_[i / 64] >> (i % 64) & 1) != 0;
            *to++ = {r, static_cast<std::uint32_t>(first_ + i), failed, idle(rules_[r], failed)};
        });
        return true;
    }
    void narrow(verdict v, const cel::detail::plane& where) noexcept {
        cel::detail::plane& cap = caps_[static_cast<std::size_t>(v)];
        for (std::size_t w = 0; w < words_; ++w) cap[w] |= where[w];
    }
    void add(double by) {
        cel::detail::each_bit(acting_.data(), words_, [&](std::size_t i) { out_.boost[first_ + i] += by; });
    }
    void act(std::uint32_t r, const policy_rule& rule) {
        switch (rule.effect) {
            case policy_effect::require_approval: return narrow(verdict::require_approval, acting_);
            case policy_effect::suggest_only: return narrow(verdict::suggest, acting_);
            case policy_effect::boost: return add(rule.by);
            case policy_effect::penalise: return add(-rule.by);
            case policy_effect::pin: return add(pin_boost);
            case policy_effect::kill: return narrow(killed_cap(rule), acting_);
            case policy_effect::limit: return narrow(verdict::suggest, failed_);
            case policy_effect::redact: return note_once(r, out_.redacted);
            case policy_effect::diversify: return;
            case policy_effect::set_threshold:
                return cel::detail::each_bit(acting_.data(), words_, [&](std::size_t i) {
                    double& least = out_.threshold[first_ + i];
                    least = std::max(least, rule.threshold);
                });
            case policy_effect::escalate: narrow(verdict::escalate, acting_); [[fallthrough]];
            case policy_effect::route:
                if (rule.queue.empty()) return;
                return cel::detail::each_bit(acting_.data(), words_,
                                             [&](std::size_t i) { send(rules_, r, out_.queue[first_ + i]); });
            case policy_effect::forbid:
            case policy_effect::allow_only:
                for (std::size_t w = 0; w < words_; ++w) forbidden_[w] |= acting_[w];
                return narrow(verdict::abstain, acting_);
        }
    }

    const std::vector<policy_rule>& rules_;
    std::size_t first_, words_;
    policy_outcome& out_;
    cel::detail::plane every_{}, acting_{}, failed_{}, forbidden_{};
    std::array<cel::detail::plane, 5> caps_{};  // per verdict
};

/// The value of a condition or key for one candidate, or for the task when it reads no candidate.
inline cel::value run_condition(const cel::detail::program& p, const frame& f, policy_workspace& scratch,
                                std::size_t candidate = 0) {
    cel::detail::machine& m = machine_over(f, scratch);
    m.memory->reset();
    m.candidate = candidate;
    m.steps = 0;
    return cel::detail::run_all(p, m);
}

/// All rules over all candidates, by columns: block by block, in each in rule order.
inline void apply_by_columns(const policy_set::impl& set, const frame& f, const cel::detail::prepared_catalogue* ready,
                             const cel::detail::column_kernel& kernel, policy_workspace::impl& scratch, policy_outcome& out) {
    using cel::detail::block_rows;
    scratch.machine.memory = &scratch.memory;
    cel::detail::block_evaluator block(set.columns, f, ready, kernel, scratch.machine, scratch.columns);
    for (std::size_t first = 0; first < f.size(); first += block_rows) {
        const std::size_t rows = std::min(block_rows, f.size() - first);
        block.begin(first, rows);
        block_effects effects(set.rules, first, rows, out);
        for (std::uint32_t r = 0; r < set.rules.size(); ++r)
            if (set.rules[r].valid_at(f.now_us)) effects.apply(r, block.truth(set.rules[r].part));
        effects.finish();
    }
}

/// The same, rule by rule and candidate by candidate.
inline void apply_by_machine(const policy_set::impl& set, const frame& f, policy_workspace& scratch, policy_outcome& out) {
    const auto candidates = static_cast<std::uint32_t>(f.size());
    cel::detail::machine& m = machine_over(f, scratch);
    for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
        if (!set.rules[r].valid_at(f.now_us)) continue;
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

/// A task without candidates: escalations and routes of the task alone name their queue, and what may have to be left out of the
/// record is left out. The machine, since there is nothing to do at once.
inline void apply_to_task(const policy_set::impl& set, const frame& f, policy_workspace& scratch, policy_outcome& out) {
    for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
        const policy_rule& rule = set.rules[r];
        if (!rule.valid_at(f.now_us)) continue;
        if (!rule.of_task()) {
            if (rule.effect == policy_effect::redact) note_once(r, out.redacted);
            continue;
        }
        const cel::value holds = run_condition(rule.condition, f, scratch);
        const bool failed = !holds.is(cel::kind::boolean);
        if (!acts(rule, holds.is_true(), failed)) continue;
        out.task_hits.push_back({r, 0, failed, idle(rule, failed)});
        if (rule.effect == policy_effect::redact) note_once(r, out.redacted);
        const bool sends = rule.effect == policy_effect::escalate || (rule.effect == policy_effect::route && !failed);
        if (sends && !rule.queue.empty()) send(set.rules, r, out.task_queue);
    }
}

/// 1 + the first rule of the mandatory layer that acts for the task, 0 when none does.
inline std::uint32_t first_mandatory(const policy_set::impl& set, const frame& f, policy_workspace& scratch) {
    for (std::uint32_t r = 0; r < set.rules.size() && set.rules[r].layer == policy_layer::mandatory; ++r)
        if (set.rules[r].valid_at(f.now_us) && !run_condition(set.rules[r].condition, f, scratch).is_false()) return r + 1;
    return 0;
}

}  // namespace opspilot::detail
