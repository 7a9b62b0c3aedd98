/// \file
/// Internal: the clauses of rules in a record line, written and read.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "opspilot/audit/detail/line_writer.hpp"
#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/audit/record.hpp"
#include "opspilot/base/detail/json.hpp"

namespace opspilot::detail {

inline void write_clause(line_writer& line, const record_clauses::clause& c) {
    line.open('{');
    line.key("text"), line.text(c.text);
    line.key("offset"), line.integer(c.offset);
    line.key("length"), line.integer(c.length);
    line.key("gives"), line.text(c.gives);
    line.key("problem"), line.text(c.problem);
    line.key("values");
    line.open('[');
    for (const record_clauses::seen& s : c.values) {
        line.open('{');
        line.key("field"), line.text(s.field);
        line.key("value"), line.text(s.value);
        line.close('}');
    }
    line.close(']');
    line.close('}');
}

inline void write_clauses(line_writer& line, const record_clauses& all) {
    line.key("clauses");
    line.open('{');
    line.key("missing"), line.text(all.missing);
    line.key("rules");
    line.open('[');
    for (const record_clauses::rule& r : all.rules) {
        line.open('{');
        line.key("action"), line.text(r.action);
        line.key("rule"), line.text(r.id);
        line.key("layer"), line.text(r.layer);
        line.key("effect"), line.text(r.effect);
        line.key("failed"), line.boolean(r.failed);
        line.key("clauses");
        line.open('[');
        for (const record_clauses::clause& c : r.clauses) write_clause(line, c);
        line.close(']');
        line.key("change");
        line.open('[');
        for (const std::string_view one : r.change) line.text(one);
        line.close(']');
        line.close('}');
    }
    line.close(']');
    line.key("left_out"), line.integer(all.left_out);
    line.close('}');
}

/// A count or place: an integer from 0 to `largest`.
inline result<std::uint64_t> read_whole(const json& node, const char* key, std::string_view where, std::uint64_t largest) {
    const json& value = node.at(key);
    if (value.is_number_unsigned() && value.get<std::uint64_t>() <= largest) return value.get<std::uint64_t>();
    return error{error_kind::audit, "audit.bad_count", fmt::format("'{}' cannot be {}", key, value.dump()), pointer(where, key),
                 fmt::format("0 to {}", largest)};
}

inline result<parsed_record::clause> read_clause(const json& node, std::string_view where) {
    constexpr std::uint64_t largest = std::numeric_limits<std::uint32_t>::max();
    OPSPILOT_CHECK(check_object(node, record_clause_table, where, error_kind::audit));
    parsed_record::clause out;
    out.text = node.at("text").get<std::string>();
    OPSPILOT_TRY(const std::uint64_t offset, read_whole(node, "offset", where, largest));
    OPSPILOT_TRY(const std::uint64_t length, read_whole(node, "length", where, largest));
    out.offset = static_cast<std::uint32_t>(offset);
    out.length = static_cast<std::uint32_t>(length);
    out.gives = node.at("gives").get<std::string>();
    out.problem = node.at("problem").get<std::string>();
    const json& values = node.at("values");
    for (std::size_t i = 0; i < values.size(); ++i) {
        OPSPILOT_CHECK(check_object(values[i], record_seen_table, pointer(pointer(where, "values"), i), error_kind::audit));
        out.values.push_back({values[i].at("field"), values[i].at("value")});
    }
    return out;
}

inline result<parsed_record::explained_rule> read_rule_clauses(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, record_rule_table, where, error_kind::audit));
    parsed_record::explained_rule out;
    out.action = node.at("action").get<std::string>();
    out.rule = node.at("rule").get<std::string>();
    out.layer = node.at("layer").get<std::string>();
    out.effect = node.at("effect").get<std::string>();
    out.failed = node.at("failed").get<bool>();
    const json& clauses = node.at("clauses");
    for (std::size_t i = 0; i < clauses.size(); ++i) {
        OPSPILOT_TRY(auto clause, read_clause(clauses[i], pointer(pointer(where, "clauses"), i)));
        out.clauses.push_back(std::move(clause));
    }
    const json& change = node.at("change");
    for (std::size_t i = 0; i < change.size(); ++i) {
        if (!change[i].is_string())
            return error{error_kind::audit, "audit.wrong_kind",
                         fmt::format("'change' holds texts, found {}", kind_name(change[i])),
                         pointer(pointer(where, "change"), i), ""};
        out.change.push_back(change[i].get<std::string>());
    }
    return out;
}

inline result<parsed_record::rule_clauses> read_clauses(const json& node) {
    constexpr std::string_view where = "/clauses";
    OPSPILOT_CHECK(check_object(node, record_clauses_table, where, error_kind::audit));
    parsed_record::rule_clauses out;
    out.missing = node.at("missing").get<std::string>();
    OPSPILOT_TRY(out.left_out, read_whole(node, "left_out", where, std::numeric_limits<std::int64_t>::max()));
    const json& rules = node.at("rules");
    for (std::size_t i = 0; i < rules.size(); ++i) {
        OPSPILOT_TRY(auto rule, read_rule_clauses(rules[i], pointer(pointer(where, "rules"), i)));
        out.rules.push_back(std::move(rule));
    }
    return out;
}

}  // namespace opspilot::detail
