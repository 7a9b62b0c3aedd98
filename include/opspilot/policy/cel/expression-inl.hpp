#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/expression.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/cel/program.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel {

struct expression::impl {
    std::string source;
    std::string type;
    detail::program code;
};

namespace detail {

inline opspilot::error as_error(const problem& p, std::string_view source) {
    return {error_kind::policy, p.code, p.message, line_and_column(source, p.offset), p.hint};
}

inline cel::remark as_remark(const problem& p, std::string_view source, bool is_error) {
    return {is_error, p.code, p.message, line_and_column(source, p.offset), p.hint};
}

}  // namespace detail

OPSPILOT_INLINE result<expression> expression::compile(std::string_view source, const options& how,
                                                       std::vector<remark>* remarks) {
    const auto keep = [&](const detail::problem& p, bool is_error) {
        if (remarks != nullptr) remarks->push_back(detail::as_remark(p, source, is_error));
    };
    detail::checked c;
    detail::parse_limits limits;
    limits.bytes = how.bytes;
    if (const auto wrong = detail::parse(source, limits, c.ast)) {
        keep(*wrong, true);
        return detail::as_error(*wrong, source);
    }
    std::vector<std::pair<std::string, detail::type_id>> variables;
    for (const variable& v : how.variables) {
        const auto type = c.pool.parse(v.type);
        if (!type)
            return error{error_kind::policy, "policy.bad_type", fmt::format("{} is no type of CEL", quote(v.type)),
                         fmt::format("variable {}", quote(v.name)), "write int, string, list(string), map(string, dyn), …"};
        variables.emplace_back(v.name, *type);
    }
    detail::environment env;
    env.variables = variables;
    env.container = how.container;
    env.check = how.check;
    detail::check(c, env);
    auto made = std::make_shared<impl>();
    if (c.ok()) made->code = detail::lower(c, variables, nullptr, false);
    std::optional<error> first;
    for (const detail::remark& r : c.remarks) {
        keep(r.what, r.is_error);
        if (r.is_error && !first) first = detail::as_error(r.what, source);
    }
    if (first) return std::move(*first);
    made->source = source;
    made->type = c.pool.text(c.types.back());
    expression out;
    out.state = std::move(made);
    return out;
}

OPSPILOT_INLINE std::span<const std::string> expression::variables() const noexcept { return state->code.variables; }
OPSPILOT_INLINE std::string expression::type() const { return state->type; }
OPSPILOT_INLINE const std::string& expression::source() const noexcept { return state->source; }

OPSPILOT_INLINE value expression::evaluate(std::span<const value> bound, arena& memory) const {
    if (bound.size() < state->code.variables.size()) return make_error(fault::unknown_variable);
    detail::machine m;
    m.memory = &memory;
    m.variables = bound.data();
    m.step_limit = 10'000'000;
    return detail::run_all(state->code, m);
}

OPSPILOT_INLINE opspilot::error expression::explain(const value& failed) const {
    std::string message{text_of(failed.why())};
    if (!failed.error_subject().empty()) message += fmt::format(": {}", quote(failed.error_subject()));
    return {error_kind::policy, "policy.evaluation", std::move(message),
            detail::line_and_column(state->source, failed.error_offset()), ""};
}

OPSPILOT_INLINE result<value> timestamp_from_text(std::string_view text) {
    if (const auto v = detail::parse_time(text)) return *v;
    return error{error_kind::policy, "policy.bad_timestamp", fmt::format("{} is no timestamp", quote(text)), "",
                 "write it like 2026-01-31T12:00:00Z"};
}
OPSPILOT_INLINE result<value> duration_from_text(std::string_view text) {
    if (const auto v = detail::parse_span(text)) return *v;
    return error{error_kind::policy, "policy.bad_duration", fmt::format("{} is no duration", quote(text)), "",
                 "write it like 1h30m or 1.5s"};
}
OPSPILOT_INLINE std::string timestamp_text(const value& v) { return detail::format_time(v); }
OPSPILOT_INLINE std::string duration_text(const value& v) { return detail::format_span(v); }

}  // namespace opspilot::cel
