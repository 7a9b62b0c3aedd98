#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "opspilot/audit/outcome.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/engine_state.hpp"
#include "opspilot/decide/detail/inputs.hpp"
#include "opspilot/decide/detail/order.hpp"
#include "opspilot/decide/detail/workspace.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

OPSPILOT_INLINE workspace::workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE workspace::~workspace() = default;
OPSPILOT_INLINE workspace::workspace(workspace&&) noexcept = default;
OPSPILOT_INLINE workspace& workspace::operator=(workspace&&) noexcept = default;

namespace detail {

inline std::string publication(std::string_view client, std::string_view sha256) { return fmt::format("{}\n{}", sha256, client); }

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

namespace detail {

/// With the lock held.
template <class Engine>
inline void make_live(Engine& state, std::shared_ptr<const bundle> b) {
    state.before = std::exchange(state.live, std::move(b));
    ++state.swaps;
    state.generation.store(next_generation(), std::memory_order_release);
}

template <class Engine>
inline status publish_policies(Engine& state, const policy_change& change, std::int64_t now_us,
                               std::vector<policy_finding>* findings) {
    std::shared_ptr<const bundle> from;
    {
        const std::lock_guard hold(state.lock);
        from = state.live;
    }
    OPSPILOT_TRY(auto made, from->with(change, findings));
    const std::lock_guard hold(state.lock);
    if (state.live != from)
        return error{error_kind::usage, "usage.swapped_meanwhile", "another bundle was swapped in while the policy was compiled",
                     "", "publish it again, for the bundle that runs now"};
    for (const bundle::layer_info& d : made->layers()) state.published.try_emplace(publication(d.client, d.sha256), now_us);
    make_live(state, std::move(made));
    return {};
}

inline error unsigned_release(std::string_view what) {
    return {error_kind::usage, "signature.required", fmt::format("this engine takes no unsigned {}", what), "",
            "sign it, and publish the envelope"};
}

template <class Engine>
inline status needs_trust(const Engine& state) {
    if (!state.trusted.empty()) return {};
    return error{error_kind::usage, "usage.not_trusting", "this engine trusts no key, so no signature means anything", "",
                 "give it the keys it shall trust"};
}

inline status check_fresh(std::int64_t sequence, std::int64_t last, error_kind kind) {
    if (sequence > last) return {};
    return error{kind, "signature.replayed", fmt::format("release {} comes after release {}", sequence, last), "/sequence",
                 "sign what shall decide as a new release; rollback goes back by one"};
}

}  // namespace detail

OPSPILOT_INLINE status engine::trust(std::vector<public_key> keys, std::int64_t last_policy, std::int64_t last_bundle) {
    if (keys.empty())
        return error{error_kind::usage, "usage.no_keys", "an engine cannot be told to trust nobody", "",
                     "give the keys that it shall trust from here on"};
    const std::lock_guard one_at_a_time(state_->publishing);
    state_->trusted = std::move(keys);
    state_->policy_sequence = std::max(state_->policy_sequence, last_policy);
    state_->bundle_sequence = std::max(state_->bundle_sequence, last_bundle);
    return {};
}

OPSPILOT_INLINE status engine::swap(std::shared_ptr<const bundle> b) {
    const std::lock_guard one_at_a_time(state_->publishing);
    if (!state_->trusted.empty()) return detail::unsigned_release("bundle");
    const std::lock_guard hold(state_->lock);
    detail::make_live(*state_, std::move(b));
    return {};
}

OPSPILOT_INLINE status engine::swap_signed(std::shared_ptr<const bundle> b, std::string_view envelope) {
    const std::lock_guard one_at_a_time(state_->publishing);
    OPSPILOT_CHECK(detail::needs_trust(*state_));
    OPSPILOT_TRY(const bundle_release::opened signed_one, bundle_release::open(envelope, state_->trusted));
    if (signed_one.release.fingerprint != b->fingerprint() || b->published())
        return error{error_kind::bundle, "signature.other_bundle", "what is signed is another bundle", "/fingerprint",
                     "give the envelope that was made for this bundle"};
    OPSPILOT_CHECK(detail::check_fresh(signed_one.release.sequence, state_->bundle_sequence, error_kind::bundle));
    state_->bundle_sequence = signed_one.release.sequence;
    const std::lock_guard hold(state_->lock);
    detail::make_live(*state_, std::move(b));
    return {};
}

OPSPILOT_INLINE status engine::publish(const policy_change& change, std::int64_t now_us, std::vector<policy_finding>* findings) {
    const std::lock_guard one_at_a_time(state_->publishing);
    if (!state_->trusted.empty()) return detail::unsigned_release("policy");
    return detail::publish_policies(*state_, change, now_us, findings);
}

OPSPILOT_INLINE status engine::publish_signed(std::string_view envelope, std::int64_t now_us,
                                              std::vector<policy_finding>* findings) {
    const std::lock_guard one_at_a_time(state_->publishing);
    OPSPILOT_CHECK(detail::needs_trust(*state_));
    OPSPILOT_TRY(const policy_release::opened signed_one, policy_release::open(envelope, state_->trusted));
    const policy_release& release = signed_one.release;
    if (const std::string running = current()->name(); release.bundle != running)
        return error{error_kind::policy, "signature.other_bundle",
                     fmt::format("the release is for bundle {}, {} runs", quote(release.bundle), quote(running)), "/bundle",
                     "publish it where it belongs"};
    OPSPILOT_CHECK(detail::check_fresh(release.sequence, state_->policy_sequence, error_kind::policy));
    std::vector<policy_set::document> documents;
    if (release.documents)
        for (const policy_release::document& d : *release.documents) documents.push_back({d.name, d.text});
    std::vector<policy_change::overlay> overlays;
    for (const policy_release::overlay& o : release.overlays)
        overlays.push_back({o.client, o.text ? std::optional<std::string_view>(*o.text) : std::nullopt});
    policy_change change{.policy = {}, .overlays = overlays};
    if (release.documents) change.policy = documents;
    OPSPILOT_CHECK(detail::publish_policies(*state_, change, now_us, findings));
    state_->policy_sequence = release.sequence;
    return {};
}

OPSPILOT_INLINE std::vector<engine::live_layer> engine::layers() const {
    const std::shared_ptr<const bundle> live = current();
    std::vector<live_layer> out;
    const std::lock_guard hold(state_->lock);
    for (const bundle::layer_info& d : live->layers()) {
        const auto since = state_->published.find(detail::publication(d.client, d.sha256));
        out.push_back({std::string(d.layer), std::string(d.document), std::string(d.version), std::string(d.sha256),
                       std::string(d.client), since == state_->published.end() ? 0 : since->second});
    }
    return out;
}

OPSPILOT_INLINE status engine::rollback() {
    const std::lock_guard hold(state_->lock);
    if (!state_->before)
        return error{error_kind::usage, "usage.nothing_to_roll_back_to", "no bundle was swapped out", "",
                     "rollback undoes one swap"};
    state_->live = std::exchange(state_->before, nullptr);
    ++state_->rollbacks;
    state_->generation.store(detail::next_generation(), std::memory_order_release);
    return {};
}

OPSPILOT_INLINE void engine::kill(kill_scope scope) noexcept { state_->killed.store(scope, std::memory_order_release); }
OPSPILOT_INLINE kill_scope engine::killed() const noexcept { return state_->killed.load(std::memory_order_acquire); }

namespace detail {

/// The bundle this workspace decides with next: its own copy unless another was published since. A generation belongs to one
/// engine, so a workspace that has it also counts there.
template <class Engine>
inline void follow(const Engine& state, workspace::impl& ws) {
    const std::uint64_t published = state.generation.load(std::memory_order_acquire);
    if (ws.generation == published && ws.bound) return;
    ws.generation = 0;  // no engine's, in case of an exception half way
    ws.counted.from(state.tallies);
    const std::lock_guard hold(state.lock);
    bind(ws, state.live);
    ws.shadow = state.shadow != nullptr && state.shadow->candidate != nullptr ? state.shadow : nullptr;
    ws.generation = state.generation.load(std::memory_order_relaxed);
}

}  // namespace detail

namespace detail {

template <class Engine>
inline circumstances circumstances_of(const decide_options& options, Engine& state) {
    return {.widest = options.widest,
            .staged = options.staged,
            .killed = state.killed.load(std::memory_order_acquire),
            .explain = options.explain,
            .clauses = options.clauses || !options.about.empty(),
            .about = options.about,
            .limits = &state.limits};
}

/// The same for a decision that nobody reads and nothing counts.
inline circumstances unseen(const circumstances& now) {
    return {.widest = now.widest, .staged = now.staged, .killed = now.killed};
}

/// A workspace that decides with the shadow's bundle.
inline workspace::impl& shadow_workspace(workspace::impl& ws) {
    if (!ws.shadow_scratch) ws.shadow_scratch = std::make_unique<workspace>();
    workspace::impl& scratch = *ws.shadow_scratch->state;
    if (scratch.bound != ws.shadow->candidate) detail::bind(scratch, ws.shadow->candidate);
    return scratch;
}

inline void decide_in_shadow(workspace::impl& ws, const call_inputs& inputs, const circumstances& now, const decision& live) {
    if (!ws.shadow->picks(live.id)) return;
    ws.outline.take(live);
    decision other;
    if (decide_one(ws.shadow->candidate, inputs, shadow_workspace(ws), now, other))
        ws.shadow->compare(ws.outline, other);
    else
        ws.shadow->fail();
}

inline void decide_in_shadow(workspace::impl& ws, const call_inputs& inputs, const circumstances& now,
                             const std::vector<shadow_outline>& live) {
    if (live.empty() || !ws.shadow->picks(live.front().id)) return;
    const status done =
        decide_many(ws.shadow->candidate, inputs, shadow_workspace(ws), now, [&](std::size_t t, const decision& d) {
            if (t < live.size()) ws.shadow->compare(live[t], d);
            return t + 1 < live.size();
        });
    if (!done) ws.shadow->fail();
}

}  // namespace detail

OPSPILOT_INLINE status engine::shadow(std::shared_ptr<const bundle> candidate, double share) {
    if (!(share >= 0 && share <= 1))
        return error{error_kind::usage, "usage.share", fmt::format("{} is no share of decisions", share), "share", "0 to 1"};
    const std::lock_guard hold(state_->lock);
    if (candidate != nullptr) {
        state_->shadow = std::make_shared<detail::shadow_state>();
        state_->shadow->candidate = std::move(candidate);
        state_->shadow->share = share;
    } else if (state_->shadow != nullptr) {
        auto ended = std::make_shared<detail::shadow_state>();
        const std::lock_guard counting(state_->shadow->lock);
        ended->counts = state_->shadow->counts;
        ended->counts.policy = state_->shadow->candidate ? state_->shadow->candidate->versions().policy : ended->counts.policy;
        state_->shadow = std::move(ended);
    }
    state_->generation.store(detail::next_generation(), std::memory_order_release);
    return {};
}

OPSPILOT_INLINE shadow_report engine::shadowed() const {
    const std::lock_guard hold(state_->lock);
    if (state_->shadow == nullptr) return {};
    const std::lock_guard counting(state_->shadow->lock);
    shadow_report out = state_->shadow->counts;
    out.running = state_->shadow->candidate != nullptr;
    if (out.running) out.policy = state_->shadow->candidate->versions().policy;
    return out;
}

OPSPILOT_INLINE status engine::decide(const table_source& task, const table_source& candidates, std::int64_t now_us,
                                      workspace& scratch, decision& out, const decide_options& options) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    const detail::call_inputs inputs{.tasks = task, .candidates = candidates, .now_us = now_us};
    const detail::circumstances now = detail::circumstances_of(options, *state_);
    status done = detail::decide_one(ws.bound, inputs, ws, now, out);
    if (!done) {
        ws.counted->refuse(done.error().kind);
        return done;
    }
    ws.counted->count(out);
    if (ws.shadow != nullptr) {
        detail::decide_in_shadow(ws, inputs, detail::unseen(now), out);
    }
    return done;
}

OPSPILOT_INLINE status engine::decide_batch(const table_source& tasks, const table_source& candidates, std::int64_t now_us,
                                            workspace& scratch, const std::function<bool(std::size_t, const decision&)>& sink,
                                            const decide_options& options) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    const detail::call_inputs inputs{.tasks = tasks, .candidates = candidates, .now_us = now_us};
    const detail::circumstances now = detail::circumstances_of(options, *state_);
    std::vector<detail::shadow_outline> live;
    status done = detail::decide_many(ws.bound, inputs, ws, now, [&](std::size_t t, const decision& d) {
        ws.counted->count(d);
        if (ws.shadow != nullptr) live.emplace_back().take(d);
        return sink(t, d);
    });
    if (!done) ws.counted->refuse(done.error().kind);
    if (done && ws.shadow != nullptr) {
        detail::decide_in_shadow(ws, inputs, detail::unseen(now), live);
    }
    return done;
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

OPSPILOT_INLINE status engine::stage_scores(
    const table_source& tasks, const table_source& candidates, std::int64_t now_us, workspace& scratch,
    const std::function<bool(std::size_t, const decision&, std::span<const std::span<const double>>)>& sink) const {
    workspace::impl& ws = *scratch.state;
    detail::follow(*state_, ws);
    const auto& ranking = ws.bound->state().ranking;
    std::vector<std::span<const double>> scores(ws.bound->stage_names().size());
    decision d;
    return detail::for_each_frame(ws.bound, {.tasks = tasks, .candidates = candidates, .now_us = now_us}, ws,
                                  [&](std::size_t t, const frame& f) {
                                      detail::decide_frame(ws.bound, f, ws, {.staged = false}, d);
                                      std::size_t done = d.rung == rung::full ? ranking->ranking_stage() + 1 : 0;
                                      if (done > 0 && done < scores.size() && ranking->score(f, ws.matrix, ws.rank))
                                          done = scores.size();
                                      for (std::size_t k = 0; k < scores.size(); ++k)
                                          scores[k] = k < done ? ranking->stage_scores(ws.rank, k) : std::span<const double>{};
                                      return sink(t, d, scores);
                                  });
}

namespace detail {

/// An action is an id of the catalogue or looks like one: free text about people must not reach the log.
inline status check_outcome_action(const bundle& b, std::string_view action) {
    const bundle::impl& state = b.state();
    const std::uint32_t code = state.strings.find(action);
    if (action.empty() || is_identifier(action) || (code < state.row_of_id.size() && state.row_of_id[code] != no_code)) return {};
    return error{error_kind::schema, "schema.free_text",
                 fmt::format("{} is no action of the catalogue and has not the form of an id", quote(action)), "/action",
                 "name the action: letters, digits and _ - . : /, at most 128 bytes; free text is not recorded"};
}

inline error in_outcome(error problem) {
    if (problem.where.empty() || problem.where.front() == '/')
        problem.where = problem.where == "/" ? "/outcome" : "/outcome" + problem.where;
    return problem;
}

}  // namespace detail

OPSPILOT_INLINE status engine::record_outcome(std::string_view decision_id, const outcome& what, std::int64_t now_us,
                                              std::string& out) const {
    if (!is_decision_id(decision_id))
        return error{error_kind::usage, "usage.decision_id", fmt::format("{} is no id of a decision", quote(decision_id)),
                     "decision_id", "give the id as the decision has it: 32 lower-case hex digits"};
    status checked = check_outcome(what);
    if (checked) checked = detail::check_outcome_action(*current(), what.action);
    if (!checked) return detail::in_outcome(std::move(checked).error());
    write_json({.decision = std::string(decision_id), .time_us = now_us, .what = what}, out);
    state_->outcomes[static_cast<std::size_t>(what.kind)].fetch_add(1, std::memory_order_relaxed);
    return {};
}

OPSPILOT_INLINE status engine::record_outcome(std::string_view decision_id, std::string_view json, std::int64_t now_us,
                                              std::string& out) const {
    auto what = read_outcome(json);
    if (!what) return detail::in_outcome(std::move(what).error());
    return record_outcome(decision_id, *what, now_us, out);
}

}  // namespace opspilot
