#pragma once

#include <optional>
#include <span>
#include <utility>

#include "opspilot/decide/detail/confidence.hpp"
#include "opspilot/decide/detail/inputs.hpp"
#include "opspilot/decide/stages.hpp"

namespace opspilot {

struct stage_runner::impl {
    std::shared_ptr<const opspilot::bundle> of;
    workspace scratch;
    detail::call_inputs inputs;
    std::optional<frame> read;
};

OPSPILOT_INLINE stage_runner::stage_runner(std::shared_ptr<const bundle> b) : state_(std::make_unique<impl>()) {
    state_->of = std::move(b);
}
OPSPILOT_INLINE stage_runner::~stage_runner() = default;
OPSPILOT_INLINE stage_runner::stage_runner(stage_runner&&) noexcept = default;
OPSPILOT_INLINE stage_runner& stage_runner::operator=(stage_runner&&) noexcept = default;

OPSPILOT_INLINE bool stage_runner::has(decision_stage stage) const noexcept {
    const bundle::impl& b = state_->of->state();
    if (stage == decision_stage::calibration) return b.ranking.has_value() && b.confidence.has_value();
    return b.ranking.has_value() || (stage != decision_stage::features && stage != decision_stage::ranking);
}

OPSPILOT_INLINE status stage_runner::prepare(const table_source& task, const table_source& candidates, std::int64_t now_us) {
    state_->inputs = {.tasks = task, .candidates = candidates, .now_us = now_us};
    OPSPILOT_TRY(state_->read, detail::read_one(state_->of, state_->inputs, *state_->scratch.state));
    for (const auto stage :
         {decision_stage::features, decision_stage::ranking, decision_stage::policies, decision_stage::calibration})
        if (has(stage)) OPSPILOT_CHECK(run(stage));
    return {};
}

OPSPILOT_INLINE status stage_runner::run(decision_stage stage) {
    if (!state_->read) return error{error_kind::usage, "usage.not_prepared", "no task was prepared", "", "call prepare first"};
    const bundle::impl& b = state_->of->state();
    workspace::impl& ws = *state_->scratch.state;
    const frame& f = *state_->read;
    if (!has(stage)) return {};
    switch (stage) {
        case decision_stage::reading: {
            OPSPILOT_TRY(state_->read, detail::read_one(state_->of, state_->inputs, ws));
            return {};
        }
        case decision_stage::features: return b.plan.apply(f, f.catalogue ? b.prepared.get() : nullptr, ws.features, ws.matrix);
        case decision_stage::ranking: return b.ranking->score(f, ws.matrix, ws.rank, b.ranking->ranking_stage());
        case decision_stage::policies:
            b.policy.evaluate(f, ws.policy, ws.outcome, f.catalogue ? &b.policy_ready : nullptr);
            return {};
        case decision_stage::calibration: {
            const std::span<const double> scores = b.ranking->stage_scores(ws.rank, b.ranking->ranking_stage());
            ws.model_scores.assign(scores.begin(), scores.end());
            detail::calibrate_candidates(b, ws, rung::full, b.ranking->override_probability(ws.rank), {});
            return {};
        }
    }
    return {};
}

}  // namespace opspilot
