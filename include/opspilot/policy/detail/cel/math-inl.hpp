#pragma once

#include <array>
#include <cmath>
#include <limits>

#include "opspilot/policy/detail/cel/libraries.hpp"

namespace opspilot::cel::detail {

/// The least (or greatest) of numbers of any kinds; the first of equal ones.
inline value extreme(std::span<const value> given, const call_context& context, ordering wanted) {
    const bool list = given.size() == 1 && given[0].is(kind::list) && !given[0].coded;
    const std::span<const value> all = list ? std::span{given[0].items, static_cast<std::size_t>(given[0].size)} : given;
    if (all.empty()) return context.fail(fault::out_of_range);
    context.charge(all.size());
    const value* best = nullptr;
    for (const value& v : all) {
        if (!v.is_numeric()) return context.no_overload();
        if (best == nullptr || compare(v, *best) == wanted) best = &v;
    }
    return *best;
}
inline value math_least(std::span<const value> a, const call_context& c) { return extreme(a, c, ordering::less); }
inline value math_greatest(std::span<const value> a, const call_context& c) { return extreme(a, c, ordering::greater); }

/// Away from zero at halves, as C's round has it.
template <double (*F)(double)>
value math_double(std::span<const value> a, const call_context& c) {
    return a[0].is(kind::number) ? make_number(F(a[0].number)) : c.no_overload();
}
inline double ceil_of(double d) { return std::ceil(d); }
inline double floor_of(double d) { return std::floor(d); }
inline double round_of(double d) { return std::round(d); }
inline double trunc_of(double d) { return std::trunc(d); }

template <bool (*F)(double)>
value math_test(std::span<const value> a, const call_context& c) {
    return a[0].is(kind::number) ? make_boolean(F(a[0].number)) : c.no_overload();
}
inline bool is_nan(double d) { return std::isnan(d); }
inline bool is_inf(double d) { return std::isinf(d); }
inline bool is_finite(double d) { return std::isfinite(d); }

inline value math_sqrt(std::span<const value> a, const call_context& c) {
    switch (a[0].what) {
        case kind::integer: return make_number(std::sqrt(static_cast<double>(a[0].integer)));
        case kind::uinteger: return make_number(std::sqrt(static_cast<double>(a[0].uinteger)));
        case kind::number: return make_number(std::sqrt(a[0].number));
        default: return c.no_overload();
    }
}

inline value math_abs(std::span<const value> a, const call_context& c) {
    switch (a[0].what) {
        case kind::integer:
            if (a[0].integer == std::numeric_limits<std::int64_t>::min()) return c.fail(fault::overflow);
            return make_integer(a[0].integer < 0 ? -a[0].integer : a[0].integer);
        case kind::uinteger: return a[0];
        case kind::number: return make_number(std::fabs(a[0].number));
        default: return c.no_overload();
    }
}

inline value math_sign(std::span<const value> a, const call_context& c) {
    switch (a[0].what) {
        case kind::integer: return make_integer((a[0].integer > 0 ? 1 : 0) - (a[0].integer < 0 ? 1 : 0));
        case kind::uinteger: return make_uinteger(a[0].uinteger > 0 ? 1 : 0);
        case kind::number:
            if (std::isnan(a[0].number) || a[0].number == 0) return a[0];
            return make_number(a[0].number < 0 ? -1.0 : 1.0);
        default: return c.no_overload();
    }
}

/// Bits are those of the two's complement; the result has the kind of the operands.
inline value with_bits(const value& like, std::uint64_t bits) noexcept {
    return like.is(kind::uinteger) ? make_uinteger(bits) : make_integer(static_cast<std::int64_t>(bits));
}
inline bool has_bits(const value& v) noexcept { return v.is(kind::integer) || v.is(kind::uinteger); }
inline std::uint64_t bits_of(const value& v) noexcept {
    return v.is(kind::uinteger) ? v.uinteger : static_cast<std::uint64_t>(v.integer);
}
template <char Operator>
value math_bits(std::span<const value> a, const call_context& c) {
    if (!has_bits(a[0]) || a[0].what != a[1].what) return c.no_overload();
    const std::uint64_t x = bits_of(a[0]), y = bits_of(a[1]);
    return with_bits(a[0], Operator == '&' ? x & y : Operator == '|' ? x | y : x ^ y);
}
inline value math_bit_not(std::span<const value> a, const call_context& c) {
    return has_bits(a[0]) ? with_bits(a[0], ~bits_of(a[0])) : c.no_overload();
}
/// Shifting right brings in zeros, whatever the sign; 64 and more give 0.
template <bool Left>
value math_shift(std::span<const value> a, const call_context& c) {
    if (!has_bits(a[0]) || !a[1].is(kind::integer)) return c.no_overload();
    if (a[1].integer < 0) return c.fail(fault::out_of_range);
    if (a[1].integer >= 64) return with_bits(a[0], 0);
    const auto by = static_cast<unsigned>(a[1].integer);
    return with_bits(a[0], Left ? bits_of(a[0]) << by : bits_of(a[0]) >> by);
}

inline constexpr std::array math_table{
    overload{"math.least", false, "[n", "n", builtin::library, math_least},
    overload{"math.least", false, "n+", "n", builtin::library, math_least},
    overload{"math.greatest", false, "[n", "n", builtin::library, math_greatest},
    overload{"math.greatest", false, "n+", "n", builtin::library, math_greatest},
    overload{"math.ceil", false, "d", "d", builtin::library, math_double<ceil_of>},
    overload{"math.floor", false, "d", "d", builtin::library, math_double<floor_of>},
    overload{"math.round", false, "d", "d", builtin::library, math_double<round_of>},
    overload{"math.trunc", false, "d", "d", builtin::library, math_double<trunc_of>},
    overload{"math.isNaN", false, "d", "b", builtin::library, math_test<is_nan>},
    overload{"math.isInf", false, "d", "b", builtin::library, math_test<is_inf>},
    overload{"math.isFinite", false, "d", "b", builtin::library, math_test<is_finite>},
    overload{"math.sqrt", false, "n", "d", builtin::library, math_sqrt},
    overload{"math.abs", false, "n", "n", builtin::library, math_abs},
    overload{"math.sign", false, "n", "n", builtin::library, math_sign},
    overload{"math.bitAnd", false, "ii", "i", builtin::library, math_bits<'&'>},
    overload{"math.bitAnd", false, "uu", "u", builtin::library, math_bits<'&'>},
    overload{"math.bitOr", false, "ii", "i", builtin::library, math_bits<'|'>},
    overload{"math.bitOr", false, "uu", "u", builtin::library, math_bits<'|'>},
    overload{"math.bitXor", false, "ii", "i", builtin::library, math_bits<'^'>},
    overload{"math.bitXor", false, "uu", "u", builtin::library, math_bits<'^'>},
    overload{"math.bitNot", false, "i", "i", builtin::library, math_bit_not},
    overload{"math.bitNot", false, "u", "u", builtin::library, math_bit_not},
    overload{"math.bitShiftLeft", false, "ii", "i", builtin::library, math_shift<true>},
    overload{"math.bitShiftLeft", false, "ui", "u", builtin::library, math_shift<true>},
    overload{"math.bitShiftRight", false, "ii", "i", builtin::library, math_shift<false>},
    overload{"math.bitShiftRight", false, "ui", "u", builtin::library, math_shift<false>},
};

OPSPILOT_INLINE std::span<const overload> math_functions() noexcept { return math_table; }

}  // namespace opspilot::cel::detail
