#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel {

namespace detail {

inline ordering ordered(auto a, auto b) noexcept { return a < b ? ordering::less : b < a ? ordering::greater : ordering::equal; }

inline ordering reversed(ordering o) noexcept {
    return o == ordering::less ? ordering::greater : o == ordering::greater ? ordering::less : o;
}

/// Exact comparison of an integer with a double, without rounding the integer.
inline ordering compare_int_double(std::int64_t i, double d) noexcept {
    if (std::isnan(d)) return ordering::unordered;
    if (d >= 9223372036854775808.0) return ordering::less;
    if (d < -9223372036854775808.0) return ordering::greater;
    const double whole = std::trunc(d);  // exact, and within int64
    const auto truncated = static_cast<std::int64_t>(whole);
    if (i != truncated) return ordered(i, truncated);
    return ordered(0.0, d - whole);
}

inline ordering compare_uint_double(std::uint64_t u, double d) noexcept {
    if (std::isnan(d)) return ordering::unordered;
    if (d >= 18446744073709551616.0) return ordering::less;
    if (d < 0.0) return ordering::greater;
    const double whole = std::trunc(d);
    const auto truncated = static_cast<std::uint64_t>(whole);
    if (u != truncated) return ordered(u, truncated);
    return ordered(0.0, d - whole);
}

inline ordering compare_int_uint(std::int64_t i, std::uint64_t u) noexcept {
    return i < 0 ? ordering::less : ordered(static_cast<std::uint64_t>(i), u);
}

inline ordering compare_numbers(const value& a, const value& b) noexcept {
    if (a.what == b.what) {
        if (a.what == kind::integer) return ordered(a.integer, b.integer);
        if (a.what == kind::uinteger) return ordered(a.uinteger, b.uinteger);
        if (std::isnan(a.number) || std::isnan(b.number)) return ordering::unordered;
        return ordered(a.number, b.number);
    }
    if (a.what == kind::integer)
        return b.what == kind::uinteger ? compare_int_uint(a.integer, b.uinteger) : compare_int_double(a.integer, b.number);
    if (a.what == kind::uinteger && b.what == kind::number) return compare_uint_double(a.uinteger, b.number);
    return reversed(compare_numbers(b, a));
}

/// Order of two numbers: exact, but that the largest int and 2^63 as a double, which is what it rounds to, count as equal, as
/// the conformance cases of CEL have it (comparisons, "lossy").
inline ordering order_numbers(const value& a, const value& b) noexcept {
    const auto edge = [](const value& i, const value& d) {
        return i.what == kind::integer && d.what == kind::number && i.integer == std::numeric_limits<std::int64_t>::max() &&
               d.number == 9223372036854775808.0;
    };
    if (edge(a, b) || edge(b, a)) return ordering::equal;
    return compare_numbers(a, b);
}

/// Groups of keys in the order of a map's entries: bools, whole numbers, texts. 3 = no key.
inline int key_group(const value& key) noexcept {
    switch (key.what) {
        case kind::boolean: return 0;
        case kind::integer:
        case kind::uinteger: return 1;
        case kind::text: return 2;
        default: return 3;
    }
}

inline ordering compare_keys(const value& a, const value& b) noexcept {
    const int group = key_group(a);
    if (group != key_group(b)) return ordered(group, key_group(b));
    return compare(a, b);
}

inline bool equal_texts(const value& a, const value& b) noexcept {
    if (a.code != no_code && b.code != no_code) return a.code == b.code;
    return a.view() == b.view();
}

inline bool equal_items(const value& a, const value& b, const interner* strings, std::uint64_t& left) noexcept {
    if (a.size != b.size) return false;
    if (a.coded && b.coded) return std::equal(a.codes, a.codes + a.size, b.codes);
    for (std::size_t i = 0; i < a.size; ++i)
        if (!equal(item_at(a, i, strings), item_at(b, i, strings), strings, left)) return false;
    return true;
}

inline void append_value(std::string& out, const value& v, const interner* strings, std::size_t limit, int depth) {
    if (out.size() > limit || depth > 8) {
        out += "…";
        return;
    }
    switch (v.what) {
        case kind::unbound: out += "unbound"; return;
        case kind::error: out += fmt::format("error: {}", text_of(v.why())); return;
        case kind::null: out += "null"; return;
        case kind::boolean: out += v.boolean ? "true" : "false"; return;
        case kind::integer: out += fmt::format("{}", v.integer); return;
        case kind::uinteger: out += fmt::format("{}u", v.uinteger); return;
        case kind::number: out += fmt::format("{}", v.number); return;
        case kind::text: out += fmt::format("{}", quote(v.view(), limit)); return;
        case kind::bytes:
            out += "b'";
            for (const char c : v.view().substr(0, limit)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
            out += "'";
            return;
        case kind::list:
            out += '[';
            for (std::size_t i = 0; i < v.size && out.size() <= limit; ++i) {
                if (i > 0) out += ", ";
                append_value(out, item_at(v, i, strings), strings, limit, depth + 1);
            }
            out += ']';
            return;
        case kind::map:
            out += '{';
            for (std::size_t i = 0; i < v.size && out.size() <= limit; ++i) {
                if (i > 0) out += ", ";
                append_value(out, v.entries[i].key, strings, limit, depth + 1);
                out += ": ";
                append_value(out, v.entries[i].item, strings, limit, depth + 1);
            }
            out += '}';
            return;
        case kind::type: out += type_name(static_cast<kind>(v.code)); return;
        case kind::timestamp:
        case kind::duration:
            out += fmt::format("{}({}.{:09}s)", v.is(kind::timestamp) ? "timestamp" : "duration", v.integer, v.size);
            return;
        case kind::optional:
            out += v.size == 0 ? "optional.none()" : "optional.of(";
            if (v.size == 0) return;
            append_value(out, *v.items, strings, limit, depth + 1);
            out += ')';
            return;
    }
}

}  // namespace detail

OPSPILOT_INLINE std::string_view type_name(kind k) noexcept {
    switch (k) {
        case kind::unbound:
        case kind::error: return "error";
        case kind::null: return "null_type";
        case kind::boolean: return "bool";
        case kind::integer: return "int";
        case kind::uinteger: return "uint";
        case kind::number: return "double";
        case kind::text: return "string";
        case kind::bytes: return "bytes";
        case kind::list: return "list";
        case kind::map: return "map";
        case kind::type: return "type";
        case kind::timestamp: return "google.protobuf.Timestamp";
        case kind::duration: return "google.protobuf.Duration";
        case kind::optional: return "optional_type";
    }
    return "error";
}

OPSPILOT_INLINE std::string_view text_of(fault f) noexcept {
    switch (f) {
        case fault::none: return "no error";
        case fault::unknown_variable: return "unknown variable";
        case fault::unknown_function: return "unknown function";
        case fault::no_overload: return "no such overload: the operands have the wrong types";
        case fault::no_field: return "the value has no fields";
        case fault::no_key: return "no such key";
        case fault::missing_field: return "the field is missing";
        case fault::index_out_of_range: return "index out of range";
        case fault::division_by_zero: return "division by zero";
        case fault::overflow: return "arithmetic overflow";
        case fault::out_of_range: return "value out of range";
        case fault::bad_conversion: return "the text cannot be converted";
        case fault::bad_utf8: return "the bytes are not UTF-8";
        case fault::bad_key: return "a map key must be a bool, int, uint or string";
        case fault::repeated_key: return "a map key is repeated";
        case fault::bad_regex: return "not a regular expression of RE2";
        case fault::cost_limit: return "the evaluation took too many steps";
        case fault::memory_limit: return "the evaluation needed too much memory";
        case fault::too_deep: return "the value nests too deep";
        case fault::no_value: return "the optional has no value";
        case fault::bad_format: return "the format and its values do not go together";
        case fault::named_zone: return "a time zone is 'UTC' or an offset such as '+02:00'; rules of named ones change";
        case fault::not_in_table: return "the table has no such key";
    }
    return "no error";
}

OPSPILOT_INLINE bool sort_entries(std::span<map_entry> entries) noexcept {
    for (const map_entry& entry : entries)
        if (detail::key_group(entry.key) == 3) return false;
    std::sort(entries.begin(), entries.end(),
              [](const map_entry& a, const map_entry& b) { return detail::compare_keys(a.key, b.key) == ordering::less; });
    return std::adjacent_find(entries.begin(), entries.end(), [](const map_entry& a, const map_entry& b) {
               return detail::compare_keys(a.key, b.key) == ordering::equal;
           }) == entries.end();
}

OPSPILOT_INLINE const value* find_key(const value& map, const value& key) noexcept {
    value wanted = key;
    if (key.is(kind::number)) {
        if (!(key.number >= -9223372036854775808.0 && key.number < 18446744073709551616.0)) return nullptr;
        if (std::trunc(key.number) != key.number) return nullptr;
        wanted = key.number < 0 ? make_integer(static_cast<std::int64_t>(key.number))
                                : make_uinteger(static_cast<std::uint64_t>(key.number));
    }
    if (detail::key_group(wanted) == 3) return nullptr;
    const std::span<const map_entry> entries{map.entries, static_cast<std::size_t>(map.size)};
    const auto at = std::lower_bound(entries.begin(), entries.end(), wanted, [](const map_entry& entry, const value& k) {
        return detail::compare_keys(entry.key, k) == ordering::less;
    });
    if (at == entries.end() || detail::compare_keys(at->key, wanted) != ordering::equal) return nullptr;
    return &at->item;
}

OPSPILOT_INLINE value item_at(const value& list, std::size_t i, const interner* strings) noexcept {
    if (!list.coded) return list.items[i];
    const std::uint32_t code = list.codes[i];
    return make_text(strings == nullptr ? std::string_view{} : strings->text(code), code);
}

OPSPILOT_INLINE bool equal(const value& a, const value& b, const interner* strings) noexcept {
    std::uint64_t left = std::numeric_limits<std::uint64_t>::max();
    return equal(a, b, strings, left);
}

OPSPILOT_INLINE bool equal(const value& a, const value& b, const interner* strings, std::uint64_t& left) noexcept {
    if (left == 0) return false;
    --left;
    if (a.is_numeric() && b.is_numeric()) return detail::compare_numbers(a, b) == ordering::equal;
    if (a.what != b.what) return false;
    switch (a.what) {
        case kind::null: return true;
        case kind::boolean: return a.boolean == b.boolean;
        case kind::text: return detail::equal_texts(a, b);
        case kind::bytes: return a.view() == b.view();
        case kind::list:
        case kind::optional: return detail::equal_items(a, b, strings, left);
        case kind::map:
            if (a.size != b.size) return false;
            for (std::size_t i = 0; i < a.size; ++i)  // both sorted by key
                if (detail::compare_keys(a.entries[i].key, b.entries[i].key) != ordering::equal ||
                    !equal(a.entries[i].item, b.entries[i].item, strings, left))
                    return false;
            return true;
        case kind::type: return a.code == b.code;
        case kind::timestamp:
        case kind::duration: return a.integer == b.integer && a.size == b.size;
        default: return false;
    }
}

OPSPILOT_INLINE ordering compare(const value& a, const value& b) noexcept {
    if (a.is_numeric() && b.is_numeric()) return detail::order_numbers(a, b);
    if (a.what != b.what) return ordering::incomparable;
    switch (a.what) {
        case kind::boolean: return detail::ordered(a.boolean, b.boolean);
        case kind::text:
        case kind::bytes: return detail::ordered(a.view().compare(b.view()), 0);  // UTF-8 order is code point order
        case kind::timestamp:
        case kind::duration:
            return a.integer != b.integer ? detail::ordered(a.integer, b.integer) : detail::ordered(a.size, b.size);
        default: return ordering::incomparable;
    }
}

OPSPILOT_INLINE void* arena::allocate(std::size_t bytes) {
    if (bytes > left()) return nullptr;
    const std::size_t rounded = (bytes + 15) & ~std::size_t{15};
    while (block_ < blocks_.size() && blocks_[block_].size - used_ < rounded) {
        ++block_;
        used_ = 0;
    }
    if (block_ == blocks_.size()) {
        const std::size_t size = std::max(rounded, std::size_t{4096} << std::min<std::size_t>(blocks_.size(), 10));
        blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
        used_ = 0;
    }
    void* const first = blocks_[block_].bytes.get() + used_;
    used_ += rounded;
    total_ += rounded;
    return first;
}

OPSPILOT_INLINE std::string_view arena::copy(std::string_view bytes) {
    if (bytes.empty()) return "";
    char* const first = static_cast<char*>(allocate(bytes.size()));
    if (first == nullptr) return {};
    std::memcpy(first, bytes.data(), bytes.size());
    return {first, bytes.size()};
}

OPSPILOT_INLINE std::string to_text(const value& v, const interner* strings, std::size_t limit) {
    std::string out;
    detail::append_value(out, v, strings, limit, 0);
    return out;
}

}  // namespace opspilot::cel
