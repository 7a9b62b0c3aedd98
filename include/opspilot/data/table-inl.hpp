#pragma once

#include <fmt/format.h>

#include "opspilot/data/detail/table_access.hpp"
#include "opspilot/data/detail/time.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot {

OPSPILOT_INLINE void table::reset(const opspilot::schema& s, role r) {
    schema_ = &s;
    role_ = r;
    columns_.resize(s.fields(r).size());
    given_.resize(columns_.size());
    for (column& c : columns_) {
        c.integers.clear();
        c.numbers.clear();
        c.codes.clear();
        c.offsets.clear();
    }
    clear();
}

OPSPILOT_INLINE void table::clear() noexcept {
    rows_ = 0;
    filling_ = false;
    for (std::uint32_t i = 0; i < columns_.size(); ++i) table_access::cut(columns_[i], table_access::declared(*this, i).type, 0);
}

OPSPILOT_INLINE void table::drop_row() noexcept {
    if (!filling_) return;
    filling_ = false;
    for (std::uint32_t i = 0; i < columns_.size(); ++i)
        table_access::cut(columns_[i], table_access::declared(*this, i).type, rows_);
}

OPSPILOT_INLINE cell table::get(std::uint32_t field, std::size_t row) const noexcept {
    const column& c = columns_[field];
    cell out;
    out.type = table_access::declared(*this, field).type;
    out.state = c.state[row];
    out.valued = c.valued[row] != 0;
    switch (out.type) {
        case field_type::boolean:
        case field_type::integer:
        case field_type::timestamp:
            out.integer = c.integers[row];
            out.number = static_cast<double>(out.integer);
            break;
        case field_type::number: out.number = c.numbers[row]; break;
        case field_type::text: out.code = c.codes[row]; break;
        case field_type::text_list:
            out.codes = std::span<const std::uint32_t>(c.codes).subspan(c.offsets[row], c.offsets[row + 1] - c.offsets[row]);
            break;
    }
    return out;
}

OPSPILOT_INLINE void table::begin_row() {
    drop_row();
    filling_ = true;
    for (std::uint32_t i = 0; i < columns_.size(); ++i) {
        given_[i] = 0;
        table_access::push_slot(columns_[i], table_access::declared(*this, i).type);
    }
}

OPSPILOT_INLINE status table::set_missing(std::uint32_t field) { return table_access::claim(*this, field, given::null); }

OPSPILOT_INLINE status table::set_boolean(std::uint32_t field, bool value) {
    OPSPILOT_CHECK(table_access::claim(*this, field, given::value));
    if (table_access::declared(*this, field).type != field_type::boolean) return table_access::retyped(*this, field, "a boolean");
    table_access::store_integer(columns_[field], value ? 1 : 0);
    return {};
}

OPSPILOT_INLINE status table::set_integer(std::uint32_t field, std::int64_t value) {
    OPSPILOT_CHECK(table_access::claim(*this, field, given::value));
    const opspilot::field& f = table_access::declared(*this, field);
    if (f.type == field_type::integer || f.type == field_type::timestamp) {
        if (!detail::within_bounds(f, value)) return table_access::out_of_range(*this, field, fmt::to_string(value));
        table_access::store_integer(columns_[field], value);
        return {};
    }
    if (f.type != field_type::number) return table_access::retyped(*this, field, "an integer");
    double number = 0;
    if (!detail::exactly(value, number))
        return table_access::fail(
            *this, field, "schema.inexact",
            fmt::format("is double, which cannot hold {} exactly", table_access::shown(*this, field, fmt::to_string(value))),
            "declare the field int");
    if (!detail::within_bounds(f, number)) return table_access::out_of_range(*this, field, fmt::to_string(value));
    table_access::store_number(columns_[field], number);
    return {};
}

OPSPILOT_INLINE status table::set_number(std::uint32_t field, double value) {
    OPSPILOT_CHECK(table_access::claim(*this, field, std::isnan(value) ? given::nan : given::value));
    const opspilot::field& f = table_access::declared(*this, field);
    if (f.type != field_type::number) return table_access::retyped(*this, field, "a number");
    if (std::isnan(value)) return {};
    if (std::isinf(value))
        return table_access::fail(*this, field, "schema.not_finite", "is infinite",
                                  "leave the field out when its value is unknown");
    if (!detail::within_bounds(f, value)) return table_access::out_of_range(*this, field, fmt::format("{}", value));
    table_access::store_number(columns_[field], value);
    return {};
}

OPSPILOT_INLINE status table::set_text(std::uint32_t field, std::string_view value, interner& strings) {
    OPSPILOT_CHECK(table_access::claim(*this, field, given::value));
    const opspilot::field& f = table_access::declared(*this, field);
    if (f.type == field_type::timestamp) {
        std::int64_t microseconds = 0;
        if (!detail::read_rfc3339(value, microseconds))
            return table_access::fail(*this, field, "schema.bad_timestamp",
                                      fmt::format("is not a timestamp: {}", table_access::shown(*this, field, quote(value))),
                                      "write RFC 3339, such as 2026-02-28T09:30:00Z, or whole microseconds since 1970 UTC");
        table_access::store_integer(columns_[field], microseconds);
        return {};
    }
    if (f.type != field_type::text) return table_access::retyped(*this, field, "a string");
    OPSPILOT_CHECK(table_access::check_text(*this, field, value));
    OPSPILOT_CHECK(table_access::check_utf8(*this, field, value));
    table_access::store_code(columns_[field], strings.code(value));
    return {};
}

OPSPILOT_INLINE status table::set_list(std::uint32_t field, std::span<const std::string_view> items, interner& strings) {
    OPSPILOT_CHECK(table_access::claim(*this, field, given::value));
    if (table_access::declared(*this, field).type != field_type::text_list)
        return table_access::retyped(*this, field, "a list of strings");
    column& c = columns_[field];
    for (const std::string_view item : items) {
        OPSPILOT_CHECK(table_access::check_text(*this, field, item));
        OPSPILOT_CHECK(table_access::check_utf8(*this, field, item));
        table_access::push_item(c, strings.code(item));
    }
    c.valued.back() = 1;
    return {};
}

OPSPILOT_INLINE status table::end_row(interner& strings, std::int64_t now_us) {
    if (!filling_)
        return error{error_kind::usage, "usage.no_row", "a row was ended that was not begun", "", "call begin_row first"};
    const std::span<const opspilot::field> fields =
        columns_.empty() ? std::span<const opspilot::field>{} : schema_->fields(role_);
    // Dates first: they may themselves be defaulted.
    for (const bool aged : {false, true}) {
        for (std::uint32_t i = 0; i < fields.size(); ++i) {
            if ((fields[i].max_age_us != 0) != aged) continue;
            cell_state state = cell_state::missing;
            if (!table_access::settle(*this, i, rows_, table_access::state(*this, i) == given::value, now_us, state)) {
                error problem = table_access::missing(*this, i);
                drop_row();
                return problem;
            }
            table_access::put(columns_[i], fields[i], rows_, state, strings);
        }
    }
    filling_ = false;
    ++rows_;
    return {};
}

}  // namespace opspilot
