/// \file
/// Internal: a condition of a policy from its text, by itself.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "opspilot/policy/detail/cel/checker.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"

namespace opspilot::cel::detail {

/// What conditions of policies may be: bounded further than expressions at large.
inline constexpr parse_limits condition_limits{.macro_nesting = 2};

/// Parses and checks a condition over the records of a schema and tables, which may be null. The first problem that refuses it,
/// or nothing.
[[nodiscard]] inline std::optional<problem> read_condition(std::string_view source, const schema& s,
                                                           std::shared_ptr<const lookup_set> tables, checked& out) {
    if (auto wrong = parse(source, condition_limits, out.ast)) return wrong;
    environment env;
    env.records = &s;
    env.tables = std::move(tables);
    check(out, env);
    for (const remark& r : out.remarks)
        if (r.is_error) return r.what;
    return {};
}

}  // namespace opspilot::cel::detail
