#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/rank/tree_builder.hpp"

namespace opspilot {

namespace detail {

inline opspilot::error tree_limit(std::string_view code, std::string_view what, std::size_t got, std::size_t allowed) {
    return {error_kind::limit,
            code,
            fmt::format("{} {}, at most {} are allowed", got, what, allowed),
            {},
            "raise the limit if the model can be trusted"};
}

}  // namespace detail

OPSPILOT_INLINE error tree_builder::problem(std::string_view code, std::uint32_t node, std::string message) const {
    std::string where = fmt::format("tree {} node {}", built_.outputs_of_.size(), node);
    if (!place_.empty()) where += fmt::format(" ({})", place_);
    return {error_kind::model, code, std::move(message), std::move(where), {}};
}

OPSPILOT_INLINE status tree_builder::begin(std::vector<std::string> feature_names, std::size_t outputs,
                                           std::size_t expected_trees) {
    if (feature_names.empty()) return error{error_kind::model, "model.no_features", "the model has no features", {}, {}};
    if (feature_names.size() > limits_.features)
        return detail::tree_limit("model.limit_features", "features", feature_names.size(), limits_.features);
    if (outputs == 0) return error{error_kind::model, "model.no_outputs", "the model has no outputs", {}, {}};
    if (outputs > limits_.outputs) return detail::tree_limit("model.limit_outputs", "outputs", outputs, limits_.outputs);
    if (expected_trees > limits_.trees) return detail::tree_limit("model.limit_trees", "trees", expected_trees, limits_.trees);
    std::vector<std::string_view> sorted(feature_names.begin(), feature_names.end());
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
        return error{
            error_kind::model, "model.feature_name_twice", fmt::format("two features are called {}", quote(*twice)), {}, {}};
    built_.feature_names_ = std::move(feature_names);
    built_.outputs_ = outputs;
    built_.start_.assign(outputs, 0.0);
    built_.bias_.assign(outputs, 0.0);
    largest_.assign(outputs, 0.0);
    trees_per_output_.assign(outputs, 0);
    return {};
}

OPSPILOT_INLINE status tree_builder::per_output(std::span<const double> values, std::string_view what) const {
    if (values.size() != built_.outputs_)
        return error{error_kind::model,
                     "model.outputs_length",
                     fmt::format("{} {} values for {} outputs", values.size(), what, built_.outputs_),
                     {},
                     {}};
    for (const double value : values)
        if (!std::isfinite(value))
            return error{error_kind::model, "model.not_finite", fmt::format("a {} value is {}", what, value), {}, {}};
    return {};
}

OPSPILOT_INLINE status tree_builder::start(std::span<const double> values) {
    OPSPILOT_CHECK(per_output(values, "start"));
    built_.start_.assign(values.begin(), values.end());
    return {};
}

OPSPILOT_INLINE status tree_builder::scale_and_bias(double scale, std::span<const double> bias) {
    OPSPILOT_CHECK(per_output(bias, "bias"));
    if (!std::isfinite(scale)) return error{error_kind::model, "model.not_finite", fmt::format("the scale is {}", scale), {}, {}};
    built_.scale_ = scale;
    built_.bias_.assign(bias.begin(), bias.end());
    return {};
}

OPSPILOT_INLINE status tree_builder::begin_tree(std::size_t nodes, std::size_t output, std::uint32_t root, std::string place) {
    return open_tree(nodes, output, 1, root, std::move(place));
}

OPSPILOT_INLINE status tree_builder::begin_vector_tree(std::size_t nodes, std::uint32_t root, std::string place) {
    return open_tree(nodes, 0, built_.outputs_, root, std::move(place));
}

OPSPILOT_INLINE status tree_builder::open_tree(std::size_t nodes, std::size_t output, std::size_t width, std::uint32_t root,
                                               std::string place) {
    place_ = std::move(place);
    if (nodes == 0) return problem("model.tree_empty", 0, "the tree has no nodes");
    if (output >= built_.outputs_)
        return problem("model.output_range", 0,
                       fmt::format("the tree adds to output {}, the model has {}", output, built_.outputs_));
    if (built_.outputs_of_.size() >= limits_.trees)
        return detail::tree_limit("model.limit_trees", "trees", built_.outputs_of_.size() + 1, limits_.trees);
    // Nodes of a vector tree weigh as much as they hold.
    if (nodes > (limits_.nodes - nodes_) / width)
        return detail::tree_limit("model.limit_nodes", "nodes", nodes_ + nodes * width, limits_.nodes);
    if (root >= nodes) return problem("model.root_range", root, fmt::format("the root is node {} of {}", root, nodes));
    drafts_.assign(nodes, draft{});
    values_.clear();
    root_ = root;
    output_ = output;
    width_ = width;
    return {};
}

OPSPILOT_INLINE status tree_builder::claim(std::uint32_t node) {
    if (node >= drafts_.size())
        return problem("model.node_range", node, fmt::format("node {} of a tree of {}", node, drafts_.size()));
    if (drafts_[node].state != node_state::undefined) return problem("model.node_twice", node, "the node is described twice");
    return {};
}

OPSPILOT_INLINE status tree_builder::connect(std::uint32_t node, std::uint32_t feature, std::uint32_t left, std::uint32_t right) {
    if (feature >= built_.features())
        return problem("model.feature_range", node,
                       fmt::format("split on feature {}, the model has {}", feature, built_.features()));
    for (const std::uint32_t child : {left, right}) {
        if (child >= drafts_.size())
            return problem("model.child_range", node, fmt::format("child {} of a tree of {} nodes", child, drafts_.size()));
        if (child == root_) return problem("model.root_has_parent", node, fmt::format("the root {} is a child", child));
        if (drafts_[child].parents++ != 0)
            return problem("model.node_two_parents", node, fmt::format("node {} is already a child of another node", child));
    }
    drafts_[node].left = left;
    drafts_[node].right = right;
    drafts_[node].as_split.feature = feature;
    drafts_[node].state = node_state::split;
    return {};
}

OPSPILOT_INLINE status tree_builder::split(std::uint32_t node, std::uint32_t feature, double threshold, missing_rule missing,
                                           bool default_left, std::uint32_t left, std::uint32_t right) {
    OPSPILOT_CHECK(claim(node));
    if (std::isnan(threshold)) return problem("model.threshold_nan", node, "the threshold is not a number");
    OPSPILOT_CHECK(connect(node, feature, left, right));
    tree_split& s = drafts_[node].as_split;
    s.threshold = threshold;
    s.missing = missing;
    s.default_left = default_left;
    return {};
}

OPSPILOT_INLINE status tree_builder::split_categories(std::uint32_t node, std::uint32_t feature,
                                                      std::span<const std::uint32_t> words, bool default_left, std::uint32_t left,
                                                      std::uint32_t right) {
    OPSPILOT_CHECK(claim(node));
    if (words.size() > limits_.category_words - words_)
        return detail::tree_limit("model.limit_categories", "words of category sets", words_ + words.size(),
                                  limits_.category_words);
    words_ += words.size();
    OPSPILOT_CHECK(connect(node, feature, left, right));
    tree_split& s = drafts_[node].as_split;
    s.categorical = true;
    s.default_left = default_left;
    s.categories = intern(words);
    return {};
}

OPSPILOT_INLINE std::uint32_t tree_builder::intern(std::span<const std::uint32_t> words) {
    while (!words.empty() && words.back() == 0) words = words.first(words.size() - 1);
    const std::uint64_t hash = xxh3({reinterpret_cast<const char*>(words.data()), words.size_bytes()});
    const auto [first, last] = sets_.equal_range(hash);
    for (auto at = first; at != last; ++at) {
        const auto known = built_.categories(at->second);
        if (std::equal(known.begin(), known.end(), words.begin(), words.end())) return at->second;
    }
    const auto set = static_cast<std::uint32_t>(built_.category_sets());
    built_.words_.insert(built_.words_.end(), words.begin(), words.end());
    built_.first_word_.push_back(built_.words_.size());
    sets_.emplace(hash, set);
    return set;
}

OPSPILOT_INLINE status tree_builder::leaf(std::uint32_t node, std::span<const double> values) {
    OPSPILOT_CHECK(claim(node));
    if (values.size() != width_)
        return problem("model.leaf_width", node, fmt::format("the leaf has {} values, {} are needed", values.size(), width_));
    for (const double value : values)
        if (!std::isfinite(value)) return problem("model.leaf_not_finite", node, fmt::format("the leaf's value is {}", value));
    drafts_[node].value = values_.size();
    drafts_[node].state = node_state::leaf;
    values_.insert(values_.end(), values.begin(), values.end());
    return {};
}

OPSPILOT_INLINE status tree_builder::cover(std::uint32_t node, double weight) {
    if (node >= drafts_.size())
        return problem("model.node_range", node, fmt::format("node {} of a tree of {}", node, drafts_.size()));
    if (!(weight >= 0) || !std::isfinite(weight))
        return problem("model.cover", node, fmt::format("the weight of the node's rows is {}", weight));
    drafts_[node].cover = weight;
    return {};
}

OPSPILOT_INLINE status tree_builder::end_tree() {
    for (std::uint32_t i = 0; i < drafts_.size(); ++i) {
        if (drafts_[i].state == node_state::undefined) return problem("model.node_undefined", i, "the node is never described");
        if (i != root_ && drafts_[i].parents == 0) return problem("model.node_unreachable", i, "the node has no parent");
    }
    // Every node but the root has exactly one parent, so what the root does not reach lies on cycles.
    struct stop {
        std::uint32_t node, depth;
    };
    std::vector<stop> stack{{root_, 0}};
    std::vector<std::uint32_t> order;  // depth first, left before right
    order.reserve(drafts_.size());
    std::uint32_t deepest = 0;
    while (!stack.empty()) {
        const stop here = stack.back();
        stack.pop_back();
        order.push_back(here.node);
        const draft& d = drafts_[here.node];
        if (d.state == node_state::leaf) continue;
        deepest = std::max(deepest, here.depth + 1);
        if (deepest > limits_.depth) return detail::tree_limit("model.limit_depth", "levels of a tree", deepest, limits_.depth);
        stack.push_back({d.right, here.depth + 1});
        stack.push_back({d.left, here.depth + 1});
    }
    if (order.size() != drafts_.size()) {
        std::vector<bool> reached(drafts_.size(), false);
        for (const std::uint32_t node : order) reached[node] = true;
        const auto lost = static_cast<std::uint32_t>(std::find(reached.begin(), reached.end(), false) - reached.begin());
        return problem("model.node_unreachable", lost, "the node is part of a cycle");
    }
    built_.depths_.push_back(deepest);
    lay_out(order);
    return {};
}

OPSPILOT_INLINE void tree_builder::lay_out(const std::vector<std::uint32_t>& order) {
    std::vector<std::int32_t> renumbered(drafts_.size());
    std::int32_t splits = 0;
    std::int32_t leaves = 0;
    std::vector<double> largest(width_, 0.0);
    for (const std::uint32_t node : order) {
        const draft& d = drafts_[node];
        renumbered[node] = d.state == node_state::split ? splits++ : ~(leaves++);
        cover_missing_ |= d.cover < 0 && order.size() > 1;
        cover_given_ |= d.cover >= 0;
        (d.state == node_state::split ? built_.split_covers_ : built_.leaf_covers_).push_back(std::max(d.cover, 0.0));
        if (d.state == node_state::split) continue;
        for (std::size_t k = 0; k < width_; ++k) {
            const double value = values_[d.value + k];
            built_.leaves_.push_back(value);
            largest[k] = std::max(largest[k], std::fabs(value));
        }
    }
    for (const std::uint32_t node : order) {
        const draft& d = drafts_[node];
        if (d.state == node_state::leaf) continue;
        tree_split s = d.as_split;
        s.left = renumbered[d.left];
        s.right = renumbered[d.right];
        built_.splits_.push_back(s);
    }
    built_.first_split_.push_back(built_.splits_.size());
    built_.first_leaf_.push_back(built_.leaves_.size());
    built_.outputs_of_.push_back(static_cast<std::uint32_t>(output_));
    built_.widths_.push_back(static_cast<std::uint32_t>(width_));
    for (std::size_t k = 0; k < width_; ++k) {
        largest_[output_ + k] += largest[k];
        ++trees_per_output_[output_ + k];
    }
    nodes_ += drafts_.size() * width_;
    drafts_.clear();
}

OPSPILOT_INLINE result<tree_ensemble> tree_builder::finish() {
    if (built_.trees() == 0) return error{error_kind::model, "model.no_trees", "the model has no trees", {}, {}};
    const double most = built_.arithmetic_.float_sums ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
    for (std::size_t k = 0; k < built_.outputs_; ++k) {
        largest_[k] += std::fabs(built_.start_[k]);
        if (!(largest_[k] <= most) || !(largest_[k] * std::fabs(built_.scale_) + std::fabs(built_.bias_[k]) <= most))
            return error{error_kind::model,
                         "model.score_overflow",
                         fmt::format("the leaves of output {} can add up to infinity", k),
                         {},
                         {}};
        if (average_ && trees_per_output_[k] != trees_per_output_[0])
            return error{
                error_kind::model,
                "model.trees_per_output",
                fmt::format("output {} averages {} trees, output 0 averages {}", k, trees_per_output_[k], trees_per_output_[0]),
                {},
                {}};
    }
    if (average_) built_.divisor_ = static_cast<std::uint32_t>(trees_per_output_[0]);
    if (cover_missing_ && cover_given_)
        return error{error_kind::model,
                     "model.cover_missing",
                     "some nodes say how many training rows reached them, others do not",
                     {},
                     {}};
    if (!cover_given_) {
        built_.split_covers_.clear();
        built_.leaf_covers_.clear();
    }
    return std::move(built_);
}

}  // namespace opspilot
