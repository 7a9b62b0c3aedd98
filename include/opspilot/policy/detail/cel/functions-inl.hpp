#pragma once

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/functions.hpp"
#include "opspilot/policy/detail/cel/lexer.hpp"
#include "opspilot/policy/detail/cel/libraries.hpp"
#include "opspilot/policy/detail/cel/search.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel::detail {

inline constexpr std::array core_functions{
    overload{"size", false, "s", "i", builtin::size},
    overload{"size", false, "y", "i", builtin::size},
    overload{"size", false, "l", "i", builtin::size},
    overload{"size", false, "m", "i", builtin::size},
    overload{"size", true, "s", "i", builtin::size},
    overload{"size", true, "y", "i", builtin::size},
    overload{"size", true, "l", "i", builtin::size},
    overload{"size", true, "m", "i", builtin::size},
    overload{"contains", true, "ss", "b", builtin::contains},
    overload{"startsWith", true, "ss", "b", builtin::starts_with},
    overload{"endsWith", true, "ss", "b", builtin::ends_with},
    overload{"matches", true, "ss", "b", builtin::matches},
    overload{"matches", false, "ss", "b", builtin::matches},
    overload{"bool", false, "b", "b", builtin::to_bool},
    overload{"bool", false, "s", "b", builtin::to_bool},
    overload{"int", false, "i", "i", builtin::to_int},
    overload{"int", false, "u", "i", builtin::to_int},
    overload{"int", false, "d", "i", builtin::to_int},
    overload{"int", false, "s", "i", builtin::to_int},
    overload{"int", false, "t", "i", builtin::to_int},
    overload{"uint", false, "u", "u", builtin::to_uint},
    overload{"uint", false, "i", "u", builtin::to_uint},
    overload{"uint", false, "d", "u", builtin::to_uint},
    overload{"uint", false, "s", "u", builtin::to_uint},
    overload{"double", false, "d", "d", builtin::to_double},
    overload{"double", false, "i", "d", builtin::to_double},
    overload{"double", false, "u", "d", builtin::to_double},
    overload{"double", false, "s", "d", builtin::to_double},
    overload{"string", false, "s", "s", builtin::to_string},
    overload{"string", false, "b", "s", builtin::to_string},
    overload{"string", false, "i", "s", builtin::to_string},
    overload{"string", false, "u", "s", builtin::to_string},
    overload{"string", false, "d", "s", builtin::to_string},
    overload{"string", false, "y", "s", builtin::to_string},
    overload{"string", false, "t", "s", builtin::to_string},
    overload{"string", false, "D", "s", builtin::to_string},
    overload{"bytes", false, "y", "y", builtin::to_bytes},
    overload{"bytes", false, "s", "y", builtin::to_bytes},
    overload{"timestamp", false, "t", "t", builtin::to_timestamp},
    overload{"timestamp", false, "s", "t", builtin::to_timestamp},
    overload{"timestamp", false, "i", "t", builtin::to_timestamp},
    overload{"duration", false, "D", "D", builtin::to_duration},
    overload{"duration", false, "s", "D", builtin::to_duration},
    overload{"dyn", false, "*", "*", builtin::to_dyn},
    overload{"type", false, "*", "T", builtin::to_type},
    overload{"getFullYear", true, "t", "i", builtin::get_full_year},
    overload{"getFullYear", true, "ts", "i", builtin::get_full_year},
    overload{"getMonth", true, "t", "i", builtin::get_month},
    overload{"getMonth", true, "ts", "i", builtin::get_month},
    overload{"getDate", true, "t", "i", builtin::get_date},
    overload{"getDate", true, "ts", "i", builtin::get_date},
    overload{"getDayOfMonth", true, "t", "i", builtin::get_day_of_month},
    overload{"getDayOfMonth", true, "ts", "i", builtin::get_day_of_month},
    overload{"getDayOfWeek", true, "t", "i", builtin::get_day_of_week},
    overload{"getDayOfWeek", true, "ts", "i", builtin::get_day_of_week},
    overload{"getDayOfYear", true, "t", "i", builtin::get_day_of_year},
    overload{"getDayOfYear", true, "ts", "i", builtin::get_day_of_year},
    overload{"getHours", true, "t", "i", builtin::get_hours},
    overload{"getHours", true, "ts", "i", builtin::get_hours},
    overload{"getHours", true, "D", "i", builtin::get_hours},
    overload{"getMinutes", true, "t", "i", builtin::get_minutes},
    overload{"getMinutes", true, "ts", "i", builtin::get_minutes},
    overload{"getMinutes", true, "D", "i", builtin::get_minutes},
    overload{"getSeconds", true, "t", "i", builtin::get_seconds},
    overload{"getSeconds", true, "ts", "i", builtin::get_seconds},
    overload{"getSeconds", true, "D", "i", builtin::get_seconds},
    overload{"getMilliseconds", true, "t", "i", builtin::get_milliseconds},
    overload{"getMilliseconds", true, "ts", "i", builtin::get_milliseconds},
    overload{"getMilliseconds", true, "D", "i", builtin::get_milliseconds},
};

OPSPILOT_INLINE std::span<const overload> overloads() noexcept {
    static const std::vector<overload> all = [] {
        std::vector<overload> table(core_functions.begin(), core_functions.end());
        for (const auto library : {string_functions(), format_functions(), math_functions(), optional_functions(),
                                   encoder_functions(), word_functions()})
            table.insert(table.end(), library.begin(), library.end());
        return table;
    }();
    return all;
}

/// RE2 behind the interface; memory is bounded so that no pattern can take the process down.
class re2_regex final : public regex {
public:
    explicit re2_regex(std::string_view pattern) : compiled_(re2::StringPiece(pattern.data(), pattern.size()), options()) {}
    static RE2::Options options() {
        RE2::Options o;
        o.set_max_mem(std::int64_t{1} << 20);
        o.set_log_errors(false);
        return o;
    }
    RE2 compiled_;
};

OPSPILOT_INLINE result<std::shared_ptr<const regex>> regex::compile(std::string_view pattern) {
    auto made = std::make_shared<re2_regex>(pattern);
    if (!made->compiled_.ok())
        return error{error_kind::policy, "policy.bad_regex",
                     fmt::format("not a regular expression: {}", quote(made->compiled_.error())), "",
                     "the syntax is that of RE2: no look-around, no back-references"};
    return std::shared_ptr<const regex>(std::move(made));
}

OPSPILOT_INLINE bool regex::search(std::string_view text) const {
    return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), static_cast<const re2_regex*>(this)->compiled_);
}

OPSPILOT_INLINE std::string simpler_than_regex(std::string_view pattern) {
    const bool from_start = pattern.starts_with('^');
    if (from_start) pattern.remove_prefix(1);
    const bool to_end = pattern.ends_with('$') && !pattern.ends_with("\\$");
    if (to_end) pattern.remove_suffix(1);
    if (pattern.empty() || pattern.find_first_of("\\^$.|?*+()[]{}") != std::string_view::npos) return {};
    const std::string_view name = from_start && to_end ? "==" : from_start ? "startsWith" : to_end ? "endsWith" : "contains";
    return from_start && to_end ? fmt::format("== {}", quote(pattern)) : fmt::format("{}({})", name, quote(pattern));
}

inline std::optional<value> int_from_double(double d) noexcept {
    // The ends themselves are refused: both ±2^63 are what numbers just out of range round to.
    if (!(d > -9223372036854775808.0 && d < 9223372036854775808.0)) return {};
    return make_integer(static_cast<std::int64_t>(d));
}

inline std::optional<value> convert_to_int(const value& v) noexcept {
    switch (v.what) {
        case kind::integer: return v;
        case kind::uinteger:
            if (v.uinteger > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
            return make_integer(static_cast<std::int64_t>(v.uinteger));
        case kind::number: return int_from_double(v.number);
        case kind::timestamp: return make_integer(v.integer);
        default: {
            std::string_view s = v.view();
            if (s.starts_with('+')) s.remove_prefix(1);
            std::int64_t i = 0;
            const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), i);
            if (ec != std::errc{} || end != s.data() + s.size()) return {};
            return make_integer(i);
        }
    }
}

inline std::optional<value> convert_to_uint(const value& v) noexcept {
    switch (v.what) {
        case kind::uinteger: return v;
        case kind::integer:
            if (v.integer < 0) return {};
            return make_uinteger(static_cast<std::uint64_t>(v.integer));
        case kind::number:
            if (!(v.number > -1.0 && v.number < 18446744073709551616.0)) return {};
            if (v.number < 0) return {};
            return make_uinteger(static_cast<std::uint64_t>(v.number));
        default: {
            const auto magnitude = v.view().empty() || v.view().starts_with("0x") ? std::nullopt : parse_magnitude(v.view());
            if (!magnitude) return {};
            return make_uinteger(*magnitude);
        }
    }
}

inline std::optional<bool> bool_from_text(std::string_view s) noexcept {
    if (s == "1" || s == "t" || s == "T" || s == "true" || s == "TRUE" || s == "True") return true;
    if (s == "0" || s == "f" || s == "F" || s == "false" || s == "FALSE" || s == "False") return false;
    return {};
}

/// Shortest text that reads back as the same double.
inline std::string double_text(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Inf" : "+Inf";
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d).ptr;
    return {buffer.data(), end};
}

inline value calendar_field(builtin function, std::span<const value> arguments, std::size_t offset) {
    const value& v = arguments[0];
    if (v.is(kind::duration) && arguments.size() == 1) {
        // Whole units, rounded towards zero; milliseconds are the part within a second.
        const std::int64_t seconds = v.integer + (v.integer < 0 && v.size > 0 ? 1 : 0);
        const auto nanos = static_cast<std::int64_t>(v.size);
        switch (function) {
            case builtin::get_hours: return make_integer(seconds / 3600);
            case builtin::get_minutes: return make_integer(seconds / 60);
            case builtin::get_seconds: return make_integer(seconds);
            case builtin::get_milliseconds:
                return make_integer(v.integer < 0 && nanos > 0 ? -((billion - nanos) / 1'000'000) : nanos / 1'000'000);
            default: return make_error(fault::no_overload, offset);
        }
    }
    if (!v.is(kind::timestamp)) return make_error(fault::no_overload, offset);
    std::int64_t zone = 0;
    if (arguments.size() == 2) {
        if (!arguments[1].is(kind::text)) return make_error(fault::no_overload, offset);
        const auto parsed = parse_zone(arguments[1].view());
        if (!parsed) return make_error(fault::named_zone, offset);
        zone = *parsed;
    }
    const calendar c = calendar_of(v, zone);
    switch (function) {
        case builtin::get_full_year: return make_integer(c.year);
        case builtin::get_month: return make_integer(c.month);
        case builtin::get_date: return make_integer(c.day + 1);
        case builtin::get_day_of_month: return make_integer(c.day);
        case builtin::get_day_of_week: return make_integer(c.weekday);
        case builtin::get_day_of_year: return make_integer(c.day_of_year);
        case builtin::get_hours: return make_integer(c.hour);
        case builtin::get_minutes: return make_integer(c.minute);
        case builtin::get_seconds: return make_integer(c.second);
        default: return make_integer(c.millisecond);
    }
}

inline value to_string_value(const value& v, const call_context& context) {
    std::string made;
    switch (v.what) {
        case kind::text: return v;
        case kind::bytes:
            if (!valid_utf8(v.view())) return make_error(fault::bad_utf8, context.offset);
            return make_text(v.view());
        case kind::boolean: return make_text(v.boolean ? "true" : "false");
        case kind::integer: made = fmt::format("{}", v.integer); break;
        case kind::uinteger: made = fmt::format("{}", v.uinteger); break;
        case kind::number: made = double_text(v.number); break;
        case kind::timestamp: made = format_time(v); break;
        case kind::duration: made = format_span(v); break;
        default: return make_error(fault::no_overload, context.offset);
    }
    return context.keep(made);
}

inline value convert(builtin function, const value& v, const call_context& context) {
    const auto or_error = [&](const std::optional<value>& converted, fault otherwise) {
        return converted ? *converted : make_error(v.is(kind::text) ? fault::bad_conversion : otherwise, context.offset);
    };
    const bool text = v.is(kind::text);
    switch (function) {
        case builtin::to_bool:
            if (v.is(kind::boolean)) return v;
            if (!text) break;
            if (const auto b = bool_from_text(v.view())) return make_boolean(*b);
            return make_error(fault::bad_conversion, context.offset);
        case builtin::to_int:
            if (!text && !v.is_numeric() && !v.is(kind::timestamp)) break;
            return or_error(convert_to_int(v), fault::out_of_range);
        case builtin::to_uint:
            if (!text && !v.is_numeric()) break;
            return or_error(convert_to_uint(v), fault::out_of_range);
        case builtin::to_double:
            if (v.is(kind::number)) return v;
            if (v.is(kind::integer)) return make_number(static_cast<double>(v.integer));
            if (v.is(kind::uinteger)) return make_number(static_cast<double>(v.uinteger));
            if (!text) break;
            if (const auto d = parse_double(v.view(), true)) return make_number(*d);
            return make_error(fault::bad_conversion, context.offset);
        case builtin::to_bytes:
            if (v.is(kind::bytes)) return v;
            if (text) return make_bytes(v.view());
            break;
        case builtin::to_timestamp:
            if (v.is(kind::timestamp)) return v;
            if (v.is(kind::integer))
                return time_in_range(v.integer) ? make_timestamp(v.integer, 0) : make_error(fault::out_of_range, context.offset);
            if (text) return or_error(parse_time(v.view()), fault::out_of_range);
            break;
        case builtin::to_duration:
            if (v.is(kind::duration)) return v;
            if (text) return or_error(parse_span(v.view()), fault::out_of_range);
            break;
        default: break;
    }
    return make_error(fault::no_overload, context.offset);
}

OPSPILOT_INLINE value apply(builtin function, std::span<const value> arguments, const call_context& context) {
    const value& v = arguments[0];
    switch (function) {
        case builtin::size:
            if (v.is(kind::text)) {
                context.charge(v.size);
                return make_integer(static_cast<std::int64_t>(code_points(v.view())));
            }
            if (v.is(kind::bytes) || v.is(kind::list) || v.is(kind::map)) return make_integer(static_cast<std::int64_t>(v.size));
            break;
        case builtin::contains:
        case builtin::starts_with:
        case builtin::ends_with:
        case builtin::matches: {
            if (!v.is(kind::text) || !arguments[1].is(kind::text)) break;
            const std::string_view text = v.view();
            const std::string_view part = arguments[1].view();
            if (function == builtin::starts_with) return make_boolean(text.starts_with(part));
            if (function == builtin::ends_with) return make_boolean(text.ends_with(part));
            context.charge(text.size());
            if (function == builtin::contains) {
                context.charge(part.size());
                const searcher wanted(part, context.memory);
                if (!wanted.ok()) return context.fail(fault::memory_limit);
                return make_boolean(wanted.find(text, 0) != std::string_view::npos);
            }
            context.charge(part.size() * 1024);  // a pattern that is not constant is compiled each time
            const auto compiled = regex::compile(part);
            return compiled ? make_boolean((*compiled)->search(text)) : make_error(fault::bad_regex, context.offset);
        }
        case builtin::to_dyn: return v;
        case builtin::to_type: return make_type(v.what);
        case builtin::to_string: return to_string_value(v, context);
        case builtin::to_bool:
        case builtin::to_int:
        case builtin::to_uint:
        case builtin::to_double:
        case builtin::to_bytes:
        case builtin::to_timestamp:
        case builtin::to_duration: return convert(function, v, context);
        default: return calendar_field(function, arguments, context.offset);
    }
    return make_error(fault::no_overload, context.offset);
}

}  // namespace opspilot::cel::detail
