#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opspilot/base/hash.hpp"
#include "opspilot/policy/detail/analysis/analysis.hpp"
#include "opspilot/policy/detail/analysis/rule_facts.hpp"
#include "opspilot/policy/detail/apply.hpp"
#include "opspilot/policy/detail/columns/catalogue.hpp"
#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/detail/sequence.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

namespace detail {

OPSPILOT_INLINE cel::detail::machine& machine_over(const frame& f, policy_workspace& scratch) noexcept {
    cel::detail::machine& m = scratch.state->machine;
    m.memory = &scratch.state->memory;
    m.strings = f.strings;
    m.where = &f;
    m.candidate = 0;
    return m;
}

/// The layer a document claims, for the order of reading; wrong documents say so when they are read.
inline policy_layer claimed_layer(std::string_view text) {
    const auto parsed = parse_json(text, error_kind::policy);
    const std::string claimed = parsed && parsed->is_object() ? text_or(*parsed, "layer", "") : std::string{};
    for (const policy_layer layer : {policy_layer::mandatory, policy_layer::compliance, policy_layer::client})
        if (claimed == name(layer)) return layer;
    return policy_layer::business;
}

}  // namespace detail

OPSPILOT_INLINE void policy_outcome::reset(std::size_t candidates) {
    cap.assign(candidates, verdict::auto_execute);
    allowed.assign(candidates, 1);
    boost.assign(candidates, 0.0);
    threshold.assign(candidates, 0.0);
    queue.assign(candidates, 0);
    hits.clear();
    redacted.clear();
    task_hits.clear();
    task_queue = 0;
}

OPSPILOT_INLINE policy_workspace::policy_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE policy_workspace::~policy_workspace() = default;
OPSPILOT_INLINE policy_workspace::policy_workspace(policy_workspace&&) noexcept = default;
OPSPILOT_INLINE policy_workspace& policy_workspace::operator=(policy_workspace&&) noexcept = default;

OPSPILOT_INLINE result<policy_set> policy_set::compile(std::span<const document> documents, const schema& s, dictionary& strings,
                                                       std::vector<policy_finding>* findings, policy_review review,
                                                       const lookup_tables& tables) {
    auto made = std::make_shared<impl>();
    made->fields = s;
    made->tables = tables;
    if (tables.state != nullptr) made->looked_into.resize(tables.state->tables.size());
    detail::finding_log log(findings);
    cel::detail::graph_builder columns(&strings);
    std::vector<detail::policy_layer> layers;
    for (const document& d : documents) layers.push_back(detail::claimed_layer(d.text));
    sha256_stream identity;
    identity.update("opspilot.policy.1");
    for (const auto layer : {detail::policy_layer::mandatory, detail::policy_layer::compliance, detail::policy_layer::client,
                             detail::policy_layer::business}) {
        for (std::size_t i = 0; i < documents.size(); ++i) {
            if (layers[i] != layer) continue;
            const std::size_t before = findings == nullptr ? 0 : findings->size();
            detail::read_policy_document(documents[i], {s, strings, *made, columns, log});
            if (findings != nullptr) detail::analysis::add_excerpts(std::span(*findings).subspan(before), documents[i].text);
            identity.update(fmt::format("\n{}\n", documents[i].text.size()));
            identity.update(documents[i].text);
        }
    }
    if (log.first_error()) return std::move(*log.first_error());
    for (std::size_t i = 0; i < made->looked_into.size(); ++i)
        if (made->looked_into[i])
            identity.update(fmt::format("\ntable {} {}", tables.state->tables[i].name, tables.state->tables[i].sha256));
    made->identity = hex(identity.finish());
    made->columns = std::move(columns).finish();
    for (const detail::policy_rule& r : made->rules)
        made->diversifies = made->diversifies || r.effect == detail::policy_effect::diversify;
    policy_set out;
    out.state = std::move(made);
    if (findings != nullptr && review == policy_review::whole) detail::analysis::add_warnings(out, strings, *findings);
    return out;
}

OPSPILOT_INLINE void policy_set::evaluate(const frame& f, policy_workspace& scratch, policy_outcome& out,
                                          const policy_catalogue* ready) const {
    out.reset(f.size());
    if (state == nullptr) return;
    if (f.size() == 0) return detail::apply_to_task(*state, f, scratch, out);
    if (scratch.state->kernel == nullptr) return detail::apply_by_machine(*state, f, scratch, out);
    const bool fits = ready != nullptr && ready->state != nullptr && ready->state->policy == state;
    detail::apply_by_columns(*state, f, fits ? &ready->state->columns : nullptr, *scratch.state->kernel, *scratch.state, out);
}

OPSPILOT_INLINE policy_catalogue policy_set::prepare(const table& actions, const interner& strings) const {
    policy_catalogue out;
    if (state != nullptr)
        out.state = std::make_shared<policy_catalogue::impl>(
            policy_catalogue::impl{state, cel::detail::prepare_catalogue(state->columns, actions, strings)});
    return out;
}

OPSPILOT_INLINE status policy_workspace::use(std::string_view engine) {
    if (engine == "machine") {
        state->kernel = nullptr;
        return {};
    }
    auto found = cel::detail::find_column_kernel(engine);
    if (!found) {
        found.error().hint += ", machine";
        return std::move(found).error();
    }
    state->kernel = *found;
    return {};
}

OPSPILOT_INLINE std::uint32_t policy_set::mandatory(const frame& f, policy_workspace& scratch) const {
    return state == nullptr ? 0 : detail::first_mandatory(*state, f, scratch);
}

OPSPILOT_INLINE std::uint32_t policy_set::throttled(const frame& f, std::span<const rule_hit> hits, limit_counters& counters,
                                                    policy_workspace& scratch, std::string_view owner) const {
    return state == nullptr ? 0 : detail::take_limits(*state, f, hits, {counters, owner, scratch});
}
OPSPILOT_INLINE void policy_set::give_back(const frame& f, std::span<const rule_hit> hits, limit_counters& counters,
                                           policy_workspace& scratch, std::string_view owner) const {
    if (state != nullptr) detail::give_limits_back(*state, f, hits, {counters, owner, scratch});
}

OPSPILOT_INLINE void policy_set::diversify(const frame& f, std::span<std::uint32_t> order, std::span<rule_hit> hits,
                                           std::span<const std::uint32_t> starts, policy_workspace& scratch,
                                           std::uint32_t first_rule) const {
    if (state != nullptr && state->diversifies)
        detail::demote_repeats(*state, f, order, hits, starts, first_rule, scratch.state->repeats);
}

OPSPILOT_INLINE std::vector<policy_set::document_info> policy_set::documents() const {
    std::vector<document_info> out;
    if (state != nullptr)
        for (const detail::policy_document& d : state->documents)
            out.push_back({d.name, detail::name(d.layer), d.version, d.sha256, d.text});
    return out;
}

OPSPILOT_INLINE std::vector<lookup_tables::info> policy_set::tables() const {
    if (state == nullptr) return {};
    std::vector<lookup_tables::info> out;
    const std::vector<lookup_tables::info> all = state->tables.list();
    for (std::size_t i = 0; i < all.size(); ++i)
        if (state->looked_into[i]) out.push_back(all[i]);
    return out;
}

OPSPILOT_INLINE std::uint32_t policy_set::rules() const noexcept {
    return state == nullptr ? 0 : static_cast<std::uint32_t>(state->rules.size());
}

OPSPILOT_INLINE rule_info policy_set::rule(std::uint32_t index) const noexcept {
    const detail::policy_rule& r = state->rules[index];
    rule_info info;
    info.id = r.id;
    info.layer = detail::name(r.layer);
    info.version = state->documents[r.document].version;
    info.effect = detail::traits_of(r.effect).name;
    info.because = r.because;
    info.queue = r.queue;
    info.when = r.when;
    info.by = r.by;
    info.threshold = r.threshold;
    info.count = r.count;
    info.per_us = r.per_us;
    info.field = r.field;
    info.locked = r.locked;
    info.valid_from_us = r.valid_from_us;
    info.valid_until_us = r.valid_until_us;
    return info;
}

OPSPILOT_INLINE std::string_view policy_set::violated_invariant(const frame& f, std::size_t candidate, verdict decided,
                                                                policy_workspace& scratch) const {
    if (state == nullptr) return {};
    for (const detail::policy_invariant& v : state->invariants) {
        if (decided < v.never) continue;
        cel::detail::machine& m = detail::machine_over(f, scratch);
        m.memory->reset();
        m.candidate = candidate;
        if (!cel::detail::run_all(v.condition, m).is_false()) return v.id;  // one that fails holds: it narrows
    }
    return {};
}

OPSPILOT_INLINE std::vector<policy_set::test_result> policy_set::run_tests() const {
    std::vector<test_result> results;
    std::vector<std::uint32_t> covered;
    if (state != nullptr) detail::run_policy_tests(*state, results, covered);
    return results;
}

OPSPILOT_INLINE std::vector<std::uint32_t> policy_set::coverage() const {
    std::vector<test_result> results;
    std::vector<std::uint32_t> covered;
    if (state != nullptr) detail::run_policy_tests(*state, results, covered);
    return covered;
}

namespace detail {

/// The documents of a set compiled anew over strings of their own, for what asks about them and not about a decision.
struct policy_copy {
    dictionary strings;
    policy_set set;
    explicit policy_copy(const policy_set::impl& from) {
        std::vector<policy_set::document> documents;
        for (const policy_document& d : from.documents) documents.push_back({d.name, d.text});
        auto compiled = policy_set::compile(documents, from.fields, strings, nullptr, policy_review::rules, from.tables);
        if (compiled) set = std::move(*compiled);
    }
};

}  // namespace detail

OPSPILOT_INLINE std::vector<policy_set::proof> policy_set::prove() const {
    if (state == nullptr) return {};
    detail::policy_copy copy(*state);
    return detail::analysis::prove(copy.set, copy.strings);
}

OPSPILOT_INLINE std::vector<policy_set::guard> policy_set::guards(std::string_view invariant) const {
    std::vector<guard> out;
    if (state == nullptr) return out;
    const auto v = std::find_if(state->invariants.begin(), state->invariants.end(),
                                [&](const detail::policy_invariant& known) { return known.id == invariant; });
    if (v == state->invariants.end()) return out;
    for (std::uint32_t r = 0; r < state->rules.size(); ++r) {
        const detail::policy_rule& rule = state->rules[r];
        namespace a = detail::analysis;
        const a::outcomes acts = a::times_of(rule).always() ? a::narrowing_below(rule, v->never) : a::outcomes{0};
        if (acts != 0) out.push_back({r, (acts & a::holds) != 0, (acts & a::lapses) != 0, (acts & a::fails) != 0});
    }
    return out;
}

OPSPILOT_INLINE std::vector<policy_set::invariant_info> policy_set::invariants() const {
    std::vector<invariant_info> out;
    if (state != nullptr)
        for (const detail::policy_invariant& v : state->invariants) out.push_back({v.id, v.when, v.never});
    return out;
}

OPSPILOT_INLINE std::vector<policy_finding> policy_set::notes() const {
    std::vector<policy_finding> out;
    if (state == nullptr) return out;
    detail::policy_copy copy(*state);
    detail::analysis::add_notes(copy.set, copy.strings, out);
    return out;
}

OPSPILOT_INLINE std::vector<policy_finding> policy_set::findings_at(std::int64_t now_us) const {
    std::vector<policy_finding> out;
    if (state != nullptr) detail::analysis::add_expired(*this, now_us, out);
    return out;
}

OPSPILOT_INLINE const std::string& policy_set::fingerprint() const noexcept {
    static const std::string none;
    return state == nullptr ? none : state->identity;
}

}  // namespace opspilot
