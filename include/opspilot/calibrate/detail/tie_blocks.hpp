/// \file
/// Internal: labelled scores best first, as blocks of equal scores that are counted as far down as somebody asks.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "opspilot/calibrate/detail/score_order.hpp"

namespace opspilot::detail {

/// The rows by descending score, equal scores in the order of their rows; keys are complements of `score_order_key`. Radix sort
/// by the first 33 bits in which scores differ, in three passes; what is equal so far is short, and is sorted by comparison.
inline std::vector<ordered_score> best_first(std::span<const double> score) {
    constexpr unsigned digits = 3, width = 11, window = digits * width;
    constexpr std::size_t values = std::size_t{1} << width;
    const std::size_t n = score.size();
    std::vector<ordered_score> from(n), to(n);
    std::uint64_t varying = 0;
    for (std::size_t i = 0; i < n; ++i) {
        from[i] = {~score_order_key(score[i]), static_cast<std::uint32_t>(i)};
        varying |= from[i].key ^ from[0].key;
    }
    const auto bits = static_cast<unsigned>(std::bit_width(varying));
    const unsigned shift = bits > window ? bits - window : 0;
    std::array<std::array<std::uint32_t, values>, digits> starts{};
    for (const ordered_score& entry : from)
        for (unsigned d = 0; d < digits; ++d) ++starts[d][(entry.key >> (shift + d * width)) & (values - 1)];
    for (unsigned d = 0; d < digits && d * width < bits; ++d) {
        std::exclusive_scan(starts[d].begin(), starts[d].end(), starts[d].begin(), std::uint32_t{0});
        for (const ordered_score& entry : from) to[starts[d][(entry.key >> (shift + d * width)) & (values - 1)]++] = entry;
        std::swap(from, to);
    }
    if (shift == 0) return from;
    for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
        for (end = begin + 1; end < n && (from[end].key >> shift) == (from[begin].key >> shift);) ++end;
        if (end - begin > 1)
            std::sort(
                from.begin() + static_cast<std::ptrdiff_t>(begin), from.begin() + static_cast<std::ptrdiff_t>(end),
                [](const ordered_score& x, const ordered_score& y) { return x.key != y.key ? x.key < y.key : x.row < y.row; });
    }
    return from;
}

/// Items of equal score, with what stands above them.
struct tie_block {
    double score;
    std::uint64_t above, above_errors;  ///< items and errors with a higher score
    std::uint64_t size, errors;
    double above_doubt, doubt;  ///< sums of 1 - belief
};

/// Blocks from the best score down. A walk that stops early leaves the rest uncounted.
class tie_blocks {
public:
    /// `belief` may be empty: no doubt. Borrows what it is given.
    tie_blocks(std::span<const double> score, std::span<const double> belief, std::span<const std::uint8_t> error)
        : order_(best_first(score)), belief_(belief), error_(error) {}

    /// Block i, 0 the best one. There are as many as distinct scores.
    const tie_block& operator[](std::size_t i) {
        while (blocks_.size() <= i) count_next();
        return blocks_[i];
    }
    /// Counts all; how many there are.
    std::size_t count_all() {
        while (counted_ < order_.size()) count_next();
        return blocks_.size();
    }

private:
    void count_next() {
        const std::size_t begin = counted_;
        std::uint64_t wrong = 0;
        for (; counted_ < order_.size() && order_[counted_].key == order_[begin].key; ++counted_)
            wrong += error_[order_[counted_].row];
        tie_block block{score_of_order_key(~order_[begin].key), begin, errors_, counted_ - begin, wrong, doubt_, 0};
        if (!belief_.empty()) block.doubt = summed_doubt(std::span(order_).subspan(begin, counted_ - begin));
        errors_ += wrong;
        doubt_ += block.doubt;
        blocks_.push_back(block);
    }

    /// Beliefs of one block are added from the largest down, so that equal sets give equal sums whatever their order was.
    double summed_doubt(std::span<const ordered_score> rows) {
        if (rows.size() == 1) return 1.0 - belief_[rows.front().row];
        scratch_.clear();
        for (const ordered_score& entry : rows) scratch_.push_back(belief_[entry.row]);
        if (!std::is_sorted(scratch_.begin(), scratch_.end(), std::greater<>{}))
            std::sort(scratch_.begin(), scratch_.end(), std::greater<>{});
        double doubt = 0;
        for (const double b : scratch_) doubt += 1.0 - b;
        return doubt;
    }

    std::vector<ordered_score> order_;
    std::span<const double> belief_;
    std::span<const std::uint8_t> error_;
    std::vector<tie_block> blocks_;
    std::vector<double> scratch_;
    std::size_t counted_ = 0;
    std::uint64_t errors_ = 0;
    double doubt_ = 0;
};

}  // namespace opspilot::detail
