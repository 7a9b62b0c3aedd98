#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "opspilot/audit/detail/line_reader.hpp"
#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/audit/log.hpp"

namespace opspilot {

namespace detail {

inline void count_time(std::int64_t time_us, log_summary& out) {
    const bool first = out.records + out.outcomes == 0;
    out.first_time_us = first ? time_us : std::min(out.first_time_us, time_us);
    out.last_time_us = first ? time_us : std::max(out.last_time_us, time_us);
}

inline void count_decision(const parsed_record& record, log_summary& out) {
    count_time(record.time_us, out);
    ++out.records;
    out.shadow += record.shadow ? 1 : 0;
    const auto verdict = std::find(record_verdicts.begin(), record_verdicts.end(), record.verdict);
    ++out.by_verdict[static_cast<std::size_t>(verdict - record_verdicts.begin())];  // record_of lets no other through
}

inline void count_outcome(const outcome_record& record, log_summary& out) {
    count_time(record.time_us, out);
    ++out.outcomes;
    ++out.by_outcome[static_cast<std::size_t>(record.what.kind)];
}

/// Reads one line and counts it.
inline status read_log_line(std::string_view line, bool ended, std::size_t line_limit, log_summary& out) {
    if (line.size() > line_limit)
        return error{error_kind::audit, "audit.line_too_long",
                     fmt::format("a line of {} bytes; the limit is {}", line.size(), line_limit), "", ""};
    if (!ended)
        return error{error_kind::audit, "audit.truncated", fmt::format("the last line of {} bytes has no end", line.size()), "",
                     "the writer was interrupted: cut the log before this line"};
    if (line.empty()) return error{error_kind::audit, "audit.empty_line", "an empty line", "", "a record ends with one newline"};
    OPSPILOT_TRY(const json root, parse_json(line, error_kind::audit));
    if (line_type(root) == "outcome") {
        OPSPILOT_TRY(const outcome_record read, outcome_of(root));
        count_outcome(read, out);
    } else {
        OPSPILOT_TRY(const parsed_record read, record_of(root));
        count_decision(read, out);
    }
    return {};
}

}  // namespace detail

OPSPILOT_INLINE log_summary check_log(std::string_view bytes, std::size_t line_limit) {
    log_summary out;
    std::uint64_t line_number = 0;
    std::size_t at = 0;
    while (at < bytes.size()) {
        ++line_number;
        const std::size_t end = bytes.find('\n', at);
        const bool ended = end != std::string_view::npos;
        const std::string_view line = bytes.substr(at, (ended ? end : bytes.size()) - at);
        if (status read = detail::read_log_line(line, ended, line_limit, out); !read) {
            out.ok = false;
            out.first_bad = bad_line{line_number, at, std::move(read).error()};
            return out;
        }
        at = end + 1;
        out.bytes = at;
    }
    return out;
}

}  // namespace opspilot
