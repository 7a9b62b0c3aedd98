#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "opspilot/audit/detail/line_writer.hpp"
#include "opspilot/audit/detail/record_clauses.hpp"
#include "opspilot/audit/detail/record_explanation.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/reasons.hpp"
#include "opspilot/decide/detail/recorded.hpp"

namespace opspilot {

OPSPILOT_INLINE std::string_view name(rung r) noexcept {
    switch (r) {
        case rung::human: return "human";
        case rung::baseline: return "baseline";
        case rung::linear: return "linear";
        case rung::cached: return "cached";
        case rung::full: return "full";
    }
    return "human";
}

OPSPILOT_INLINE const version_set& decision::versions() const noexcept {
    static const version_set none;
    return versions_ != nullptr ? *versions_ : none;
}

OPSPILOT_INLINE reason candidate_reasons::operator[](std::size_t i) const noexcept {
    return detail::reason_of(*base_, own_, hits_[i]);
}

OPSPILOT_INLINE void decision::write_record(std::string& out, std::size_t top) const {
    constexpr std::size_t most = 64;
    std::array<record_candidate, most> best;
    const std::size_t listed = std::min({top, most, ranked.size()});
    // Kept by the thread: a decision may be written by several at once, and none of them shall allocate.
    static thread_local std::vector<reason> shown;
    shown.clear();
    for (std::size_t i = 0; i < listed; ++i)
        for (const reason& r : reasons_of(ranked[i])) shown.push_back(r);
    std::span<const reason> unused(shown);
    for (std::size_t i = 0; i < listed; ++i) {
        const ranked_candidate& c = ranked[i];
        best[i] = {.action = c.action,
                   .score = c.score,
                   .probability = c.probability,
                   .verdict = name(c.decided),
                   .allowed = c.allowed,
                   .reasons = unused.first(c.reasons)};
        unused = unused.subspan(c.reasons);
    }
    std::array<std::string_view, 1> degraded{name(rung)};
    const version_set& v = versions();
    record r;
    r.id = id;
    r.time_us = now_us;
    r.client = client;
    r.task = task_id;
    r.stage = stage;
    r.shadow = stage == "shadow";
    r.verdict = name(verdict);
    r.proposed = name(proposed);
    r.action = action;
    r.queue = queue;
    r.probability = action.empty() ? std::numeric_limits<double>::quiet_NaN() : probability;
    r.threshold = threshold;
    r.override_probability = override_probability;
    r.rung = name(rung);
    if (rung != opspilot::rung::full) r.degraded = degraded;
    r.bundle = v.bundle;
    r.bundle_version = v.bundle_version;
    r.schema = v.schema;
    r.features = v.features;
    r.model = v.model;
    r.policy = v.policy;
    r.calibration = v.calibration;
    r.library = v.library;
    r.reasons = reasons;
    r.candidates = ranked.size();
    r.ranked = std::span(best).first(listed);
    const detail::recorded_explanation score(explanation);
    const detail::recorded_clauses rules(clauses);
    if (explanation.asked) r.explanation = &score.view();
    if (clauses.asked) r.clauses = &rules.view();
    r.fields = task_json_;
    write_json(r, out);
}

OPSPILOT_INLINE void decision::write_explanation(std::string& out) const {
    detail::line_writer line(out);
    line.open('{');
    line.key("decision"), line.text(id);
    line.key("verdict"), line.text(name(verdict));
    line.key("action"), line.text(action);
    if (explanation.asked) detail::write_explanation(line, detail::recorded_explanation(explanation).view());
    if (clauses.asked) detail::write_clauses(line, detail::recorded_clauses(clauses).view());
    line.close('}');
}

}  // namespace opspilot
