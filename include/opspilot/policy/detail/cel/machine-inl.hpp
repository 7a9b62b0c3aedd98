#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "opspilot/policy/detail/cel/lexer.hpp"
#include "opspilot/policy/detail/cel/program.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel::detail {

OPSPILOT_INLINE void machine::prepare(const program& p) {
    if (registers.size() < p.code.size()) registers.resize(p.code.size());
    if (slots.size() < p.slots) slots.resize(p.slots);
    if (loops.size() < p.slots) loops.resize(p.slots);
    steps = 0;
}

inline value no_overload(const instruction& i) noexcept { return make_error(fault::no_overload, i.offset); }

inline value negated(const value& v, const instruction& i) noexcept {
    if (v.is(kind::number)) return make_number(-v.number);
    if (!v.is(kind::integer)) return no_overload(i);
    if (v.integer == std::numeric_limits<std::int64_t>::min()) return make_error(fault::overflow, i.offset);
    return make_integer(-v.integer);
}

inline value integer_arithmetic(std::int64_t a, std::int64_t b, const instruction& i) noexcept {
    std::int64_t r = 0;
    bool over = false;
    switch (i.op) {
        case opcode::add: over = __builtin_add_overflow(a, b, &r); break;
        case opcode::subtract: over = __builtin_sub_overflow(a, b, &r); break;
        case opcode::multiply: over = __builtin_mul_overflow(a, b, &r); break;
        default:
            if (b == 0) return make_error(fault::division_by_zero, i.offset);
            if (b == -1) {  // the one quotient that does not fit, and the one division the processor refuses
                over = a == std::numeric_limits<std::int64_t>::min();
                r = i.op == opcode::modulo || over ? 0 : -a;
            } else {
                r = i.op == opcode::divide ? a / b : a % b;
            }
    }
    return over ? make_error(fault::overflow, i.offset) : make_integer(r);
}

inline value uinteger_arithmetic(std::uint64_t a, std::uint64_t b, const instruction& i) noexcept {
    std::uint64_t r = 0;
    bool over = false;
    switch (i.op) {
        case opcode::add: over = __builtin_add_overflow(a, b, &r); break;
        case opcode::subtract: over = __builtin_sub_overflow(a, b, &r); break;
        case opcode::multiply: over = __builtin_mul_overflow(a, b, &r); break;
        default:
            if (b == 0) return make_error(fault::division_by_zero, i.offset);
            r = i.op == opcode::divide ? a / b : a % b;
    }
    return over ? make_error(fault::overflow, i.offset) : make_uinteger(r);
}

inline value double_arithmetic(double a, double b, const instruction& i) noexcept {
    switch (i.op) {
        case opcode::add: return make_number(a + b);
        case opcode::subtract: return make_number(a - b);
        case opcode::multiply: return make_number(a * b);
        case opcode::divide: return make_number(a / b);
        default: return no_overload(i);
    }
}

/// Joins texts, bytes or lists in the arena.
inline value concatenated(const value& a, const value& b, const instruction& i, machine& m) {
    m.steps += (a.size + b.size) / 16;
    if (a.is(kind::list)) {
        if (a.size == 0) return b;
        if (b.size == 0) return a;
        value* const items = m.memory->array<value>(a.size + b.size);
        if (items == nullptr) return make_error(fault::memory_limit, i.offset);
        for (std::size_t k = 0; k < a.size; ++k) items[k] = item_at(a, k, m.strings);
        for (std::size_t k = 0; k < b.size; ++k) items[a.size + k] = item_at(b, k, m.strings);
        return make_list({items, static_cast<std::size_t>(a.size + b.size)});
    }
    const auto total = static_cast<std::size_t>(a.size + b.size);
    char* const bytes = static_cast<char*>(m.memory->allocate(std::max<std::size_t>(total, 1)));
    if (bytes == nullptr) return make_error(fault::memory_limit, i.offset);
    std::copy_n(a.data, a.size, bytes);
    std::copy_n(b.data, b.size, bytes + a.size);
    return a.is(kind::text) ? make_text({bytes, total}) : make_bytes({bytes, total});
}

inline value time_arithmetic(const value& a, const value& b, const instruction& i) noexcept {
    std::optional<value> made;
    const bool minus = i.op == opcode::subtract;
    if (i.op != opcode::add && !minus) return no_overload(i);
    if (a.is(kind::duration) && b.is(kind::duration))
        made = add_spans(a, b, minus);
    else if (a.is(kind::timestamp) && b.is(kind::duration))
        made = add_time(a, b, minus);
    else if (a.is(kind::duration) && b.is(kind::timestamp) && !minus)
        made = add_time(b, a, false);
    else if (a.is(kind::timestamp) && b.is(kind::timestamp) && minus)
        made = time_difference(a, b);
    else
        return no_overload(i);
    return made ? *made : make_error(fault::out_of_range, i.offset);
}

inline value arithmetic(const value& a, const value& b, const instruction& i, machine& m) {
    if (a.what == b.what) {
        switch (a.what) {
            case kind::integer: return integer_arithmetic(a.integer, b.integer, i);
            case kind::uinteger: return uinteger_arithmetic(a.uinteger, b.uinteger, i);
            case kind::number: return double_arithmetic(a.number, b.number, i);
            case kind::text:
            case kind::bytes:
            case kind::list: return i.op == opcode::add ? concatenated(a, b, i, m) : no_overload(i);
            default: break;
        }
    }
    return time_arithmetic(a, b, i);
}

inline value compared(const value& a, const value& b, const instruction& i) noexcept {
    const ordering o = compare(a, b);
    if (o == ordering::incomparable) return no_overload(i);
    switch (i.op) {
        case opcode::less: return make_boolean(o == ordering::less);
        case opcode::less_equal: return make_boolean(o == ordering::less || o == ordering::equal);
        case opcode::greater: return make_boolean(o == ordering::greater);
        default: return make_boolean(o == ordering::greater || o == ordering::equal);
    }
}

inline value contained(const value& a, const value& b, const instruction& i, machine& m) {
    if (b.is(kind::map)) return make_boolean(find_key(b, a) != nullptr);
    if (!b.is(kind::list)) return no_overload(i);
    m.steps += b.size / 16;
    if (b.coded && a.is(kind::text) && a.code != no_code)
        return make_boolean(std::find(b.codes, b.codes + b.size, a.code) != b.codes + b.size);
    for (std::size_t k = 0; k < b.size; ++k)
        if (equal(a, item_at(b, k, m.strings), m.strings)) return make_boolean(true);
    return make_boolean(false);
}

inline value selected(const value& v, const std::string& name, bool test, std::uint32_t offset) noexcept {
    if (!v.is(kind::map)) return make_error(fault::no_field, offset, name);
    const value* const found = find_key(v, make_text(name));
    if (test) return make_boolean(found != nullptr);
    return found == nullptr ? make_error(fault::no_key, offset, name) : *found;
}

inline value indexed(const value& v, const value& key, const instruction& i, const machine& m) noexcept {
    if (v.is(kind::map)) {
        const value* const found = find_key(v, key);
        return found == nullptr ? make_error(fault::no_key, i.offset) : *found;
    }
    if (!v.is(kind::list) || !key.is_numeric()) return no_overload(i);
    const std::uint64_t count = v.size;
    std::uint64_t at = count;
    if (key.is(kind::integer) && key.integer >= 0) at = static_cast<std::uint64_t>(key.integer);
    if (key.is(kind::uinteger)) at = key.uinteger;
    if (key.is(kind::number) && key.number >= 0 && key.number < static_cast<double>(count)) {
        at = static_cast<std::uint64_t>(key.number);
        if (static_cast<double>(at) != key.number) at = count;
    }
    return at < count ? item_at(v, at, m.strings) : make_error(fault::index_out_of_range, i.offset);
}

inline value timestamp_of_micros(std::int64_t micros) noexcept {
    std::int64_t seconds = micros / 1'000'000;
    std::int64_t rest = micros % 1'000'000;
    if (rest < 0) {
        rest += 1'000'000;
        --seconds;
    }
    return make_timestamp(seconds, static_cast<std::uint32_t>(rest * 1'000));
}

inline value field_value_of(const instruction& i, const program& p, const machine& m) noexcept {
    const cell c = m.where->get({static_cast<role>(i.a), i.b}, m.candidate);
    if (!c.has_value()) return make_error(fault::missing_field, i.offset, p.names[i.c]);
    switch (c.type) {
        case field_type::boolean: return make_boolean(c.integer != 0);
        case field_type::integer: return make_integer(c.integer);
        case field_type::number: return make_number(c.number);
        case field_type::text: return make_text(m.strings->text(c.code), c.code);
        case field_type::timestamp: return timestamp_of_micros(c.integer);
        case field_type::text_list: return make_coded_list(c.codes);
    }
    return no_overload(i);
}

inline value path_value(const path_step& path, const instruction& i, const machine& m) noexcept {
    for (std::size_t length = path.names.size(); length > 0; --length) {
        value v = m.variables == nullptr ? value{} : m.variables[path.variables[length - 1]];
        if (v.is(kind::unbound)) continue;
        for (std::size_t k = length; k < path.names.size() && !v.failed(); ++k) {
            if (!v.is(kind::map)) return make_error(fault::no_field, i.offset, path.names[k]);
            const value* const found = find_key(v, make_text(path.names[k]));
            v = found == nullptr ? make_error(fault::no_key, i.offset, path.names[k]) : *found;
        }
        return v;
    }
    if (path.named != kind::unbound) return make_type(path.named);
    return make_error(fault::unknown_variable, i.b, path.names[0]);
}

inline value conjunction(const value& a, const value& b, const instruction& i, bool absorbing) noexcept {
    // `absorbing` is the value that decides alone: false for &&, true for ||.
    const auto decides = [&](const value& v) { return v.is(kind::boolean) && v.boolean == absorbing; };
    if (decides(a) || decides(b)) return make_boolean(absorbing);
    if (a.failed()) return a;
    if (b.failed()) return b;
    return a.is(kind::boolean) && b.is(kind::boolean) ? make_boolean(!absorbing) : no_overload(i);
}

inline value made_list(const program& p, const instruction& i, machine& m) {
    value* const items = m.memory->array<value>(i.count);
    if (items == nullptr) return make_error(fault::memory_limit, i.offset);
    for (std::uint32_t k = 0; k < i.count; ++k) {
        items[k] = m.registers[p.arguments[i.a + k]];
        if (items[k].failed()) return items[k];
    }
    return make_list({items, i.count});
}

inline value made_map(const program& p, const instruction& i, machine& m) {
    const std::size_t count = i.count / 2;
    map_entry* const entries = m.memory->array<map_entry>(count);
    if (entries == nullptr) return make_error(fault::memory_limit, i.offset);
    for (std::size_t k = 0; k < count; ++k) {
        entries[k] = {m.registers[p.arguments[i.a + 2 * k]], m.registers[p.arguments[i.a + 2 * k + 1]]};
        if (entries[k].key.failed()) return entries[k].key;
        if (entries[k].item.failed()) return entries[k].item;
    }
    const bool keys = std::all_of(entries, entries + count, [](const map_entry& e) {
        return e.key.is(kind::boolean) || e.key.is(kind::integer) || e.key.is(kind::uinteger) || e.key.is(kind::text);
    });
    if (!keys) return make_error(fault::bad_key, i.offset);
    if (!sort_entries({entries, count})) return make_error(fault::repeated_key, i.offset);
    return make_map({entries, count});
}

inline value called(const program& p, const instruction& i, machine& m) {
    std::array<value, most_arguments> arguments{};
    for (std::uint32_t k = 0; k < i.count; ++k) {
        arguments[k] = m.registers[p.arguments[i.a + k]];
        if (arguments[k].failed()) return arguments[k];
    }
    return apply(static_cast<builtin>(i.flag), {arguments.data(), i.count}, {*m.memory, m.strings, i.offset, &m.steps});
}

/// The item a macro's variable takes: an element of a list, a key of a map.
inline value loop_item(const loop_state& s, const machine& m) noexcept {
    return s.range.is(kind::map) ? s.range.entries[s.at].key : item_at(s.range, s.at, m.strings);
}

/// What a macro gives when no item decided.
inline value loop_result(node_kind macro, const loop_state& s) noexcept {
    switch (macro) {
        case node_kind::all: return s.failure.failed() ? s.failure : make_boolean(true);
        case node_kind::exists: return s.failure.failed() ? s.failure : make_boolean(false);
        case node_kind::exists_one: return make_boolean(s.made == 1);
        default: return make_list({s.out, static_cast<std::size_t>(s.made)});
    }
}

/// Starts a macro; returns where to go on.
inline std::uint32_t loop_begin(const instruction& i, std::uint32_t at, machine& m) {
    const auto macro = static_cast<node_kind>(i.flag);
    loop_state& s = m.loops[i.c];
    s = {};
    s.range = m.registers[i.a];
    value& result = m.registers[i.b];
    if (!s.range.is(kind::list) && !s.range.is(kind::map)) {
        result = s.range.failed() ? s.range : no_overload(i);
        return i.b + 1;
    }
    s.count = s.range.size;
    if (macro >= node_kind::map_each && s.count > 0) {
        s.out = m.memory->array<value>(s.count);
        if (s.out == nullptr) {
            result = make_error(fault::memory_limit, i.offset);
            return i.b + 1;
        }
    }
    if (s.count == 0) {
        result = loop_result(macro, s);
        return i.b + 1;
    }
    m.slots[i.c] = loop_item(s, m);
    return at + 1;
}

/// Takes the body's value into account. True when the macro's value is known; it is then in `result`.
inline bool loop_take(const instruction& i, loop_state& s, const value& body, const machine& m, value& result) noexcept {
    const auto macro = static_cast<node_kind>(i.flag);
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
    if (macro == node_kind::map_each || macro == node_kind::map_filtered) {
        s.out[s.made++] = body;
        return false;
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

OPSPILOT_INLINE void run(const program& p, machine& m, std::uint32_t from, std::uint32_t to) {
    value* const r = m.registers.data();
    std::uint32_t at = from;
    while (at < to) {
        const instruction& i = p.code[at];
        value& out = r[at];
        std::uint32_t next = at + 1;
        switch (i.op) {
            case opcode::constant: out = p.constants[i.a]; break;
            case opcode::slot: out = m.slots[i.a]; break;
            case opcode::variable:
                out = m.variables == nullptr ? value{} : m.variables[i.a];
                if (out.is(kind::unbound)) out = make_error(fault::unknown_variable, i.offset, p.variables[i.a]);
                break;
            case opcode::path: out = path_value(p.paths[i.a], i, m); break;
            case opcode::field: out = field_value_of(i, p, m); break;
            case opcode::has_field:
                out = make_boolean(m.where->get({static_cast<role>(i.a), i.b}, m.candidate).has_value());
                break;
            case opcode::now: out = timestamp_of_micros(m.where->now_us); break;
            case opcode::select: out = r[i.a].failed() ? r[i.a] : selected(r[i.a], p.names[i.b], false, i.offset); break;
            case opcode::has: out = r[i.a].failed() ? r[i.a] : selected(r[i.a], p.names[i.b], true, i.offset); break;
            case opcode::call: out = called(p, i, m); break;
            case opcode::search:
                if (r[i.a].failed() || !r[i.a].is(kind::text)) {
                    out = r[i.a].failed() ? r[i.a] : no_overload(i);
                } else if (p.regexes[i.b] == nullptr) {
                    out = make_error(fault::bad_regex, i.offset);
                } else {
                    m.steps += r[i.a].size / 16;
                    out = make_boolean(p.regexes[i.b]->search(r[i.a].view()));
                }
                break;
            case opcode::unknown: out = make_error(fault::unknown_function, i.offset, p.names[i.b]); break;
            case opcode::negate: out = r[i.a].failed() ? r[i.a] : negated(r[i.a], i); break;
            case opcode::not_:
                out = r[i.a].failed() ? r[i.a] : r[i.a].is(kind::boolean) ? make_boolean(!r[i.a].boolean) : no_overload(i);
                break;
            case opcode::and_guard:
                if (r[i.a].is_false()) next = i.b;
                break;
            case opcode::or_guard:
                if (r[i.a].is_true()) next = i.b;
                break;
            // Guarded: when the left side decided, the right register holds something old, which cannot matter.
            case opcode::and_: out = r[i.a].is_false() ? make_boolean(false) : conjunction(r[i.a], r[i.b], i, false); break;
            case opcode::or_: out = r[i.a].is_true() ? make_boolean(true) : conjunction(r[i.a], r[i.b], i, true); break;
            case opcode::branch:
                if (!r[i.a].is_true()) next = r[i.a].is_false() ? i.b : i.c;
                break;
            case opcode::jump: next = i.b; break;
            case opcode::choose:
                if (r[i.a].is(kind::boolean))
                    out = r[i.a].boolean ? r[i.b] : r[i.c];
                else
                    out = r[i.a].failed() ? r[i.a] : no_overload(i);
                break;
            case opcode::list: out = made_list(p, i, m); break;
            case opcode::map: out = made_map(p, i, m); break;
            case opcode::loop: next = loop_begin(i, at, m); break;
            case opcode::loop_filter: {
                loop_state& s = m.loops[i.c];
                if (!r[i.a].is_true()) {
                    s.skipped = r[i.a].is_false();
                    if (!s.skipped) s.failure = r[i.a].failed() ? r[i.a] : no_overload(i);
                    next = i.b;
                }
                break;
            }
            case opcode::loop_end: {
                loop_state& s = m.loops[i.c];
                m.steps += at - i.b;
                if (m.steps > m.step_limit) {
                    out = make_error(fault::cost_limit, i.offset);
                } else if (!loop_take(i, s, r[i.a], m, out)) {
                    if (++s.at < s.count) {
                        m.slots[i.c] = loop_item(s, m);
                        next = i.b + 1;
                    } else {
                        out = loop_result(static_cast<node_kind>(i.flag), s);
                    }
                }
                break;
            }
            default: {  // two operands, both needed
                const value& a = r[i.a];
                const value& b = r[i.b];
                if (a.failed() || b.failed()) {
                    out = a.failed() ? a : b;
                } else if (i.op == opcode::equal) {
                    out = make_boolean(equal(a, b, m.strings));
                } else if (i.op == opcode::not_equal) {
                    out = make_boolean(!equal(a, b, m.strings));
                } else if (i.op == opcode::in) {
                    out = contained(a, b, i, m);
                } else if (i.op == opcode::index) {
                    out = indexed(a, b, i, m);
                } else if (i.op >= opcode::less && i.op <= opcode::greater_equal) {
                    out = compared(a, b, i);
                } else {
                    out = arithmetic(a, b, i, m);
                }
                break;
            }
        }
        at = next;
    }
}

OPSPILOT_INLINE value run_all(const program& p, machine& m) {
    m.prepare(p);
    run(p, m, 0, static_cast<std::uint32_t>(p.code.size()));
    return m.registers[p.result];
}

}  // namespace opspilot::cel::detail
