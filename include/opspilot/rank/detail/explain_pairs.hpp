// Four doubles in two registers of two: SSE4, NEON.
#pragma once

#include <xsimd/xsimd.hpp>

#include "opspilot/rank/detail/explain_kernel.hpp"

namespace opspilot::detail {

template <class Arch>
struct paired_four {
    using pair = xsimd::batch<double, Arch>;
    static_assert(pair::size * 2 == explain_lanes);
    pair low, high;

    static paired_four load(const double* from) noexcept {
        return {pair::load_unaligned(from), pair::load_unaligned(from + pair::size)};
    }
    static paired_four all(double x) noexcept { return {pair(x), pair(x)}; }
    void store(double* to) const noexcept {
        low.store_unaligned(to);
        high.store_unaligned(to + pair::size);
    }
    friend paired_four operator+(const paired_four& a, const paired_four& b) noexcept { return {a.low + b.low, a.high + b.high}; }
    friend paired_four operator-(const paired_four& a, const paired_four& b) noexcept { return {a.low - b.low, a.high - b.high}; }
    friend paired_four operator*(const paired_four& a, const paired_four& b) noexcept { return {a.low * b.low, a.high * b.high}; }
    [[nodiscard]] double total() const noexcept {
        double sides[pair::size];
        (low + high).store_unaligned(sides);
        return sides[0] + sides[1];
    }
};

}  // namespace opspilot::detail
