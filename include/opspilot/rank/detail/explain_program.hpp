// An ensemble laid out for explanations.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "opspilot/rank/detail/explain_kernel.hpp"
#include "opspilot/rank/detail/quadrature.hpp"
#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::detail {

/// Points of a quadrature and, at these points, r and k of splits. Trees whose paths ask about as many features share one.
struct explain_rule {
    std::uint32_t packs = 1;   // of a pass
    std::uint32_t passes = 1;  // over `packs` packs of points each
    std::vector<double> weights;
    std::vector<double> ratios;              // passes × rows × 2 × points of a pass
    std::map<double, std::uint32_t> row_of;  // by the share of the rows that passes earlier splits; only while compiling
    std::vector<double> shares;              // per row
    [[nodiscard]] std::size_t points() const noexcept { return explain_lanes * packs; }
    [[nodiscard]] std::size_t rows() const noexcept { return shares.size(); }
};

struct explain_tree {
    std::size_t first_split = 0, splits = 0;
    std::size_t first_leaf = 0;  // value
    std::uint32_t output = 0, width = 1;
    std::uint32_t rule = 0;
};

struct explain_program {
    std::vector<explain_split> splits;
    std::vector<double> leaves;
    std::vector<explain_tree> trees;  // those with splits
    std::vector<explain_rule> rules;
    std::vector<double> base;
    std::vector<std::uint32_t> words;
    std::vector<std::size_t> first_word{0};
    tree_arithmetic arithmetic;
    double divisor = 1, scale = 1;
    std::size_t most_splits = 0;
    std::size_t most_values = 0;  // nodes × points of the largest tree
};

inline constexpr std::size_t explain_table_bytes = std::size_t{256} << 20;

/// A split on the way from the root, and which of its sides the way goes.
struct explain_place {
    std::uint32_t split = 0;  // 1 + its index; 0 = none
    std::uint8_t left = 1;
};

class explain_compiler {
public:
    explicit explain_compiler(const tree_ensemble& e) : e_(e), last_(e.features()) {}

    result<explain_program> compile() {
        if (e_.splits() > 0 && !e_.has_covers())
            return error{error_kind::model,
                         "model.no_covers",
                         "the model does not say how many training rows reached each node, which contributions are weighed by",
                         {},
                         "save the model with its counts (LightGBM: leaf_count and internal_count)"};
        out_.arithmetic = e_.arithmetic();
        out_.divisor = e_.divisor();
        out_.scale = e_.scale();
        out_.base.assign(e_.start().begin(), e_.start().end());
        for (std::uint32_t set = 0; set < e_.category_sets(); ++set) {
            const auto words = e_.categories(set);
            out_.words.insert(out_.words.end(), words.begin(), words.end());
            out_.first_word.push_back(out_.words.size());
        }
        for (std::size_t t = 0; t < e_.trees(); ++t) add(e_.tree(t));
        OPSPILOT_CHECK(fill_rules());
        for (std::size_t k = 0; k < out_.base.size(); ++k) out_.base[k] = out_.base[k] / out_.divisor * out_.scale + e_.bias()[k];
        return std::move(out_);
    }

private:
    void add(const tree_view& tree) {
        const std::size_t first_leaf = out_.leaves.size();
        if (tree.splits.empty()) {
            for (std::size_t k = 0; k < tree.width; ++k) out_.base[tree.output + k] += tree.leaves[k];
            return;
        }
        out_.leaves.insert(out_.leaves.end(), tree.leaves.begin(), tree.leaves.end());
        const std::size_t first_split = out_.splits.size();
        order_splits(tree);
        for (const std::uint32_t i : order_) out_.splits.push_back(lay_out(tree, tree.splits[i]));
        const std::span splits(out_.splits.data() + first_split, tree.splits.size());
        const std::uint32_t features = follow_features(splits);
        const std::uint32_t rule = rule_for(features);
        for (std::size_t i = 0; i < splits.size(); ++i)
            if (splits[i].before != 0) splits[i].ratio = ratio_row(out_.rules[rule], shares_[i]);
        out_.trees.push_back({first_split, splits.size(), first_leaf, tree.output, tree.width, rule});
        out_.most_splits = std::max(out_.most_splits, splits.size());
        out_.most_values = std::max(out_.most_values, (2 * splits.size() + 1) * out_.rules[rule].points());
        add_mean(tree, splits);
    }

    [[nodiscard]] static double cover_of(const tree_view& tree, std::int32_t child) noexcept {
        return child < 0 ? tree.leaf_covers[static_cast<std::uint32_t>(~child)]
                         : tree.split_covers[static_cast<std::size_t>(child)];
    }

    /// Level by level: neighbours do not wait for each other's results, as a split and its child would.
    void order_splits(const tree_view& tree) {
        order_.assign(1, 0);
        place_of_.assign(tree.splits.size(), 0);
        for (std::size_t at = 0; at < order_.size(); ++at) {
            place_of_[order_[at]] = static_cast<std::uint32_t>(at);
            for (const std::int32_t child : {tree.splits[order_[at]].left, tree.splits[order_[at]].right})
                if (child >= 0) order_.push_back(static_cast<std::uint32_t>(child));
        }
    }

    [[nodiscard]] explain_split lay_out(const tree_view& tree, const tree_split& from) const noexcept {
        const auto node = [&](std::int32_t child) {
            return static_cast<std::uint32_t>(child < 0 ? tree.splits.size() + static_cast<std::size_t>(~child)
                                                        : place_of_[static_cast<std::size_t>(child)]);
        };
        explain_split s;
        s.threshold = from.threshold;
        const double left = cover_of(tree, from.left);
        const double both = left + cover_of(tree, from.right);
        s.other_share[0] = both > 0 ? left / both : 0.5;  // no row came here: nothing is known of either side
        s.other_share[1] = 1.0 - s.other_share[0];
        s.feature = from.feature;
        s.left = node(from.left);
        s.right = node(from.right);
        s.categories = from.categories;
        s.categorical = from.categorical;
        s.zero_missing = !from.categorical && from.missing == missing_rule::zero;
        s.missing_left = from.categorical || from.missing != missing_rule::none ? from.default_left : 0.0 <= from.threshold;
        return s;
    }

    /// Tells every split the nearest one above on the same feature and what share of the rows passes all of those; returns how
    /// many features the paths ask about, at most.
    std::uint32_t follow_features(std::span<explain_split> splits) {
        struct stop {
            std::uint32_t split = 0;
            std::uint32_t features = 0;  // on the way here, this split's included
            int stage = 0;
            explain_place saved = {};
        };
        shares_.assign(splits.size(), 1.0);
        std::uint32_t most = 0;
        std::vector<stop> stack(1);
        while (!stack.empty()) {
            stop& here = stack.back();
            explain_split& s = splits[here.split];
            explain_place& last = last_[s.feature];
            if (here.stage == 2) {
                last = here.saved;
                stack.pop_back();
                continue;
            }
            if (here.stage == 0) {
                here.saved = last;
                s.before = last.split;
                s.side = last.left;
                if (last.split == 0) {
                    most = std::max(most, ++here.features);
                } else {
                    const explain_split& earlier = splits[last.split - 1];
                    shares_[here.split] = shares_[last.split - 1] * earlier.other_share[last.left != 0 ? 0 : 1];
                }
            }
            const bool left = here.stage++ == 0;
            last = {here.split + 1, static_cast<std::uint8_t>(left)};
            const std::uint32_t child = left ? s.left : s.right;
            if (child < splits.size()) stack.push_back({child, here.features, 0, {}});  // `here` may dangle now
        }
        return most;
    }

    std::uint32_t rule_for(std::uint32_t features) {
        constexpr auto of_pack = static_cast<std::uint32_t>(2 * explain_lanes);
        constexpr auto most = static_cast<std::uint32_t>(explain_packs);
        const std::uint32_t packs = (features + of_pack - 1) / of_pack;
        const std::uint32_t passes = (packs + most - 1) / most;
        const std::uint32_t of_pass = passes == 1 ? packs : most;
        for (std::uint32_t r = 0; r < out_.rules.size(); ++r)
            if (out_.rules[r].packs == of_pass && out_.rules[r].passes == passes) return r;
        explain_rule rule;
        rule.packs = of_pass;
        rule.passes = passes;
        rule.shares = {1.0, 1.0};  // ratio_first, ratio_off
        out_.rules.push_back(std::move(rule));
        return static_cast<std::uint32_t>(out_.rules.size() - 1);
    }

    static std::uint32_t ratio_row(explain_rule& rule, double share) {
        const auto [at, fresh] = rule.row_of.try_emplace(share, static_cast<std::uint32_t>(rule.shares.size()));
        if (fresh) rule.shares.push_back(share);
        return at->second;
    }

    status fill_rules() {
        std::size_t bytes = 0;
        for (const explain_rule& rule : out_.rules) bytes += rule.rows() * rule.passes * 2 * rule.points() * sizeof(double);
        if (bytes > explain_table_bytes)
            return error{error_kind::limit,
                         "model.limit_explanation",
                         fmt::format("explanations need tables of {} bytes, at most {} are allowed", bytes, explain_table_bytes),
                         {},
                         "train shallower trees"};
        for (explain_rule& rule : out_.rules) {
            rule.row_of.clear();
            const std::size_t points = rule.points();
            const quadrature q = gauss_legendre(points * rule.passes);
            rule.weights = q.weights;
            rule.ratios.resize(rule.passes * rule.rows() * 2 * points);
            for (std::size_t pass = 0; pass < rule.passes; ++pass)
                for (std::size_t row = 0; row < rule.rows(); ++row)
                    for (std::size_t p = 0; p < points; ++p) {
                        const double t = q.points[pass * points + p];
                        const double share = rule.shares[row];
                        const double g = share * (1.0 - t) + t;
                        double* const out = rule.ratios.data() + (pass * rule.rows() + row) * 2 * points;
                        out[p] = row == ratio_off ? 1.0 : row == ratio_first ? 1.0 - t : share * (1.0 - t) / g;
                        out[points + p] = row == ratio_off ? 0.0 : row == ratio_first ? 1.0 : share / (g * g);
                    }
        }
        return {};
    }

    /// The tree's mean over the training rows, as the splits' shares give it.
    void add_mean(const tree_view& tree, std::span<const explain_split> splits) {
        means_.resize(2 * splits.size() + 1);
        for (std::size_t k = 0; k < tree.width; ++k) {
            for (std::size_t l = 0; l <= splits.size(); ++l) means_[splits.size() + l] = tree.leaves[l * tree.width + k];
            for (std::size_t i = splits.size(); i-- > 0;)
                means_[i] =
                    splits[i].other_share[0] * means_[splits[i].left] + splits[i].other_share[1] * means_[splits[i].right];
            out_.base[tree.output + k] += means_[0];
        }
    }

    const tree_ensemble& e_;
    explain_program out_;
    std::vector<explain_place> last_;  // per feature, on the way to the split at hand
    std::vector<double> shares_;       // per split: of the rows that the earlier splits on its feature let pass
    std::vector<double> means_;
    std::vector<std::uint32_t> order_, place_of_;  // splits of the tree by level, and back
};

/// One row's answers to a tree's splits, as `explain_task::answers` wants them. `numbers` are the values as numerical splits
/// compare them, `values` as categorical ones do.
inline void answer_splits(const explain_program& p, std::span<const explain_split> splits, const double* numbers,
                          const double* values, std::uint8_t* answers) noexcept {
    answers[0] = 3;
    for (std::size_t i = 0; i < splits.size(); ++i) {
        const explain_split& s = splits[i];
        unsigned left = 0;
        if (s.categorical) {
            const double value = values[s.feature];
            const std::size_t first = p.first_word[s.categories];
            const std::span words(p.words.data() + first, p.first_word[s.categories + 1] - first);
            left = std::isnan(value) ? s.missing_left : in_category_set(words, value, p.arithmetic.fractions_are_zero);
        } else {
            const double x = numbers[s.feature];
            const auto by_default = static_cast<unsigned>(s.missing_left);
            left = static_cast<unsigned>(x <= s.threshold) | (static_cast<unsigned>(x != x) & by_default);
            const auto missing = static_cast<unsigned>(s.zero_missing) & static_cast<unsigned>(x == 0);
            left = (left & (missing ^ 1U)) | (by_default & missing);
        }
        const unsigned before = answers[s.before];
        answers[i + 1] = static_cast<std::uint8_t>(left | ((before & 2U) & (((before ^ s.side ^ 1U) & 1U) << 1U)));
    }
}

}  // namespace opspilot::detail
