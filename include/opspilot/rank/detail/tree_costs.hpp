// Which way is cheapest for so many rows: walking, programs, or programs that were folded first. All ways give the same bits,
// so an estimate that is wrong by half costs time and nothing else. Units: cycles, as measured on x86 cores of 2020 to 2023.
#pragma once

#include <cstddef>

#include "opspilot/rank/detail/tree_kernel.hpp"
#include "opspilot/rank/detail/tree_program.hpp"

namespace opspilot::detail {

struct tree_costs {
    double walk_row = 0;     // walking one row
    double fold = 0;         // folding
    double rank_value = 8;   // a value's rank
    double op = 5;           // an operation, whatever the lanes
    double op_lane = 0;      // and for each lane
    double tree_lane = 1.2;  // looking up and adding a leaf
    std::size_t ops = 0, trees = 0, features = 0;

    tree_costs(const tree_program& p, const tree_kernel& kernel)
        : walk_row(7.0 * static_cast<double>(p.steps) + 20),
          fold(14.0 * static_cast<double>(p.ops.size()) +
               4.0 * static_cast<double>(p.values.doubles.size() + p.values.floats.size())),
          op_lane(1.5 / static_cast<double>(kernel.width)),
          ops(p.ops.size()),
          trees(p.trees.size()),
          features(p.ranks.features.size()) {}

    /// `rows` rows by programs of which `share` of the operations is left, with ranks for `ranked` features.
    [[nodiscard]] double program(std::size_t rows, double share, std::size_t ranked) const noexcept {
        const auto blocks = static_cast<double>((rows + tree_lanes - 1) / tree_lanes);
        const auto lanes = static_cast<double>((rows + 63) / 64 * 64);
        return static_cast<double>(ops) * share * (blocks * op + lanes * op_lane) +
               static_cast<double>(trees) * lanes * tree_lane + static_cast<double>(rows * ranked) * rank_value;
    }
    [[nodiscard]] double walk(std::size_t rows) const noexcept { return static_cast<double>(rows) * walk_row; }
    /// What folding leaves when `known` of the operations ask about the task: each takes a side of its tree with it.
    [[nodiscard]] double left_over(std::size_t known) const noexcept {
        const double share = 1.0 - 1.3 * static_cast<double>(known) / static_cast<double>(ops + 1);
        return share > 0.05 ? share : 0.05;
    }
};

}  // namespace opspilot::detail
