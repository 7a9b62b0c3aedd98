/// \file
/// A decision is a value with reasons: what was decided, for which candidate, how sure, why, and by which versions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/audit/record.hpp"
#include "opspilot/base/config.hpp"
#include "opspilot/policy/clauses.hpp"
#include "opspilot/policy/policy.hpp"
#include "opspilot/policy/verdict.hpp"
#include "opspilot/rank/pipeline.hpp"

namespace opspilot {

class bundle;

/// How much of the machinery stood behind a decision. Lower rungs never automate.
enum class rung : std::uint8_t { human = 0, baseline = 1, linear = 2, cached = 3, full = 4 };

[[nodiscard]] OPSPILOT_API std::string_view name(rung r) noexcept;

/// Why a verdict is what it is: a stable dotted code ("policy.escalate", "confidence.below_threshold", "stage.shadow"), the
/// policy rule and its layer where there is one, and a text for people. All texts live as long as the decision.
using reason = record_reason;

/// One candidate after ranking. Best first; forbidden ones last.
struct ranked_candidate {
    std::string_view action;      ///< id
    std::uint32_t candidate = 0;  ///< position in the host's order (or in generation order)
    double score = 0;             ///< ranking score with policy boosts
    double probability = 0;       ///< calibrated probability that this is the right action
    verdict decided = verdict::suggest;
    bool allowed = true;
    std::uint32_t first_reason = 0, reasons = 0;  ///< what `decision::reasons_of` reads
};

/// The reasons of one candidate: the rules that acted on it, in their order. They are made as they are read, since most of them
/// never are. Valid as long as the decision.
class OPSPILOT_API candidate_reasons {
public:
    class iterator {
    public:
        using value_type = reason;
        using difference_type = std::ptrdiff_t;
        iterator(const candidate_reasons& of, std::size_t at) noexcept : of_(&of), at_(at) {}
        reason operator*() const noexcept { return (*of_)[at_]; }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        bool operator==(const iterator& other) const noexcept { return at_ == other.at_; }

    private:
        const candidate_reasons* of_;
        std::size_t at_;
    };

    [[nodiscard]] std::size_t size() const noexcept { return hits_.size(); }
    [[nodiscard]] bool empty() const noexcept { return hits_.empty(); }
    [[nodiscard]] reason operator[](std::size_t i) const noexcept;
    [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }

private:
    friend class decision;
    candidate_reasons(const policy_set* base, const policy_set* own, std::span<const rule_hit> hits) noexcept
        : base_(base), own_(own), hits_(hits) {}

    const policy_set* base_;
    const policy_set* own_;  // of the task's client, or null
    std::span<const rule_hit> hits_;
};

/// What made the score of the best candidate, on request: the largest contributions of features, by name; never their values.
struct decision_explanation {
    static constexpr std::size_t listed = 10;  ///< parts at most

    bool asked = false;          ///< by `decide_options::explain`
    std::string_view action;     ///< the candidate: the first of `decision::ranked`
    std::string_view missing;    ///< "" or why there is none: "explanation.no_candidate", "explanation.rung" (rules ranked it),
                                 ///< or the code of `pipeline::explain`, e.g. "model.no_contributions"
    score_explanation of_score;  ///< of the stage that ranked, before the policy's boosts; of no meaning when `missing`
};

/// Why the rules acted, on request: of the best candidate, and of those that the policy refused; or of the one that was asked
/// about. Of a task without candidates: the rules on the task alone.
struct decision_clauses {
    static constexpr std::size_t most_rules = 32;     ///< the first of them are explained
    static constexpr std::size_t most_bytes = 16384;  ///< of texts, all rules together, so that a record stays small
    static constexpr std::size_t most_text = 256;     ///< bytes of one text; a longer one ends in "…"

    struct rule {
        std::string_view action;  ///< the candidate, "" for the task as a whole
        std::string_view id, layer, effect;
        bool failed = false;   ///< the condition could not be evaluated
        rule_explanation why;  ///< a change is whole or left out
    };
    bool asked = false;          ///< by `decide_options::clauses`
    std::string_view missing;    ///< "", or "explanation.no_candidate": none is called as asked
    std::vector<rule> rules;     ///< candidates best first, rules in their order
    std::uint64_t left_out = 0;  ///< rules, clauses and changes beyond the limits
};

/// The versions a decision was made by, all of one bundle.
struct version_set {
    std::string bundle, bundle_version, schema, features, model, policy, calibration, library;
};

/// Filled by `engine::decide`; reuse one to decide without allocating. Keeps its bundle alive, so its texts stay valid.
/// Not thread-safe while it is being filled.
class OPSPILOT_API decision {
public:
    std::string id;  ///< 32 hex digits from bundle, task, candidates and time: equal inputs, equal id
    opspilot::verdict verdict = verdict::abstain;   ///< after the rollout stage
    opspilot::verdict proposed = verdict::abstain;  ///< before the rollout stage: what shadow mode would have done
    std::string_view action;                        ///< id of the best allowed candidate, "" when there is none
    std::string_view queue;                         ///< human queue of an escalation, "" when none is named
    double probability = 0;                         ///< of `action`
    double threshold = 0;                           ///< automation needs probability > threshold; NaN: nothing is certified
    double override_probability = 0;                ///< that the operator would do none of the candidates
    std::vector<ranked_candidate> ranked;
    std::vector<reason> reasons;  ///< of the decision as a whole
    decision_explanation explanation;
    decision_clauses clauses;
    opspilot::rung rung = rung::full;
    std::string_view stage;  ///< rollout stage: "shadow", "suggest" or "live"
    std::string_view task_id, client;
    std::int64_t now_us = 0;

    [[nodiscard]] const version_set& versions() const noexcept;
    [[nodiscard]] candidate_reasons reasons_of(const ranked_candidate& c) const noexcept {
        return {base_rules_, own_rules_, std::span(hits_).subspan(c.first_reason, c.reasons)};
    }

    /// The decision as one line of JSON with its newline: the record that is logged. Appends to `out`; the best `top`
    /// candidates are listed, at most 64.
    /// Fields of the task are included by PII class: personal and sensitive ones are left out. Of an explanation, features made
    /// from such fields are not named: they count among the others.
    void write_record(std::string& out, std::size_t top = 10) const;
    /// What was asked for, as one line of JSON without a line end: "decision", "verdict", "action", and "explanation" and
    /// "clauses" as they stand in the record. Appends to `out`.
    void write_explanation(std::string& out) const;

    struct access;  // filling, by the engine

private:
    friend struct access;
    std::shared_ptr<const opspilot::bundle> bundle_;
    const version_set* versions_ = nullptr;  // of `bundle_`, as are the rules
    const policy_set* base_rules_ = nullptr;
    const policy_set* own_rules_ = nullptr;  // of the task's client, or null
    std::vector<rule_hit> hits_;             // by candidate
    std::string texts_;                      // copies of texts that live in the workspace
    std::string task_json_;                  // the task's recordable fields
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY) && !defined(OPSPILOT_DECIDE_DECLARING)
#include "opspilot/decide/engine.hpp"  // brings the bodies of the whole room, once everything is declared
#endif
