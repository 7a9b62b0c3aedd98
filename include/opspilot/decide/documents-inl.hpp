#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "opspilot/audit/detail/outcome_tables.hpp"
#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/calibrate/criteria.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/decide/detail/document_tables.hpp"
#include "opspilot/decide/documents.hpp"
#include "opspilot/decide/engine.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/policy/detail/document_tables.hpp"
#include "opspilot/policy/policy.hpp"
#include "opspilot/rank/detail/document_tables.hpp"
#include "opspilot/rank/detail/weight_file.hpp"
#include "opspilot/rank/generator.hpp"
#include "opspilot/rank/linear.hpp"
#include "opspilot/rank/pipeline.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 18> document_name_list{
    "bundle", "schema", "catalogue",   "candidates", "features", "stages", "linear",   "text_classifier", "choice_model",
    "policy", "table",  "calibration", "rollout",    "baseline", "golden", "decision", "outcome",         "criteria"};

/// A table as a part of a document: without the line that names the dialect.
inline json part_schema(std::span<const document_field> table, std::string_view title) {
    json made = json_schema(table, title);
    made.erase("$schema");
    return made;
}

/// Where a reader takes a whole number it fits 64 bits with a sign.
inline void bound_integers(json& node) {
    std::vector<json*> open{&node};
    while (!open.empty()) {
        json& here = *open.back();
        open.pop_back();
        if (here.is_object() && here.contains("type") && here["type"] == "integer") {
            if (!here.contains("minimum")) here["minimum"] = INT64_MIN;
            if (!here.contains("maximum")) here["maximum"] = INT64_MAX;
        }
        for (json& inner : here)
            if (inner.is_structured()) open.push_back(&inner);
    }
}

inline void let_be_null(json& document, std::initializer_list<const char*> keys, const char* type = "number") {
    for (const char* key : keys) document["properties"][key]["type"] = json::array({type, "null"});
}
inline json list_of(json items) { return {{"type", "array"}, {"items", std::move(items)}}; }
inline void items_of(json& document, const char* key, json items) { document["properties"][key]["items"] = std::move(items); }
inline void put(json& document, const char* key, json value) { document["properties"][key] = std::move(value); }
/// Something besides its kind that the reader asks of a key.
inline void also(json& document, const char* key, const json& more) { document["properties"][key].update(more); }
/// A list of texts, none empty and none twice.
inline void put_names(json& document, const char* key) {
    items_of(document, key, {{"type", "string"}, {"minLength", 1}});
    also(document, key, {{"uniqueItems", true}});
}
inline json when_is(const char* key, const json& value, json then) {
    return {{"if", {{"properties", {{key, value}}}, {"required", json::array({key})}}}, {"then", std::move(then)}};
}

inline json bundle_schema() {
    const bundle_tables tables = bundle_document_tables();
    json out = json_schema(tables.document, "bundle.json");
    json limits = part_schema(tables.limits, "limits");
    for (auto& [key, limit] : limits["properties"].items())
        if (key != "$schema") limit.update({{"minimum", 1}, {"maximum", std::int64_t{1} << 40}});
    also(out, "limits", limits);
    also(out, "parts", {{"additionalProperties", {{"type", "string"}, {"pattern", "^[0-9a-f]{64}$"}}}});
    return out;
}

inline json schema_schema() {
    json field = part_schema(schema::field_fields(), "field");
    const json texts = {{"type", "array"}, {"items", {{"type", "string"}}}};
    also(field, "name", {{"pattern", "^[A-Za-z_][A-Za-z0-9_]{0,63}$"}});
    also(field, "values", {{"items", {{"type", "string"}}}, {"minItems", 1}, {"uniqueItems", true}});
    also(field, "max_age", {{"pattern", "^0*[1-9][0-9]*(us|ms|s|m|h|d|w)$"}});
    const json only_texts = {{"enum", {"string", "list<string>"}}}, only_numbers = {{"enum", {"int", "double"}}};
    json rules = json::array();
    rules.push_back({{"dependentRequired", {{"max_age", {"as_of"}}}}});
    rules.push_back({{"if", {{"required", {"values"}}}}, {"then", {{"properties", {{"type", only_texts}}}}}});
    for (const char* bound : {"min", "max"})
        rules.push_back({{"if", {{"required", json::array({bound})}}}, {"then", {{"properties", {{"type", only_numbers}}}}}});
    const auto default_of = [&](const char* type, const json& value) {
        rules.push_back(when_is("type", {{"const", type}}, {{"properties", {{"default", value}}}}));
    };
    default_of("bool", {{"type", "boolean"}});
    default_of("int", {{"type", "integer"}});
    default_of("double", {{"type", "number"}});
    default_of("string", {{"type", "string"}});
    default_of("timestamp", {{"type", {"integer", "string"}}});
    default_of("list<string>", texts);
    field["allOf"] = std::move(rules);
    json out = json_schema(schema::document_fields(), "schema.json");
    for (const char* role : {"task", "action", "candidate"}) items_of(out, role, field);
    return out;
}

inline json catalogue_schema() {
    const json value = {{"type", {"boolean", "number", "string", "null", "array"}}, {"items", {{"type", "string"}}}};
    json row = {{"type", "object"}, {"required", {"id"}}, {"additionalProperties", value}};
    row["properties"]["id"] = {{"type", "string"}, {"description", "what decisions and records call the action"}};
    return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
            {"title", "catalogue.json"},
            {"description", "the actions; further keys are the action fields of schema.json"},
            {"type", "array"},
            {"items", std::move(row)}};
}

inline json candidates_schema() {
    const generator_tables tables = generator_document_tables();
    json generator = part_schema(tables.generator, "generator");
    generator["allOf"] = json::array({when_is("kind", {{"const", "match"}}, {{"required", {"task", "action"}}})});
    json out = json_schema(tables.document, "candidates.json");
    items_of(out, "generators", generator);
    also(out, "generators", {{"minItems", 1}});
    also(out, "limit", {{"minimum", 1}, {"maximum", 100'000}});
    return out;
}

inline json stages_schema() {
    const pipeline_tables tables = pipeline_document_tables();
    json stage = part_schema(tables.stage, "stage");
    also(stage, "name", {{"pattern", "^[A-Za-z0-9_-]{1,64}$"}});
    items_of(stage, "features", {{"type", "string"}});
    json rerank = part_schema(tables.rerank, "rerank");
    also(rerank, "count", {{"minimum", 1}});
    also(stage, "rerank", rerank);
    for (std::size_t kind = 0; kind < tables.kinds.size(); ++kind) {
        json needed = json::array();
        json properties = json::object();
        for (const stage_key& key : tables.keys) {
            if ((key.needed >> kind & 1) != 0) needed.push_back(key.key);
            if ((key.allowed >> kind & 1) == 0) properties[std::string(key.key)] = false;
        }
        stage["allOf"].push_back(
            when_is("kind", {{"const", tables.kinds[kind]}}, {{"required", needed}, {"properties", properties}}));
    }
    json out = json_schema(tables.document, "rank/stages.json");
    also(out, "version", {{"const", 1}});
    items_of(out, "stages", stage);
    also(out, "stages", {{"minItems", 1}, {"maxItems", 64}});
    return out;
}

inline json linear_schema() {
    const linear_tables tables = linear_document_tables();
    json sparse = part_schema(tables.sparse, "sparse");
    also(sparse, "dimension", {{"minimum", 1}, {"maximum", std::int64_t{1} << 24}});
    items_of(sparse, "index", {{"type", "integer"}, {"minimum", 0}});
    items_of(sparse, "weights", {{"type", "number"}});
    json out = json_schema(tables.document, "rank/linear.json");
    also(out, "version", {{"const", 1}});
    also(out, "features", {{"uniqueItems", true}});
    items_of(out, "features", {{"type", "string"}});
    items_of(out, "weights", {{"type", "number"}});
    items_of(out, "sparse", sparse);
    return out;
}

/// The JSON header that stands in a file of weights; `kind` is the model's.
inline json weight_header_schema(std::string_view kind, std::span<const document_field> own, std::string_view title) {
    const weight_tables tables = weight_document_tables();
    std::vector<document_field> fields(tables.common.begin(), tables.common.end());
    fields.insert(fields.end(), own.begin(), own.end());
    json out = json_schema(fields, title);
    also(out, "kind", {{"const", kind}});
    json block = part_schema(tables.block, "block");
    also(block, "name", {{"minLength", 1}});
    also(block, "dimension", {{"minimum", 0}, {"maximum", most_buckets}});
    items_of(out, "blocks", block);
    also(out, "blocks", {{"maxItems", most_blocks}});
    put_names(out, "columns");
    for (const char* count : {"rows", "entries"}) also(out, count, {{"minimum", 0}});
    return out;
}
inline json text_classifier_schema() {
    json out = weight_header_schema("text_classifier", weight_document_tables().classifier, "the header of a text classifier");
    put_names(out, "classes");
    also(out, "classes", {{"minItems", 1}, {"maxItems", most_outputs}});
    return out;
}
inline json choice_model_schema() {
    json key = part_schema(weight_document_tables().choice_key, "key");
    put_names(key, "values");
    also(key, "field", {{"minLength", 1}});
    json out = weight_header_schema("choice_model", weight_document_tables().choice, "the header of a choice model");
    items_of(out, "keys", key);
    return out;
}

inline json policy_schema(std::string_view title) {
    const policy_tables tables = document_tables();
    json out = json_schema(tables.document, title);
    json rule = part_schema(tables.rule, "rule");
    also(rule, "id", {{"minLength", 1}});
    also(rule, "when", {{"minLength", 1}});
    also(rule, "because", {{"pattern", "\\S"}});
    items_of(out, "rules", rule);
    json invariant = part_schema(tables.invariant, "invariant");
    also(invariant, "id", {{"minLength", 1}});
    items_of(out, "invariants", invariant);
    json test = part_schema(tables.test, "test");
    also(test, "now", {{"type", {"integer", "string"}}});
    also(test, "expect", part_schema(tables.expect, "expect"));
    also(test, "expect", {{"minProperties", 1}});
    items_of(out, "tests", test);
    return out;
}

inline json table_schema() {
    json out = json_schema(lookup_table_fields(), "a document of tables/");
    const json whole = {{"type", "integer"}}, text = {{"type", "string"}};
    also(out, "rows",
         {{"type", {"array", "object"}},
          {"items", {{"type", "array"}, {"minItems", 2}, {"maxItems", 2}}},
          {"maxItems", most_table_rows},
          {"maxProperties", most_table_rows}});
    json rules = json::array();
    const auto key_is = [&](const char* type, const json& key, const json& rows) {
        json then = {{"items", {{"prefixItems", json::array({key})}}}};
        then.update(rows);
        rules.push_back(when_is("key", {{"const", type}}, {{"properties", {{"rows", then}}}}));
    };
    key_is("string", text, json::object());
    key_is("int", whole, {{"type", "array"}});
    key_is("bool", {{"type", "boolean"}}, {{"type", "array"}});
    const auto value_is = [&](const char* type, const json& value) {
        const json rows = {{"additionalProperties", value}, {"items", {{"prefixItems", json::array({json(true), value})}}}};
        rules.push_back(when_is("value", {{"const", type}}, {{"properties", {{"default", value}, {"rows", rows}}}}));
    };
    value_is("string", text);
    value_is("int", whole);
    value_is("double", {{"type", "number"}});
    value_is("bool", {{"type", "boolean"}});
    value_is("list<string>", list_of(text));
    out["allOf"] = std::move(rules);
    return out;
}

inline json calibration_schema() {
    const calibration::tables tables = calibration::fields();
    const json open_unit = {{"exclusiveMinimum", 0}, {"exclusiveMaximum", 1}}, count = {{"minimum", 0}};
    json calibrator = part_schema(tables.calibrator, "calibrator");
    json& kinds = calibrator["allOf"] = json::array();
    for (const json& kind : calibrator["properties"]["kind"]["enum"]) {
        const auto own = score_calibrator::fields_of(static_cast<calibrator_kind>(kinds.size()));
        json then{{"properties", json::object()}, {"required", json::array()}};
        for (const std::string_view key : own) then["required"].push_back(key);
        for (const document_field& field : tables.calibrator.subspan(2))
            if (std::find(own.begin(), own.end(), field.name) == own.end()) then["properties"][std::string(field.name)] = false;
        kinds.push_back(when_is("kind", {{"const", kind}}, std::move(then)));
    }
    for (const char* key : {"score", "lower_score", "upper_score"})
        also(calibrator, key, {{"items", {{"type", "number"}}}, {"minItems", 1}});
    for (const char* key : {"value", "lower", "upper"})
        also(calibrator, key, {{"items", {{"type", "number"}, {"minimum", 0}, {"maximum", 1}}}, {"minItems", 1}});
    for (const char* key : {"t", "spread"}) also(calibrator, key, {{"exclusiveMinimum", 0}});
    json client = part_schema(score_calibrator::client_fields(), "client");
    for (json* part : {&calibrator, &client})
        for (const char* key : {"offset_variance", "slope_variance"}) also(*part, key, {{"minimum", 0}});
    also(calibrator, "clients", {{"additionalProperties", std::move(client)}});
    json certificate = part_schema(tables.certificate, "certificate");
    for (const char* key : {"n", "automated", "errors", "needed"}) also(certificate, key, count);
    for (const char* key : {"alpha", "delta"}) also(certificate, key, open_unit);
    json threshold = part_schema(tables.threshold, "threshold");
    let_be_null(threshold, {"value"});
    also(threshold, "certificate", certificate);
    json floor = part_schema(tables.recall_floor, "recall floor");
    let_be_null(floor, {"value"});
    for (const char* key : {"positives", "misses_allowed", "needed"}) also(floor, key, count);
    for (const char* key : {"min_recall", "confidence"}) also(floor, key, open_unit);
    json out = json_schema(tables.document, "calibration.json");
    also(out, "version", {{"const", 1}});
    also(out, "calibrator", calibrator);
    items_of(out, "thresholds", threshold);
    items_of(out, "recall_floors", floor);
    return out;
}

inline json criteria_schema() {
    const launch_criteria::tables tables = launch_criteria::fields();
    const json open_unit = {{"exclusiveMinimum", 0}, {"exclusiveMaximum", 1}};
    json criterion = part_schema(tables.criterion, "criterion");
    for (const char* key : {"at_most", "at_least", "gap_at_most", "confidence"}) also(criterion, key, open_unit);
    for (const char* key : {"min_samples", "slower_than_us"}) also(criterion, key, {{"minimum", 1}});
    also(criterion, "id", {{"minLength", 1}});
    json bounds = json::array();
    for (const char* key : {"at_most", "at_least", "gap_at_most"}) bounds.push_back({{"required", json::array({key})}});
    criterion["oneOf"] = std::move(bounds);
    criterion["dependentRequired"] = {{"gap_at_most", {"by"}}};
    criterion["allOf"] = json::array({when_is("metric", {{"const", "slow_rate"}}, {{"required", {"slower_than_us"}}})});
    json out = json_schema(tables.document, "launch criteria");
    also(out, "version", {{"const", 1}});
    items_of(out, "wrong", {{"enum", {"overridden", "reversed", "complaint"}}});
    also(out, "wrong", {{"minItems", 1}});
    items_of(out, "criteria", criterion);
    also(out, "criteria", {{"minItems", 1}});
    return out;
}

inline json golden_schema() {
    json out = json_schema(golden_table(), "a line of golden.jsonl");
    items_of(out, "candidates", {{"type", "object"}});
    return out;
}

inline json reasons_schema() { return list_of(part_schema(record_reason_table, "reason")); }

inline json clauses_schema() {
    json clause = part_schema(record_clause_table, "clause");
    for (const char* key : {"offset", "length"})
        also(clause, key, {{"minimum", 0}, {"maximum", std::numeric_limits<std::uint32_t>::max()}});
    items_of(clause, "values", part_schema(record_seen_table, "value"));
    json rule = part_schema(record_rule_table, "rule");
    items_of(rule, "clauses", clause);
    items_of(rule, "change", {{"type", "string"}});
    json out = part_schema(record_clauses_table, "clauses");
    also(out, "left_out", {{"minimum", 0}});
    items_of(out, "rules", rule);
    return out;
}

inline json decision_schema() {
    json out = json_schema(record_table, "a decision record");
    also(out, "v", {{"const", 1}});
    let_be_null(out, {"probability", "threshold", "override_probability", "propensity"});
    items_of(out, "degraded", {{"type", "string"}});
    also(out, "versions", part_schema(record_version_table, "versions"));
    also(out, "reasons", reasons_schema());
    also(out, "candidates", {{"minimum", 0}});
    json candidate = part_schema(record_candidate_table, "candidate");
    let_be_null(candidate, {"score", "probability"});
    also(candidate, "reasons", reasons_schema());
    items_of(out, "ranked", candidate);
    json explanation = part_schema(record_explanation_table, "explanation");
    let_be_null(explanation, {"score", "base", "others"});
    json part = part_schema(record_part_table, "contribution");
    let_be_null(part, {"contribution"});
    items_of(explanation, "contributions", part);
    also(out, "explanation", explanation);
    also(out, "clauses", clauses_schema());
    return out;
}

inline json outcome_schema() {
    json out = json_schema(outcome_record_table, "an outcome record");
    also(out, "v", {{"const", 1}});
    also(out, "decision", {{"pattern", "^[0-9a-f]{32}$"}});
    let_be_null(out, {"reward"});
    let_be_null(out, {"delay_us"}, "integer");
    return out;
}

inline json document_schema_tree(std::string_view name) {
    if (name == "bundle") return bundle_schema();
    if (name == "schema") return schema_schema();
    if (name == "catalogue") return catalogue_schema();
    if (name == "candidates") return candidates_schema();
    if (name == "features") return json::parse(feature_json_schema());
    if (name == "stages") return stages_schema();
    if (name == "linear") return linear_schema();
    if (name == "text_classifier") return text_classifier_schema();
    if (name == "choice_model") return choice_model_schema();
    if (name == "policy") return policy_schema("a document of policy/");
    if (name == "table") return table_schema();
    if (name == "calibration") return calibration_schema();
    if (name == "rollout") return json_schema(bundle_document_tables().rollout, "rollout.json");
    if (name == "baseline") return policy_schema("baseline.json");
    if (name == "golden") return golden_schema();
    if (name == "criteria") return criteria_schema();
    return name == "decision" ? decision_schema() : outcome_schema();
}

}  // namespace detail

OPSPILOT_INLINE std::span<const std::string_view> document_names() noexcept { return detail::document_name_list; }

OPSPILOT_INLINE result<std::string> document_schema(std::string_view name) {
    const auto& names = detail::document_name_list;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
        std::string hint = did_you_mean(name, names);
        if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(names, ", "));
        return error{error_kind::usage, "usage.document", fmt::format("no document is called {}", quote(name)), "", hint};
    }
    detail::json tree = detail::document_schema_tree(name);
    detail::bound_integers(tree);
    tree["$id"] = fmt::format("https://opspilot.dev/schemas/{}.schema.json", name);
    return tree.dump(2) + "\n";
}

}  // namespace opspilot
