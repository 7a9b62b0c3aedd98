#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/policy/detail/cel/types.hpp"

namespace opspilot::cel::detail {

inline constexpr std::array<std::string_view, 18> plain_type_names{
    "dyn",      "null_type", "bool", "int", "uint",          "double", "string", "bytes",     "timestamp",
    "duration", "type",      "list", "map", "optional_type", "task",   "action", "candidate", "dyn"};

OPSPILOT_INLINE type_pool::type_pool() {
    entries_.resize(types::empty_optional + 1);
    entries_[types::type] = {shape::type, types::dyn, 0, 1};
    entries_[types::list] = {shape::list, types::dyn, 0, 1};
    entries_[types::map] = {shape::map, types::dyn, types::dyn, 1};
    entries_[types::optional] = {shape::optional, types::dyn, 0, 1};
    entries_[types::empty_list] = {shape::list, types::open, 0, 1};
    entries_[types::empty_map] = {shape::map, types::open, types::open, 1};
    entries_[types::empty_optional] = {shape::optional, types::open, 0, 1};
}

OPSPILOT_INLINE type_id type_pool::intern(entry e) {
    e.depth = 1 + std::max(entries_[e.first].depth, entries_[e.second].depth);
    if (e.depth > deepest) e = {e.form, types::dyn, types::dyn, 1};
    const auto known = std::find(entries_.begin() + types::type, entries_.end(), e);
    if (known != entries_.end()) return static_cast<type_id>(known - entries_.begin());
    entries_.push_back(e);
    return static_cast<type_id>(entries_.size() - 1);
}

OPSPILOT_INLINE std::string type_pool::text(type_id t) const {
    std::string out;
    std::string tail;  // closing parts, written back to front: nesting is only on the last parameter's side or shallow
    while (true) {
        const entry& e = entries_[t];
        switch (e.form) {
            case shape::plain: return out.append(plain_type_names[t]) + tail;
            case shape::list: out += "list("; break;
            case shape::type: out += "type("; break;
            case shape::optional: out += "optional_type("; break;
            case shape::map: out += "map(" + text(e.first) + ", "; break;  // keys do not nest
        }
        tail += ')';
        t = e.form == shape::map ? e.second : e.first;
    }
}

OPSPILOT_INLINE std::optional<type_id> type_pool::parse(std::string_view text) {
    std::size_t at = 0;
    const auto t = parse_at(text, at, 0);
    while (at < text.size() && text[at] == ' ') ++at;
    return at == text.size() ? t : std::nullopt;
}

OPSPILOT_INLINE std::optional<type_id> type_pool::parse_at(std::string_view text, std::size_t& at, int depth) {
    if (depth > 16) return {};
    const auto skip = [&] {
        while (at < text.size() && text[at] == ' ') ++at;
    };
    const auto accept = [&](char c) {
        skip();
        if (at >= text.size() || text[at] != c) return false;
        ++at;
        return true;
    };
    skip();
    const std::size_t start = at;
    while (at < text.size() && text[at] != '(' && text[at] != ')' && text[at] != ',' && text[at] != ' ') ++at;
    std::string_view name = text.substr(start, at - start);
    if (name == "google.protobuf.Timestamp") name = "timestamp";
    if (name == "google.protobuf.Duration") name = "duration";
    if (name == "null") name = "null_type";
    const auto known = std::find(plain_type_names.begin(), plain_type_names.begin() + types::task, name);
    if (known == plain_type_names.begin() + types::task) return {};
    const auto plain = static_cast<type_id>(known - plain_type_names.begin());
    if (plain < types::type || !accept('(')) return plain;
    const auto first = parse_at(text, at, depth + 1);
    if (!first) return {};
    if (plain == types::map) {
        if (!accept(',')) return {};
        const auto second = parse_at(text, at, depth + 1);
        if (!second || !accept(')')) return {};
        return map_of(*first, *second);
    }
    if (!accept(')')) return {};
    return plain == types::list ? list_of(*first) : plain == types::optional ? optional_of(*first) : type_of(*first);
}

OPSPILOT_INLINE bool type_pool::comparable(type_id a, type_id b) const noexcept {
    while (true) {
        if (unknown(a) || unknown(b) || a == b || (is_number(a) && is_number(b))) return true;
        if (entries_[a].form != entries_[b].form || entries_[a].form == shape::plain) return false;
        if (entries_[a].form == shape::type) return true;
        if (entries_[a].form == shape::map) {
            const type_id key = entries_[a].first;
            const type_id other = entries_[b].first;
            if (!(unknown(key) || unknown(other) || key == other || (is_number(key) && is_number(other)))) return false;
        }
        const bool map = entries_[a].form == shape::map;
        a = map ? entries_[a].second : entries_[a].first;
        b = map ? entries_[b].second : entries_[b].first;
    }
}

OPSPILOT_INLINE bool type_pool::fits(type_id given, type_id wanted) const noexcept {
    while (true) {
        if (unknown(given) || unknown(wanted) || given == wanted) return true;
        if (entries_[given].form != entries_[wanted].form || entries_[given].form == shape::plain) return false;
        if (entries_[given].form == shape::type) return true;
        if (entries_[given].form == shape::map) {
            const type_id key = entries_[given].first;
            const type_id other = entries_[wanted].first;
            if (!(unknown(key) || unknown(other) || key == other)) return false;
        }
        const bool map = entries_[given].form == shape::map;
        given = map ? entries_[given].second : entries_[given].first;
        wanted = map ? entries_[wanted].second : entries_[wanted].first;
    }
}

OPSPILOT_INLINE std::optional<type_id> type_pool::unify(type_id a, type_id b) {
    if (a == b || b == types::open) return a;
    if (a == types::open) return b;
    if (a == types::dyn || b == types::dyn) return types::dyn;
    const auto may_be_null = [&](type_id t) { return t == types::timestamp || t == types::duration || is_optional(t); };
    if (a == types::null && may_be_null(b)) return b;
    if (b == types::null && may_be_null(a)) return a;
    const entry left = entries_[a], right = entries_[b];  // copies: the pool grows below
    if (left.form != right.form || left.form == shape::plain) return {};
    const auto first = unify(left.first, right.first);  // as deep as `deepest`
    if (!first) return {};
    if (left.form != shape::map) return intern({left.form, *first, 0});
    const auto second = unify(left.second, right.second);
    return second ? std::optional(map_of(*first, *second)) : std::nullopt;
}

OPSPILOT_INLINE type_id type_pool::join(type_id a, type_id b) { return unify(a, b).value_or(types::dyn); }

OPSPILOT_INLINE type_id type_of_field(field_type t, type_pool& pool) {
    switch (t) {
        case field_type::boolean: return types::boolean;
        case field_type::integer: return types::integer;
        case field_type::number: return types::number;
        case field_type::text: return types::text;
        case field_type::timestamp: return types::timestamp;
        case field_type::text_list: return pool.list_of(types::text);
    }
    return types::dyn;
}

OPSPILOT_INLINE type_id type_of_kind(kind k) noexcept {
    constexpr std::array<type_id, 15> known{types::dyn,      types::dyn,    types::null,      types::boolean,  types::integer,
                                            types::uinteger, types::number, types::text,      types::bytes,    types::list,
                                            types::map,      types::type,   types::timestamp, types::duration, types::optional};
    return known[static_cast<std::size_t>(k)];
}

OPSPILOT_INLINE std::optional<kind> named_kind(std::string_view name) noexcept {
    for (std::size_t k = static_cast<std::size_t>(kind::null); k <= static_cast<std::size_t>(kind::optional); ++k)
        if (type_name(static_cast<kind>(k)) == name) return static_cast<kind>(k);
    return {};
}

}  // namespace opspilot::cel::detail
