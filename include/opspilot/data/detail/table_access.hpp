/// \file
/// Internal: what the readers share: storing checked cells, and the errors of cells.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot {

/// State of a field in the row being filled.
enum class given : std::uint8_t { no, null, nan, value };

struct table_access {
    static std::size_t& rows(table& t) noexcept { return t.rows_; }
    static column& at(table& t, std::uint32_t field) noexcept { return t.columns_[field]; }
    static const field& declared(const table& t, std::uint32_t index) noexcept { return t.schema_->fields(t.role_)[index]; }

    static given state(const table& t, std::uint32_t field) noexcept { return static_cast<given>(t.given_[field]); }

    /// Claims the field for the row being filled; an error when there is none such, no row, or it was given before.
    static status claim(table& t, std::uint32_t index, given as) {
        if (index >= t.columns_.size() || !t.filling_ || t.given_[index] != 0) return unclaimable(t, index);
        t.given_[index] = static_cast<std::uint8_t>(as);
        return {};
    }

    static void store_integer(column& c, std::int64_t value) noexcept {
        c.integers.back() = value;
        c.valued.back() = 1;
    }
    static void store_number(column& c, double value) noexcept {
        c.numbers.back() = value;
        c.valued.back() = 1;
    }
    static void store_code(column& c, std::uint32_t code) noexcept {
        c.codes.back() = code;
        c.valued.back() = 1;
    }
    static void push_item(column& c, std::uint32_t code) {
        c.codes.push_back(code);
        c.offsets.back() = static_cast<std::uint32_t>(c.codes.size());
    }
    static void empty_list(column& c) noexcept {
        c.offsets.back() = c.offsets[c.offsets.size() - 2];
        c.codes.resize(c.offsets.back());
    }

    /// One slot without a value at the end of the column.
    static void push_slot(column& c, field_type type) {
        c.state.push_back(cell_state::missing);
        c.valued.push_back(0);
        switch (type) {
            case field_type::boolean:
            case field_type::integer:
            case field_type::timestamp: c.integers.push_back(0); break;
            case field_type::number: c.numbers.push_back(std::numeric_limits<double>::quiet_NaN()); break;
            case field_type::text: c.codes.push_back(no_code); break;
            case field_type::text_list: c.offsets.push_back(static_cast<std::uint32_t>(c.codes.size())); break;
        }
    }

    /// Shrinks the column to so many rows.
    static void cut(column& c, field_type type, std::size_t rows) noexcept {
        c.state.resize(rows);
        c.valued.resize(rows);
        switch (type) {
            case field_type::boolean:
            case field_type::integer:
            case field_type::timestamp: c.integers.resize(rows); break;
            case field_type::number: c.numbers.resize(rows); break;
            case field_type::text: c.codes.resize(rows); break;
            case field_type::text_list:
                c.offsets.resize(rows + 1);
                c.codes.resize(c.offsets.back());
                break;
        }
    }

    /// Shrinks the whole table.
    static void cut(table& t, std::size_t rows) noexcept {
        t.drop_row();
        for (std::uint32_t i = 0; i < t.columns_.size(); ++i) cut(t.columns_[i], declared(t, i).type, rows);
        t.rows_ = rows;
    }

    /// Adds rows of empty slots to every column but lists, which grow row by row.
    static void grow(table& t, std::size_t rows) {
        for (std::uint32_t i = 0; i < t.columns_.size(); ++i) {
            column& c = t.columns_[i];
            const std::size_t total = t.rows_ + rows;
            c.state.resize(total, cell_state::missing);
            c.valued.resize(total, 0);
            switch (declared(t, i).type) {
                case field_type::boolean:
                case field_type::integer:
                case field_type::timestamp: c.integers.resize(total, 0); break;
                case field_type::number: c.numbers.resize(total, std::numeric_limits<double>::quiet_NaN()); break;
                case field_type::text: c.codes.resize(total, no_code); break;
                case field_type::text_list: break;
            }
        }
    }

    /// What stands in a cell of a row once it is known whether a value was given; false: required and not there. Fields that
    /// date others must be settled before those.
    static bool settle(const table& t, std::uint32_t index, std::size_t row, bool is_given, std::int64_t now_us,
                       cell_state& state) noexcept {
        const field& f = declared(t, index);
        if (f.max_age_us != 0) {
            const column& dates = t.columns_[t.schema_->dated_by(t.role_, index)];
            const std::int64_t date = dates.integers[row];
            // The difference of two 64-bit times need not fit 64 bits with a sign; without one it does.
            const bool old =
                date<now_us&& static_cast<std::uint64_t>(now_us) - static_cast<std::uint64_t>(date)> static_cast<std::uint64_t>(
                    f.max_age_us);
            if (dates.valued[row] != 0 ? old : is_given) {
                state = cell_state::stale;
                return true;
            }
        }
        if (is_given) {
            state = cell_state::present;
            return true;
        }
        const bool stands_in = f.default_value.index() != 0;
        state = stands_in ? cell_state::defaulted : cell_state::missing;
        return stands_in || f.optional;
    }

    /// Puts the state and, unless the given value stays, the default or nothing into a cell. Lists: the last one only.
    static void put(column& c, const field& f, std::size_t row, cell_state state, interner& strings) {
        c.state[row] = state;
        if (state == cell_state::present) {
            c.valued[row] = 1;
            return;
        }
        const bool stands_in = f.default_value.index() != 0;
        c.valued[row] = stands_in ? 1 : 0;
        switch (f.type) {
            case field_type::boolean: c.integers[row] = stands_in && std::get<bool>(f.default_value) ? 1 : 0; break;
            case field_type::integer:
            case field_type::timestamp: c.integers[row] = stands_in ? std::get<std::int64_t>(f.default_value) : 0; break;
            case field_type::number:
                c.numbers[row] = stands_in ? std::get<double>(f.default_value) : std::numeric_limits<double>::quiet_NaN();
                break;
            case field_type::text:
                c.codes[row] = stands_in ? strings.code(std::get<std::string>(f.default_value)) : no_code;
                break;
            case field_type::text_list:
                empty_list(c);
                if (!stands_in) break;
                for (const std::string& item : std::get<std::vector<std::string>>(f.default_value))
                    push_item(c, strings.code(item));
                break;
        }
    }

    // Errors. Values of personal and sensitive fields are never quoted.

    static std::string place(const table& t, std::uint32_t index) {
        return fmt::format("/{}/{}", t.rows_, declared(t, index).name);
    }
    static error fail(const table& t, std::uint32_t index, std::string_view code, std::string_view what, std::string hint = {}) {
        return detail::schema_error(code, fmt::format("field '{}' on {} {}", declared(t, index).name, name(t.role_), what),
                                    place(t, index), std::move(hint));
    }
    static std::string shown(const table& t, std::uint32_t index, std::string_view value) {
        const pii_class pii = declared(t, index).pii;
        return pii >= pii_class::personal ? fmt::format("a {} value", name(pii)) : std::string(value);
    }
    static error retyped(const table& t, std::uint32_t index, std::string_view found) {
        const field_type type = declared(t, index).type;
        std::string hint;
        if (type == field_type::timestamp) hint = "write RFC 3339 text or whole microseconds since 1970 UTC";
        if (type == field_type::integer && found == "a number") hint = "write it without a fraction or exponent";
        return fail(t, index, "schema.wrong_type", fmt::format("must be {}, found {}", name(type), found), std::move(hint));
    }
    static error out_of_range(const table& t, std::uint32_t index, std::string_view value) {
        return fail(t, index, "schema.out_of_range",
                    fmt::format("must be {}, found {}", detail::bounds_text(declared(t, index)), shown(t, index, value)));
    }
    static error bad_choice(const table& t, std::uint32_t index, std::string_view value) {
        const field& f = declared(t, index);
        const std::vector<std::string_view> allowed(f.values.begin(), f.values.end());
        std::string hint = f.pii >= pii_class::personal ? std::string{} : did_you_mean(value, allowed);
        if (hint.empty() && allowed.size() <= 16) hint = fmt::format("one of: {}", fmt::join(allowed, ", "));
        return fail(t, index, "schema.bad_choice", fmt::format("cannot be {}", shown(t, index, quote(value))), std::move(hint));
    }
    static error missing(const table& t, std::uint32_t index) {
        const std::string hint = "give a value, or declare the field optional or with a default";
        if (state(t, index) == given::nan) return fail(t, index, "schema.missing_field", "is NaN, which counts as missing", hint);
        return fail(t, index, "schema.missing_field", state(t, index) == given::null ? "is null" : "is missing", hint);
    }
    static error unclaimable(const table& t, std::uint32_t index) {
        if (index >= t.columns_.size())
            return error{error_kind::usage, "usage.bad_field",
                         fmt::format("field {} of a table of {} fields", index, t.columns_.size()), "", "use schema::require"};
        if (!t.filling_)
            return error{error_kind::usage, "usage.no_row", "a field was set outside a row", "", "call begin_row first"};
        return fail(t, index, "schema.duplicate_field", "is given twice", "keep one of them");
    }

    /// Length, encoding and declared values of a text, cheap ones first.
    static status check_text(const table& t, std::uint32_t index, std::string_view text) {
        if (text.size() > text_limit)
            return fail(t, index, "schema.text_too_long", fmt::format("has {} bytes; the limit is {}", text.size(), text_limit),
                        "shorten the text before it is passed on");
        if (!t.schema_->allows(t.role_, index, text)) return bad_choice(t, index, text);
        return {};
    }
    static status check_utf8(const table& t, std::uint32_t index, std::string_view text) {
        if (valid_utf8(text)) return {};
        return fail(t, index, "schema.utf8", fmt::format("is not valid UTF-8 at byte {}", utf8_error_offset(text)),
                    "decode it with its real encoding first");
    }
};

namespace detail {

/// The error of a name that none of the tables declares.
inline error unknown_field(std::span<const table* const> tables, std::string_view key, std::string where) {
    if (tables.size() == 1) {
        auto refused = tables[0]->schema_of().require(tables[0]->role_of(), key, where);
        if (!refused) return std::move(refused).error();
    }
    std::vector<std::string_view> names;
    for (const table* t : tables)
        for (const field& f : t->schema_of().fields(t->role_of())) names.push_back(f.name);
    std::string hint = did_you_mean(key, names);
    if (hint.empty() && names.size() <= 16) hint = fmt::format("known fields: {}", fmt::join(names, ", "));
    return schema_error("schema.unknown_field", fmt::format("unknown field {} on candidate", quote(key)), std::move(where),
                        std::move(hint));
}

}  // namespace detail

}  // namespace opspilot
