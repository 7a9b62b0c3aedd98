// One decision at a time over policies given as text.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/policy/policy.hpp"

namespace desk_of_policies {

using namespace opspilot;

inline constexpr std::string_view schema_text = R"({
  "task": [
    {"name": "intent", "type": "string", "values": ["refund", "fraud", "legal", "other"]},
    {"name": "amount", "type": "double"},
    {"name": "paid", "type": "bool"},
    {"name": "region", "type": "string", "optional": true},
    {"name": "tags", "type": "list<string>", "optional": true},
    {"name": "priority", "type": "int", "default": 3},
    {"name": "created", "type": "timestamp", "optional": true}],
  "action": [
    {"name": "kind", "type": "string"},
    {"name": "risk", "type": "double", "optional": true},
    {"name": "region", "type": "string", "optional": true},
    {"name": "reversible", "type": "bool", "default": false}],
  "candidate": [{"name": "age", "type": "int", "optional": true}]
})";

/// One decision: a task and its candidates over a compiled policy.
struct desk {
    schema fields = schema::parse(schema_text).value();
    dictionary strings;
    policy_set policy;
    std::vector<policy_finding> findings;
    table task, actions, pairs;
    json_reader reader;
    std::unique_ptr<interner> texts;
    std::vector<std::uint32_t> rows;
    policy_workspace scratch;
    policy_outcome out;
    frame f;

    bool load(const std::vector<std::string>& documents) {
        std::vector<policy_set::document> given;
        for (std::size_t i = 0; i < documents.size(); ++i) given.push_back({fmt::format("p{}.json", i), documents[i]});
        findings.clear();
        auto compiled = policy_set::compile(given, fields, strings, &findings);
        if (compiled) policy = *compiled;
        problem = compiled ? std::string{} : compiled.error().text();
        return compiled.ok();
    }
    void decide(const std::string& task_json, const std::string& candidates_json, std::int64_t now = 0) {
        task.reset(fields, role::task);
        actions.reset(fields, role::action);
        pairs.reset(fields, role::candidate);
        texts = std::make_unique<interner>(strings);
        const auto a = task.read_json("[" + task_json + "]", *texts, now);
        INFO((a ? std::string{} : a.error().text()));
        REQUIRE(a.ok());
        const auto b = read_candidates_json(candidates_json, {&actions, &pairs, nullptr}, *texts, now, reader);
        INFO((b ? std::string{} : b.error().text()));
        REQUIRE(b.ok());
        rows.clear();
        for (std::uint32_t i = 0; i < actions.rows(); ++i) rows.push_back(i);
        f = {};
        f.task = &task;
        f.actions = &actions;
        f.action_rows = rows;
        f.pairs = &pairs;
        f.strings = texts.get();
        f.now_us = now;
        policy.evaluate(f, scratch, out);
    }
    std::string problem;
};

inline std::string rule(const std::string& id, const std::string& when, const std::string& effect, const std::string& more = {}) {
    return fmt::format(R"({{"id": "{}", "when": "{}", "effect": "{}", "because": "b"{}}})", id, when, effect, more);
}
inline std::string document(const std::string& layer, const std::vector<std::string>& rules, const std::string& more = {}) {
    return fmt::format(R"({{"layer": "{}", "version": "1", "rules": [{}]{}}})", layer, fmt::join(rules, ", "), more);
}

inline const std::string plain_task = R"({"intent": "refund", "amount": 100.0, "paid": true})";
inline const std::string two = R"([{"id": "close", "kind": "close"}, {"id": "refund", "kind": "refund", "risk": 0.5}])";

}  // namespace desk_of_policies
