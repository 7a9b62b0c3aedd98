/// \file
/// What another bundle or policy would have decided beside the live one, counted while the traffic flows.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "opspilot/policy/verdict.hpp"

namespace opspilot {

/// Counts of decisions that were made twice. "Changed" compares proposed verdict, action and queue: what the live rollout stage
/// and kill switch do to a verdict does not count, and no limit is reached in the shadow.
struct shadow_report {
    struct example {
        std::string decision, task;  ///< ids of the live decision and its task
        verdict live = verdict::abstain, shadow = verdict::abstain;
        std::string live_action, shadow_action, live_queue, shadow_queue;
    };
    static constexpr std::size_t most_examples = 20;

    bool running = false;
    std::string policy;         ///< fingerprint of the shadow's policy
    std::uint64_t decided = 0;  ///< twice
    std::uint64_t failed = 0;   ///< the shadow refused what the live one took
    std::uint64_t changed = 0, actions = 0, queues = 0;
    std::array<std::array<std::uint64_t, 5>, 5> verdicts{};  ///< [live][shadow], by the values of `verdict`
    std::vector<example> examples;                           ///< the first that changed
};

}  // namespace opspilot
