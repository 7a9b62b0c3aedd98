/// \file
/// Which items to label next, from unlabelled scores alone, and what the labels will buy.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

struct label_plan_options {
    double max_risk = 0.05;  ///< of the threshold that the labels are for
    double confidence = 0.95;
    std::uint64_t budget = 0;  ///< labels there are people for
    double margin = 1.3;       ///< the line is drawn where the believed risk above it is this many times `max_risk`; >= 1
    /// A recall floor that is wanted too, in (0, 1); 0: none. It gets labels of its own, from the same budget.
    double min_recall = 0;
    std::span<const double> believed_positive = {};  ///< believed probability that each item is of that class
    /// Share at which items above the line are drawn for the recall sample, against 1 below it: few positives lie there. At least
    /// 0.05, since an item that is drawn more rarely would weigh more than 20-fold.
    double rate_above = 0.25;
    std::uint32_t simulations = 100;  ///< imagined label sets behind the expectations; 0: none are made
    std::uint64_t seed = 0;
};

/// Rows of the unlabelled set to label. Both samples are drawn at random by the seed; they share no row.
struct label_plan {
    /// L0, drawn from scores and beliefs before any label: label for the risk only where score > line. Items that tie with it lie
    /// below. Empty when no item lies above, by belief: then the whole budget is drawn evenly.
    std::optional<double> line;
    std::uint64_t above = 0;            ///< items above the line
    double believed_risk = 0;           ///< of those
    std::vector<std::uint32_t> risk;    ///< rows for the risk, ascending: evenly from those above the line
    std::vector<std::uint32_t> recall;  ///< rows for the recall, ascending: from all that the risk does not take
    std::vector<double> inclusion;      ///< of each row of `recall`: store it with the label (`weighted_recall_floor`)
    std::uint64_t recall_needed = 0;    ///< labels for the recall that beliefs say are needed when few may be missed; 0: unknown
    /// Expected share of the traffic that will be automated, if the beliefs are true: with the risk labels drawn as planned, and
    /// with as many drawn evenly from all items; and the share of cases that end without a certificate.
    double automation = 0, automation_random = 0, none = 1, none_random = 1;
};

/// Plans labels. The certificate that they buy is the usual one, `automation_threshold` on the rows of `risk`: the best N of them
/// are still independent draws from what lies above a threshold, whatever was left unlabelled below the line. Beliefs that are
/// too sure waste labels and never make it invalid. Labels that operators picked are no sample. Errors:
/// calibration.length_mismatch, .empty, .not_finite, .bad_risk, .bad_confidence, .bad_recall, .bad_probability, .bad_budget
/// (none, or more than items), .bad_margin, .bad_inclusion (`rate_above` outside [0.05, 1]).
[[nodiscard]] OPSPILOT_API result<label_plan> plan_labels(std::span<const double> score, std::span<const double> believed_right,
                                                          const label_plan_options& options);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/label_plan-inl.hpp"
#endif
