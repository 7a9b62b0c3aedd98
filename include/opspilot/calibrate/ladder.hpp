/// \file
/// Certificates of groups of unequal size: a group's own where its labels suffice, else its parent's pool, else none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

/// Whose risk a line bounds.
enum class ladder_level : std::uint8_t { none, parent, group };

[[nodiscard]] OPSPILOT_API std::string_view name(ladder_level level) noexcept;

struct ladder_options {
    double max_risk = 0.05;
    double confidence = 0.95;                        ///< with which all certificates of the ladder hold together
    std::span<const double> start_probability = {};  ///< see `threshold_options`
    std::span<const std::uint32_t> groups = {};      ///< of each item, below `group_count`; fixed before labels were seen
    std::uint32_t group_count = 0;
    std::span<const std::uint32_t> parents = {};  ///< of each group, below `parent_count`; empty: one parent for all
    std::uint32_t parent_count = 1;
};

/// What holds for one group.
struct ladder_step {
    ladder_level level = ladder_level::none;
    std::string_view reason;      ///< "" with a line, else why there is none, as in `certified_threshold`
    std::optional<double> value;  ///< automate the group's items above it; empty: nothing
    std::uint32_t parent = 0;
    std::uint64_t n = 0;                             ///< the group's own items
    std::uint64_t needed = 0;                        ///< items without an error that a certificate of its own needs at least
    std::uint64_t automated = 0, errors = 0;         ///< of its own items above the value
    double automation = 0;                           ///< share of its own items above the value
    double automation_low = 0, automation_high = 1;  ///< Clopper-Pearson interval of it, at `confidence`, for this group alone
};

struct certificate_ladder {
    std::vector<ladder_step> groups;              ///< by group number
    std::vector<certified_threshold> of_groups;   ///< certificates of the groups' own, tried or not
    std::vector<certified_threshold> of_parents;  ///< of all items of a parent: they bound the pooled risk only
    double delta_each = 0;                        ///< failure probability of each certificate
};

/// The failure probability is shared evenly by all groups and parents. A group with items enough for a certificate of its own
/// (more than `needed`, known before labels) stands or falls by it: evidence that it did not suffice is not overruled by
/// the pool. Smaller groups take their parent's line, which bounds the risk of the parent's items together and says nothing of
/// one group: watch each (`rate_process`) and suspend it when its own errors speak against it. Errors: as `automation_threshold`;
/// calibration.bad_group.
[[nodiscard]] OPSPILOT_API result<certificate_ladder> automation_ladder(std::span<const double> score,
                                                                        std::span<const std::uint8_t> error,
                                                                        const ladder_options& options);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/ladder-inl.hpp"
#endif
