#pragma once

#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"
#include "opspilot/policy/detail/cel/condition.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

namespace detail::analysis {

inline constexpr std::array<std::string_view, 48> node_kind_names{"null",
                                                                  "bool",
                                                                  "int",
                                                                  "uint",
                                                                  "double",
                                                                  "string",
                                                                  "bytes",
                                                                  "variable",
                                                                  "slot",
                                                                  "select",
                                                                  "optional_select",
                                                                  "has",
                                                                  "index",
                                                                  "optional_index",
                                                                  "maybe",
                                                                  "call",
                                                                  "negate",
                                                                  "not",
                                                                  "add",
                                                                  "subtract",
                                                                  "multiply",
                                                                  "divide",
                                                                  "modulo",
                                                                  "equal",
                                                                  "not_equal",
                                                                  "less",
                                                                  "less_equal",
                                                                  "greater",
                                                                  "greater_equal",
                                                                  "in",
                                                                  "and",
                                                                  "or",
                                                                  "conditional",
                                                                  "list",
                                                                  "map",
                                                                  "all",
                                                                  "exists",
                                                                  "exists_one",
                                                                  "map_each",
                                                                  "map_filtered",
                                                                  "filter",
                                                                  "transform_map",
                                                                  "transform_map_filtered",
                                                                  "transform_entries",
                                                                  "transform_entries_filtered",
                                                                  "bind",
                                                                  "opt_map",
                                                                  "opt_flat_map"};

inline json node_json(const cel::detail::checked& c, std::uint32_t i, const schema& s) {
    using cel::detail::node_kind;
    using cel::detail::reference;
    const cel::detail::node& n = c.ast.nodes[i];
    const cel::detail::meaning& m = c.meanings[i];
    json out = json::object();
    out["kind"] = node_kind_names[static_cast<std::size_t>(n.kind)];
    out["type"] = c.pool.text(c.types[i]);
    json children = json::array();
    for (std::uint32_t k = 0; k < n.count; ++k) children.push_back(c.ast.child(i, k));
    out["children"] = std::move(children);
    switch (n.kind) {
        case node_kind::boolean: out["value"] = n.integer != 0; break;
        case node_kind::integer: out["value"] = n.integer; break;
        case node_kind::uinteger: out["value"] = static_cast<std::uint64_t>(n.integer); break;
        case node_kind::number: out["value"] = std::isfinite(n.number) ? json(n.number) : json(nullptr); break;
        case node_kind::text: out["value"] = n.name; break;
        case node_kind::bytes: break;
        case node_kind::slot: out["value"] = n.integer; break;
        default:
            if (!n.name.empty()) out["name"] = n.name;
            if (cel::detail::is_macro(n.kind)) out["value"] = n.integer;
    }
    if (m.what == reference::now) out["field"] = "now";
    if (m.what == reference::field || m.what == reference::optional_field)
        out["field"] = std::string(name(m.where.where)) + "." + s.at(m.where).name;
    if (m.what == reference::optional_field) out["optional"] = true;
    return out;
}

}  // namespace detail::analysis

OPSPILOT_INLINE result<std::string> condition_tree(std::string_view condition, const schema& s, const lookup_tables& tables) {
    cel::detail::checked c;
    if (const auto wrong = cel::detail::read_condition(condition, s, tables.state, c))
        return error{error_kind::policy, wrong->code, wrong->message, "byte " + std::to_string(wrong->offset), wrong->hint};
    detail::json nodes = detail::json::array();
    for (std::uint32_t i = 0; i < c.ast.nodes.size(); ++i) nodes.push_back(detail::analysis::node_json(c, i, s));
    return nodes.dump();
}

}  // namespace opspilot
