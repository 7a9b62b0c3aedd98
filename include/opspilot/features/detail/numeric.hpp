/// \file
/// Internal: element-wise steps over columns of doubles. Plain loops that every compiler turns into vector code; only
/// additions, multiplications, divisions and comparisons, so that all of them give the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "opspilot/features/detail/run.hpp"

namespace opspilot::detail {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// sign(x) * log(1 + |x|), without branches so that it vectorises. The logarithm is FreeBSD's e_log.c (Sun Microsystems,
/// error below one unit in the last place): 1 + |x| = 2^k * m, log(m) by atanh's series with its published coefficients.
[[nodiscard]] inline double signed_log1p(double x) noexcept {
    constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCDULL;
    const double a = std::min(std::fabs(x), std::numeric_limits<double>::max());
    const double u = 1.0 + a;
    const double lost = (a - (u - 1.0)) / u;  // what rounding took from 1 + a
    const auto bits = std::bit_cast<std::uint64_t>(u);
    const std::uint64_t shifted = bits - sqrt_half;
    const std::uint64_t exponent = shifted >> 52;  // k >= 0, as u >= 1
    const double m = std::bit_cast<double>(bits - (exponent << 52));
    const double k = std::bit_cast<double>(exponent | 0x4330000000000000ULL) - 4503599627370496.0;
    const double g = m - 1.0;
    const double half = 0.5 * g * g;
    const double s = g / (2.0 + g);
    const double z = s * s;
    const double w = z * z;
    const double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const double odd = z * (6.666666666666735130e-01 +
                            w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    const double tail = s * (half + (even + odd)) + (k * 1.90821492927058770002e-10 + lost);
    const double log = k * 6.93147180369123816490e-01 + (g - (half - tail));
    const double result = std::copysign(log, x);
    return x == x ? result : x;
}

template <class F>
inline void map_one(operand a, double* out, std::size_t n, F f) {
    if (a.values == nullptr) {
        std::fill_n(out, n, f(a.constant));
        return;
    }
    const double* const x = a.values;
    for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i]);
}

template <class F>
inline void map_two(operand a, operand b, double* out, std::size_t n, F f) {
    const double* const x = a.values;
    const double* const y = b.values;
    if (x != nullptr && y != nullptr)
        for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i], y[i]);
    else if (x != nullptr)
        for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i], b.constant);
    else if (y != nullptr)
        for (std::size_t i = 0; i < n; ++i) out[i] = f(a.constant, y[i]);
    else
        std::fill_n(out, n, f(a.constant, b.constant));
}

/// Number of edges not above x; NaN for NaN.
inline void bucket_column(operand a, const std::vector<double>& edges, double* out, std::size_t n) {
    constexpr std::size_t few = 12;
    if (a.values == nullptr || edges.size() > few) {
        map_one(a, out, n, [&](double x) {
            if (x != x) return x;
            return static_cast<double>(std::upper_bound(edges.begin(), edges.end(), x) - edges.begin());
        });
        return;
    }
    const double* const x = a.values;
    constexpr std::size_t lanes = 8;  // rows whose counts stay in registers while the edges go by
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        std::array<double, lanes> above{};
        for (const double edge : edges)
            for (std::size_t j = 0; j < lanes; ++j) above[j] += x[i + j] >= edge ? 1.0 : 0.0;
        for (std::size_t j = 0; j < lanes; ++j) out[i + j] = x[i + j] == x[i + j] ? above[j] : x[i + j];
    }
    for (; i < n; ++i) {
        double above = 0;
        for (const double edge : edges) above += x[i] >= edge ? 1.0 : 0.0;
        out[i] = x[i] == x[i] ? above : x[i];
    }
}

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

/// The steps that read numbers; false when the step is of another kind.
inline bool run_numeric(const step& s, const feature_run& run, double* out, std::size_t n) {
    const auto in = [&](std::size_t i) { return run.number(s.in[i]); };
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
        case opcode::clip: {
            const double low = s.p0;
            const double high = s.p1;
            map_one(in(0), out, n, [low, high](double x) { return x < low ? low : x > high ? high : x; });
            return true;
        }
        case opcode::between: {
            const double low = s.p0;
            const double high = s.p1;
            map_one(in(0), out, n, [low, high](double x) { return x != x ? x : x >= low && x <= high ? 1.0 : 0.0; });
            return true;
        }
        case opcode::log: map_one(in(0), out, n, signed_log1p); return true;
        case opcode::standardise: {
            const double mean = s.p0;
            const double scale = s.p1;
            map_one(in(0), out, n, [mean, scale](double x) { return (x - mean) / scale; });
            return true;
        }
        case opcode::bucket: bucket_column(in(0), s.edges, out, n); return true;
        case opcode::slot_missing: map_one(in(0), out, n, [](double x) { return x == x ? 0.0 : 1.0; }); return true;
        case opcode::ratio:
            map_two(in(0), in(1), out, n, [](double x, double y) { return y != 0.0 ? x / y : not_a_number; });
            return true;
        case opcode::difference: map_two(in(0), in(1), out, n, [](double x, double y) { return x - y; }); return true;
        case opcode::product: map_two(in(0), in(1), out, n, [](double x, double y) { return x * y; }); return true;
        case opcode::sum: map_two(in(0), in(1), out, n, [](double x, double y) { return x + y; }); return true;
        default: return false;
    }
}

/// Rounds to float once; what does not fit becomes the largest float, so that no infinity leaves a transform.
inline void round_column(const double* in, float* out, std::size_t n) noexcept {
    constexpr double most = std::numeric_limits<float>::max();
    for (std::size_t i = 0; i < n; ++i) {
        const double x = in[i] < -most ? -most : in[i];
        out[i] = static_cast<float>(x > most ? most : x);
    }
}

}  // namespace opspilot::detail
