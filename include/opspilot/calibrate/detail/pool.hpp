/// \file
/// Internal: pool adjacent violators, the one isotonic regression that everything here is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/calibrate/detail/score_order.hpp"

namespace opspilot::detail {

/// A run of blocks, `first` to `last`, that an isotonic fit gives one value: sum / weight.
template <class Number>
struct pooled_run {
    std::size_t first;
    std::size_t last;
    Number weight;
    Number sum;
    [[nodiscard]] double mean() const noexcept { return static_cast<double>(sum) / static_cast<double>(weight); }
};

/// The isotonic (nondecreasing) least squares fit to blocks in ascending order: runs of strictly increasing means, compared by
/// cross-multiplication, so that counts stay exact. Blocks without weight go with the run before them (the first ones: after).
/// Counts below 2^31 cannot overflow. Source: Barlow et al. 1972.
template <class Number, class Blocks>
std::vector<pooled_run<Number>> pool_adjacent(const Blocks& blocks) {
    std::vector<pooled_run<Number>> runs;
    std::size_t waiting = 0;  // the first block that no run holds yet
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (!(blocks[i].weight > Number{0})) {
            if (runs.empty()) continue;
            runs.back().last = i;
            waiting = i + 1;
            continue;
        }
        pooled_run<Number> run{waiting, i, blocks[i].weight, blocks[i].sum};
        waiting = i + 1;
        while (!runs.empty() && runs.back().sum * run.weight >= run.sum * runs.back().weight) {
            run.first = runs.back().first;
            run.weight += runs.back().weight;
            run.sum += runs.back().sum;
            runs.pop_back();
        }
        runs.push_back(run);
    }
    return runs;
}

}  // namespace opspilot::detail
