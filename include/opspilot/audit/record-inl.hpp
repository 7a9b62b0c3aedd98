#pragma once

#include <fmt/format.h>

#include "opspilot/audit/detail/line_reader.hpp"
#include "opspilot/audit/detail/line_writer.hpp"
#include "opspilot/audit/detail/record_clauses.hpp"
#include "opspilot/audit/detail/record_explanation.hpp"
#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/audit/record.hpp"
#include "opspilot/base/detail/json.hpp"

namespace opspilot {

namespace detail {

inline void write_reasons(line_writer& line, std::span<const record_reason> reasons) {
    line.key("reasons");
    line.open('[');
    for (const record_reason& reason : reasons) {
        line.open('{');
        line.key("code"), line.text(reason.code);
        line.key("rule"), line.text(reason.rule);
        line.key("layer"), line.text(reason.layer);
        line.key("text"), line.text(reason.text);
        line.key("failed"), line.boolean(reason.failed);
        line.close('}');
    }
    line.close(']');
}

inline result<std::vector<parsed_record::reason>> read_reasons(const json& list, std::string_view where) {
    std::vector<parsed_record::reason> out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        OPSPILOT_CHECK(check_object(list[i], record_reason_table, pointer(where, i), error_kind::audit));
        out.push_back({list[i].at("code"), list[i].at("rule"), list[i].at("layer"), list[i].at("text"), list[i].at("failed")});
    }
    return out;
}

inline result<parsed_record::candidate> read_candidate(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, record_candidate_table, where, error_kind::audit));
    parsed_record::candidate out;
    out.action = node.at("action").get<std::string>();
    OPSPILOT_TRY(out.score, read_number(node, "score", where));
    OPSPILOT_TRY(out.probability, read_number(node, "probability", where));
    out.verdict = node.at("verdict").get<std::string>();
    out.allowed = node.at("allowed").get<bool>();
    OPSPILOT_TRY(out.reasons, read_reasons(node.at("reasons"), pointer(where, "reasons")));
    return out;
}

inline status read_versions(const json& node, parsed_record& out) {
    OPSPILOT_CHECK(check_object(node, record_version_table, "/versions", error_kind::audit));
    out.bundle = node.at("bundle").get<std::string>();
    out.bundle_version = node.at("bundle_version").get<std::string>();
    out.schema = node.at("schema").get<std::string>();
    out.features = node.at("features").get<std::string>();
    out.model = node.at("model").get<std::string>();
    out.policy = node.at("policy").get<std::string>();
    out.calibration = node.at("calibration").get<std::string>();
    out.library = node.at("library").get<std::string>();
    return {};
}

inline status read_lists(const json& root, parsed_record& out) {
    const json& degraded = root.at("degraded");
    for (std::size_t i = 0; i < degraded.size(); ++i) {
        if (!degraded[i].is_string())
            return error{error_kind::audit, "audit.wrong_kind",
                         fmt::format("'degraded' holds texts, found {}", kind_name(degraded[i])), pointer("/degraded", i), ""};
        out.degraded.push_back(degraded[i].get<std::string>());
    }
    OPSPILOT_TRY(out.reasons, read_reasons(root.at("reasons"), "/reasons"));
    const json& ranked = root.at("ranked");
    for (std::size_t i = 0; i < ranked.size(); ++i) {
        OPSPILOT_TRY(auto candidate, read_candidate(ranked[i], pointer("/ranked", i)));
        out.ranked.push_back(std::move(candidate));
    }
    const auto candidates = root.at("candidates").get<std::int64_t>();
    if (candidates < 0 || static_cast<std::uint64_t>(candidates) < out.ranked.size())
        return error{error_kind::audit, "audit.bad_count",
                     fmt::format("{} candidates, {} of them listed", candidates, out.ranked.size()), "/candidates", ""};
    out.candidates = static_cast<std::uint64_t>(candidates);
    return {};
}

OPSPILOT_INLINE result<parsed_record> record_of(const json& root) {
    OPSPILOT_CHECK(check_type(root, "decision"));
    OPSPILOT_CHECK(check_object(root, record_table, "", error_kind::audit));
    if (root.at("v") != record_version)
        return error{error_kind::audit, "audit.version", fmt::format("version {} of a record", root.at("v").dump()), "/v",
                     fmt::format("this library reads version {}", record_version)};
    parsed_record out;
    out.id = root.at("id").get<std::string>();
    out.time_us = root.at("time").get<std::int64_t>();
    out.client = root.at("client").get<std::string>();
    out.task = root.at("task").get<std::string>();
    out.stage = root.at("stage").get<std::string>();
    out.shadow = root.at("shadow").get<bool>();
    out.verdict = root.at("verdict").get<std::string>();
    out.proposed = root.at("proposed").get<std::string>();
    out.action = root.at("action").get<std::string>();
    out.queue = root.at("queue").get<std::string>();
    OPSPILOT_TRY(out.probability, read_number(root, "probability", ""));
    OPSPILOT_TRY(out.threshold, read_number(root, "threshold", ""));
    OPSPILOT_TRY(out.override_probability, read_number(root, "override_probability", ""));
    OPSPILOT_TRY(out.propensity, read_number(root, "propensity", ""));
    out.rung = root.at("rung").get<std::string>();
    OPSPILOT_CHECK(read_versions(root.at("versions"), out));
    OPSPILOT_CHECK(read_lists(root, out));
    if (root.contains("explanation")) {
        OPSPILOT_TRY(out.explained, read_explanation(root.at("explanation")));
    }
    if (root.contains("clauses")) {
        OPSPILOT_TRY(out.clauses, read_clauses(root.at("clauses")));
    }
    out.fields = root.at("fields").dump();
    return out;
}

}  // namespace detail

OPSPILOT_INLINE void write_json(const record& r, std::string& out) {
    detail::line_writer line(out);
    line.open('{');
    line.key("v"), line.integer(record_version);
    line.key("type"), line.text("decision");
    line.key("id"), line.text(r.id);
    line.key("time"), line.integer(r.time_us);
    line.key("client"), line.text(r.client);
    line.key("task"), line.text(r.task);
    line.key("stage"), line.text(r.stage);
    line.key("shadow"), line.boolean(r.shadow);
    line.key("verdict"), line.text(r.verdict);
    line.key("proposed"), line.text(r.proposed);
    line.key("action"), line.text(r.action);
    line.key("queue"), line.text(r.queue);
    line.key("probability"), line.number(r.probability);
    line.key("threshold"), line.number(r.threshold);
    line.key("override_probability"), line.number(r.override_probability);
    line.key("propensity"), line.number(r.propensity);
    line.key("rung"), line.text(r.rung);
    line.key("degraded");
    line.open('[');
    for (const std::string_view what : r.degraded) line.text(what);
    line.close(']');
    line.key("versions");
    line.open('{');
    line.key("bundle"), line.text(r.bundle);
    line.key("bundle_version"), line.text(r.bundle_version);
    line.key("schema"), line.text(r.schema);
    line.key("features"), line.text(r.features);
    line.key("model"), line.text(r.model);
    line.key("policy"), line.text(r.policy);
    line.key("calibration"), line.text(r.calibration);
    line.key("library"), line.text(r.library);
    line.close('}');
    detail::write_reasons(line, r.reasons);
    line.key("candidates"), line.integer(r.candidates);
    line.key("ranked");
    line.open('[');
    for (const record_candidate& candidate : r.ranked) {
        line.open('{');
        line.key("action"), line.text(candidate.action);
        line.key("score"), line.number(candidate.score);
        line.key("probability"), line.number(candidate.probability);
        line.key("verdict"), line.text(candidate.verdict);
        line.key("allowed"), line.boolean(candidate.allowed);
        detail::write_reasons(line, candidate.reasons);
        line.close('}');
    }
    line.close(']');
    if (r.explanation != nullptr) detail::write_explanation(line, *r.explanation);
    if (r.clauses != nullptr) detail::write_clauses(line, *r.clauses);
    line.key("fields"), line.raw(r.fields.empty() ? std::string_view("{}") : r.fields);
    line.close('}');
    out += '\n';
}

OPSPILOT_INLINE result<parsed_record> read_record(std::string_view line) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(line, error_kind::audit));
    return detail::record_of(root);
}

OPSPILOT_INLINE std::span<const document_field> record_fields() noexcept { return detail::record_table; }

}  // namespace opspilot
