/// \file
/// Internal: gives every node of a tree its type and every name its meaning; finds what cannot work.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/schema.hpp"
#include "opspilot/policy/detail/cel/ast.hpp"
#include "opspilot/policy/detail/cel/functions.hpp"
#include "opspilot/policy/detail/cel/lexer.hpp"
#include "opspilot/policy/detail/cel/lookup.hpp"
#include "opspilot/policy/detail/cel/types.hpp"

namespace opspilot::cel::detail {

/// What names an expression may use.
struct environment {
    const opspilot::schema* records = nullptr;  ///< gives task.*, action.*, candidate.* and `now`; null = none
    std::shared_ptr<const lookup_set> tables;   ///< what lookup() may name where there are records; null = none
    std::span<const std::pair<std::string, type_id>> variables;
    std::string container;  ///< "a.b": x may be a.b.x, a.x or x
    bool check = true;      ///< false: unknown names and impossible operations are errors of the evaluation instead
};

/// What a name stands for.
enum class reference : std::uint8_t {
    none,            ///< no name, or an ordinary selection
    absorbed,        ///< part of a longer name that a node further up resolves
    variable,        ///< `index` into environment::variables
    path,            ///< dynamic: `index` into `checked::paths`
    field,           ///< task, action or candidate field `where`
    optional_field,  ///< the same as an optional: task.?region
    now,             ///< time of the decision
    type,            ///< type name; `index` is the kind
    table,           ///< the text that names a table
    lookup,          ///< the call that looks into it: `index` into `checked::tables`
};

struct meaning {
    reference what = reference::none;
    std::uint32_t index = 0;
    opspilot::schema::path where;
};

/// A chain of names whose meaning depends on which variables are bound: the longest bound prefix is the variable, the rest
/// are selections.
struct dynamic_path {
    std::vector<std::string> names;
    std::string container;  ///< x may be a variable of it too, which wins
    std::uint32_t offset = 0;
    kind named = kind::unbound;  ///< the type the whole chain names when nothing is bound
};

/// A problem that refuses the expression, or only a warning.
struct remark {
    problem what;
    bool is_error = true;
};

struct checked {
    tree ast;
    type_pool pool;
    std::vector<type_id> types;     ///< per node
    std::vector<meaning> meanings;  ///< per node
    std::vector<dynamic_path> paths;
    std::shared_ptr<const lookup_set> tables;
    std::vector<remark> remarks;  ///< in source order
    [[nodiscard]] bool ok() const noexcept;
};

/// Puts remarks in source order.
void sort_remarks(std::vector<remark>& remarks);

/// Checks `out.ast`; `out.pool` may hold types already.
void check(checked& out, const environment& env);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/checker-inl.hpp"
#endif
