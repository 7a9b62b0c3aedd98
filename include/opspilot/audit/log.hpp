/// \file
/// A log of decision records and outcome records (JSON Lines), checked line by line.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "opspilot/audit/outcome.hpp"
#include "opspilot/audit/record.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot {

/// The first line of a log that is neither a decision nor an outcome.
struct bad_line {
    std::uint64_t line = 0;    ///< from 1
    std::uint64_t offset = 0;  ///< byte at which the line begins
    error problem;             ///< `where` as the line's reader gives it; audit.truncated for a last line without its end
};

/// What a log holds, up to its first bad line.
struct log_summary {
    bool ok = true;
    std::uint64_t records = 0;                         ///< decisions
    std::uint64_t outcomes = 0;                        ///< lines about what came of one; several may be about the same
    std::uint64_t bytes = 0;                           ///< that both take: the length to which a torn log may be cut
    std::int64_t first_time_us = 0, last_time_us = 0;  ///< smallest and largest time of any line; 0 when there is none
    std::array<std::uint64_t, 5> by_verdict{};         ///< abstain, escalate, suggest, require_approval, auto_execute
    std::array<std::uint64_t, 5> by_outcome{};         ///< accepted, overridden, reversed, complaint, observed
    std::uint64_t shadow = 0;                          ///< decisions for the record only
    std::optional<bad_line> first_bad;
};

/// Reads every line up to the first bad one. An empty log is fine. A last line without a newline is truncated even when it
/// reads, because more could have followed. Empty lines are bad. Outcomes may stand anywhere, also without their decision: it may
/// be in an earlier log. Never fails: what is wrong stands in the summary.
/// Memory: one line at a time; lines over `line_limit` bytes are bad.
[[nodiscard]] OPSPILOT_API log_summary check_log(std::string_view bytes, std::size_t line_limit = std::size_t{16} << 20);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/audit/log-inl.hpp"
#endif
