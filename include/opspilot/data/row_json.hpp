/// \file
/// Rows from JSON and back: the reader's scratch memory, candidates that fill two tables at once, redacted rows for records.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot {

/// Scratch memory of the JSON reader: parsed form and padded copy of the last text. One per workspace; not thread-safe.
class OPSPILOT_API json_reader {
public:
    json_reader();
    ~json_reader();
    json_reader(json_reader&&) noexcept;
    json_reader& operator=(json_reader&&) noexcept;

private:
    friend struct row_json;  // the readers in detail
    struct impl;
    std::unique_ptr<impl> impl_;
};

/// Where candidates go. Each key of a candidate is looked up among the fields of both tables; a name that both declare fills
/// both, one that neither declares is an error. Row i of both tables is candidate i.
///
/// Candidates that only name actions of a catalogue ({"id": "refund", …pair fields}) are read with an `actions` table over a
/// default-constructed schema, which knows nothing but `id`.
struct candidate_tables {
    table* actions = nullptr;                          ///< role::action, required
    table* pairs = nullptr;                            ///< role::candidate; null when the schema declares no such fields
    std::vector<std::uint32_t>* task_index = nullptr;  ///< set: each candidate carries an integer `task_index` of at least 0
};

/// Like `table::read_json`, for candidates. On an error everything in `out` is empty.
[[nodiscard]] OPSPILOT_API status read_candidates_json(std::string_view json, const candidate_tables& out, interner& strings,
                                                       std::int64_t now_us, json_reader& reader,
                                                       std::size_t row_limit = std::size_t{1} << 20);

/// Appends one row as a JSON object, without fields more personal than `widest` and those of index `left_out`. `read_json` of the
/// object at the same time gives the row again (but for what was redacted): values as given, nothing for missing, defaulted and
/// dated stale ones, and the stand-in for stale values that nothing dates. Keys are in declared order, timestamps whole
/// microseconds.
OPSPILOT_API void write_row_json(const table& rows, std::size_t row, const interner& strings, std::string& out,
                                 pii_class widest = pii_class::pseudonymous, std::span<const std::uint32_t> left_out = {});

/// Appends the text as a JSON string; well-formed UTF-8 passes as it is.
OPSPILOT_API void append_json_text(std::string& out, std::string_view text);
/// Appends the shortest text that reads back as the same double; null when it is not finite.
OPSPILOT_API void append_json_number(std::string& out, double value);
OPSPILOT_API void append_json_integer(std::string& out, std::int64_t value);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/row_json-inl.hpp"
#endif
