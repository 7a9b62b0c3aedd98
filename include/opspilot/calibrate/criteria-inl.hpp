#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/criteria.hpp"
#include "opspilot/calibrate/detail/errors.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 8> criterion_metrics{
    "automation_rate",     "selective_risk", "recall",         "false_negative_rate",
    "false_positive_rate", "reversal_rate",  "complaint_rate", "slow_rate"};
inline constexpr std::array<std::string_view, 3> criterion_verdicts{"pass", "fail", "insufficient"};
inline constexpr std::array<std::string_view, 2> criterion_small_groups{"insufficient", "pool"};
inline constexpr std::array<std::string_view, 3> criterion_wrong{"overridden", "reversed", "complaint"};

inline constexpr std::array<document_field, 5> criteria_document{{
    {"version", json_kind::integer, true, "version of this document's form: 1"},
    {"name", json_kind::text, true, "of the launch"},
    {"declared_at", json_kind::integer, false, "when they were agreed, microseconds since 1970 UTC"},
    {"wrong", json_kind::array, false, "outcomes that make a decision wrong; default overridden, reversed and complaint"},
    {"criteria", json_kind::array, true, "all of them must pass"},
}};
inline constexpr std::array<document_field, 12> criterion_document{{
    {"id", json_kind::text, true, "name of the criterion"},
    {"metric", json_kind::text, true, "rate that is bounded", criterion_metrics},
    {"of", json_kind::text, false,
     "recall and false negatives or positives: label of decisions that need a person; default: wrong"},
    {"by", json_kind::text, false, "client, task.FIELD or a column of attributes: every group must pass; default: all together"},
    {"at_most", json_kind::number, false, "upper bound of the rate, in (0, 1)"},
    {"at_least", json_kind::number, false, "lower bound of the rate, in (0, 1)"},
    {"gap_at_most", json_kind::number, false, "bound of the difference between each group and the rest, in (0, 1); needs by"},
    {"confidence", json_kind::number, false, "with which it must be shown, in (0, 1); default 0.95"},
    {"min_samples", json_kind::integer, false, "decisions in the rate below which nothing passes; default 30"},
    {"small_groups", json_kind::text, false, "groups below min_samples: insufficient (default), or pool them into one",
     criterion_small_groups},
    {"slower_than_us", json_kind::integer, false, "slow_rate: microseconds from the decision to its outcome"},
    {"because", json_kind::text, false, "one line for people"},
}};

/// Nothing throws, and double stays double.
using normal_quantile_math =
    boost::math::policies::policy<boost::math::policies::domain_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::promote_double<false>>;

inline error criterion_error(std::string message, std::string where, std::string hint) {
    return calibration_error_at("calibration.bad_criterion", std::move(message), std::move(where), std::move(hint));
}

inline status check_criterion(const criterion& c, std::string_view where) {
    const bool needy = c.metric == criterion_metric::recall || c.metric == criterion_metric::false_negative_rate ||
                       c.metric == criterion_metric::false_positive_rate;
    const int bounds = int{c.at_most.has_value()} + int{c.at_least.has_value()} + int{c.gap_at_most.has_value()};
    if (c.id.empty()) return criterion_error("a criterion without a name", pointer(where, "id"), "name it");
    if (bounds != 1)
        return criterion_error(fmt::format("criterion {} has {} bounds", quote(c.id), bounds), std::string(where),
                               "give one of at_most, at_least and gap_at_most");
    const std::array<std::pair<const char*, std::optional<double>>, 4> shares{
        {{"at_most", c.at_most}, {"at_least", c.at_least}, {"gap_at_most", c.gap_at_most}, {"confidence", c.confidence}}};
    for (const auto& [key, value] : shares)
        if (value && !(*value > 0.0 && *value < 1.0))
            return criterion_error(fmt::format("{} {} is not strictly between 0 and 1", key, *value), pointer(where, key),
                                   *value >= 1.0 && *value <= 100.0 ? "give a fraction: 0.05, not 5" : "");
    if (c.gap_at_most && c.by.empty())
        return criterion_error("a difference without groups", pointer(where, "gap_at_most"), "name the groups: by");
    if (c.pool_small && (c.by.empty() || c.gap_at_most))
        return criterion_error("nothing to pool", pointer(where, "small_groups"), "it goes with by and a bound of the rate");
    if (!c.of.empty() && !needy)
        return criterion_error(fmt::format("{} is not about a label", name(c.metric)), pointer(where, "of"),
                               "it goes with recall, false_negative_rate and false_positive_rate");
    if ((c.slower_than_us > 0) != (c.metric == criterion_metric::slow_rate))
        return criterion_error("slow_rate needs a positive slower_than_us, and nothing else has one",
                               pointer(where, "slower_than_us"), "microseconds: 24 hours are 86400000000");
    return {};
}

inline result<criterion> read_criterion(const json& node, const std::string& where) {
    OPSPILOT_CHECK(check_object(node, criterion_document, where, error_kind::calibration));
    criterion c;
    c.id = node.at("id").get<std::string>();
    const std::string metric = node.at("metric").get<std::string>();
    c.metric = static_cast<criterion_metric>(std::find(criterion_metrics.begin(), criterion_metrics.end(), metric) -
                                             criterion_metrics.begin());
    c.of = text_or(node, "of", "");
    c.by = text_or(node, "by", "");
    const std::array<std::pair<const char*, std::optional<double>*>, 3> bounds{
        {{"at_most", &c.at_most}, {"at_least", &c.at_least}, {"gap_at_most", &c.gap_at_most}}};
    for (const auto& [key, bound] : bounds)
        if (node.contains(key)) *bound = node.at(key).get<double>();
    c.confidence = number_or(node, "confidence", 0.95);
    const std::int64_t least = integer_or(node, "min_samples", 30);
    if (least < 1) return criterion_error(fmt::format("min_samples {}", least), pointer(where, "min_samples"), "1 or more");
    c.min_samples = static_cast<std::uint64_t>(least);
    c.pool_small = text_or(node, "small_groups", "insufficient") == "pool";
    c.slower_than_us = integer_or(node, "slower_than_us", 0);
    c.because = text_or(node, "because", "");
    OPSPILOT_CHECK(check_criterion(c, where));
    return c;
}

/// About how many items prove the bound if events stay as frequent as they are; 0 when they are too frequent.
inline std::uint64_t needed_for_bound(const rate_count& seen, double bound, double delta) {
    const double rate = seen.n == 0 ? 0.0 : static_cast<double>(seen.events) / static_cast<double>(seen.n);
    if (rate >= bound) return 0;
    constexpr std::uint64_t most = std::uint64_t{1} << 40;
    const auto enough = [&](std::uint64_t n) {
        return binomial_upper(static_cast<std::uint64_t>(std::ceil(rate * static_cast<double>(n))), n, delta) <= bound;
    };
    std::uint64_t high = zero_error_minimum(bound, delta);
    if (enough(high)) return high;
    while (high < most && !enough(high)) high *= 2;
    if (high >= most) return 0;
    std::uint64_t low = high / 2;
    while (low + 1 < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        (enough(middle) ? high : low) = middle;
    }
    return high;
}

inline criterion_verdict criterion_verdict_of(bool proved, bool refuted, bool enough) noexcept {
    if (refuted) return criterion_verdict::failed;
    return proved && enough ? criterion_verdict::passed : criterion_verdict::insufficient;
}

inline judged_rate judge_rate(const criterion& c, const rate_count& count, double delta, double strict) {
    judged_rate out;
    out.count = count;
    out.value = count.n == 0 ? std::numeric_limits<double>::quiet_NaN()
                             : static_cast<double>(count.events) / static_cast<double>(count.n);
    out.lower = binomial_lower(count.events, count.n, delta);
    out.upper = binomial_upper(count.events, count.n, delta);
    const bool above = c.at_least.has_value();
    const double bound = above ? *c.at_least : *c.at_most;
    const bool proved = above ? out.lower >= bound : out.upper <= bound;
    const bool refuted =
        above ? binomial_upper(count.events, count.n, strict) < bound : binomial_lower(count.events, count.n, strict) > bound;
    out.verdict = criterion_verdict_of(proved, refuted, count.n >= c.min_samples);
    if (out.verdict == criterion_verdict::insufficient) {
        const rate_count against = above ? rate_count{count.n - count.events, count.n} : count;
        const std::uint64_t needed = needed_for_bound(against, above ? 1.0 - bound : bound, delta);
        if (needed > 0) out.needed = std::max(needed, c.min_samples);
    }
    return out;
}

inline judged_rate judge_gap(const criterion& c, const rate_count& group, const rate_count& rest, double delta, double strict) {
    judged_rate out;
    out.count = group;
    const difference_bounds seen = newcombe_difference(group, rest, delta);
    const difference_bounds wide = newcombe_difference(group, rest, strict);
    const bool there = group.n > 0 && rest.n > 0;
    out.value = there ? seen.value : std::numeric_limits<double>::quiet_NaN();
    out.lower = seen.lower;
    out.upper = seen.upper;
    const double gap = *c.gap_at_most;
    const bool enough = std::min(group.n, rest.n) >= c.min_samples;
    out.verdict = criterion_verdict_of(seen.lower >= -gap && seen.upper <= gap,
                                       there && enough && (wide.lower > gap || wide.upper < -gap), enough);
    return out;
}

/// Wilson's bounds of a rate, z standard deviations wide.
inline std::pair<double, double> wilson_bounds(const rate_count& c, double z) noexcept {
    const auto n = static_cast<double>(c.n);
    const double p = static_cast<double>(c.events) / n;
    const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(criterion_metric metric) noexcept {
    return detail::criterion_metrics[static_cast<std::size_t>(metric)];
}
OPSPILOT_INLINE std::string_view name(criterion_verdict verdict) noexcept {
    return detail::criterion_verdicts[static_cast<std::size_t>(verdict)];
}

OPSPILOT_INLINE result<launch_criteria> launch_criteria::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(text, error_kind::calibration));
    OPSPILOT_CHECK(detail::check_object(root, detail::criteria_document, "", error_kind::calibration));
    if (root.at("version") != 1)
        return detail::calibration_error_at("calibration.version",
                                            fmt::format("version {} of criteria", root.at("version").dump()), "/version",
                                            "this library reads version 1");
    launch_criteria made;
    made.name = root.at("name").get<std::string>();
    made.declared_at_us = detail::integer_or(root, "declared_at", 0);
    if (const auto given = root.find("wrong"); given != root.end()) {
        made.wrong.clear();
        for (std::size_t i = 0; i < given->size(); ++i) {
            const auto& known = detail::criterion_wrong;
            const detail::json& kind = (*given)[i];
            if (!kind.is_string() || std::find(known.begin(), known.end(), kind.get_ref<const std::string&>()) == known.end())
                return detail::calibration_error_at("calibration.bad_choice", "no outcome makes a decision wrong by this name",
                                                    detail::pointer("/wrong", i), fmt::format("{}", fmt::join(known, ", ")));
            made.wrong.push_back(kind.get<std::string>());
        }
        std::sort(made.wrong.begin(), made.wrong.end(), [](const std::string& a, const std::string& b) {
            const auto place = [](const std::string& which) {
                return std::find(detail::criterion_wrong.begin(), detail::criterion_wrong.end(), which);
            };
            return place(a) < place(b);
        });
        made.wrong.erase(std::unique(made.wrong.begin(), made.wrong.end()), made.wrong.end());
        if (made.wrong.empty())
            return detail::criterion_error("nothing makes a decision wrong", "/wrong", "leave it out for the default");
    }
    const detail::json& list = root.at("criteria");
    if (list.empty()) return detail::criterion_error("no criteria", "/criteria", "a launch without any always passes");
    std::set<std::string> seen;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string where = detail::pointer("/criteria", i);
        OPSPILOT_TRY(criterion c, detail::read_criterion(list[i], where));
        if (!seen.insert(c.id).second)
            return detail::calibration_error_at("calibration.duplicate_id", fmt::format("criterion {} stands twice", quote(c.id)),
                                                detail::pointer(where, "id"), "rename or remove one of them");
        made.criteria.push_back(std::move(c));
    }
    return made;
}

OPSPILOT_INLINE std::string launch_criteria::to_json() const {
    detail::json out{{"version", 1}, {"name", name}, {"wrong", wrong}};
    if (declared_at_us != 0) out["declared_at"] = declared_at_us;
    out["criteria"] = detail::json::array();
    for (const criterion& c : criteria) {
        detail::json node{
            {"id", c.id}, {"metric", opspilot::name(c.metric)}, {"confidence", c.confidence}, {"min_samples", c.min_samples}};
        if (!c.of.empty()) node["of"] = c.of;
        if (!c.by.empty()) node["by"] = c.by;
        if (c.at_most) node["at_most"] = *c.at_most;
        if (c.at_least) node["at_least"] = *c.at_least;
        if (c.gap_at_most) node["gap_at_most"] = *c.gap_at_most;
        if (c.pool_small) node["small_groups"] = "pool";
        if (c.slower_than_us != 0) node["slower_than_us"] = c.slower_than_us;
        if (!c.because.empty()) node["because"] = c.because;
        out["criteria"].push_back(std::move(node));
    }
    return out.dump();
}

OPSPILOT_INLINE std::string launch_criteria::fingerprint() const { return sha256_hex(to_json()); }

OPSPILOT_INLINE launch_criteria::tables launch_criteria::fields() noexcept {
    return {detail::criteria_document, detail::criterion_document};
}

OPSPILOT_INLINE difference_bounds newcombe_difference(const rate_count& first, const rate_count& second, double delta) noexcept {
    if (first.n == 0 || second.n == 0) return {};
    const double z = std::sqrt(2.0) * boost::math::erfc_inv(2.0 * delta, detail::normal_quantile_math{});
    const auto rate = [](const rate_count& c) { return static_cast<double>(c.events) / static_cast<double>(c.n); };
    const double p1 = rate(first), p2 = rate(second);
    const auto [l1, u1] = detail::wilson_bounds(first, z);
    const auto [l2, u2] = detail::wilson_bounds(second, z);
    return {.value = p1 - p2, .lower = p1 - p2 - std::hypot(p1 - l1, u2 - p2), .upper = p1 - p2 + std::hypot(u1 - p1, p2 - l2)};
}

OPSPILOT_INLINE judged_criterion judge(const criterion& c, std::span<const rate_count> counts) {
    judged_criterion out;
    const double delta = 1.0 - c.confidence;
    const double strict = delta / static_cast<double>(std::max<std::size_t>(1, counts.size()));
    rate_count total;
    for (const rate_count& count : counts) {
        total.events += count.events;
        total.n += count.n;
    }
    for (const rate_count& count : counts) {
        const rate_count rest{total.events - count.events, total.n - count.n};
        out.rates.push_back(c.gap_at_most ? detail::judge_gap(c, count, rest, delta, strict)
                                          : detail::judge_rate(c, count, delta, strict));
    }
    const auto any = [&](criterion_verdict v) {
        return std::any_of(out.rates.begin(), out.rates.end(), [&](const judged_rate& r) { return r.verdict == v; });
    };
    if (any(criterion_verdict::failed))
        out.verdict = criterion_verdict::failed;
    else if (!out.rates.empty() && !any(criterion_verdict::insufficient))
        out.verdict = criterion_verdict::passed;
    return out;
}

}  // namespace opspilot
