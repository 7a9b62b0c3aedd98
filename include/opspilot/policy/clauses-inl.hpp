#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/policy/clauses.hpp"
#include "opspilot/policy/detail/apply.hpp"
#include "opspilot/policy/detail/cel/condition.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot {

namespace detail {

/// A cell as JSON.
inline std::string shown_cell(const cell& c, const interner& strings) {
    std::string out;
    switch (c.type) {
        case field_type::boolean: return c.integer != 0 ? "true" : "false";
        case field_type::integer: return fmt::format("{}", c.integer);
        case field_type::number: return fmt::format("{}", c.number);
        case field_type::timestamp: {
            constexpr std::int64_t second = 1'000'000;
            const std::int64_t seconds = c.integer / second - (c.integer % second < 0 ? 1 : 0);
            const auto nanos = static_cast<std::uint32_t>((c.integer - seconds * second) * 1'000);
            return fmt::format("\"{}\"", cel::detail::format_time(cel::make_timestamp(seconds, nanos)));
        }
        case field_type::text: append_json_text(out, strings.text(c.code)); return out;
        case field_type::text_list:
            out = "[";
            for (std::size_t i = 0; i < c.codes.size(); ++i) {
                if (i > 0) out += ", ";
                append_json_text(out, strings.text(c.codes[i]));
            }
            return out + "]";
    }
    return out;
}

/// Takes one condition apart for one candidate.
class clause_reader {
public:
    using index = std::uint32_t;
    using outcome = policy_clause::outcome;

    clause_reader(const policy_set::impl& set, const policy_rule& rule, const frame& f, std::size_t candidate,
                  policy_workspace& scratch, std::span<const schema::path> hidden)
        : set_(set), f_(f), candidate_(candidate), scratch_(scratch), hidden_(hidden) {
        usable_ = !cel::detail::read_condition(rule.when, set.fields, set.tables.state, c_);
    }

    rule_explanation explain(bool acts_when_false) {
        rule_explanation out;
        if (!usable_) return out;
        decisive(c_.ast.root(), out.clauses);
        std::sort(out.clauses.begin(), out.clauses.end(),
                  [](const policy_clause& a, const policy_clause& b) { return a.offset < b.offset; });
        out.change = std::move(turn(c_.ast.root(), acts_when_false).texts);
        return out;
    }

private:
    using kind = cel::detail::node_kind;
    struct turned {
        std::size_t cost = 0;
        std::vector<std::string> texts;
    };
    static constexpr std::size_t most_evaluations = 256;

    [[nodiscard]] const cel::detail::node& at(index n) const noexcept { return c_.ast.nodes[n]; }

    /// What the part gives, compiled by itself. A policy compiled it as a part of its condition already, so it compiles.
    outcome value(index n, std::string* problem = nullptr) {
        if (const auto known = std::find_if(known_.begin(), known_.end(), [&](const auto& k) { return k.first == n; });
            known != known_.end() && problem == nullptr)
            return known->second;
        cel::detail::checked part;
        outcome found = outcome::failed;
        if (known_.size() < most_evaluations &&
            !cel::detail::read_condition(c_.ast.text_of(n), set_.fields, set_.tables.state, part)) {
            const cel::detail::program p = cel::detail::lower(part, {}, nullptr, true);
            const cel::value v = run_condition(p, f_, scratch_, candidate_);
            found = v.is_true() ? outcome::yes : v.is_false() ? outcome::no : outcome::failed;
            if (problem != nullptr && v.failed()) {
                *problem = std::string(cel::text_of(v.why()));
                // What is wrong with a format is a piece of the text itself.
                if (!v.error_subject().empty() && (v.why() == cel::fault::missing_field || !reads_hidden(n)))
                    *problem += fmt::format(": {}", quote(v.error_subject()));
            }
        }
        known_.emplace_back(n, found);
        return found;
    }

    /// The operands of a chain of the same operator, first to last.
    [[nodiscard]] std::vector<index> operands(index n) const {
        std::vector<index> out, open{n};
        const kind chain = at(n).kind;
        while (!open.empty()) {
            const index top = open.back();
            open.pop_back();
            if (at(top).kind != chain) {
                out.push_back(top);
                continue;
            }
            open.push_back(c_.ast.child(top, 1));
            open.push_back(c_.ast.child(top, 0));
        }
        return out;
    }

    /// Clauses without which the part would not give what it gives.
    void decisive(index n, std::vector<policy_clause>& out) {
        if (out.size() >= most_evaluations) return;
        switch (at(n).kind) {
            case kind::and_:
            case kind::or_: {
                // A false operand decides an `&&` alone; where there is none, failing ones do; else all.
                const outcome deciding = at(n).kind == kind::and_ ? outcome::no : outcome::yes;
                const outcome whole = value(n);
                for (const index operand : operands(n))
                    if (whole == (deciding == outcome::no ? outcome::yes : outcome::no) || value(operand) == whole)
                        decisive(operand, out);
                return;
            }
            case kind::not_: return decisive(c_.ast.child(n, 0), out);
            case kind::conditional: {
                const outcome test = value(c_.ast.child(n, 0));
                decisive(c_.ast.child(n, 0), out);
                if (test != outcome::failed) decisive(c_.ast.child(n, test == outcome::yes ? 1 : 2), out);
                return;
            }
            default: out.push_back(clause(n));
        }
    }

    policy_clause clause(index n) {
        policy_clause out;
        out.text = std::string(c_.ast.text_of(n));
        out.offset = at(n).start;
        out.length = at(n).stop - at(n).start;
        out.gives = value(n, &out.problem);
        for (const schema::path p : fields_of(n)) out.values.push_back({dotted(p), shown(p)});
        return out;
    }
    /// Fields that the part reads, each once.
    [[nodiscard]] std::vector<schema::path> fields_of(index n) const {
        std::vector<schema::path> out;
        for (index i = at(n).begin; i <= n; ++i) {
            const cel::detail::meaning& m = c_.meanings[i];
            if (m.what != cel::detail::reference::field && m.what != cel::detail::reference::optional_field) continue;
            const auto same = [&](schema::path p) { return p.where == m.where.where && p.index == m.where.index; };
            if (std::none_of(out.begin(), out.end(), same)) out.push_back(m.where);
        }
        return out;
    }
    [[nodiscard]] std::string dotted(schema::path p) const { return fmt::format("{}.{}", name(p.where), field_of(p).name); }
    [[nodiscard]] bool missing(schema::path p) const {
        return (p.where == role::candidate && f_.pairs == nullptr) || !f_.get(p, candidate_).has_value();
    }
    [[nodiscard]] const field& field_of(schema::path p) const noexcept { return set_.fields.fields(p.where)[p.index]; }
    [[nodiscard]] bool personal(schema::path p) const noexcept { return field_of(p).pii > pii_class::pseudonymous; }
    [[nodiscard]] bool redacted(schema::path p) const {
        const auto same = [&](schema::path h) { return h.where == p.where && h.index == p.index; };
        return std::any_of(hidden_.begin(), hidden_.end(), same);
    }
    [[nodiscard]] bool reads_hidden(index n) const {
        const std::vector<schema::path> read = fields_of(n);
        return std::any_of(read.begin(), read.end(), [&](schema::path p) { return personal(p) || redacted(p); });
    }
    [[nodiscard]] std::string shown(schema::path p) const {
        if (personal(p)) return fmt::format("({})", name(field_of(p).pii));
        if (redacted(p)) return "(redacted)";
        return missing(p) ? "(missing)" : shown_cell(f_.get(p, candidate_), *f_.strings);
    }

    /// The smallest change after which the part gives `wanted`.
    turned turn(index n, bool wanted) {
        if (value(n) == (wanted ? outcome::yes : outcome::no)) return {};
        switch (at(n).kind) {
            case kind::and_:
            case kind::or_: {
                const bool all = (at(n).kind == kind::and_) == wanted;  // every operand has to give it, or any
                turned sum;
                std::optional<turned> least;
                for (const index operand : operands(n)) {
                    turned one = turn(operand, wanted);
                    sum.cost += one.cost;
                    sum.texts.insert(sum.texts.end(), one.texts.begin(), one.texts.end());
                    if (!least || one.cost < least->cost) least = std::move(one);
                }
                return all ? sum : *least;
            }
            case kind::not_: return turn(c_.ast.child(n, 0), !wanted);
            default: break;
        }
        turned one{1, {}};
        if (value(n) == outcome::failed)  // its values have to be there before it can give anything
            for (const schema::path p : fields_of(n))
                if (missing(p)) one.texts.push_back(fmt::format("has({})", dotted(p)));
        one.texts.push_back(wanted ? std::string(c_.ast.text_of(n)) : opposite(n));
        return one;
    }

    /// An operand of a comparison; brackets are no part of a node's text.
    [[nodiscard]] std::string side(index n) const {
        const bool weaker = at(n).kind == kind::conditional || (at(n).kind >= kind::equal && at(n).kind <= kind::or_);
        return fmt::format("{}{}{}", weaker ? "(" : "", c_.ast.text_of(n), weaker ? ")" : "");
    }

    /// A clause of CEL that holds where this one does not.
    [[nodiscard]] std::string opposite(index n) const {
        const auto compare = [&](std::string_view op) {
            return fmt::format("{} {} {}", side(c_.ast.child(n, 0)), op, side(c_.ast.child(n, 1)));
        };
        switch (at(n).kind) {
            case kind::equal: return compare("!=");
            case kind::not_equal: return compare("==");
            case kind::less: return compare(">=");
            case kind::less_equal: return compare(">");
            case kind::greater: return compare("<=");
            case kind::greater_equal: return compare("<");
            case kind::variable:
            case kind::select:
            case kind::has:
            case kind::call: return fmt::format("!{}", c_.ast.text_of(n));
            default: return fmt::format("!({})", c_.ast.text_of(n));
        }
    }

    const policy_set::impl& set_;
    const frame& f_;
    std::size_t candidate_;
    policy_workspace& scratch_;
    std::span<const schema::path> hidden_;
    cel::detail::checked c_;
    bool usable_ = false;
    std::vector<std::pair<index, outcome>> known_;
};

}  // namespace detail

OPSPILOT_INLINE std::string_view name(policy_clause::outcome o) noexcept {
    switch (o) {
        case policy_clause::outcome::no: return "false";
        case policy_clause::outcome::yes: return "true";
        case policy_clause::outcome::failed: break;
    }
    return "error";
}

OPSPILOT_INLINE rule_explanation explain_rule(const policy_set& set, std::uint32_t r, const frame& f, std::size_t candidate,
                                              policy_workspace& scratch, std::span<const schema::path> hidden) {
    if (set.state == nullptr || r >= set.rules()) return {};
    const detail::policy_rule& rule = set.state->rules[r];
    return detail::clause_reader(*set.state, rule, f, candidate, scratch, hidden)
        .explain(rule.effect == detail::policy_effect::allow_only);
}

}  // namespace opspilot
