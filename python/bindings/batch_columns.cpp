#include "batch_columns.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace opspilot::python {

namespace {

using kind = column_table::kind;

/// Columns of an explanation and of its contributions, in their order.
enum explanation_column : std::size_t {
    of_action,
    of_missing,
    of_stage,
    of_method,
    of_score,
    of_base,
    of_contributions,
    of_others
};
enum contribution_column : std::size_t { of_feature, of_contribution, of_personal };

column_table explanation_columns() {
    column_table parts;
    parts.add("feature", kind::text);
    parts.add("contribution", kind::number);
    parts.add("personal", kind::boolean);
    column_table out;
    out.add("action", kind::text);
    out.add("missing", kind::text);
    out.add("stage", kind::text);
    out.add("method", kind::text);
    out.add("score", kind::number);
    out.add("base", kind::number);
    out.add("contributions", kind::records, std::move(parts));
    out.add("others", kind::number);
    return out;
}

}  // namespace

batch_columns::batch_columns(bool explained) : explained_(explained) {
    id_ = table.add("id", kind::text);
    verdict_ = table.add("verdict", kind::text);
    proposed_ = table.add("proposed", kind::text);
    action_ = table.add("action", kind::text);
    queue_ = table.add("queue", kind::text);
    probability_ = table.add("probability", kind::number);
    threshold_ = table.add("threshold", kind::number);
    score_ = table.add("score", kind::number);
    override_probability_ = table.add("override_probability", kind::number);
    rung_ = table.add("rung", kind::text);
    stage_ = table.add("stage", kind::text);
    candidates_ = table.add("candidates", kind::integer);
    reasons_ = table.add("reasons", kind::text);
    if (explained) explanation_ = table.add("explanation", kind::record, explanation_columns());
}

void batch_columns::append(const decision& d) {
    table.text(id_, d.id);
    table.text(verdict_, name(d.verdict));
    table.text(proposed_, name(d.proposed));
    table.text(action_, d.action);
    table.text(queue_, d.queue);
    table.number(probability_, d.action.empty() ? NAN : d.probability);
    table.number(threshold_, d.threshold);
    table.number(score_, d.ranked.empty() ? NAN : d.ranked.front().score);
    table.number(override_probability_, d.override_probability);
    table.text(rung_, name(d.rung));
    table.text(stage_, d.stage);
    table.integer(candidates_, static_cast<std::int64_t>(d.ranked.size()));
    std::string codes;
    const auto add = [&](const reason& r) {
        if (!codes.empty()) codes += ' ';
        codes += r.code;
        if (!r.rule.empty()) codes.append(":").append(r.rule);
    };
    for (const reason& r : d.reasons) add(r);
    if (!d.ranked.empty())
        for (const reason& r : d.reasons_of(d.ranked.front())) add(r);
    table.text(reasons_, codes);
    if (explained_) append_explanation(d.explanation);
}

void batch_columns::append_explanation(const decision_explanation& e) {
    score_explanation none;
    none.score = none.base = none.others = NAN;
    const score_explanation& made = e.missing.empty() ? e.of_score : none;
    column_table& to = table.members(explanation_);
    to.text_or_null(of_action, e.action);
    to.text_or_null(of_missing, e.missing);
    to.text_or_null(of_stage, made.stage);
    to.text_or_null(of_method, made.method);
    to.number(of_score, made.score);
    to.number(of_base, made.base);
    column_table& parts = to.members(of_contributions);
    for (const score_part& part : made.parts) {
        parts.text(of_feature, part.feature);
        parts.number(of_contribution, part.contribution);
        parts.boolean(of_personal, part.personal);
    }
    to.end_records(of_contributions);
    to.number(of_others, made.others);
    table.end_record(explanation_);
}

}  // namespace opspilot::python
