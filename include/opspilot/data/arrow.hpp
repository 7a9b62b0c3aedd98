/// \file
/// Tables from Arrow data by the C data interface (https://arrow.apache.org/docs/format/CDataInterface.html), no Arrow library.
#pragma once

#include <cstdint>

#include "opspilot/base/result.hpp"
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

/// Appends the rows of one struct array to `out`. Columns are matched by name: unknown and retyped columns and missing
/// required ones are errors with the nearest right name; order does not matter. Accepts null, bool, (u)int8-64, float16-64,
/// utf8, large_utf8, string_view, list/large_list of strings, dictionaries of strings, timestamps and dates of any unit.
/// Buffers are checked before they are read as far as the interface allows: lengths, offsets monotone and within the data,
/// dictionary indices in range, UTF-8. `array` and `schema` stay the caller's to release.
/// On an error `out` is as it was. Errors: kind schema, place "column 'x' row 17".
/// A column named `ignore` (such as task_index) is skipped; may be null.
[[nodiscard]] OPSPILOT_API status append_arrow(table& out, const ArrowSchema& schema, const ArrowArray& array, interner& strings,
                                               std::int64_t now_us, const char* ignore = nullptr);

/// Appends every batch of a stream, then releases it, whatever the outcome.
[[nodiscard]] OPSPILOT_API status append_arrow_stream(table& out, ArrowArrayStream& stream, interner& strings,
                                                      std::int64_t now_us, const char* ignore = nullptr);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/arrow-inl.hpp"
#endif
