#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/rule_set.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/columns/catalogue.hpp"

namespace opspilot::cel {

struct rule_set::impl {
    detail::graph columns;
    std::vector<std::uint32_t> parts;  ///< per expression
};

struct rule_set::catalogue::impl {
    const rule_set::impl* of = nullptr;
    detail::prepared_catalogue columns;
};

struct rule_set::workspace::impl {
    detail::machine machine;
    arena memory{std::size_t{16} << 20};
    detail::column_scratch columns;
    const detail::column_kernel* kernel = detail::column_kernels().front();
};

OPSPILOT_INLINE rule_set::workspace::workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE rule_set::workspace::~workspace() = default;
OPSPILOT_INLINE rule_set::workspace::workspace(workspace&&) noexcept = default;
OPSPILOT_INLINE rule_set::workspace& rule_set::workspace::operator=(workspace&&) noexcept = default;

OPSPILOT_INLINE status rule_set::workspace::use(std::string_view engine) {
    OPSPILOT_TRY(state->kernel, detail::find_column_kernel(engine));
    return {};
}

OPSPILOT_INLINE std::vector<std::string_view> rule_set::engines() {
    std::vector<std::string_view> names;
    for (const detail::column_kernel* kernel : detail::column_kernels()) names.push_back(kernel->name);
    return names;
}

OPSPILOT_INLINE result<rule_set> rule_set::compile(std::span<const std::string> expressions, const schema& s, dictionary& strings,
                                                   bool check) {
    auto made = std::make_shared<impl>();
    detail::graph_builder columns(&strings);
    for (std::size_t i = 0; i < expressions.size(); ++i) {
        const auto refused = [&](const detail::problem& p) {
            return error{error_kind::policy, p.code, p.message,
                         fmt::format("expression {} {}", i, detail::line_and_column(expressions[i], p.offset)), p.hint};
        };
        detail::checked c;
        if (const auto wrong = detail::parse(expressions[i], detail::parse_limits{}, c.ast)) return refused(*wrong);
        const detail::tree parsed = c.ast;
        detail::environment env;
        env.records = &s;
        detail::check(c, env);
        if (!check && !c.ok()) {  // what cannot work fails for each candidate
            c = {};
            c.ast = parsed;
            env.check = false;
            detail::check(c, env);
        }
        for (const detail::remark& r : c.remarks)
            if (r.is_error) return refused(r.what);
        made->parts.push_back(columns.add(c));
    }
    made->columns = std::move(columns).finish();
    rule_set out;
    out.state = std::move(made);
    return out;
}

OPSPILOT_INLINE std::size_t rule_set::size() const noexcept { return state == nullptr ? 0 : state->parts.size(); }

OPSPILOT_INLINE rule_set::catalogue rule_set::prepare(const table& actions, const interner& strings) const {
    catalogue out;
    if (state != nullptr)
        out.state = std::make_shared<catalogue::impl>(
            catalogue::impl{state.get(), detail::prepare_catalogue(state->columns, actions, strings)});
    return out;
}

OPSPILOT_INLINE void rule_set::evaluate(const frame& f, workspace& scratch, std::span<std::uint8_t> matched,
                                        std::span<std::uint8_t> failed, const catalogue* ready) const {
    if (state == nullptr || f.size() == 0) return;
    workspace::impl& s = *scratch.state;
    s.machine.memory = &s.memory;
    const bool fits = ready != nullptr && ready->state != nullptr && ready->state->of == state.get();
    detail::block_evaluator block(state->columns, f, fits ? &ready->state->columns : nullptr, *s.kernel, s.machine, s.columns);
    const auto write = [](const std::uint64_t* bits, std::size_t rows, std::uint8_t* to) {
        for (std::size_t i = 0; i < rows; ++i) to[i] = bits == nullptr ? 0 : bits[i / 64] >> (i % 64) & 1;
    };
    for (std::size_t first = 0; first < f.size(); first += detail::block_rows) {
        const std::size_t rows = std::min(detail::block_rows, f.size() - first);
        block.begin(first, rows);
        for (std::size_t r = 0; r < state->parts.size(); ++r) {
            const detail::truths t = block.truth(state->parts[r]);
            write(t.yes, rows, matched.data() + r * f.size() + first);
            write(t.error, rows, failed.data() + r * f.size() + first);
        }
    }
}

}  // namespace opspilot::cel
