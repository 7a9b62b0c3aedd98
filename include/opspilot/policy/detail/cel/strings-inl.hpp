#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/libraries.hpp"
#include "opspilot/policy/detail/cel/search.hpp"

namespace opspilot::cel::detail {

inline constexpr std::size_t nowhere = std::string_view::npos;

inline bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// The start of the code point after the one at `at`.
inline std::size_t after_point(std::string_view s, std::size_t at) noexcept {
    do ++at;
    while (at < s.size() && continues(s[at]));
    return at;
}

/// The byte where code point `point` starts, the size for the place after the last one, or nowhere.
inline std::size_t byte_of(std::string_view s, const value& point) noexcept {
    if (point.integer < 0 || static_cast<std::uint64_t>(point.integer) > s.size()) return nowhere;
    std::size_t at = 0;
    for (std::int64_t k = 0; k < point.integer; ++k) {
        if (at >= s.size()) return nowhere;
        at = after_point(s, at);
    }
    return at;
}

inline bool all_texts(std::span<const value> a, std::size_t count) noexcept {
    return std::all_of(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(count),
                       [](const value& v) { return v.is(kind::text); });
}

inline value string_char_at(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text) || !a[1].is(kind::integer)) return c.no_overload();
    const std::string_view s = a[0].view();
    c.charge(s.size());
    const std::size_t at = byte_of(s, a[1]);
    if (at == nowhere) return c.fail(fault::index_out_of_range);
    return make_text(at == s.size() ? std::string_view{""} : s.substr(at, after_point(s, at) - at));
}

/// Position of the first (or last) occurrence as code points, -1 for none.
inline value found_at(std::span<const value> a, const call_context& c, bool last) {
    if (!all_texts(a, 2) || (a.size() > 2 && !a[2].is(kind::integer))) return c.no_overload();
    const std::string_view s = a[0].view();
    const std::size_t from = a.size() > 2 ? byte_of(s, a[2]) : last ? s.size() : 0;
    if (from == nowhere) return c.fail(fault::index_out_of_range);
    c.charge(s.size() + a[1].size);
    const searcher part(a[1].view(), c.memory);
    if (!part.ok()) return c.fail(fault::memory_limit);
    const std::size_t at = last ? part.find_last(s, from) : part.find(s, from);
    return make_integer(at == nowhere ? -1 : static_cast<std::int64_t>(code_points(s.substr(0, at))));
}
inline value string_index_of(std::span<const value> a, const call_context& c) { return found_at(a, c, false); }
inline value string_last_index_of(std::span<const value> a, const call_context& c) { return found_at(a, c, true); }

inline value string_substring(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text) || !a[1].is(kind::integer) || (a.size() > 2 && !a[2].is(kind::integer))) return c.no_overload();
    const std::string_view s = a[0].view();
    c.charge(s.size());
    const std::size_t from = byte_of(s, a[1]), to = a.size() > 2 ? byte_of(s, a[2]) : s.size();
    if (from == nowhere || to == nowhere || from > to) return c.fail(fault::index_out_of_range);
    return make_text(from == to ? std::string_view{""} : s.substr(from, to - from));
}

/// A new text of `size` bytes that `write` fills.
template <class F>
value filled(std::uint64_t size, const call_context& c, F&& write) {
    if (size == 0) return make_text("");
    if (size > c.memory.left()) return c.fail(fault::memory_limit);
    c.charge(size);
    char* const bytes = static_cast<char*>(c.memory.allocate(static_cast<std::size_t>(size)));
    if (bytes == nullptr) return c.fail(fault::memory_limit);
    write(bytes);
    return make_text({bytes, static_cast<std::size_t>(size)});
}

template <char From, char To, int Step>
value string_ascii_case(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text)) return c.no_overload();
    const std::string_view s = a[0].view();
    return filled(s.size(), c, [&](char* out) {
        std::transform(s.begin(), s.end(), out, [](char x) { return x >= From && x <= To ? static_cast<char>(x + Step) : x; });
    });
}

inline value string_reverse(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text)) return c.no_overload();
    const std::string_view s = a[0].view();
    return filled(s.size(), c, [&](char* out) {
        char* end = out + s.size();
        for (std::size_t at = 0; at < s.size();) {
            const std::size_t next = after_point(s, at);
            end -= next - at;
            std::copy(s.data() + at, s.data() + next, end);
            at = next;
        }
    });
}

/// White_Space of Unicode.
inline bool is_space(std::string_view point) noexcept {
    if (point.size() == 1) return point[0] == ' ' || (point[0] >= '\t' && point[0] <= '\r');
    constexpr std::array<std::string_view, 18> wide{"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
                                                    "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
                                                    "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f"};
    return point == "\u3000" || std::find(wide.begin(), wide.end(), point) != wide.end();
}

inline value string_trim(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text)) return c.no_overload();
    std::string_view s = a[0].view();
    c.charge(s.size());
    while (!s.empty()) {
        const std::size_t next = after_point(s, 0);
        if (!is_space(s.substr(0, next))) break;
        s.remove_prefix(next);
    }
    while (!s.empty()) {
        std::size_t last = s.size() - 1;
        while (last > 0 && continues(s[last])) --last;
        if (!is_space(s.substr(last))) break;
        s.remove_suffix(s.size() - last);
    }
    return make_text(s.empty() ? std::string_view{""} : s);
}

/// Calls `use(at)` for the occurrences that do not overlap, at most `limit` of them. Nothing is found between all code points.
template <class F>
void each_match(std::string_view s, const searcher& part, std::uint64_t limit, F&& use) {
    std::size_t at = 0;
    for (; limit > 0 && at <= s.size(); --limit) {
        if (part.part().empty()) {
            use(at);
            at = after_point(s, at);
        } else {
            const std::size_t found = part.find(s, at);
            if (found == nowhere) return;
            use(found);
            at = found + part.part().size();
        }
    }
}

/// How often at most, from an argument where a negative number is "always".
inline std::uint64_t limit_of(std::span<const value> a, std::size_t at) noexcept {
    return a.size() > at && a[at].integer >= 0 ? static_cast<std::uint64_t>(a[at].integer)
                                               : std::numeric_limits<std::uint64_t>::max();
}

inline value string_replace(std::span<const value> a, const call_context& c) {
    if (!all_texts(a, 3) || (a.size() > 3 && !a[3].is(kind::integer))) return c.no_overload();
    const std::string_view s = a[0].view(), by = a[2].view();
    const searcher part(a[1].view(), c.memory);
    if (!part.ok()) return c.fail(fault::memory_limit);
    const std::uint64_t limit = limit_of(a, 3);
    std::uint64_t count = 0;
    c.charge(s.size() + part.part().size());
    each_match(s, part, limit, [&](std::size_t) { ++count; });
    if (count == 0) return a[0];
    // Both factors are below 2^32, which the arena sees to.
    return filled(s.size() + count * by.size() - count * part.part().size(), c, [&](char* out) {
        std::size_t done = 0;
        each_match(s, part, limit, [&](std::size_t at) {
            out = std::copy(s.data() + done, s.data() + at, out);
            out = std::copy(by.begin(), by.end(), out);
            done = at + part.part().size();
        });
        std::copy(s.data() + done, s.data() + s.size(), out);
    });
}

inline value string_split(std::span<const value> a, const call_context& c) {
    if (!all_texts(a, 2) || (a.size() > 2 && !a[2].is(kind::integer))) return c.no_overload();
    const std::string_view s = a[0].view();
    const searcher part(a[1].view(), c.memory);
    if (!part.ok()) return c.fail(fault::memory_limit);
    const std::uint64_t limit = limit_of(a, 2);
    const bool points = part.part().empty();
    if (limit == 0 || (points && s.empty())) return make_list({});
    c.charge(s.size() + part.part().size());
    std::size_t count = 0;
    // Between code points there is one place before the first and one after the last.
    each_match(s, part, points ? limit : limit - 1, [&](std::size_t at) { count += points && at == s.size() ? 0U : 1U; });
    const std::size_t items = points ? count : count + 1;
    c.charge(items * sizeof(value));
    value* const out = c.memory.array<value>(items);
    if (out == nullptr) return c.fail(fault::memory_limit);
    std::size_t made = 0, from = 0;
    const auto put = [&](std::size_t to) {
        out[made++] = make_text(from == to ? std::string_view{""} : s.substr(from, to - from));
    };
    each_match(s, part, points ? items : limit - 1, [&](std::size_t at) {
        if (points && at == 0) return;
        put(at);
        from = at + part.part().size();
    });
    put(s.size());
    return make_list({out, items});
}

inline value string_join(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::list) || (a.size() > 1 && !a[1].is(kind::text))) return c.no_overload();
    const std::string_view between = a.size() > 1 ? a[1].view() : std::string_view{};
    const auto item = [&](std::size_t i) { return item_at(a[0], i, c.strings); };
    std::uint64_t size = a[0].size > 1 ? (a[0].size - 1) * between.size() : 0;
    c.charge(a[0].size * sizeof(value));
    for (std::size_t i = 0; i < a[0].size; ++i) {
        const value v = item(i);
        if (!v.is(kind::text)) return c.no_overload();
        size += v.size;
    }
    return filled(size, c, [&](char* out) {
        for (std::size_t i = 0; i < a[0].size; ++i) {
            if (i > 0) out = std::copy(between.begin(), between.end(), out);
            const value v = item(i);
            out = std::copy_n(v.data, v.size, out);
        }
    });
}

inline constexpr std::array string_table{
    overload{"charAt", true, "si", "s", builtin::library, string_char_at},
    overload{"indexOf", true, "ss", "i", builtin::library, string_index_of},
    overload{"indexOf", true, "ssi", "i", builtin::library, string_index_of},
    overload{"lastIndexOf", true, "ss", "i", builtin::library, string_last_index_of},
    overload{"lastIndexOf", true, "ssi", "i", builtin::library, string_last_index_of},
    overload{"substring", true, "si", "s", builtin::library, string_substring},
    overload{"substring", true, "sii", "s", builtin::library, string_substring},
    overload{"lowerAscii", true, "s", "s", builtin::library, string_ascii_case<'A', 'Z', 32>},
    overload{"upperAscii", true, "s", "s", builtin::library, string_ascii_case<'a', 'z', -32>},
    overload{"reverse", true, "s", "s", builtin::library, string_reverse},
    overload{"trim", true, "s", "s", builtin::library, string_trim},
    overload{"replace", true, "sss", "s", builtin::library, string_replace},
    overload{"replace", true, "sssi", "s", builtin::library, string_replace},
    overload{"split", true, "ss", "[s", builtin::library, string_split},
    overload{"split", true, "ssi", "[s", builtin::library, string_split},
    overload{"join", true, "[s", "s", builtin::library, string_join},
    overload{"join", true, "[ss", "s", builtin::library, string_join},
};

OPSPILOT_INLINE std::span<const overload> string_functions() noexcept { return string_table; }

}  // namespace opspilot::cel::detail
