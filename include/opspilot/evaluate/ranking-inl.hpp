#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "opspilot/base/math.hpp"
#include "opspilot/evaluate/ranking.hpp"

namespace opspilot {

namespace detail {

/// 2^relevance - 1, exact for whole numbers, and above 0 for every relevance above 0.
inline double exponential_gain(double relevance) noexcept {
    constexpr double ln2 = 0.69314718055994530942;
    constexpr double small = 1e-5;  // below, the power would lose digits to the 1
    if (relevance == std::floor(relevance)) return std::ldexp(1.0, static_cast<int>(relevance)) - 1.0;
    const double exponent = relevance * ln2;
    return exponent < small ? exponent * (1.0 + 0.5 * exponent) : portable_exp(exponent) - 1.0;
}

/// Gains are summed over candidates and tasks: no sum of such ones overflows.
inline constexpr double largest_gain = 0x1p512;

inline error bad_relevance(double value, std::size_t row, ranking_gain gain) {
    const bool large = std::isfinite(value) && value > 0;
    return error{error_kind::usage, "usage.relevance",
                 large ? fmt::format("relevance {} has no gain below 2^512", value)
                       : fmt::format("relevance {} is not a number of 0 or more", value),
                 fmt::format("row {}", row),
                 large && gain == ranking_gain::exponential ? "give grades, such as 0 to 4, or take the linear gain"
                                                            : "0 = not relevant, 1 = relevant, or grades of 0 and more"};
}

inline status check_offsets(std::span<const std::int64_t> offsets, std::size_t rows) {
    const auto fail = [](std::string message, std::size_t at) {
        return error{error_kind::usage, "usage.offsets", std::move(message), fmt::format("offset {}", at),
                     "task t has the rows from offset t to offset t + 1: 0 first, the number of rows last, sorted by task"};
    };
    if (offsets.empty()) return fail("there are no offsets", 0);
    if (offsets[0] != 0) return fail(fmt::format("{} is not 0", offsets[0]), 0);
    for (std::size_t t = 1; t < offsets.size(); ++t)
        if (offsets[t] < offsets[t - 1]) return fail(fmt::format("{} after {}", offsets[t], offsets[t - 1]), t);
    if (static_cast<std::uint64_t>(offsets.back()) != rows)
        return fail(fmt::format("{} for {} rows", offsets.back(), rows), offsets.size() - 1);
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<ranking_judge> ranking_judge::make(const ranking_options& options) {
    ranking_judge out;
    out.gain_ = options.gain;
    out.ties_ = options.ties;
    out.unscored_ = options.unscored;
    std::size_t before = 0;
    for (std::size_t c = 0; c < options.cutoffs.size(); ++c) {
        const std::size_t k = options.cutoffs[c];
        if (k <= before)
            return error{error_kind::usage, "usage.cutoffs",
                         k == 0 ? std::string("a cut-off of 0 candidates") : fmt::format("cut-off {} after {}", k, before),
                         fmt::format("cutoff {}", c), "give each k once, ascending, from 1 on"};
        before = k;
        out.last_.at.push_back({.k = k});
    }
    out.sum_.at = out.last_.at;
    return out;
}

/// Checks all rows, and takes over those that are in the ranking.
OPSPILOT_INLINE status ranking_judge::read(std::span<const double> score, std::span<const double> relevance,
                                           std::size_t first_row) {
    items_.clear();
    gains_.clear();
    scored_ = 0;
    for (std::size_t i = 0; i < score.size(); ++i) {
        const double given = relevance[i];
        const bool fits = std::isfinite(given) && given >= 0 && (gain_ == ranking_gain::linear || given <= 512);
        const double gain = !fits || gain_ == ranking_gain::linear ? given : detail::exponential_gain(given);
        if (!fits || gain > detail::largest_gain) return detail::bad_relevance(given, first_row + i, gain_);
        const bool scored = !std::isnan(score[i]);
        if (gain > 0) {
            gains_.push_back(gain);
            scored_ += scored ? 1U : 0U;
        }
        if (scored || unscored_ == ranking_unscored::last)
            items_.push_back({scored ? score[i] : -std::numeric_limits<double>::infinity(), gain, i});
    }
    return {};
}

/// Best first. Among ties that are averaged the gain orders, so that equal sets of rows give equal sums to the last bit.
OPSPILOT_INLINE void ranking_judge::sort_items() {
    const bool by_row = ties_ == ranking_ties::position;
    std::sort(items_.begin(), items_.end(), [&](const item& x, const item& y) {
        if (x.score != y.score) return x.score > y.score;
        return by_row ? x.row < y.row : x.gain > y.gain;
    });
    std::sort(gains_.begin(), gains_.end(), [](double x, double y) { return x > y; });
    for (std::size_t rank = discounts_.size() + 1; rank <= items_.size() || rank <= gains_.size(); ++rank)
        discounts_.push_back(portable_log(2.0) / portable_log(1.0 + static_cast<double>(rank)));
}

/// Rows first … end share a score: each of their orders is equally likely. `relevant` of them are, with the mean gain `gain`.
OPSPILOT_INLINE void ranking_judge::walk_tied(std::size_t first, std::size_t end, std::size_t relevant, double gain,
                                              std::size_t& cut, double& dcg) {
    const auto size = static_cast<double>(end - first);
    const auto own = static_cast<double>(relevant);
    const auto before = static_cast<double>(found_);
    const double share = own / size;
    double none = found_ == 0 ? 1.0 : 0.0;  // probability that no relevant one has come yet
    for (std::size_t p = first; p < end; ++p) {
        const auto rank = static_cast<double>(p + 1);
        const auto passed = static_cast<double>(p - first);
        last_.mrr += none * (own / (size - passed)) / rank;
        none *= std::max(0.0, size - passed - own) / (size - passed);
        // Given that the one at this place is relevant, the `passed` before it hold their share of the others.
        const double earlier = passed > 0 ? passed * (own - 1.0) / (size - 1.0) : 0.0;
        last_.map += share * (before + 1.0 + earlier) / rank;
        dcg += gain * discounts_[p];
        for (; cut < last_.at.size() && last_.at[cut].k == p + 1; ++cut) {
            last_.at[cut].hit = 1.0 - none;
            last_.at[cut].recall = before + own * (passed + 1.0) / size;
            last_.at[cut].ndcg = dcg;
        }
    }
}

/// Sums along the ranking: counts in `recall` and DCG in `ndcg`, to be normalised.
OPSPILOT_INLINE void ranking_judge::walk() {
    last_.mrr = last_.map = 0;
    found_ = 0;
    std::size_t cut = 0;
    double dcg = 0;
    const auto close = [&](std::size_t ranks) {
        for (; cut < last_.at.size() && last_.at[cut].k <= ranks; ++cut) {
            last_.at[cut].hit = found_ > 0 ? 1.0 : 0.0;
            last_.at[cut].recall = static_cast<double>(found_);
            last_.at[cut].ndcg = dcg;
        }
    };
    for (std::size_t first = 0; first < items_.size() && found_ < gains_.size();) {
        std::size_t end = first;
        std::size_t relevant = 0;
        double gain = 0;
        do {
            relevant += items_[end].gain > 0 ? 1U : 0U;
            gain += items_[end].gain;
            ++end;
        } while (ties_ == ranking_ties::expected && end < items_.size() && items_[end].score == items_[first].score);
        if (relevant > 0) walk_tied(first, end, relevant, gain / static_cast<double>(end - first), cut, dcg);
        found_ += relevant;
        close(end);
        first = end;
    }
    close(std::numeric_limits<std::size_t>::max());
}

OPSPILOT_INLINE void ranking_judge::normalise() {
    const auto relevant = static_cast<double>(gains_.size());
    last_.map /= relevant;
    last_.scored = static_cast<double>(scored_) / relevant;
    double ideal = 0;
    std::size_t rank = 0;
    for (ranking_at& at : last_.at) {
        for (; rank < at.k && rank < gains_.size(); ++rank) ideal += gains_[rank] * discounts_[rank];
        at.recall /= relevant;
        at.ndcg = std::min(1.0, at.ndcg / ideal);  // means of ties may round to one bit above it
    }
}

OPSPILOT_INLINE status ranking_judge::add(std::span<const double> score, std::span<const double> relevance,
                                          std::size_t first_row) {
    if (score.size() != relevance.size())
        return error{error_kind::usage, "usage.length",
                     fmt::format("{} scores but {} relevances", score.size(), relevance.size()), "relevance",
                     "give one relevance per score"};
    OPSPILOT_CHECK(read(score, relevance, first_row));
    counted_ = !gains_.empty();
    if (!counted_) {
        ++left_out_;
        return {};
    }
    sort_items();
    walk();
    normalise();
    ++tasks_;
    sum_.mrr += last_.mrr;
    sum_.map += last_.map;
    sum_.scored += last_.scored;
    for (std::size_t c = 0; c < sum_.at.size(); ++c) {
        sum_.at[c].hit += last_.at[c].hit;
        sum_.at[c].recall += last_.at[c].recall;
        sum_.at[c].ndcg += last_.at[c].ndcg;
    }
    return {};
}

OPSPILOT_INLINE ranking_summary ranking_judge::summary() const {
    const double count = tasks_ > 0 ? static_cast<double>(tasks_) : std::numeric_limits<double>::quiet_NaN();
    ranking_summary out;
    static_cast<ranking_values&>(out) = sum_;
    out.tasks = tasks_;
    out.left_out = left_out_;
    out.mrr /= count;
    out.map /= count;
    out.scored /= count;
    for (ranking_at& at : out.at) {
        at.hit /= count;
        at.recall /= count;
        at.ndcg /= count;
    }
    return out;
}

OPSPILOT_INLINE result<ranking_summary> ranking_metrics(std::span<const double> score, std::span<const double> relevance,
                                                        std::span<const std::int64_t> offsets, const ranking_options& options,
                                                        const std::function<void(std::size_t, const ranking_values*)>& each) {
    OPSPILOT_TRY(ranking_judge judge, ranking_judge::make(options));
    if (score.size() != relevance.size())
        return error{error_kind::usage, "usage.length",
                     fmt::format("{} scores but {} relevances", score.size(), relevance.size()), "relevance",
                     "give one relevance per score"};
    OPSPILOT_CHECK(detail::check_offsets(offsets, score.size()));
    for (std::size_t t = 0; t + 1 < offsets.size(); ++t) {
        const auto first = static_cast<std::size_t>(offsets[t]);
        const std::size_t count = static_cast<std::size_t>(offsets[t + 1]) - first;
        OPSPILOT_CHECK(judge.add(score.subspan(first, count), relevance.subspan(first, count), first));
        if (each) each(t, judge.last());
    }
    return judge.summary();
}

}  // namespace opspilot
