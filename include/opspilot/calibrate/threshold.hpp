/// \file
/// The line between machine and human with a proof: the certified automation threshold and the recall floor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// How a step of the sequence was tested; see `automation_threshold`.
enum class threshold_test : std::uint8_t {
    exact,         ///< the critical rank ends a tie block
    worst_order,   ///< the rank ends inside a tie block: the block's errors are counted as if they came first
    whole_blocks,  ///< the rank ends inside a large tie block: the whole blocks above it, at their own count
    skipped,       ///< too few items above the block: the sequence has not started yet
};

[[nodiscard]] OPSPILOT_API std::string_view name(threshold_test test) noexcept;

/// One step: critical rank `rank` tolerates `allowed` errors.
struct threshold_step {
    std::uint64_t allowed = 0;
    std::uint64_t rank = 0;
    std::uint64_t tested = 0;     ///< items counted by the test
    std::uint64_t tolerated = 0;  ///< errors the test tolerates among them
    std::uint64_t errors = 0;     ///< errors it counted
    double value = 0;             ///< the threshold that passing stands for
    threshold_test test = threshold_test::exact;
    bool passed = false;
};

/// What to certify, and how to start.
struct threshold_options {
    double max_risk = 0.05;    ///< tolerated P(error | automated), in (0, 1)
    double confidence = 0.95;  ///< probability that the certificate holds, in (0, 1)
    /// Believed probability that each item is RIGHT; empty: no belief, the smallest start. Only where the sequence starts
    /// depends on it, never whether the certificate holds. Beliefs are the model's, never the labels.
    std::span<const double> start_probability = {};
    /// Starts at this many tolerated errors, chosen on other data; wins over `start_probability`.
    std::optional<std::uint64_t> start_errors = {};
    /// Group of each item, below `group_count`; empty: none. Each group gets a certificate of its own at
    /// (1 - confidence) / group_count, so that all of them hold together with probability `confidence`.
    std::span<const std::uint32_t> groups = {};
    std::uint32_t group_count = 0;
};

/// A threshold with its proof: automate iff score > value.
struct certified_threshold {
    std::optional<double> value;  ///< empty when not sufficient
    bool sufficient = false;
    std::string_view reason;      ///< "" when sufficient, else "too_few", "start_failed" or "ties"
    double coverage = 0;          ///< share of the set above the value
    double risk_upper = 1;        ///< Clopper-Pearson bound of the risk at `errors` among `automated`; at most max_risk
    std::uint64_t n = 0;          ///< items of the set
    std::uint64_t automated = 0;  ///< of which score > value
    std::uint64_t errors = 0;     ///< of which wrong
    std::uint64_t needed = 0;     ///< zero-error minimum: this many without an error are the least that can certify
    double max_risk = 0;
    double confidence = 0;           ///< of this certificate; in a group the split one
    double delta = 0;                ///< 1 - confidence, as it was used
    std::uint64_t start_errors = 0;  ///< where the sequence started
    std::vector<threshold_step> steps;
};

/// Certificates of a whole set and of its groups. The one of the whole bounds the pooled risk only.
struct automation_certificates : certified_threshold {
    std::vector<certified_threshold> groups;  ///< by group number
};

/// The lowest threshold at which P(error | score > value) <= max_risk holds with the stated confidence, over labelled sets
/// drawn like the traffic: critical-rank fixed sequence with the exact binomial tail. `error` 1 = the automated action was
/// wrong. Whole tie blocks, so the order of the input never matters.
///
/// What is assumed: items are independent, and the risk above a threshold does not fall when the threshold is lowered below
/// the start of the sequence. Scores may be discrete or continuous. The proof below takes the start as given: it is exact
/// without a belief and with `start_errors`; beliefs about this very set move the start by their mean over whole ranks only,
/// which the simulations of the tests find harmless.
/// Sources: Bauer 1991 (fixed sequences); Clopper, Pearson 1934; Angelopoulos et al. 2021 (Learn then Test).
///
/// Why tie blocks keep it valid. Let R(L) = P(error | s > L), and let l* be the lowest threshold with R <= alpha; every lower
/// one is bad. Step c stands for L_c = s_(N_c + 1), the value of the block that holds rank N_c + 1. How a step is tested, and
/// whether it is at all, is decided from the count above L_c and the size of the block at L_c alone, never from what lies above.
/// Take m = #{s >= l*} as given. The first bad step is the first c with N_c >= m that is not skipped: it is fixed by m and by the
/// scores below l*. Given those, the m items at or above l* are independent with mean risk >= alpha, the items between
/// L_c and l* are independent with mean risk >= R(L_c) > alpha, and so are those of the block at L_c. So the errors among the
/// items above L_c, with or without a fixed number of members drawn at random from the block, are stochastically at least
/// binomial(count, alpha), and the test passes with probability <= delta. `whole_blocks` counts without members of the block;
/// `worst_order` takes N_c - N(L_c) members and counts at least as many errors as any order of the block would give.
/// A false certificate has to pass its first bad step, so its probability is <= delta.
///
/// Of the thresholds certified by the last step passed, the lowest is reported whose own count proves itself:
/// P(Bin(automated, max_risk) <= errors) <= 1 - confidence. Without ties that is the last step.
/// Errors: as `check_labelled`; calibration.bad_risk, .bad_confidence, .bad_probability, .bad_group, .length_mismatch.
[[nodiscard]] OPSPILOT_API result<automation_certificates> automation_threshold(std::span<const double> score,
                                                                                std::span<const std::uint8_t> error,
                                                                                const threshold_options& options);

/// One sentence for people: what is certified, or what was missing ("Insufficient: 59 items without an error needed, 20 given").
[[nodiscard]] OPSPILOT_API std::string statement(const certified_threshold& t);

/// The threshold a plain reading of the data suggests: the lowest whose observed risk is at most `max_risk`. NOT certified:
/// it exceeds the risk in 38-60 % of cases. For comparison in reports only.
struct naive_threshold_result {
    std::optional<double> value;  ///< automate iff score > value; empty when even the top block has too many errors
    double coverage = 0;
    double risk = 0;  ///< observed, not bounded
    std::uint64_t n = 0, automated = 0, errors = 0;
};
[[nodiscard]] OPSPILOT_API result<naive_threshold_result> naive_threshold(std::span<const double> score,
                                                                          std::span<const std::uint8_t> error, double max_risk);

/// A floor under recall: flag iff score >= value.
struct certified_recall {
    std::optional<double> value;
    bool sufficient = false;
    std::uint64_t n = 0;  ///< items of the set
    std::uint64_t positives = 0;
    std::uint64_t misses_allowed = 0;  ///< positives that may lie below the value in this set
    std::uint64_t misses = 0;          ///< positives that do
    std::uint64_t needed = 0;          ///< positives needed when none may be missed (99 at 0.97, 95 %)
    double flagged = 0;                ///< share of the set that is flagged
    double min_recall = 0, confidence = 0;
};

/// The highest value at which recall >= min_recall holds with the stated confidence: a one-sided tolerance limit (Wilks 1941).
/// `label` 1 = positive. Positives must be a random sample of traffic's positives. No assumption about the scores; ties only
/// make it safer. Errors: as `check_labelled`; calibration.bad_recall, .bad_confidence; no positives is "not sufficient".
[[nodiscard]] OPSPILOT_API result<certified_recall> recall_floor(std::span<const double> score,
                                                                 std::span<const std::uint8_t> label, double min_recall,
                                                                 double confidence = 0.95);

/// One sentence for people: what is certified, or what was missing ("Insufficient: 99 positives needed, 60 given").
[[nodiscard]] OPSPILOT_API std::string statement(const certified_recall& r);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/threshold-inl.hpp"
#endif
