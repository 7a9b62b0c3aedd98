/// \file
/// Internal: what explains a decision, as the views that its record is written from.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/audit/record.hpp"
#include "opspilot/decide/decision.hpp"

namespace opspilot::detail {

/// Contributions to a score. Features made from personal fields are not named: they count among the others.
class recorded_explanation {
public:
    explicit recorded_explanation(const decision_explanation& from) {
        all_.action = from.action;
        all_.missing = from.missing;
        if (!from.asked || !from.missing.empty()) return;
        const score_explanation& made = from.of_score;
        all_.stage = made.stage;
        all_.method = made.method;
        all_.score = made.score;
        all_.base = made.base;
        all_.others = made.others;
        std::size_t named = 0;
        for (const score_part& part : made.parts) {
            if (part.personal)
                all_.others += part.contribution;
            else
                parts_[named++] = {part.feature, part.contribution};
        }
        all_.contributions = std::span(parts_).first(named);
    }
    recorded_explanation(const recorded_explanation&) = delete;
    recorded_explanation& operator=(const recorded_explanation&) = delete;

    [[nodiscard]] const record_explanation& view() const noexcept { return all_; }

private:
    record_explanation all_;
    std::array<record_explanation::part, decision_explanation::listed> parts_;
};

/// Clauses of rules. Holds the lists that the views point into; allocates only where there are clauses.
class recorded_clauses {
public:
    explicit recorded_clauses(const decision_clauses& from) {
        all_.missing = from.missing;
        all_.left_out = from.left_out;
        std::size_t values = 0, clauses = 0, changes = 0;
        for (const decision_clauses::rule& r : from.rules) {
            clauses += r.why.clauses.size();
            changes += r.why.change.size();
            for (const policy_clause& c : r.why.clauses) values += c.values.size();
        }
        values_.reserve(values);  // the spans below stay valid
        clauses_.reserve(clauses);
        changes_.reserve(changes);
        rules_.reserve(from.rules.size());
        for (const decision_clauses::rule& r : from.rules) add(r);
        all_.rules = rules_;
    }
    recorded_clauses(const recorded_clauses&) = delete;
    recorded_clauses& operator=(const recorded_clauses&) = delete;

    [[nodiscard]] const record_clauses& view() const noexcept { return all_; }

private:
    void add(const decision_clauses::rule& r) {
        const std::size_t first_clause = clauses_.size(), first_change = changes_.size();
        for (const policy_clause& c : r.why.clauses) {
            const std::size_t first_value = values_.size();
            for (const policy_clause::seen& s : c.values) values_.push_back({s.field, s.value});
            clauses_.push_back({.text = c.text,
                                .offset = c.offset,
                                .length = c.length,
                                .gives = name(c.gives),
                                .problem = c.problem,
                                .values = std::span(values_).subspan(first_value)});
        }
        changes_.insert(changes_.end(), r.why.change.begin(), r.why.change.end());
        rules_.push_back({.action = r.action,
                          .id = r.id,
                          .layer = r.layer,
                          .effect = r.effect,
                          .failed = r.failed,
                          .clauses = std::span(clauses_).subspan(first_clause),
                          .change = std::span(changes_).subspan(first_change)});
    }

    record_clauses all_;
    std::vector<record_clauses::seen> values_;
    std::vector<record_clauses::clause> clauses_;
    std::vector<std::string_view> changes_;
    std::vector<record_clauses::rule> rules_;
};

}  // namespace opspilot::detail
