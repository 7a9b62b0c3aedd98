/// \file
/// Internal: seeded random numbers that are the same on every platform, which the distributions of the standard library are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace opspilot::detail {

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, equidistributed, good enough to shuffle and to draw samples.
class seeded_random {
public:
    explicit seeded_random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31U);
    }
    /// Uniform in [0, 1).
    double uniform() noexcept { return static_cast<double>(next() >> 11U) * 0x1p-53; }
    /// Uniform below n > 0, without bias: draws from the incomplete last interval are drawn again.
    std::uint64_t below(std::uint64_t n) noexcept {
        const std::uint64_t rest = (0 - n) % n;
        for (;;)
            if (const std::uint64_t x = next(); x >= rest) return x % n;
    }

private:
    std::uint64_t state_;
};

/// 0 … n - 1 in random order (Fisher-Yates); the first k of them are a random sample without replacement.
inline std::vector<std::uint32_t> random_order(std::size_t n, seeded_random& random) {
    std::vector<std::uint32_t> order(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = static_cast<std::uint32_t>(i);
    for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    return order;
}

}  // namespace opspilot::detail
