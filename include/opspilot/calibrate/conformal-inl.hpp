#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/conformal.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 3> conformal_method_names{"lac", "aps", "raps"};
inline constexpr std::array<document_field, 10> conformal_table{{
    {"version", json_kind::integer, true, "1"},
    {"method", json_kind::text, true, "how candidates are scored", conformal_method_names},
    {"confidence", json_kind::number, true, "probability that a set holds the right candidate"},
    {"randomised", json_kind::boolean, true, "the last candidate is in or out by chance"},
    {"seed", json_kind::integer, true, "of that chance"},
    {"penalty", json_kind::number, true, "raps: per rank"},
    {"free_ranks", json_kind::integer, true, "raps: ranks without a penalty"},
    {"at_least_one", json_kind::boolean, true, "an empty set becomes the best candidate"},
    {"groups", json_kind::array, true, "names; empty: one line for all"},
    {"lines", json_kind::array, true, "one, or one per group"},
}};
inline constexpr std::array<document_field, 3> conformal_line_table{{
    {"value", json_kind::number, true, "candidates of at most this score are in the set"},
    {"n", json_kind::integer, true, "lists it was fitted on"},
    {"not_offered", json_kind::integer, true, "of which without the right candidate"},
}};

/// ceil((n + 1) confidence), where a product that is a whole number but for rounding is that number: 20 * 0.95 is 19.
inline std::uint64_t conformal_rank(std::uint64_t n, double confidence) noexcept {
    const double product = (static_cast<double>(n) + 1.0) * confidence;
    const double whole = std::round(product);
    const double rank = std::fabs(product - whole) <= 1e-9 * product ? whole : std::ceil(product);
    return static_cast<std::uint64_t>(rank);
}

/// Evenly from [0, 1), by seed, purpose and key alone: SplitMix64's finaliser (Steele, Lea, Flood 2014) over both.
inline double conformal_chance(std::uint64_t seed, std::uint64_t purpose, std::uint64_t key) noexcept {
    const auto mixed = [](std::uint64_t x) {
        x += 0x9E3779B97F4A7C15U;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
        return x ^ (x >> 31);
    };
    return static_cast<double>(mixed(mixed(mixed(seed) ^ purpose) ^ key) >> 11) * 0x1p-53;
}

/// Positions by probability, the earlier of equal ones first.
inline void conformal_order(std::span<const double> p, std::vector<std::uint32_t>& out) {
    out.resize(p.size());
    std::iota(out.begin(), out.end(), std::uint32_t{0});
    std::sort(out.begin(), out.end(), [&](std::uint32_t a, std::uint32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
}

/// The scores down a list in its order. Never falling, so that a set is a beginning of the list.
class conformal_walk {
public:
    conformal_walk(const conformal_options& o, double chance) noexcept : o_(o), chance_(o.randomised ? chance : 0.0) {}
    [[nodiscard]] double next(double p) noexcept {
        ++rank_;
        if (o_.method == conformal_method::lac) return 1.0 - p;
        const double score = sum_ + (1.0 - chance_) * p;
        sum_ += p;
        if (o_.method == conformal_method::aps || rank_ <= o_.free_ranks) return score;
        return score + o_.penalty * static_cast<double>(rank_ - o_.free_ranks);
    }

private:
    const conformal_options& o_;
    double chance_, sum_ = 0;
    std::uint64_t rank_ = 0;
};

inline status check_conformal_list(std::span<const double> p, conformal_method method, const std::string& where) {
    constexpr std::size_t longest = std::size_t{1} << 24;
    if (p.empty() || p.size() > longest)
        return calibration_error_at("calibration.empty", fmt::format("a list of {} candidates", p.size()), where,
                                    "from 1 to 2^24; leave lists without candidates out");
    double sum = 0;
    for (const double value : p) {
        if (!(value >= 0.0 && value <= 1.0))
            return calibration_error_at("calibration.bad_probability", fmt::format("a probability of {}", value), where,
                                        "give the softmax of the scores");
        sum += value;
    }
    if (method != conformal_method::lac && sum > 1.0 + 1e-6)
        return calibration_error_at("calibration.bad_probability", fmt::format("probabilities of a list add up to {}", sum),
                                    where, "give the softmax of its scores, or use lac");
    return {};
}

inline status check_conformal_options(const conformal_options& o) {
    OPSPILOT_CHECK(check_open_unit(o.confidence, "confidence"));
    if (!(o.penalty >= 0.0 && std::isfinite(o.penalty)))
        return calibration_error_at("calibration.bad_option", fmt::format("a penalty of {}", o.penalty), "penalty", "0 or more");
    if (o.seed >> 63 != 0)
        return calibration_error_at("calibration.bad_option", fmt::format("a seed of {}", o.seed), "seed", "below 2^63");
    std::set<std::string_view> seen;
    for (const std::string& group : o.groups)
        if (!seen.insert(group).second)
            return calibration_error_at("calibration.bad_group", fmt::format("group {} stands twice", quote(group)), "groups",
                                        "");
    return {};
}

inline status check_conformal_lists(std::span<const double> probability, std::span<const std::int64_t> offsets,
                                    std::span<const std::int64_t> right, std::span<const std::uint32_t> group,
                                    const conformal_options& o) {
    if (right.empty()) return calibration_error_at("calibration.empty", "no lists");
    if (offsets.size() != right.size() + 1)
        return calibration_error_at("calibration.length_mismatch",
                                    fmt::format("{} offsets for {} lists", offsets.size(), right.size()), "offsets",
                                    "one more than there are lists");
    if (group.size() != (o.groups.empty() ? 0 : right.size()))
        return calibration_error_at("calibration.length_mismatch",
                                    fmt::format("{} groups for {} lists", group.size(), right.size()), "group",
                                    "one per list where groups have names, else none");
    bool fits = offsets.front() == 0 && offsets.back() == static_cast<std::int64_t>(probability.size());
    for (std::size_t i = 0; fits && i < right.size(); ++i) fits = offsets[i] <= offsets[i + 1];
    if (!fits)
        return calibration_error_at("calibration.offsets", "offsets do not part the probabilities", "offsets",
                                    "they start at 0, never fall and end at the number of rows");
    for (std::size_t i = 0; i < right.size(); ++i) {
        const std::int64_t size = offsets[i + 1] - offsets[i];
        if (right[i] < -1 || right[i] >= size)
            return calibration_error_at("calibration.bad_right", fmt::format("position {} in a list of {}", right[i], size),
                                        fmt::format("list {}", i), "a position in the list, or -1 when it was not offered");
        if (!group.empty() && group[i] >= o.groups.size())
            return calibration_error_at("calibration.bad_group", fmt::format("group number {}", group[i]),
                                        fmt::format("list {}", i), fmt::format("below {}", o.groups.size()));
    }
    return {};
}

inline result<conformal_line> conformal_line_of(std::vector<double>& scores, double confidence, std::string_view group) {
    conformal_line out;
    out.n = scores.size();
    out.not_offered =
        static_cast<std::uint64_t>(std::count(scores.begin(), scores.end(), std::numeric_limits<double>::infinity()));
    const std::string whose = group.empty() ? std::string{} : fmt::format(" of group {}", quote(group));
    const std::uint64_t rank = conformal_rank(out.n, confidence);
    if (rank > out.n)
        return calibration_error_at(
            "calibration.too_few", fmt::format("{} lists{} to fit a set of confidence {}", out.n, whose, confidence),
            std::string(group), fmt::format("{} are needed; join groups, or ask for less", conformal_minimum(confidence)));
    const auto at = scores.begin() + static_cast<std::ptrdiff_t>(rank - 1);
    std::nth_element(scores.begin(), at, scores.end());
    if (!std::isfinite(*at))
        return calibration_error_at(
            "calibration.not_offered",
            fmt::format("the right candidate was offered in {} of {} lists{}", out.n - out.not_offered, out.n, whose),
            std::string(group), fmt::format("no set of what was offered holds it with probability {}; offer more", confidence));
    out.value = *at;
    return out;
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(conformal_method method) noexcept {
    return detail::conformal_method_names[static_cast<std::size_t>(method)];
}

OPSPILOT_INLINE std::uint64_t conformal_minimum(double confidence) noexcept {
    if (!(confidence > 0.0)) return 1;
    const double estimate = confidence / (1.0 - confidence);
    if (!(estimate < 0x1p53)) return std::uint64_t{1} << 53;
    auto n = static_cast<std::uint64_t>(std::max(1.0, std::floor(estimate) - 2.0));
    while (detail::conformal_rank(n, confidence) > n) ++n;
    return n;
}

OPSPILOT_INLINE result<conformal_sets> conformal_sets::fit(std::span<const double> probability,
                                                           std::span<const std::int64_t> offsets,
                                                           std::span<const std::int64_t> right,
                                                           std::span<const std::uint32_t> group,
                                                           const conformal_options& options) {
    OPSPILOT_CHECK(detail::check_conformal_options(options));
    OPSPILOT_CHECK(detail::check_conformal_lists(probability, offsets, right, group, options));
    std::vector<std::vector<double>> scores(std::max<std::size_t>(1, options.groups.size()));
    std::vector<std::uint32_t> order;
    for (std::size_t i = 0; i < right.size(); ++i) {
        const auto first = static_cast<std::size_t>(offsets[i]);
        const std::span<const double> list = probability.subspan(first, static_cast<std::size_t>(offsets[i + 1]) - first);
        OPSPILOT_CHECK(detail::check_conformal_list(list, options.method, fmt::format("list {}", i)));
        double score = std::numeric_limits<double>::infinity();
        if (right[i] >= 0) {
            detail::conformal_order(list, order);
            detail::conformal_walk walk(options, detail::conformal_chance(options.seed, 0, i));
            for (const std::uint32_t at : order) {
                score = walk.next(list[at]);
                if (at == static_cast<std::uint32_t>(right[i])) break;
            }
        }
        scores[group.empty() ? 0 : group[i]].push_back(score);
    }
    conformal_sets made;
    made.options_ = options;
    for (std::size_t g = 0; g < scores.size(); ++g) {
        const std::string_view whose = options.groups.empty() ? std::string_view{} : std::string_view(options.groups[g]);
        OPSPILOT_TRY(const conformal_line line, detail::conformal_line_of(scores[g], options.confidence, whose));
        made.lines_.push_back(line);
    }
    return made;
}

OPSPILOT_INLINE status conformal_sets::members(std::span<const double> probability, std::uint32_t group, std::uint64_t key,
                                               std::vector<std::uint32_t>& out) const {
    if (group >= lines_.size())
        return detail::calibration_error_at("calibration.bad_group", fmt::format("group number {}", group), "group",
                                            fmt::format("below {}", lines_.size()));
    OPSPILOT_CHECK(detail::check_conformal_list(probability, options_.method, "probability"));
    detail::conformal_order(probability, out);
    detail::conformal_walk walk(options_, detail::conformal_chance(options_.seed, 1, key));
    std::size_t count = 0;
    while (count < out.size() && walk.next(probability[out[count]]) <= lines_[group].value) ++count;
    if (count == 0 && options_.at_least_one) count = 1;
    out.resize(count);
    return {};
}

OPSPILOT_INLINE std::optional<std::uint32_t> conformal_sets::find_group(std::string_view group) const noexcept {
    const auto found = std::find(options_.groups.begin(), options_.groups.end(), group);
    if (found == options_.groups.end()) return std::nullopt;
    return static_cast<std::uint32_t>(found - options_.groups.begin());
}

OPSPILOT_INLINE std::string conformal_sets::to_json() const {
    detail::json out{{"version", 1},
                     {"method", name(options_.method)},
                     {"confidence", options_.confidence},
                     {"randomised", options_.randomised},
                     {"seed", options_.seed},
                     {"penalty", options_.penalty},
                     {"free_ranks", options_.free_ranks},
                     {"at_least_one", options_.at_least_one},
                     {"groups", options_.groups}};
    out["lines"] = detail::json::array();
    for (const conformal_line& line : lines_)
        out["lines"].push_back({{"value", line.value}, {"n", line.n}, {"not_offered", line.not_offered}});
    return out.dump();
}

OPSPILOT_INLINE result<conformal_sets> conformal_sets::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(text, error_kind::calibration));
    OPSPILOT_CHECK(detail::check_object(root, detail::conformal_table, "", error_kind::calibration));
    const auto refuse = [](std::string_view where) {
        return detail::calibration_error_at("calibration.bad_sets", "suggestion sets cannot be this", std::string(where),
                                            "give what to_json wrote");
    };
    if (root.at("version") != 1) return refuse("/version");
    conformal_sets made;
    conformal_options& o = made.options_;
    const std::string method = root.at("method").get<std::string>();
    const auto& methods = detail::conformal_method_names;
    o.method = static_cast<conformal_method>(std::find(methods.begin(), methods.end(), method) - methods.begin());
    for (const char* key : {"seed", "free_ranks"})
        if (!root.at(key).is_number_unsigned()) return refuse(detail::pointer("", key));
    o.confidence = root.at("confidence").get<double>();
    o.randomised = root.at("randomised").get<bool>();
    o.seed = root.at("seed").get<std::uint64_t>();
    o.penalty = root.at("penalty").get<double>();
    o.free_ranks = root.at("free_ranks").get<std::uint64_t>();
    o.at_least_one = root.at("at_least_one").get<bool>();
    for (const detail::json& group : root.at("groups")) {
        if (!group.is_string()) return refuse("/groups");
        o.groups.push_back(group.get<std::string>());
    }
    OPSPILOT_CHECK(detail::check_conformal_options(o));
    for (std::size_t i = 0; i < root.at("lines").size(); ++i) {
        const detail::json& node = root.at("lines")[i];
        const std::string where = detail::pointer("/lines", i);
        OPSPILOT_CHECK(detail::check_object(node, detail::conformal_line_table, where, error_kind::calibration));
        if (!node.at("n").is_number_unsigned() || !node.at("not_offered").is_number_unsigned()) return refuse(where);
        made.lines_.push_back({.value = node.at("value").get<double>(),
                               .n = node.at("n").get<std::uint64_t>(),
                               .not_offered = node.at("not_offered").get<std::uint64_t>()});
        const conformal_line& line = made.lines_.back();
        if (line.not_offered > line.n || detail::conformal_rank(line.n, o.confidence) > line.n) return refuse(where);
    }
    if (made.lines_.size() != std::max<std::size_t>(1, o.groups.size())) return refuse("/lines");
    return made;
}

}  // namespace opspilot
