/// \file
/// Internal: "column op constant" where the constant is of another kind of number, turned exactly into one of the column's kind.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "opspilot/policy/cel/value.hpp"
#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

/// A test of a column: the same answer for every row, or `op limit`.
template <class T>
struct column_test {
    bool same = false;
    bool answer = false;
    opcode op = opcode::equal;
    T limit{};

    static column_test all(bool answer) noexcept { return {true, answer, opcode::equal, T{}}; }
};

inline bool is_upper(opcode op) noexcept { return op == opcode::less || op == opcode::less_equal; }

/// x `op` s for whole x and any double s.
inline column_test<std::int64_t> whole_against(opcode op, double s) noexcept {
    using test = column_test<std::int64_t>;
    constexpr double beyond = 9223372036854775808.0;  // 2^63
    if (std::isnan(s)) return test::all(false);
    if (s >= beyond) return test::all(is_upper(op));
    if (s < -beyond) return test::all(op == opcode::greater || op == opcode::greater_equal);
    const double down = std::floor(s);
    const auto low = static_cast<std::int64_t>(down);
    if (down == s) return {false, false, op, low};
    if (op == opcode::equal) return test::all(false);
    return {false, false, is_upper(op) ? opcode::less_equal : opcode::greater, low};  // between low and low + 1
}

/// x `op` s for whole x and any uint s.
inline column_test<std::int64_t> whole_against(opcode op, std::uint64_t s) noexcept {
    if (s > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return column_test<std::int64_t>::all(is_upper(op));
    return {false, false, op, static_cast<std::int64_t>(s)};
}

/// x `op` s for any double x and a whole s, of which `near` is a nearest double and `order` says whether s is below (-1), at (0)
/// or above (1) it. No double lies between the two.
inline column_test<double> number_against(opcode op, double near, int order) noexcept {
    if (order == 0) return {false, false, op, near};
    if (op == opcode::equal) return column_test<double>::all(false);
    if (is_upper(op)) return {false, false, order < 0 ? opcode::less : opcode::less_equal, near};
    return {false, false, order < 0 ? opcode::greater_equal : opcode::greater, near};
}
inline column_test<double> number_against(opcode op, std::int64_t s) noexcept {
    const auto near = static_cast<double>(s);
    if (near >= 9223372036854775808.0) return number_against(op, near, -1);
    const auto back = static_cast<std::int64_t>(near);
    return number_against(op, near, s < back ? -1 : s > back ? 1 : 0);
}
inline column_test<double> number_against(opcode op, std::uint64_t s) noexcept {
    const auto near = static_cast<double>(s);
    if (near >= 18446744073709551616.0) return number_against(op, near, -1);
    const auto back = static_cast<std::uint64_t>(near);
    return number_against(op, near, s < back ? -1 : s > back ? 1 : 0);
}

/// A column of microseconds against a time of nanoseconds.
inline column_test<std::int64_t> moment_against(opcode op, const value& s) noexcept {
    const std::int64_t micros = s.integer * 1'000'000 + static_cast<std::int64_t>(s.size / 1000);
    if (s.size % 1000 == 0) return {false, false, op, micros};
    if (op == opcode::equal) return column_test<std::int64_t>::all(false);
    return {false, false, is_upper(op) ? opcode::less_equal : opcode::greater, micros};
}

}  // namespace opspilot::cel::detail
