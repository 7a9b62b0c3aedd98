#pragma once

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/quiet_math.hpp"

namespace opspilot {

namespace detail {

/// P(Bin(n, p) = k): the density of Beta(k + 1, n - k + 1) at p, divided by n + 1.
inline double binomial_point(std::uint64_t k, std::uint64_t n, double p) noexcept {
    const auto kd = static_cast<double>(k);
    const auto nd = static_cast<double>(n);
    return boost::math::ibeta_derivative(kd + 1, nd - kd + 1, p, quiet_math{}) / (nd + 1);
}

}  // namespace detail

OPSPILOT_INLINE double binomial_cdf(std::uint64_t k, std::uint64_t n, double p) noexcept {
    if (k >= n || p <= 0.0) return 1.0;
    if (p >= 1.0) return 0.0;
    const auto kd = static_cast<double>(k);
    const auto nd = static_cast<double>(n);
    if (k == 0) return std::exp(nd * std::log1p(-p));
    return boost::math::ibetac(kd + 1, nd - kd, p, detail::quiet_math{});
}

OPSPILOT_INLINE double binomial_upper(std::uint64_t k, std::uint64_t n, double delta) noexcept {
    if (n == 0 || k >= n) return 1.0;
    const auto kd = static_cast<double>(k);
    const auto nd = static_cast<double>(n);
    if (k == 0) return -std::expm1(std::log(delta) / nd);
    return boost::math::ibetac_inv(kd + 1, nd - kd, delta, detail::quiet_math{});
}

OPSPILOT_INLINE double binomial_lower(std::uint64_t k, std::uint64_t n, double delta) noexcept {
    if (n == 0 || k == 0) return 0.0;
    const auto kd = static_cast<double>(std::min(k, n));
    const auto nd = static_cast<double>(n);
    if (k >= n) return std::exp(std::log(delta) / nd);
    return boost::math::ibeta_inv(kd, nd - kd + 1, delta, detail::quiet_math{});
}

OPSPILOT_INLINE std::uint64_t zero_error_minimum(double alpha, double delta) noexcept {
    const double estimate = std::ceil(std::log(delta) / std::log1p(-alpha));
    if (!(estimate < 0x1p63)) return std::uint64_t{1} << 63;
    auto n = static_cast<std::uint64_t>(std::max(estimate, 1.0));
    // The quotient may round across an integer; the tail itself decides.
    while (n > 1 && binomial_cdf(0, n - 1, alpha) <= delta) --n;
    while (binomial_cdf(0, n, alpha) > delta) ++n;
    return n;
}

OPSPILOT_INLINE critical_ranks::critical_ranks(double alpha, double delta) noexcept
    : alpha_(alpha), delta_(delta), n_(zero_error_minimum(alpha, delta)), tail_(binomial_cdf(0, n_, alpha)), point_(tail_) {}

/// Finds the rank of c = ranks_.size(). With P = P(Bin(N, a) <= c) and q = P(Bin(N, a) = c):
///   N -> N + 1:  P -= a q,   q *= (1 - a)(N + 1) / (N + 1 - c)
///   c -> c + 1:  q *= a (N - c) / ((1 - a)(c + 1)),   P += q
/// Each step costs a few roundings; P and q are taken anew from the beta function every 64 ranks.
OPSPILOT_INLINE bool critical_ranks::advance(std::uint64_t limit) {
    const std::uint64_t c = ranks_.size();
    if (n_ > limit) return false;
    for (;;) {
        const bool close = std::fabs(tail_ - delta_) <= 1e-8 * delta_;
        if (close ? binomial_cdf(c, n_, alpha_) <= delta_ : tail_ < delta_) break;
        if (n_ >= limit) return false;
        const auto grown = static_cast<double>(n_ + 1);
        tail_ -= alpha_ * point_;
        point_ *= (1.0 - alpha_) * (grown / (grown - static_cast<double>(c)));
        ++n_;
    }
    ranks_.push_back(n_);
    if (ranks_.size() % 64 == 0) {
        tail_ = binomial_cdf(c, n_, alpha_);
        point_ = detail::binomial_point(c, n_, alpha_);
    }
    // A rank exceeds its c, since c errors among c items prove nothing: n_ - c is at least 1.
    point_ *= alpha_ * static_cast<double>(n_ - c) / ((1.0 - alpha_) * static_cast<double>(c + 1));
    tail_ += point_;
    return true;
}

OPSPILOT_INLINE std::optional<std::uint64_t> critical_ranks::rank(std::uint64_t c, std::uint64_t limit) {
    while (ranks_.size() <= c)
        if (!advance(limit)) return std::nullopt;
    if (ranks_[c] > limit) return std::nullopt;
    return ranks_[c];
}

OPSPILOT_INLINE std::int64_t critical_ranks::allowed(std::uint64_t n) {
    while (ranks_.empty() || ranks_.back() <= n)
        if (!advance(n)) break;
    return std::upper_bound(ranks_.begin(), ranks_.end(), n) - ranks_.begin() - 1;
}

}  // namespace opspilot
