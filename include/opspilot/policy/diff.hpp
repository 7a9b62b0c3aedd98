/// \file
/// Two policies over the same logged decisions: what would come out otherwise, by rule, by verdict and by client.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

/// What rules leave of a candidate, as one of six: the values of `verdict`, and forbidden.
inline constexpr std::size_t policy_states = 6;
inline constexpr std::uint8_t policy_forbidden = 5;
[[nodiscard]] constexpr std::string_view policy_state_name(std::size_t state) noexcept {
    return state < policy_forbidden ? name(static_cast<verdict>(state)) : std::string_view("forbidden");
}

/// Counts of a diff. One per thread; `policy_diff::merge` joins them.
struct policy_diff_counts {
    using transitions = std::array<std::array<std::uint64_t, policy_states>, policy_states>;  ///< [old][new]

    /// One rule of either policy.
    struct rule {
        std::uint64_t old_hits = 0, new_hits = 0;  ///< candidates on which it acts
        std::uint64_t gained = 0, lost = 0;        ///< acts on them in the new policy alone, in the old one alone
        std::uint64_t candidates = 0;              ///< that come out otherwise while the rule acts otherwise on them
        std::uint64_t decisions = 0;               ///< with at least one such candidate
        std::uint64_t shown = 0;                   ///< of them in `examples`
    };
    struct client {
        std::uint64_t decisions = 0, changed = 0, answers = 0;
    };
    /// A candidate that comes out otherwise.
    struct change {
        std::string action, old_queue, new_queue;
        std::uint8_t old_state = 0, new_state = 0;
        double old_boost = 0, new_boost = 0;
        std::vector<std::uint32_t> gained, lost, edited;  ///< rules
    };
    /// A decision for people to look at. Ids only: nothing of what the task says.
    struct example {
        std::uint64_t record = 0;  ///< line of the log, or row of the tasks, from 1
        std::string decision, task, client;
        std::int64_t now_us = 0;
        bool exact = true;
        std::uint64_t candidates = 0, changed = 0;
        std::string old_action, new_action;  ///< best candidates, "" where all are forbidden
        std::uint8_t old_answer = 0, new_answer = 0;
        std::vector<change> changes;       ///< the first of them
        std::vector<std::uint32_t> rules;  ///< that act otherwise on a changed candidate
    };
    struct refusal {
        std::uint64_t record = 0;
        std::string code, message, where;
    };

    std::uint64_t decisions = 0, candidates = 0;   ///< compared
    std::uint64_t changed = 0, changed_exact = 0;  ///< decisions with a candidate that comes out otherwise
    std::uint64_t changed_candidates = 0;          ///< by state, boost or queue
    std::uint64_t answers = 0, answers_exact = 0;  ///< decisions whose best candidate is another, or its state or queue
    std::uint64_t best_actions = 0;                ///< decisions whose best candidate is another
    std::uint64_t inexact = 0;                     ///< records that do not hold all that the rules read
    std::uint64_t differing = 0;                   ///< records whose log tells of other rules than the old policy's replay
    std::uint64_t checked = 0;                     ///< records that were logged under the old policy itself
    std::uint64_t others = 0;                      ///< lines about outcomes
    std::uint64_t unreadable = 0;                  ///< records that could not be read
    std::vector<refusal> refusals;                 ///< the first of them
    transitions by_candidate{}, by_answer{};
    std::vector<rule> rules;             ///< by index of `policy_diff`
    std::vector<std::uint64_t> reasons;  ///< inexact records by reason
    std::map<std::string, client, std::less<>> clients;
    std::vector<example> examples;
    transitions shown_answers{};  ///< of `examples`
};

/// Scratch memory of one thread.
class OPSPILOT_API policy_diff_workspace {
public:
    policy_diff_workspace();
    ~policy_diff_workspace();
    policy_diff_workspace(policy_diff_workspace&&) noexcept;
    policy_diff_workspace& operator=(policy_diff_workspace&&) noexcept;

    struct impl;
    std::unique_ptr<impl> state;
};

struct policy_diff_options {
    std::size_t examples = 10;   ///< of all; the first two of every rule and of every transition of the answer come on top
    std::size_t clients = 4096;  ///< counted apart; further ones together
    lookup_tables old_tables = {}, new_tables = {};  ///< what lookup() may name in the documents of each side
};

/// Two policies compiled over one schema. Immutable, shared by any number of threads, each with a workspace and counts.
///
/// Records are read leniently, because logs are older than schemas: fields may be missing, fields that the schema does not know
/// are left out, bounds and allowed values are not asked for. A record is exact when everything that a rule of either policy
/// reads is in it; personal fields are never in a decision record, fields of candidates neither, and of many candidates only the
/// best are listed.
///
/// A candidate changes when its state (cap or forbidden), its boost or its queue does. The answer of a decision is the state of
/// its best allowed candidate by the logged score, moved by the difference of the boosts, ties in the order of the record; where
/// all are forbidden it is escalate when a rule escalates one of them, else abstain.
class OPSPILOT_API policy_diff {
public:
    /// `catalogue`: JSON rows of the actions that records name by id, or empty. Errors: those of `policy_set::compile`, with
    /// "old" or "new" in the name of the document, and of `table::read_json`.
    [[nodiscard]] static result<policy_diff> compile(std::span<const policy_set::document> old_documents,
                                                     std::span<const policy_set::document> new_documents, const schema& s,
                                                     std::string_view catalogue, const policy_diff_options& options = {});

    /// Counts for this diff, all zero.
    [[nodiscard]] policy_diff_counts begin() const;

    /// Whole lines of a log, each a decision record as `write_json` writes it, an outcome record, which is left out, or an object
    /// {"task": {…}, "candidates": [{…}, …], "now": …, "scores": […]?, "id": …?}. A line that cannot be read is counted.
    void replay_lines(std::string_view lines, std::uint64_t first_line, policy_diff_workspace& scratch,
                      policy_diff_counts& out) const;

    /// Rows of tasks and of their candidates, which carry `task_index` ascending, counted from `first_task`; `now_us` has one
    /// time or one per task, and staleness is judged at the first. Errors: kind schema.
    struct rows {
        const ArrowSchema* schema = nullptr;         ///< null: JSON
        std::span<const ArrowArray* const> batches;  ///< Arrow
        std::string_view json;
    };
    [[nodiscard]] status replay_rows(const rows& tasks, const rows& candidates, std::span<const std::int64_t> now_us,
                                     std::uint64_t first_task, policy_diff_workspace& scratch, policy_diff_counts& out) const;

    /// Adds counts of records that come after those of `into`; in the order of the log the result does not depend on how it was
    /// cut.
    void merge(policy_diff_counts& into, policy_diff_counts&& more) const;

    /// Everything counted as a JSON object.
    [[nodiscard]] std::string report(const policy_diff_counts& counts) const;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/diff-inl.hpp"
#endif
