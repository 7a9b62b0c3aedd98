/// \file
/// Internal: element-wise steps over columns of doubles. Plain loops that every compiler turns into vector code, compiled once
/// per instruction set; only additions, multiplications, divisions and comparisons, so that all of them give the same bits.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>

#include "opspilot/features/detail/run.hpp"

namespace opspilot::detail {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The loops of one instruction set.
struct column_kernel {
    std::string_view name;
    void (*run)(const step& s, operand a, operand b, double* out, std::size_t n);  ///< a step that `of_columns`
    void (*round)(const double* in, float* out, std::size_t n);
};

/// Steps whose value in a row depends on their operands in that row alone.
[[nodiscard]] constexpr bool of_columns(opcode op) noexcept {
    switch (op) {
        case opcode::clip:
        case opcode::between:
        case opcode::log:
        case opcode::standardise:
        case opcode::bucket:
        case opcode::slot_missing:
        case opcode::ratio:
        case opcode::difference:
        case opcode::product:
        case opcode::sum: return true;
        default: return false;
    }
}

/// The loops, once per `Isa`: a type of its own for each source that is compiled for another instruction set, so that no function
/// of one is taken for the same function of another.
template <class Isa>
struct column_loops {
    /// sign(x) * log(1 + |x|), without branches so that it vectorises. The logarithm is FreeBSD's e_log.c (Sun Microsystems,
    /// error below one unit in the last place): 1 + |x| = 2^k * m, log(m) by atanh's series with its published coefficients.
    [[nodiscard]] static double signed_log1p(double x) noexcept {
        constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCDULL;
        constexpr double most = std::numeric_limits<double>::max();
        const double size = std::fabs(x);
        const double a = size < most ? size : most;
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
    static void map(operand a, double* out, std::size_t n, F f) {
        const double* const x = a.values;
        for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i]);
    }
    template <class F>
    static void map(operand a, operand b, double* out, std::size_t n, F f) {
        const double* const x = a.values;
        const double* const y = b.values;
        if (x != nullptr && y != nullptr)
            for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i], y[i]);
        else if (x != nullptr)
            for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i], b.constant);
        else
            for (std::size_t i = 0; i < n; ++i) out[i] = f(a.constant, y[i]);
    }
    /// Number of edges not above x; NaN for NaN.
    static void bucket(operand a, const double* edges, std::size_t count, double* out, std::size_t n) {
        constexpr std::size_t few = 12;
        if (count > few) {
            map(a, out, n, [edges, count](double x) {
                const double* first = edges;  // the edge after the last one not above x
                for (std::size_t left = count; left > 0;) {
                    const std::size_t half = left / 2;
                    if (x < first[half]) {
                        left = half;
                    } else {
                        first += half + 1;
                        left -= half + 1;
                    }
                }
                return x == x ? static_cast<double>(first - edges) : x;
            });
            return;
        }
        const double* const x = a.values;
        constexpr std::size_t lanes = 8;  // rows whose counts stay in registers while the edges go by
        std::size_t i = 0;
        for (; i + lanes <= n; i += lanes) {
            double above[lanes] = {};
            for (std::size_t e = 0; e < count; ++e)
                for (std::size_t j = 0; j < lanes; ++j) above[j] += x[i + j] >= edges[e] ? 1.0 : 0.0;
            for (std::size_t j = 0; j < lanes; ++j) out[i + j] = x[i + j] == x[i + j] ? above[j] : x[i + j];
        }
        for (; i < n; ++i) {
            double above = 0;
            for (std::size_t e = 0; e < count; ++e) above += x[i] >= edges[e] ? 1.0 : 0.0;
            out[i] = x[i] == x[i] ? above : x[i];
        }
    }

    static void run(const step& s, operand a, operand b, double* out, std::size_t n) {
        switch (s.op) {
            case opcode::clip:
                map(a, out, n, [low = s.p0, high = s.p1](double x) { return x < low ? low : x > high ? high : x; });
                break;
            case opcode::between:
                map(a, out, n, [low = s.p0, high = s.p1](double x) { return x != x ? x : x >= low && x <= high ? 1.0 : 0.0; });
                break;
            case opcode::log: map(a, out, n, [](double x) { return signed_log1p(x); }); break;
            case opcode::standardise: map(a, out, n, [mean = s.p0, scale = s.p1](double x) { return (x - mean) / scale; }); break;
            case opcode::bucket: bucket(a, s.edges.data(), s.edges.size(), out, n); break;
            case opcode::slot_missing: map(a, out, n, [](double x) { return x == x ? 0.0 : 1.0; }); break;
            case opcode::ratio: map(a, b, out, n, [](double x, double y) { return y != 0.0 ? x / y : not_a_number; }); break;
            case opcode::difference: map(a, b, out, n, [](double x, double y) { return x - y; }); break;
            case opcode::product: map(a, b, out, n, [](double x, double y) { return x * y; }); break;
            default: map(a, b, out, n, [](double x, double y) { return x + y; });
        }
    }
    /// Rounds to float once; what does not fit becomes the largest float, so that no infinity leaves a transform.
    static void round(const double* in, float* out, std::size_t n) noexcept {
        constexpr float most = std::numeric_limits<float>::max();
        for (std::size_t i = 0; i < n; ++i) {
            const auto x = static_cast<float>(in[i]);  // infinite where it does not fit
            const float raised = x < -most ? -most : x;
            out[i] = raised > most ? most : raised;
        }
    }
};

template <class Isa>
[[nodiscard]] constexpr column_kernel make_column_kernel(std::string_view name) noexcept {
    return {name, &column_loops<Isa>::run, &column_loops<Isa>::round};
}

struct plain_columns {};

#if !defined(OPSPILOT_HEADER_ONLY) && defined(__x86_64__)
const column_kernel& column_kernel_avx2() noexcept;
#endif

/// The fastest kernel of this machine. A header-only build has the instruction set it is compiled for.
inline const column_kernel& columns() noexcept {
    static constexpr column_kernel plain = make_column_kernel<plain_columns>("plain");
#if !defined(OPSPILOT_HEADER_ONLY) && defined(__x86_64__)
    static const column_kernel& found = __builtin_cpu_supports("avx2") ? column_kernel_avx2() : plain;
    return found;
#else
    return plain;
#endif
}

}  // namespace opspilot::detail
