#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"

namespace opspilot::cel::detail {

OPSPILOT_INLINE bool checked::ok() const noexcept {
    return std::none_of(remarks.begin(), remarks.end(), [](const remark& r) { return r.is_error; });
}

OPSPILOT_INLINE void sort_remarks(std::vector<remark>& remarks) {
    std::sort(remarks.begin(), remarks.end(), [](const remark& a, const remark& b) {
        return a.what.offset != b.what.offset ? a.what.offset < b.what.offset : a.what.message < b.what.message;
    });
}

/// One loop over the nodes, children first.
class checker {
public:
    checker(checked& out, const environment& env) : out_(out), ast_(out.ast), pool_(out.pool), env_(env) {}

    void run() {
        out_.types.assign(ast_.nodes.size(), types::dyn);
        out_.meanings.assign(ast_.nodes.size(), {});
        slots_.assign(ast_.slots, types::dyn);
        for (std::uint32_t i = 0; i < ast_.nodes.size(); ++i) {
            out_.types[i] = visit(i);
            const std::uint32_t parent = ast_.parents[i];
            // The range of a macro is done: its variable has a type now, before the body is looked at.
            if (parent != i && is_macro(ast_.nodes[parent].kind) && ast_.child(parent, 0) == i)
                slots_[static_cast<std::size_t>(ast_.nodes[parent].integer)] = element_of(i, ast_.nodes[parent]);
        }
        sort_remarks(out_.remarks);
    }

private:
    using index = std::uint32_t;

    [[nodiscard]] type_id type(index n) const noexcept { return out_.types[n]; }
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

    type_id visit(index i) {
        const node& n = ast_.nodes[i];
        switch (n.kind) {
            case node_kind::null: return types::null;
            case node_kind::boolean: return types::boolean;
            case node_kind::integer: return types::integer;
            case node_kind::uinteger: return types::uinteger;
            case node_kind::number: return types::number;
            case node_kind::text: return types::text;
            case node_kind::bytes: return types::bytes;
            case node_kind::slot: return slots_[static_cast<std::size_t>(n.integer)];
            case node_kind::variable: return name(i);
            case node_kind::select: return select(i);
            case node_kind::has: select(i); return types::boolean;
            case node_kind::index: return indexed(i);
            case node_kind::call: return called(i);
            case node_kind::negate: return negated(i);
            case node_kind::not_: want_boolean(i, 0, "!"); return types::boolean;
            case node_kind::and_:
                want_boolean(i, 0, "&&");
                want_boolean(i, 1, "&&");
                return types::boolean;
            case node_kind::or_:
                want_boolean(i, 0, "||");
                want_boolean(i, 1, "||");
                return types::boolean;
            case node_kind::add: return added(i);
            case node_kind::subtract: return subtracted(i);
            case node_kind::multiply: return multiplied(i, "*", true);
            case node_kind::divide: return multiplied(i, "/", true);
            case node_kind::modulo: return multiplied(i, "%", false);
            case node_kind::equal:
            case node_kind::not_equal: return equated(i);
            case node_kind::less:
            case node_kind::less_equal:
            case node_kind::greater:
            case node_kind::greater_equal: return ordered(i);
            case node_kind::in: return contained(i);
            case node_kind::conditional: return chosen(i);
            case node_kind::list: return listed(i);
            case node_kind::map: return mapped(i);
            case node_kind::all:
            case node_kind::exists:
            case node_kind::exists_one: want_boolean(i, 1, "the body of the macro"); return types::boolean;
            case node_kind::map_each: return pool_.list_of(type(ast_.child(i, 1)));
            case node_kind::map_filtered: want_boolean(i, 1, "the filter"); return pool_.list_of(type(ast_.child(i, 2)));
            case node_kind::filter: {
                want_boolean(i, 1, "the filter");
                return pool_.list_of(slots_[static_cast<std::size_t>(n.integer)]);
            }
        }
        return types::dyn;
    }

    // ---- names ----

    /// The chain of selections that starts at variable i: its names, and the node of each.
    void chain_of(index i, std::vector<std::string>& names, std::vector<index>& nodes) const {
        names.push_back(ast_.nodes[i].name);
        nodes.push_back(i);
        while (true) {
            const index parent = ast_.parents[nodes.back()];
            if (parent == nodes.back() || ast_.nodes[parent].kind != node_kind::select) return;
            names.push_back(ast_.nodes[parent].name);
            nodes.push_back(parent);
        }
    }

    [[nodiscard]] static std::string joined(std::span<const std::string> names) {
        return fmt::format("{}", fmt::join(names, "."));
    }

    /// Calls `use(name)` for every full name the relative one may stand for, innermost container first, until it says true.
    template <class F>
    bool candidates(const std::string& relative, bool global, F&& use) const {
        std::string container = global ? std::string{} : env_.container;
        while (!container.empty()) {
            if (use(container + "." + relative)) return true;
            const std::size_t dot = container.rfind('.');
            container.resize(dot == std::string::npos ? 0 : dot);
        }
        return use(relative);
    }

    type_id resolve(std::span<const index> nodes, std::size_t length, meaning m, type_id t) {
        for (std::size_t k = 0; k + 1 < length; ++k) out_.meanings[nodes[k]].what = reference::absorbed;
        out_.meanings[nodes[length - 1]] = m;
        out_.types[nodes[length - 1]] = t;
        return t;
    }

    type_id name(index i) {
        if (out_.meanings[i].what != reference::none) return out_.types[i];
        std::vector<std::string> names;
        std::vector<index> nodes;
        chain_of(i, names, nodes);
        const bool global = ast_.nodes[i].global;
        for (std::size_t length = names.size(); length > 0; --length) {
            std::uint32_t at = 0;
            const bool declared = candidates(joined({names.data(), length}), global, [&](const std::string& full) {
                for (at = 0; at < env_.variables.size(); ++at)
                    if (env_.variables[at].first == full) return true;
                return false;
            });
            if (declared) {
                resolve(nodes, length, {reference::variable, at, {}}, env_.variables[at].second);
                return out_.types[i];
            }
        }
        if (env_.records != nullptr) {
            if (const auto t = record(i, names)) return *t;
        }
        for (std::size_t length = names.size(); length > 0; --length) {
            const auto k = named_kind(joined({names.data(), length}));
            if (!k || (!env_.check && length != names.size())) continue;
            if (!env_.check) break;  // a bound variable of that name wins, which only the evaluation knows
            resolve(nodes, length, {reference::type, static_cast<std::uint32_t>(*k), {}}, pool_.type_of(type_of_kind(*k)));
            return out_.types[i];
        }
        if (env_.check) {
            unknown_name(i);
            return types::dyn;
        }
        dynamic_path path;
        path.offset = ast_.nodes[i].offset;
        if (const auto k = named_kind(joined(names))) path.named = *k;
        path.names = std::move(names);
        out_.paths.push_back(std::move(path));
        resolve(nodes, nodes.size(), {reference::path, static_cast<std::uint32_t>(out_.paths.size() - 1), {}}, types::dyn);
        return types::dyn;
    }

    /// task, action, candidate and now.
    std::optional<type_id> record(index i, std::span<const std::string> names) {
        if (names[0] == "now") {
            out_.meanings[i] = {reference::now, 0, {}};
            return types::timestamp;
        }
        std::optional<role> where;
        for (const role r : {role::task, role::action, role::candidate})
            if (names[0] == opspilot::name(r)) where = r;
        if (!where) return {};
        const index parent = ast_.parents[i];
        const node_kind above = ast_.nodes[parent].kind;
        if (parent == i || (above != node_kind::select && above != node_kind::has)) {
            report("policy.record_as_value", ast_.nodes[i], fmt::format("'{}' is a record, not a value", names[0]),
                   fmt::format("name one of its fields, such as {}.{}", names[0], first_field(*where)));
            return types::dyn;
        }
        out_.meanings[i].what = reference::absorbed;
        return static_cast<type_id>(types::task + static_cast<type_id>(*where));
    }

    [[nodiscard]] std::string first_field(role r) const {
        const auto fields = env_.records->fields(r);
        return fields.empty() ? "id" : fields.front().name;
    }

    void unknown_name(index i) {
        std::vector<std::string_view> known;
        for (const auto& [variable, t] : env_.variables) known.push_back(variable);
        if (env_.records != nullptr) known.insert(known.end(), {"task", "action", "candidate", "now"});
        std::string hint = did_you_mean(ast_.nodes[i].name, known);
        if (hint.empty() && env_.records != nullptr) hint = "conditions read task.…, action.…, candidate.… and now";
        report("policy.unknown_name", ast_.nodes[i], fmt::format("unknown name {}", quote(ast_.nodes[i].name)), hint);
    }

    type_id select(index i) {
        if (out_.meanings[i].what != reference::none) return out_.types[i];
        const node& n = ast_.nodes[i];
        const index operand = ast_.child(i, 0);
        const type_id t = type(operand);
        if (t >= types::task && t <= types::candidate) return field(i, static_cast<role>(t - types::task));
        if (t == types::dyn || out_.meanings[operand].what == reference::absorbed) return types::dyn;
        if (pool_.is_map(t)) {
            if (!pool_.fits(types::text, pool_.first(t)))
                report("policy.type", n, fmt::format("the keys of {} are no strings", named(t)),
                       "use […] with a key of the right type");
            return pool_.second(t);
        }
        report("policy.type", n, fmt::format("{} has no field {}", named(t), quote(n.name)),
               pool_.is_list(t) ? "use an index, or a macro such as exists(x, …)" : "");
        return types::dyn;
    }

    type_id field(index i, role r) {
        const node& n = ast_.nodes[i];
        const auto at = env_.records->find(r, n.name);
        if (!at) {
            auto wrong = env_.records->require(r, n.name);
            report("policy.unknown_field", n, std::move(wrong.error().message), std::move(wrong.error().hint));
            return types::dyn;
        }
        out_.meanings[i] = {reference::field, *at, {r, *at}};
        return type_of_field(env_.records->at({r, *at}).type, pool_);
    }

    // ---- operators ----

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

    type_id indexed(index i) {
        const index a = ast_.child(i, 0), b = ast_.child(i, 1);
        const type_id t = type(a);
        if (t == types::dyn) return types::dyn;
        if (pool_.is_list(t)) {
            if (type(b) != types::integer && type(b) != types::dyn)
                report("policy.type", ast_.nodes[i], fmt::format("a list is indexed by int, found {}", named(type(b))));
            return pool_.first(t);
        }
        if (pool_.is_map(t)) {
            if (!pool_.comparable(type(b), pool_.first(t)))
                report("policy.type", ast_.nodes[i], fmt::format("the keys of {} are no {}", named(t), named(type(b))));
            return pool_.second(t);
        }
        report("policy.type", ast_.nodes[i], fmt::format("no index into {}", named(t)));
        return types::dyn;
    }

    type_id listed(index i) {
        const node& n = ast_.nodes[i];
        if (n.count == 0) return types::list;
        type_id item = type(ast_.child(i, 0));
        for (std::uint32_t c = 1; c < n.count; ++c) item = pool_.join(item, type(ast_.child(i, c)));
        return pool_.list_of(item);
    }

    type_id mapped(index i) {
        const node& n = ast_.nodes[i];
        if (n.count == 0) return types::map;
        type_id key = type(ast_.child(i, 0)), item = type(ast_.child(i, 1));
        for (std::uint32_t c = 0; c < n.count; c += 2) {
            const index k = ast_.child(i, c);
            const type_id t = type(k);
            if (t != types::dyn && t != types::boolean && t != types::integer && t != types::uinteger && t != types::text)
                report("policy.type", ast_.nodes[k], fmt::format("a map key cannot be {}", named(t)),
                       "use bool, int, uint or string");
            key = pool_.join(key, t);
            item = pool_.join(item, type(ast_.child(i, c + 1)));
        }
        return pool_.map_of(key, item);
    }

    type_id element_of(index range, const node& macro) {
        const type_id t = type(range);
        if (pool_.is_list(t) || pool_.is_map(t)) return pool_.first(t);
        if (t != types::dyn)
            report("policy.type", macro,
                   fmt::format("'{}' runs over a list or a map, found {}", macro_name(macro.kind), named(t)));
        return types::dyn;
    }
    // ---- functions ----

    type_id called(index i) {
        const node& n = ast_.nodes[i];
        bool same_name = false, other_form = false;
        for (const overload& o : overloads()) {
            if (o.name != n.name) continue;
            same_name = true;
            other_form = other_form || o.member != n.member;
            if (o.member != n.member || o.arguments.size() != n.count) continue;
            bool fits = true;
            for (std::uint32_t c = 0; c < n.count; ++c)
                fits = fits && pool_.fits(type(ast_.child(i, c)), type_of_letter(o.arguments[c]));
            if (!fits) continue;
            if (o.function == builtin::to_type) return pool_.type_of(type(ast_.child(i, 0)));
            return type_of_letter(o.result);
        }
        if (!env_.check) return types::dyn;
        if (!same_name) {
            std::vector<std::string_view> known{"has"};
            for (const overload& o : overloads()) known.push_back(o.name);
            report("policy.unknown_function", n, fmt::format("unknown function {}", quote(n.name)), did_you_mean(n.name, known));
            return types::dyn;
        }
        std::string given;
        for (std::uint32_t c = 0; c < n.count; ++c) given += (c > 0 ? ", " : "") + named(type(ast_.child(i, c)));
        report("policy.type", n, fmt::format("'{}' does not take ({})", n.name, given),
               other_form ? (n.member ? fmt::format("call it as {}(…)", n.name) : fmt::format("call it as value.{}(…)", n.name))
                          : "");
        return types::dyn;
    }

    checked& out_;
    const tree& ast_;
    type_pool& pool_;
    const environment& env_;
    std::vector<type_id> slots_;
};

OPSPILOT_INLINE void check(checked& out, const environment& env) { checker(out, env).run(); }

}  // namespace opspilot::cel::detail
