#pragma once

#include <array>
#include <utility>

#include "opspilot/policy/detail/analysis/decider.hpp"
#include "opspilot/policy/detail/analysis/search.hpp"
#include "opspilot/policy/detail/cel/condition.hpp"

namespace opspilot::detail::analysis {

OPSPILOT_INLINE decider::decider(const schema& s, dictionary& strings, lookup_tables tables)
    : schema_(s),
      strings_(strings),
      tables_(std::move(tables)),
      library_(s),
      maker_(s, strings),
      memory_(std::size_t{16} << 20) {}
OPSPILOT_INLINE decider::~decider() = default;

OPSPILOT_INLINE result<std::uint32_t> decider::add(std::string_view source) {
    if (const auto known = known_.find(std::string(source)); known != known_.end()) return known->second;
    cel::detail::checked c;
    if (const auto wrong = cel::detail::read_condition(source, schema_, tables_.state, c))
        return error{error_kind::policy, wrong->code, wrong->message, "byte " + std::to_string(wrong->offset), wrong->hint};
    conditions_.push_back(library_.take_apart(std::move(c)));
    const auto number = static_cast<std::uint32_t>(conditions_.size() - 1);
    known_.emplace(std::string(source), number);
    return number;
}

OPSPILOT_INLINE finding decider::find(std::span<const demand> demands, const std::function<bool(const frame&)>& also) {
    // Texts get their codes before any row is read.
    for (const demand& w : demands) {
        condition& c = conditions_[w.condition];
        if (!c.program) c.program = cel::detail::lower(c.tree, {}, &strings_, true);
    }
    if (budget == 0) return {};
    return search(*this, demands, also).run();
}

OPSPILOT_INLINE outcomes decider::evaluate(std::uint32_t number, const frame& f) {
    machine_.memory = &memory_;
    machine_.strings = f.strings;
    machine_.where = &f;
    machine_.candidate = 0;
    memory_.reset();
    const cel::value v = cel::detail::run_all(*conditions_[number].program, machine_);
    return !v.is(cel::kind::boolean) ? fails : v.boolean ? holds : lapses;
}

/// A row that is found refutes.
inline decision unless_found(finding f) {
    decision out;
    if (f.what == finding::kind::row) {
        out.what = decision::kind::no;
        out.row = std::move(f.row);
    } else if (f.what == finding::kind::none) {
        out.what = decision::kind::yes;
    }
    return out;
}

OPSPILOT_INLINE decision decider::satisfiable(std::uint32_t a) {
    const std::array<demand, 1> wanted{{{a, holds}}};
    decision out = unless_found(find(wanted));
    if (out.what == decision::kind::yes)
        out.what = decision::kind::no;
    else if (out.what == decision::kind::no)
        out.what = decision::kind::yes;
    return out;
}

OPSPILOT_INLINE decision decider::valid(std::uint32_t a) {
    const std::array<demand, 1> wanted{{{a, static_cast<outcomes>(lapses | fails)}}};
    return unless_found(find(wanted));
}

OPSPILOT_INLINE decision decider::implies(std::uint32_t a, std::uint32_t b) {
    const std::array<demand, 2> wanted{{{a, holds}, {b, static_cast<outcomes>(lapses | fails)}}};
    return unless_found(find(wanted));
}

OPSPILOT_INLINE decision decider::disjoint(std::uint32_t a, std::uint32_t b) {
    const std::array<demand, 2> wanted{{{a, holds}, {b, holds}}};
    return unless_found(find(wanted));
}

}  // namespace opspilot::detail::analysis
