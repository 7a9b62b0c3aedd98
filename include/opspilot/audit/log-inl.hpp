#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "opspilot/audit/detail/record_tables.hpp"
#include "opspilot/audit/log.hpp"

namespace opspilot {

namespace detail {

inline void count_record(const parsed_record& record, log_summary& out) {
    out.first_time_us = out.records == 0 ? record.time_us : std::min(out.first_time_us, record.time_us);
    out.last_time_us = out.records == 0 ? record.time_us : std::max(out.last_time_us, record.time_us);
    ++out.records;
    out.shadow += record.shadow ? 1 : 0;
    const auto verdict = std::find(record_verdicts.begin(), record_verdicts.end(), record.verdict);
    ++out.by_verdict[static_cast<std::size_t>(verdict - record_verdicts.begin())];  // read_record lets no other through
}

inline result<parsed_record> read_log_line(std::string_view line, bool ended, std::size_t line_limit) {
    if (line.size() > line_limit)
        return error{error_kind::audit, "audit.line_too_long",
                     fmt::format("a line of {} bytes; the limit is {}", line.size(), line_limit), "", ""};
    if (!ended)
        return error{error_kind::audit, "audit.truncated", fmt::format("the last line of {} bytes has no end", line.size()), "",
                     "the writer was interrupted: cut the log before this line"};
    if (line.empty()) return error{error_kind::audit, "audit.empty_line", "an empty line", "", "a record ends with one newline"};
    return read_record(line);
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
        auto record = detail::read_log_line(line, ended, line_limit);
        if (!record) {
            out.ok = false;
            out.first_bad = bad_line{line_number, at, std::move(record).error()};
            return out;
        }
        detail::count_record(*record, out);
        at = end + 1;
        out.bytes = at;
    }
    return out;
}

}  // namespace opspilot
