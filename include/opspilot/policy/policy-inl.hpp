#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opspilot/base/hash.hpp"
#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

namespace detail {

OPSPILOT_INLINE cel::detail::machine& machine_over(const frame& f, policy_workspace& scratch) noexcept {
    cel::detail::machine& m = scratch.state->machine;
    m.memory = &scratch.state->memory;
    m.strings = f.strings;
    m.where = &f;
    m.candidate = 0;
    return m;
}

/// The layer a document claims, for the order of reading; wrong documents say so when they are read.
inline policy_layer claimed_layer(std::string_view text) {
    const auto parsed = parse_json(text, error_kind::policy);
    const std::string claimed = parsed && parsed->is_object() ? text_or(*parsed, "layer", "") : std::string{};
    for (const policy_layer layer : {policy_layer::compliance, policy_layer::client})
        if (claimed == name(layer)) return layer;
    return policy_layer::business;
}

/// What rule `r` does to candidate `i` given the value of its condition.
inline void apply_rule(const std::vector<policy_rule>& rules, std::uint32_t r, std::uint32_t i, const cel::value& condition,
                       policy_outcome& out) {
    const policy_rule& rule = rules[r];
    const bool failed = !condition.is(cel::kind::boolean);
    const bool holds = condition.is_true();
    if (rule.effect == policy_effect::allow_only ? holds : !holds && !failed) return;
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

}  // namespace detail

OPSPILOT_INLINE void policy_outcome::reset(std::size_t candidates) {
    cap.assign(candidates, verdict::auto_execute);
    allowed.assign(candidates, 1);
    boost.assign(candidates, 0.0);
    queue.assign(candidates, 0);
    hits.clear();
}

OPSPILOT_INLINE policy_workspace::policy_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE policy_workspace::~policy_workspace() = default;
OPSPILOT_INLINE policy_workspace::policy_workspace(policy_workspace&&) noexcept = default;
OPSPILOT_INLINE policy_workspace& policy_workspace::operator=(policy_workspace&&) noexcept = default;

OPSPILOT_INLINE result<policy_set> policy_set::compile(std::span<const document> documents, const schema& s, dictionary& strings,
                                                       std::vector<policy_finding>* findings) {
    auto made = std::make_shared<impl>();
    made->fields = s;
    detail::finding_log log(findings);
    std::vector<detail::policy_layer> layers;
    for (const document& d : documents) layers.push_back(detail::claimed_layer(d.text));
    sha256_stream identity;
    identity.update("opspilot.policy.1");
    for (const auto layer : {detail::policy_layer::compliance, detail::policy_layer::client, detail::policy_layer::business}) {
        for (std::size_t i = 0; i < documents.size(); ++i) {
            if (layers[i] != layer) continue;
            detail::read_policy_document(documents[i], s, strings, *made, log);
            identity.update(fmt::format("\n{}\n", documents[i].text.size()));
            identity.update(documents[i].text);
        }
    }
    if (log.first_error()) return std::move(*log.first_error());
    made->identity = hex(identity.finish());
    policy_set out;
    out.state = std::move(made);
    return out;
}

OPSPILOT_INLINE void policy_set::evaluate(const frame& f, policy_workspace& scratch, policy_outcome& out) const {
    const auto candidates = static_cast<std::uint32_t>(f.size());
    out.reset(candidates);
    if (state == nullptr || candidates == 0) return;
    cel::detail::machine& m = detail::machine_over(f, scratch);
    for (std::uint32_t r = 0; r < state->rules.size(); ++r) {
        const cel::detail::program& p = state->rules[r].condition;
        m.memory->reset();
        m.prepare(p);
        cel::detail::run(p, m, 0, p.main_begin);
        const bool pruned =
            std::any_of(p.guards.begin(), p.guards.end(), [&](std::uint32_t guard) { return m.registers[guard].is_false(); });
        if (pruned || p.result < p.main_begin) {
            const cel::value same = pruned ? cel::make_boolean(false) : m.registers[p.result];
            for (std::uint32_t i = 0; i < candidates; ++i) detail::apply_rule(state->rules, r, i, same, out);
            continue;
        }
        const cel::arena::mark after_task = m.memory->here();
        const auto end = static_cast<std::uint32_t>(p.code.size());
        for (std::uint32_t i = 0; i < candidates; ++i) {
            m.memory->rewind(after_task);
            m.candidate = i;
            m.steps = 0;
            cel::detail::run(p, m, p.main_begin, end);
            detail::apply_rule(state->rules, r, i, m.registers[p.result], out);
        }
    }
}

OPSPILOT_INLINE std::uint32_t policy_set::rules() const noexcept {
    return state == nullptr ? 0 : static_cast<std::uint32_t>(state->rules.size());
}

OPSPILOT_INLINE rule_info policy_set::rule(std::uint32_t index) const noexcept {
    const detail::policy_rule& r = state->rules[index];
    rule_info info;
    info.id = r.id;
    info.layer = detail::name(r.layer);
    info.version = state->documents[r.document].version;
    info.effect = detail::traits_of(r.effect).name;
    info.because = r.because;
    info.queue = r.queue;
    info.when = r.when;
    info.by = r.by;
    info.locked = r.locked;
    return info;
}

OPSPILOT_INLINE std::string_view policy_set::violated_invariant(const frame& f, std::size_t candidate, verdict decided,
                                                                policy_workspace& scratch) const {
    if (state == nullptr) return {};
    for (const detail::policy_invariant& v : state->invariants) {
        if (decided < v.never) continue;
        cel::detail::machine& m = detail::machine_over(f, scratch);
        m.memory->reset();
        m.candidate = candidate;
        if (!cel::detail::run_all(v.condition, m).is_false()) return v.id;  // one that fails holds: it narrows
    }
    return {};
}

OPSPILOT_INLINE std::vector<policy_set::test_result> policy_set::run_tests() const {
    std::vector<test_result> results;
    std::vector<std::uint32_t> covered;
    if (state != nullptr) detail::run_policy_tests(*state, results, covered);
    return results;
}

OPSPILOT_INLINE std::vector<std::uint32_t> policy_set::coverage() const {
    std::vector<test_result> results;
    std::vector<std::uint32_t> covered;
    if (state != nullptr) detail::run_policy_tests(*state, results, covered);
    return covered;
}

OPSPILOT_INLINE const std::string& policy_set::fingerprint() const noexcept {
    static const std::string none;
    return state == nullptr ? none : state->identity;
}

}  // namespace opspilot
