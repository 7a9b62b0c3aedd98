/// \file
/// Internal: the counts of a diff as a JSON object.
#pragma once

#include "opspilot/base/detail/json.hpp"
#include "opspilot/policy/detail/diff/state.hpp"

namespace opspilot {

namespace detail {

inline std::string_view name_of(rule_fate fate) noexcept {
    switch (fate) {
        case rule_fate::same: return "same";
        case rule_fate::edited: return "edited";
        case rule_fate::added: return "added";
        case rule_fate::removed: return "removed";
    }
    return "same";
}

/// Only transitions that happened, in order of states.
inline json transitions_json(const policy_diff_counts::transitions& counted) {
    json out = json::array();
    for (std::size_t a = 0; a < policy_states; ++a)
        for (std::size_t b = 0; b < policy_states; ++b)
            if (counted[a][b] > 0)
                out.push_back({{"old", policy_state_name(a)}, {"new", policy_state_name(b)}, {"count", counted[a][b]}});
    return out;
}

inline json ids_of(const policy_diff::impl& d, const std::vector<std::uint32_t>& rules) {
    json out = json::array();
    for (const std::uint32_t r : rules) out.push_back(d.rules[r].id);
    return out;
}

inline json example_json(const policy_diff::impl& d, const policy_diff_counts::example& e) {
    json changes = json::array();
    for (const policy_diff_counts::change& c : e.changes)
        changes.push_back({{"action", c.action},
                           {"old", policy_state_name(c.old_state)},
                           {"new", policy_state_name(c.new_state)},
                           {"old_boost", c.old_boost},
                           {"new_boost", c.new_boost},
                           {"old_queue", c.old_queue},
                           {"new_queue", c.new_queue},
                           {"gained", ids_of(d, c.gained)},
                           {"lost", ids_of(d, c.lost)},
                           {"edited", ids_of(d, c.edited)}});
    return {{"record", e.record},
            {"decision", e.decision},
            {"task", e.task},
            {"client", e.client},
            {"now", e.now_us},
            {"exact", e.exact},
            {"candidates", e.candidates},
            {"changed_candidates", e.changed},
            {"old_action", e.old_action},
            {"new_action", e.new_action},
            {"old_answer", policy_state_name(e.old_answer)},
            {"new_answer", policy_state_name(e.new_answer)},
            {"rules", ids_of(d, e.rules)},
            {"changes", std::move(changes)}};
}

}  // namespace detail

OPSPILOT_INLINE std::string policy_diff::report(const policy_diff_counts& counts) const {
    using detail::json;
    json rules = json::array();
    for (std::size_t r = 0; r < state->rules.size(); ++r) {
        const detail::joint_rule& rule = state->rules[r];
        const policy_diff_counts::rule& c = counts.rules[r];
        rules.push_back({{"id", rule.id},
                         {"layer", rule.layer},
                         {"effect", rule.effect},
                         {"fate", detail::name_of(rule.fate)},
                         {"because", rule.because},
                         {"old_hits", c.old_hits},
                         {"new_hits", c.new_hits},
                         {"gained", c.gained},
                         {"lost", c.lost},
                         {"candidates", c.candidates},
                         {"decisions", c.decisions}});
    }
    json reasons = json::array();
    for (std::size_t r = 0; r < counts.reasons.size(); ++r)
        if (counts.reasons[r] > 0) reasons.push_back({{"missing", state->reasons[r]}, {"records", counts.reasons[r]}});
    json clients = json::array();
    for (const auto& [name, c] : counts.clients)
        clients.push_back({{"client", name}, {"decisions", c.decisions}, {"changed", c.changed}, {"answers", c.answers}});
    json refusals = json::array();
    for (const policy_diff_counts::refusal& r : counts.refusals)
        refusals.push_back({{"record", r.record}, {"code", r.code}, {"message", r.message}, {"where", r.where}});
    json examples = json::array();
    for (const policy_diff_counts::example& e : counts.examples) examples.push_back(detail::example_json(*state, e));
    const json out{{"kind", "policy diff"},
                   {"old", state->before.fingerprint()},
                   {"new", state->after.fingerprint()},
                   {"decisions", counts.decisions},
                   {"candidates", counts.candidates},
                   {"changed", counts.changed},
                   {"changed_exact", counts.changed_exact},
                   {"changed_candidates", counts.changed_candidates},
                   {"answers", counts.answers},
                   {"answers_exact", counts.answers_exact},
                   {"best_actions", counts.best_actions},
                   {"inexact", counts.inexact},
                   {"inexact_because", std::move(reasons)},
                   {"checked", counts.checked},
                   {"differing", counts.differing},
                   {"others", counts.others},
                   {"unreadable", counts.unreadable},
                   {"refusals", std::move(refusals)},
                   {"by_candidate", detail::transitions_json(counts.by_candidate)},
                   {"by_answer", detail::transitions_json(counts.by_answer)},
                   {"rules", std::move(rules)},
                   {"clients", std::move(clients)},
                   {"examples", std::move(examples)}};
    return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace opspilot
