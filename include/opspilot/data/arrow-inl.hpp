#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "opspilot/data/arrow.hpp"
#include "opspilot/data/detail/arrow_source.hpp"
#include "opspilot/data/detail/table_access.hpp"
#include "opspilot/data/detail/time.hpp"

namespace opspilot {

struct arrow_rows;

/// Takes the tables back to the rows they had, unless told to keep the new ones; also when memory runs out.
struct arrow_undo {
    explicit arrow_undo(arrow_rows& appended);
    ~arrow_undo();
    arrow_undo(const arrow_undo&) = delete;
    arrow_undo& operator=(const arrow_undo&) = delete;
    bool keep = false;

private:
    arrow_rows& rows_;
    std::array<std::size_t, 2> before_{};
    std::size_t indexes_ = 0;
};

/// Appends one struct array to one or two tables, column by column.
struct arrow_rows {
    std::array<table*, 2> tables{};
    std::size_t count = 0;
    std::vector<std::uint32_t>* task_index = nullptr;
    interner& strings;
    std::int64_t now_us;
    arrow_reader& reader;
    const char* ignore = nullptr;
    std::int64_t first_row = 0;  // of this array in its stream, for places

    status append(const ArrowSchema& schema, const ArrowArray& array) {
        arrow_undo undo(*this);
        OPSPILOT_CHECK(append_columns(schema, array));
        undo.keep = true;
        return {};
    }

private:
    static std::string place(std::string_view column) { return fmt::format("column {}", quote(column)); }
    [[nodiscard]] std::string place(std::string_view column, std::int64_t row) const {
        return fmt::format("column {} row {}", quote(column), first_row + row);
    }

    status append_columns(const ArrowSchema& schema, const ArrowArray& array) {
        OPSPILOT_CHECK(check_struct(schema, array));
        if (array.length == 0) return check_names(schema);
        for (std::size_t t = 0; t < count; ++t) {
            if (static_cast<std::int64_t>(tables[t]->rows()) > arrow_row_limit - array.length)
                return error{error_kind::limit, "limit.rows", fmt::format("more than {} rows", arrow_row_limit), "",
                             "send the rows in several pieces"};
        }
        OPSPILOT_CHECK(check_names(schema));
        if (task_index) OPSPILOT_CHECK(read_task_index(schema, array));
        for (std::size_t t = 0; t < count; ++t) {
            table& out = *tables[t];
            const std::span<const field> fields = out.schema_of().fields(out.role_of());
            OPSPILOT_CHECK(match_columns(out, schema));
            table_access::grow(out, static_cast<std::size_t>(array.length));
            for (const bool aged : {false, true}) {  // dates first
                for (std::uint32_t i = 0; i < fields.size(); ++i)
                    if ((fields[i].max_age_us != 0) == aged) OPSPILOT_CHECK(read_column(out, i, schema, array));
            }
        }
        for (std::size_t t = 0; t < count; ++t) table_access::rows(*tables[t]) += static_cast<std::size_t>(array.length);
        return {};
    }

    status check_struct(const ArrowSchema& schema, const ArrowArray& array) const {
        if (schema.release == nullptr || schema.format == nullptr) return detail::malformed_arrow("the schema was released");
        if (std::string_view(schema.format) != "+s")
            return detail::schema_error("schema.arrow_type",
                                        fmt::format("rows are read from a struct array, found format {}", quote(schema.format)),
                                        "", "pass a record batch or a table");
        if (array.release == nullptr) return detail::malformed_arrow("the array was released");
        if (array.length < 0 || array.offset < 0 || array.offset > std::numeric_limits<std::int64_t>::max() - array.length)
            return detail::malformed_arrow(fmt::format("length {} at offset {}", array.length, array.offset));
        if (schema.n_children < 0 || array.n_children != schema.n_children)
            return detail::malformed_arrow(fmt::format("{} columns declared, {} there", schema.n_children, array.n_children));
        if (schema.n_children > 0 && (schema.children == nullptr || array.children == nullptr))
            return detail::malformed_arrow("columns without children");
        for (std::int64_t i = 0; i < schema.n_children; ++i) {
            const ArrowSchema* child = schema.children[i];
            if (child == nullptr || array.children[i] == nullptr || child->format == nullptr || child->release == nullptr)
                return detail::malformed_arrow(fmt::format("column {} is not there", i));
        }
        if (array.n_buffers != 1 || array.buffers == nullptr)
            return detail::malformed_arrow(fmt::format("{} buffers in a struct array, which has 1", array.n_buffers));
        if (array.null_count > 0 && array.buffers[0] == nullptr)
            return detail::malformed_arrow("nulls without a validity bitmap");
        if (array.null_count == 0 || array.buffers[0] == nullptr) return {};
        for (std::int64_t row = 0; row < array.length; ++row)
            if (!detail::bit(array.buffers[0], array.offset + row))
                return detail::schema_error("schema.missing_row", "the whole row is null", fmt::format("row {}", first_row + row),
                                            "drop it before");
        return {};
    }

    [[nodiscard]] bool skipped(std::string_view column) const noexcept { return ignore != nullptr && column == ignore; }

    /// Every column must have a name that something is known of, and no two the same.
    status check_names(const ArrowSchema& schema) {
        for (std::size_t t = 0; t < count; ++t) OPSPILOT_CHECK(match_columns(*tables[t], schema));
        for (std::int64_t i = 0; i < schema.n_children; ++i) {
            const std::string_view column = name_of(schema, i);
            bool known = skipped(column) || (task_index && column == "task_index");
            for (std::size_t t = 0; t < count; ++t)
                known = known || tables[t]->schema_of().find(tables[t]->role_of(), column).has_value();
            if (!known) return detail::unknown_field(std::span<const table* const>(tables.data(), count), column, place(column));
        }
        return {};
    }

    static std::string_view name_of(const ArrowSchema& schema, std::int64_t column) noexcept {
        const char* name = schema.children[column]->name;
        return name != nullptr ? std::string_view(name) : std::string_view{};
    }

    /// Finds the column of every field of the table.
    status match_columns(const table& out, const ArrowSchema& schema) {
        reader.columns_.assign(out.schema_of().fields(out.role_of()).size(), -1);
        for (std::int64_t i = 0; i < schema.n_children; ++i) {
            const std::string_view column = name_of(schema, i);
            const auto found = out.schema_of().find(out.role_of(), column);
            if (!found || skipped(column)) continue;
            if (reader.columns_[*found] >= 0)
                return detail::schema_error("schema.duplicate_field", fmt::format("column {} stands twice", quote(column)),
                                            place(column), "keep one of them");
            reader.columns_[*found] = i;
        }
        return {};
    }

    status read_task_index(const ArrowSchema& schema, const ArrowArray& array) {
        constexpr std::string_view name = "task_index";
        for (std::int64_t i = 0; i < schema.n_children; ++i) {
            if (name_of(schema, i) != name) continue;
            auto opened = detail::arrow_source::open(*schema.children[i], *array.children[i], array.offset, array.length);
            if (!opened) {
                opened.error().where = place(name);
                return std::move(opened).error();
            }
            const detail::arrow_view& values = opened->values;
            task_index->reserve(task_index->size() + static_cast<std::size_t>(array.length));
            for (std::int64_t row = 0; row < array.length; ++row) {
                std::int64_t index = 0;
                if (!detail::is_integer(values.format.layout) || opened->coded || !values.valid(array.offset + row) ||
                    !values.integer(array.offset + row, index) || index < 0 || index > std::numeric_limits<std::uint32_t>::max())
                    return detail::schema_error(
                        "schema.wrong_type", "column 'task_index' must hold rows of the tasks, counted from 0", place(name, row));
                task_index->push_back(static_cast<std::uint32_t>(index));
            }
            return {};
        }
        return detail::schema_error("schema.missing_field", "column 'task_index' is missing", place(name),
                                    "say which row of the tasks each candidate belongs to");
    }

    status read_column(table& out, std::uint32_t index, const ArrowSchema& schema, const ArrowArray& array) {
        const field& f = table_access::declared(out, index);
        const std::int64_t at = reader.columns_[index];
        detail::arrow_source from;  // of format null, as if every value were
        if (at >= 0) {
            auto opened = detail::arrow_source::open(*schema.children[at], *array.children[at], array.offset, array.length);
            if (!opened) {
                opened.error().where = place(f.name);
                return std::move(opened).error();
            }
            from = *std::move(opened);
            if (!from.fits(f.type)) {
                error retyped = table_access::retyped(out, index, from.found_name(schema.children[at]->format));
                retyped.where = place(f.name);
                if (f.type == field_type::integer && detail::is_float(from.values.format.layout))
                    retyped.hint = "cast the column to an integer type, with null where there is no value";
                return retyped;
            }
        } else if (!f.optional && f.default_value.index() == 0 && f.max_age_us == 0) {
            return detail::schema_error("schema.missing_field",
                                        fmt::format("field '{}' on {} is missing", f.name, name(out.role_of())), place(f.name),
                                        "give the column, or declare the field optional or with a default");
        }
        if (from.coded) {
            // A large dictionary of which few rows use a little is not worth preparing.
            from.cached = from.entries.length <= 4 * array.length + 64;
            reader.codes_.assign(from.cached ? static_cast<std::size_t>(from.entries.length) : 0, no_code);
        }
        if (read_plain_column(table_access::at(out, index), f, from.values, array, out.rows())) return {};
        for (std::int64_t row = 0; row < array.length; ++row) {
            if (read_plain_cell(table_access::at(out, index), f, from, array.offset + row,
                                out.rows() + static_cast<std::size_t>(row)))
                continue;
            status done = read_cell(out, index, f, from, array.offset, row);
            if (done) continue;
            done.error().where = place(f.name, row);
            return done;
        }
        return {};
    }

    /// Numbers of which every one is given, finite and in bounds, all at once. False: the cells must be looked at one by one.
    static bool read_plain_column(column& c, const field& f, const detail::arrow_view& from, const ArrowArray& rows,
                                  std::size_t slot) noexcept {
        if (f.type != field_type::number || f.max_age_us != 0 || from.validity != nullptr) return false;
        const auto count = static_cast<std::size_t>(rows.length);
        const bool plain =
            from.format.layout == detail::arrow_layout::float64   ? copy_plain<double>(c, f, from, rows.offset, count, slot)
            : from.format.layout == detail::arrow_layout::float32 ? copy_plain<float>(c, f, from, rows.offset, count, slot)
                                                                  : false;
        if (!plain) return false;
        std::fill_n(c.state.begin() + static_cast<std::ptrdiff_t>(slot), count, cell_state::present);
        std::fill_n(c.valued.begin() + static_cast<std::ptrdiff_t>(slot), count, std::uint8_t{1});
        return true;
    }

    template <class T>
    static bool copy_plain(column& c, const field& f, const detail::arrow_view& from, std::int64_t first, std::size_t count,
                           std::size_t slot) noexcept {
        const double least = f.min.value_or(std::numeric_limits<double>::lowest());
        const double most = f.max.value_or(std::numeric_limits<double>::max());
        const char* const values =
            static_cast<const char*>(from.values) + static_cast<std::size_t>(from.offset + first) * sizeof(T);
        double* const out = c.numbers.data() + slot;
        unsigned outside = 0;
        for (std::size_t i = 0; i < count; ++i) {
            T value;
            std::memcpy(&value, values + i * sizeof(T), sizeof(T));
            out[i] = static_cast<double>(value);
            outside |= static_cast<unsigned>(!(out[i] >= least && out[i] <= most));  // as infinities and NaN are
        }
        return outside == 0;
    }

    /// The many cells that need no second look: given, in bounds, never stale. False: `read_cell` must look.
    [[nodiscard]] bool read_plain_cell(column& c, const field& f, const detail::arrow_source& from, std::int64_t entry,
                                       std::size_t slot) const noexcept {
        if (f.max_age_us != 0 || !from.values.valid(entry)) return false;
        std::int64_t integer = 0;
        switch (f.type) {
            case field_type::boolean:
                c.integers[slot] = detail::bit(from.values.values, from.values.offset + entry) ? 1 : 0;
                break;
            case field_type::integer:
                if (!from.values.integer(entry, integer) || !detail::within_bounds(f, integer)) return false;
                c.integers[slot] = integer;
                break;
            case field_type::timestamp:
                if (from.coded || !from.values.microseconds(entry, integer)) return false;
                c.integers[slot] = integer;
                break;
            case field_type::number: {
                if (!detail::is_float(from.values.format.layout)) return false;
                const double number = from.values.real(entry);
                if (!std::isfinite(number) || !detail::within_bounds(f, number)) return false;
                c.numbers[slot] = number;
                break;
            }
            case field_type::text: {
                if (!from.cached || !from.values.integer(entry, integer)) return false;
                const std::uint32_t code = reader.codes_[static_cast<std::size_t>(integer)];
                if (code == no_code) return false;
                c.codes[slot] = code;
                break;
            }
            case field_type::text_list: return false;
        }
        c.state[slot] = cell_state::present;
        c.valued[slot] = 1;
        return true;
    }

    status read_cell(table& out, std::uint32_t index, const field& f, detail::arrow_source& from, std::int64_t offset,
                     std::int64_t row) {
        column& c = table_access::at(out, index);
        const std::size_t slot = out.rows() + static_cast<std::size_t>(row);
        const std::int64_t entry = offset + row;  // a struct's own offset counts for its children too
        if (f.type == field_type::text_list) c.offsets.push_back(static_cast<std::uint32_t>(c.codes.size()));
        bool is_given = from.values.valid(entry);
        if (is_given) OPSPILOT_CHECK(read_value(out, index, f, from, entry, slot, is_given));
        cell_state state = cell_state::missing;
        if (!table_access::settle(out, index, slot, is_given, now_us, state))
            return detail::schema_error("schema.missing_field",
                                        fmt::format("field '{}' on {} is missing", f.name, name(out.role_of())), {},
                                        "give a value, or declare the field optional or with a default");
        table_access::put(c, f, slot, state, strings);
        return {};
    }

    /// Reads a valid entry into the slot; `is_given` becomes false when it turns out to mean missing after all.
    status read_value(table& out, std::uint32_t index, const field& f, detail::arrow_source& from, std::int64_t entry,
                      std::size_t slot, bool& is_given) {
        column& c = table_access::at(out, index);
        switch (f.type) {
            case field_type::boolean:
                c.integers[slot] = detail::bit(from.values.values, from.values.offset + entry) ? 1 : 0;
                return {};
            case field_type::integer: {
                std::int64_t value = 0;
                if (!from.values.integer(entry, value))
                    return table_access::fail(out, index, "schema.out_of_range", "must fit 64 bits with a sign");
                if (!detail::within_bounds(f, value)) return table_access::out_of_range(out, index, fmt::to_string(value));
                c.integers[slot] = value;
                return {};
            }
            case field_type::number: return read_number(out, index, f, from, entry, c.numbers[slot], is_given);
            case field_type::timestamp:
                if (from.coded || detail::is_text(from.values.format.layout))
                    return read_instant(out, index, from, entry, c.integers[slot], is_given);
                if (!from.values.microseconds(entry, c.integers[slot]))
                    return table_access::fail(out, index, "schema.out_of_range", "does not fit 64 bits of microseconds");
                return {};
            case field_type::text: return read_text(out, index, from, from.values, entry, c.codes[slot], is_given);
            case field_type::text_list: return read_list(out, index, from, entry, c);
        }
        return {};
    }

    static status read_number(const table& out, std::uint32_t index, const field& f, const detail::arrow_source& from,
                              std::int64_t entry, double& slot, bool& is_given) {
        double value = 0;
        if (detail::is_float(from.values.format.layout)) {
            value = from.values.real(entry);
            if (std::isnan(value)) {
                is_given = false;
                return {};
            }
            if (std::isinf(value))
                return table_access::fail(out, index, "schema.not_finite", "is infinite",
                                          "leave it out when its value is unknown");
        } else {
            std::int64_t whole = 0;
            if (!from.values.integer(entry, whole) || !detail::exactly(whole, value))
                return table_access::fail(out, index, "schema.inexact", "is double, which cannot hold the integer exactly",
                                          "declare the field int");
        }
        if (!detail::within_bounds(f, value)) return table_access::out_of_range(out, index, fmt::format("{}", value));
        slot = value;
        return {};
    }

    status read_instant(const table& out, std::uint32_t index, const detail::arrow_source& from, std::int64_t entry,
                        std::int64_t& slot, bool& is_given) const {
        std::int64_t position = entry;
        if (from.coded) {
            static_cast<void>(from.values.integer(entry, position));
            if (!from.entries.valid(position)) {
                is_given = false;
                return {};
            }
        }
        const std::string_view text = (from.coded ? from.entries : from.values).text(position);
        if (detail::read_rfc3339(text, slot)) return {};
        return table_access::fail(out, index, "schema.bad_timestamp",
                                  fmt::format("is not a timestamp: {}", table_access::shown(out, index, quote(text))),
                                  "write RFC 3339, such as 2026-02-28T09:30:00Z, or whole microseconds since 1970 UTC");
    }

    /// A text of a column or of a list's items (`values`), by its dictionary when it has one.
    status read_text(const table& out, std::uint32_t index, const detail::arrow_source& from, const detail::arrow_view& values,
                     std::int64_t entry, std::uint32_t& slot, bool& is_given) {
        const detail::arrow_view* texts = &values;
        std::int64_t position = entry;
        if (from.coded) {
            static_cast<void>(values.integer(entry, position));  // checked when the column was opened
            texts = &from.entries;
            if (from.cached && reader.codes_[static_cast<std::size_t>(position)] != no_code) {
                slot = reader.codes_[static_cast<std::size_t>(position)];
                return {};
            }
            if (!texts->valid(position)) {
                is_given = false;
                return {};
            }
        }
        const std::string_view text = texts->text(position);
        OPSPILOT_CHECK(table_access::check_text(out, index, text));
        OPSPILOT_CHECK(table_access::check_utf8(out, index, text));
        slot = strings.code(text);
        if (from.cached) reader.codes_[static_cast<std::size_t>(position)] = slot;
        return {};
    }

    status read_list(const table& out, std::uint32_t index, const detail::arrow_source& from, std::int64_t entry, column& c) {
        std::int64_t begin = 0;
        std::int64_t end = 0;
        from.values.range(entry, begin, end);
        if (static_cast<std::uint64_t>(end - begin) > std::numeric_limits<std::uint32_t>::max() - c.codes.size())
            return error{error_kind::limit, "limit.items", fmt::format("more than {} list items in one column", 0xFFFFFFFFU), "",
                         "send the rows in several pieces"};
        for (std::int64_t i = begin; i < end; ++i) {
            std::uint32_t code = no_code;
            bool item_given = from.items.valid(i);
            if (item_given) OPSPILOT_CHECK(read_text(out, index, from, from.items, i, code, item_given));
            if (!item_given) return table_access::retyped(out, index, "null in it");
            table_access::push_item(c, code);
        }
        return {};
    }
};

inline arrow_undo::arrow_undo(arrow_rows& appended) : rows_(appended) {
    for (std::size_t t = 0; t < rows_.count; ++t) {
        rows_.tables[t]->drop_row();
        before_[t] = rows_.tables[t]->rows();
    }
    if (rows_.task_index) indexes_ = rows_.task_index->size();
}

inline arrow_undo::~arrow_undo() {
    if (keep) return;
    for (std::size_t t = 0; t < rows_.count; ++t) table_access::cut(*rows_.tables[t], before_[t]);
    if (rows_.task_index) rows_.task_index->resize(indexes_);
}

namespace detail {

/// Releases what a stream handed out, also when memory runs out in between.
template <class Handed>
struct arrow_release {
    Handed& handed;
    ~arrow_release() {
        if (handed.release != nullptr) handed.release(&handed);
    }
};

inline status append_stream(arrow_rows& rows, ArrowArrayStream& stream) {
    if (stream.release == nullptr) return malformed_arrow("the stream was released");
    const arrow_release<ArrowArrayStream> release_stream{stream};
    if (stream.get_schema == nullptr || stream.get_next == nullptr) return malformed_arrow("a stream without callbacks");
    const auto failed = [&](std::string_view what) {
        const char* why = stream.get_last_error != nullptr ? stream.get_last_error(&stream) : nullptr;
        return schema_error("schema.arrow_stream",
                            fmt::format("the Arrow stream gave no {}: {}", what, quote(why ? why : "no reason", 200)), {},
                            "the producer of the table is at fault");
    };
    ArrowSchema schema{};
    if (stream.get_schema(&stream, &schema) != 0) return failed("schema");
    const arrow_release<ArrowSchema> release_schema{schema};
    for (;;) {
        ArrowArray batch{};
        if (stream.get_next(&stream, &batch) != 0) return failed("batch");
        if (batch.release == nullptr) return {};  // the end
        const arrow_release<ArrowArray> release_batch{batch};
        OPSPILOT_CHECK(rows.append(schema, batch));
        rows.first_row += batch.length;
    }
}

/// All batches or none.
inline status append_whole_stream(arrow_rows& rows, ArrowArrayStream& stream) {
    arrow_undo undo(rows);
    OPSPILOT_CHECK(append_stream(rows, stream));
    undo.keep = true;
    return {};
}

inline arrow_rows rows_of(table& out, interner& strings, std::int64_t now_us, arrow_reader& reader, const char* ignore) {
    return {.tables = {&out, nullptr}, .count = 1, .strings = strings, .now_us = now_us, .reader = reader, .ignore = ignore};
}
inline arrow_rows rows_of(const candidate_tables& out, interner& strings, std::int64_t now_us, arrow_reader& reader) {
    return {.tables = {out.actions, out.pairs},
            .count = out.pairs ? std::size_t{2} : std::size_t{1},
            .task_index = out.task_index,
            .strings = strings,
            .now_us = now_us,
            .reader = reader};
}

}  // namespace detail

OPSPILOT_INLINE status append_arrow(table& out, const ArrowSchema& schema, const ArrowArray& array, interner& strings,
                                    std::int64_t now_us, arrow_reader& reader, const char* ignore) {
    return detail::rows_of(out, strings, now_us, reader, ignore).append(schema, array);
}

OPSPILOT_INLINE status append_arrow(table& out, const ArrowSchema& schema, const ArrowArray& array, interner& strings,
                                    std::int64_t now_us, const char* ignore) {
    arrow_reader reader;
    return append_arrow(out, schema, array, strings, now_us, reader, ignore);
}

OPSPILOT_INLINE status append_arrow_stream(table& out, ArrowArrayStream& stream, interner& strings, std::int64_t now_us,
                                           const char* ignore) {
    arrow_reader reader;
    arrow_rows rows = detail::rows_of(out, strings, now_us, reader, ignore);
    return detail::append_whole_stream(rows, stream);
}

OPSPILOT_INLINE status append_arrow_candidates(const candidate_tables& out, const ArrowSchema& schema, const ArrowArray& array,
                                               interner& strings, std::int64_t now_us, arrow_reader& reader) {
    return detail::rows_of(out, strings, now_us, reader).append(schema, array);
}

OPSPILOT_INLINE status append_arrow_candidates_stream(const candidate_tables& out, ArrowArrayStream& stream, interner& strings,
                                                      std::int64_t now_us) {
    arrow_reader reader;
    arrow_rows rows = detail::rows_of(out, strings, now_us, reader);
    return detail::append_whole_stream(rows, stream);
}

}  // namespace opspilot
