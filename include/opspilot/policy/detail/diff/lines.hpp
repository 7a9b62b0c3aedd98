/// \file
/// Internal: the lines of a log, as far as a replay of policies needs them.
#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <limits>
#include <string_view>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/data/schema.hpp"

namespace opspilot::detail {

/// A candidate as a decision record lists it.
struct listed_candidate {
    std::string_view action;
    double score = 0;
    bool allowed = true;
    std::uint32_t first_rule = 0, rules = 0;  ///< in `logged_line::rules`
};

/// Views hold until the next line is read.
struct logged_line {
    bool record = false;   ///< a decision record, else a task with its candidates
    bool outcome = false;  ///< about what came of a decision
    std::string_view id, client, policy;
    std::string_view task, candidates;  ///< JSON
    std::int64_t now_us = 0;
    bool timed = false;
    std::uint64_t count = 0;  ///< candidates that were ranked, where only the best are listed
    std::vector<listed_candidate> listed;
    std::vector<std::string_view> rules;
    std::vector<double> scores;
};

/// Reads one line after the other. Keys that a replay does not need are skipped.
class line_scanner {
public:
    line_scanner(simdjson::ondemand::parser& parser, logged_line& out) : parser_(parser), out_(out) {}

    /// `room`: bytes that may be read from the start of the line on.
    status read(std::string_view line, std::size_t room) {
        out_.record = out_.outcome = out_.timed = false;
        out_.id = out_.client = out_.policy = out_.task = out_.candidates = {};
        out_.count = 0;
        out_.listed.clear();
        out_.rules.clear();
        out_.scores.clear();
        typed_ = listed_ = fields_ = false;
        simdjson::ondemand::document document;
        simdjson::ondemand::object object;
        auto problem = parser_.iterate(line.data(), line.size(), room).get(document);
        if (!problem) problem = document.get_object().get(object);
        if (problem) return syntax(problem);
        for (auto entry : object) {
            std::string_view key;
            value given;
            problem = entry.unescaped_key().get(key);
            if (!problem) problem = entry.value().get(given);
            if (problem) return syntax(problem);
            problem = take(key, given);
            if (problem) return wrong(key, problem);
        }
        const char* rest = nullptr;  // there is a place only while something is left
        if (!document.current_location().get(rest)) return syntax(simdjson::TAPE_ERROR);
        return settle();
    }

private:
    using value = simdjson::ondemand::value;
    using code = simdjson::error_code;

    code take(std::string_view key, value& v) {
        if (key == "type") {
            std::string_view type;
            if (const code bad = v.get_string().get(type)) return bad;
            typed_ = type == "decision";
            out_.outcome = type == "outcome";
            return simdjson::SUCCESS;
        }
        if (key == "id") return v.get_string().get(out_.id);
        if (key == "client") return v.get_string().get(out_.client);
        if (key == "time" || key == "now") return time(v);
        if (key == "task") return task(v);
        if (key == "fields") {
            fields_ = true;
            return raw(v, out_.task);
        }
        if (key == "candidates") return candidates(v);
        if (key == "ranked") return ranked(v);
        if (key == "scores") return scores(v);
        if (key == "versions") return versions(v);
        return simdjson::SUCCESS;
    }

    static code raw(value& v, std::string_view& into) {
        simdjson::ondemand::json_type type{};
        if (const code bad = v.type().get(type)) return bad;
        if (type == simdjson::ondemand::json_type::array) {
            simdjson::ondemand::array array;
            if (const code bad = v.get_array().get(array)) return bad;
            return array.raw_json().get(into);
        }
        simdjson::ondemand::object object;
        if (const code bad = v.get_object().get(object)) return bad;
        return object.raw_json().get(into);
    }
    code time(value& v) {
        simdjson::ondemand::json_type type{};
        if (const code bad = v.type().get(type)) return bad;
        out_.timed = true;
        if (type == simdjson::ondemand::json_type::number) return v.get_int64().get(out_.now_us);
        std::string_view text;
        if (const code bad = v.get_string().get(text)) return bad;
        const auto read = parse_timestamp(text);
        if (!read) return simdjson::INCORRECT_TYPE;
        out_.now_us = *read;
        return simdjson::SUCCESS;
    }
    /// The id in a record, the task itself elsewhere.
    code task(value& v) {
        simdjson::ondemand::json_type type{};
        if (const code bad = v.type().get(type)) return bad;
        if (type == simdjson::ondemand::json_type::object) return raw(v, out_.task);
        std::string_view id;
        return v.get_string().get(id);
    }
    /// Their number in a record, themselves elsewhere.
    code candidates(value& v) {
        simdjson::ondemand::json_type type{};
        if (const code bad = v.type().get(type)) return bad;
        if (type == simdjson::ondemand::json_type::number) return v.get_uint64().get(out_.count);
        return raw(v, out_.candidates);
    }
    code ranked(value& v) {
        listed_ = true;
        simdjson::ondemand::array items;
        if (const code bad = v.get_array().get(items)) return bad;
        for (auto item : items) {
            simdjson::ondemand::object fields;
            if (const code bad = item.get_object().get(fields)) return bad;
            listed_candidate c;
            c.first_rule = static_cast<std::uint32_t>(out_.rules.size());
            for (auto entry : fields) {
                std::string_view key;
                value inner;
                code bad = entry.unescaped_key().get(key);
                if (!bad) bad = entry.value().get(inner);
                if (!bad && key == "action") bad = inner.get_string().get(c.action);
                if (!bad && key == "score") bad = number(inner, c.score);
                if (!bad && key == "allowed") bad = inner.get_bool().get(c.allowed);
                if (!bad && key == "reasons") bad = reasons(inner);
                if (bad) return bad;
            }
            c.rules = static_cast<std::uint32_t>(out_.rules.size()) - c.first_rule;
            out_.listed.push_back(c);
        }
        return simdjson::SUCCESS;
    }
    code reasons(value& v) {
        simdjson::ondemand::array items;
        if (const code bad = v.get_array().get(items)) return bad;
        for (auto item : items) {
            std::string_view rule;
            if (const code bad = item["rule"].get_string().get(rule)) return bad;
            if (!rule.empty()) out_.rules.push_back(rule);
        }
        return simdjson::SUCCESS;
    }
    code scores(value& v) {
        simdjson::ondemand::array items;
        if (const code bad = v.get_array().get(items)) return bad;
        for (auto item : items) {
            value inner;
            double score = 0;
            code bad = item.get(inner);
            if (!bad) bad = number(inner, score);
            if (bad) return bad;
            out_.scores.push_back(score);
        }
        return simdjson::SUCCESS;
    }
    code versions(value& v) {
        simdjson::ondemand::object fields;
        if (const code bad = v.get_object().get(fields)) return bad;
        const code bad = fields["policy"].get_string().get(out_.policy);
        return bad == simdjson::NO_SUCH_FIELD ? simdjson::SUCCESS : bad;
    }
    /// A number, or null for one that does not exist, which orders last.
    static code number(value& v, double& into) {
        if (v.is_null()) {
            into = -std::numeric_limits<double>::infinity();
            return simdjson::SUCCESS;
        }
        return v.get_double().get(into);
    }

    status settle() {
        if (out_.outcome) return {};
        out_.record = typed_;
        const char* missing = out_.task.empty() || fields_ != typed_ ? (typed_ ? "fields" : "task")
                              : typed_                               ? (listed_ ? nullptr : "ranked")
                                                                     : (out_.candidates.empty() ? "candidates" : nullptr);
        if (missing == nullptr && !out_.timed) missing = typed_ ? "time" : "now";
        if (missing == nullptr) return {};
        return error{error_kind::audit, "audit.missing_field", fmt::format("no '{}'", missing), "",
                     "a line is a decision record, or {\"task\": …, \"candidates\": […], \"now\": …}"};
    }
    static error syntax(code problem) {
        return error{error_kind::audit, "audit.json_syntax",
                     fmt::format("not a JSON object: {}", simdjson::error_message(problem)), "", ""};
    }
    static error wrong(std::string_view key, code problem) {
        return error{error_kind::audit, "audit.wrong_kind",
                     fmt::format("{} cannot be read: {}", quote(key), simdjson::error_message(problem)), "/" + std::string(key),
                     ""};
    }

    simdjson::ondemand::parser& parser_;
    logged_line& out_;
    bool typed_ = false, listed_ = false, fields_ = false;
};

}  // namespace opspilot::detail
