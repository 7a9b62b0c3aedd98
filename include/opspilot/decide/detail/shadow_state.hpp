/// \file
/// Internal: the bundle that decides in the shadow, and the counts.
#pragma once

#include <charconv>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/shadow.hpp"

namespace opspilot::detail {

/// What of a decision is compared.
struct shadow_outline {
    std::string id, task, action, queue;
    verdict proposed = verdict::abstain;

    void take(const decision& d) {
        id = d.id;
        task = d.task_id;
        action = d.action;
        queue = d.queue;
        proposed = d.proposed;
    }
};

struct shadow_state {
    std::shared_ptr<const bundle> candidate;
    double share = 1;
    mutable std::mutex lock;
    shadow_report counts;

    /// The same decisions whoever asks: by the first 32 bits of the id, which is a hash.
    [[nodiscard]] bool picks(std::string_view id) const noexcept {
        std::uint32_t head = 0;
        std::from_chars(id.data(), id.data() + std::min<std::size_t>(8, id.size()), head, 16);
        return static_cast<double>(head) < share * 4294967296.0;
    }

    void compare(const shadow_outline& live, const decision& other) {
        const std::lock_guard hold(lock);
        ++counts.decided;
        ++counts.verdicts[static_cast<std::size_t>(live.proposed)][static_cast<std::size_t>(other.proposed)];
        const bool action = live.action != other.action, queue = live.queue != other.queue;
        counts.actions += action ? 1 : 0;
        counts.queues += queue ? 1 : 0;
        if (!action && !queue && live.proposed == other.proposed) return;
        ++counts.changed;
        if (counts.examples.size() < shadow_report::most_examples)
            counts.examples.push_back({live.id, live.task, live.proposed, other.proposed, live.action, std::string(other.action),
                                       live.queue, std::string(other.queue)});
    }
    void fail() {
        const std::lock_guard hold(lock);
        ++counts.failed;
    }
};

}  // namespace opspilot::detail
