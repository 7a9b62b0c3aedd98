/// \file
/// Internal: what every effect is, and the keys a rule of it takes beside its condition.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <string_view>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/policy/detail/cel/time.hpp"
#include "opspilot/policy/detail/rules.hpp"

namespace opspilot::detail {

inline constexpr std::array<effect_traits, 14> effect_table{{
    {.name = "forbid", .per_candidate = true},
    {.name = "allow_only", .per_candidate = true},
    {.name = "require_approval"},
    {.name = "escalate", .takes = takes_queue},
    {.name = "suggest_only"},
    {.name = "boost", .narrowing = false, .per_candidate = true, .takes = takes_by, .needs = takes_by},
    {.name = "penalise", .narrowing = false, .per_candidate = true, .takes = takes_by, .needs = takes_by},
    {.name = "pin", .narrowing = false, .per_candidate = true},
    {.name = "route", .narrowing = false, .takes = takes_queue, .needs = takes_queue},
    {.name = "limit", .takes = takes_key | takes_count | takes_per, .needs = takes_count | takes_per},
    {.name = "redact", .takes = takes_field, .needs = takes_field},
    {.name = "set_threshold", .takes = takes_value, .needs = takes_value},
    {.name = "diversify", .narrowing = false, .takes = takes_field | takes_at_most, .needs = takes_field | takes_at_most},
    {.name = "kill", .takes = takes_scope},
}};

inline constexpr std::array<std::string_view, 14> effect_names{
    "forbid", "allow_only", "require_approval", "escalate",      "suggest_only", "boost", "penalise", "pin",
    "route",  "limit",      "redact",           "set_threshold", "diversify",    "kill"};

/// The keys of `effect_parameter`, bit by bit, with what to add where one is missing.
struct parameter_key {
    std::string_view key, example;
};
inline constexpr std::array<parameter_key, 9> parameter_keys{{{"queue", "\"trust\""},
                                                              {"by", "0.1"},
                                                              {"key", "\"task.customer\""},
                                                              {"count", "3"},
                                                              {"per", "\"1h\""},
                                                              {"value", "0.99"},
                                                              {"field", "\"action.kind\""},
                                                              {"at_most", "2"},
                                                              {"scope", "\"auto\""}}};

OPSPILOT_INLINE const effect_traits& traits_of(policy_effect effect) noexcept {
    return effect_table[static_cast<std::size_t>(effect)];
}

/// Names of the effects that take a key: "boost or penalise".
inline std::string effects_with(std::uint16_t parameter) {
    std::vector<std::string_view> names;
    for (const effect_traits& t : effect_table)
        if ((t.takes & parameter) != 0) names.push_back(t.name);
    return fmt::format("{}", fmt::join(names, " or "));
}

/// Reads the keys of a rule's effect. `wrong(code, key, message, hint)` reports what is wrong with one.
template <class F>
class parameter_reader {
public:
    parameter_reader(policy_rule& r, const json& node, const schema& s, F& wrong)
        : r_(r), node_(node), schema_(s), wrong_(wrong) {}

    void read() {
        const effect_traits& t = traits_of(r_.effect);
        for (std::size_t i = 0; i < parameter_keys.size(); ++i) {
            const auto bit = static_cast<std::uint16_t>(1U << i);
            const std::string_view key = parameter_keys[i].key;
            const bool given = node_.contains(key);
            if (given && (t.takes & bit) == 0)
                wrong_("policy.unused_parameter", key, fmt::format("'{}' means nothing to effect '{}'", key, t.name),
                       fmt::format("take it out; it belongs to {}", effects_with(bit)));
            else if (given)
                value(static_cast<effect_parameter>(bit), t);
            else if ((t.needs & bit) != 0)
                wrong_(missing_code(bit), "effect", fmt::format("effect '{}' needs '{}'", t.name, key),
                       fmt::format("add \"{}\": {}", key, parameter_keys[i].example));
        }
        if (r_.failing == on_error::skip && t.narrowing)
            wrong_("policy.cannot_skip", "on_error",
                   fmt::format("an error in a '{}' rule cannot be skipped: it would widen the decision", t.name),
                   "leave on_error out, or use abstain");
        times();
    }

private:
    static std::string_view missing_code(std::uint16_t bit) noexcept {
        return bit == takes_queue ? "policy.no_queue" : bit == takes_by ? "policy.bad_amount" : "policy.missing_parameter";
    }

    void value(effect_parameter which, const effect_traits& t) {
        constexpr std::int64_t most = 1'000'000'000;
        switch (which) {
            case takes_queue:
                if (r_.queue.empty()) wrong_("policy.no_queue", "queue", "the queue has no name", "name it or take it out");
                return;
            case takes_by:
                if (!(r_.by > 0 && r_.by <= 1e6))
                    wrong_("policy.bad_amount", "by", fmt::format("effect '{}' needs 'by' above 0 and at most 1,000,000", t.name),
                           "add \"by\": 0.1");
                return;
            case takes_count:
            case takes_at_most: {
                const std::string_view key = which == takes_count ? "count" : "at_most";
                r_.count = integer_or(node_, key, 0);
                if (r_.count < 1 || r_.count > most)
                    wrong_("policy.bad_amount", key, fmt::format("'{}' is from 1 to 1,000,000,000", key), {});
                return;
            }
            case takes_per: return per();
            case takes_value:
                r_.threshold = number_or(node_, "value", 0);
                if (!(r_.threshold > 0 && r_.threshold <= 1))
                    wrong_("policy.bad_amount", "value", "a threshold is a probability above 0 and at most 1",
                           "automation needs a probability above it; 1 switches automation off");
                return;
            case takes_field: return field(t);
            case takes_scope: r_.whole = text_or(node_, "scope", "auto") == "all"; return;
            default: return;  // the key of a limit is an expression: the document's reader compiles it
        }
    }

    void per() {
        const auto span = cel::detail::parse_span(text_or(node_, "per", ""));
        constexpr std::int64_t year = 366 * 86'400;
        const bool fits = span && (span->integer > 0 || (span->integer == 0 && span->size >= 1'000'000)) && span->integer <= year;
        if (!fits) {
            wrong_("policy.bad_duration", "per", "'per' is a duration from \"1ms\" to \"8784h\"",
                   "write hours, minutes and seconds: \"1h\", \"30m\", \"24h\"");
            return;
        }
        r_.per_us = span->integer * 1'000'000 + static_cast<std::int64_t>(span->size / 1'000);
    }

    void field(const effect_traits& t) {
        const auto path = schema_.resolve(text_or(node_, "field", ""));
        if (!path) {
            wrong_("policy.unknown_field", "field", path.error().message, path.error().hint);
            return;
        }
        r_.field = *path;
        if (schema_.at(*path).audit_only && r_.effect != policy_effect::redact) {
            const error refused =
                audit_only_error(error_kind::policy, "policy.audit_only", path->where, schema_.at(*path), std::string{});
            wrong_("policy.audit_only", "field", refused.message, refused.hint);
            return;
        }
        const field_type type = schema_.fields(path->where)[path->index].type;
        if (r_.effect == policy_effect::diversify && path->where == role::task)
            wrong_("policy.task_only", "field", fmt::format("effect '{}' counts candidates by their values", t.name),
                   "name a field of the action or the candidate");
        else if (r_.effect == policy_effect::diversify && type != field_type::text && type != field_type::boolean &&
                 type != field_type::integer)
            wrong_("policy.bad_field", "field", "only texts, bools and ints can be counted by value", "name another field");
        else if (r_.effect == policy_effect::redact && is_identity(*path))
            wrong_("policy.bad_field", "field", "an id belongs to the record of every decision and cannot be left out", {});
    }
    [[nodiscard]] bool is_identity(schema::path p) const {
        const std::string& name = schema_.fields(p.where)[p.index].name;
        return name == "id" || (p.where == role::task && name == "client");
    }

    /// The times between which the rule acts.
    void times() {
        const auto read = [&](const char* key, std::int64_t& to) {
            if (!node_.contains(key)) return;
            const auto us = parse_timestamp(text_or(node_, key, ""));
            if (us)
                to = *us;
            else
                wrong_("policy.bad_timestamp", key, fmt::format("'{}' is no RFC 3339 time", key),
                       "write \"2026-03-07T12:00:00Z\"");
        };
        read("valid_from", r_.valid_from_us);
        read("valid_until", r_.valid_until_us);
        if (r_.valid_from_us >= r_.valid_until_us)
            wrong_("policy.never_valid", "valid_until", "the rule ends before it begins", "valid_until is after valid_from");
    }

    policy_rule& r_;
    const json& node_;
    const schema& schema_;
    F& wrong_;
};

}  // namespace opspilot::detail
