#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 1> tree_engine_names{"scalar"};

/// Rows walk in groups, so that the loads of one row hide behind those of the others.
inline constexpr std::size_t tree_group = 8;
/// Rows per block: the block's part of every column stays in the first-level cache while all trees pass over it.
inline constexpr std::size_t tree_block = 64;

enum tree_rule : std::uint32_t { rule_nan_left = 1, rule_zero = 2, rule_zero_left = 4, rule_categorical = 8, rule_bits = 4 };

/// The largest float that is not above t: for a float v, v <= result exactly when v <= t.
inline float float_not_above(double t) noexcept {
    constexpr double largest = std::numeric_limits<float>::max();
    if (t >= largest) return std::isinf(t) ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::max();
    if (t < -largest) return -std::numeric_limits<float>::infinity();
    const auto f = static_cast<float>(t);
    return static_cast<double>(f) > t ? std::nextafter(f, -std::numeric_limits<float>::infinity()) : f;
}

/// The float threshold that decides every float like `t` decides values whose magnitudes up to `zero` were set to 0.
inline float folded_threshold(double t, double zero) noexcept {
    if (!(zero >= 0) || t < -zero || t >= zero) return float_not_above(t);
    if (t >= 0) return float_not_above(zero);
    const float low = float_not_above(-zero);
    return static_cast<double>(low) < -zero ? low : std::nextafter(low, -std::numeric_limits<float>::infinity());
}

}  // namespace detail

OPSPILOT_INLINE std::span<const std::string_view> tree_engines() noexcept { return detail::tree_engine_names; }

OPSPILOT_INLINE result<tree_scorer> tree_scorer::compile(const tree_ensemble& ensemble, std::string_view engine) {
    const auto names = tree_engines();
    if (engine.empty()) engine = names.front();
    const auto found = std::find(names.begin(), names.end(), engine);
    if (found == names.end())
        return error{error_kind::usage,
                     "usage.unknown_engine",
                     fmt::format("this machine has no tree engine '{}'", engine),
                     {},
                     fmt::format("one of: {}", fmt::join(names, ", "))};
    tree_scorer out;
    out.engine_ = *found;
    out.features_ = ensemble.features();
    out.outputs_ = ensemble.outputs();
    out.divisor_ = ensemble.divisor();
    out.zero_threshold_ =
        ensemble.arithmetic().zero_threshold >= 0 ? detail::float_not_above(ensemble.arithmetic().zero_threshold) : 0.0F;
    for (std::uint32_t set = 0; set < ensemble.category_sets(); ++set) {
        const auto words = ensemble.categories(set);
        out.words_.insert(out.words_.end(), words.begin(), words.end());
        out.first_word_.push_back(static_cast<std::uint32_t>(out.words_.size()));
    }
    for (std::size_t t = 0; t < ensemble.trees(); ++t) {
        const tree_view tree = ensemble.tree(t);
        const auto base = static_cast<std::uint32_t>(out.nodes_.size());
        const auto splits = static_cast<std::uint32_t>(tree.splits.size());
        const auto place = [&](std::int32_t child) {
            return base + (child >= 0 ? static_cast<std::uint32_t>(child) : splits + static_cast<std::uint32_t>(~child));
        };
        for (const tree_split& s : tree.splits) {
            node n;
            std::uint32_t rule = 0;
            if (s.categorical) {
                rule = detail::rule_categorical;
                n.set = s.categories;
            } else {
                const float threshold = detail::folded_threshold(s.threshold, ensemble.arithmetic().zero_threshold);
                n.threshold = threshold;
                // What NaN does is known here: the default side, or that of 0.
                if (s.missing == missing_rule::none ? 0.0 <= s.threshold : s.default_left) rule |= detail::rule_nan_left;
                if (s.missing == missing_rule::zero) rule |= detail::rule_zero | (s.default_left ? detail::rule_zero_left : 0U);
            }
            n.feature_and_rule = s.feature << detail::rule_bits | rule;
            n.next[0] = place(s.right);
            n.next[1] = place(s.left);
            out.nodes_.push_back(n);
            out.values_.push_back(0.0);
        }
        for (const double value : tree.leaves) {
            node n;
            n.next[0] = n.next[1] = static_cast<std::uint32_t>(out.nodes_.size());
            out.nodes_.push_back(n);
            out.values_.push_back(value);
        }
        out.first_node_.push_back(base);
        out.outputs_of_.push_back(tree.output);
        out.depths_.push_back(tree.depth);
    }
    return out;
}

OPSPILOT_INLINE status tree_scorer::score(std::span<const float* const> columns, std::size_t rows, std::span<double> out) const {
    if (columns.size() != features_) return detail::length_error("columns", columns.size(), features_);
    if (out.size() != rows * outputs_) return detail::length_error("out", out.size(), rows * outputs_);
    std::fill(out.begin(), out.end(), 0.0);
    const node* const nodes = nodes_.data();
    const float* const* const column = columns.data();

    const auto step = [&](std::uint32_t at, std::size_t row) noexcept {
        const node& n = nodes[at];
        const float value = column[n.feature_and_rule >> detail::rule_bits][row];
        const std::uint32_t rule = n.feature_and_rule;
        if ((rule & (detail::rule_zero | detail::rule_categorical)) == 0) {
            const bool left = (value <= n.threshold) | ((value != value) & ((rule & detail::rule_nan_left) != 0));
            return n.next[left];
        }
        if ((rule & detail::rule_categorical) != 0) {
            const std::uint32_t begin = first_word_[n.set];
            return n.next[detail::in_category_set({words_.data() + begin, first_word_[n.set + 1] - begin},
                                                  static_cast<double>(value), true)];
        }
        if (value != value) return n.next[(rule & detail::rule_nan_left) != 0];
        if (std::fabs(value) <= zero_threshold_) return n.next[(rule & detail::rule_zero_left) != 0];
        return n.next[value <= n.threshold];
    };

    for (std::size_t begin = 0; begin < rows; begin += detail::tree_block) {
        const std::size_t end = std::min(rows, begin + detail::tree_block);
        for (std::size_t t = 0; t < outputs_of_.size(); ++t) {
            const std::uint32_t root = first_node_[t];
            const std::uint32_t depth = depths_[t];
            double* const sums = out.data() + outputs_of_[t];
            std::size_t row = begin;
            for (; row + detail::tree_group <= end; row += detail::tree_group) {
                std::uint32_t at[detail::tree_group];
                for (std::uint32_t& a : at) a = root;
                for (std::uint32_t d = 0; d < depth; ++d) {
                    std::uint32_t moved = 0;
                    for (std::size_t r = 0; r < detail::tree_group; ++r) {
                        const std::uint32_t next = step(at[r], row + r);
                        moved |= next ^ at[r];
                        at[r] = next;
                    }
                    if (moved == 0) break;  // all rows stand on leaves
                }
                for (std::size_t r = 0; r < detail::tree_group; ++r) sums[(row + r) * outputs_] += values_[at[r]];
            }
            for (; row < end; ++row) {
                std::uint32_t at = root;
                for (std::uint32_t d = 0; d < depth; ++d) {
                    const std::uint32_t next = step(at, row);
                    if (next == at) break;
                    at = next;
                }
                sums[row * outputs_] += values_[at];
            }
        }
    }
    if (divisor_ != 1)
        for (double& sum : out) sum /= divisor_;
    return {};
}

}  // namespace opspilot
