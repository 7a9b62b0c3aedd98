/// \file
/// Losses that are not just right or wrong: a bound of their mean by betting, and the threshold that it certifies.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Waudby-Smith, Ramdas 2023, "Estimating means of bounded random variables by betting", in one fixed order of bets: losses are
/// sorted and then shuffled by the seed, so that the order of the input changes nothing and no order can be looked for.
struct betting_options {
    double confidence = 0.95;  ///< in (0, 1); the bets are tuned to it, the p-value is valid at every level
    std::uint64_t seed = 0;
};

/// p-value of "the mean loss is at least `mean`" from independent losses in [0, 1]: P(p <= d) <= d for every d when it is.
/// For losses of 0 and 1 the exact tail (`binomial_cdf`) is sharper. Errors: calibration.empty, .not_finite, .bad_loss,
/// .bad_risk (`mean` not in (0, 1)), .bad_confidence.
[[nodiscard]] OPSPILOT_API result<double> betting_p_value(std::span<const double> loss, double mean,
                                                          const betting_options& options = {});

/// Upper confidence bound of the mean loss: the smallest mean whose p-value is at most 1 - confidence; 1 where there is none.
/// Errors as `betting_p_value`.
[[nodiscard]] OPSPILOT_API result<double> betting_upper(std::span<const double> loss, const betting_options& options = {});

/// What to certify where errors have grades or costs.
struct graded_options {
    double max_loss = 0.05;    ///< tolerated mean loss of what is automated, in (0, 1)
    double confidence = 0.95;  ///< probability that the certificate holds, in (0, 1)
    /// Believed loss of each item in [0, 1], from the model and never from the labels; empty: no belief, the smallest start.
    std::span<const double> start_loss = {};
    std::uint64_t seed = 0;
};

/// One step of the sequence: the items above `value`, and whether their bets refuted a larger mean loss.
struct graded_step {
    double value = 0;
    std::uint64_t tested = 0;
    double mean = 0, p_value = 1;
    bool passed = false;
};

struct graded_threshold_result {
    std::optional<double> value;  ///< automate iff score > value; empty when not sufficient
    bool sufficient = false;
    std::string_view reason;  ///< "" when sufficient, else "too_few", "start_failed" or "ties"
    double coverage = 0;      ///< share of the set above the value
    double mean = 0;          ///< observed mean loss of it
    double upper = 1;         ///< upper confidence bound of that mean, at most max_loss
    std::uint64_t n = 0, automated = 0;
    std::uint64_t needed = 0;  ///< this many items without any loss are the least that can certify
    double max_loss = 0, confidence = 0;
    std::vector<graded_step> steps;
};

/// The lowest threshold at which E(loss | score > value) <= max_loss holds with the stated confidence: `automation_threshold`
/// for losses in [0, 1]. A fixed sequence of ranks, each a thirtieth further than the last, tested by `betting_p_value` on the
/// whole tie blocks above; every threshold that passed is certified. Valid for the reasons given there, under the same
/// assumptions. Errors: calibration.length_mismatch, .empty, .not_finite, .bad_loss, .bad_risk, .bad_confidence,
/// .bad_probability (start_loss).
[[nodiscard]] OPSPILOT_API result<graded_threshold_result> graded_threshold(std::span<const double> score,
                                                                            std::span<const double> loss,
                                                                            const graded_options& options);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/bounded-inl.hpp"
#endif
