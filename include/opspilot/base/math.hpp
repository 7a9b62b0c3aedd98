/// \file
/// exp and log with the same bits on every machine. A C library may pick another implementation by CPU (with or without
/// fused multiply-add), so that golden rows made on one machine would fail on another; these use plain IEEE 754 operations
/// in a fixed order. Accurate to 2 units in the last place (log1p: 4).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace opspilot {

/// e^x. Overflow gives infinity, underflow 0, NaN gives NaN.
[[nodiscard]] inline double portable_exp(double x) noexcept {
    constexpr double log2_e = 1.4426950408889634;
    constexpr double ln2_high = 0.69314718036912381649;  // the upper 33 bits, so that k * ln2_high is exact
    constexpr double ln2_low = 1.9082149292705877e-10;
    if (std::isnan(x)) return x;
    if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
    if (x < -745.1332191019412) return 0.0;
    const double shifted = x * log2_e;
    const auto k = static_cast<int>(shifted + (shifted >= 0 ? 0.5 : -0.5));
    const double r = (x - k * ln2_high) - k * ln2_low;  // |r| <= ln 2 / 2
    double sum = 0;
    for (const double coefficient : {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0,
                                     1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0})
        sum = sum * r + coefficient;     // Taylor: 1/13! … 1/1!
    const double power = sum * r + 1.0;  // times 2^k, which is exact where the result is normal
    if (k < -1021 || k > 1022) return std::ldexp(power, k);
    return power * std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52U);
}

/// Natural logarithm. 0 gives -infinity, negative numbers and NaN give NaN.
[[nodiscard]] inline double portable_log(double x) noexcept {
    constexpr double ln2_high = 0.69314718036912381649;
    constexpr double ln2_low = 1.9082149292705877e-10;
    constexpr double sqrt_half = 0.70710678118654752440;
    if (std::isnan(x) || x < 0) return std::numeric_limits<double>::quiet_NaN();
    if (x == 0) return -std::numeric_limits<double>::infinity();
    if (std::isinf(x)) return x;
    int k = 0;
    double m = x;  // in [1/2, 1), and x = m 2^k
    if (x >= std::numeric_limits<double>::min()) {
        const auto bits = std::bit_cast<std::uint64_t>(x);
        k = static_cast<int>(bits >> 52U) - 1022;
        m = std::bit_cast<double>((bits & 0x000F'FFFF'FFFF'FFFFU) | 0x3FE0'0000'0000'0000U);
    } else {
        m = std::frexp(x, &k);
    }
    if (m < sqrt_half) {
        m *= 2;
        --k;
    }
    const double f = m - 1.0;
    const double s = f / (2.0 + f);  // log(m) = 2 atanh(s), |s| < 0.172
    const double square = s * s;
    double series = 0.0;
    for (const double coefficient :
         {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3})
        series = series * square + coefficient;
    const double tail = 2.0 * s * square * series;
    return k * ln2_high + (2.0 * s + (tail + k * ln2_low));
}

/// log(1 + x) for x > -1, accurate near 0.
[[nodiscard]] inline double portable_log1p(double x) noexcept {
    const double u = 1.0 + x;
    if (u == 1.0) return x;
    return portable_log(u) * (x / (u - 1.0));  // cancels the rounding of 1 + x
}

/// 1 / (1 + e^-x), without overflow.
[[nodiscard]] inline double portable_logistic(double x) noexcept {
    if (x >= 0) return 1.0 / (1.0 + portable_exp(-x));
    const double e = portable_exp(x);
    return e / (1.0 + e);
}

}  // namespace opspilot
