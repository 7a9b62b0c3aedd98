/// \file
/// Internal: the fixed order inside a decision, over a frame that is already admitted.
///
/// 1 transform and rank, 2 policy, 3 calibrate and compare with the certified threshold, 4 rollout stage, 5 reasons.
/// Every stage may only narrow what the stages before it left. A stage that fails hands over to the next rung.
#pragma once

#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot::detail {

/// What holds for this decision beside its inputs.
struct circumstances {
    rung widest = rung::full;
    bool staged = true;
    kill_scope killed = kill_scope::none;
    bool explain = false;
    bool clauses = false;
    std::string_view about = {};
    limit_counters* limits = nullptr;  ///< null: no limit is reached
};

/// Decides the frame. Never fails: what cannot be computed narrows the decision and is named in its reasons.
void decide_frame(const std::shared_ptr<const bundle>& b, const frame& f, workspace::impl& ws, const circumstances& now,
                  decision& out);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/detail/order-inl.hpp"
#endif
