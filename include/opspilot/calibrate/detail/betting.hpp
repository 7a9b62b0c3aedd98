/// \file
/// Internal: the wealth of a gambler who bets that a mean is small.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace opspilot::detail {

/// Bets against "the mean of x in [0, 1] is at least `mean`": K_t = prod(1 - nu_i (x_i - mean)), where nu_i depends on what came
/// before it alone. `n` is how many there will be and `level` = ln(1/delta) the wealth that is asked for; both only tune.
class betting_wealth {
public:
    betting_wealth(double mean, std::size_t n, double level) noexcept
        : mean_(mean), reach_(2.0 * level / static_cast<double>(n)) {}

    void bet(double x) noexcept {
        const double nu = std::min(1.0, std::sqrt(reach_ / variance_));
        log_wealth_ += std::log1p(-nu * (x - mean_));
        best_ = std::max(best_, log_wealth_);
        count_ += 1;
        sum_ += x;
        const double estimate = (0.5 + sum_) / (count_ + 1);
        squares_ += (x - estimate) * (x - estimate);
        variance_ = (0.25 + squares_) / (count_ + 1);
    }
    /// ln of the largest wealth so far; the p-value is its inverse.
    [[nodiscard]] double best() const noexcept { return best_; }

private:
    double mean_, reach_;
    double count_ = 0, sum_ = 0, squares_ = 0, variance_ = 0.25;
    double log_wealth_ = 0, best_ = 0;
};

/// The fewest items without any loss that refute `mean` at ln(1/delta) = `level`.
inline std::size_t betting_minimum(double mean, double level) noexcept {
    const auto enough = [&](std::size_t n) {
        betting_wealth wealth(mean, n, level);
        for (std::size_t i = 0; i < n; ++i) wealth.bet(0.0);
        return wealth.best() >= level;
    };
    std::size_t high = 1;
    while (!enough(high)) {
        if (high > (std::size_t{1} << 30U)) return std::numeric_limits<std::size_t>::max();
        high *= 2;
    }
    std::size_t low = high / 2;
    while (high - low > 1) {
        const std::size_t middle = low + (high - low) / 2;
        (enough(middle) ? high : low) = middle;
    }
    return high;
}

}  // namespace opspilot::detail
