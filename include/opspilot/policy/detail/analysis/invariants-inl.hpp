#pragma once

#include <array>
#include <utility>

#include "opspilot/policy/detail/analysis/analysis.hpp"
#include "opspilot/policy/detail/analysis/decider.hpp"
#include "opspilot/policy/detail/analysis/rule_facts.hpp"

namespace opspilot::detail::analysis {

/// A rule that keeps verdicts below the invariant's where its condition comes out as one of `outcomes`.
struct guard {
    std::uint32_t condition = 0;
    outcomes acts = 0;
};

/// One invariant: whether the guards leave no row for which it applies.
class prover {
public:
    prover(const policy_set& set, decider& d) : set_(set), decider_(d) {}

    policy_set::proof prove(const policy_invariant& v) {
        policy_set::proof out;
        out.invariant = v.id;
        const auto applies = decider_.add(v.when);
        if (!applies) return out;
        std::vector<guard> guards;
        for (const policy_set::guard& g : set_.guards(v.id)) {
            const auto number = decider_.add(set_.state->rules[g.rule].when);
            if (number)
                guards.push_back(
                    {*number, static_cast<outcomes>((g.holds ? holds : 0) | (g.lapses ? lapses : 0) | (g.fails ? fails : 0))});
        }
        const outcomes counts = holds | fails;  // one that fails applies
        for (const guard& g : guards) {         // mostly one rule is enough
            const std::array<demand, 2> wanted{{{*applies, counts}, {g.condition, static_cast<outcomes>(anything & ~g.acts)}}};
            if (decider_.find(wanted).what == finding::kind::none) {
                out.what = policy_set::proof::kind::proved;
                return out;
            }
        }
        std::vector<demand> wanted{{*applies, counts}};
        for (const guard& g : guards) wanted.push_back({g.condition, static_cast<outcomes>(anything & ~g.acts)});
        const finding f = decider_.find(wanted, [&](const frame& row) {
            set_.evaluate(row, scratch_, outcome_);
            out.verdict = opspilot::name(outcome_.cap[0]);
            return outcome_.cap[0] >= v.never;
        });
        if (f.what == finding::kind::none) out.what = policy_set::proof::kind::proved;
        if (f.what == finding::kind::row) {
            out.what = policy_set::proof::kind::refuted;
            out.row = f.row.text();
        }
        if (out.what != policy_set::proof::kind::refuted) out.verdict = {};
        return out;
    }

private:
    const policy_set& set_;
    decider& decider_;
    policy_workspace scratch_;
    policy_outcome outcome_;
};

OPSPILOT_INLINE std::vector<policy_set::proof> prove(const policy_set& set, dictionary& strings) {
    std::vector<policy_set::proof> out;
    if (set.state->invariants.empty()) return out;
    decider d(set.state->fields, strings, set.state->tables);
    d.question_budget = 4'000'000;
    prover p(set, d);
    for (const policy_invariant& v : set.state->invariants) out.push_back(p.prove(v));
    return out;
}

}  // namespace opspilot::detail::analysis
