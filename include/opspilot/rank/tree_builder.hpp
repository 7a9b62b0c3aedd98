/// \file
/// The one door through which every tree model enters: importers describe nodes as they find them, the builder checks that
/// they are trees and re-lays them. Nothing an importer reads from a file is used as an index before it was checked here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

/// What an ensemble may cost. Exceeding one is an error of kind limit that names it.
struct tree_limits {
    std::size_t bytes = std::size_t{256} << 20;  ///< of a model file
    std::size_t trees = 100'000;
    std::size_t nodes = std::size_t{1} << 25;  ///< splits and leaves of all trees
    std::size_t depth = 4'096;                 ///< splits from root to leaf
    std::size_t features = 100'000;
    std::size_t outputs = 10'000;
    std::size_t category_words = std::size_t{1} << 24;  ///< 32 categories each, all sets together
};

/// Builds one ensemble: `begin`, then per tree `begin_tree`, every node once by `split`, `split_categories` or `leaf`,
/// `end_tree`; at last `finish`. After an error the builder is of no further use. Not thread-safe.
///
/// Errors are of kind model, or limit where a limit of `tree_limits` is exceeded; `where` is "tree T node N" with the
/// importer's own node numbers, followed by the place the importer gave to `begin_tree`.
class OPSPILOT_API tree_builder {
public:
    explicit tree_builder(const tree_limits& limits = {}) : limits_(limits) {}

    /// Errors: model.no_features, model.feature_name_twice, model.no_outputs, model.limit_features, model.limit_outputs.
    [[nodiscard]] status begin(std::vector<std::string> feature_names, std::size_t outputs, std::size_t expected_trees = 0);
    void objective(std::string text) { built_.objective_ = std::move(text); }
    void arithmetic(const tree_arithmetic& a) noexcept { built_.arithmetic_ = a; }
    /// What the sum of each output begins with; 0 when not called. Errors: model.outputs_length, model.not_finite.
    [[nodiscard]] status start(std::span<const double> values);
    /// Every output becomes the mean over its trees.
    void average() noexcept { average_ = true; }
    /// score = sum · scale + bias; 1 and 0 when not called. Errors: model.outputs_length, model.not_finite.
    [[nodiscard]] status scale_and_bias(double scale, std::span<const double> bias);

    /// A tree of `nodes` nodes, numbered 0 … nodes-1 by the importer, whose root is `root`.
    /// Errors: model.tree_empty, model.output_range, model.limit_trees, model.limit_nodes, model.root_range.
    [[nodiscard]] status begin_tree(std::size_t nodes, std::size_t output, std::uint32_t root = 0, std::string place = {});
    /// A tree whose leaves have a value for every output.
    [[nodiscard]] status begin_vector_tree(std::size_t nodes, std::uint32_t root = 0, std::string place = {});
    /// Left when value <= threshold. Errors: model.node_range, model.node_twice, model.feature_range, model.child_range,
    /// model.threshold_nan. Infinite thresholds are allowed: everything but missing values goes to one side.
    [[nodiscard]] status split(std::uint32_t node, std::uint32_t feature, double threshold, missing_rule missing,
                               bool default_left, std::uint32_t left, std::uint32_t right);
    /// Left when the category is in the bit set; it may be empty. Everything else goes right, NaN to the default side.
    /// Errors: like `split`, and model.limit_categories.
    [[nodiscard]] status split_categories(std::uint32_t node, std::uint32_t feature, std::span<const std::uint32_t> words,
                                          bool default_left, std::uint32_t left, std::uint32_t right);
    /// One value, or in a vector tree one per output. Errors: model.node_range, model.node_twice, model.leaf_not_finite,
    /// model.leaf_width.
    [[nodiscard]] status leaf(std::uint32_t node, double value) { return leaf(node, std::span<const double>(&value, 1)); }
    [[nodiscard]] status leaf(std::uint32_t node, std::span<const double> values);
    /// Weight of the training rows that reached a node; for all nodes of all trees, or for none.
    /// Errors: model.node_range, model.cover (negative or not finite).
    [[nodiscard]] status cover(std::uint32_t node, double weight);
    /// Errors: model.node_undefined, model.root_has_parent, model.node_two_parents, model.node_unreachable (no parent, or part
    /// of a cycle), model.limit_depth.
    [[nodiscard]] status end_tree();

    /// Errors: model.no_trees, model.trees_per_output (outputs with different numbers of trees in an average),
    /// model.score_overflow (leaves whose sum could exceed the largest number of the trainer's type), model.cover_missing
    /// (some nodes have a cover, others none).
    [[nodiscard]] result<tree_ensemble> finish();

private:
    enum class node_state : std::uint8_t { undefined, split, leaf };
    struct draft {
        tree_split as_split;    // children are the importer's node numbers until end_tree
        std::size_t value = 0;  // of a leaf: where its values begin
        double cover = -1;      // negative = not said
        std::uint32_t left = 0;
        std::uint32_t right = 0;
        std::uint32_t parents = 0;
        node_state state = node_state::undefined;
    };

    [[nodiscard]] error problem(std::string_view code, std::uint32_t node, std::string message) const;
    [[nodiscard]] status open_tree(std::size_t nodes, std::size_t output, std::size_t width, std::uint32_t root,
                                   std::string place);
    [[nodiscard]] status per_output(std::span<const double> values, std::string_view what) const;
    [[nodiscard]] status claim(std::uint32_t node);
    [[nodiscard]] status connect(std::uint32_t node, std::uint32_t feature, std::uint32_t left, std::uint32_t right);
    [[nodiscard]] std::uint32_t intern(std::span<const std::uint32_t> words);
    void lay_out(const std::vector<std::uint32_t>& order);

    tree_limits limits_;
    tree_ensemble built_;
    bool average_ = false;
    std::vector<draft> drafts_;
    std::vector<double> values_;  // of the leaves of the tree at hand
    std::uint32_t root_ = 0;
    std::size_t output_ = 0;
    std::size_t width_ = 1;
    bool cover_given_ = false;    // of some node
    bool cover_missing_ = false;  // of some node of a tree with splits
    std::string place_;
    std::size_t nodes_ = 0;        // of finished trees
    std::vector<double> largest_;  // per output, sum over trees of the largest |leaf|
    std::vector<std::size_t> trees_per_output_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> sets_;  // content hash -> category set
    std::size_t words_ = 0;                                       // of all category sets as given, shared ones counted each time
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/tree_builder-inl.hpp"
#endif
