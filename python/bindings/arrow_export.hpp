// Columns made here, handed out by the Arrow C data interface.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace opspilot::python {

/// A growing table of columns of one length: text, number, integer, boolean; records with columns of their own, and lists of
/// records. The kinds after those are of columns by themselves, see `to_arrow`.
class column_table {
public:
    enum class kind : std::uint8_t {
        text,
        number,
        integer,
        boolean,
        record,
        records,
        uinteger,
        bytes,
        timestamp,  // microseconds since 1970 UTC
        duration,   // microseconds
        null,
        list
    };

    struct column {
        std::string name;
        kind type = kind::text;
        std::string bytes;                     // text, bytes: all of them, one after the other
        std::vector<std::int64_t> offsets{0};  // text, bytes: large_utf8 offsets; records, list: large_list offsets
        std::vector<double> numbers;
        std::vector<std::int64_t> integers;  // integer, timestamp, duration; uinteger's bits; boolean as 0/1
        std::vector<column_table> members;   // record, records: one table
        std::vector<column> items;           // list: one column
        std::vector<std::uint8_t> valid;     // one per row
    };

    std::size_t add(std::string name, kind type);
    /// Of kind record or records, with the columns of `members`.
    std::size_t add(std::string name, kind type, column_table members);
    void text(std::size_t column, std::string_view value);
    void text_or_null(std::size_t column, std::string_view value);  // empty becomes null
    void number(std::size_t column, double value);                  // NaN becomes null
    void integer(std::size_t column, std::int64_t value);
    void boolean(std::size_t column, bool value);
    /// Where rows of records are appended before `end_record` or `end_records` makes them a row of the column: the last one, or
    /// all since the row before.
    [[nodiscard]] column_table& members(std::size_t at) { return columns_[at].members.front(); }
    void end_record(std::size_t column);
    void end_records(std::size_t column);

    [[nodiscard]] std::size_t rows() const noexcept { return columns_.empty() ? 0 : columns_.front().valid.size(); }
    [[nodiscard]] const std::vector<column>& columns() const noexcept { return columns_; }
    [[nodiscard]] pybind11::object value(std::size_t column, std::size_t row) const;
    [[nodiscard]] pybind11::dict row(std::size_t row) const;

    /// Capsules ("arrow_schema", "arrow_array") of a struct array; they own copies.
    [[nodiscard]] pybind11::tuple to_arrow() const;
    /// A capsule ("arrow_array_stream") of one batch.
    [[nodiscard]] pybind11::object to_stream() const;

private:
    std::vector<column> columns_;
};

/// Capsules ("arrow_schema", "arrow_array") of one column; they own copies.
[[nodiscard]] pybind11::tuple to_arrow(const column_table::column& column);

void bind_column_table(pybind11::module_& m);

}  // namespace opspilot::python
