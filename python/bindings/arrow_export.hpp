// Columns made here, handed out by the Arrow C data interface.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace opspilot::python {

/// A growing table of text, number, integer and boolean columns of one length.
class column_table {
public:
    enum class kind : std::uint8_t { text, number, integer, boolean };

    struct column {
        std::string name;
        kind type = kind::text;
        std::string bytes;                     // text: all texts, one after the other
        std::vector<std::int64_t> offsets{0};  // text: large_utf8 offsets
        std::vector<double> numbers;
        std::vector<std::int64_t> integers;  // integer; boolean as 0/1
        std::vector<std::uint8_t> valid;     // one per row
    };

    std::size_t add(std::string name, kind type);
    void text(std::size_t column, std::string_view value);
    void number(std::size_t column, double value);  // NaN becomes null
    void integer(std::size_t column, std::int64_t value);
    void boolean(std::size_t column, bool value);

    [[nodiscard]] std::size_t rows() const noexcept { return columns_.empty() ? 0 : columns_.front().valid.size(); }
    [[nodiscard]] const std::vector<column>& columns() const noexcept { return columns_; }
    [[nodiscard]] pybind11::object value(std::size_t column, std::size_t row) const;

    /// Capsules ("arrow_schema", "arrow_array") of a struct array; they own copies.
    [[nodiscard]] pybind11::tuple to_arrow() const;
    /// A capsule ("arrow_array_stream") of one batch.
    [[nodiscard]] pybind11::object to_stream() const;

private:
    std::vector<column> columns_;
};

void bind_column_table(pybind11::module_& m);

}  // namespace opspilot::python
