#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/detail/rank_cache.hpp"
#include "opspilot/calibrate/detail/score_order.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

namespace detail {

/// Items of equal score, with what stands above them.
struct tie_block {
    double score;
    std::uint64_t above, above_errors;  ///< items and errors with a higher score
    std::uint64_t size, errors;
    double above_doubt, doubt;  ///< sums of 1 - belief
};

/// 1 - belief, summed over the rows of one score. Beliefs are added from the largest down, so that equal sets give equal sums
/// whatever their order was.
inline double summed_doubt(std::span<const ordered_score> rows, std::span<const double> belief, std::vector<double>& scratch) {
    scratch.clear();
    for (const ordered_score& entry : rows) scratch.push_back(belief[entry.row]);
    if (!std::is_sorted(scratch.begin(), scratch.end(), std::greater<>{}))
        std::sort(scratch.begin(), scratch.end(), std::greater<>{});
    double doubt = 0;
    for (const double b : scratch) doubt += 1.0 - b;
    return doubt;
}

/// Blocks from the best score down. `belief` may be empty: no doubt.
inline std::vector<tie_block> tie_blocks(std::span<const double> score, std::span<const double> belief,
                                         std::span<const std::uint8_t> error) {
    const std::vector<ordered_score> order = order_scores(score);
    std::vector<tie_block> blocks;
    blocks.reserve(order.size());
    std::vector<double> scratch;
    std::uint64_t errors = 0;
    double doubt = 0;
    for (std::size_t end = order.size(); end > 0;) {
        std::size_t begin = end;
        std::uint64_t wrong = 0;
        for (; begin > 0 && order[begin - 1].key == order[end - 1].key; --begin) wrong += error[order[begin - 1].row];
        const std::span<const ordered_score> rows = std::span(order).subspan(begin, end - begin);
        tie_block block{score_of_order_key(rows.front().key), order.size() - end, errors, end - begin, wrong, doubt, 0};
        if (!belief.empty()) block.doubt = summed_doubt(rows, belief, scratch);
        errors += block.errors;
        doubt += block.doubt;
        blocks.push_back(block);
        end = begin;
    }
    return blocks;
}

/// Where to start: the c whose critical rank most probably passes if the true risk there is half again the believed one. The
/// smallest such c; the curve counts as flat within 1e-9.
inline std::uint64_t believed_start(std::span<const tie_block> blocks, std::uint64_t n, critical_ranks& ranks) {
    std::uint64_t best = 0;
    double best_chance = -1;
    std::size_t at = 0;
    for (std::uint64_t c = 0;; ++c) {
        const auto rank = ranks.rank(c, n - 1);
        if (!rank) return best;
        while (blocks[at].above + blocks[at].size < *rank) ++at;
        const tie_block& block = blocks[at];
        const double inside = static_cast<double>(*rank - block.above) / static_cast<double>(block.size);
        const double doubt = (block.above_doubt + inside * block.doubt) / static_cast<double>(*rank);
        const double risk = std::min(1.0, 1.5 * doubt);
        // Above the tolerated risk the chance is below delta; do not compute tails that cannot win.
        if (risk >= ranks.alpha() && best_chance >= ranks.delta()) continue;
        const double chance = binomial_cdf(c, *rank, risk);
        if (chance > best_chance + 1e-9) {
            best = c;
            best_chance = chance;
        }
        if (best_chance >= 1.0 - 1e-9) return best;
    }
}

/// How step c is tested where its rank ends inside a block: decided by the count above and the size of the block, not by labels
/// or scores. In small blocks few errors are expected, and counting them as if they came first costs less than going back to
/// the block's upper edge; in large ones it is the other way round. Twice the tolerated risk stands for the block's own.
inline threshold_test choose_test(const tie_block& line, std::uint64_t c, std::uint64_t rank, std::uint64_t first_rank,
                                  critical_ranks& ranks) {
    const std::uint64_t inside = rank - line.above;
    if (inside == 0) return threshold_test::exact;
    const auto given_up = static_cast<double>(static_cast<std::int64_t>(c) - ranks.allowed(line.above));
    const double expected = std::min(static_cast<double>(inside), 2.0 * ranks.alpha() * static_cast<double>(line.size));
    if (expected <= given_up) return threshold_test::worst_order;
    return line.above >= first_rank ? threshold_test::whole_blocks : threshold_test::skipped;
}

inline threshold_step take_step(const tie_block& line, std::uint64_t c, std::uint64_t rank, std::uint64_t first_rank,
                                critical_ranks& ranks) {
    threshold_step step;
    step.allowed = c;
    step.rank = rank;
    step.value = line.score;
    step.test = choose_test(line, c, rank, first_rank, ranks);
    step.tested = rank;
    step.tolerated = c;
    step.errors = line.above_errors;
    if (step.test == threshold_test::worst_order) step.errors += std::min(line.errors, rank - line.above);
    if (step.test == threshold_test::whole_blocks || step.test == threshold_test::skipped) {
        step.tested = line.above;
        step.tolerated = static_cast<std::uint64_t>(std::max<std::int64_t>(ranks.allowed(line.above), 0));
    }
    step.passed = step.test != threshold_test::skipped && step.errors <= step.tolerated;
    return step;
}

/// One certificate. `belief` may be empty.
inline certified_threshold certify(std::span<const double> score, std::span<const double> belief,
                                   std::span<const std::uint8_t> error, const threshold_options& options, double delta) {
    certified_threshold out;
    out.n = score.size();
    out.max_risk = options.max_risk;
    out.confidence = 1.0 - delta;
    out.delta = delta;
    out.needed = zero_error_minimum(options.max_risk, delta);
    out.reason = "too_few";
    if (score.empty()) return out;
    lent_ranks lent(options.max_risk, delta);
    critical_ranks& ranks = lent.ranks();
    const std::vector<tie_block> blocks = tie_blocks(score, belief, error);

    if (options.start_errors)
        out.start_errors = *options.start_errors;
    else if (!belief.empty())
        out.start_errors = believed_start(blocks, out.n, ranks);
    const auto first_rank = ranks.rank(out.start_errors, out.n - 1);
    if (!first_rank) return out;
    out.reason = "start_failed";

    std::size_t at = 0;
    std::optional<std::size_t> reached;  // block whose score is the last threshold that passed
    for (std::uint64_t c = out.start_errors;; ++c) {
        const auto rank = ranks.rank(c, out.n - 1);
        if (!rank) break;
        while (blocks[at].above + blocks[at].size <= *rank) ++at;  // the block of the item at rank + 1
        const threshold_step step = take_step(blocks[at], c, *rank, *first_rank, ranks);
        // Several ranks inside one large block lead to one and the same test.
        if (out.steps.empty() || step.value != out.steps.back().value || step.tested != out.steps.back().tested)
            out.steps.push_back(step);
        if (step.test == threshold_test::skipped) continue;
        if (!step.passed) break;
        reached = at;
    }
    if (!reached) {
        if (out.steps.back().test == threshold_test::skipped) out.reason = "ties";
        return out;
    }
    out.reason = "ties";
    for (std::size_t i = *reached + 1; i-- > 0;) {
        const tie_block& line = blocks[i];
        if (static_cast<std::int64_t>(line.above_errors) > ranks.allowed(line.above)) continue;
        out.value = line.score;
        out.sufficient = true;
        out.reason = "";
        out.automated = line.above;
        out.errors = line.above_errors;
        out.coverage = static_cast<double>(line.above) / static_cast<double>(out.n);
        out.risk_upper = binomial_upper(line.above_errors, line.above, delta);
        break;
    }
    return out;
}

inline status check_threshold_options(std::size_t n, const threshold_options& options) {
    OPSPILOT_CHECK(check_open_unit(options.max_risk, "max_risk"));
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    if (!options.start_probability.empty()) {
        OPSPILOT_CHECK(calibration_same_length(n, options.start_probability.size(), "start probabilities"));
        for (std::size_t i = 0; i < n; ++i)
            if (!(options.start_probability[i] >= 0.0 && options.start_probability[i] <= 1.0))
                return calibration_error_at("calibration.bad_probability",
                                            fmt::format("start probability {} is not in [0, 1]", options.start_probability[i]),
                                            fmt::format("row {}", i), "give the believed probability that the item is right");
    }
    if (!options.groups.empty()) {
        OPSPILOT_CHECK(calibration_same_length(n, options.groups.size(), "groups"));
        for (std::size_t i = 0; i < n; ++i)
            if (options.groups[i] >= options.group_count)
                return calibration_error_at("calibration.bad_group",
                                            fmt::format("group {} of {}", options.groups[i], options.group_count),
                                            fmt::format("row {}", i), "number the groups from 0 and state how many there are");
        if (options.group_count > n)
            return calibration_error_at("calibration.bad_group", fmt::format("{} groups for {} items", options.group_count, n),
                                        "", "leave out groups without items: each one shares the failure probability");
    }
    return {};
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(threshold_test test) noexcept {
    switch (test) {
        case threshold_test::exact: return "exact";
        case threshold_test::worst_order: return "worst_order";
        case threshold_test::whole_blocks: return "whole_blocks";
        case threshold_test::skipped: return "skipped";
    }
    return "exact";
}

OPSPILOT_INLINE result<automation_certificates> automation_threshold(std::span<const double> score,
                                                                     std::span<const std::uint8_t> error,
                                                                     const threshold_options& options) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_CHECK(detail::check_threshold_options(score.size(), options));
    const double delta = 1.0 - options.confidence;
    const std::span<const double> belief = options.start_probability;
    automation_certificates out;
    if (!options.groups.empty()) {
        struct members {
            std::vector<double> score, belief;
            std::vector<std::uint8_t> error;
        };
        std::vector<members> groups(options.group_count);
        for (std::size_t i = 0; i < score.size(); ++i) {
            members& group = groups[options.groups[i]];
            group.score.push_back(score[i]);
            group.error.push_back(error[i]);
            if (!belief.empty()) group.belief.push_back(belief[i]);
        }
        for (const members& group : groups)
            out.groups.push_back(detail::certify(group.score, group.belief, group.error, options,
                                                 delta / static_cast<double>(options.group_count)));
    }
    static_cast<certified_threshold&>(out) = detail::certify(score, belief, error, options, delta);
    return out;
}

OPSPILOT_INLINE std::string statement(const certified_threshold& t) {
    const std::string claim =
        fmt::format("a risk of at most {:.4g} % with confidence {:.6g} %", 100 * t.max_risk, 100 * t.confidence);
    if (t.sufficient)
        return fmt::format("Certified above {:.6g}: {}, {} errors among {} of {} items, upper bound {:.4g} %.", *t.value, claim,
                           t.errors, t.automated, t.n, 100 * t.risk_upper);
    if (t.n < t.needed + 1)
        return fmt::format("Insufficient: {} items without an error and one below them needed for {}, {} given.", t.needed, claim,
                           t.n);
    if (t.reason == "ties")
        return fmt::format("Insufficient: too few distinct scores; no line has {} items above it that prove {}.", t.needed,
                           claim);
    if (t.steps.empty())
        return fmt::format("Insufficient: the start at {} tolerated errors needs more than the {} items given.", t.start_errors,
                           t.n);
    return fmt::format("Insufficient: {} errors among the best {} items, at most {} prove {}.", t.steps.back().errors,
                       t.steps.back().tested, t.steps.back().tolerated, claim);
}

OPSPILOT_INLINE result<naive_threshold_result> naive_threshold(std::span<const double> score, std::span<const std::uint8_t> error,
                                                               double max_risk) {
    OPSPILOT_CHECK(check_labelled(score, error));
    OPSPILOT_CHECK(check_open_unit(max_risk, "max_risk"));
    const std::vector<detail::tie_block> blocks = detail::tie_blocks(score, {}, error);
    naive_threshold_result out;
    out.n = score.size();
    for (std::size_t i = blocks.size(); i-- > 0;) {
        const std::uint64_t count = blocks[i].above + blocks[i].size;
        const std::uint64_t errors = blocks[i].above_errors + blocks[i].errors;
        const double risk = static_cast<double>(errors) / static_cast<double>(count);
        const double below = i + 1 < blocks.size() ? blocks[i + 1].score
                                                   : std::nextafter(blocks[i].score, -std::numeric_limits<double>::infinity());
        if (risk > max_risk || !std::isfinite(below)) continue;
        out.value = below;
        out.coverage = static_cast<double>(count) / static_cast<double>(out.n);
        out.risk = risk;
        out.automated = count;
        out.errors = errors;
        break;
    }
    return out;
}

OPSPILOT_INLINE result<certified_recall> recall_floor(std::span<const double> score, std::span<const std::uint8_t> label,
                                                      double min_recall, double confidence) {
    OPSPILOT_CHECK(check_labelled(score, label));
    OPSPILOT_CHECK(check_open_unit(min_recall, "min_recall"));
    OPSPILOT_CHECK(check_open_unit(confidence, "confidence"));
    std::vector<double> positive;
    for (std::size_t i = 0; i < score.size(); ++i)
        if (label[i] != 0) positive.push_back(score[i] + 0.0);
    std::sort(positive.begin(), positive.end());

    critical_ranks ranks(1.0 - min_recall, 1.0 - confidence);
    certified_recall out;
    out.n = score.size();
    out.positives = positive.size();
    out.min_recall = min_recall;
    out.confidence = confidence;
    out.needed = zero_error_minimum(1.0 - min_recall, 1.0 - confidence);
    const std::int64_t misses = ranks.allowed(positive.size());
    if (misses < 0) return out;
    // `misses` positives may lie below the value, so the value is the next one.
    out.sufficient = true;
    out.misses_allowed = static_cast<std::uint64_t>(misses);
    out.value = positive[out.misses_allowed];
    out.misses = static_cast<std::uint64_t>(std::lower_bound(positive.begin(), positive.end(), *out.value) - positive.begin());
    const auto flagged = std::count_if(score.begin(), score.end(), [&](double s) { return s >= *out.value; });
    out.flagged = static_cast<double>(flagged) / static_cast<double>(out.n);
    return out;
}

OPSPILOT_INLINE std::string statement(const certified_recall& r) {
    if (!r.sufficient) return fmt::format("Insufficient: {} positives needed, {} given.", r.needed, r.positives);
    return fmt::format(
        "Certified from {:.6g} on: a recall of at least {:.4g} % with confidence {:.6g} %; {} of {} positives lie "
        "below, {} may.",
        *r.value, 100 * r.min_recall, 100 * r.confidence, r.misses, r.positives, r.misses_allowed);
}

}  // namespace opspilot
