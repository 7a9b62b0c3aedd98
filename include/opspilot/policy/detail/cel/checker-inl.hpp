#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"
#include "opspilot/policy/detail/cel/checker_operators.hpp"

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
class checker : operator_checker {
public:
    checker(checked& out, const environment& env) : operator_checker(out, env) {}

    void run() {
        out_.types.assign(ast_.nodes.size(), types::dyn);
        out_.meanings.assign(ast_.nodes.size(), {});
        slots_.assign(ast_.slots, types::dyn);
        out_.tables = env_.tables;
        for (std::uint32_t i = 0; i < ast_.nodes.size(); ++i) {
            out_.types[i] = visit(i);
            const std::uint32_t parent = ast_.parents[i];
            // The range of a macro is done: its variable has a type now, before the body is looked at.
            if (parent != i && is_macro(ast_.nodes[parent].kind) && ast_.child(parent, 0) == i) declare(i, ast_.nodes[parent]);
        }
        if (out_.types.back() == types::open) out_.types.back() = types::dyn;
        sort_remarks(out_.remarks);
    }

private:
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
            case node_kind::optional_select: return select(i);
            case node_kind::has: select(i); return types::boolean;
            case node_kind::index: return indexed(i, false);
            case node_kind::optional_index: return indexed(i, true);
            case node_kind::maybe: return inside(i);
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
            case node_kind::map_filtered:
            case node_kind::transform_map_filtered:
            case node_kind::transform_entries_filtered: want_boolean(i, 1, "the filter"); return collected(i);
            case node_kind::filter: want_boolean(i, 1, "the filter"); return collected(i);
            case node_kind::map_each:
            case node_kind::transform_map:
            case node_kind::transform_entries:
            case node_kind::bind:
            case node_kind::opt_map:
            case node_kind::opt_flat_map: return collected(i);
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
        if (!global) path.container = env_.container;
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
        if (parent == i || (above != node_kind::select && above != node_kind::has && above != node_kind::optional_select)) {
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
        if (is_library(i)) return;  // the call says what its function may be
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
        type_id t = type(operand);
        if (t >= types::task && t <= types::candidate) return field(i, static_cast<role>(t - types::task));
        // Selecting from an optional gives an optional.
        const bool optional = pool_.is_optional(t);
        if (optional) t = pool_.first(t);
        const auto given = [&](type_id item) {
            return optional || n.kind == node_kind::optional_select ? pool_.optional_of(item) : item;
        };
        if (unknown(t) || out_.meanings[operand].what == reference::absorbed) return given(types::dyn);
        if (pool_.is_map(t)) {
            if (!pool_.fits(types::text, pool_.first(t)))
                report("policy.type", n, fmt::format("the keys of {} are no strings", named(t)),
                       "use […] with a key of the right type");
            return given(pool_.second(t));
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
        if (const opspilot::field& f = env_.records->at({r, *at}); f.audit_only) {
            error refused = opspilot::detail::audit_only_error(error_kind::policy, "policy.audit_only", r, f, std::string{});
            report("policy.audit_only", n, std::move(refused.message), std::move(refused.hint));
            return types::dyn;
        }
        const bool optional = n.kind == node_kind::optional_select;
        out_.meanings[i] = {optional ? reference::optional_field : reference::field, *at, {r, *at}};
        const type_id t = type_of_field(env_.records->at({r, *at}).type, pool_);
        return optional ? pool_.optional_of(t) : t;
    }
};

OPSPILOT_INLINE void check(checked& out, const environment& env) { checker(out, env).run(); }

}  // namespace opspilot::cel::detail
