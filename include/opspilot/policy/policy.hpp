/// \file
/// Layered rules over tasks, actions and candidates, with conditions in CEL: what may be done, by whom, and why.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/policy/limits.hpp"
#include "opspilot/policy/tables.hpp"
#include "opspilot/policy/verdict.hpp"

namespace opspilot {

/// Something the checker found in a document: an error refuses it, a warning does not.
struct policy_finding {
    bool is_error = false;
    std::string code;  ///< stable dotted name
    std::string rule;  ///< id of the rule, "" for the document
    std::string message;
    std::string where;  ///< "policy 'x' line 3 column 18"
    std::string hint;
    std::string excerpt{};  ///< the line of the document and, below it, a mark under the place; "" when there is no line
};

/// What of a document is looked at for warnings. Errors are always found.
enum class policy_review : std::uint8_t {
    rules,  ///< each rule by itself
    whole,  ///< also what rules make of each other, and whether they keep the invariants: up to a second for a thousand rules
};

/// One rule that touched a candidate. Indices are into `policy_set::rule(...)`.
struct rule_hit {
    std::uint32_t rule = 0;
    std::uint32_t candidate = 0;
    bool failed = false;  ///< the condition could not be evaluated; the rule acted by its error semantics
    bool idle = false;    ///< the condition holds, but nothing is done to the candidate: a limit that counters watch, a value not
                          ///< seen too often
};

/// What the policy leaves of each candidate. Reused between decisions.
struct policy_outcome {
    std::vector<verdict> cap;             ///< widest verdict left, per candidate
    std::vector<std::uint8_t> allowed;    ///< 0 = forbidden
    std::vector<double> boost;            ///< added to the score, in rule order
    std::vector<double> threshold;        ///< what the probability must exceed for automation, 0 = the rules do not say
    std::vector<std::uint32_t> queue;     ///< per candidate: 1 + rule whose queue applies (escalate, route), 0 = none
    std::vector<rule_hit> hits;           ///< per candidate in rule order
    std::vector<std::uint32_t> redacted;  ///< rules whose field must not reach the record of this task, each once
    std::vector<rule_hit> task_hits;      ///< of a task without candidates: rules on the task alone that acted
    std::uint32_t task_queue = 0;         ///< of a task without candidates, as `queue`
    void reset(std::size_t candidates);
};

/// What a rule is, for reasons and reports.
struct rule_info {
    std::string_view id, layer, version, effect, because, queue, when;
    std::int64_t numeric = 0;
    double by = 0;            ///< of boost and penalise
    double threshold = 0;     ///< of set_threshold
    std::int64_t count = 0;   ///< of limit and diversify
    std::int64_t per_us = 0;  ///< of limit
    schema::path field;       ///< of redact and diversify
    bool locked = false;      ///< no lower layer may have a rule of this id
    std::int64_t valid_from_us = std::numeric_limits<std::int64_t>::min();
    std::int64_t valid_until_us = std::numeric_limits<std::int64_t>::max();
};

/// Scratch of one thread for `policy_set::evaluate`.
class OPSPILOT_API policy_workspace {
public:
    policy_workspace();
    ~policy_workspace();
    policy_workspace(policy_workspace&&) noexcept;
    policy_workspace& operator=(policy_workspace&&) noexcept;

    /// Evaluates by the engine of that name from here on: "avx512", "avx2", "sse4" and "scalar" compute conditions for many
    /// candidates at once, "machine" one by one; "" is the best. All give the same. Errors: usage.unknown_engine.
    [[nodiscard]] status use(std::string_view engine);

    struct impl;
    std::unique_ptr<impl> state;
};

/// What conditions give for a catalogue before any task is known. Immutable; belongs to the policy that made it.
struct policy_catalogue {
    struct impl;
    std::shared_ptr<const impl> state;
};

/// What `pin` adds to the score: more than scores differ, so that pinned candidates stand before all others.
inline constexpr double pin_boost = 1'048'576.0;

/// All layers of a bundle, compiled. Order: mandatory, compliance, client, business; a lower layer can only narrow a higher one.
/// Immutable, shared by any number of threads.
///
/// Conditions are CEL over `task.x`, `action.x`, `candidate.x` (typed by the schema) and `now` (the time of decision).
/// has(task.x) is false for a missing field; reading one without a default is an error of the condition. A rule acts from
/// `valid_from` until before `valid_until`. lookup("table", key) gives what one of the tables has for the key.
///
/// Effects where the condition holds: `forbid` (allowed = 0); `allow_only` forbids where it does NOT hold;
/// `require_approval`, `suggest_only`, `escalate` narrow the cap, `escalate` may name a queue; `kill` caps at suggest, with scope
/// "all" at escalate; `boost` and `penalise` add and subtract `by`; `pin` adds `pin_boost`; `route` names a queue and narrows
/// nothing; `set_threshold` asks for a probability above `value`, beside the certified threshold; `redact` keeps a field out of
/// the record of the whole task. Caps combine by `narrower`, thresholds by the larger; the queue is that of the first escalate
/// rule, or of the first route rule where no rule of its layer or a higher one escalates to a queue. `limit` and `diversify` need
/// more than one candidate at a time: see `throttled` and `diversify`.
///
/// The mandatory layer escalates tasks to people by what the task says, whatever candidates and models there are: see
/// `mandatory`.
///
/// A condition that cannot be evaluated narrows: forbid, allow_only, require_approval, escalate, suggest_only, limit (as
/// exhausted: suggest), redact, set_threshold and kill act (allow_only as "not in the list"), boost, penalise, pin, diversify and
/// route do nothing. `on_error: "abstain"` caps at abstain instead; `"skip"`, only on the second group, says the default aloud.
/// Each such case stands in `hits` with `failed`.
class OPSPILOT_API policy_set {
public:
    struct document {
        std::string name;  ///< file name, for messages
        std::string_view text;
    };
    /// Compiles documents (layer order is by their "layer", not by position). All findings are collected in `findings`
    /// (may be null); the first error is returned. Documents without errors are then also looked at together: rules that never
    /// act or change nothing, invariants that the rules do not keep. String constants are inserted into `strings`. `tables`: what
    /// lookup() may name.
    [[nodiscard]] static result<policy_set> compile(std::span<const document> documents, const schema& s, dictionary& strings,
                                                    std::vector<policy_finding>* findings = nullptr,
                                                    policy_review review = policy_review::whole,
                                                    const lookup_tables& tables = {});

    /// Computes what reads the action alone for every row, once, so that decisions over these actions need not. `strings` as it
    /// is when decisions are made; the table may go afterwards.
    [[nodiscard]] policy_catalogue prepare(const table& actions, const interner& strings) const;

    /// Evaluates every rule over every candidate. Never fails as a whole: an erroring rule narrows and stands in `hits`.
    /// `ready`: what was prepared for the very table that is `f.actions`, or null; one of another policy is not used.
    void evaluate(const frame& f, policy_workspace& scratch, policy_outcome& out, const policy_catalogue* ready = nullptr) const;

    /// 1 + the first rule of the mandatory layer that sends this task to people, 0 when none does; needs neither candidates nor
    /// catalogue.
    [[nodiscard]] std::uint32_t mandatory(const frame& f, policy_workspace& scratch) const;

    /// Takes one from every limit that a candidate is under (`hits` of it alone), for when its action is about to be done.
    /// 1 + the rule that is exhausted or cannot be counted, and then none is taken; 0 when all had one left. `owner`: whose rules
    /// these are, "" for everybody's; different owners never share a count.
    [[nodiscard]] std::uint32_t throttled(const frame& f, std::span<const rule_hit> hits, limit_counters& counters,
                                          policy_workspace& scratch, std::string_view owner = {}) const;
    /// Puts back what `throttled` took.
    void give_back(const frame& f, std::span<const rule_hit> hits, limit_counters& counters, policy_workspace& scratch,
                   std::string_view owner = {}) const;

    /// Moves candidates of `order` (best first, allowed ones) behind the others where `diversify` has seen `at_most` better ones
    /// of the same value; both parts keep their order. `hits` are grouped, those of candidate i from `starts[i]` on; rules that
    /// moved nothing are marked idle there. `first_rule`: the index under which they have rule 0 of this set.
    void diversify(const frame& f, std::span<std::uint32_t> order, std::span<rule_hit> hits,
                   std::span<const std::uint32_t> starts, policy_workspace& scratch, std::uint32_t first_rule = 0) const;

    [[nodiscard]] std::uint32_t rules() const noexcept;
    [[nodiscard]] rule_info rule(std::uint32_t index) const noexcept;

    /// Checks every invariant against what was decided: the first violated one's id, or "".
    [[nodiscard]] std::string_view violated_invariant(const frame& f, std::size_t candidate, verdict decided,
                                                      policy_workspace& scratch) const;

    /// Runs the documents' own tests. One entry per test: passed, and what differed.
    struct test_result {
        std::string document;
        std::size_t index = 0;
        bool passed = false;
        std::string message;
    };
    [[nodiscard]] std::vector<test_result> run_tests() const;
    /// Per rule: how many of the documents' tests made it match.
    [[nodiscard]] std::vector<std::uint32_t> coverage() const;

    /// SHA-256 hex over the documents in order of layers and the tables that they look into.
    [[nodiscard]] const std::string& fingerprint() const noexcept;

    /// A document as it was compiled; views live as long as the set.
    struct document_info {
        std::string_view name, layer, version;
        std::string_view sha256;  ///< hex, of its text
        std::string_view text;
    };
    [[nodiscard]] std::vector<document_info> documents() const;
    /// The tables that the documents look into, in order of names; views live as long as the set.
    [[nodiscard]] std::vector<lookup_tables::info> tables() const;
    /// Whether the rules of all layers keep an invariant for every row that the readers accept.
    struct proof {
        enum class kind : std::uint8_t { proved, refuted, not_decided };
        std::string invariant;
        kind what = kind::not_decided;
        std::string row;           ///< of a refuted one: {"task": {…}, "candidate": {…}, "now": …}, as the engine confirmed it
        std::string_view verdict;  ///< of a refuted one: what the rules leave for it
    };
    [[nodiscard]] std::vector<proof> prove() const;
    /// A rule that keeps the verdict below an invariant's, at every time, where its condition holds, does not, or fails.
    struct guard {
        std::uint32_t rule = 0;
        bool holds = false, lapses = false, fails = false;
    };
    /// The guards of an invariant, for provers elsewhere; empty where no invariant has the id.
    [[nodiscard]] std::vector<guard> guards(std::string_view invariant) const;
    /// The invariants in order: id, condition, and the verdict that is never reached.
    struct invariant_info {
        std::string_view id, when;
        verdict never = verdict::auto_execute;
    };
    [[nodiscard]] std::vector<invariant_info> invariants() const;
    /// What may be meant and may be not: rules that pull apart on the same rows, fields that may be missing, patterns without
    /// ends.
    [[nodiscard]] std::vector<policy_finding> notes() const;
    /// Warnings about rules whose time is over.
    [[nodiscard]] std::vector<policy_finding> findings_at(std::int64_t now_us) const;

    struct impl;
    std::shared_ptr<const impl> state;
};

/// The syntax tree of a condition over a schema, type-checked, for tools that reason about conditions: a JSON array of nodes,
/// children before parents, each with "kind", "type", "children" (indices) and, where it has one, "name", "value" or "field".
/// Errors: kind policy, the first thing that is wrong with the condition.
[[nodiscard]] OPSPILOT_API result<std::string> condition_tree(std::string_view condition, const schema& s,
                                                              const lookup_tables& tables = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/policy-inl.hpp"
#endif
