// Running programs over blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_blocks.hpp"

namespace opspilot::detail {

/// A program as it runs: the ensemble's own, or what folding left of it.
struct program_view {
    const tree_op* ops = nullptr;
    const double* doubles = nullptr;
    const float* floats = nullptr;
    std::span<const program_tree> trees;
};

inline program_view view_of(const tree_program& p) noexcept {
    return {p.ops.data(), p.values.doubles.data(), p.values.floats.data(), p.trees};
}
inline program_view view_of(const tree_program&, const folded_program& f) noexcept {
    return {f.ops.data(), f.doubles.data(), f.floats.data(), f.trees};
}

/// One tree over the block's columns; the row of leaf numbers (or coarse values).
template <bool Coarse>
const std::uint8_t* run_tree(const program_view& p, const program_tree& tree, const tree_kernel& kernel, tree_block& block,
                             std::size_t lanes) noexcept {
    const tree_op* const ops = p.ops + tree.first_op;
    if (tree.ops == 0) return block.slots;
    std::uint8_t* const root = block.slots + tree_lanes;
    if (tree.by_levels)
        kernel.levels(ops, tree.ops, block.columns.data(), root, lanes);
    else if constexpr (Coarse)
        kernel.coarse_splits(ops, tree.ops, block.columns.data(), block.slots, lanes);
    else
        kernel.splits(ops, tree.ops, block.columns.data(), block.slots, lanes);
    return root;
}

/// Sums of one type, from `start` on.
template <class Sum>
Sum* block_sums(tree_block& block, std::span<const double> start) {
    std::vector<Sum>* sums = nullptr;
    if constexpr (std::is_same_v<Sum, float>)
        sums = &block.float_sums;
    else
        sums = &block.sums;
    if (sums->size() < start.size() * tree_lanes) sums->resize(start.size() * tree_lanes);
    for (std::size_t k = 0; k < start.size(); ++k)
        std::fill_n(sums->begin() + static_cast<std::ptrdiff_t>(k * tree_lanes), tree_lanes, static_cast<Sum>(start[k]));
    return sums->data();
}

inline void add_leaves(const program_view& p, const program_tree& tree, const tree_kernel& kernel, const std::uint8_t* index,
                       double* sums, std::size_t lanes) noexcept {
    for (std::size_t k = 0; k < tree.width; ++k)
        kernel.add_doubles(index, p.doubles + tree.first_value + k * tree.leaves, tree.leaves,
                           sums + (tree.output + k) * tree_lanes, lanes);
}
inline void add_leaves(const program_view& p, const program_tree& tree, const tree_kernel& kernel, const std::uint8_t* index,
                       float* sums, std::size_t lanes) noexcept {
    for (std::size_t k = 0; k < tree.width; ++k)
        kernel.add_floats(index, p.floats + tree.first_value + k * tree.leaves, tree.leaves,
                          sums + (tree.output + k) * tree_lanes, lanes);
}

}  // namespace opspilot::detail
