#pragma once

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel::detail {

inline constexpr std::int64_t first_second = -62'135'596'800;  // 0001-01-01T00:00:00Z
inline constexpr std::int64_t last_second = 253'402'300'799;   // 9999-12-31T23:59:59Z
inline constexpr std::int64_t longest_span = 315'576'000'000;
__extension__ typedef __int128 wide_integer;

// Civil dates as in https://howardhinnant.github.io/date_algorithms.html.
inline std::int64_t days_from_civil(std::int64_t y, int month, int day) noexcept {
    y -= month <= 2 ? 1 : 0;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const std::int64_t year_of_era = y - era * 400;
    const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

inline bool is_leap(std::int64_t year) noexcept { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

inline int days_in_month(std::int64_t year, int month) noexcept {
    constexpr std::array<int, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[static_cast<std::size_t>(month - 1)];
}

/// A number of exactly `count` digits, or -1.
inline int fixed_digits(std::string_view s, std::size_t at, std::size_t count) noexcept {
    if (at + count > s.size()) return -1;
    int v = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (s[i] < '0' || s[i] > '9') return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

/// Digits after a point as nanoseconds; `at` moves behind them. -1 when there are none or more than nine.
inline std::int64_t fraction_nanos(std::string_view s, std::size_t& at) noexcept {
    std::int64_t nanos = 0;
    std::size_t digits = 0;
    for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, ++digits)
        if (digits < 9) nanos = nanos * 10 + (s[at] - '0');
    if (digits == 0 || digits > 9) return -1;
    for (; digits < 9; ++digits) nanos *= 10;
    return nanos;
}

OPSPILOT_INLINE std::optional<value> parse_time(std::string_view s) noexcept {
    const int year = fixed_digits(s, 0, 4), month = fixed_digits(s, 5, 2), day = fixed_digits(s, 8, 2);
    const int hour = fixed_digits(s, 11, 2), minute = fixed_digits(s, 14, 2), second = fixed_digits(s, 17, 2);
    if (year < 0 || s.size() < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' || s[16] != ':')
        return {};
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return {};
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return {};
    std::size_t at = 19;
    std::int64_t nanos = 0;
    if (s[at] == '.') {
        ++at;
        nanos = fraction_nanos(s, at);
        if (nanos < 0) return {};
    }
    const std::string_view zone = s.substr(at);
    std::int64_t offset = 0;
    if (zone != "Z" && zone != "z") {
        const int zone_hour = fixed_digits(zone, 1, 2), zone_minute = fixed_digits(zone, 4, 2);
        if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return {};
        if (zone_hour < 0 || zone_hour > 23 || zone_minute < 0 || zone_minute > 59) return {};
        offset = (zone_hour * 60 + zone_minute) * 60 * (zone[0] == '-' ? -1 : 1);
    }
    const std::int64_t seconds = days_from_civil(year, month, day) * 86'400 + (hour * 60 + minute) * 60 + second - offset;
    if (!time_in_range(seconds)) return {};
    return make_timestamp(seconds, static_cast<std::uint32_t>(nanos));
}

OPSPILOT_INLINE std::optional<value> parse_span(std::string_view s) noexcept {
    bool negative = false;
    if (!s.empty() && (s[0] == '-' || s[0] == '+')) {
        negative = s[0] == '-';
        s.remove_prefix(1);
    }
    if (s == "0") return make_duration(0, 0);
    if (s.empty()) return {};
    struct unit {
        std::string_view name;
        std::int64_t nanos;
    };
    constexpr std::array<unit, 7> units{{{"h", 3600 * billion},
                                         {"ms", 1'000'000},
                                         {"m", 60 * billion},
                                         {"s", billion},
                                         {"us", 1'000},
                                         {"\xC2\xB5s", 1'000},
                                         {"ns", 1}}};
    wide_integer total = 0;
    while (!s.empty()) {
        std::int64_t whole = 0;
        const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), whole);
        if (ec == std::errc::result_out_of_range || whole < 0 || s[0] == '-') return {};
        const bool has_whole = ec == std::errc{};
        if (has_whole) s.remove_prefix(static_cast<std::size_t>(end - s.data()));
        wide_integer fraction = 0;  // in nanoseconds of a second
        if (!s.empty() && s[0] == '.') {
            std::size_t at = 1;
            fraction = fraction_nanos(s, at);
            if (fraction < 0) return {};
            s.remove_prefix(at);
        } else if (!has_whole) {
            return {};
        }
        const unit* found = nullptr;
        for (const unit& u : units)
            if (found == nullptr && s.starts_with(u.name)) found = &u;
        if (found == nullptr) return {};
        s.remove_prefix(found->name.size());
        total += static_cast<wide_integer>(whole) * found->nanos + fraction * found->nanos / billion;
        if (total > static_cast<wide_integer>(longest_span) * billion) return {};
    }
    if (negative) total = -total;
    wide_integer seconds = total / billion;
    wide_integer nanos = total % billion;
    if (nanos < 0) {
        nanos += billion;
        --seconds;
    }
    return span_in_range(static_cast<std::int64_t>(seconds), static_cast<std::int64_t>(nanos));
}

OPSPILOT_INLINE bool time_in_range(std::int64_t seconds) noexcept { return seconds >= first_second && seconds <= last_second; }

OPSPILOT_INLINE std::optional<value> span_in_range(std::int64_t seconds, std::int64_t nanos) noexcept {
    if (seconds < -longest_span || seconds > longest_span || (seconds == longest_span && nanos > 0)) return {};
    return make_duration(seconds, static_cast<std::uint32_t>(nanos));
}

/// (seconds, nanos) of a ± b; both are far from the limits of 64 bits.
struct time_sum {
    std::int64_t seconds, nanos;
};
inline time_sum sum_times(const value& a, const value& b, bool negative) noexcept {
    const auto b_nanos = static_cast<std::int64_t>(b.size);
    std::int64_t seconds = negative ? a.integer - b.integer : a.integer + b.integer;
    std::int64_t nanos = static_cast<std::int64_t>(a.size) + (negative ? -b_nanos : b_nanos);
    if (nanos < 0) {
        nanos += billion;
        --seconds;
    } else if (nanos >= billion) {
        nanos -= billion;
        ++seconds;
    }
    return {seconds, nanos};
}

OPSPILOT_INLINE std::optional<value> add_time(const value& timestamp, const value& duration, bool negative) noexcept {
    const time_sum sum = sum_times(timestamp, duration, negative);
    if (!time_in_range(sum.seconds)) return {};
    return make_timestamp(sum.seconds, static_cast<std::uint32_t>(sum.nanos));
}

OPSPILOT_INLINE std::optional<value> add_spans(const value& a, const value& b, bool negative) noexcept {
    const time_sum sum = sum_times(a, b, negative);
    return span_in_range(sum.seconds, sum.nanos);
}

OPSPILOT_INLINE std::optional<value> time_difference(const value& a, const value& b) noexcept {
    const time_sum sum = sum_times(a, b, true);
    constexpr std::int64_t reach = 9'223'372'036;
    if (sum.seconds < -reach || sum.seconds > reach) return {};
    return make_duration(sum.seconds, static_cast<std::uint32_t>(sum.nanos));
}

OPSPILOT_INLINE calendar calendar_of(const value& timestamp, std::int64_t offset_seconds) noexcept {
    const std::int64_t seconds = timestamp.integer + offset_seconds;
    std::int64_t days = seconds / 86'400;
    std::int64_t second_of_day = seconds % 86'400;
    if (second_of_day < 0) {
        second_of_day += 86'400;
        --days;
    }
    const std::int64_t z = days + 719'468;
    const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
    const std::int64_t day_of_era = z - era * 146'097;
    const std::int64_t year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted = (5 * day_of_year + 2) / 153;
    calendar c;
    c.day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5);
    const int month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
    c.month = month - 1;
    c.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    c.day_of_year = static_cast<int>(days - days_from_civil(c.year, 1, 1));
    c.weekday = static_cast<int>(((days % 7) + 11) % 7);  // 1970-01-01 was a Thursday
    c.hour = static_cast<int>(second_of_day / 3600);
    c.minute = static_cast<int>(second_of_day / 60 % 60);
    c.second = static_cast<int>(second_of_day % 60);
    c.millisecond = static_cast<int>(timestamp.size / 1'000'000);
    return c;
}

OPSPILOT_INLINE std::optional<std::int64_t> parse_zone(std::string_view text) noexcept {
    if (text == "UTC" || text == "Z" || text == "GMT") return 0;
    std::int64_t sign = 1;
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
        sign = text[0] == '-' ? -1 : 1;
        text.remove_prefix(1);
    }
    const int hours = fixed_digits(text, 0, 2), minutes = fixed_digits(text, 3, 2);
    if (text.size() != 5 || text[2] != ':' || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return {};
    return sign * (hours * 60 + minutes) * 60;
}

/// ".5", "" for 0: nanoseconds without trailing zeros.
inline std::string fraction_text(std::uint64_t nanos) {
    if (nanos == 0) return {};
    std::string s = fmt::format(".{:09}", nanos);
    while (s.back() == '0') s.pop_back();
    return s;
}

OPSPILOT_INLINE std::string format_time(const value& timestamp) {
    const calendar c = calendar_of(timestamp, 0);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", c.year, c.month + 1, c.day + 1, c.hour, c.minute, c.second,
                       fraction_text(timestamp.size));
}

OPSPILOT_INLINE std::string format_span(const value& duration) {
    const bool negative = duration.integer < 0;
    std::int64_t seconds = duration.integer;
    std::uint64_t nanos = duration.size;
    if (negative) {
        seconds = -seconds - (nanos > 0 ? 1 : 0);
        nanos = nanos > 0 ? 1'000'000'000 - nanos : 0;
    }
    return fmt::format("{}{}{}s", negative ? "-" : "", seconds, fraction_text(nanos));
}

}  // namespace opspilot::cel::detail
