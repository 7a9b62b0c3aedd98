/// \file
/// Rows of one role as typed columns with dictionary-coded strings: catalogues, candidate sets, batches of tasks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/schema.hpp"

namespace opspilot {

/// Longest text a field accepts, in bytes; longer ones are refused.
inline constexpr std::size_t text_limit = std::size_t{1} << 20;
/// Longest JSON text of rows, in bytes.
inline constexpr std::size_t json_limit = std::size_t{64} << 20;

/// What stands in a cell.
enum class cell_state : std::uint8_t {
    missing,    ///< nothing was given and no default is declared
    present,    ///< the value that was given
    defaulted,  ///< nothing was given; the declared default stands in
    stale,      ///< the value was older than its maximum age; the declared default stands in, or nothing when none is declared
};

/// One cell, whatever its type. Only the member of the field's type is meaningful, and only when `has_value()`.
struct cell {
    field_type type = field_type::text;
    cell_state state = cell_state::missing;
    bool valued = false;                     ///< a value can be read (present, defaulted, or stale with a default)
    std::int64_t integer = 0;                ///< boolean (0/1), integer, timestamp
    double number = 0;                       ///< number; for boolean, integer and timestamp the same value converted
    std::uint32_t code = no_code;            ///< text
    std::span<const std::uint32_t> codes{};  ///< text_list
    [[nodiscard]] bool has_value() const noexcept { return valued; }
};

/// One typed column. Arrays of other types than the field's are empty.
struct column {
    std::vector<cell_state> state;       ///< one per row
    std::vector<std::uint8_t> valued;    ///< one per row, 0/1
    std::vector<std::int64_t> integers;  ///< boolean, integer, timestamp
    std::vector<double> numbers;         ///< number; NaN where there is no value
    std::vector<std::uint32_t> codes;    ///< text (`no_code` where there is no value), or the concatenated items of lists
    std::vector<std::uint32_t> offsets;  ///< text_list: rows + 1 offsets into codes
};

class json_reader;  // opspilot/data/row_json.hpp

/// A table of one role. Filled by the readers below or cell by cell; columns follow the schema's field order.
/// Reading is thread-safe; filling is not. `clear()` keeps the memory, so a warm table allocates nothing.
class OPSPILOT_API table {
public:
    table() = default;
    table(const schema& s, role r) { reset(s, r); }
    void reset(const schema& s, role r);
    void clear() noexcept;

    [[nodiscard]] const opspilot::schema& schema_of() const noexcept { return *schema_; }
    [[nodiscard]] role role_of() const noexcept { return role_; }
    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] const column& at(std::uint32_t field) const noexcept { return columns_[field]; }
    [[nodiscard]] cell get(std::uint32_t field, std::size_t row) const noexcept;

    /// Replaces the rows by those of a JSON array of objects, or by the one of a lone object. `now_us` decides staleness; null
    /// counts as not given; an int takes whole numbers without fraction or exponent, a double also those it can hold exactly.
    /// Unknown, repeated, missing and retyped fields and values outside the declared values or bounds are errors (kind schema)
    /// with the JSON pointer "/row/field" (a lone object: "/field") and the nearest right name; on an error the table is empty.
    /// At most `row_limit` rows and `json_limit` bytes (kind limit).
    [[nodiscard]] status read_json(std::string_view json, interner& strings, std::int64_t now_us,
                                   std::size_t row_limit = std::size_t{1} << 20);
    /// The same without allocating once `reader`, `strings` and the table have grown to the traffic's size.
    [[nodiscard]] status read_json(std::string_view json, interner& strings, std::int64_t now_us, json_reader& reader,
                                   std::size_t row_limit = std::size_t{1} << 20);

    // Cell-wise filling, for bindings and tests: begin_row, set each field given once, end_row (which applies defaults, ages
    // and checks). Setters check type, values, bounds and UTF-8. A NaN number means missing and is refused on a required field
    // without default; an infinite one is always refused. After an error the row is either dropped (end_row) or to be dropped
    // by drop_row or the next begin_row; rows before it stay.
    //
    // Ages: a field with a maximum age is stale when its as_of timestamp lies further back than that from now, or when it has
    // a value that nothing dates. An as_of in the future counts as age 0.
    void begin_row();
    [[nodiscard]] status set_missing(std::uint32_t field);
    [[nodiscard]] status set_boolean(std::uint32_t field, bool value);
    [[nodiscard]] status set_integer(std::uint32_t field, std::int64_t value);  ///< also for number (exact) and timestamp
    [[nodiscard]] status set_number(std::uint32_t field, double value);
    [[nodiscard]] status set_text(std::uint32_t field, std::string_view value, interner& strings);  ///< also RFC 3339 timestamps
    [[nodiscard]] status set_list(std::uint32_t field, std::span<const std::string_view> items, interner& strings);
    [[nodiscard]] status end_row(interner& strings, std::int64_t now_us);
    void drop_row() noexcept;  ///< forgets the row being filled, if any

private:
    friend struct table_access;  // readers in detail (JSON, Arrow)

    const opspilot::schema* schema_ = nullptr;
    role role_ = role::task;
    std::size_t rows_ = 0;
    std::vector<column> columns_;
    std::vector<std::uint8_t> given_;  // per field, in the row being filled
    bool filling_ = false;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/row_json.hpp"
#include "opspilot/data/table-inl.hpp"
#endif
