/// \file
/// Internal: which rules of a decision are explained down to the clause, and within which bounds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/in_force.hpp"
#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot::detail {

/// Fills `decision::clauses` of a decision that is made, from what the workspace still knows of it.
class clause_collector {
public:
    clause_collector(const policies_in_force& policy, const frame& f, workspace::impl& ws, decision& out)
        : policy_(policy), f_(f), ws_(ws), out_(out), to_(out.clauses) {
        to_.asked = true;
        to_.missing = {};
        to_.left_out = 0;
        for (const std::uint32_t r : ws.outcome.redacted) hidden_.push_back(policy.rule(r).field);
    }

    /// `about`: the one candidate that is meant, by its id, or "".
    void collect(std::string_view about) {
        if (!about.empty()) {
            const auto meant = std::find_if(out_.ranked.begin(), out_.ranked.end(),
                                            [&](const ranked_candidate& c) { return c.action == about; });
            if (meant == out_.ranked.end())
                to_.missing = "explanation.no_candidate";
            else
                explain(*meant);
            return;
        }
        if (out_.ranked.empty())
            for (const rule_hit& hit : ws_.outcome.task_hits) explain(hit, {});
        for (const ranked_candidate& c : out_.ranked)
            if (&c == out_.ranked.data() || !c.allowed) explain(c);
    }

private:
    void explain(const ranked_candidate& c) {
        const std::uint32_t end = ws_.hit_starts[c.candidate + 1];
        for (std::uint32_t h = ws_.hit_starts[c.candidate]; h < end; ++h) explain(ws_.hits[h], c.action);
    }

    void explain(const rule_hit& hit, std::string_view action) {
        const rule_info rule = policy_.rule(hit.rule);
        if (hit.idle && !throttled(rule)) return;
        if (to_.rules.size() >= decision_clauses::most_rules) {
            ++to_.left_out;
            return;
        }
        decision_clauses::rule& made = to_.rules.emplace_back();
        made.action = action;
        made.id = rule.id;
        made.layer = rule.layer;
        made.effect = rule.effect;
        made.failed = hit.failed;
        rule_explanation whole = policy_.explain(hit.rule, f_, hit.candidate, ws_, hidden_);
        for (policy_clause& c : whole.clauses) {
            cut(c.text);
            cut(c.problem);
            std::size_t bytes = c.text.size() + c.problem.size();
            for (policy_clause::seen& s : c.values) {
                cut(s.value);
                bytes += s.field.size() + s.value.size();
            }
            if (fits(bytes)) made.why.clauses.push_back(std::move(c));
        }
        std::size_t bytes = 0;  // half a change would be none
        for (std::string& one : whole.change) {
            cut(one);
            bytes += one.size();
        }
        if (fits(bytes)) made.why.change = std::move(whole.change);
    }

    /// Whether a limit stopped this very decision; by itself it does nothing.
    [[nodiscard]] bool throttled(const rule_info& rule) const {
        return std::any_of(out_.reasons.begin(), out_.reasons.end(),
                           [&](const reason& r) { return r.code == "throttled" && r.rule == rule.id && r.layer == rule.layer; });
    }

    [[nodiscard]] bool fits(std::size_t bytes) {
        if (bytes > decision_clauses::most_bytes - used_) {
            ++to_.left_out;
            return false;
        }
        used_ += bytes;
        return true;
    }

    static void cut(std::string& text) {
        constexpr std::string_view more = "\xE2\x80\xA6";
        if (text.size() <= decision_clauses::most_text) return;
        std::size_t length = decision_clauses::most_text - more.size();
        while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) --length;
        text.replace(length, std::string::npos, more);
    }

    const policies_in_force& policy_;
    const frame& f_;
    workspace::impl& ws_;
    decision& out_;
    decision_clauses& to_;
    std::vector<schema::path> hidden_;
    std::size_t used_ = 0;
};

}  // namespace opspilot::detail
