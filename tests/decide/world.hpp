// A small support operation: a bundle with features, a linear stage, two layers of policy, a calibration, baseline rules.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>

#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/engine.hpp"

namespace world {

inline constexpr std::int64_t now_us = 1'700'000'000'000'000;

inline opspilot::part_map parts() {
    return {
        {"bundle.json", R"({"name": "support", "version": "1", "region": "eu"})"},
        {"schema.json", R"({
            "task": [{"name": "intent", "type": "string", "values": ["refund", "billing", "fraud", "other"]},
                     {"name": "amount", "type": "double", "optional": true, "unit": "EUR", "min": 0},
                     {"name": "text", "type": "string", "optional": true, "pii": "personal"},
                     {"name": "balance", "type": "double", "optional": true, "max_age": "1h", "as_of": "balance_at", "default": 0},
                     {"name": "balance_at", "type": "timestamp", "optional": true}],
            "action": [{"name": "kind", "type": "string"}, {"name": "cost", "type": "double"},
                       {"name": "intents", "type": "list<string>"}, {"name": "reversible", "type": "bool"}],
            "candidate": [{"name": "match", "type": "double", "optional": true}]})"},
        {"catalogue.json", R"([
            {"id": "refund_full", "kind": "refund", "cost": 3, "intents": ["refund", "billing"], "reversible": false},
            {"id": "refund_half", "kind": "refund", "cost": 2, "intents": ["refund", "billing"], "reversible": false},
            {"id": "ask_receipt", "kind": "ask", "cost": 0.5, "intents": ["refund", "billing", "fraud"], "reversible": true},
            {"id": "explain_bill", "kind": "reply", "cost": 0.2, "intents": ["billing"], "reversible": true},
            {"id": "close", "kind": "close", "cost": 0.1, "intents": ["refund", "billing"], "reversible": true},
            {"id": "block_card", "kind": "block", "cost": 5, "intents": ["fraud"], "reversible": true}])"},
        {"candidates.json", R"({"generators": [{"kind": "match", "task": "task.intent", "action": "action.intents"}]})"},
        {"features.json", R"({"version": 1, "transforms": [
            {"name": "amount", "op": "log", "input": "task.amount", "missing": 0},
            {"name": "cost", "op": "number", "input": "action.cost"},
            {"name": "match", "op": "number", "input": "candidate.match", "missing": 0},
            {"name": "per_cost", "op": "ratio", "a": "task.amount", "b": "action.cost", "missing": 0},
            {"name": "owed", "op": "number", "input": "task.balance", "missing": 0}]})"},
        {"rank/stages.json", R"({"version": 1, "stages": [{"name": "score", "kind": "linear", "model": "rank/linear.json"}],
            "rank_by": "score", "linear": "score"})"},
        {"rank/linear.json", R"({"version": 1, "features": ["cost", "match", "per_cost", "amount"],
            "weights": [-0.5, 4.0, 0.0001, 0.25], "intercept": 0.125})"},
        {"policy/compliance.json", R"({"layer": "compliance", "version": "3", "rules": [
            {"id": "fraud-to-human", "when": "task.intent == 'fraud'", "effect": "escalate", "queue": "trust", "locked": true,
             "because": "Fraud always goes to a person."},
            {"id": "big-refund", "when": "action.kind == 'refund' && has(task.amount) && task.amount > 500.0", "effect": "require_approval",
             "because": "Refunds above 500 EUR are approved by a person."}],
            "invariants": [{"id": "never-auto-fraud", "when": "task.intent == 'fraud'", "never": "auto_execute"}]})"},
        {"policy/business.json", R"({"layer": "business", "version": "1", "rules": [
            {"id": "no-close-with-amount", "when": "action.id == 'close' && has(task.amount) && task.amount > 0.0", "effect": "forbid",
             "because": "An open amount is not closed."},
            {"id": "prefer-reversible", "when": "action.reversible", "effect": "boost", "by": 0.25, "because": "What can be undone first."}]})"},
        {"baseline.json", R"({"layer": "business", "version": "1", "rules": [
            {"id": "ask-first", "when": "action.kind == 'ask'", "effect": "boost", "by": 1.0, "because": "Asking is never wrong."}]})"},
        {"rollout.json", R"({"stage": "live"})"},
    };
}

/// Golden tasks that reach every verdict. Odd ones bring candidates of their own.
inline std::string golden_tasks() {
    std::string out;
    const auto line = [&](const std::string& task, const std::string& candidates) {
        out += fmt::format(R"({{"task": {}, {}"now": {}}})", task,
                           candidates.empty() ? "" : "\"candidates\": " + candidates + ", ", now_us);
        out += '\n';
    };
    for (int i = 0; i < 16; ++i) {
        line(fmt::format(R"({{"id": "f{}", "intent": "fraud"}})", i), "");  // escalate
        // One candidate far ahead: automated, or approved above 500.
        line(fmt::format(R"({{"id": "r{}", "intent": "refund", "amount": {}}})", i, 100 + 100 * i),
             R"([{"id": "refund_full", "match": 3}, {"id": "ask_receipt", "match": 0.1}])");
        line(fmt::format(R"({{"id": "b{}", "intent": "billing", "amount": {}}})", i, i),
             R"([{"id": "explain_bill", "match": 0.9}, {"id": "ask_receipt", "match": 0.5}])");  // suggest
        line(fmt::format(R"({{"id": "o{}", "intent": "billing"}})", i), "");                     // all alike: abstain
    }
    return out;
}

/// A calibration for these parts: the identity in log-odds, certified at 0.9 for the models of `model`.
inline opspilot::calibration calibration_for(const std::string& model) {
    opspilot::calibration c;
    c.kind = opspilot::calibrator_kind::platt;
    c.input = opspilot::calibrator_input::probability;
    c.curve = {.a = -1, .b = 0};
    c.abstain_below = 0.4;
    opspilot::threshold t;
    t.value = 0.9;
    t.certificate = {.model_fingerprint = model,
                     .calibrator = "platt",
                     .sampling_unit = "one task",
                     .not_covered = "",
                     .n = 400,
                     .automated = 200,
                     .errors = 2,
                     .needed = 59,
                     .alpha = 0.05,
                     .delta = 0.05,
                     .coverage = 0.5,
                     .risk_upper = 0.0311,
                     .data_from_us = now_us - 2'000'000,
                     .data_to_us = now_us - 1'000'000,
                     .created_at_us = now_us - 1'000'000,
                     .expires_at_us = now_us + 86'400'000'000};
    c.thresholds.push_back(t);
    return c;
}

/// Parts with calibration and golden tasks, ready for `bundle::build`.
inline opspilot::part_map complete_parts(opspilot::part_map all = parts()) {
    const auto draft = opspilot::bundle::draft(all);
    if (!draft) throw std::runtime_error(draft.error().text());
    all["calibration.json"] = calibration_for((*draft)->versions().model).to_json();
    all["golden.jsonl"] = golden_tasks();
    return all;
}

inline std::string packed(const opspilot::part_map& all) {
    auto built = opspilot::bundle::build(all);
    if (!built) throw std::runtime_error(built.error().text());
    return std::move(built).value();
}

inline const std::string& packed() {
    static const std::string bytes = packed(complete_parts());
    return bytes;
}

inline std::shared_ptr<const opspilot::bundle> load() {
    auto loaded = opspilot::bundle::load(packed());
    if (!loaded) throw std::runtime_error(loaded.error().text());
    return *loaded;
}

}  // namespace world
