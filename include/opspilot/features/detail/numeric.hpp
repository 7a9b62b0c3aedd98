/// \file
/// Internal: steps that read numbers and times.
#pragma once

#include <algorithm>
#include <limits>

#include "opspilot/features/detail/columns.hpp"
#include "opspilot/features/detail/run.hpp"

namespace opspilot::detail {

/// Days since 1970-01-01 to year, month and day (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
struct civil_date {
    std::int64_t year;
    int month;
    int day;
};
[[nodiscard]] inline civil_date civil_from_days(std::int64_t days) noexcept {
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const std::int64_t day_of_era = days - era * 146097;
    const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
    const auto month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
            static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1)};
}

[[nodiscard]] inline double calendar_value(std::int64_t time_us, std::int64_t offset_us, calendar_part part) noexcept {
    constexpr std::int64_t day_us = 86'400'000'000;
    // Times near the ends of the 64 bits have no calendar that anybody uses; they must not overflow.
    constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max() / 2;
    const std::int64_t local = std::clamp(time_us, -far, far) + offset_us;
    const std::int64_t days = local >= 0 ? local / day_us : -((-local + day_us - 1) / day_us);
    switch (part) {
        case calendar_part::hour: return static_cast<double>((local - days * day_us) / 3'600'000'000);
        case calendar_part::weekday: return static_cast<double>(((days + 3) % 7 + 7) % 7);  // Monday = 0
        case calendar_part::day: return civil_from_days(days).day;
        case calendar_part::month: return civil_from_days(days).month;
    }
    return not_a_number;
}

/// Microseconds from `then` to `now`, exact where 64 bits hold them.
[[nodiscard]] inline double elapsed_us(std::int64_t now, std::int64_t then) noexcept {
    std::int64_t out = 0;
    if (__builtin_sub_overflow(now, then, &out)) return static_cast<double>(now) - static_cast<double>(then);
    return static_cast<double>(out);
}

inline void load_numbers(const field_rows& r, field_type type, double* out, std::size_t n) {
    if (type == field_type::number) {
        const double* const numbers = r.values->numbers.data();
        each_row(r, n, [&](std::size_t i, std::size_t row) { out[i] = numbers[row]; });
        return;
    }
    const std::int64_t* const integers = r.values->integers.data();
    const std::uint8_t* const valued = r.values->valued.data();
    each_row(r, n, [&](std::size_t i, std::size_t row) {
        out[i] = valued[row] != 0 ? static_cast<double>(integers[row]) : not_a_number;
    });
}

inline void run_columns(const step& s, const feature_run& run, double* out, std::size_t n) {
    operand a = run.number(s.in[0]);
    operand b = s.in[1] == no_slot ? a : run.number(s.in[1]);
    if (a.values != nullptr || b.values != nullptr) {
        columns().run(s, a, b, out, n);
        return;
    }
    a.values = &a.constant;
    b.values = &b.constant;
    double value = 0;
    columns().run(s, a, b, &value, 1);
    std::fill_n(out, n, value);
}

/// The steps that read numbers; false when the step is of another kind.
inline bool run_numeric(const step& s, const feature_run& run, double* out, std::size_t n) {
    if (of_columns(s.op)) {
        run_columns(s, run, out, n);
        return true;
    }
    switch (s.op) {
        case opcode::load_number: load_numbers(run.rows(s.fields[0]), s.fields[0].type, out, n); return true;
        case opcode::is_missing: {
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n, [&](std::size_t i, std::size_t row) { out[i] = r.values->valued[row] != 0 ? 0.0 : 1.0; });
            return true;
        }
        case opcode::is_stale: {
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n,
                     [&](std::size_t i, std::size_t row) { out[i] = r.values->state[row] == cell_state::stale ? 1.0 : 0.0; });
            return true;
        }
        case opcode::age:
        case opcode::staleness: {
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n, [&](std::size_t i, std::size_t row) {
                out[i] = r.values->valued[row] != 0 ? elapsed_us(run.f.now_us, r.values->integers[row]) / s.p0 : not_a_number;
            });
            return true;
        }
        case opcode::calendar: {
            const auto part = static_cast<calendar_part>(s.k);
            const auto offset = static_cast<std::int64_t>(s.p0);
            if (s.from_now) {
                std::fill_n(out, n, calendar_value(run.f.now_us, offset, part));
                return true;
            }
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n, [&](std::size_t i, std::size_t row) {
                out[i] = r.values->valued[row] != 0 ? calendar_value(r.values->integers[row], offset, part) : not_a_number;
            });
            return true;
        }
        default: return false;
    }
}

}  // namespace opspilot::detail
