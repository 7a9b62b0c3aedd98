/// \file
/// Internal: what two policies leave of one decision, compared and counted.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "opspilot/policy/detail/diff/state.hpp"

namespace opspilot::detail {

inline constexpr std::size_t shown_changes = 3, examples_of_rule = 2, examples_of_transition = 2, most_refusals = 10;

/// One decision of the log, as far as it is not in the frame.
struct logged_decision {
    std::uint64_t record = 0;
    std::string_view id, client;
    std::span<const double> scores;  ///< per candidate, with the old policy's boosts; empty: none are known
    bool exact = true;
};

/// Counts one decision after both policies have been evaluated.
class decision_comparer {
public:
    decision_comparer(const policy_diff::impl& d, policy_diff_workspace::impl& ws, policy_diff_counts& out)
        : d_(d), ws_(ws), out_(out) {}

    void compare(const frame& f, const logged_decision& what) {
        const std::size_t n = f.size(), rules = d_.rules.size();
        ++out_.decisions;
        out_.candidates += n;
        out_.inexact += what.exact ? 0U : 1U;
        ws_.marks.resize(std::max(ws_.marks.size(), n * rules));
        mark(ws_.before, d_.before_rules, acted_before);
        mark(ws_.after, d_.after_rules, acts_after);
        count_rules();

        const answer old_answer = answer_of(ws_.before, d_.before, what.scores, false);
        const answer new_answer = answer_of(ws_.after, d_.after, what.scores, true);
        std::uint64_t changed = 0;
        for (std::uint32_t i = 0; i < n; ++i) {
            const std::uint8_t was = state(ws_.before, i), is = state(ws_.after, i);
            ++out_.by_candidate[was][is];
            if (was == is && ws_.before.boost[i] == ws_.after.boost[i] &&
                queue(ws_.before, d_.before, i) == queue(ws_.after, d_.after, i))
                continue;
            if (changed++ == 0) ws_.implicated.assign(rules, 0);
            implicate(i);
        }
        ++out_.by_answer[old_answer.state][new_answer.state];
        const bool other_best = old_answer.best != new_answer.best;
        const bool other_answer = other_best || old_answer.state != new_answer.state || old_answer.queue != new_answer.queue;
        out_.best_actions += other_best ? 1U : 0U;
        out_.answers += other_answer ? 1U : 0U;
        out_.answers_exact += other_answer && what.exact ? 1U : 0U;
        policy_diff_counts::client& client = client_of(what.client);
        ++client.decisions;
        client.answers += other_answer ? 1U : 0U;
        if (changed > 0) {
            ++client.changed;
            ++out_.changed;
            out_.changed_exact += what.exact ? 1U : 0U;
            out_.changed_candidates += changed;
            for (std::size_t r = 0; r < rules; ++r) out_.rules[r].decisions += ws_.implicated[r];
            keep_example(f, what, changed, old_answer, new_answer);
        }
        unmark(ws_.before, d_.before_rules);
        unmark(ws_.after, d_.after_rules);
    }

private:
    static constexpr std::uint8_t acted_before = 1, acts_after = 2;
    static constexpr std::uint32_t nobody = 0xFFFFFFFFU;

    struct answer {
        std::uint32_t best = nobody;  ///< candidate
        std::uint8_t state = 0;
        std::string_view queue;
    };

    [[nodiscard]] std::uint8_t& at(std::uint32_t candidate, std::uint32_t rule) noexcept {
        return ws_.marks[candidate * d_.rules.size() + rule];
    }
    void mark(const policy_outcome& out, const std::vector<std::uint32_t>& joint, std::uint8_t bit) noexcept {
        for (const rule_hit& hit : out.hits) at(hit.candidate, joint[hit.rule]) |= bit;
    }
    void unmark(const policy_outcome& out, const std::vector<std::uint32_t>& joint) noexcept {
        for (const rule_hit& hit : out.hits) at(hit.candidate, joint[hit.rule]) = 0;
    }
    void count_rules() noexcept {
        for (const rule_hit& hit : ws_.before.hits) {
            policy_diff_counts::rule& r = out_.rules[d_.before_rules[hit.rule]];
            ++r.old_hits;
            r.lost += at(hit.candidate, d_.before_rules[hit.rule]) == acted_before ? 1U : 0U;
        }
        for (const rule_hit& hit : ws_.after.hits) {
            policy_diff_counts::rule& r = out_.rules[d_.after_rules[hit.rule]];
            ++r.new_hits;
            r.gained += at(hit.candidate, d_.after_rules[hit.rule]) == acts_after ? 1U : 0U;
        }
    }
    static std::uint8_t state(const policy_outcome& out, std::uint32_t i) noexcept {
        return out.allowed[i] == 0 ? policy_forbidden : static_cast<std::uint8_t>(out.cap[i]);
    }
    static std::string_view queue(const policy_outcome& out, const policy_set& set, std::uint32_t i) noexcept {
        return out.queue[i] == 0 ? std::string_view{} : set.rule(out.queue[i] - 1).queue;
    }
    /// Whether a rule does other things to candidate i than it did, as far as its marks tell.
    [[nodiscard]] bool differs(std::uint8_t marks, std::uint32_t rule) const noexcept {
        return marks == acted_before || marks == acts_after || (marks != 0 && d_.rules[rule].fate == rule_fate::edited);
    }
    void implicate(std::uint32_t i) noexcept {
        for (std::uint32_t r = 0; r < d_.rules.size(); ++r)
            if (differs(at(i, r), r)) {
                ws_.implicated[r] = 1;
                ++out_.rules[r].candidates;
            }
    }

    /// The best allowed candidate and what is left of it, in the order in which the engine ranks.
    answer answer_of(const policy_outcome& out, const policy_set& set, std::span<const double> scores, bool moved) const {
        answer a;
        double highest = 0;
        for (std::uint32_t i = 0; i < out.cap.size(); ++i) {
            if (out.allowed[i] == 0) continue;
            const double logged = scores.empty() ? ws_.before.boost[i] : scores[i];
            const double score = moved ? logged + (ws_.after.boost[i] - ws_.before.boost[i]) : logged;
            if (a.best != nobody && !(score > highest)) continue;
            a.best = i;
            highest = score;
        }
        if (a.best != nobody) {
            a.state = static_cast<std::uint8_t>(out.cap[a.best]);
            a.queue = queue(out, set, a.best);
            return a;
        }
        // Everything is forbidden: an escalation still reaches its queue.
        for (std::uint32_t i = 0; i < out.cap.size(); ++i)
            if (out.cap[i] == verdict::escalate) {
                a.state = static_cast<std::uint8_t>(verdict::escalate);
                a.queue = queue(out, set, i);
                break;
            }
        return a;
    }

    policy_diff_counts::client& client_of(std::string_view name) {
        const auto known = out_.clients.find(name);
        if (known != out_.clients.end()) return known->second;
        if (out_.clients.size() >= d_.options.clients) return out_.clients["(others)"];
        return out_.clients[std::string(name)];
    }

    void keep_example(const frame& f, const logged_decision& what, std::uint64_t changed, const answer& was, const answer& is) {
        policy_diff_counts::example e;
        for (std::uint32_t r = 0; r < d_.rules.size(); ++r)
            if (ws_.implicated[r] != 0) e.rules.push_back(r);
        e.old_answer = was.state;
        e.new_answer = is.state;
        if (!wanted(d_, out_, e)) return;
        const auto text_of = [&](const table& t, std::optional<std::uint32_t> field, std::size_t row) {
            if (!field) return std::string{};
            const cell c = t.get(*field, row);
            return c.has_value() ? std::string(f.strings->text(c.code)) : std::string{};
        };
        const auto action_of = [&](std::uint32_t i) {
            return i == nobody ? std::string{} : text_of(*f.actions, d_.action_id, f.action_rows[i]);
        };
        e.record = what.record;
        e.decision = what.id;
        e.task = text_of(*f.task, d_.task_id, f.task_row);
        e.client = what.client;
        e.now_us = f.now_us;
        e.exact = what.exact;
        e.candidates = f.size();
        e.changed = changed;
        e.old_action = action_of(was.best);
        e.new_action = action_of(is.best);
        for (std::uint32_t i = 0; i < f.size() && e.changes.size() < shown_changes; ++i) {
            policy_diff_counts::change c;
            c.old_state = state(ws_.before, i);
            c.new_state = state(ws_.after, i);
            c.old_boost = ws_.before.boost[i];
            c.new_boost = ws_.after.boost[i];
            c.old_queue = queue(ws_.before, d_.before, i);
            c.new_queue = queue(ws_.after, d_.after, i);
            if (c.old_state == c.new_state && c.old_boost == c.new_boost && c.old_queue == c.new_queue) continue;
            c.action = action_of(i);
            for (std::uint32_t r = 0; r < d_.rules.size(); ++r) {
                const std::uint8_t marks = at(i, r);
                if (!differs(marks, r)) continue;
                (marks == acted_before ? c.lost : marks == acts_after ? c.gained : c.edited).push_back(r);
            }
            e.changes.push_back(std::move(c));
        }
        keep(out_, std::move(e));
    }

public:
    /// Whether an example is one of the first: of all, of a rule, or of a transition of the answer. Asked in the order of the log
    /// it keeps the same ones however the log is cut, because each of them is also among the first of its piece.
    static bool wanted(const policy_diff::impl& d, const policy_diff_counts& kept, const policy_diff_counts::example& e) {
        return kept.examples.size() < d.options.examples ||
               (e.old_answer != e.new_answer && kept.shown_answers[e.old_answer][e.new_answer] < examples_of_transition) ||
               std::any_of(
                   e.rules.begin(), e.rules.end(), [&](std::uint32_t r) { return kept.rules[r].shown < examples_of_rule; });
    }
    static void keep(policy_diff_counts& into, policy_diff_counts::example&& e) {
        ++into.shown_answers[e.old_answer][e.new_answer];
        for (const std::uint32_t r : e.rules) ++into.rules[r].shown;
        into.examples.push_back(std::move(e));
    }

private:
    const policy_diff::impl& d_;
    policy_diff_workspace::impl& ws_;
    policy_diff_counts& out_;
};

}  // namespace opspilot::detail
