/// \file
/// Internal: what operators, macros and functions take and give; checker-inl.hpp has the names.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"

namespace opspilot::cel::detail {

/// What the checks below share: types so far, and findings.
class checker_state {
protected:
    checker_state(checked& out, const environment& env) : out_(out), ast_(out.ast), pool_(out.pool), env_(env) {}

    using index = std::uint32_t;

    /// What is open alone is not known.
    [[nodiscard]] type_id type(index n) const noexcept { return out_.types[n] == types::open ? types::dyn : out_.types[n]; }
    [[nodiscard]] std::string named(type_id t) const { return pool_.text(t); }

    void report(std::string_view code, const node& n, std::string message, std::string hint = {}) {
        if (!env_.check) return;  // found out when it is evaluated
        out_.remarks.push_back({{code, std::move(message), std::move(hint), n.offset,
                                 std::max<std::uint32_t>(1, n.stop > n.offset ? n.stop - n.offset : 1)},
                                true});
    }
    void warn(std::string_view code, const node& n, std::string message, std::string hint = {}) {
        out_.remarks.push_back({{code, std::move(message), std::move(hint), n.offset, 1}, false});
    }

    checked& out_;
    const tree& ast_;
    type_pool& pool_;
    const environment& env_;
    std::vector<type_id> slots_;
};

/// Types of operators, literals, macros and calls.
class operator_checker : protected checker_state {
protected:
    using checker_state::checker_state;

    void want_boolean(index i, std::uint32_t child, std::string_view what) {
        const index c = ast_.child(i, child);
        if (type(c) == types::boolean || type(c) == types::dyn) return;
        report("policy.type", ast_.nodes[c], fmt::format("{} takes a bool, found {}", what, named(type(c))),
               is_number(type(c))       ? "compare it with a number"
               : type(c) == types::text ? "compare it with a text"
                                        : "");
    }

    /// Message and cure for two operands that do not go together.
    type_id mismatch(index i, std::string_view op) {
        const index a = ast_.child(i, 0), b = ast_.child(i, 1);
        std::string hint;
        if (is_number(type(a)) && is_number(type(b)) && type(a) != type(b)) {
            const index literal = ast_.nodes[b].kind == node_kind::integer ? b : a;
            const index other = literal == b ? a : b;
            if (ast_.nodes[literal].kind == node_kind::integer && type(other) == types::number)
                hint = fmt::format("write {}.0", ast_.text_of(literal));
            else if (ast_.nodes[literal].kind == node_kind::integer && type(other) == types::uinteger)
                hint = fmt::format("write {}u", ast_.text_of(literal));
            else
                hint = fmt::format("convert one of them: {}(…)", type(a) == types::number ? "double" : named(type(a)));
        } else if (type(a) == types::null || type(b) == types::null) {
            hint = "test has(…) for a field that may be missing";
        }
        report("policy.type", ast_.nodes[i], fmt::format("no '{}' of {} and {}", op, named(type(a)), named(type(b))), hint);
        return types::dyn;
    }

    type_id negated(index i) {
        const type_id t = type(ast_.child(i, 0));
        if (t == types::integer || t == types::number || t == types::dyn) return t;
        report("policy.type", ast_.nodes[i], fmt::format("no '-' of {}", named(t)));
        return types::dyn;
    }

    type_id added(index i) {
        const type_id a = type(ast_.child(i, 0)), b = type(ast_.child(i, 1));
        if (a == types::dyn || b == types::dyn)
            return a == types::timestamp || b == types::timestamp ? types::timestamp : types::dyn;
        if (a == b && (is_number(a) || a == types::text || a == types::bytes || a == types::duration)) return a;
        if (pool_.is_list(a) && pool_.is_list(b)) {
            const type_id t = pool_.join(a, b);
            return t == types::dyn ? types::list : t;
        }
        if ((a == types::timestamp && b == types::duration) || (a == types::duration && b == types::timestamp))
            return types::timestamp;
        return mismatch(i, "+");
    }

    type_id subtracted(index i) {
        const type_id a = type(ast_.child(i, 0)), b = type(ast_.child(i, 1));
        if (a == types::dyn || b == types::dyn) return types::dyn;
        if (a == b && (is_number(a) || a == types::duration)) return a;
        if (a == types::timestamp && b == types::timestamp) return types::duration;
        if (a == types::timestamp && b == types::duration) return types::timestamp;
        return mismatch(i, "-");
    }

    type_id multiplied(index i, std::string_view op, bool doubles) {
        const type_id a = type(ast_.child(i, 0)), b = type(ast_.child(i, 1));
        if (a == types::dyn && b == types::dyn) return types::dyn;
        const type_id t = a == types::dyn ? b : a;
        const bool known = is_number(t) && (doubles || t != types::number);
        if (known && (a == b || a == types::dyn || b == types::dyn)) return a == b ? a : types::dyn;
        return mismatch(i, op);
    }

    type_id equated(index i) {
        const index a = ast_.child(i, 0), b = ast_.child(i, 1);
        if (!pool_.comparable(type(a), type(b))) {
            mismatch(i, ast_.nodes[i].kind == node_kind::equal ? "==" : "!=");
        } else {
            warn_undeclared(a, b);
            warn_undeclared(b, a);
        }
        return types::boolean;
    }

    type_id ordered(index i) {
        const type_id a = type(ast_.child(i, 0)), b = type(ast_.child(i, 1));
        const auto orderable = [](type_id t) {
            return is_number(t) || t == types::dyn || t == types::boolean || t == types::text || t == types::bytes ||
                   t == types::timestamp || t == types::duration;
        };
        if (!orderable(a) || !orderable(b) || !pool_.comparable(a, b)) {
            constexpr std::array<std::string_view, 4> ops{"<", "<=", ">", ">="};
            mismatch(i, ops[static_cast<std::size_t>(ast_.nodes[i].kind) - static_cast<std::size_t>(node_kind::less)]);
        }
        return types::boolean;
    }

    type_id contained(index i) {
        const index a = ast_.child(i, 0), b = ast_.child(i, 1);
        const type_id t = type(b);
        if (t == types::dyn) return types::boolean;
        if (pool_.is_list(t) || pool_.is_map(t)) {
            if (!pool_.comparable(type(a), pool_.first(t)))
                mismatch(i, "in");
            else if (ast_.nodes[b].kind == node_kind::list)
                for (std::uint32_t c = 0; c < ast_.nodes[b].count; ++c) warn_undeclared(a, ast_.child(b, c));
            return types::boolean;
        }
        report("policy.type", ast_.nodes[i], fmt::format("'in' looks into a list or a map, found {}", named(t)),
               t == types::text ? "use text.contains(part)" : "");
        return types::boolean;
    }

    /// A field with declared values compared with a text that is none of them.
    void warn_undeclared(index field_node, index literal) {
        if (out_.meanings[field_node].what != reference::field || ast_.nodes[literal].kind != node_kind::text) return;
        const opspilot::field& f = env_.records->at(out_.meanings[field_node].where);
        if (f.values.empty() || std::find(f.values.begin(), f.values.end(), ast_.nodes[literal].name) != f.values.end()) return;
        const std::vector<std::string_view> known(f.values.begin(), f.values.end());
        std::string hint = did_you_mean(ast_.nodes[literal].name, known);
        if (hint.empty())
            hint = fmt::format(
                "declared: {}",
                fmt::join(known.begin(), known.begin() + std::min<std::ptrdiff_t>(8, static_cast<std::ptrdiff_t>(known.size())),
                          ", "));
        warn("policy.value_not_declared", ast_.nodes[literal],
             fmt::format("{} is not a declared value of {}.{}", quote(ast_.nodes[literal].name),
                         opspilot::name(out_.meanings[field_node].where.where), f.name),
             std::move(hint));
    }

    type_id chosen(index i) {
        want_boolean(i, 0, "the condition of '? :'");
        const type_id a = type(ast_.child(i, 1)), b = type(ast_.child(i, 2));
        if (a == b) return a;
        if (a == types::dyn || b == types::dyn) return types::dyn;
        const type_id t = pool_.join(a, b);
        if (t == types::dyn)
            report("policy.type", ast_.nodes[i], fmt::format("the two sides of ':' differ: {} and {}", named(a), named(b)),
                   "wrap one in dyn(…) if that is meant");
        return t;
    }

    /// a[b] and a[?b]; of an optional both give an optional.
    type_id indexed(index i, bool optional) {
        const index a = ast_.child(i, 0), b = ast_.child(i, 1);
        type_id t = type(a);
        if (pool_.is_optional(t)) {
            optional = true;
            t = pool_.first(t);
        }
        const auto given = [&](type_id item) { return optional ? pool_.optional_of(item) : item; };
        if (unknown(t)) return given(types::dyn);
        if (pool_.is_list(t)) {
            if (type(b) != types::integer && type(b) != types::dyn)
                report("policy.type", ast_.nodes[i], fmt::format("a list is indexed by int, found {}", named(type(b))));
            return given(pool_.first(t));
        }
        if (pool_.is_map(t)) {
            if (!pool_.comparable(type(b), pool_.first(t)))
                report("policy.type", ast_.nodes[i], fmt::format("the keys of {} are no {}", named(t), named(type(b))));
            return given(pool_.second(t));
        }
        report("policy.type", ast_.nodes[i], fmt::format("no index into {}", named(t)));
        return given(types::dyn);
    }

    /// What is in the optional after the '?' of a literal.
    type_id inside(index i) {
        const type_id t = type(ast_.child(i, 0));
        if (pool_.is_optional(t)) return pool_.first(t);
        if (t != types::dyn)
            report("policy.type", ast_.nodes[i], fmt::format("'?' takes an optional, found {}", named(t)),
                   "leave the '?' out, or wrap it in optional.of(…)");
        return types::dyn;
    }

    type_id listed(index i) {
        const node& n = ast_.nodes[i];
        if (n.count == 0) return types::empty_list;
        type_id item = out_.types[ast_.child(i, 0)];
        for (std::uint32_t c = 1; c < n.count; ++c) item = pool_.join(item, out_.types[ast_.child(i, c)]);
        return pool_.list_of(item);
    }

    type_id mapped(index i) {
        const node& n = ast_.nodes[i];
        if (n.count == 0) return types::empty_map;
        type_id key = type(ast_.child(i, 0)), item = out_.types[ast_.child(i, 1)];
        for (std::uint32_t c = 0; c < n.count; c += 2) {
            const index k = ast_.child(i, c);
            const type_id t = type(k);
            if (t != types::dyn && t != types::boolean && t != types::integer && t != types::uinteger && t != types::text)
                report("policy.type", ast_.nodes[k], fmt::format("a map key cannot be {}", named(t)),
                       "use bool, int, uint or string");
            key = pool_.join(key, t);
            item = pool_.join(item, out_.types[ast_.child(i, c + 1)]);
        }
        return pool_.map_of(key, item);
    }

    /// Gives the variables of a macro their types, once that of its range is known.
    void declare(index range, const node& macro) {
        type_id t = out_.types[range];
        const auto slot = static_cast<std::size_t>(macro.integer);
        slots_[slot] = types::dyn;
        if (macro.variables > 1) slots_[slot + 1] = types::dyn;
        if (macro.kind == node_kind::bind) {
            slots_[slot] = t;
        } else if (unknown(t)) {
            return;
        } else if (!is_loop(macro.kind)) {
            if (pool_.is_optional(t))
                slots_[slot] = pool_.first(t);
            else
                report("policy.type", macro, fmt::format("'{}' takes an optional, found {}", macro.name, named(t)));
        } else if (!pool_.is_list(t) && !pool_.is_map(t)) {
            report("policy.type", macro, fmt::format("'{}' runs over a list or a map, found {}", macro.name, named(t)));
        } else if (macro.variables == 1) {
            slots_[slot] = pool_.first(t);
        } else {
            slots_[slot] = pool_.is_map(t) ? pool_.first(t) : types::integer;
            slots_[slot + 1] = pool_.is_map(t) ? pool_.second(t) : pool_.first(t);
        }
    }

    /// What a macro makes of its bodies.
    type_id collected(index i) {
        const node& n = ast_.nodes[i];
        const type_id body = out_.types[ast_.child(i, is_filtered(n.kind) ? 2 : 1)];
        const type_id range = type(ast_.child(i, 0));
        const type_id key = pool_.is_list(range) ? types::integer : pool_.is_map(range) ? pool_.first(range) : types::dyn;
        switch (n.kind) {
            case node_kind::filter: return pool_.list_of(slots_[static_cast<std::size_t>(n.integer)]);
            case node_kind::transform_map:
            case node_kind::transform_map_filtered: return pool_.map_of(key, body);
            case node_kind::bind: return body;
            case node_kind::opt_map: return pool_.optional_of(body);
            case node_kind::transform_entries:
            case node_kind::transform_entries_filtered:
                if (!unknown(body) && !pool_.is_map(body))
                    report("policy.type", n, fmt::format("'{}' makes a map of maps, found {}", n.name, named(body)),
                           "write {key: value} as its last part");
                return pool_.is_map(body) ? body : types::map;
            case node_kind::opt_flat_map:
                if (!unknown(body) && !pool_.is_optional(body))
                    report("policy.type", n, fmt::format("'optFlatMap' gives an optional, found {}", named(body)), "use optMap");
                return pool_.is_optional(body) ? body : types::optional;
            default: return pool_.list_of(body);
        }
    }

    // ---- functions ----

    /// A name such as `math` that only stands before functions, and that here stands before one that there is not.
    [[nodiscard]] bool is_library(index i) const {
        const node& call = ast_.nodes[ast_.parents[i]];
        if (call.kind != node_kind::call || !call.member || ast_.child(ast_.parents[i], 0) != i) return false;
        const std::string start = ast_.nodes[i].name + ".";
        const auto all = overloads();
        return std::any_of(all.begin(), all.end(), [&](const overload& o) { return o.name.starts_with(start); });
    }

    /// lookup("table", key) and lookup("table", key, otherwise).
    type_id looked_up(index i) {
        const node& n = ast_.nodes[i];
        if (n.count < 2 || n.count > 3) {
            report("policy.lookup", n,
                   fmt::format("'lookup' takes a table, a key and what to give without one, found {} arguments", n.count),
                   "write lookup('table', key) or lookup('table', key, otherwise)");
            return types::dyn;
        }
        const index first = ast_.child(i, 0);
        if (ast_.nodes[first].kind != node_kind::text) {
            report("policy.table_name", ast_.nodes[first], "the table of lookup() is named by a text in quotes",
                   "write lookup('limits', …)");
            return types::dyn;
        }
        const auto at = env_.tables == nullptr ? std::nullopt : env_.tables->find(ast_.nodes[first].name);
        if (!at) {
            unknown_table(ast_.nodes[first]);
            return types::dyn;
        }
        const lookup_table& table = env_.tables->tables[*at];
        out_.meanings[i] = {reference::lookup, *at, {}};
        out_.meanings[first] = {reference::table, *at, {}};
        const index key = ast_.child(i, 1);
        if (type(key) != table.key_type() && type(key) != types::dyn) {
            report("policy.type", ast_.nodes[key],
                   fmt::format("the keys of table {} are of type {}, found {}", quote(table.name), named(table.key_type()),
                               named(type(key))));
        } else {
            warn_unlisted(n, key, table);
        }
        const type_id given = table.item_type(pool_);
        if (n.count == 3 && !pool_.fits(type(ast_.child(i, 2)), given))
            report("policy.type", ast_.nodes[ast_.child(i, 2)],
                   fmt::format("the values of table {} are of type {}, found {}", quote(table.name), named(given),
                               named(type(ast_.child(i, 2)))),
                   given == types::number && type(ast_.child(i, 2)) == types::integer
                       ? fmt::format("write {}.0", ast_.text_of(ast_.child(i, 2)))
                       : "");
        return given;
    }
    void unknown_table(const node& name) {
        std::vector<std::string_view> known;
        if (env_.tables != nullptr)
            for (const lookup_table& t : env_.tables->tables) known.push_back(t.name);
        std::string hint = did_you_mean(name.name, known);
        if (hint.empty() && known.empty())
            hint = "tables are documents in tables/ of a bundle, or given to whatever compiles the policy";
        else if (hint.empty())
            hint =
                fmt::format("tables: {}",
                            fmt::join(known.begin(),
                                      known.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(8, known.size())), ", "));
        report("policy.unknown_table", name, fmt::format("no table is called {}", quote(name.name)), std::move(hint));
    }
    /// Keys that are known now, and for which the table has nothing to give.
    void warn_unlisted(const node& call, index key, const lookup_table& table) {
        if (call.count == 3 || !table.otherwise.is(kind::unbound)) return;
        const node& k = ast_.nodes[key];
        const auto lacks = [&](std::string_view text) { return table.find(make_text(text)) == nullptr; };
        if (k.kind == node_kind::text && lacks(k.name)) {
            std::vector<std::string_view> near;
            for (std::size_t r = 0; r < std::min<std::uint64_t>(table.rows.size, 1000); ++r)
                near.push_back(table.rows.entries[r].key.view());
            report("policy.no_such_key", k, fmt::format("table {} has no key {}", quote(table.name), quote(k.name)),
                   did_you_mean(k.name, near));
            return;
        }
        if (out_.meanings[key].what != reference::field || type(key) != types::text) return;
        const opspilot::field& f = env_.records->at(out_.meanings[key].where);
        const auto unlisted = std::find_if(f.values.begin(), f.values.end(), lacks);
        if (unlisted != f.values.end())
            warn("policy.key_not_in_table", k,
                 fmt::format("table {} has no key {}, which {}.{} may be", quote(table.name), quote(*unlisted),
                             opspilot::name(out_.meanings[key].where.where), f.name),
                 "add a row, a \"default\", or what to give instead as a third argument");
    }

    type_id called(index i) {
        const node& n = ast_.nodes[i];
        if (n.name == "lookup" && !n.member && env_.records != nullptr) return looked_up(i);
        std::vector<type_id> arguments(n.count);
        for (std::uint32_t c = 0; c < n.count; ++c) arguments[c] = out_.types[ast_.child(i, c)];
        bool same_name = false, other_form = false;
        for (const overload& o : overloads()) {
            if (o.name != n.name) continue;
            same_name = true;
            other_form = other_form || o.member != n.member;
            if (o.member != n.member) continue;
            if (const auto t = result_of(o, arguments, pool_)) return *t;
        }
        if (!env_.check) return types::dyn;
        const bool library = n.member && ast_.nodes[ast_.child(i, 0)].kind == node_kind::variable &&
                             out_.meanings[ast_.child(i, 0)].what == reference::none && is_library(ast_.child(i, 0));
        if (!same_name || library) {
            const std::string name = library ? fmt::format("{}.{}", ast_.nodes[ast_.child(i, 0)].name, n.name) : n.name;
            std::vector<std::string_view> known{"has", "cel.bind"};
            if (env_.records != nullptr) known.push_back("lookup");
            for (const overload& o : overloads()) known.push_back(o.name);
            std::string hint = did_you_mean(name, known);
            for (const std::string_view full : known)  // the library's name left out
                if (hint.empty() && full.ends_with("." + name)) hint = fmt::format("did you mean '{}'?", full);
            report("policy.unknown_function", n, fmt::format("unknown function {}", quote(name)), std::move(hint));
            return types::dyn;
        }
        std::string given;
        for (std::uint32_t c = 0; c < n.count; ++c) given += (c > 0 ? ", " : "") + named(type(ast_.child(i, c)));
        report("policy.type", n, fmt::format("'{}' does not take ({})", n.name, given),
               other_form ? (n.member ? fmt::format("call it as {}(…)", n.name) : fmt::format("call it as value.{}(…)", n.name))
                          : "");
        return types::dyn;
    }
};

}  // namespace opspilot::cel::detail
