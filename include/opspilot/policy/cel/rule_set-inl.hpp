#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/table_access.hpp"
#include "opspilot/policy/cel/rule_set.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/columns/catalogue.hpp"

namespace opspilot::cel {

struct rule_set::impl {
    detail::graph columns;
    static constexpr std::uint32_t no_part = 0xFFFFFFFFU;
    std::vector<std::uint32_t> parts;  ///< per expression; no_part: refused
};

struct rule_set::catalogue::impl {
    std::shared_ptr<const rule_set::impl> of;
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

namespace detail {

/// Parses and checks one condition.
inline status check_condition(std::string_view source, const schema& s, std::size_t index, checked& out) {
    const auto refused = [&](const problem& p) {
        return error{error_kind::policy, p.code, p.message,
                     fmt::format("expression {} {}", index, line_and_column(source, p.offset)), p.hint};
    };
    if (const auto wrong = parse(source, parse_limits{}, out.ast)) return refused(*wrong);
    environment env;
    env.records = &s;
    check(out, env);
    for (const remark& r : out.remarks)
        if (r.is_error) return refused(r.what);
    const type_id type = out.types.back();
    if (type != types::boolean && type != types::dyn)
        return refused({"policy.condition_type", fmt::format("a condition is a bool, this is {}", out.pool.text(type)),
                        "compare it with something", out.ast.nodes.back().start, 1});
    return {};
}

/// 0 or 1 a byte for each of 8 bits, the lowest first.
inline std::uint64_t spread(std::uint64_t bits) noexcept {
    const std::uint64_t apart = (bits * 0x0101010101010101ULL) & 0x8040201008040201ULL;
    return (apart + 0x7F7F7F7F7F7F7F7FULL) >> 7 & 0x0101010101010101ULL;
}

/// A byte per bit; null stands for noes.
inline void write_bytes(const std::uint64_t* bits, std::size_t rows, std::uint8_t* to) noexcept {
    if (bits == nullptr) return static_cast<void>(std::memset(to, 0, rows));
    std::size_t i = 0;
    if constexpr (std::endian::native == std::endian::little) {
        for (; i + 8 <= rows; i += 8) {
            const std::uint64_t bytes = spread(bits[i / 64] >> (i % 64) & 0xFF);
            std::memcpy(to + i, &bytes, sizeof bytes);
        }
    }
    for (; i < rows; ++i) to[i] = static_cast<std::uint8_t>(bits[i / 64] >> (i % 64) & 1);
}

}  // namespace detail

OPSPILOT_INLINE result<rule_set> rule_set::compile(std::span<const std::string> expressions, const schema& s, dictionary& strings,
                                                   std::vector<refusal>* refused) {
    auto made = std::make_shared<impl>();
    detail::graph_builder columns(&strings);
    for (std::size_t i = 0; i < expressions.size(); ++i) {
        detail::checked c;
        status sound = detail::check_condition(expressions[i], s, i, c);
        if (sound) {
            made->parts.push_back(columns.add(c));
            continue;
        }
        if (refused == nullptr) return std::move(sound).error();
        refused->push_back({i, std::move(sound).error()});
        made->parts.push_back(impl::no_part);
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
            catalogue::impl{state, detail::prepare_catalogue(state->columns, actions, strings)});
    return out;
}

OPSPILOT_INLINE void rule_set::evaluate(const frame& f, workspace& scratch, std::span<std::uint8_t> matched,
                                        std::span<std::uint8_t> failed, const catalogue* ready) const {
    if (state == nullptr || f.size() == 0) return;
    workspace::impl& s = *scratch.state;
    s.machine.memory = &s.memory;
    const bool fits = ready != nullptr && ready->state != nullptr && ready->state->of == state;
    detail::block_evaluator block(state->columns, f, fits ? &ready->state->columns : nullptr, *s.kernel, s.machine, s.columns);
    for (std::size_t first = 0; first < f.size(); first += detail::block_rows) {
        const std::size_t rows = std::min(detail::block_rows, f.size() - first);
        block.begin(first, rows);
        for (std::size_t r = 0; r < state->parts.size(); ++r) {
            std::uint8_t* const yes = matched.data() + r * f.size() + first;
            std::uint8_t* const error = failed.data() + r * f.size() + first;
            if (state->parts[r] == impl::no_part) {
                std::memset(yes, 0, rows);
                std::memset(error, 1, rows);
                continue;
            }
            const detail::truths t = block.truth(state->parts[r]);
            detail::write_bytes(t.yes, rows, yes);
            detail::write_bytes(t.error, rows, error);
        }
    }
}

// ---- tables of values ----

namespace detail {

/// False when the value does not fit the field.
inline bool store_value(column& c, field_type type, const value& v, interner& strings) {
    switch (type) {
        case field_type::boolean:
            table_access::store_integer(c, v.is(kind::boolean) && v.boolean ? 1 : 0);
            return v.is(kind::boolean);
        case field_type::integer: table_access::store_integer(c, v.is(kind::integer) ? v.integer : 0); return v.is(kind::integer);
        case field_type::number: table_access::store_number(c, v.is(kind::number) ? v.number : 0); return v.is(kind::number);
        case field_type::text:
            if (!v.is(kind::text)) return false;
            table_access::store_code(c, strings.code(v.view()));
            return true;
        case field_type::timestamp:
            if (!v.is(kind::timestamp) || v.size % 1000 != 0) return false;
            table_access::store_integer(c, v.integer * 1'000'000 + static_cast<std::int64_t>(v.size / 1000));
            return true;
        case field_type::text_list:
            if (!v.is(kind::list) || v.coded) return false;
            for (std::size_t i = 0; i < v.size; ++i) {
                if (!v.items[i].is(kind::text)) return false;
                table_access::push_item(c, strings.code(v.items[i].view()));
            }
            c.valued.back() = 1;
            return true;
    }
    return false;
}

}  // namespace detail

OPSPILOT_INLINE result<table> table_of_values(const schema& s, role r, std::span<const std::vector<value>> columns,
                                              std::size_t rows, interner& strings) {
    table out(s, r);
    const auto fields = s.fields(r);
    for (std::uint32_t k = 0; k < fields.size(); ++k) {
        column& c = table_access::at(out, k);
        for (std::size_t i = 0; i < rows; ++i) {
            table_access::push_slot(c, fields[k].type);
            if (k >= columns.size() || i >= columns[k].size()) continue;
            const value& v = columns[k][i];
            if (v.is(kind::unbound) || v.is(kind::null)) continue;
            if (!detail::store_value(c, fields[k].type, v, strings))
                return error{error_kind::schema, "schema.wrong_type",
                             fmt::format("field '{}' on {} must be {}, found {}", fields[k].name, name(r), name(fields[k].type),
                                         type_name(v.what)),
                             fmt::format("/{}/{}", i, fields[k].name), ""};
            c.state.back() = cell_state::present;
        }
    }
    table_access::rows(out) = rows;
    return out;
}

}  // namespace opspilot::cel
