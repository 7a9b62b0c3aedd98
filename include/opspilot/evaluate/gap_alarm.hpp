/// \file
/// An alarm on the difference of two groups' means that may be read after every item: betting against "there is none".
///
/// Items of groups A and B come as they come, each with a value in [0, 1] (wrong or right, automated or not, a rescaled cost).
/// They are paired in order of arrival, the surplus of one group waits. Against |mean A - mean B| <= tolerance two bets run, one
/// for each sign: with g = (a - b - tolerance) / (1 + tolerance), wealth *= 1 + bet g, the bet in [0, 1/2] from earlier pairs by
/// an online Newton step. Without a difference the wealth is a supermartingale that starts at 1, so the mean of the two ever
/// reaches 1 / alpha with probability at most alpha (Ville), however often it is read. Once raised, an alarm stays.
///
/// What is assumed: given all earlier items the means of both groups differ by at most the tolerance; they may drift together.
/// Nothing is assumed about how often a group comes. The alarm speaks of the items that it was given: a raw difference may be
/// another mix of cases.
/// Source: Chugg, Cortes-Gomez, Wilder, Ramdas 2023, Auditing fairness by betting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

struct gap_alarm_options {
    double tolerance = 0;       ///< difference that is allowed, in [0, 1)
    double alpha = 0.05;        ///< probability of an alarm without a larger difference, ever; in (0, 1)
    std::size_t queue = 4'096;  ///< items of one group that may wait for the other; beyond it the oldest are dropped, 1 or more
};

/// O(1) per item, no memory beyond the queue. One thread.
class OPSPILOT_API gap_alarm {
public:
    /// Errors: usage.gap_alarm for options outside their range.
    [[nodiscard]] static result<gap_alarm> make(const gap_alarm_options& options);

    /// Adds an item of group A (`second` false) or B. Errors, and nothing is added: usage.gap_alarm for a value outside [0, 1].
    [[nodiscard]] status add(bool second, double value);

    /// ln of the evidence against the difference being within the tolerance: the mean of both bets' wealth. 0 at the start.
    [[nodiscard]] double log_evidence() const noexcept;
    /// The most it has ever been after a pair.
    [[nodiscard]] double peak_log_evidence() const noexcept { return peak_; }
    /// Whether the evidence has ever reached 1 / alpha.
    [[nodiscard]] bool raised() const noexcept;
    /// Which group has the higher mean, by the wealth of the bets: +1 for A, -1 for B, 0 for neither.
    [[nodiscard]] int direction() const noexcept;

    [[nodiscard]] std::uint64_t pairs() const noexcept { return pairs_; }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size() - head_; }
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
    [[nodiscard]] const gap_alarm_options& options() const noexcept { return options_; }

    /// Everything as a JSON document, numbers to the bit: `parse` gives an alarm that goes on as this one would.
    [[nodiscard]] std::string to_json() const;
    /// Errors: usage.gap_alarm, usage.json_syntax and others of `detail::check_object`, for a document that is none of `to_json`.
    [[nodiscard]] static result<gap_alarm> parse(std::string_view json);

private:
    struct bet {
        double log_wealth = 0, stake = 0, curvature = 1;
        void settle(double gain) noexcept;
    };
    gap_alarm() = default;

    gap_alarm_options options_;
    bet above_, below_;            // that A's mean is above B's, and below it
    std::vector<double> waiting_;  // of one group; those before head_ are used up
    std::size_t head_ = 0;
    bool second_waits_ = false;
    std::uint64_t pairs_ = 0, dropped_ = 0;
    double peak_ = 0;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/evaluate/gap_alarm-inl.hpp"
#endif
