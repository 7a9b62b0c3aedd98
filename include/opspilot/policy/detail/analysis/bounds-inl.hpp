#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "opspilot/policy/detail/analysis/tests.hpp"

namespace opspilot::detail::analysis {

/// What is known of every node of a tree, children first. Errs towards "may fail" and wide ranges.
class bounds_finder {
public:
    bounds_finder(const cel::detail::checked& c, const schema& s) : c_(c), schema_(s) {}

    std::vector<bounds> run() {
        known_.resize(c_.ast.nodes.size());
        for (std::uint32_t i = 0; i < known_.size(); ++i) known_[i] = visit(i);
        return std::move(known_);
    }

private:
    using kind = cel::detail::node_kind;

    [[nodiscard]] const bounds& child(std::uint32_t i, std::uint32_t k) const { return known_[c_.ast.child(i, k)]; }
    [[nodiscard]] cel::detail::type_id type(std::uint32_t i, std::uint32_t k) const { return c_.types[c_.ast.child(i, k)]; }

    [[nodiscard]] static bounds of_total(bool total) {
        bounds b;
        b.total = total;
        return b;
    }
    [[nodiscard]] bounds of_field(schema::path p) const {
        const field& f = schema_.at(p);
        bounds b = of_total(true);
        b.nan = false;
        if (f.type == field_type::number) {
            b.from = f.min.value_or(std::numeric_limits<double>::lowest());
            b.to = f.max.value_or(std::numeric_limits<double>::max());
        } else if (f.type == field_type::integer) {
            // Outwards to whole numbers that a double holds.
            if (f.min && *f.min > -9e18) b.low = static_cast<std::int64_t>(std::floor(std::min(*f.min, 9e18)));
            if (f.max && *f.max < 9e18) b.high = static_cast<std::int64_t>(std::ceil(std::max(*f.max, -9e18)));
        }
        return b;
    }

    [[nodiscard]] bounds arithmetic(std::uint32_t i) const {
        const bounds &a = child(i, 0), &b = child(i, 1);
        const kind how = c_.ast.nodes[i].kind;
        const cel::detail::type_id t = c_.types[i];
        namespace types = cel::detail::types;
        const bool both = a.total && b.total;
        if (t == types::number && type(i, 0) == types::number && type(i, 1) == types::number) return of_doubles(a, b, how, both);
        if (t == types::integer && type(i, 0) == types::integer && type(i, 1) == types::integer) return of_ints(a, b, how, both);
        // Texts and lists that are joined; times may leave their range.
        return of_total(both && how == kind::add && (t == types::text || c_.pool.is_list(t)));
    }
    static bounds of_ints(const bounds& a, const bounds& b, kind how, bool total) {
        bounds out;
        if (how == kind::divide || how == kind::modulo) {
            const bool by_zero = b.low <= 0 && b.high >= 0;
            const bool over = a.low == INT64_MIN && b.low <= -1 && b.high >= -1;
            out.total = total && !by_zero && !over;
            return out;
        }
        std::array<std::int64_t, 4> ends{};
        bool over = false;
        const auto end = [&](std::size_t at, std::int64_t x, std::int64_t y) {
            if (how == kind::add)
                over |= __builtin_add_overflow(x, y, &ends[at]);
            else if (how == kind::subtract)
                over |= __builtin_sub_overflow(x, y, &ends[at]);
            else
                over |= __builtin_mul_overflow(x, y, &ends[at]);
        };
        end(0, a.low, b.low);
        end(1, a.low, b.high);
        end(2, a.high, b.low);
        end(3, a.high, b.high);
        if (over) return out;
        out.total = total;
        out.low = *std::min_element(ends.begin(), ends.end());
        out.high = *std::max_element(ends.begin(), ends.end());
        return out;
    }
    /// Rounding keeps the order, so the ends of a sum or product are those of its operands.
    static bounds of_doubles(const bounds& a, const bounds& b, kind how, bool total) {
        bounds out = of_total(total);
        const auto infinite = [](const bounds& x) { return std::isinf(x.from) || std::isinf(x.to); };
        const auto zero = [](const bounds& x) { return x.from <= 0 && x.to >= 0; };
        out.nan = a.nan || b.nan;
        std::array<double, 4> ends{};
        switch (how) {
            case kind::add:
                out.nan = out.nan || (a.to == -b.from && std::isinf(a.to)) || (b.to == -a.from && std::isinf(b.to));
                ends = {a.from + b.from, a.to + b.to, a.from + b.from, a.to + b.to};
                break;
            case kind::subtract:
                out.nan = out.nan || (a.to == b.to && std::isinf(a.to)) || (a.from == b.from && std::isinf(a.from));
                ends = {a.from - b.to, a.to - b.from, a.from - b.to, a.to - b.from};
                break;
            case kind::multiply:
                out.nan = out.nan || (infinite(a) && zero(b)) || (infinite(b) && zero(a));
                ends = {a.from * b.from, a.from * b.to, a.to * b.from, a.to * b.to};
                break;
            default:
                if (zero(b) || infinite(b)) {
                    out.nan = true;
                    return out;
                }
                ends = {a.from / b.from, a.from / b.to, a.to / b.from, a.to / b.to};
        }
        if (out.nan || std::any_of(ends.begin(), ends.end(), [](double x) { return std::isnan(x); })) return out;
        out.from = *std::min_element(ends.begin(), ends.end());
        out.to = *std::max_element(ends.begin(), ends.end());
        return out;
    }

    [[nodiscard]] bool all_total(std::uint32_t i) const {
        for (std::uint32_t k = 0; k < c_.ast.nodes[i].count; ++k)
            if (!child(i, k).total) return false;
        return true;
    }
    [[nodiscard]] bool typed(std::uint32_t i) const {
        for (std::uint32_t k = 0; k < c_.ast.nodes[i].count; ++k)
            if (cel::detail::unknown(type(i, k))) return false;
        return true;
    }

    [[nodiscard]] bounds looked_up(std::uint32_t i, bool sound) const {
        const cel::detail::lookup_table& table = c_.tables->tables[c_.meanings[i].index];
        const bool own = c_.ast.nodes[i].count > 2;  // gives what the call says where there is no row
        bounds b = of_total(sound && (own || !table.otherwise.is(cel::kind::unbound)));
        b.nan = own && child(i, 2).nan;
        if (table.item == cel::kind::integer) {
            b.low = own ? std::min(table.low, child(i, 2).low) : table.low;
            b.high = own ? std::max(table.high, child(i, 2).high) : table.high;
        } else if (table.item == cel::kind::number) {
            b.from = own ? std::min(table.from, child(i, 2).from) : table.from;
            b.to = own ? std::max(table.to, child(i, 2).to) : table.to;
        }
        return b;
    }
    [[nodiscard]] bounds called(std::uint32_t i) const {
        const cel::detail::node& n = c_.ast.nodes[i];
        namespace types = cel::detail::types;
        const bool sound = all_total(i) && typed(i);
        const auto is = [&](std::string_view name) { return n.name == name; };
        if (is("size")) {
            bounds b = of_total(sound);
            b.low = 0;
            return b;
        }
        if (is("contains") || is("startsWith") || is("endsWith") || is("hasValue") || is("orValue")) return of_total(sound);
        if (is("matches")) return of_total(sound && c_.ast.nodes[c_.ast.child(i, 1)].kind == kind::text);
        if (c_.meanings[i].what == cel::detail::reference::lookup) return looked_up(i, sound);
        if (n.count == 1 && !n.member && (is("double") || is("int")) && type(i, 0) == types::integer) {
            bounds b = child(i, 0);
            if (is("double")) {
                b.nan = false;
                b.from = static_cast<double>(b.low);
                b.to = static_cast<double>(b.high);
            }
            return b;
        }
        return {};
    }

    [[nodiscard]] bounds visit(std::uint32_t i) const {
        const cel::detail::node& n = c_.ast.nodes[i];
        using cel::detail::reference;
        namespace types = cel::detail::types;
        const cel::detail::meaning& m = c_.meanings[i];
        switch (m.what) {
            case reference::now:
            case reference::type:
            case reference::optional_field:
            case reference::absorbed: return of_total(true);
            case reference::field: return n.kind == kind::has ? of_total(true) : of_field(m.where);
            case reference::variable:
            case reference::path: return {};
            default: break;
        }
        switch (n.kind) {
            case kind::null:
            case kind::boolean:
            case kind::uinteger:
            case kind::text:
            case kind::bytes:
            case kind::slot: return of_total(true);
            case kind::integer: {
                bounds b = of_total(true);
                b.low = b.high = n.integer;
                return b;
            }
            case kind::number: {
                bounds b = of_total(true);
                b.nan = std::isnan(n.number);
                b.from = b.to = n.number;
                return b;
            }
            case kind::negate: {
                const bounds& a = child(i, 0);
                bounds b = a;
                if (c_.types[i] == types::number) {
                    b.from = -a.to;
                    b.to = -a.from;
                    return b;
                }
                if (c_.types[i] != types::integer || a.low == INT64_MIN) return {};
                b.low = -a.high;
                b.high = -a.low;
                return b;
            }
            case kind::not_:
            case kind::and_:
            case kind::or_: {
                bool booleans = true;
                for (std::uint32_t k = 0; k < n.count; ++k) booleans = booleans && type(i, k) == types::boolean;
                return of_total(booleans && all_total(i));
            }
            case kind::conditional: return of_total(type(i, 0) == types::boolean && all_total(i));
            case kind::add:
            case kind::subtract:
            case kind::multiply:
            case kind::divide:
            case kind::modulo: return arithmetic(i);
            case kind::equal:
            case kind::not_equal: return of_total(all_total(i));
            case kind::less:
            case kind::less_equal:
            case kind::greater:
            case kind::greater_equal:
            case kind::in: return of_total(all_total(i) && typed(i));
            case kind::list: return of_total(all_total(i));
            case kind::all:
            case kind::exists:
            case kind::exists_one:
                return of_total(all_total(i) && typed(i) && type(i, 1) == types::boolean && !c_.pool.is_map(type(i, 0)));
            case kind::call: return called(i);
            default: return {};
        }
    }

    const cel::detail::checked& c_;
    const schema& schema_;
    std::vector<bounds> known_;
};

}  // namespace opspilot::detail::analysis
