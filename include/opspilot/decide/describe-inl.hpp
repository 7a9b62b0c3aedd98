#pragma once

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <memory>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

namespace detail {

inline json describe_fields(const schema& s) {
    json out = json::object();
    for (const role r : {role::task, role::action, role::candidate}) {
        json& list = out[std::string(name(r))] = json::array();
        for (const field& f : s.fields(r)) {
            json entry{{"name", f.name}, {"type", name(f.type)}, {"optional", f.optional}};
            if (f.pii != pii_class::none) entry["pii"] = name(f.pii);
            if (!f.unit.empty()) entry["unit"] = f.unit;
            if (f.max_age_us > 0) entry["max_age_s"] = f.max_age_us / 1'000'000;
            list.push_back(std::move(entry));
        }
    }
    return out;
}

inline json describe_thresholds(const bundle::impl& b) {
    json out = json::array();
    if (!b.confidence) return out;
    for (const threshold& t : b.confidence->thresholds) {
        const certificate& c = t.certificate;
        out.push_back({{"scope", t.scope},
                       {"kind", t.kind},
                       {"value", t.value ? json(*t.value) : json(nullptr)},
                       {"alpha", c.alpha},
                       {"confidence", 1 - c.delta},
                       {"n", c.n},
                       {"automated", c.automated},
                       {"errors", c.errors},
                       {"needed", c.needed},
                       {"coverage", c.coverage},
                       {"risk_upper", c.risk_upper},
                       {"level", c.level},
                       {"sampling_unit", c.sampling_unit},
                       {"not_covered", c.not_covered},
                       {"expires_at", c.expires_at_us},
                       {"for_these_models", c.model_fingerprint == b.model_fingerprint},
                       {"for_this_calibrator", b.confidence->is_calibrator_of(c)},
                       {"statement", c.statement(t.value.has_value())}});
    }
    return out;
}

inline json describe_rules(const policy_set& policy) {
    json out = json::array();
    for (std::uint32_t i = 0; i < policy.rules(); ++i) {
        const rule_info rule = policy.rule(i);
        out.push_back({{"id", rule.id},
                       {"layer", rule.layer},
                       {"version", rule.version},
                       {"effect", rule.effect},
                       {"because", rule.because},
                       {"when", rule.when},
                       {"queue", rule.queue}});
    }
    return out;
}

inline json describe_stages(const pipeline& ranking) {
    json out = json::array();
    for (std::size_t k = 0; k < ranking.stage_names().size(); ++k) {
        const stage_summary stage = ranking.stage(k);
        json line{{"stage", stage.name}, {"kind", stage.kind}};
        line["scores"] = stage.reranks < 0 ? "all candidates"
                                           : fmt::format("the {} best of {}", stage.rerank_count,
                                                         ranking.stage_names()[static_cast<std::size_t>(stage.reranks)]);
        line["columns"] = stage.columns != 0 ? json(stage.columns) : json();
        line["engine"] = stage.engine.empty() ? json() : json(stage.engine);
        line["orders"] = k == ranking.ranking_stage()                    ? "yes"
                         : static_cast<int>(k) == ranking.linear_stage() ? "when the others fail"
                                                                         : "";
        out.push_back(std::move(line));
    }
    return out;
}

inline json describe_tables(const lookup_tables& tables) {
    json out = json::array();
    for (const lookup_tables::info& t : tables.list())
        out.push_back({{"name", t.name}, {"version", t.version}, {"key", t.key}, {"value", t.value}, {"rows", t.rows}});
    return out;
}

inline json describe_layers(const engine& e) {
    json out = json::array();
    for (const engine::live_layer& d : e.layers())
        out.push_back({{"layer", d.layer},
                       {"document", d.document},
                       {"version", d.version},
                       {"sha256", d.sha256},
                       {"client", d.client.empty() ? json(nullptr) : json(d.client)},
                       {"published_us", d.published_us}});
    return out;
}

inline json describe_shadow(const shadow_report& r) {
    json verdicts = json::object(), examples = json::array();
    for (std::size_t live = 0; live < r.verdicts.size(); ++live)
        for (std::size_t other = 0; other < r.verdicts[live].size(); ++other)
            if (r.verdicts[live][other] != 0)
                verdicts[fmt::format("{} -> {}", name(static_cast<verdict>(live)), name(static_cast<verdict>(other)))] =
                    r.verdicts[live][other];
    for (const shadow_report::example& x : r.examples)
        examples.push_back({{"decision", x.decision},
                            {"task", x.task},
                            {"verdict", {name(x.live), name(x.shadow)}},
                            {"action", {x.live_action, x.shadow_action}},
                            {"queue", {x.live_queue, x.shadow_queue}}});
    return {{"running", r.running}, {"policy", r.policy}, {"decided", r.decided}, {"failed", r.failed},  {"changed", r.changed},
            {"actions", r.actions}, {"queues", r.queues}, {"verdicts", verdicts}, {"examples", examples}};
}

}  // namespace detail

OPSPILOT_INLINE std::string engine::describe_json() const {
    using detail::json;
    static constexpr std::array<const char*, 3> scopes{"none", "auto", "all"};
    const std::shared_ptr<const bundle> live = current();
    const json out{{"kind", "engine"},
                   {"bundle", {{"name", live->name()}, {"version", live->version()}, {"fingerprint", live->fingerprint()}}},
                   {"policy", live->versions().policy},
                   {"killed", scopes[static_cast<std::size_t>(killed())]},
                   {"layers", detail::describe_layers(*this)},
                   {"shadow", detail::describe_shadow(shadowed())}};
    return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

OPSPILOT_INLINE std::string bundle::describe_json() const {
    using detail::json;
    static constexpr std::array<const char*, 4> stages{"shadow", "suggest", "approve", "live"};
    json parts = json::array();
    for (const auto& [name, size] : part_sizes()) parts.push_back({{"name", name}, {"bytes", size}});
    json features = json::object();
    if (state_->plan.state) {
        features["columns"] = std::vector<std::string>(state_->plan.names().begin(), state_->plan.names().end());
        features["fingerprint"] = state_->plan.fingerprint();
        json blocks = json::array();
        for (const sparse_block& block : state_->plan.sparse_blocks())
            blocks.push_back({{"name", block.name}, {"dimension", block.dimension}});
        features["sparse_blocks"] = std::move(blocks);
    }
    const json ranking = state_->ranking ? detail::describe_stages(*state_->ranking) : json::array();
    const json out{{"kind", "bundle"},
                   {"name", state_->name},
                   {"version", state_->version},
                   {"region", state_->region},
                   {"fingerprint", state_->fingerprint},
                   {"model_fingerprint", state_->model_fingerprint},
                   {"stage", stages[static_cast<std::size_t>(state_->stage)]},
                   {"actions", state_->catalogue.rows()},
                   {"golden_rows", state_->golden_rows},
                   {"schema", detail::describe_fields(state_->schema)},
                   {"features", std::move(features)},
                   {"ranking", ranking},
                   {"thresholds", detail::describe_thresholds(*state_)},
                   {"rules", detail::describe_rules(state_->policy)},
                   {"baseline_rules", state_->baseline ? detail::describe_rules(*state_->baseline) : json::array()},
                   {"tables", detail::describe_tables(state_->tables)},
                   {"parts", std::move(parts)}};
    return out.dump();
}

}  // namespace opspilot
