/// \file
/// Internal: filling a `decision`, with texts that outlive the workspace.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/math.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/identity.hpp"
#include "opspilot/decide/detail/in_force.hpp"
#include "opspilot/decide/detail/reasons.hpp"
#include "opspilot/decide/detail/tally.hpp"
#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot {

struct decision::access {
    static std::string& texts(decision& d) noexcept { return d.texts_; }
    static std::string& task_json(decision& d) noexcept { return d.task_json_; }
    static const std::string& task_json(const decision& d) noexcept { return d.task_json_; }
    static std::vector<rule_hit>& hits(decision& d) noexcept { return d.hits_; }
    static void keep(decision& d, const std::shared_ptr<const opspilot::bundle>& b, const detail::policies_in_force& policy) {
        if (d.bundle_ != b) d.bundle_ = b;
        d.versions_ = &policy.versions();
        d.base_rules_ = &policy.base();
        d.own_rules_ = policy.own();
    }
};

namespace detail {

inline void add_reason(decision& out, std::string_view code, std::string_view text) {
    out.reasons.push_back({.code = code, .rule = {}, .layer = {}, .text = text, .failed = false});
}

inline std::string_view action_id(const frame& f, std::size_t candidate) noexcept {
    const std::uint32_t field = action_id_field(f);
    return f.strings->text(f.actions->get(field, f.action_rows[candidate]).code);
}

/// A text of the frozen dictionary lives as long as the bundle; any other is copied into the decision. `texts` has been
/// reserved for all of them, so that earlier views stay valid.
inline std::string_view lasting_text(decision& out, const frame& f, std::uint32_t code) {
    if (code == no_code) return {};
    const std::string_view text = f.strings->text(code);
    if (code < f.strings->frozen().size()) return text;
    std::string& texts = decision::access::texts(out);
    const std::size_t at = texts.size();
    texts.append(text);
    return std::string_view(texts).substr(at, text.size());
}

inline std::uint32_t text_code(const table& t, std::string_view field, std::size_t row) noexcept {
    const auto index = t.schema_of().find(t.role_of(), field);
    if (!index) return no_code;
    const cell c = t.get(*index, row);
    return c.type == field_type::text && c.has_value() ? c.code : no_code;
}

/// Empties the decision and writes what is known before anything is computed.
inline void begin_decision(decision& out, const std::shared_ptr<const bundle>& b, const policies_in_force& policy, const frame& f,
                           workspace::impl& ws) {
    decision::access::keep(out, b, policy);
    out.reasons.clear();
    out.ranked.clear();
    out.explanation.asked = false;
    out.clauses.asked = false;
    out.clauses.rules.clear();
    out.action = out.queue = {};
    out.probability = out.override_probability = 0;
    out.threshold = std::numeric_limits<double>::quiet_NaN();
    out.now_us = f.now_us;
    out.verdict = out.proposed = verdict::abstain;

    const std::uint32_t id = text_code(*f.task, "id", f.task_row);
    const std::uint32_t client = text_code(*f.task, "client", f.task_row);
    std::size_t bytes = 0;
    const auto count = [&](std::uint32_t code) {
        if (code != no_code && code >= f.strings->frozen().size()) bytes += f.strings->text(code).size();
    };
    count(id);
    count(client);
    const std::uint32_t id_field = action_id_field(f);
    if (!f.catalogue)
        for (std::size_t i = 0; i < f.size(); ++i) count(f.actions->get(id_field, f.action_rows[i]).code);
    std::string& texts = decision::access::texts(out);
    texts.clear();
    texts.reserve(bytes);
    out.task_id = lasting_text(out, f, id);
    out.client = lasting_text(out, f, client);
    decision_identity(b->state().identity, f, ws.identity, out.id);
    decision::access::task_json(out).clear();
}

/// Keeps the fields of the task that may be recorded: none that a policy redacts.
inline void keep_task(decision& out, const frame& f, const policies_in_force& policy, workspace::impl& ws) {
    ws.left_out.clear();
    for (const std::uint32_t r : ws.outcome.redacted)
        if (const schema::path field = policy.rule(r).field; field.where == role::task) ws.left_out.push_back(field.index);
    write_row_json(*f.task, f.task_row, *f.strings, decision::access::task_json(out), pii_class::pseudonymous, ws.left_out);
}

inline reason reason_of(const policies_in_force& policy, const rule_hit& hit) noexcept {
    return reason_of(policy.base(), policy.own(), hit);
}

/// What the rules make of a task without candidates.
inline void write_task_reasons(decision& out, const policies_in_force& policy, const policy_outcome& outcome) {
    for (const rule_hit& hit : outcome.task_hits)
        if (!hit.idle) out.reasons.push_back(reason_of(policy, hit));
    if (outcome.task_queue != 0) out.queue = policy.rule(outcome.task_queue - 1).queue;
}

/// Puts the hits that say nothing behind the others of their candidate. How many of candidate i are left.
inline std::uint32_t put_idle_last(workspace::impl& ws, std::uint32_t i) {
    const auto from = ws.hits.begin() + ws.hit_starts[i];
    const auto to = ws.hits.begin() + ws.hit_starts[i + 1];
    const auto idle = [](const rule_hit& h) { return h.idle; };
    if (const auto first = std::find_if(from, to, idle); first != to) {
        auto kept = first;
        for (auto h = first; h != to; ++h)
            if (!h->idle) std::iter_swap(kept++, h);
        return static_cast<std::uint32_t>(kept - from);
    }
    return static_cast<std::uint32_t>(to - from);
}

/// Writes the ranked candidates with their verdicts.
template <class VerdictOf>
inline void write_candidates(decision& out, const frame& f, const workspace::impl& ws, VerdictOf&& verdict_of) {
    const std::uint32_t id_field = action_id_field(f);
    out.ranked.resize(ws.order.size());
    ranked_candidate* c = out.ranked.data();
    for (const std::uint32_t i : ws.order) {
        c->action = lasting_text(out, f, f.actions->at(id_field).codes[f.action_rows[i]]);
        c->candidate = i;
        c->score = ws.scores[i];
        c->probability = ws.probabilities[i];
        c->allowed = ws.outcome.allowed[i] != 0;
        c->decided = verdict_of(i);
        ++c;
    }
}

/// Hands the hits over to the decision, which makes reasons of them when it is asked.
inline void keep_hits(decision& out, workspace::impl& ws) {
    for (ranked_candidate& c : out.ranked) {
        c.first_reason = ws.hit_starts[c.candidate];
        c.reasons = put_idle_last(ws, c.candidate);
    }
    std::vector<rule_hit>& kept = decision::access::hits(out);
    kept.swap(ws.hits);
    ws.hits.reserve(kept.capacity());  // now, and not at some later decision on many candidates
}

/// Verdict, action and queue of the whole decision from its best candidate.
inline void conclude(decision& out, const frame& f, workspace::impl& ws, const policies_in_force& policy) {
    if (out.ranked.empty()) return;
    const ranked_candidate& best = out.ranked.front();
    const auto queue_of = [&](std::uint32_t candidate) {
        const std::uint32_t queue = ws.outcome.queue[candidate];
        return queue == 0 ? std::string_view{} : policy.rule(queue - 1).queue;
    };
    if (best.allowed) {
        out.proposed = best.decided;
        out.action = best.action;
        out.probability = best.probability;
        out.queue = queue_of(best.candidate);
        if (best.decided == verdict::abstain)
            add_reason(out, "confidence.abstain", "The best candidate is too unlikely to be suggested.");
        const std::string_view broken = policy.violated_invariant(f, best.candidate, out.proposed, ws);
        if (!broken.empty()) {
            out.reasons.push_back({.code = "policy.invariant",
                                   .rule = broken,
                                   .layer = {},
                                   .text = "An invariant of the policy would have been broken.",
                                   .failed = false});
            out.proposed = narrower(out.proposed, verdict::escalate);
        }
        return;
    }
    // Everything is forbidden: an escalation by policy still reaches its queue.
    add_reason(out, "policy.all_forbidden", "The policy forbids every candidate.");
    for (const ranked_candidate& c : out.ranked)
        if (c.decided == verdict::escalate) {
            out.proposed = verdict::escalate;
            out.queue = queue_of(c.candidate);
            break;
        }
}

inline verdict stage_cap(rollout_stage stage) noexcept {
    switch (stage) {
        case rollout_stage::live: return verdict::auto_execute;
        case rollout_stage::approve: return verdict::require_approval;
        case rollout_stage::suggest:
        case rollout_stage::shadow: break;
    }
    return verdict::suggest;
}

/// Rollout stage and kill switch, the last to narrow.
inline void narrow_by_stage(decision& out, rollout_stage stage, bool staged, kill_scope killed) {
    out.stage = stage_names[static_cast<std::size_t>(stage)];
    out.verdict = out.proposed;
    if (killed == kill_scope::automation && out.verdict > verdict::suggest) {
        out.verdict = verdict::suggest;
        add_reason(out, "kill.automation", "Automation is switched off.");
    }
    if (killed == kill_scope::everything) {
        out.verdict = narrower(out.verdict, verdict::escalate);
        add_reason(out, "kill.everything", "All machine answers are switched off; a person decides.");
    }
    if (!staged) return;
    const verdict cap = stage_cap(stage);
    if (out.verdict > cap) {
        out.verdict = cap;
        add_reason(out, stage == rollout_stage::shadow ? "stage.shadow" : "stage.cap", "The rollout stage caps the verdict.");
    }
}

}  // namespace detail
}  // namespace opspilot
