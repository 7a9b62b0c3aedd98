#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/inputs.hpp"
#include "opspilot/decide/detail/order.hpp"
#include "opspilot/decide/detail/workspace.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

OPSPILOT_INLINE workspace::workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE workspace::~workspace() = default;
OPSPILOT_INLINE workspace::workspace(workspace&&) noexcept = default;
OPSPILOT_INLINE workspace& workspace::operator=(workspace&&) noexcept = default;

/// Readers take the published bundle by a copy they keep in their workspace and look at one counter per decision; only the
/// first decision after a swap takes the lock.
struct engine::impl {
    mutable std::mutex lock;
    std::shared_ptr<const bundle> live;
    std::shared_ptr<const bundle> before;
    std::atomic<std::uint64_t> generation{0};
    std::atomic<kill_scope> killed{kill_scope::none};
};

namespace detail {

/// Generations are unique among all engines, so that a workspace may wander between them.
inline std::uint64_t next_generation() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace detail

OPSPILOT_INLINE engine::engine(std::shared_ptr<const bundle> b) : state_(std::make_unique<impl>()) {
    state_->live = std::move(b);
    state_->generation = detail::next_generation();
}
OPSPILOT_INLINE engine::~engine() = default;

OPSPILOT_INLINE std::shared_ptr<const bundle> engine::current() const {
    const std::lock_guard hold(state_->lock);
    return state_->live;
}

OPSPILOT_INLINE void engine::swap(std::shared_ptr<const bundle> b) {
    const std::lock_guard hold(state_->lock);
    state_->before = std::exchange(state_->live, std::move(b));
    state_->generation.store(detail::next_generation(), std::memory_order_release);
}

OPSPILOT_INLINE status engine::rollback() {
    const std::lock_guard hold(state_->lock);
    if (!state_->before)
        return error{error_kind::usage, "usage.nothing_to_roll_back_to", "no bundle was swapped out", "",
                     "rollback undoes one swap"};
    state_->live = std::exchange(state_->before, nullptr);
    state_->generation.store(detail::next_generation(), std::memory_order_release);
    return {};
}

OPSPILOT_INLINE void engine::kill(kill_scope scope) noexcept { state_->killed.store(scope, std::memory_order_release); }
OPSPILOT_INLINE kill_scope engine::killed() const noexcept { return state_->killed.load(std::memory_order_acquire); }

namespace detail {

/// The bundle this workspace decides with next: its own copy unless another was published since.
template <class Engine>
inline void follow(const Engine& state, workspace::impl& ws) {
    const std::uint64_t published = state.generation.load(std::memory_order_acquire);
    if (ws.generation == published && ws.bound) return;
    const std::lock_guard hold(state.lock);
    bind(ws, state.live);
    ws.generation = state.generation.load(std::memory_order_relaxed);
}

}  // namespace detail

OPSPILOT_INLINE status engine::decide(const table_source& task, const table_source& candidates, std::int64_t now_us,
                                      workspace& scratch, decision& out, const decide_options& options) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    return detail::decide_one(
        ws.bound, {.tasks = task, .candidates = candidates, .now_us = now_us}, ws,
        {.widest = options.widest, .staged = options.staged, .killed = killed(), .explain = options.explain}, out);
}

OPSPILOT_INLINE status engine::decide_batch(const table_source& tasks, const table_source& candidates, std::int64_t now_us,
                                            workspace& scratch, const std::function<bool(std::size_t, const decision&)>& sink,
                                            const decide_options& options) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    return detail::decide_many(
        ws.bound, {.tasks = tasks, .candidates = candidates, .now_us = now_us}, ws,
        {.widest = options.widest, .staged = options.staged, .killed = killed(), .explain = options.explain}, sink);
}

OPSPILOT_INLINE status engine::features(const table_source& tasks, const table_source& candidates, std::int64_t now_us,
                                        workspace& scratch,
                                        const std::function<bool(std::size_t, const feature_matrix&)>& sink) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    const bundle::impl& b = ws.bound->state();
    if (!b.plan.state)
        return error{error_kind::usage, "usage.no_features", "the bundle declares no features", "", "add features.json"};
    status failed;
    status read = detail::for_each_frame(
        ws.bound, {.tasks = tasks, .candidates = candidates, .now_us = now_us}, ws, [&](std::size_t t, const frame& f) {
            failed = b.plan.apply(f, f.catalogue ? b.prepared.get() : nullptr, ws.features, ws.matrix);
            return failed.ok() && sink(t, ws.matrix);
        });
    return read ? failed : read;
}

}  // namespace opspilot
