#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "opspilot/audit/outcome.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/engine_state.hpp"
#include "opspilot/decide/detail/metrics_text.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

namespace detail {

/// Names of an enumeration that counts from `first`.
template <class Enum, std::size_t Count>
inline std::array<std::string_view, Count> names_from(std::size_t first) {
    std::array<std::string_view, Count> out;
    for (std::size_t i = 0; i < Count; ++i) out[i] = name(static_cast<Enum>(first + i));
    return out;
}

inline void write_decisions(metrics_writer& out, const counts<std::uint64_t>& sum) {
    const auto verdicts = names_from<verdict, 5>(0);
    out.family("opspilot_decisions_total", "counter", "Decisions, by verdict after rollout stage and kill switch.");
    out.samples("verdict", verdicts, sum.verdict);
    out.family("opspilot_decisions_proposed_total", "counter", "Decisions, by verdict before rollout stage and kill switch.");
    out.samples("verdict", verdicts, sum.proposed);
    out.family("opspilot_decisions_by_rung_total", "counter", "Decisions, by how much of the machinery stood behind them.");
    out.samples("rung", names_from<rung, 5>(0), sum.rung);
    out.family("opspilot_decisions_by_stage_total", "counter", "Decisions, by rollout stage.");
    out.samples("stage", stage_names, sum.stage);
    out.family("opspilot_decision_reasons_total", "counter", "Reasons of decisions as a whole, by code; a decision has several.");
    out.samples("code", counted_reasons, sum.reason);
    out.sample({{"code", "other"}}, sum.reason.back());
    out.family("opspilot_candidates_total", "counter", "Candidates ranked.");
    out.sample({}, sum.candidates);
    out.family("opspilot_decide_errors_total", "counter", "Calls to decide that were refused, by kind of error.");
    out.samples("kind", names_from<error_kind, 10>(1), sum.refused);
}

}  // namespace detail

OPSPILOT_INLINE std::string engine::metrics_text() const {
    std::shared_ptr<const bundle> live;
    std::uint64_t swaps = 0;
    std::uint64_t rollbacks = 0;
    {
        const std::lock_guard hold(state_->lock);
        live = state_->live;
        swaps = state_->swaps;
        rollbacks = state_->rollbacks;
    }
    std::array<std::uint64_t, 5> outcomes{};
    for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i] = state_->outcomes[i].load(std::memory_order_relaxed);
    const kill_scope scope = killed();

    std::string text;
    detail::metrics_writer out(text);
    detail::write_decisions(out, state_->tallies->sum());
    out.family("opspilot_outcomes_total", "counter", "Outcomes recorded, by what came of the decision.");
    out.samples("kind", detail::names_from<outcome_kind, 5>(0), outcomes);
    out.family("opspilot_bundle_swaps_total", "counter", "Bundles published after the first.");
    out.sample({}, swaps);
    out.family("opspilot_bundle_rollbacks_total", "counter", "Swaps undone.");
    out.sample({}, rollbacks);
    out.family("opspilot_kill_switch", "gauge", "1 for the scope of the kill switch that holds.");
    out.sample({{"scope", "none"}}, scope == kill_scope::none ? 1 : 0);
    out.sample({{"scope", "automation"}}, scope == kill_scope::automation ? 1 : 0);
    out.sample({{"scope", "everything"}}, scope == kill_scope::everything ? 1 : 0);
    out.family("opspilot_bundle_info", "gauge", "The bundle that decides.");
    out.sample({{"name", live->name()},
                {"version", live->version()},
                {"fingerprint", std::string_view(live->fingerprint()).substr(0, 12)}},
               1);
    out.family("opspilot_bundle_golden_rows", "gauge", "Golden rows that were decided again when the bundle was loaded.");
    out.sample({}, live->golden_rows());
    const auto documents = layers();
    out.family("opspilot_policy_layer_info", "gauge", "The policy documents that decide for all clients.");
    for (const live_layer& d : documents)
        if (d.client.empty())
            out.sample({{"layer", d.layer}, {"document", d.document}, {"version", d.version}, {"sha256", d.sha256.substr(0, 12)}},
                       1);
    out.family("opspilot_policy_layer_published_seconds", "gauge",
               "When they were published, by the host's clock; 0 for what came with the bundle.");
    for (const live_layer& d : documents)
        if (d.client.empty())
            out.sample({{"layer", d.layer}, {"document", d.document}},
                       static_cast<std::uint64_t>(std::max<std::int64_t>(d.published_us, 0) / 1'000'000));
    out.family("opspilot_policy_overlays", "gauge", "Clients with rules of their own.");
    out.sample({}, static_cast<std::uint64_t>(
                       std::count_if(documents.begin(), documents.end(), [](const live_layer& d) { return !d.client.empty(); })));
    out.family("opspilot_build_info", "gauge", "The library.");
    const std::string version = fmt::format("{}.{}.{}", OPSPILOT_VERSION_MAJOR, OPSPILOT_VERSION_MINOR, OPSPILOT_VERSION_PATCH);
    out.sample({{"version", version}}, 1);
    return text;
}

}  // namespace opspilot
