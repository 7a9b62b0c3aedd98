/// \file
/// Internal: labelled scores best first, as blocks of equal scores that are counted as far down as somebody asks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "opspilot/calibrate/detail/score_order.hpp"

namespace opspilot::detail {

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
