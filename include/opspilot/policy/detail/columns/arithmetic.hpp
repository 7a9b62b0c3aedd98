/// \file
/// Internal: CEL's arithmetic on columns: numbers as IEEE 754 has them, whole numbers with errors instead of wrapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

inline void combine_numbers(opcode op, const double* a, const double* b, std::size_t n, double* out) noexcept {
    switch (op) {
        case opcode::add:
            for (std::size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
            return;
        case opcode::subtract:
            for (std::size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
            return;
        case opcode::multiply:
            for (std::size_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
            return;
        default:
            for (std::size_t i = 0; i < n; ++i) out[i] = a[i] / b[i];
    }
}

/// One quotient or remainder; true when there is none.
inline bool divide_integers(bool quotient, std::int64_t a, std::int64_t b, std::int64_t& out) noexcept {
    out = 0;
    if (b == 0) return true;
    if (b == -1) {  // the one quotient that does not fit, and the one division the processor refuses
        const bool over = a == std::numeric_limits<std::int64_t>::min();
        if (quotient && !over) out = -a;
        return over;
    }
    out = quotient ? a / b : a % b;
    return false;
}

/// Sets the bits of the rows that failed (of planes that are 0); true when there are any.
inline bool combine_integers(opcode op, const std::int64_t* a, const std::int64_t* b, std::size_t n, std::int64_t* out,
                             std::uint64_t* failed) noexcept {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < n; ++i) {
        bool over = false;
        switch (op) {
            case opcode::add: over = __builtin_add_overflow(a[i], b[i], &out[i]); break;
            case opcode::subtract: over = __builtin_sub_overflow(a[i], b[i], &out[i]); break;
            case opcode::multiply: over = __builtin_mul_overflow(a[i], b[i], &out[i]); break;
            default: over = divide_integers(op == opcode::divide, a[i], b[i], out[i]);
        }
        const std::uint64_t bit = static_cast<std::uint64_t>(over) << (i % 64);
        failed[i / 64] |= bit;
        any |= bit;
    }
    return any != 0;
}

inline bool negate_integers(const std::int64_t* a, std::size_t n, std::int64_t* out, std::uint64_t* failed) noexcept {
    bool any = false;
    for (std::size_t i = 0; i < n; ++i) {
        const bool over = __builtin_sub_overflow(std::int64_t{0}, a[i], &out[i]);
        failed[i / 64] |= static_cast<std::uint64_t>(over) << (i % 64);
        any = any || over;
    }
    return any;
}

}  // namespace opspilot::cel::detail
