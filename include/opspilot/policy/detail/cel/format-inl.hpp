#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/libraries.hpp"
#include "opspilot/policy/detail/cel/optionals.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel::detail {

/// After the point.
inline constexpr int most_digits = 1000;

/// The text of a double in a format: as short as reads back the same, or with digits after the point.
inline std::string formatted_double(double d, char clause, int precision) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    if (clause == 's') return fmt::format("{}", d);
    std::array<char, most_digits + 400> buffer{};  // with up to 309 digits before the point
    const auto form = clause == 'f' ? std::chars_format::fixed : std::chars_format::scientific;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d, form, precision).ptr;
    return {buffer.data(), end};
}

/// Writes "…".format([…]). Output ends where the arena would; values are walked as deep as they may nest.
class formatter {
public:
    formatter(const value& items, const call_context& context) : items_(items), context_(context), room_(context.memory.left()) {}

    value run(std::string_view format) {
        std::size_t next = 0;
        for (std::size_t at = 0; at < format.size() && wrong_ == fault::none;) {
            if (format[at] != '%') {
                const std::size_t end = std::min(format.find('%', at), format.size());
                put(format.substr(at, end - at));
                at = end;
                continue;
            }
            const std::size_t start = at++;
            if (at < format.size() && format[at] == '%') {
                put("%");
                ++at;
                continue;
            }
            const int precision = precision_at(format, at);
            const std::string_view clause = format.substr(start, at + 1 - start);
            if (precision < 0 || at >= format.size() || std::string_view("sdfebxXo").find(format[at]) == std::string_view::npos)
                return context_.fail(fault::bad_format, clause);
            if (next >= items_.size) return context_.fail(fault::bad_format, clause);
            item(item_at(items_, next++, context_.strings), format[at++], precision);
            if (wrong_ == fault::no_overload) return context_.fail(wrong_, clause);
        }
        return wrong_ == fault::none ? context_.keep(out_) : context_.fail(wrong_);
    }

private:
    static constexpr std::uint32_t deepest = deepest_value + 64;  // values that are given may be so deep themselves

    /// Digits after "%.", 6 when none are given, -1 when too many.
    static int precision_at(std::string_view format, std::size_t& at) noexcept {
        if (at >= format.size() || format[at] != '.') return 6;
        int digits = 0;
        const std::size_t first = ++at;
        while (at < format.size() && format[at] >= '0' && format[at] <= '9' && digits <= most_digits)
            digits = digits * 10 + (format[at++] - '0');
        return digits > most_digits || at == first ? -1 : digits;
    }

    void fail(fault f) noexcept {
        if (wrong_ == fault::none) wrong_ = f;
    }
    void put(std::string_view text) {
        if (text.size() > room_ - std::min(room_, out_.size())) return fail(fault::memory_limit);
        out_ += text;
    }

    void item(const value& v, char clause, int precision) {
        switch (clause) {
            case 's': return plain(v, 0);
            case 'f':
            case 'e':
                if (!v.is_numeric()) return fail(fault::no_overload);
                return put(formatted_double(v.is(kind::integer)    ? static_cast<double>(v.integer)
                                            : v.is(kind::uinteger) ? static_cast<double>(v.uinteger)
                                                                   : v.number,
                                            clause, precision));
            case 'd':
                if (v.is(kind::number) && !std::isfinite(v.number)) return put(formatted_double(v.number, 'd', 0));
                return integer(v, 'd');
            case 'b':
                if (v.is(kind::boolean)) return put(v.boolean ? "1" : "0");
                return integer(v, 'b');
            case 'x':
            case 'X':
                if (v.is(kind::text) || v.is(kind::bytes)) return hexadecimal(v.view(), clause);
                return integer(v, clause);
            default: return integer(v, clause);
        }
    }

    void integer(const value& v, char base) {
        const auto text = [&](auto i) {
            switch (base) {
                case 'b': return fmt::format("{:b}", i);
                case 'o': return fmt::format("{:o}", i);
                case 'x': return fmt::format("{:x}", i);
                case 'X': return fmt::format("{:X}", i);
                default: return fmt::format("{}", i);
            }
        };
        if (v.is(kind::integer)) return put(text(v.integer));
        if (v.is(kind::uinteger)) return put(text(v.uinteger));
        fail(fault::no_overload);
    }

    void hexadecimal(std::string_view bytes, char clause) {
        const std::string_view digits = clause == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
        if (bytes.size() > room_ / 2) return fail(fault::memory_limit);
        std::string made;
        made.reserve(bytes.size() * 2);
        for (const char c : bytes) {
            made += digits[static_cast<unsigned char>(c) >> 4];
            made += digits[static_cast<unsigned char>(c) & 15];
        }
        put(made);
    }

    /// A value as %s writes it: texts without quotes, maps in the order of their keys' texts.
    void plain(const value& v, std::uint32_t depth) {
        if (wrong_ != fault::none) return;
        if (depth > deepest) return fail(fault::too_deep);
        switch (v.what) {
            case kind::null: return put("null");
            case kind::boolean: return put(v.boolean ? "true" : "false");
            case kind::integer:
            case kind::uinteger: return integer(v, 'd');
            case kind::number: return put(formatted_double(v.number, 's', 0));
            case kind::text: return put(v.view());
            case kind::bytes: return valid_utf8(v.view()) ? put(v.view()) : fail(fault::bad_utf8);
            case kind::type: return put(type_name(static_cast<kind>(v.code)));
            case kind::timestamp: return put(format_time(v));
            case kind::duration: return put(format_span(v));
            case kind::list:
                put("[");
                for (std::size_t i = 0; i < v.size && wrong_ == fault::none; ++i) {
                    if (i > 0) put(", ");
                    plain(item_at(v, i, context_.strings), depth + 1);
                }
                return put("]");
            case kind::map: return map(v, depth);
            default: return fail(fault::no_overload);
        }
    }

    void map(const value& v, std::uint32_t depth) {
        std::vector<std::pair<std::string, const value*>> entries;
        entries.reserve(v.size);
        for (std::size_t i = 0; i < v.size; ++i) {
            std::string outside = std::exchange(out_, {});
            plain(v.entries[i].key, depth + 1);
            entries.emplace_back(std::exchange(out_, std::move(outside)), &v.entries[i].item);
        }
        std::sort(entries.begin(), entries.end());
        put("{");
        for (std::size_t i = 0; i < entries.size() && wrong_ == fault::none; ++i) {
            if (i > 0) put(", ");
            put(entries[i].first);
            put(": ");
            plain(*entries[i].second, depth + 1);
        }
        put("}");
    }

    const value& items_;
    const call_context& context_;
    std::size_t room_;
    std::string out_;
    fault wrong_ = fault::none;
};

inline value string_format(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text) || !a[1].is(kind::list)) return c.no_overload();
    c.charge(a[0].size);
    return formatter(a[1], c).run(a[0].view());
}

/// In double quotes, with the escapes that a literal would need.
inline value string_quote(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text)) return c.no_overload();
    constexpr std::string_view special = "\a\b\f\n\r\t\v\\\"", letters = "abfnrtv\\\"";
    const std::string_view s = a[0].view();
    if (s.size() >= c.memory.left() / 2) return c.fail(fault::memory_limit);
    std::string made = "\"";
    for (const char x : s) {
        const std::size_t at = special.find(x);
        if (at == std::string_view::npos) {
            made += x;
        } else {
            made += '\\';
            made += letters[at];
        }
    }
    return c.keep(made + '"');
}

inline constexpr std::array format_table{
    overload{"format", true, "s[*", "s", builtin::library, string_format},
    overload{"strings.quote", false, "s", "s", builtin::library, string_quote},
};

OPSPILOT_INLINE std::span<const overload> format_functions() noexcept { return format_table; }

}  // namespace opspilot::cel::detail
