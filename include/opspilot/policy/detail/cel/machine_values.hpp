/// \file
/// Internal: what single instructions make of their operands.
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "opspilot/policy/detail/cel/optionals.hpp"
#include "opspilot/policy/detail/cel/program.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel::detail {

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

inline call_context context_of(const instruction& i, machine& m) noexcept { return {*m.memory, m.strings, i.offset, &m.steps}; }

/// A list, map or optional gets the depth of what is in it and one more; too deep a one is an error.
inline value nested(value v, std::uint32_t inside, const instruction& i) noexcept {
    if (inside >= deepest_value) return make_error(fault::too_deep, i.offset);
    v.depth = static_cast<std::uint16_t>(inside + 1);
    return v;
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
        value joined = make_list({items, static_cast<std::size_t>(a.size + b.size)});
        joined.depth = std::max(a.depth, b.depth);
        return joined;
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

/// Equality within the budget of steps, or the error that it ran out.
inline value equated(const value& a, const value& b, const instruction& i, machine& m) noexcept {
    constexpr std::uint64_t values_per_step = 4;
    const std::uint64_t budget = values_per_step * (m.step_limit - std::min(m.step_limit, m.steps)) + 1;
    std::uint64_t left = budget;
    const bool same = equal(a, b, m.strings, left);
    m.steps += (budget - left) / values_per_step;
    return left == 0 ? make_error(fault::cost_limit, i.offset) : make_boolean(same);
}

inline value contained(const value& a, const value& b, const instruction& i, machine& m) {
    if (b.is(kind::map)) return make_boolean(find_key(b, a) != nullptr);
    if (!b.is(kind::list)) return no_overload(i);
    m.steps += b.size / 16;
    if (b.coded && a.is(kind::text) && a.code != no_code)
        return make_boolean(std::find(b.codes, b.codes + b.size, a.code) != b.codes + b.size);
    for (std::size_t k = 0; k < b.size; ++k) {
        const value same = equated(a, item_at(b, k, m.strings), i, m);
        if (!same.is_false()) return same;
    }
    return make_boolean(false);
}

/// How a selection or index looks into its operand.
enum class access : std::uint8_t { plain, test, optional };

/// v.name, has(v.name), v.?name. Through an optional: nothing stays nothing, and what is found is an optional.
inline value selected(const value& v, const std::string& name, access how, const instruction& i) noexcept {
    const bool chained = v.is(kind::optional);
    if (chained && v.size == 0) return how == access::test ? make_boolean(false) : v;
    const value& from = chained ? *v.items : v;
    if (!from.is(kind::map)) return make_error(fault::no_field, i.offset, name);
    const value* const found = find_key(from, make_text(name));
    if (how == access::test) return make_boolean(found != nullptr);
    if (chained || how == access::optional) return nested(make_optional(found), found == nullptr ? 0 : found->depth, i);
    return found == nullptr ? make_error(fault::no_key, i.offset, name) : *found;
}

inline value item_of(const value& v, const value& key, const instruction& i, const machine& m) noexcept {
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

/// v[key] and v[?key]; through an optional as `selected`.
inline value indexed(const value& v, const value& key, access how, const instruction& i, machine& m) {
    const bool chained = v.is(kind::optional);
    if (chained && v.size == 0) return v;
    const value found = item_of(chained ? *v.items : v, key, i, m);
    if (!chained && how == access::plain) return found;
    if (found.failed()) {
        const bool absent = found.why() == fault::no_key || found.why() == fault::index_out_of_range;
        return absent ? make_optional(nullptr) : found;
    }
    return some(found, context_of(i, m));
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

/// task.?region: what is missing is nothing, not an error.
inline value optional_field_of(const instruction& i, const program& p, machine& m) {
    const value v = field_value_of(i, p, m);
    return v.failed() ? make_optional(nullptr) : some(v, context_of(i, m));
}

inline value path_value(const path_step& path, const instruction& i, const machine& m) noexcept {
    for (const path_step::choice& c : path.choices) {
        value v = m.variables == nullptr ? value{} : m.variables[c.variable];
        if (v.is(kind::unbound)) continue;
        for (std::size_t k = c.length; k < path.names.size() && !v.failed(); ++k) {
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

/// Of the items of a literal, the ones after '?' that are nothing are left out.
inline value made_list(const program& p, const instruction& i, machine& m) {
    value* const items = m.memory->array<value>(i.count);
    if (items == nullptr) return make_error(fault::memory_limit, i.offset);
    std::size_t made = 0;
    std::uint32_t depth = 0;
    for (std::uint32_t k = 0; k < i.count; ++k) {
        const value& v = m.registers[p.arguments[i.a + k]];
        if (v.failed()) return v;
        if (v.is(kind::unbound)) continue;
        items[made++] = v;
        depth = std::max<std::uint32_t>(depth, v.depth);
    }
    return nested(make_list({items, made}), depth, i);
}

inline value made_map(const program& p, const instruction& i, machine& m) {
    map_entry* const entries = m.memory->array<map_entry>(i.count / 2);
    if (entries == nullptr) return make_error(fault::memory_limit, i.offset);
    std::size_t made = 0;
    std::uint32_t depth = 0;
    for (std::size_t k = 0; k < i.count / 2; ++k) {
        const value& key = m.registers[p.arguments[i.a + 2 * k]];
        const value& item = m.registers[p.arguments[i.a + 2 * k + 1]];
        if (key.failed() || item.failed()) return key.failed() ? key : item;
        if (!key.is(kind::boolean) && !key.is(kind::integer) && !key.is(kind::uinteger) && !key.is(kind::text))
            return make_error(fault::bad_key, i.offset);
        if (item.is(kind::unbound)) continue;
        entries[made++] = {key, item};
        depth = std::max<std::uint32_t>(depth, item.depth);
    }
    if (!sort_entries({entries, made})) return make_error(fault::repeated_key, i.offset);
    return nested(make_map({entries, made}), depth, i);
}

inline value called(const program& p, const instruction& i, machine& m) {
    std::array<value, 4> few{};
    value* const arguments = i.count <= few.size() ? few.data() : m.memory->array<value>(i.count);
    if (arguments == nullptr) return make_error(fault::memory_limit, i.offset);
    for (std::uint32_t k = 0; k < i.count; ++k) {
        arguments[k] = m.registers[p.arguments[i.a + k]];
        if (arguments[k].failed()) return arguments[k];
    }
    const call_context context = context_of(i, m);
    const auto function = static_cast<builtin>(i.flag);
    const value v = function == builtin::library ? overloads()[i.b].run({arguments, i.count}, context)
                                                 : apply(function, {arguments, i.count}, context);
    return m.steps > m.step_limit ? make_error(fault::cost_limit, i.offset) : v;
}

/// What a table gives for a key. Failing arguments fail it, also what it would give otherwise, as in any call.
inline value looked_up(const program& p, const instruction& i, machine& m) noexcept {
    const value& key = m.registers[i.a];
    if (key.failed()) return key;
    if (i.count > 2 && m.registers[i.c].failed()) return m.registers[i.c];
    const lookup_table& table = p.tables->tables[i.b];
    if (!key.is(table.key)) return no_overload(i);
    if (key.is(kind::text)) m.steps += key.size / 16;
    if (const value* const found = i.count > 2 ? find_key(table.rows, key) : table.find(key)) return *found;
    return i.count > 2 ? m.registers[i.c] : make_error(fault::not_in_table, i.offset, table.name);
}

}  // namespace opspilot::cel::detail
