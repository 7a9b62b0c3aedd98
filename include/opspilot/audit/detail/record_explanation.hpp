/// \file
/// Internal: what made a score, in a record line, written and read.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "opspilot/audit/detail/line_writer.hpp"
#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/audit/record.hpp"
#include "opspilot/base/detail/json.hpp"

namespace opspilot::detail {

inline result<std::optional<double>> read_number(const json& node, const char* key, std::string_view where) {
    const json& value = node.at(key);
    if (value.is_null()) return std::optional<double>{};
    if (value.is_number()) return std::optional<double>{value.get<double>()};
    return error{error_kind::audit, "audit.wrong_kind",
                 fmt::format("'{}' must be a number or null, found {}", key, kind_name(value)), pointer(where, key), ""};
}

inline void write_explanation(line_writer& line, const record_explanation& e) {
    line.key("explanation");
    line.open('{');
    line.key("action"), line.text(e.action);
    line.key("stage"), line.text(e.stage);
    line.key("method"), line.text(e.method);
    line.key("missing"), line.text(e.missing);
    line.key("score"), line.number(e.score);
    line.key("base"), line.number(e.base);
    line.key("contributions");
    line.open('[');
    for (const record_explanation::part& part : e.contributions) {
        line.open('{');
        line.key("feature"), line.text(part.feature);
        line.key("contribution"), line.number(part.contribution);
        line.close('}');
    }
    line.close(']');
    line.key("others"), line.number(e.others);
    line.close('}');
}

inline result<parsed_record::explanation> read_explanation(const json& node) {
    constexpr std::string_view where = "/explanation";
    OPSPILOT_CHECK(check_object(node, record_explanation_table, where, error_kind::audit));
    parsed_record::explanation out;
    out.action = node.at("action").get<std::string>();
    out.stage = node.at("stage").get<std::string>();
    out.method = node.at("method").get<std::string>();
    out.missing = node.at("missing").get<std::string>();
    OPSPILOT_TRY(out.score, read_number(node, "score", where));
    OPSPILOT_TRY(out.base, read_number(node, "base", where));
    OPSPILOT_TRY(out.others, read_number(node, "others", where));
    const json& list = node.at("contributions");
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string at = pointer(pointer(where, "contributions"), i);
        OPSPILOT_CHECK(check_object(list[i], record_part_table, at, error_kind::audit));
        parsed_record::explanation::part part;
        part.feature = list[i].at("feature").get<std::string>();
        OPSPILOT_TRY(part.contribution, read_number(list[i], "contribution", at));
        out.contributions.push_back(std::move(part));
    }
    return out;
}

}  // namespace opspilot::detail
