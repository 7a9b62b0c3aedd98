/// \file
/// Internal: timestamps and durations of CEL: text forms, ranges, calendar fields at fixed offsets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel::detail {

inline constexpr std::int64_t billion = 1'000'000'000;

/// RFC 3339 text; nothing when malformed or outside the years 1 to 9999.
[[nodiscard]] std::optional<value> parse_time(std::string_view text) noexcept;
/// "1h30m", "-1.5s", "10ms", "999us", "5ns"; nothing when malformed or beyond ±315,576,000,000 s.
[[nodiscard]] std::optional<value> parse_span(std::string_view text) noexcept;
[[nodiscard]] std::string format_time(const value& timestamp);
[[nodiscard]] std::string format_span(const value& duration);

[[nodiscard]] bool time_in_range(std::int64_t seconds) noexcept;
/// A duration when it is in range.
[[nodiscard]] std::optional<value> span_in_range(std::int64_t seconds, std::int64_t nanos) noexcept;
[[nodiscard]] std::optional<value> add_time(const value& timestamp, const value& duration, bool negative) noexcept;
[[nodiscard]] std::optional<value> add_spans(const value& a, const value& b, bool negative) noexcept;
/// Only as far as 64-bit nanoseconds reach, which is what the conformance cases ask for.
[[nodiscard]] std::optional<value> time_difference(const value& a, const value& b) noexcept;

struct calendar {
    std::int64_t year = 1970;
    int month = 0, day = 0;  ///< from 0
    int weekday = 0;         ///< 0 = Sunday
    int day_of_year = 0;     ///< from 0
    int hour = 0, minute = 0, second = 0, millisecond = 0;
};
[[nodiscard]] calendar calendar_of(const value& timestamp, std::int64_t offset_seconds) noexcept;
/// "UTC", "+11:00", "-02:30", "02:00"; nothing for named zones, whose rules change.
[[nodiscard]] std::optional<std::int64_t> parse_zone(std::string_view text) noexcept;

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/time-inl.hpp"
#endif
