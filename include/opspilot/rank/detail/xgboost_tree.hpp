/// \file
/// Internal: one tree of an XGBoost model, from arrays with an item per node into the builder.
#pragma once

#include <charconv>
#include <cmath>
#include <limits>

#include "opspilot/rank/detail/pull_reader.hpp"
#include "opspilot/rank/detail/xgboost_head.hpp"
#include "opspilot/rank/tree_builder.hpp"

namespace opspilot::detail {

inline constexpr std::array<std::string_view, 18> xgboost_tree_names{
    "id",           "tree_param",       "left_children",    "right_children",      "parents",          "split_indices",
    "default_left", "split_conditions", "sum_hessian",      "base_weights",        "loss_changes",     "leaf_weights",
    "split_type",   "categories",       "categories_nodes", "categories_segments", "categories_sizes", "leaf_child_counts"};
enum xgboost_tree_key : std::size_t {
    x_id,
    x_param,
    x_left,
    x_right,
    x_parents,
    x_features,
    x_default,
    x_conditions,
    x_covers,
    x_weights,
    x_gains,
    x_leaf_weights,
    x_types,
    x_categories,
    x_category_nodes,
    x_category_begins,
    x_category_sizes,
    x_child_counts,  // of version 1.2; of no use
};

/// Reads trees one after the other; its arrays are kept between them.
class xgboost_tree_reader {
public:
    xgboost_tree_reader(pull_reader& in, const tree_limits& limits, const xgboost_head& head, tree_builder& builder, bool covers)
        : in_(in), limits_(limits), head_(head), builder_(builder), covers_(covers) {}

    /// The tree at hand, which is number `index`.
    [[nodiscard]] status read(std::uint32_t index) {
        where_ = in_.pointer();
        at_ = in_.at();
        OPSPILOT_CHECK(arrays(index));
        OPSPILOT_CHECK(lengths());
        OPSPILOT_CHECK(number_nodes());
        OPSPILOT_CHECK(categorical_ ? category_segments() : status{});
        const std::size_t width = vector_ ? leaf_width_ : 1;
        const auto output = static_cast<std::size_t>(head_.tree_outputs[index]);
        const float weight = head_.dart ? head_.weights[index] : 1.0F;
        std::string place = pull_reader::place(where_, at_);
        OPSPILOT_CHECK(vector_ ? builder_.begin_vector_tree(live_, 0, std::move(place))
                               : builder_.begin_tree(live_, output, 0, std::move(place)));
        std::uint32_t set = 0;
        for (std::uint32_t i = 0; i < nodes_; ++i) {
            const bool has_set = categorical_ && types_[i] != 0;
            const std::uint32_t my_set = set;
            if (has_set) ++set;  // leaves and deleted nodes that once were splits keep theirs
            if (deleted(i)) continue;
            if (left_[i] == leaf_mark)
                OPSPILOT_CHECK(leaf(i, width, weight));
            else
                OPSPILOT_CHECK(split(i, has_set, my_set));
            if (covers_ && !sums_.empty()) OPSPILOT_CHECK(builder_.cover(numbers_[i], static_cast<double>(sums_[i])));
        }
        return builder_.end_tree();
    }

private:
    static constexpr std::int32_t leaf_mark = -1;
    static constexpr std::int32_t no_node = std::numeric_limits<std::int32_t>::max();

    [[nodiscard]] opspilot::error refuse(std::string_view code, std::string_view key, std::string message,
                                         std::string hint = {}) const {
        return {error_kind::model, code, std::move(message), pull_reader::place(fmt::format("{}/{}", where_, key), at_),
                std::move(hint)};
    }
    [[nodiscard]] opspilot::error refuse_node(std::string_view code, std::size_t key, std::uint32_t node, std::string message,
                                              std::string hint = {}) const {
        return refuse(code, fmt::format("{}/{}", xgboost_tree_names[key], node), std::move(message), std::move(hint));
    }

    [[nodiscard]] status arrays(std::uint32_t index) {
        std::int32_t id = 0;
        OPSPILOT_TRY(fields_, pull_object(in_, xgboost_tree_names, [&](std::size_t k) -> status {
                         const std::size_t most = limits_.nodes;
                         switch (k) {
                             case x_id: {
                                 OPSPILOT_TRY(id, in_.integer());
                                 return {};
                             }
                             case x_param: return param();
                             case x_left: return in_.integers(left_, most);
                             case x_right: return in_.integers(right_, most);
                             case x_parents: return in_.integers(parents_, most);
                             case x_features: return in_.integers(features_, most);
                             case x_default: return in_.integers(defaults_, most, true);
                             case x_conditions: return in_.floats(conditions_, most);
                             case x_covers: return in_.floats(sums_, most);
                             case x_weights: return in_.floats(weights_, most);
                             case x_gains: return in_.floats(gains_, most);
                             case x_leaf_weights: return in_.floats(leaf_weights_, most);
                             case x_types: return in_.integers(types_, most);
                             case x_categories: return in_.integers(categories_, most);
                             case x_category_nodes: return in_.integers(category_nodes_, most);
                             case x_category_begins: return in_.integers(category_begins_, most);
                             case x_category_sizes: return in_.integers(category_sizes_, most);
                             default: return in_.integers(child_counts_, most);
                         }
                     }));
        OPSPILOT_CHECK(
            fields_.require({x_id, x_param, x_left, x_right, x_parents, x_features, x_default, x_conditions, x_weights}));
        if (!fields_.given[x_covers]) sums_.clear();
        if (id < 0 || static_cast<std::uint32_t>(id) != index)
            return refuse("model.tree_id", "id", fmt::format("tree {} calls itself {}", index, id));
        return {};
    }

    [[nodiscard]] status param() {
        constexpr std::array<std::string_view, 4> names{"num_nodes", "num_feature", "num_deleted", "size_leaf_vector"};
        std::array<std::uint32_t, 4> values{0, 0, 0, 1};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         const std::size_t at = in_.at();
                         const std::string where = in_.pointer();
                         OPSPILOT_TRY(const std::string_view digits, in_.text());
                         const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), values[k]);
                         if (code != std::errc{} || stop != digits.data() + digits.size())
                             return opspilot::error{error_kind::model,
                                                    "model.bad_number",
                                                    fmt::format("{} is not a number of its kind", quote(digits)),
                                                    pull_reader::place(where, at),
                                                    {}};
                         return {};
                     }));
        OPSPILOT_CHECK(fields.require({0, 1, 3}));
        nodes_ = values[0];
        tree_features_ = values[1];
        deletions_ = values[2];
        leaf_width_ = values[3];
        return {};
    }

    [[nodiscard]] status lengths() {
        vector_ = leaf_width_ > 1;
        if (nodes_ == 0) return refuse("model.tree_empty", "tree_param/num_nodes", "the tree has no nodes");
        if (tree_features_ != head_.features)
            return refuse("model.feature_count", "tree_param/num_feature",
                          fmt::format("a tree over {} features in a model of {}", tree_features_, head_.features));
        if (vector_ && leaf_width_ != head_.outputs())
            return refuse("model.leaf_width", "tree_param/size_leaf_vector",
                          fmt::format("leaves of {} values in a model of {} outputs", leaf_width_, head_.outputs()));
        if (vector_ && head_.dart)
            return refuse("model.dart_vector", "tree_param/size_leaf_vector",
                          "a dart model with vector leaves, which XGBoost lacks");
        const auto same = [&](std::size_t key, std::size_t got, std::size_t want) -> status {
            if (!fields_.given[key] || got == want) return {};
            return refuse("model.count", xgboost_tree_names[key], fmt::format("{} items where {} are needed", got, want));
        };
        const std::size_t n = nodes_;
        OPSPILOT_CHECK(same(x_left, left_.size(), n));
        OPSPILOT_CHECK(same(x_right, right_.size(), n));
        OPSPILOT_CHECK(same(x_parents, parents_.size(), n));
        OPSPILOT_CHECK(same(x_features, features_.size(), n));
        OPSPILOT_CHECK(same(x_default, defaults_.size(), n));
        OPSPILOT_CHECK(same(x_conditions, conditions_.size(), n));
        OPSPILOT_CHECK(same(x_covers, sums_.size(), n));
        OPSPILOT_CHECK(same(x_gains, gains_.size(), n));
        OPSPILOT_CHECK(same(x_types, types_.size(), n));
        OPSPILOT_CHECK(same(x_child_counts, child_counts_.size(), n));
        // Vector trees that were split by some of the targets only have shorter weights; nothing is read from them.
        if (!vector_ || !fields_.given[x_leaf_weights]) OPSPILOT_CHECK(same(x_weights, weights_.size(), n * leaf_values()));
        if (!vector_ && fields_.given[x_leaf_weights])
            return refuse("model.unknown_key", "leaf_weights", "'leaf_weights' in a tree of single values");
        categorical_ = fields_.given[x_types];
        for (const std::size_t key : {x_categories, x_category_nodes, x_category_begins, x_category_sizes})
            if (fields_.given[key] != categorical_)
                return refuse("model.missing_key", xgboost_tree_names[categorical_ ? key : x_types],
                              "some of the arrays of categories are missing");
        return {};
    }
    [[nodiscard]] std::size_t leaf_values() const noexcept { return vector_ ? leaf_width_ : 1; }

    /// What XGBoost's pruner leaves behind.
    [[nodiscard]] bool deleted(std::uint32_t i) const noexcept { return i != 0 && features_[i] == no_node && defaults_[i] == 1; }

    /// Deleted nodes get no number in the builder.
    [[nodiscard]] status number_nodes() {
        live_ = 0;
        leaves_ = 0;
        numbers_.resize(nodes_);
        for (std::uint32_t i = 0; i < nodes_; ++i) {
            if (defaults_[i] != 0 && defaults_[i] != 1)
                return refuse_node("model.bad_value", x_default, i, fmt::format("default_left is {}", defaults_[i]));
            if (categorical_ && types_[i] != 0 && types_[i] != 1)
                return refuse_node("model.bad_value", x_types, i, fmt::format("split_type is {}", types_[i]));
            numbers_[i] = live_;
            if (deleted(i)) continue;
            ++live_;
            if (left_[i] == leaf_mark) ++leaves_;
        }
        if (nodes_ - live_ != deletions_)
            return refuse("model.count", "tree_param/num_deleted",
                          fmt::format("{} nodes are deleted, {} are announced", nodes_ - live_, deletions_));
        if (parents_[0] != no_node && parents_[0] != -1)
            return refuse_node("model.root_has_parent", x_parents, 0, fmt::format("the root has the parent {}", parents_[0]));
        if (vector_ && fields_.given[x_leaf_weights] && leaf_weights_.size() != std::size_t{leaves_} * leaf_width_)
            return refuse("model.count", "leaf_weights",
                          fmt::format("{} values for {} leaves of {}", leaf_weights_.size(), leaves_, leaf_width_));
        return {};
    }

    /// One set per node of type categorical, in the order of the nodes; together they are `categories`.
    [[nodiscard]] status category_segments() {
        if (category_begins_.size() != category_nodes_.size() || category_sizes_.size() != category_nodes_.size())
            return refuse("model.count", "categories_nodes",
                          fmt::format("{} nodes, {} beginnings and {} sizes of sets", category_nodes_.size(),
                                      category_begins_.size(), category_sizes_.size()));
        std::size_t set = 0;
        std::int64_t next = 0;
        for (std::uint32_t i = 0; i < nodes_; ++i) {
            if (types_[i] == 0) continue;
            if (set == category_nodes_.size() || category_nodes_[set] != static_cast<std::int32_t>(i))
                return refuse_node("model.category_nodes", x_types, i, "a categorical split without its set");
            if (category_begins_[set] != next || category_sizes_[set] < 1)
                return refuse("model.category_set", fmt::format("categories_segments/{}", set),
                              fmt::format("a set of {} from {}, the sets before it end at {}", category_sizes_[set],
                                          category_begins_[set], next));
            next += category_sizes_[set];
            ++set;
        }
        if (set != category_nodes_.size())
            return refuse("model.category_nodes", fmt::format("categories_nodes/{}", set), "a set for a split that is numerical");
        if (next != static_cast<std::int64_t>(categories_.size()))
            return refuse("model.count", "categories", fmt::format("{} categories, the sets have {}", categories_.size(), next));
        return {};
    }

    [[nodiscard]] status leaf(std::uint32_t i, std::size_t width, float weight) {
        if (!vector_) {
            // XGBoost adds a tree of dart to 0 before it weighs it.
            const float value = head_.dart ? (0.0F + conditions_[i]) * weight : conditions_[i];
            return builder_.leaf(numbers_[i], static_cast<double>(value));
        }
        const bool apart = fields_.given[x_leaf_weights];
        std::size_t from = i;
        if (apart) {
            if (right_[i] < 0 || static_cast<std::uint32_t>(right_[i]) >= leaves_)
                return refuse_node("model.leaf_range", x_right, i, fmt::format("leaf {} of {}", right_[i], leaves_));
            from = static_cast<std::size_t>(right_[i]);
        }
        const std::vector<float>& all = apart ? leaf_weights_ : weights_;
        values_.assign(all.begin() + static_cast<std::ptrdiff_t>(from * width),
                       all.begin() + static_cast<std::ptrdiff_t>((from + 1) * width));
        return builder_.leaf(numbers_[i], values_);
    }

    [[nodiscard]] status split(std::uint32_t i, bool by_category, std::uint32_t set) {
        for (const std::size_t key : {x_left, x_right}) {
            const std::int32_t child = key == x_left ? left_[i] : right_[i];
            if (child < 0 || static_cast<std::uint32_t>(child) >= nodes_)
                return refuse_node("model.child_range", key, i, fmt::format("child {} of a tree of {} nodes", child, nodes_));
            if (deleted(static_cast<std::uint32_t>(child)))
                return refuse_node("model.child_deleted", key, i, fmt::format("child {} is deleted", child));
            if (child == 0) return refuse_node("model.root_has_parent", key, i, "the root is a child");
            if (parents_[static_cast<std::uint32_t>(child)] != static_cast<std::int32_t>(i))
                return refuse_node(
                    "model.parent", key, i,
                    fmt::format("child {} says that its parent is {}", child, parents_[static_cast<std::uint32_t>(child)]));
        }
        // XGBoost goes to the node after the left child, whatever it says about the right one.
        if (right_[i] != left_[i] + 1)
            return refuse_node("model.children_apart", x_right, i,
                               fmt::format("children {} and {} do not follow each other", left_[i], right_[i]));
        const std::uint32_t left = numbers_[static_cast<std::uint32_t>(left_[i])];
        const std::uint32_t right = numbers_[static_cast<std::uint32_t>(right_[i])];
        const bool default_left = defaults_[i] == 1;
        const auto feature = static_cast<std::uint32_t>(features_[i]);  // a negative one is out of range as well
        if (by_category) {
            OPSPILOT_CHECK(category_words(i, set));
            // XGBoost sends what is in the set to the right.
            return builder_.split_categories(numbers_[i], feature, words_, !default_left, right, left);
        }
        const float condition = conditions_[i];
        // Nothing is below -infinity: a set without members says that.
        if (condition == -std::numeric_limits<float>::infinity())
            return builder_.split_categories(numbers_[i], feature, {}, default_left, left, right);
        // Below the condition is not above the next float below it.
        const float threshold = std::nextafter(condition, -std::numeric_limits<float>::infinity());
        return builder_.split(numbers_[i], feature, static_cast<double>(threshold), missing_rule::nan, default_left, left, right);
    }

    /// The bits of a set into `words_`.
    [[nodiscard]] status category_words(std::uint32_t i, std::uint32_t set) {
        // From here on floats do not hold every whole number, and XGBoost takes no value for a category.
        constexpr std::int32_t most = 1 << 24;
        const auto feature = static_cast<std::size_t>(features_[i]);
        if (feature < head_.types.size() && head_.types[feature] != "c")
            return refuse_node("model.feature_type", x_types, i,
                               fmt::format("a split by category on a feature of type '{}'", head_.types[feature]));
        const auto begin = static_cast<std::size_t>(category_begins_[set]);
        const std::size_t end = begin + static_cast<std::size_t>(category_sizes_[set]);
        words_.clear();
        for (std::size_t k = begin; k < end; ++k) {
            const std::int32_t category = categories_[k];
            if (category < 0 || category >= most)
                return refuse("model.category_range", fmt::format("categories/{}", k), fmt::format("category {}", category));
            const auto word = static_cast<std::size_t>(category) / 32;
            if (word >= words_.size()) words_.resize(word + 1);
            words_[word] |= 1U << (category % 32);
        }
        return {};
    }

    pull_reader& in_;
    const tree_limits& limits_;
    const xgboost_head& head_;
    tree_builder& builder_;
    bool covers_;

    std::string where_;
    std::size_t at_ = 0;
    pull_fields<xgboost_tree_names.size()> fields_;
    std::uint32_t nodes_ = 0, tree_features_ = 0, deletions_ = 0, leaf_width_ = 1;
    std::uint32_t live_ = 0, leaves_ = 0;
    bool vector_ = false, categorical_ = false;
    std::vector<std::int32_t> left_, right_, parents_, features_, defaults_, types_;
    std::vector<std::int32_t> categories_, category_nodes_, category_begins_, category_sizes_, child_counts_;
    std::vector<float> conditions_, sums_, weights_, gains_, leaf_weights_;
    std::vector<std::uint32_t> numbers_, words_;
    std::vector<double> values_;
};

}  // namespace opspilot::detail
