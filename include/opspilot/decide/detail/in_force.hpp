/// \file
/// Internal: the policies that hold for one task: the bundle's, and below its client layer the overlay of the task's client.
#pragma once

#include <algorithm>
#include <span>

#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/workspace.hpp"
#include "opspilot/policy/clauses.hpp"

namespace opspilot::detail {

/// Rules of both sets under one index: the overlay's come after the bundle's.
class policies_in_force {
public:
    policies_in_force(const bundle::impl& b, std::uint32_t client) noexcept : b_(b), base_rules_(b.policy.rules()) {
        if (b.overlays.empty() || client == no_code) return;
        if (const auto own = b.overlays.find(client); own != b.overlays.end()) overlay_ = own->second.get();
    }

    [[nodiscard]] const version_set& versions() const noexcept { return overlay_ == nullptr ? b_.versions : overlay_->versions; }
    [[nodiscard]] const policy_set& base() const noexcept { return b_.policy; }
    /// Of the task's client; null without.
    [[nodiscard]] const policy_set* own() const noexcept { return overlay_ == nullptr ? nullptr : &overlay_->rules; }
    [[nodiscard]] rule_info rule(std::uint32_t r) const noexcept {
        return r < base_rules_ ? b_.policy.rule(r) : overlay_->rules.rule(r - base_rules_);
    }

    /// Overlays have no mandatory layer.
    [[nodiscard]] std::uint32_t mandatory(const frame& f, workspace::impl& ws) const { return b_.policy.mandatory(f, ws.policy); }

    void evaluate(const frame& f, workspace::impl& ws) const {
        b_.policy.evaluate(f, ws.policy, ws.outcome, f.catalogue ? &b_.policy_ready : nullptr);
        if (overlay_ == nullptr) return;
        overlay_->rules.evaluate(f, ws.policy, ws.overlay_outcome, f.catalogue ? &overlay_->ready : nullptr);
        add(ws.overlay_outcome, ws.outcome);
    }

    /// `hits` of one candidate, in rule order. 1 + the rule that is exhausted, or 0.
    [[nodiscard]] std::uint32_t throttled(const frame& f, std::span<const rule_hit> hits, limit_counters& counters,
                                          workspace::impl& ws) const {
        const auto own = std::find_if(hits.begin(), hits.end(), [&](const rule_hit& h) { return h.rule >= base_rules_; });
        const std::size_t base = static_cast<std::size_t>(own - hits.begin());
        if (const std::uint32_t stopped = b_.policy.throttled(f, hits.first(base), counters, ws.policy)) return stopped;
        if (overlay_ == nullptr || base == hits.size()) return 0;
        ws.overlay_hits.assign(own, hits.end());
        for (rule_hit& hit : ws.overlay_hits) hit.rule -= base_rules_;
        const std::uint32_t stopped = overlay_->rules.throttled(f, ws.overlay_hits, counters, ws.policy, overlay_->client);
        if (stopped == 0) return 0;
        b_.policy.give_back(f, hits.first(base), counters, ws.policy);
        return stopped + base_rules_;
    }

    void diversify(const frame& f, std::span<std::uint32_t> order, workspace::impl& ws) const {
        b_.policy.diversify(f, order, ws.hits, ws.hit_starts, ws.policy);
        if (overlay_ == nullptr) return;
        overlay_->rules.diversify(f, order, ws.hits, ws.hit_starts, ws.policy, base_rules_);
    }

    [[nodiscard]] std::string_view violated_invariant(const frame& f, std::size_t candidate, verdict decided,
                                                      workspace::impl& ws) const {
        const std::string_view broken = b_.policy.violated_invariant(f, candidate, decided, ws.policy);
        if (!broken.empty() || overlay_ == nullptr) return broken;
        return overlay_->rules.violated_invariant(f, candidate, decided, ws.policy);
    }

    [[nodiscard]] rule_explanation explain(std::uint32_t r, const frame& f, std::size_t candidate, workspace::impl& ws,
                                           std::span<const schema::path> hidden) const {
        const bool own = r >= base_rules_;
        return opspilot::explain_rule(own ? overlay_->rules : b_.policy, own ? r - base_rules_ : r, f, candidate, ws.policy,
                                      hidden);
    }

private:
    /// What the overlay leaves of what the bundle's rules left.
    void add(const policy_outcome& own, policy_outcome& out) const {
        for (std::size_t i = 0; i < out.cap.size(); ++i) {
            out.cap[i] = narrower(out.cap[i], own.cap[i]);
            out.allowed[i] &= own.allowed[i];
            out.boost[i] += own.boost[i];
            out.threshold[i] = std::max(out.threshold[i], own.threshold[i]);
            out.queue[i] = queue_of(out.queue[i], own.queue[i]);
        }
        const auto shift = [&](const std::vector<rule_hit>& from, std::vector<rule_hit>& to) {
            for (rule_hit hit : from) {
                hit.rule += base_rules_;
                to.push_back(hit);
            }
        };
        shift(own.hits, out.hits);
        shift(own.task_hits, out.task_hits);
        for (const std::uint32_t r : own.redacted) out.redacted.push_back(r + base_rules_);
        out.task_queue = queue_of(out.task_queue, own.task_queue);
    }

    /// The queue of the higher layer; in the client layer the bundle's, but for an escalation of the overlay over a route.
    [[nodiscard]] std::uint32_t queue_of(std::uint32_t base, std::uint32_t own) const noexcept {
        if (own == 0 || base == 0) return own == 0 ? base : own + base_rules_;
        const rule_info first = b_.policy.rule(base - 1);
        const bool lower = first.layer == "business";
        const bool replaced =
            first.layer == "client" && first.effect == "route" && overlay_->rules.rule(own - 1).effect == "escalate";
        return lower || replaced ? own + base_rules_ : base;
    }

    const bundle::impl& b_;
    const client_overlay* overlay_ = nullptr;
    std::uint32_t base_rules_;
};

}  // namespace opspilot::detail
