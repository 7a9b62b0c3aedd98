#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/quiet_math.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/rate_process.hpp"

namespace opspilot {

namespace detail {

/// What Stirling's formula lacks: ln gamma(x) - ((x - 1/2) ln x - x + ln(2 pi) / 2).
inline double stirling_rest(double x) noexcept {
    if (x < 10.0)
        return boost::math::lgamma(x, quiet_math{}) - ((x - 0.5) * std::log(x) - x + 0.5 * std::log(2.0 * std::numbers::pi));
    const double square = 1.0 / (x * x);
    return (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square * (1.0 / 1188))))) / x;
}

/// The continued fraction h of I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) h (DLMF 8.17.22), by Lentz's method: about sqrt(max(a, b))
/// terms for x below (a + 1) / (a + b + 2).
inline double beta_fraction(double a, double b, double x) noexcept {
    constexpr double tiny = 1e-300;
    const auto kept = [](double v) { return std::fabs(v) < tiny ? tiny : v; };
    double c = 1.0;
    double d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    double h = d;
    for (int m = 1; m <= 100'000; ++m) {
        const auto k = static_cast<double>(m);
        for (const double term :
             {k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)), -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))}) {
            d = 1.0 / kept(1.0 + term * d);
            c = kept(1.0 + term / c);
            h *= c * d;
        }
        if (std::fabs(c * d - 1.0) < 1e-16) break;
    }
    return h;
}

/// ln of the integral of u^(p-1) (1-u)^(q-1) over (x, 1), less p ln x + q ln(1 - x).
inline double scaled_upper_beta(double p, double q, double x) noexcept {
    if (x > (p + 1.0) / (p + q + 2.0)) return std::log(beta_fraction(q, p, 1.0 - x)) - std::log(q);
    const double sum = p + q;
    const double whole = p * std::log(p / (sum * x)) + q * std::log(q / (sum * (1.0 - x))) +
                         0.5 * std::log(2.0 * std::numbers::pi * sum / (p * q)) + stirling_rest(p) + stirling_rest(q) -
                         stirling_rest(sum);
    return whole + std::log1p(-boost::math::ibeta(p, q, x, quiet_math{}));
}

inline error bad_rate_count(std::uint64_t bad, std::uint64_t total) {
    return calibration_error_at("calibration.bad_count", fmt::format("{} bad events among {}", bad, total), "",
                                "bad <= total, and at most 2^53 in all");
}

}  // namespace detail

OPSPILOT_INLINE double log_rate_evidence(std::uint64_t bad, std::uint64_t total, double limit, double a, double b,
                                         rate_side side) noexcept {
    const auto s = static_cast<double>(bad);
    const auto f = static_cast<double>(total - bad);
    if (side == rate_side::above) return detail::scaled_upper_beta(a + s, b + f, limit) - detail::scaled_upper_beta(a, b, limit);
    return detail::scaled_upper_beta(b + f, a + s, 1.0 - limit) - detail::scaled_upper_beta(b, a, 1.0 - limit);
}

OPSPILOT_INLINE result<rate_process> rate_process::make(double limit, rate_side side, double change) {
    OPSPILOT_CHECK(check_open_unit(limit, "max_risk"));
    if (!(change >= 0.0 && change < 1.0))
        return detail::calibration_error_at("calibration.bad_change", fmt::format("change {} is not in [0, 1)", change), "",
                                            "the smallest difference from the limit that is worth noticing");
    if (change == 0.0) change = 0.5 * std::min(limit, 1.0 - limit);
    rate_process out;
    const double c = limit * (1.0 - limit) / (change * change);
    out.limit_ = limit;
    out.side_ = side;
    out.a_ = c * limit;
    out.b_ = c * (1.0 - limit);
    return out;
}

OPSPILOT_INLINE status rate_process::add(std::uint64_t bad, std::uint64_t total) {
    constexpr std::uint64_t most = std::uint64_t{1} << 53U;
    if (bad > total || total > most || total_ > most - total) return detail::bad_rate_count(bad, total);
    bad_ += bad;
    total_ += total;
    return {};
}

OPSPILOT_INLINE status rate_process::merge(const rate_process& other) {
    if (limit_ != other.limit_ || side_ != other.side_ || a_ != other.a_ || b_ != other.b_)
        return detail::calibration_error_at("calibration.foreign_process",
                                            fmt::format("limits {} and {}, or other priors", limit_, other.limit_), "",
                                            "merge shards of one stream, made alike");
    return add(other.bad_, other.total_);
}

OPSPILOT_INLINE std::string_view name(recertification_state state) noexcept {
    switch (state) {
        case recertification_state::undecided: return "undecided";
        case recertification_state::certified: return "certified";
        case recertification_state::revoked: return "revoked";
    }
    return "undecided";
}

OPSPILOT_INLINE result<recertification> recertification::make(const recertification_options& options) {
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    OPSPILOT_CHECK(check_open_unit(options.revoke_confidence, "confidence"));
    recertification out;
    out.options_ = options;
    OPSPILOT_TRY(out.below_, rate_process::make(options.max_risk, rate_side::below, options.certify_change));
    OPSPILOT_TRY(out.above_, rate_process::make(options.max_risk, rate_side::above, options.revoke_change));
    return out;
}

OPSPILOT_INLINE void recertification::look() noexcept {
    if (above_.log_evidence() >= -std::log(1.0 - options_.revoke_confidence))
        state_ = recertification_state::revoked;
    else if (state_ == recertification_state::undecided && below_.log_evidence() >= -std::log(1.0 - options_.confidence))
        state_ = recertification_state::certified;
}

OPSPILOT_INLINE status recertification::add(std::uint64_t errors, std::uint64_t total) {
    OPSPILOT_CHECK(below_.add(errors, total));
    OPSPILOT_CHECK(above_.add(errors, total));
    if (state_ != recertification_state::revoked) look();
    return {};
}

OPSPILOT_INLINE status recertification::merge(const recertification& shard) {
    if (options_.confidence != shard.options_.confidence || options_.revoke_confidence != shard.options_.revoke_confidence)
        return detail::calibration_error_at("calibration.foreign_process", "other confidences", "",
                                            "merge shards of one stream, made alike");
    rate_process below = below_, above = above_;
    OPSPILOT_CHECK(below.merge(shard.below_));
    OPSPILOT_CHECK(above.merge(shard.above_));
    below_ = below;
    above_ = above;
    if (shard.state_ == recertification_state::revoked) state_ = recertification_state::revoked;
    if (state_ != recertification_state::revoked) look();
    return {};
}

OPSPILOT_INLINE double spent_delta(double delta, std::uint64_t t) noexcept {
    if (t == 0) return 0.0;
    const auto month = static_cast<double>(t);
    return 6.0 * delta / (std::numbers::pi * std::numbers::pi * month * month);
}

}  // namespace opspilot
