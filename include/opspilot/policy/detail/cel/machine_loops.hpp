/// \file
/// Internal: macros as loops of the machine: how they start, what they make of their bodies, how they end.
#pragma once

#include <algorithm>
#include <span>

#include "opspilot/policy/detail/cel/machine_values.hpp"

namespace opspilot::cel::detail {

inline value loop_key(const loop_state& s) noexcept {
    return s.range.is(kind::map) ? s.range.entries[s.at].key : make_integer(static_cast<std::int64_t>(s.at));
}

/// Sets the variables of a macro for the item at hand: an element of a list or a key of a map; with two variables the position
/// or key, then the element or item.
inline void loop_set(const loop_state& s, const instruction& i, machine& m) noexcept {
    const bool map = s.range.is(kind::map);
    value* const slot = &m.slots[i.c];
    if (i.count > 1) {
        slot[0] = loop_key(s);
        slot[1] = map ? s.range.entries[s.at].item : item_at(s.range, s.at, m.strings);
    } else {
        slot[0] = map ? loop_key(s) : item_at(s.range, s.at, m.strings);
    }
}

/// What a macro gives when no item decided.
inline value loop_result(node_kind macro, const loop_state& s, const instruction& i) noexcept {
    switch (macro) {
        case node_kind::all: return s.failure.failed() ? s.failure : make_boolean(true);
        case node_kind::exists: return s.failure.failed() ? s.failure : make_boolean(false);
        case node_kind::exists_one: return make_boolean(s.made == 1);
        case node_kind::transform_map:
        case node_kind::transform_map_filtered:
        case node_kind::transform_entries:
        case node_kind::transform_entries_filtered: {
            const std::span<map_entry> entries{s.entries, static_cast<std::size_t>(s.made)};
            if (!sort_entries(entries)) return make_error(fault::repeated_key, i.offset);
            return nested(make_map(entries), s.depth, i);
        }
        default: return nested(make_list({s.out, static_cast<std::size_t>(s.made)}), s.depth, i);
    }
}

/// Starts a macro; returns where to go on. `loop_end` is the instruction at i.b, whose register is the macro's.
inline std::uint32_t loop_begin(const instruction& i, std::uint32_t at, machine& m) {
    const auto macro = static_cast<node_kind>(i.flag);
    loop_state& s = m.loops[i.c];
    s = {};
    s.range = m.registers[i.a];
    value& result = m.registers[i.b];
    if (macro == node_kind::bind) {  // an error too: it matters where the variable is read
        m.slots[i.c] = s.range;
        return at + 1;
    }
    if (macro == node_kind::opt_map || macro == node_kind::opt_flat_map) {
        if (s.range.is(kind::optional) && s.range.size > 0) {
            m.slots[i.c] = *s.range.items;
            return at + 1;
        }
        result = s.range.failed() || s.range.is(kind::optional) ? s.range : no_overload(i);
        return i.b + 1;
    }
    if (!s.range.is(kind::list) && !s.range.is(kind::map)) {
        result = s.range.failed() ? s.range : no_overload(i);
        return i.b + 1;
    }
    s.count = s.range.size;
    if (s.count > 0 && makes_list(macro)) s.out = m.memory->array<value>(s.count);
    if (s.count > 0 && makes_map(macro)) s.entries = m.memory->array<map_entry>(s.count);
    s.room = s.count;
    if (s.count > 0 && ((makes_list(macro) && s.out == nullptr) || (makes_map(macro) && s.entries == nullptr))) {
        result = make_error(fault::memory_limit, i.offset);
        return i.b + 1;
    }
    if (s.count == 0) {
        result = loop_result(macro, s, i);
        return i.b + 1;
    }
    loop_set(s, i, m);
    return at + 1;
}

/// Adds the entries of a body of transformMapEntry; false with an error in `result` when that cannot be.
inline bool add_entries(loop_state& s, const value& body, const instruction& i, machine& m, value& result) {
    if (!body.is(kind::map)) {
        result = no_overload(i);
        return false;
    }
    if (s.made + body.size > s.room) {
        s.room = 2 * (s.made + body.size);
        map_entry* const more = m.memory->array<map_entry>(s.room);
        if (more == nullptr) {
            result = make_error(fault::memory_limit, i.offset);
            return false;
        }
        std::copy_n(s.entries, s.made, more);
        s.entries = more;
    }
    std::copy_n(body.entries, body.size, s.entries + s.made);
    s.made += body.size;
    m.steps += body.size;
    return true;
}

/// Takes the body's value into account. True when the macro's value is known; it is then in `result`.
inline bool loop_take(const instruction& i, loop_state& s, const value& body, machine& m, value& result) {
    const auto macro = static_cast<node_kind>(i.flag);
    if (!is_loop(macro)) {
        result = body;
        if (macro == node_kind::opt_map && !body.failed()) result = some(body, context_of(i, m));
        if (macro == node_kind::opt_flat_map && !body.failed() && !body.is(kind::optional)) result = no_overload(i);
        return true;
    }
    if (macro == node_kind::all || macro == node_kind::exists) {
        const bool decisive = macro == node_kind::exists;
        if (body.is(kind::boolean)) {
            if (body.boolean != decisive) return false;
            result = make_boolean(decisive);
            return true;
        }
        if (!s.failure.failed()) s.failure = body.failed() ? body : no_overload(i);
        return false;
    }
    if (s.skipped) {
        s.skipped = false;
        return false;
    }
    if (s.failure.failed() || body.failed()) {
        result = s.failure.failed() ? s.failure : body;
        return true;
    }
    s.depth = std::max<std::uint32_t>(s.depth, macro == node_kind::filter ? m.slots[i.c].depth : body.depth);
    switch (macro) {
        case node_kind::map_each:
        case node_kind::map_filtered: s.out[s.made++] = body; return false;
        case node_kind::transform_map:
        case node_kind::transform_map_filtered: s.entries[s.made++] = {loop_key(s), body}; return false;
        case node_kind::transform_entries:
        case node_kind::transform_entries_filtered: return !add_entries(s, body, i, m, result);
        default: break;
    }
    if (!body.is(kind::boolean)) {
        result = no_overload(i);
        return true;
    }
    if (!body.boolean) return false;
    if (macro == node_kind::filter) s.out[s.made] = m.slots[i.c];
    ++s.made;
    return false;
}

}  // namespace opspilot::cel::detail
