/// \file
/// Launch criteria: what must be shown of logged decisions before more is automated, written down before they are looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot {

/// Rates of decisions. "Wrong" is a decision of which one of the document's outcomes is known; a decision without any outcome
/// but rewards counts in the first rate alone.
enum class criterion_metric : std::uint8_t {
    automation_rate,      ///< automated, of all
    selective_risk,       ///< wrong, of the automated
    recall,               ///< not automated, of those that needed a person: of the wrong ones, or of those with the label `of`
    false_negative_rate,  ///< automated, of the same: 1 - recall
    false_positive_rate,  ///< not automated, of those that needed no person
    reversal_rate,        ///< reversed, of the automated
    complaint_rate,       ///< complained about, of the automated
    slow_rate,            ///< with a delay above `slower_than_us`, of those whose delay is known
};
[[nodiscard]] OPSPILOT_API std::string_view name(criterion_metric metric) noexcept;

/// One criterion: a bound of a rate, of all decisions or of each group, or a bound of the groups' difference.
struct criterion {
    std::string id;
    criterion_metric metric = criterion_metric::selective_risk;
    std::string of;                           ///< recall and its kin: label of the decisions that need a person; "" = wrong ones
    std::string by;                           ///< "client", "task.FIELD" or a column of attributes; "" = all decisions together
    std::optional<double> at_most, at_least;  ///< bound of the rate; one of the three is there
    std::optional<double> gap_at_most;        ///< bound of the difference of each group from the rest; needs `by`
    double confidence = 0.95;
    std::uint64_t min_samples = 30;   ///< of each rate; fewer never pass
    bool pool_small = false;          ///< groups of fewer are judged together; false: they are insufficient
    std::int64_t slower_than_us = 0;  ///< slow_rate
    std::string because;              ///< for people
};

/// What is known of a criterion.
enum class criterion_verdict : std::uint8_t {
    passed,        ///< the bound is proved
    failed,        ///< the opposite is proved
    insufficient,  ///< neither: more decisions are needed
};
[[nodiscard]] OPSPILOT_API std::string_view name(criterion_verdict verdict) noexcept;

/// events among n.
struct rate_count {
    std::uint64_t events = 0, n = 0;
};

/// One rate of a criterion, or one group's difference from the rest.
struct judged_rate {
    rate_count count;
    double value = 0;             ///< the rate, or the difference; NaN when there is none
    double lower = 0, upper = 1;  ///< one-sided bounds, each at the criterion's confidence
    criterion_verdict verdict = criterion_verdict::insufficient;
    /// How many decisions would be enough if the rate stays what it is, 0 when none would be or enough are there; for
    /// differences always 0.
    std::uint64_t needed = 0;
};

struct judged_criterion {
    criterion_verdict verdict = criterion_verdict::insufficient;
    std::vector<judged_rate> rates;  ///< as they were given
};

/// The document. A plain value; reading is thread-safe.
struct OPSPILOT_API launch_criteria {
    std::string name;
    std::int64_t declared_at_us = 0;  ///< when they were agreed, microseconds since 1970 UTC; 0 = not said
    /// Outcomes that make a decision wrong, of overridden, reversed and complaint.
    std::vector<std::string> wrong{"overridden", "reversed", "complaint"};
    std::vector<criterion> criteria;

    /// Errors: kind calibration, JSON pointer of the offending key: structure; .bad_criterion for what does not fit together;
    /// .duplicate_id.
    [[nodiscard]] static result<launch_criteria> parse(std::string_view json);
    /// The canonical document: defaults written out, so that equal criteria are equal texts.
    [[nodiscard]] std::string to_json() const;
    /// SHA-256 hex of the canonical document.
    [[nodiscard]] std::string fingerprint() const;

    struct tables {
        std::span<const document_field> document, criterion;
    };
    [[nodiscard]] static tables fields() noexcept;
};

/// Judges a criterion by exact binomial bounds (differences: Newcombe's hybrid of Wilson bounds, which is approximate). `counts`
/// holds one rate, or one per group.
///
/// All groups pass or the criterion does not: a false pass has to pass the group that breaks the bound, so its probability is at
/// most 1 - confidence for any number of groups, without a price. That a group breaks the bound is claimed at (1 - confidence)
/// divided by the number of groups. A proven violation fails below `min_samples` too.
/// Sources: Clopper, Pearson 1934; Berger 1982 (intersection-union tests); Newcombe 1998.
[[nodiscard]] OPSPILOT_API judged_criterion judge(const criterion& c, std::span<const rate_count> counts);

/// Bounds of p1 - p2 from two independent rates, each one-sided at level delta: Newcombe's hybrid of Wilson bounds. [-1, 1] when
/// a rate has no items.
struct difference_bounds {
    double value = 0, lower = -1, upper = 1;
};
[[nodiscard]] OPSPILOT_API difference_bounds newcombe_difference(const rate_count& first, const rate_count& second,
                                                                 double delta) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/criteria-inl.hpp"
#endif
