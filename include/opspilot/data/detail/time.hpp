/// \file
/// Internal: durations and RFC 3339 timestamps.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace opspilot::detail {

struct duration_unit {
    std::string_view name;
    std::int64_t microseconds;
};
inline constexpr std::array<duration_unit, 7> duration_units{{{"w", 604'800'000'000},
                                                              {"d", 86'400'000'000},
                                                              {"h", 3'600'000'000},
                                                              {"m", 60'000'000},
                                                              {"s", 1'000'000},
                                                              {"ms", 1'000},
                                                              {"us", 1}}};

/// Reads exactly `digits` decimal digits at `at` and moves behind them; -1 when they are not there.
inline int read_digits(std::string_view text, std::size_t& at, std::size_t digits) noexcept {
    if (text.size() - at < digits) return -1;
    int value = 0;
    for (const std::size_t end = at + digits; at < end; ++at) {
        if (text[at] < '0' || text[at] > '9') return -1;
        value = 10 * value + (text[at] - '0');
    }
    return value;
}
inline bool read_mark(std::string_view text, std::size_t& at, std::string_view any_of) noexcept {
    if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
    ++at;
    return true;
}

/// The grammar of RFC 3339, section 5.6. False when the text does not follow it.
inline bool read_rfc3339(std::string_view text, std::int64_t& microseconds) noexcept {
    std::size_t at = 0;
    const int year = read_digits(text, at, 4);
    if (year < 0 || !read_mark(text, at, "-")) return false;
    const int month = read_digits(text, at, 2);
    if (month < 0 || !read_mark(text, at, "-")) return false;
    const int day = read_digits(text, at, 2);
    if (day < 0 || !read_mark(text, at, "Tt ")) return false;
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok()) return false;
    const int hour = read_digits(text, at, 2);
    if (hour < 0 || hour > 23 || !read_mark(text, at, ":")) return false;
    const int minute = read_digits(text, at, 2);
    if (minute < 0 || minute > 59 || !read_mark(text, at, ":")) return false;
    const int second = read_digits(text, at, 2);
    if (second < 0 || second > 60) return false;  // 60: a leap second, the same instant as the next minute's start
    std::int64_t fraction = 0;
    if (read_mark(text, at, ".")) {
        std::int64_t scale = 100'000;
        const std::size_t first = at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) fraction += scale * (text[at] - '0');
        if (at == first) return false;
    }
    int offset_minutes = 0;
    if (!read_mark(text, at, "Zz")) {
        const bool west = at < text.size() && text[at] == '-';
        if (!read_mark(text, at, "+-")) return false;
        const int hours = read_digits(text, at, 2);
        if (hours < 0 || hours > 23 || !read_mark(text, at, ":")) return false;
        const int minutes = read_digits(text, at, 2);
        if (minutes < 0 || minutes > 59) return false;
        offset_minutes = (west ? -1 : 1) * (60 * hours + minutes);
    }
    if (at != text.size()) return false;
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    const std::int64_t seconds = days * 86'400 + hour * 3'600 + minute * 60 + second - offset_minutes * 60;
    microseconds = seconds * 1'000'000 + fraction;
    return true;
}

}  // namespace opspilot::detail
