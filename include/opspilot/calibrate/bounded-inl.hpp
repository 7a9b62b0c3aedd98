#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "opspilot/calibrate/bounded.hpp"
#include "opspilot/calibrate/detail/betting.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/random.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

namespace detail {

inline status check_losses(std::span<const double> loss, std::string_view code, std::string_view what) {
    for (std::size_t i = 0; i < loss.size(); ++i)
        if (!(loss[i] >= 0.0 && loss[i] <= 1.0))
            return calibration_error_at(code, fmt::format("{} {} is not in [0, 1]", what, loss[i]), fmt::format("row {}", i),
                                        "divide losses by the largest that can occur, seen or not");
    return {};
}

/// Losses in the order in which they are bet on.
inline std::vector<double> betting_order(std::span<const double> loss, std::uint64_t seed) {
    std::vector<double> sorted(loss.begin(), loss.end());
    std::sort(sorted.begin(), sorted.end());
    seeded_random random(seed);
    for (std::size_t i = sorted.size(); i > 1; --i) std::swap(sorted[i - 1], sorted[random.below(i)]);
    return sorted;
}

inline double best_log_wealth(std::span<const double> ordered, double mean, double level) noexcept {
    betting_wealth wealth(mean, ordered.size(), level);
    for (const double x : ordered) wealth.bet(x);
    return wealth.best();
}

/// Wealth grows with the mean that is bet against, so the smallest refuted one is found by bisection, rounded up.
inline double smallest_refuted_mean(std::span<const double> ordered, double level) noexcept {
    if (ordered.empty() || best_log_wealth(ordered, 1.0, level) < level) return 1.0;
    double low = 0, high = 1;
    for (int i = 0; i < 52; ++i) {
        const double middle = 0.5 * (low + high);
        (best_log_wealth(ordered, middle, level) >= level ? high : low) = middle;
    }
    return high;
}

inline status check_betting(std::span<const double> loss, const betting_options& options) {
    if (loss.empty()) return calibration_error_at("calibration.empty", "no losses");
    OPSPILOT_CHECK(calibration_finite(loss, "loss"));
    OPSPILOT_CHECK(check_losses(loss, "calibration.bad_loss", "loss"));
    return check_open_unit(options.confidence, "confidence");
}

/// Items best first with their losses, and for each block of equal scores where it begins.
struct graded_items {
    std::vector<double> score, loss, belief;
    std::vector<std::size_t> block;  // first item of the block that item i is in
};

inline graded_items sort_graded(std::span<const double> score, std::span<const double> loss, std::span<const double> belief) {
    const std::size_t n = score.size();
    const auto believed = [&](std::size_t i) { return belief.empty() ? 0.0 : belief[i]; };
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t x, std::uint32_t y) {
        if (score[x] != score[y]) return score[x] > score[y];
        if (loss[x] != loss[y]) return loss[x] < loss[y];
        return believed(x) < believed(y);
    });
    graded_items out;
    for (std::size_t i = 0; i < n; ++i) {
        out.score.push_back(score[order[i]] + 0.0);
        out.loss.push_back(loss[order[i]]);
        out.belief.push_back(believed(order[i]));
        out.block.push_back(i > 0 && out.score[i] == out.score[i - 1] ? out.block[i - 1] : i);
    }
    return out;
}

/// The rank whose bets are believed to win most if the true mean is half again the believed one: the growth of the log wealth to
/// second order, at the bet that n items with the variance of 0/1 losses would be given.
inline std::size_t graded_start(const graded_items& items, std::size_t smallest, double max_loss, double level) {
    std::size_t best = smallest;
    double best_growth = 0, sum = 0;
    for (std::size_t i = 0; i < items.belief.size(); ++i) {
        sum += items.belief[i];
        const std::size_t rank = i + 1;
        if (rank < smallest) continue;
        const auto count = static_cast<double>(rank);
        const double mean = std::min(1.0, 1.5 * sum / count);
        const double variance = std::max(mean * (1.0 - mean), 0.25 / count);
        const double nu = std::min(1.0, std::sqrt(2.0 * level / (count * variance)));
        const double edge = max_loss - mean;
        const double growth = count * (nu * edge - 0.5 * nu * nu * (variance + edge * edge));
        if (growth > best_growth * (1 + 1e-9)) {
            best = rank;
            best_growth = growth;
        }
        if (best_growth >= 2.0 * level) break;  // sure enough: further down only costs automation
    }
    return best;
}

}  // namespace detail

OPSPILOT_INLINE result<double> betting_p_value(std::span<const double> loss, double mean, const betting_options& options) {
    OPSPILOT_CHECK(detail::check_betting(loss, options));
    OPSPILOT_CHECK(check_open_unit(mean, "mean"));
    const double level = -std::log(1.0 - options.confidence);
    return std::exp(-detail::best_log_wealth(detail::betting_order(loss, options.seed), mean, level));
}

OPSPILOT_INLINE result<double> betting_upper(std::span<const double> loss, const betting_options& options) {
    OPSPILOT_CHECK(detail::check_betting(loss, options));
    return detail::smallest_refuted_mean(detail::betting_order(loss, options.seed), -std::log(1.0 - options.confidence));
}

OPSPILOT_INLINE result<graded_threshold_result> graded_threshold(std::span<const double> score, std::span<const double> loss,
                                                                 const graded_options& options) {
    OPSPILOT_CHECK(detail::calibration_same_length(score.size(), loss.size(), "losses"));
    OPSPILOT_CHECK(detail::check_betting(loss, {.confidence = options.confidence, .seed = options.seed}));
    OPSPILOT_CHECK(detail::calibration_finite(score, "score"));
    OPSPILOT_CHECK(check_open_unit(options.max_loss, "max_risk"));
    if (!options.start_loss.empty()) {
        OPSPILOT_CHECK(detail::calibration_same_length(score.size(), options.start_loss.size(), "believed losses"));
        OPSPILOT_CHECK(detail::check_losses(options.start_loss, "calibration.bad_probability", "believed loss"));
    }
    const double level = -std::log(1.0 - options.confidence);
    const detail::graded_items items = detail::sort_graded(score, loss, options.start_loss);
    graded_threshold_result out;
    out.n = score.size();
    out.max_loss = options.max_loss;
    out.confidence = options.confidence;
    out.needed = detail::betting_minimum(options.max_loss, level);
    out.reason = "too_few";
    if (out.needed >= out.n) return out;  // the line needs one item below the tested ones
    std::size_t rank = static_cast<std::size_t>(out.needed);
    if (!options.start_loss.empty()) rank = detail::graded_start(items, rank, options.max_loss, level);
    rank = std::min<std::size_t>(rank, out.n - 1);
    const std::size_t first = rank;

    // One random order of all items; the items above a line are bet on in it, whatever the line.
    detail::seeded_random random(options.seed);
    const std::vector<std::uint32_t> order = detail::random_order(out.n, random);
    out.reason = "ties";
    std::size_t last = 0;
    std::vector<double> ordered, proved;
    for (;; rank = std::min<std::size_t>(out.n - 1, rank + 1 + rank / 30)) {
        const std::size_t above = items.block[rank];
        if (above >= first && above != last) {
            ordered.clear();
            for (const std::uint32_t i : order)
                if (i < above) ordered.push_back(items.loss[i]);
            graded_step step{.value = items.score[rank], .tested = above};
            step.mean = std::accumulate(items.loss.begin(), items.loss.begin() + static_cast<std::ptrdiff_t>(above), 0.0) /
                        static_cast<double>(above);
            const double wealth = detail::best_log_wealth(ordered, options.max_loss, level);
            step.p_value = std::exp(-wealth);
            step.passed = wealth >= level;
            out.steps.push_back(step);
            if (!step.passed) {
                if (!out.sufficient) out.reason = "start_failed";
                break;
            }
            last = above;
            out.value = step.value;
            out.sufficient = true;
            out.reason = "";
            out.automated = above;
            out.mean = step.mean;
            out.coverage = static_cast<double>(above) / static_cast<double>(out.n);
            proved.swap(ordered);
        }
        if (rank + 1 >= out.n) break;
    }
    if (out.sufficient) out.upper = std::min(options.max_loss, detail::smallest_refuted_mean(proved, level));
    return out;
}

}  // namespace opspilot
