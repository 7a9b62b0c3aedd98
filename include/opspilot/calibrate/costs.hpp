/// \file
/// Thresholds by what errors and reviews cost, and the best use of the reviews that there are people for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Prices in one unit of money. An automated action that is right costs nothing.
struct cost_options {
    double review = 1;              ///< what a review costs, > 0
    std::span<const double> wrong;  ///< what a wrong automation of each item would cost, > 0; one value: the same for all
    double most_wrong = 0;          ///< the most that a wrong automation can cost; 0: the largest of `wrong`
    double confidence = 0.95;       ///< in (0, 1)
    std::span<const double> start_probability = {};  ///< believed probability that each item is right; see `threshold_options`
    std::uint64_t seed = 0;
};

struct costed_threshold {
    std::optional<double> value;  ///< automate iff score > value; empty when not sufficient
    bool sufficient = false;
    std::string_view reason;  ///< as of the certificate behind it
    double coverage = 0;      ///< share of the set above the value
    double cost_upper = 0;    ///< upper confidence bound of the mean cost of an automated item; at most that of a review
    double cost = 0;          ///< observed mean cost of an automated item
    double saving = 0;        ///< observed saving per item of all traffic, (review - cost) * coverage: an estimate
    double break_even = 0;    ///< where all errors cost the same: the risk at which automation costs as much as reviews
    std::uint64_t n = 0, automated = 0, needed = 0;
    double confidence = 0;
};

/// Where automated items cost no more than reviewing them, with the stated confidence: among all thresholds that one sequence of
/// tests certifies, the one of the largest observed saving. Equal costs: `automation_threshold` at risk review / wrong. Unequal
/// ones: `graded_threshold` on cost / most_wrong. Only "no dearer than reviews" is certified; the saving is an estimate.
/// Errors: as those two; calibration.bad_cost for a price that is not above 0, above `most_wrong`, or where a review costs at
/// least as much as the worst error (nothing needs a certificate then).
[[nodiscard]] OPSPILOT_API result<costed_threshold> cost_threshold(std::span<const double> score,
                                                                   std::span<const std::uint8_t> error,
                                                                   const cost_options& options);

/// Who looks at what, when there are people for `capacity` reviews.
struct review_plan {
    std::vector<std::uint32_t> automated;  ///< above the line; ascending rows
    std::vector<std::uint32_t> reviewed;   ///< below the line, dearest first
    std::vector<std::uint32_t> waiting;    ///< below the line and beyond the capacity, dearest first: never automated for that
    std::vector<std::uint32_t> audited;    ///< of the automated ones, drawn evenly with what capacity is left; ascending rows
    double audit_probability = 0;          ///< with which each automated item was drawn: the `inclusion` of its label
    double worth = 0;                      ///< sum of the gains of the reviewed ones
    double next_gain = 0;                  ///< gain of the first that waits: what one more review would be worth
};

/// The best use of `capacity` reviews: automate what lies above a certified line (none: nothing), review the rest by `gain`, what
/// a person's look at the item is worth (its expected loss without it), and spend what is left on a random audit of the
/// automated, whose labels certify again. Ties by row. Errors: calibration.length_mismatch, .not_finite.
[[nodiscard]] OPSPILOT_API result<review_plan> plan_reviews(std::span<const double> score, std::span<const double> gain,
                                                            std::optional<double> line, std::uint64_t capacity,
                                                            std::uint64_t seed = 0);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/costs-inl.hpp"
#endif
