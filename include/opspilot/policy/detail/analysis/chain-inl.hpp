#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "opspilot/policy/detail/analysis/tests.hpp"
#include "opspilot/policy/detail/cel/machine_values.hpp"

namespace opspilot::detail::analysis {

OPSPILOT_INLINE std::optional<chain> chain::of(const cel::detail::checked& c, std::uint32_t node) {
    using cel::detail::node_kind;
    using cel::detail::reference;
    namespace types = cel::detail::types;
    chain out;
    std::vector<step> outermost_first;
    std::uint32_t at = node;
    for (std::size_t depth = 0; depth < 32; ++depth) {
        const cel::detail::node& n = c.ast.nodes[at];
        const cel::detail::meaning& m = c.meanings[at];
        const cel::detail::type_id t = c.types[at];
        if (!cel::detail::is_number(t) && t != types::timestamp && t != types::duration) return {};
        if (m.what == reference::now || (m.what == reference::field && n.kind == node_kind::select)) {
            out.field_ = m.what == reference::now ? time_of_decision : id_of(m.where);
            out.steps_.assign(std::make_move_iterator(outermost_first.rbegin()), std::make_move_iterator(outermost_first.rend()));
            return out;
        }
        step s;
        s.how = n.kind;
        switch (n.kind) {
            case node_kind::negate:
                out.rises_ = !out.rises_;
                at = c.ast.child(at, 0);
                break;
            case node_kind::call: {  // conversions between numbers that keep the order
                if (n.count != 1 || (n.name != "double" && n.name != "int") || !cel::detail::is_number(t)) return {};
                at = c.ast.child(at, 0);
                if (c.types[at] != types::integer && c.types[at] != types::number) return {};
                s.to_number = n.name == "double";
                break;
            }
            case node_kind::add:
            case node_kind::subtract:
            case node_kind::multiply:
            case node_kind::divide: {
                const std::uint32_t left = c.ast.child(at, 0), right = c.ast.child(at, 1);
                auto constant = literal_of(c, right);
                if (!constant) {
                    constant = literal_of(c, left);
                    s.constant_first = true;
                }
                if (!constant) return {};
                const cel::value& v = constant->value;
                // Finite, so that no step makes what is no number; factors not 0, so that no step forgets its operand.
                if (v.is(cel::kind::number) && !std::isfinite(v.number)) return {};
                if (n.kind == node_kind::multiply || n.kind == node_kind::divide) {
                    if (n.kind == node_kind::divide && s.constant_first) return {};
                    const bool number = v.is(cel::kind::number);
                    if (!number && !v.is(cel::kind::integer)) return {};
                    if (number ? v.number == 0 : v.integer == 0) return {};
                    if (number ? v.number < 0 : v.integer < 0) out.rises_ = !out.rises_;
                } else if (n.kind == node_kind::subtract && s.constant_first) {
                    out.rises_ = !out.rises_;
                }
                if (v.is(cel::kind::uinteger)) return {};
                s.constant = std::move(*constant);
                at = s.constant_first ? right : left;
                break;
            }
            default: return {};
        }
        outermost_first.push_back(std::move(s));
    }
    return {};
}

/// Which end of its range an operation on a and b left: 1 the upper, -1 the lower.
inline int side_left(cel::detail::node_kind how, const cel::value& a, const cel::value& b) noexcept {
    using cel::detail::node_kind;
    const auto sign = [](const cel::value& v) { return v.integer < 0 ? -1 : 1; };
    switch (how) {
        case node_kind::multiply:
        case node_kind::divide: return sign(a) * sign(b);  // the one quotient is -2^63 / -1
        case node_kind::subtract:
            if (a.is(cel::kind::timestamp) && b.is(cel::kind::timestamp)) return a.integer < b.integer ? -1 : 1;
            if (a.is(cel::kind::timestamp)) {  // the sum itself says which end of the years it passed
                const std::int64_t sum = a.integer - b.integer;
                return sum < 0 ? -1 : 1;
            }
            return -sign(b);
        case node_kind::add:
            if (a.is(cel::kind::timestamp) || b.is(cel::kind::timestamp)) return a.integer + b.integer < 0 ? -1 : 1;
            return sign(b);
        default: return 1;
    }
}

OPSPILOT_INLINE chain::place chain::at(const cel::value& x) const {
    using cel::detail::node_kind;
    using cel::detail::opcode;
    cel::value v = x;
    int direction = 1;  // whether what was computed so far rises with x
    for (const step& s : steps_) {
        const cel::value& a = s.constant_first ? s.constant.value : v;
        const cel::value& b = s.constant_first ? v : s.constant.value;
        cel::detail::instruction i;
        cel::value made;
        int side = 1;
        switch (s.how) {
            case node_kind::negate:
                made = cel::detail::negated(v, i);
                direction = -direction;
                break;  // fails for the lowest int alone, beyond the upper end
            case node_kind::call:
                if (s.to_number) {
                    made = v.is(cel::kind::number) ? v : cel::make_number(static_cast<double>(v.integer));
                } else if (v.is(cel::kind::integer)) {
                    made = v;
                } else {
                    // As the conversion does it: the ends themselves are refused.
                    const bool fits = v.number > -9223372036854775808.0 && v.number < 9223372036854775808.0;
                    made =
                        fits ? cel::make_integer(static_cast<std::int64_t>(v.number)) : cel::make_error(cel::fault::out_of_range);
                    side = v.number < 0 ? -1 : 1;
                }
                break;
            default:
                i.op = s.how == node_kind::add        ? opcode::add
                       : s.how == node_kind::subtract ? opcode::subtract
                       : s.how == node_kind::multiply ? opcode::multiply
                                                      : opcode::divide;
                if (a.is(cel::kind::integer) && b.is(cel::kind::integer))
                    made = cel::detail::integer_arithmetic(a.integer, b.integer, i);
                else if (a.is(cel::kind::number) && b.is(cel::kind::number))
                    made = cel::detail::double_arithmetic(a.number, b.number, i);
                else
                    made = cel::detail::time_arithmetic(a, b, i);
                if (made.failed()) side = side_left(s.how, a, b);
                if (s.how == node_kind::multiply || s.how == node_kind::divide) {
                    const cel::value& k = s.constant.value;
                    if (k.is(cel::kind::number) ? k.number < 0 : k.integer < 0) direction = -direction;
                } else if (s.how == node_kind::subtract && s.constant_first) {
                    direction = -direction;
                }
        }
        if (made.failed()) return {made, side * direction};
        v = made;
    }
    return {v, 0};
}

}  // namespace opspilot::detail::analysis
