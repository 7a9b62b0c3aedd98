#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/audit/detail/line_reader.hpp"
#include "opspilot/audit/detail/line_writer.hpp"
#include "opspilot/audit/detail/outcome_tables.hpp"
#include "opspilot/audit/outcome.hpp"
#include "opspilot/audit/record.hpp"

namespace opspilot {

namespace detail {

/// The codes of what a host tells and of what a log holds.
struct outcome_codes {
    error_kind kind;
    std::string_view not_applicable, missing_field, not_finite, out_of_range;
};
inline constexpr outcome_codes told_codes{error_kind::schema, "schema.not_applicable", "schema.missing_field",
                                          "schema.not_finite", "schema.out_of_range"};
inline constexpr outcome_codes logged_codes{error_kind::audit, "audit.not_applicable", "audit.missing_field", "audit.not_finite",
                                            "audit.out_of_range"};

inline status check_outcome(const outcome& what, const outcome_codes& codes) {
    if (!what.action.empty() && what.kind != outcome_kind::overridden)
        return error{codes.kind, codes.not_applicable,
                     fmt::format("an outcome of kind {} has no action of its own", name(what.kind)), "/action",
                     "leave it out; what a person did instead goes with kind overridden"};
    if (what.kind == outcome_kind::observed && !what.reward)
        return error{codes.kind, codes.missing_field, "an outcome of kind observed needs a reward", "/reward",
                     "give the reward, or the kind of what came of the decision"};
    if (what.reward && !std::isfinite(*what.reward))
        return error{codes.kind, codes.not_finite, fmt::format("a reward of {}", *what.reward), "/reward",
                     "leave it out when it is not known"};
    if (what.delay_us && *what.delay_us < 0)
        return error{codes.kind, codes.out_of_range, fmt::format("a delay of {} microseconds", *what.delay_us), "/delay_us",
                     "it counts from the decision to what came of it: 0 or more"};
    return {};
}

inline outcome_kind outcome_kind_of(std::string_view text) noexcept {
    const auto found = std::find(outcome_kinds.begin(), outcome_kinds.end(), text);
    return static_cast<outcome_kind>(found - outcome_kinds.begin());  // the field tables let no other through
}

OPSPILOT_INLINE result<outcome_record> outcome_of(const json& root) {
    OPSPILOT_CHECK(check_type(root, "outcome"));
    OPSPILOT_CHECK(check_object(root, outcome_record_table, "", error_kind::audit));
    if (root.at("v") != record_version)
        return error{error_kind::audit, "audit.version", fmt::format("version {} of an outcome", root.at("v").dump()), "/v",
                     fmt::format("this library reads version {}", record_version)};
    outcome_record out;
    out.decision = root.at("decision").get<std::string>();
    if (!is_decision_id(out.decision))
        return error{error_kind::audit, "audit.bad_id", fmt::format("{} is no id of a decision", quote(out.decision)),
                     "/decision", "32 lower-case hex digits"};
    out.time_us = root.at("time").get<std::int64_t>();
    out.what.kind = outcome_kind_of(root.at("kind").get_ref<const std::string&>());
    out.what.action = root.at("action").get<std::string>();
    if (const json& reward = root.at("reward"); reward.is_number())
        out.what.reward = reward.get<double>();
    else if (!reward.is_null())
        return error{error_kind::audit, "audit.wrong_kind",
                     fmt::format("'reward' must be a number or null, found {}", kind_name(reward)), "/reward", ""};
    const json& delay = root.at("delay_us");
    if (delay.is_number_integer() && (!delay.is_number_unsigned() || delay.get<std::uint64_t>() <= INT64_MAX))
        out.what.delay_us = delay.get<std::int64_t>();
    else if (!delay.is_null())
        return error{error_kind::audit, "audit.wrong_kind",
                     fmt::format("'delay_us' must be an integer (64 bits) or null, found {}", kind_name(delay)), "/delay_us", ""};
    OPSPILOT_CHECK(check_outcome(out.what, logged_codes));
    return out;
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(outcome_kind kind) noexcept {
    const auto index = static_cast<std::size_t>(kind);
    return index < detail::outcome_kinds.size() ? detail::outcome_kinds[index] : std::string_view("observed");
}

OPSPILOT_INLINE result<outcome> read_outcome(std::string_view json) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(json, error_kind::schema));
    OPSPILOT_CHECK(detail::check_object(root, detail::outcome_table, "", error_kind::schema));
    outcome out;
    out.kind = detail::outcome_kind_of(root.at("kind").get_ref<const std::string&>());
    out.action = detail::text_or(root, "action", "");
    if (root.contains("reward")) out.reward = root.at("reward").get<double>();
    if (root.contains("delay_us")) out.delay_us = root.at("delay_us").get<std::int64_t>();
    OPSPILOT_CHECK(check_outcome(out));
    return out;
}

OPSPILOT_INLINE status check_outcome(const outcome& what) { return detail::check_outcome(what, detail::told_codes); }

OPSPILOT_INLINE bool is_decision_id(std::string_view text) noexcept {
    return text.size() == 32 &&
           std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

OPSPILOT_INLINE bool is_identifier(std::string_view text) noexcept {
    constexpr std::size_t longest = 128;
    return !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_-.:/").find(c) != std::string_view::npos;
    });
}

OPSPILOT_INLINE void write_json(const outcome_record& r, std::string& out) {
    detail::line_writer line(out);
    line.open('{');
    line.key("v"), line.integer(record_version);
    line.key("type"), line.text("outcome");
    line.key("decision"), line.text(r.decision);
    line.key("time"), line.integer(r.time_us);
    line.key("kind"), line.text(name(r.what.kind));
    line.key("action"), line.text(r.what.action);
    line.key("reward"), line.number(r.what.reward.value_or(std::numeric_limits<double>::quiet_NaN()));
    line.key("delay_us");
    if (r.what.delay_us)
        line.integer(*r.what.delay_us);
    else
        line.raw("null");
    line.close('}');
    out += '\n';
}

OPSPILOT_INLINE result<outcome_record> read_outcome_record(std::string_view line) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(line, error_kind::audit));
    return detail::outcome_of(root);
}

OPSPILOT_INLINE std::span<const document_field> outcome_fields() noexcept { return detail::outcome_table; }
OPSPILOT_INLINE std::span<const document_field> outcome_record_fields() noexcept { return detail::outcome_record_table; }

}  // namespace opspilot
