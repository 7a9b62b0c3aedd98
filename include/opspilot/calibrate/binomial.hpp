/// \file
/// The exact binomial numbers behind every certificate: tails, Clopper-Pearson bounds, critical ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// P(Bin(n, p) <= k), by the regularised incomplete beta function; 1 for k >= n. `p` outside [0, 1] is clamped.
[[nodiscard]] OPSPILOT_API double binomial_cdf(std::uint64_t k, std::uint64_t n, double p) noexcept;

/// One-sided Clopper-Pearson upper bound: the largest rate that k errors among n do not refute at level `delta`.
/// 1 when n is 0 or k >= n. `delta` in (0, 1).
[[nodiscard]] OPSPILOT_API double binomial_upper(std::uint64_t k, std::uint64_t n, double delta) noexcept;

/// The matching lower bound: 0 when k is 0.
[[nodiscard]] OPSPILOT_API double binomial_lower(std::uint64_t k, std::uint64_t n, double delta) noexcept;

/// N_0 = ceil(ln delta / ln(1 - alpha)): how many items without one error prove a rate of at most `alpha` with confidence
/// 1 - delta. Saturates at 2^63.
[[nodiscard]] OPSPILOT_API std::uint64_t zero_error_minimum(double alpha, double delta) noexcept;

/// Critical ranks N_c = min{ N : P(Bin(N, alpha) <= c) <= delta }: the fewest items among which c errors still prove a rate
/// of at most `alpha` with confidence 1 - delta. N_0 is the zero-error minimum (59 at 5 %, 95 %).
/// Ranks are found one after the other by recurrences and kept; where a tail comes within 1e-8 of `delta`, `binomial_cdf`
/// decides, so the ranks are those of the exact tail. Not thread-safe; reuse one object to have its ranks cached.
class OPSPILOT_API critical_ranks {
public:
    /// `alpha` and `delta` in (0, 1).
    critical_ranks(double alpha, double delta) noexcept;

    /// N_c, or nothing when it exceeds `limit`.
    [[nodiscard]] std::optional<std::uint64_t> rank(std::uint64_t c, std::uint64_t limit);
    /// The most errors that n items may contain: max{ c : N_c <= n }, or -1 when n < N_0.
    [[nodiscard]] std::int64_t allowed(std::uint64_t n);

    /// How many ranks were found so far.
    [[nodiscard]] std::size_t known() const noexcept { return ranks_.size(); }
    [[nodiscard]] double alpha() const noexcept { return alpha_; }
    [[nodiscard]] double delta() const noexcept { return delta_; }

private:
    bool advance(std::uint64_t limit);

    double alpha_, delta_;
    std::vector<std::uint64_t> ranks_;  // N_0, N_1, … found so far
    // State of the search for the next rank: P(Bin(n_, alpha) <= c) and P(Bin(n_, alpha) = c) with c = ranks_.size().
    std::uint64_t n_;
    double tail_, point_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/binomial-inl.hpp"
#endif
