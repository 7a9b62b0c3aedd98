#pragma once

#include "opspilot/policy/detail/cel/machine_loops.hpp"
#include "opspilot/policy/detail/cel/machine_values.hpp"
#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

OPSPILOT_INLINE void machine::prepare(const program& p) {
    if (registers.size() < p.code.size()) registers.resize(p.code.size());
    if (slots.size() < p.slots) slots.resize(p.slots);
    if (loops.size() < p.slots) loops.resize(p.slots);
    steps = 0;
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
            case opcode::optional_field: out = optional_field_of(i, p, m); break;
            case opcode::now: out = timestamp_of_micros(m.where->now_us); break;
            case opcode::select: out = r[i.a].failed() ? r[i.a] : selected(r[i.a], p.names[i.b], access::plain, i); break;
            case opcode::optional_select:
                out = r[i.a].failed() ? r[i.a] : selected(r[i.a], p.names[i.b], access::optional, i);
                break;
            case opcode::has: out = r[i.a].failed() ? r[i.a] : selected(r[i.a], p.names[i.b], access::test, i); break;
            case opcode::maybe:
                if (r[i.a].is(kind::optional))
                    out = r[i.a].size > 0 ? *r[i.a].items : value{};
                else
                    out = r[i.a].failed() ? r[i.a] : no_overload(i);
                break;
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
            case opcode::lookup: out = looked_up(p, i, m); break;
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
                        loop_set(s, i, m);
                        next = i.b + 1;
                    } else {
                        out = loop_result(static_cast<node_kind>(i.flag), s, i);
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
                    out = equated(a, b, i, m);
                } else if (i.op == opcode::not_equal) {
                    out = equated(a, b, i, m);
                    if (!out.failed()) out.boolean = !out.boolean;
                } else if (i.op == opcode::in) {
                    out = contained(a, b, i, m);
                } else if (i.op == opcode::index) {
                    out = indexed(a, b, access::plain, i, m);
                } else if (i.op == opcode::optional_index) {
                    out = indexed(a, b, access::optional, i, m);
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
