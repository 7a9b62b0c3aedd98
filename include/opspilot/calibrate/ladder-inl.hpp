#pragma once

#include <fmt/format.h>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/ladder.hpp"

namespace opspilot {

namespace detail {

inline status check_ladder(std::size_t n, const ladder_options& options) {
    OPSPILOT_CHECK(check_open_unit(options.max_risk, "max_risk"));
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    OPSPILOT_CHECK(calibration_same_length(n, options.groups.size(), "groups"));
    if (options.group_count == 0 || options.group_count > n)
        return calibration_error_at("calibration.bad_group", fmt::format("{} groups for {} items", options.group_count, n), "",
                                    "leave out groups without items: each one shares the failure probability");
    for (std::size_t i = 0; i < n; ++i)
        if (options.groups[i] >= options.group_count)
            return calibration_error_at("calibration.bad_group",
                                        fmt::format("group {} of {}", options.groups[i], options.group_count),
                                        fmt::format("row {}", i), "number the groups from 0 and state how many there are");
    if (!options.parents.empty() && options.parents.size() != options.group_count)
        return calibration_error_at("calibration.bad_group",
                                    fmt::format("{} parents for {} groups", options.parents.size(), options.group_count), "",
                                    "give one parent per group");
    for (std::size_t g = 0; g < options.parents.size(); ++g)
        if (options.parents[g] >= options.parent_count)
            return calibration_error_at("calibration.bad_group",
                                        fmt::format("parent {} of {}", options.parents[g], options.parent_count),
                                        fmt::format("group {}", g), "number the parents from 0 and state how many there are");
    if (options.parent_count == 0 || options.parent_count > options.group_count)
        return calibration_error_at("calibration.bad_group",
                                    fmt::format("{} parents for {} groups", options.parent_count, options.group_count), "",
                                    "leave out parents without groups: each one shares the failure probability");
    return {};
}

/// The items of one certificate.
struct labelled_pool {
    std::vector<double> score, belief;
    std::vector<std::uint8_t> error;
};

inline result<certified_threshold> certify_pool(const labelled_pool& pool, const ladder_options& options, double delta) {
    threshold_options one{.max_risk = options.max_risk, .confidence = 1.0 - delta};
    one.start_probability = pool.belief;
    if (pool.score.empty()) {
        certified_threshold nothing;
        nothing.reason = "too_few";
        nothing.needed = zero_error_minimum(options.max_risk, delta);
        nothing.max_risk = options.max_risk;
        nothing.confidence = 1.0 - delta;
        nothing.delta = delta;
        return nothing;
    }
    OPSPILOT_TRY(automation_certificates made, automation_threshold(pool.score, pool.error, one));
    return static_cast<certified_threshold&&>(std::move(made));
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(ladder_level level) noexcept {
    switch (level) {
        case ladder_level::none: return "none";
        case ladder_level::parent: return "parent";
        case ladder_level::group: return "group";
    }
    return "none";
}

OPSPILOT_INLINE result<certificate_ladder> automation_ladder(std::span<const double> score, std::span<const std::uint8_t> error,
                                                             const ladder_options& options) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_CHECK(detail::check_ladder(score.size(), options));
    if (!options.start_probability.empty())
        OPSPILOT_CHECK(detail::calibration_same_length(score.size(), options.start_probability.size(), "start probabilities"));
    const auto parent_of = [&](std::uint32_t g) { return options.parents.empty() ? 0U : options.parents[g]; };
    std::vector<detail::labelled_pool> groups(options.group_count), parents(options.parent_count);
    for (std::size_t i = 0; i < score.size(); ++i)
        for (detail::labelled_pool* pool : {&groups[options.groups[i]], &parents[parent_of(options.groups[i])]}) {
            pool->score.push_back(score[i]);
            pool->error.push_back(error[i]);
            if (!options.start_probability.empty()) pool->belief.push_back(options.start_probability[i]);
        }

    certificate_ladder out;
    out.delta_each = (1.0 - options.confidence) / (static_cast<double>(options.group_count) + options.parent_count);
    for (const detail::labelled_pool& pool : parents) {
        OPSPILOT_TRY(certified_threshold made, detail::certify_pool(pool, options, out.delta_each));
        out.of_parents.push_back(std::move(made));
    }
    for (std::uint32_t g = 0; g < options.group_count; ++g) {
        OPSPILOT_TRY(certified_threshold own, detail::certify_pool(groups[g], options, out.delta_each));
        ladder_step step;
        step.parent = parent_of(g);
        step.n = groups[g].score.size();
        step.needed = own.needed;
        const bool by_itself = step.n > own.needed;
        const certified_threshold& used = by_itself ? own : out.of_parents[step.parent];
        step.value = used.value;
        step.reason = used.reason;
        if (step.value) step.level = by_itself ? ladder_level::group : ladder_level::parent;
        for (std::size_t i = 0; i < step.n; ++i)
            if (step.value && groups[g].score[i] > *step.value) {
                ++step.automated;
                step.errors += groups[g].error[i];
            }
        if (step.n > 0) {
            const double delta = 0.5 * (1.0 - options.confidence);
            step.automation = static_cast<double>(step.automated) / static_cast<double>(step.n);
            step.automation_low = binomial_lower(step.automated, step.n, delta);
            step.automation_high = binomial_upper(step.automated, step.n, delta);
        }
        out.groups.push_back(step);
        out.of_groups.push_back(std::move(own));
    }
    return out;
}

}  // namespace opspilot
