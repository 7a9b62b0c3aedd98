// Walking: trees that are too large for programs, and calls with so few rows that ranks do not pay.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "opspilot/rank/detail/tree_program.hpp"
#include "opspilot/rank/detail/tree_walk.hpp"

namespace opspilot::detail {

/// Walks that go on side by side, so that the loads of one hide behind those of the others.
inline constexpr std::size_t walk_group = 8;

/// From a split to what follows it, for a value as the model reads it (T is float or double).
template <class T>
inline std::int32_t walk_step(const tree_program& p, const walk_node& n, const T* row) noexcept {
    const T value = row[n.feature_and_rule >> walk_bits];
    const std::uint32_t rule = n.feature_and_rule & ((1U << walk_bits) - 1U);
    bool left = false;
    if ((rule & walk_categorical) != 0) {
        left = std::isnan(value)
                   ? (rule & walk_nan_left) != 0
                   : in_category_set(p.ranks.set(n.threshold), static_cast<double>(value), p.ranks.fractions_are_zero);
        return n.next[left ? 1 : 0];
    }
    if constexpr (std::is_same_v<T, float>)
        left = value <= p.ranks.floats[n.threshold];
    else
        left = value <= p.ranks.doubles[n.threshold];
    if (rule != 0) {
        if (std::isnan(value))
            left = (rule & walk_nan_left) != 0;
        else if ((rule & walk_zero) != 0 && std::fabs(static_cast<double>(value)) <= std::max(p.ranks.zero_threshold, 0.0))
            left = (rule & walk_zero_left) != 0;
    }
    return n.next[left ? 1 : 0];
}

/// A leaf's values; a tree's values stand one output after the other.
template <class Sum>
inline void walk_add(const tree_program& p, std::size_t t, std::int32_t at, Sum* sums, std::size_t stride) noexcept {
    const program_tree& tree = p.trees[t];
    const std::size_t leaves = (t + 1 < p.trees.size() ? p.trees[t + 1].first_node : p.nodes.size()) - tree.first_node + 1;
    const Sum* values = nullptr;
    if constexpr (std::is_same_v<Sum, float>)
        values = p.values.floats.data() + tree.first_value;
    else
        values = p.values.doubles.data() + tree.first_value;
    values += static_cast<std::size_t>(~at);
    for (std::size_t k = 0; k < tree.width; ++k) sums[(tree.output + k) * stride] += values[k * leaves];
}

/// One tree over rows that stand `width` apart; the sums of an output stand `stride` apart, those of a row's neighbour 1.
template <class T, class Sum>
void walk_tree(const tree_program& p, std::size_t t, const T* rows, std::size_t width, std::size_t count, Sum* sums,
               std::size_t stride) noexcept {
    const walk_node* const nodes = p.nodes.data() + p.trees[t].first_node;
    const std::int32_t root = p.depths[t] > 0 ? 0 : ~0;
    for (std::size_t first = 0; first < count; first += walk_group) {
        const std::size_t group = std::min(walk_group, count - first);
        std::int32_t at[walk_group];
        for (std::int32_t& a : at) a = root;
        if (group == walk_group)
            for (std::int32_t any = root; any >= 0;) {
                any = -1;
                for (std::size_t g = 0; g < walk_group; ++g) {
                    if (at[g] >= 0) at[g] = walk_step(p, nodes[at[g]], rows + (first + g) * width);
                    any &= at[g];
                }
            }
        for (std::size_t g = 0; g < group; ++g) {
            while (at[g] >= 0) at[g] = walk_step(p, nodes[at[g]], rows + (first + g) * width);
            walk_add(p, t, at[g], sums + first + g, stride);
        }
    }
}

/// All trees over one row.
template <class T, class Sum>
void walk_row(const tree_program& p, const T* row, Sum* sums, std::size_t stride) noexcept {
    const std::size_t trees = p.trees.size();
    for (std::size_t first = 0; first < trees; first += walk_group) {
        const std::size_t group = std::min(walk_group, trees - first);
        const walk_node* nodes[walk_group];
        std::int32_t at[walk_group];
        std::int32_t any = -1;
        for (std::size_t g = 0; g < group; ++g) {
            nodes[g] = p.nodes.data() + p.trees[first + g].first_node;
            at[g] = p.depths[first + g] > 0 ? 0 : ~0;
            any &= at[g];
        }
        if (group == walk_group)
            while (any >= 0) {
                any = -1;
                for (std::size_t g = 0; g < walk_group; ++g) {
                    if (at[g] >= 0) at[g] = walk_step(p, nodes[g][at[g]], row);
                    any &= at[g];
                }
            }
        for (std::size_t g = 0; g < group; ++g) {
            while (at[g] >= 0) at[g] = walk_step(p, nodes[g][at[g]], row);
            walk_add(p, first + g, at[g], sums, stride);
        }
    }
}

}  // namespace opspilot::detail
