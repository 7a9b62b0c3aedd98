/// \file
/// Evidence about a rate that may be looked at after every label: certify at any time, revoke at any time.
#pragma once

#include <cstdint>
#include <string_view>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Which side of the limit the evidence is for.
enum class rate_side : std::uint8_t {
    above,  ///< against "the rate is at most the limit": for alarms and revocations
    below,  ///< against "the rate is at least the limit": for certificates
};

/// ln of the e-value of `bad` events among `total`: a Beta(a, b) prior cut off at the limit p0, to p > p0 or p < p0, against p0
/// itself (Robbins 1970). Under every rate on the other side its expectation never rises, whatever the rate does there and
/// however often it is read, so P(ever >= ln(1/delta)) <= delta (Ville 1939). Computed without cancellation for any counts: with
/// J(p, q) = ln(integral of the cut prior's kernel) - p ln p0 - q ln(1 - p0) it is J(a + bad, b + total - bad) - J(a, b), and J
/// is a continued fraction where the incomplete beta function would underflow.
/// `limit` in (0, 1), a and b > 0, bad <= total.
[[nodiscard]] OPSPILOT_API double log_rate_evidence(std::uint64_t bad, std::uint64_t total, double limit, double a, double b,
                                                    rate_side side) noexcept;

/// Counts of one stream, or of one shard of it. Merging adds counts, in any order. A plain value.
class OPSPILOT_API rate_process {
public:
    /// `change`: the smallest difference from the limit that is worth noticing, in (0, 1); 0: half of the limit. It tunes the
    /// prior (c = limit (1 - limit) / change^2, a = c limit, b = c (1 - limit)), never the guarantee. Errors:
    /// calibration.bad_risk, .bad_change.
    [[nodiscard]] static result<rate_process> make(double limit, rate_side side, double change = 0);

    /// Counts `bad` events among `total` more. Errors: calibration.bad_count when bad > total, or beyond 2^53 in all.
    [[nodiscard]] status add(std::uint64_t bad, std::uint64_t total);
    /// Adds the counts of a shard with the same limit, side and prior. Errors: calibration.foreign_process.
    [[nodiscard]] status merge(const rate_process& other);

    [[nodiscard]] double log_evidence() const noexcept { return log_rate_evidence(bad_, total_, limit_, a_, b_, side_); }
    [[nodiscard]] std::uint64_t bad() const noexcept { return bad_; }
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
    [[nodiscard]] double limit() const noexcept { return limit_; }
    [[nodiscard]] rate_side side() const noexcept { return side_; }

private:
    double limit_ = 0.5, a_ = 0.5, b_ = 0.5;
    rate_side side_ = rate_side::above;
    std::uint64_t bad_ = 0, total_ = 0;
};

/// What a stream of labels says about one threshold.
enum class recertification_state : std::uint8_t { undecided, certified, revoked };

[[nodiscard]] OPSPILOT_API std::string_view name(recertification_state state) noexcept;

struct recertification_options {
    double max_risk = 0.05;
    double confidence = 0.95;                      ///< a false certificate is ever given with probability at most 1 - this
    double revoke_confidence = 0.95;               ///< a true one is ever revoked with probability at most 1 - this
    double certify_change = 0, revoke_change = 0;  ///< see `rate_process::make`
};

/// Certifies a fixed threshold from labels as they come, and revokes it. Certified once the evidence for a rate below the risk
/// reaches 1 / (1 - confidence), at any time; revoked, certified or not, once the evidence for a rate above it reaches
/// 1 / (1 - revoke_confidence). A revocation stays. Labels must be a random sample of what is automated, in the order of the
/// decisions; another threshold, model or calibrator begins anew with an object of its own.
class OPSPILOT_API recertification {
public:
    /// Errors: calibration.bad_risk, .bad_confidence, .bad_change.
    [[nodiscard]] static result<recertification> make(const recertification_options& options = {});

    /// `errors` among `total` labels more. Errors: calibration.bad_count.
    [[nodiscard]] status add(std::uint64_t errors, std::uint64_t total);
    /// Adds a shard's counts to this, the one object that is asked. A shard's own "certified" does not carry over: many shards
    /// that each look for themselves would certify too often. A shard's revocation does. Errors: calibration.foreign_process.
    [[nodiscard]] status merge(const recertification& shard);

    [[nodiscard]] recertification_state state() const noexcept { return state_; }
    [[nodiscard]] std::uint64_t errors() const noexcept { return below_.bad(); }
    [[nodiscard]] std::uint64_t total() const noexcept { return below_.total(); }
    /// ln of the evidence for a rate below and above the risk, now.
    [[nodiscard]] double log_evidence_below() const noexcept { return below_.log_evidence(); }
    [[nodiscard]] double log_evidence_above() const noexcept { return above_.log_evidence(); }

private:
    void look() noexcept;

    recertification_options options_;
    rate_process below_, above_;
    recertification_state state_ = recertification_state::undecided;
};

/// Failure probability of the t-th certificate (t = 1, 2, …) when certificates are made anew for ever and all of them shall hold
/// together with probability 1 - delta: 6 delta / (pi^2 t^2). 0 for t = 0.
[[nodiscard]] OPSPILOT_API double spent_delta(double delta, std::uint64_t t) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/rate_process-inl.hpp"
#endif
