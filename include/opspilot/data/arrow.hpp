/// \file
/// Tables from Arrow data by the C data interface (https://arrow.apache.org/docs/format/CDataInterface.html), no Arrow library.
#pragma once

#include <cstdint>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/data/table.hpp"

// The three structs of the Arrow C data and stream interfaces, under the guard their specification asks for.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
extern "C" {
struct ArrowSchema {
    const char* format;
    const char* name;
    const char* metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema** children;
    struct ArrowSchema* dictionary;
    void (*release)(struct ArrowSchema*);
    void* private_data;
};
struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void** buffers;
    struct ArrowArray** children;
    struct ArrowArray* dictionary;
    void (*release)(struct ArrowArray*);
    void* private_data;
};
}
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
#endif
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
extern "C" {
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
    int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
    const char* (*get_last_error)(struct ArrowArrayStream*);
    void (*release)(struct ArrowArrayStream*);
    void* private_data;
};
}
#endif

namespace opspilot {

/// Most rows a table takes from Arrow data.
inline constexpr std::int64_t arrow_row_limit = std::int64_t{1} << 27;

/// Scratch memory of the Arrow reader. One per workspace; not thread-safe.
class OPSPILOT_API arrow_reader {
private:
    friend struct arrow_rows;            // the reader in detail
    std::vector<std::uint32_t> codes_;   // of a dictionary's entries, found on first use
    std::vector<std::int64_t> columns_;  // column of each field, or -1
};

/// Appends the rows of one struct array to `out`. Columns are matched by name: unknown, repeated and retyped columns and
/// missing required ones are errors with the nearest right name; order does not matter. What each field type is read from:
///
///     bool          bool
///     int           (u)int8-64
///     double        float16-64, and integers it can hold exactly; NaN counts as missing
///     string        utf8, large_utf8, string_view, dictionaries of these
///     timestamp     timestamps and dates of any unit (nanoseconds are cut), integers (microseconds), strings (RFC 3339)
///     list<string>  list and large_list of what a string is read from
///
/// and all of them from a column of type null. A dictionary's entries are looked up once each.
/// Buffers are checked before they are read as far as the interface allows: counts and lengths, offsets ascending and within
/// the data, dictionary indexes and text views in range, UTF-8. How long a text column's bytes are the interface does not say.
/// `array` and `schema` stay the caller's to release. On an error `out` is as it was.
/// Errors: kind schema, place "column 'x'" or "column 'x' row 17" (rows of the array, from 0).
/// A column named `ignore` (such as task_index) is skipped; may be null.
[[nodiscard]] OPSPILOT_API status append_arrow(table& out, const ArrowSchema& schema, const ArrowArray& array, interner& strings,
                                               std::int64_t now_us, const char* ignore = nullptr);
/// The same without allocating once `reader`, `strings` and the table have grown to the traffic's size.
[[nodiscard]] OPSPILOT_API status append_arrow(table& out, const ArrowSchema& schema, const ArrowArray& array, interner& strings,
                                               std::int64_t now_us, arrow_reader& reader, const char* ignore = nullptr);

/// Appends every batch of a stream, then releases it, whatever the outcome. Rows in places count from the stream's first.
[[nodiscard]] OPSPILOT_API status append_arrow_stream(table& out, ArrowArrayStream& stream, interner& strings,
                                                      std::int64_t now_us, const char* ignore = nullptr);

/// Like the above, for candidates: each column is looked up among the fields of both tables.
[[nodiscard]] OPSPILOT_API status append_arrow_candidates(const candidate_tables& out, const ArrowSchema& schema,
                                                          const ArrowArray& array, interner& strings, std::int64_t now_us,
                                                          arrow_reader& reader);
[[nodiscard]] OPSPILOT_API status append_arrow_candidates_stream(const candidate_tables& out, ArrowArrayStream& stream,
                                                                 interner& strings, std::int64_t now_us);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/arrow-inl.hpp"
#endif
