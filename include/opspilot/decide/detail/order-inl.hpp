#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/math.hpp"
#include "opspilot/decide/detail/access.hpp"
#include "opspilot/decide/detail/clauses.hpp"
#include "opspilot/decide/detail/confidence.hpp"
#include "opspilot/decide/detail/order.hpp"
#include "opspilot/decide/detail/sorting.hpp"

namespace opspilot::detail {

/// Ranks by models, as high on the ladder as allowed: full, else the linear stage, else the baseline rules.
inline rung score_candidates(const bundle::impl& b, const frame& f, workspace::impl& ws, rung widest, decision& out) {
    if (b.ranking && widest >= rung::linear) {
        const bool full = widest >= rung::cached;
        const int linear = b.ranking->linear_stage();
        if (full || linear >= 0) {
            const std::size_t stage = full ? b.ranking->ranking_stage() : static_cast<std::size_t>(linear);
            status done = b.plan.apply(f, f.catalogue ? b.prepared.get() : nullptr, ws.features, ws.matrix);
            if (done) done = b.ranking->score(f, ws.matrix, ws.rank, stage);
            if (done) {
                const std::span<const double> scores = b.ranking->stage_scores(ws.rank, stage);
                std::copy(scores.begin(), scores.end(), ws.scores.begin());
                for (int k = b.ranking->stage(stage).reranks; k >= 0; k = b.ranking->stage(static_cast<std::size_t>(k)).reranks)
                    ws.phases.push_back(b.ranking->stage_scores(ws.rank, static_cast<std::size_t>(k)));
                out.override_probability = b.ranking->override_probability(ws.rank);
                return full ? rung::full : rung::linear;
            }
            add_reason(out, "rung.models_failed", "The models could not score this task; the rules ranked it.");
        }
    }
    if (b.baseline && widest >= rung::baseline) {
        b.baseline->evaluate(f, ws.policy, ws.outcome, f.catalogue ? &b.baseline_ready : nullptr);
        std::copy(ws.outcome.boost.begin(), ws.outcome.boost.end(), ws.scores.begin());
        return rung::baseline;
    }
    return rung::human;
}

/// Groups the policy's hits by candidate, keeping rule order.
inline void group_hits(workspace::impl& ws, std::size_t candidates) {
    ws.hit_starts.assign(candidates + 1, 0);
    for (const rule_hit& hit : ws.outcome.hits) ++ws.hit_starts[hit.candidate + 1];
    for (std::size_t i = 0; i < candidates; ++i) ws.hit_starts[i + 1] += ws.hit_starts[i];
    ws.hits.resize(ws.outcome.hits.size());
    ws.hit_fill.assign(ws.hit_starts.begin(), ws.hit_starts.end());
    for (const rule_hit& hit : ws.outcome.hits) ws.hits[ws.hit_fill[hit.candidate]++] = hit;
}
inline std::span<const rule_hit> hits_of(const workspace::impl& ws, std::uint32_t candidate) noexcept {
    return std::span(ws.hits).subspan(ws.hit_starts[candidate], ws.hit_starts[candidate + 1] - ws.hit_starts[candidate]);
}

/// The allowed candidates are the first ones; rules may want their best places to differ.
inline void diversify(const policies_in_force& policy, const frame& f, workspace::impl& ws) {
    const auto forbidden =
        std::partition_point(ws.order.begin(), ws.order.end(), [&](std::uint32_t i) { return ws.outcome.allowed[i] != 0; });
    policy.diversify(f, {ws.order.begin(), forbidden}, ws);
}

/// The best candidate is about to be done, or to be put before an approver: limits count it now, and where one is exhausted the
/// machine steps back. Without counters (golden rows, what-if) no limit is reached, but one that cannot be evaluated says so.
inline void throttle(const policies_in_force& policy, const frame& f, limit_counters* counters, workspace::impl& ws,
                     decision& out) {
    if (out.ranked.empty() || !out.ranked.front().allowed) return;
    const std::span<const rule_hit> hits = hits_of(ws, out.ranked.front().candidate);
    std::uint32_t stopped = 0;
    for (const rule_hit& hit : hits)
        if (stopped == 0 && hit.failed && policy.rule(hit.rule).effect == "limit") stopped = hit.rule + 1;
    if (stopped == 0 && counters != nullptr && out.proposed > verdict::suggest)
        stopped = policy.throttled(f, hits, *counters, ws);
    if (stopped == 0) return;
    const rule_info rule = policy.rule(stopped - 1);
    out.reasons.push_back({.code = "throttled", .rule = rule.id, .layer = rule.layer, .text = rule.because, .failed = false});
    out.proposed = narrower(out.proposed, verdict::suggest);
    out.ranked.front().decided = narrower(out.ranked.front().decided, verdict::suggest);
}

/// What the mandatory layer says stands, whatever came after it: a person decides, in that rule's queue.
inline void hand_over(const policies_in_force& policy, std::uint32_t mandatory, decision& out) {
    if (mandatory == 0) return;
    const rule_info rule = policy.rule(mandatory - 1);
    out.proposed = verdict::escalate;
    out.queue = rule.queue;
    out.reasons.insert(out.reasons.begin(),
                       {.code = "policy.mandatory", .rule = rule.id, .layer = rule.layer, .text = rule.because, .failed = false});
}

/// The line an action has to cross: the one of its kind, else the one for any kind.
inline const automation_line* line_for(const bundle::impl& b, std::uint32_t kind) noexcept {
    const automation_line* any = nullptr;
    for (const automation_line& line : b.lines) {
        if (line.kind == kind && kind != no_code) return &line;
        if (line.kind == no_code) any = &line;
    }
    return any;
}

/// Threshold for one candidate now; NaN when nothing usable is certified for it.
inline double certified_for(const bundle::impl& b, const frame& f, std::size_t candidate, rung reached) noexcept {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (reached < rung::cached) return none;
    std::uint32_t kind = no_code;
    if (b.kind_field) kind = f.actions->get(*b.kind_field, f.action_rows[candidate]).code;
    const automation_line* line = line_for(b, kind);
    const bool usable = line != nullptr && line->certified && f.now_us >= line->created_at_us && f.now_us < line->expires_at_us;
    return usable ? line->value : none;
}

/// The same with what the policy asks for: it can ask for more than is certified, never for less.
inline double threshold_for(const bundle::impl& b, const frame& f, const policy_outcome& policy, std::size_t candidate,
                            rung reached) noexcept {
    const double certified = certified_for(b, f, candidate, reached);
    return std::isnan(certified) ? certified : std::max(certified, policy.threshold[candidate]);
}

/// The verdict of one candidate: what confidence allows, narrowed by what the policy left.
inline verdict candidate_verdict(const bundle::impl& b, double threshold, double probability, bool allowed,
                                 verdict cap) noexcept {
    if (!allowed) return cap == verdict::escalate ? verdict::escalate : verdict::abstain;
    verdict v = narrower(probability > threshold ? verdict::auto_execute : verdict::suggest, cap);  // false for NaN
    if (b.confidence && probability < b.confidence->abstain_below) v = narrower(v, verdict::abstain);
    return v;
}

/// Why the best candidate is not automated, as far as confidence decides it.
inline void explain_confidence(const bundle::impl& b, const frame& f, decision& out) {
    if (out.rung < rung::cached)
        add_reason(out, "rung.no_automation", "Only the full models may automate; this decision stood on a lower rung.");
    else if (!b.confidence)
        add_reason(out, "confidence.none", "The bundle has no calibration; nothing may be automated.");
    else if (out.ranked.empty() || !out.ranked.front().allowed)
        return;
    else if (std::isnan(out.threshold)) {
        const ranked_candidate& best = out.ranked.front();
        std::uint32_t kind = no_code;
        if (b.kind_field) kind = f.actions->get(*b.kind_field, f.action_rows[best.candidate]).code;
        const automation_line* line = line_for(b, kind);
        if (line == nullptr)
            add_reason(out, "confidence.no_threshold", "No threshold is certified for this kind of action.");
        else if (line->foreign_model)
            add_reason(out, "confidence.foreign_model", "The certificate of the threshold is of other models.");
        else if (line->foreign_calibrator)
            add_reason(out, "confidence.foreign_calibrator", "The certificate of the threshold is of another calibrator.");
        else if (!line->certified)
            add_reason(out, "confidence.not_certified", "The evidence did not suffice to certify a threshold for these models.");
        else
            add_reason(out, "confidence.expired", "The certificate of the threshold does not hold at this time.");
    } else if (!(out.probability > out.threshold)) {
        if (out.probability > certified_for(b, f, out.ranked.front().candidate, out.rung))
            add_reason(out, "confidence.below_policy_threshold", "The probability does not exceed what the policy asks for.");
        else
            add_reason(out, "confidence.below_threshold", "The probability does not exceed the certified threshold.");
    }
}

/// Contributions to the score of the best candidate, by the stage that ranked. What has none says why.
inline void explain_score(const bundle::impl& b, workspace::impl& ws, decision& out) {
    decision_explanation& e = out.explanation;
    e.asked = true;
    e.action = out.ranked.empty() ? std::string_view{} : out.ranked.front().action;
    e.missing = {};
    if (out.ranked.empty()) {
        e.missing = "explanation.no_candidate";
    } else if (out.rung < rung::linear) {
        e.missing = "explanation.rung";
    } else {
        const bool full = out.rung >= rung::cached;
        const std::size_t stage = full ? b.ranking->ranking_stage() : static_cast<std::size_t>(b.ranking->linear_stage());
        const status made =
            b.ranking->explain(ws.matrix, ws.rank, stage, out.ranked.front().candidate, decision_explanation::listed, e.of_score);
        if (!made) e.missing = made.error().code;
    }
}

OPSPILOT_INLINE void decide_frame(const std::shared_ptr<const bundle>& b, const frame& f, workspace::impl& ws,
                                  const circumstances& now, decision& out) {
    const bundle::impl& state = b->state();
    const policies_in_force policy(state, text_code(*f.task, "client", f.task_row));
    begin_decision(out, b, policy, f, ws);
    const std::uint32_t mandatory = policy.mandatory(f, ws);  // before any model, and in every mode
    const std::size_t n = f.size();
    ws.scores.assign(n, 0.0);  // those of the task before this one, also when nothing is scored
    ws.phases.clear();
    out.rung = n == 0 ? rung::human
                      : score_candidates(state, f, ws, now.killed == kill_scope::everything ? rung::human : now.widest, out);

    ws.model_scores.assign(ws.scores.begin(), ws.scores.end());
    policy.evaluate(f, ws);
    for (std::size_t i = 0; i < n; ++i) ws.scores[i] += ws.outcome.boost[i];
    keep_task(out, f, policy, ws);
    order_candidates(ws);
    group_hits(ws, n);
    diversify(policy, f, ws);

    calibrate_candidates(state, ws, out.rung, out.override_probability, out.client);
    if (n > 0) out.threshold = threshold_for(state, f, ws.outcome, ws.order[0], out.rung);
    write_candidates(out, f, ws, [&](std::uint32_t i) {
        return candidate_verdict(state, threshold_for(state, f, ws.outcome, i, out.rung), ws.probabilities[i],
                                 ws.outcome.allowed[i] != 0, ws.outcome.cap[i]);
    });
    conclude(out, f, ws, policy);
    explain_confidence(state, f, out);
    if (out.rung == rung::human) {
        out.proposed = narrower(out.proposed, verdict::escalate);
        if (n == 0) out.proposed = verdict::escalate;  // a person must see a task that nothing fits
        add_reason(out, n == 0 ? "candidates.none" : "rung.human",
                   n == 0 ? "No action of the catalogue fits this task; a person decides."
                          : "No machine answer is available; a person decides.");
    }
    throttle(policy, f, now.limits, ws, out);
    if (n == 0) write_task_reasons(out, policy, ws.outcome);
    hand_over(policy, mandatory, out);
    narrow_by_stage(out, state.stage, now.staged, now.killed);
    if (now.explain) explain_score(state, ws, out);
    if (now.clauses) clause_collector(policy, f, ws, out).collect(now.about);
    keep_hits(out, ws);
}

}  // namespace opspilot::detail
