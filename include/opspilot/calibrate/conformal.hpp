/// \file
/// Suggestion sets: as few candidates as hold the right one with a chosen probability.
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

/// How much a candidate stands out against; the set holds those whose score is at most the line. With p the probabilities of a
/// list, the best first, and S_j = p_1 + … + p_j:
enum class conformal_method : std::uint8_t {
    lac,   ///< 1 - p_j: the smallest sets on average, but empty or too small where the list is hard
    aps,   ///< S_j - u p_j: sets that grow where the list is hard
    raps,  ///< S_j - u p_j + penalty * max(0, j - free_ranks): the same with long sets cut short
};
[[nodiscard]] OPSPILOT_API std::string_view name(conformal_method method) noexcept;

struct conformal_options {
    conformal_method method = conformal_method::aps;
    double confidence = 0.9;  ///< probability that the set holds the right candidate, in (0, 1)
    /// aps, raps: u is drawn evenly from [0, 1) per list, by the seed and the list's key alone; false: u = 0, larger sets.
    bool randomised = true;
    std::uint64_t seed = 0;  ///< below 2^63
    double penalty = 0.01;   ///< raps; 0 or more
    std::uint64_t free_ranks = 2;
    /// An empty set becomes the best candidate. Only more is covered by that.
    bool at_least_one = true;
    /// Names of groups that each get a line, and so the probability, of their own; empty: one line for all.
    std::vector<std::string> groups = {};
};

/// One line: of all lists, or of those of a group.
struct conformal_line {
    double value = 0;               ///< the k-th smallest score of the right candidates, k = ceil((n + 1) confidence)
    std::uint64_t n = 0;            ///< lists it was fitted on
    std::uint64_t not_offered = 0;  ///< of which the right candidate was not in the list: they count as never covered
};

/// Sets with P(right candidate in the set) >= confidence, on average over fits, for lists exchangeable with those it was fitted
/// on; with groups for every group. Nothing is assumed of the probabilities. The promise is about lists as they come, not about
/// each kind of list; and it is about whoever labelled them. Immutable; shared by any number of threads. Sources: Sadinle, Lei,
/// Wasserman 2019 (LAC); Romano, Sesia, Candès 2020 (APS); Angelopoulos et al. 2021 (RAPS); Vovk 2012 (by group).
class OPSPILOT_API conformal_sets {
public:
    /// Rows offsets[i] … offsets[i + 1] of `probability` are list i; `right[i]` is the position of the right candidate in it, or
    /// -1 when it was not offered; `group[i]` an index into the names of groups (empty without groups). List i has key i.
    /// Errors: calibration.length_mismatch, .offsets, .empty, .bad_probability (not in [0, 1], or a list whose sum is above 1),
    /// .bad_right, .bad_confidence, .bad_option, .bad_group; .too_few with how many lists are needed, for the first group that
    /// has fewer; .not_offered when so often that no set can hold it with the confidence asked for.
    [[nodiscard]] static result<conformal_sets> fit(std::span<const double> probability, std::span<const std::int64_t> offsets,
                                                    std::span<const std::int64_t> right, std::span<const std::uint32_t> group,
                                                    const conformal_options& options);

    /// The set of a list: positions of its candidates, the most probable first. `key` identifies the list (a hash of the task's
    /// id), so that the same question gets the same set. Allocates only while `out` grows.
    /// Errors: calibration.bad_probability, .bad_group.
    [[nodiscard]] status members(std::span<const double> probability, std::uint32_t group, std::uint64_t key,
                                 std::vector<std::uint32_t>& out) const;

    [[nodiscard]] std::optional<std::uint32_t> find_group(std::string_view group) const noexcept;
    [[nodiscard]] const conformal_options& options() const noexcept { return options_; }
    /// One, or one per group.
    [[nodiscard]] std::span<const conformal_line> lines() const noexcept { return lines_; }

    [[nodiscard]] std::string to_json() const;
    /// Errors: kind calibration, for a document that is none of `to_json`.
    [[nodiscard]] static result<conformal_sets> parse(std::string_view json);

private:
    conformal_sets() = default;
    conformal_options options_;
    std::vector<conformal_line> lines_;
};

/// How many lists a line needs at least: the smallest n with ceil((n + 1) confidence) <= n; 9 at 90 %, 19 at 95 %.
[[nodiscard]] OPSPILOT_API std::uint64_t conformal_minimum(double confidence) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/conformal-inl.hpp"
#endif
