// An ensemble laid out for scoring: small trees as programs of byte operations over ranks, others as nodes to walk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_kernel.hpp"
#include "opspilot/rank/detail/tree_ranks.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::detail {

/// Trees with more leaves are walked: a byte names at most so many leaves.
inline constexpr std::size_t program_leaves = 256;

/// Children of a split in its own tree: below 256 the number of its operation, else 256 + leaf. The root is the last operation.
/// The highest bit of `left` says that the right side is evaluated first.
inline constexpr std::uint16_t fold_child = 0x7FFF;
struct fold_node {
    std::uint16_t left = 0;
    std::uint16_t right = 0;
};

/// One tree of a program.
struct program_tree {
    std::uint32_t first_op = 0;
    std::uint32_t first_value = 0;  // leaves: `leaves` values for each output of the tree, one output after the other
    std::uint32_t output = 0;
    std::uint32_t first_node = 0;  // of a walked tree
    std::uint16_t ops = 0;         // splits, or levels
    std::uint16_t leaves = 0;      // 0: the tree is walked
    std::uint16_t width = 1;
    std::uint8_t first_coarse = 0;  // rounded value of the leftmost leaf
    bool by_levels = false;
};

/// A split to walk. A child >= 0 is a node of the same tree, a child < 0 is leaf ~child.
struct walk_node {
    std::uint32_t feature_and_rule = 0;  // rule in the low 4 bits
    std::int32_t next[2] = {0, 0};       // right, left
    std::uint32_t threshold = 0;         // where it stands in the tables' floats and doubles; categorical: the set
};

enum walk_rule : std::uint32_t { walk_nan_left = 1, walk_zero = 2, walk_zero_left = 4, walk_categorical = 8, walk_bits = 4 };

/// Leaves of all trees in the type of their sums.
struct program_values {
    std::vector<double> doubles;
    std::vector<float> floats;
};

struct tree_program {
    rank_tables ranks;
    std::vector<tree_op> ops;
    std::vector<fold_node> folds;       // one per operation of trees that are not by levels, at the operation's place
    std::vector<std::uint8_t> rounded;  // leaf values as bytes, at the place of the leaf's value; one output, else empty
    program_values values;
    std::vector<program_tree> trees;
    std::vector<walk_node> nodes;  // of every tree, for single rows; programs are not consulted then
    std::vector<std::uint32_t> depths;
    std::size_t steps = 0;    // sum of the depths
    bool has_walked = false;  // some tree is only in `nodes`
    bool ranked = true;       // false: ranks cannot hold the ensemble, every tree is walked
    // Coarse scores: score = offset + unit · (sum of bytes) within ± error.
    double unit = 0, error = 0;
    bool coarse = false;
    // From sums to scores, as the ensemble has it.
    std::vector<double> start_, bias_;
    std::uint32_t divisor_ = 1;
    double scale_ = 1;
    bool float_sums = false;

    [[nodiscard]] std::size_t outputs() const noexcept { return start_.size(); }
    [[nodiscard]] std::uint32_t divisor() const noexcept { return divisor_; }
    [[nodiscard]] double scale() const noexcept { return scale_; }
    [[nodiscard]] const std::vector<double>& bias() const noexcept { return bias_; }

    [[nodiscard]] std::size_t bytes() const noexcept {
        return ranks.bytes() + ops.size() * (sizeof(tree_op) + sizeof(fold_node)) + rounded.size() +
               values.doubles.size() * sizeof(double) + values.floats.size() * sizeof(float) +
               trees.size() * sizeof(program_tree) + nodes.size() * sizeof(walk_node) + depths.size() * sizeof(std::uint32_t);
    }
};

/// Lays out one ensemble. Every index it writes was made here.
class program_builder {
public:
    explicit program_builder(const tree_ensemble& e) : ensemble_(e), ranks_(e) {}

    [[nodiscard]] tree_program build() {
        std::vector<tree_split> ranked;
        for (std::size_t t = 0; t < ensemble_.trees(); ++t)
            if (const tree_view tree = ensemble_.tree(t); tree.leaves.size() / tree.width <= program_leaves)
                ranked.insert(ranked.end(), tree.splits.begin(), tree.splits.end());
        for (const tree_split& s : ranked) ranks_.add(s);
        out_.ranked = ranks_.finish(ranked);
        out_.start_.assign(ensemble_.start().begin(), ensemble_.start().end());
        out_.bias_.assign(ensemble_.bias().begin(), ensemble_.bias().end());
        out_.divisor_ = ensemble_.divisor();
        out_.scale_ = ensemble_.scale();
        out_.float_sums = ensemble_.arithmetic().float_sums;
        by_levels_ = all_by_levels();
        if (ensemble_.outputs() == 1 && !by_levels_ && out_.ranked) round_leaves();
        for (std::size_t t = 0; t < ensemble_.trees(); ++t) lay_out(ensemble_.tree(t));
        out_.coarse = out_.coarse && !out_.has_walked;  // walked trees have no coarse values
        out_.ranks = ranks_.take();
        if (!out_.ranked) {  // walking needs the category sets only
            out_.ranks.features.clear();
            out_.ranks.columns.clear();
        }
        return std::move(out_);
    }

private:
    void lay_out(const tree_view& tree) {
        program_tree p;
        const std::size_t leaves = tree.leaves.size() / tree.width;
        p.output = tree.output;
        p.width = static_cast<std::uint16_t>(tree.width);
        p.first_op = static_cast<std::uint32_t>(out_.ops.size());
        const bool floats = ensemble_.arithmetic().float_sums;
        p.first_value = static_cast<std::uint32_t>(floats ? out_.values.floats.size() : out_.values.doubles.size());
        for (std::size_t k = 0; k < tree.width; ++k)
            for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
                const double value = tree.leaves[leaf * tree.width + k];
                if (floats)
                    out_.values.floats.push_back(static_cast<float>(value));
                else
                    out_.values.doubles.push_back(value);
            }
        p.first_node = static_cast<std::uint32_t>(out_.nodes.size());
        const bool ranked = out_.ranked && leaves <= program_leaves;
        for (const tree_split& s : tree.splits) out_.nodes.push_back(walked(s, ranked));
        out_.depths.push_back(tree.depth);
        out_.steps += tree.depth;
        if (ranked) {
            p.leaves = static_cast<std::uint16_t>(leaves);
            p.by_levels = by_levels_ && !tree.splits.empty();
            p.by_levels ? levels(tree) : program(tree, p);
            p.ops = static_cast<std::uint16_t>(out_.ops.size() - p.first_op);
            if (!out_.rounded.empty()) p.first_coarse = out_.rounded[p.first_value];
        } else {
            out_.has_walked = true;
        }
        out_.trees.push_back(p);
    }

    [[nodiscard]] walk_node walked(const tree_split& s, bool ranked) {
        walk_node n;
        std::uint32_t rule = 0;
        n.next[0] = s.right;
        n.next[1] = s.left;
        if (s.categorical) {
            rule = walk_categorical | (s.default_left ? walk_nan_left : 0U);
            n.threshold = s.categories;
        } else {
            const double exact = folded_threshold(s.threshold, ensemble_.arithmetic().zero_threshold);
            n.threshold = ranked ? ranks_.threshold_place(s) : ranks_.keep_threshold(exact);
            // What NaN does is known here: the default side, or that of 0.
            if (s.missing == missing_rule::none ? 0.0 <= exact : s.default_left) rule |= walk_nan_left;
            if (s.missing == missing_rule::zero) rule |= walk_zero | (s.default_left ? walk_zero_left : 0U);
        }
        n.feature_and_rule = s.feature << walk_bits | rule;
        return n;
    }

    [[nodiscard]] tree_op operation(const tree_split& s) const {
        const split_place at = ranks_.place(s);
        tree_op op;
        op.column = static_cast<std::uint16_t>(at.column);
        op.rank = at.rank;
        return op;
    }

    /// Whether every tree is perfect and asks the same question all over a level, as oblivious trees do: then a tree takes
    /// `depth` operations instead of 2^depth - 1.
    [[nodiscard]] bool all_by_levels() const {
        bool worth = false;
        for (std::size_t t = 0; t < ensemble_.trees(); ++t) {
            const tree_view tree = ensemble_.tree(t);
            if (tree.splits.empty()) continue;
            if (tree.depth > 8 || tree.splits.size() + 1 != std::size_t{1} << tree.depth) return false;
            worth |= tree.depth > 2;
            std::vector<std::uint32_t> depth(tree.splits.size(), 0);
            std::vector<const tree_split*> question(tree.depth, nullptr);
            for (std::size_t i = 0; i < tree.splits.size(); ++i) {
                const tree_split& s = tree.splits[i];
                const tree_split*& first = question[depth[i]];
                if (first == nullptr) first = &s;
                if (s.feature != first->feature || s.threshold != first->threshold || s.categorical != first->categorical ||
                    s.categories != first->categories || missing_way_of(s) != missing_way_of(*first))
                    return false;
                for (const std::int32_t child : {s.left, s.right})
                    if (child >= 0) depth[static_cast<std::size_t>(child)] = depth[i] + 1;
            }
        }
        return worth;
    }
    void levels(const tree_view& tree) {
        for (std::int32_t at = 0; at >= 0; at = tree.splits[static_cast<std::size_t>(at)].left) {
            out_.ops.push_back(operation(tree.splits[static_cast<std::size_t>(at)]));
            out_.folds.push_back({});
        }
    }

    /// Children before parents; of two subtrees the one that needs more slots first (Sethi and Ullman 1970).
    void program(const tree_view& tree, const program_tree& p) {
        const std::size_t splits = tree.splits.size();
        if (splits == 0) return;
        std::vector<std::uint32_t> need(splits), leaves(splits);
        const auto leaves_of = [&](std::int32_t c) { return c < 0 ? 1U : leaves[static_cast<std::size_t>(c)]; };
        const auto need_of = [&](std::int32_t c) { return c < 0 ? 0U : need[static_cast<std::size_t>(c)]; };
        for (std::size_t i = splits; i-- > 0;) {  // children have higher numbers
            const tree_split& s = tree.splits[i];
            leaves[i] = leaves_of(s.left) + leaves_of(s.right);
            const std::uint32_t l = need_of(s.left), r = need_of(s.right);
            need[i] = std::max({l == r ? l + 1 : std::max(l, r), 1U});
        }
        struct stop {
            std::int32_t node;
            bool done;
        };
        std::vector<stop> stack{{0, false}};
        std::vector<std::uint16_t> number(splits);
        std::uint32_t depth = 0;  // slots in use
        while (!stack.empty()) {
            const stop here = stack.back();
            stack.pop_back();
            const tree_split& s = tree.splits[static_cast<std::size_t>(here.node)];
            const bool right_first = need_of(s.right) > need_of(s.left);
            if (!here.done) {
                stack.push_back({here.node, true});
                const std::int32_t second = right_first ? s.left : s.right;
                const std::int32_t first = right_first ? s.right : s.left;
                if (second >= 0) stack.push_back({second, false});
                if (first >= 0) stack.push_back({first, false});
                continue;
            }
            const auto at = static_cast<std::size_t>(here.node);
            number[at] = static_cast<std::uint16_t>(out_.ops.size() - p.first_op);
            tree_op op = operation(s);
            const std::uint32_t l = s.left >= 0, r = s.right >= 0;
            const std::uint32_t base = depth - l - r;
            op.left = static_cast<std::uint8_t>(l * (base + (right_first ? r : 0U) + 1));
            op.right = static_cast<std::uint8_t>(r * (base + (right_first ? 0U : l) + 1));
            op.dest = static_cast<std::uint8_t>(base + 1);
            depth = base + 1;
            op.step = static_cast<std::uint8_t>(leaves_of(s.left));
            if (!out_.rounded.empty())
                op.coarse = static_cast<std::uint8_t>(leftmost(tree, s.right, p) - leftmost(tree, s.left, p));
            const auto reference = [&](std::int32_t c) {
                return static_cast<std::uint16_t>(c >= 0 ? number[static_cast<std::size_t>(c)] : 256 + ~c);
            };
            out_.ops.push_back(op);
            const std::uint16_t order = right_first ? 0x8000 : 0;
            out_.folds.push_back({static_cast<std::uint16_t>(reference(s.left) | order), reference(s.right)});
        }
    }
    [[nodiscard]] std::uint8_t leftmost(const tree_view& tree, std::int32_t child, const program_tree& p) const {
        while (child >= 0) child = tree.splits[static_cast<std::size_t>(child)].left;
        return out_.rounded[p.first_value + static_cast<std::size_t>(~child)];
    }

    /// Leaf values of all trees in one unit, above each tree's smallest, so that bytes can be added up.
    void round_leaves() {
        double widest = 0, rounding = 0;
        for (std::size_t t = 0; t < ensemble_.trees(); ++t) {
            const auto leaves = ensemble_.tree(t).leaves;
            const auto [low, high] = std::minmax_element(leaves.begin(), leaves.end());
            widest = std::max(widest, *high - *low);
            rounding += std::max(std::fabs(*low), std::fabs(*high));
        }
        rounding += std::fabs(ensemble_.start()[0]);
        const double finish = std::fabs(ensemble_.bias()[0] / ensemble_.scale());
        if (!(widest > 0) || !(ensemble_.scale() > 0) || !std::isfinite(widest) || !std::isfinite(finish)) return;
        out_.unit = widest / 255;
        if (!(out_.unit > 0) || !std::isfinite(1 / out_.unit)) return;
        double error = 0;
        for (std::size_t t = 0; t < ensemble_.trees(); ++t) {
            const auto leaves = ensemble_.tree(t).leaves;
            const double low = *std::min_element(leaves.begin(), leaves.end());
            double worst = 0;
            for (const double value : leaves) {
                const double units = std::clamp(std::nearbyint((value - low) / out_.unit), 0.0, 255.0);
                out_.rounded.push_back(static_cast<std::uint8_t>(units));
                worst = std::max(worst, std::fabs(value - (low + units * out_.unit)));
            }
            error += worst;
        }
        // The sums themselves round, at most half a unit in the last place of the largest partial sum a time; so do the steps
        // from sum to score, which must not make two sums equal that the bound told apart.
        const double epsilon = ensemble_.arithmetic().float_sums ? 1.2e-7 : 2.3e-16;
        out_.error = (error + (rounding + finish) * epsilon * static_cast<double>(ensemble_.trees() + 8)) * (1 + 1e-9);
        out_.coarse = true;
    }

    const tree_ensemble& ensemble_;
    rank_builder ranks_;
    bool by_levels_ = false;
    tree_program out_;
};

}  // namespace opspilot::detail
