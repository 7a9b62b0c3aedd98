/// \file
/// Internal: what a CatBoost model says, taken from its JSON as it stands. Nothing is checked against anything else here.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/model_json.hpp"

namespace opspilot::detail {

enum class catboost_split_kind : std::uint8_t { unknown, number, one_hot, counter };

struct catboost_split {
    catboost_split_kind kind = catboost_split_kind::unknown;
    std::uint32_t feature = 0;  // position among the float features
    std::uint32_t index = 0;    // of the border, counted through all float features
    double border = 0;
};

struct catboost_float_feature {
    std::uint32_t index = 0;
    std::uint32_t flat = 0;
    bool nan_is_large = false;  // in effect: the treatment counts only where training saw missing values
    bool has_nans = false;
    std::size_t first_border = 0;
    std::string id, name;
};

struct catboost_other_feature {
    std::uint32_t flat = 0;
    std::string id, name;
};

/// A node of a tree that is not symmetric. Splits and leaves share the structure; `values` counts those of a leaf.
struct catboost_node {
    static constexpr std::uint32_t none = UINT32_MAX;
    std::uint32_t left = none, right = none;  // nodes of the same tree
    std::uint32_t split = none;               // into the splits of all trees
    std::uint32_t values = 0;
    std::size_t first_value = 0;
    double weight = -1;
};

/// Where the parts of a tree begin; they end where those of the next one do.
struct catboost_tree {
    std::size_t splits = 0, values = 0, weights = 0, nodes = 0;
    bool weighted = false;
};

struct catboost_model {
    std::vector<catboost_float_feature> features;
    std::vector<catboost_other_feature> categorical;
    std::vector<double> borders;  // of all features
    std::vector<catboost_tree> trees;
    std::vector<catboost_split> splits;
    std::vector<double> values;
    std::vector<double> weights;
    std::vector<catboost_node> nodes;
    bool symmetric = false;
    double scale = 1;
    std::vector<double> bias;
    std::string loss, loss_parameters;
};

class catboost_reader final : public model_json {
public:
    catboost_reader(std::size_t depth, catboost_model& out) : model_json(depth), out_(out) {}

private:
    enum place_name : std::uint32_t {
        skipped,
        document,
        features_info,
        float_list,
        float_feature,
        borders,
        categorical_list,
        categorical_feature,
        symmetric_list,
        symmetric_tree,
        split_list,
        split_item,
        leaf_values,
        leaf_weights,
        tree_list,
        node,
        node_value,
        scale_and_bias,
        bias,
        model_info,
        parameters,
        loss,
        loss_parameters,
    };

    enum document_key : std::uint32_t { d_ctr, d_features, d_info, d_symmetric, d_scale, d_trees };
    static constexpr std::array<document_field, 6> document_table{{
        {"ctr_data", json_kind::any, false, "counters of categories"},
        {"features_info", json_kind::object, true, "the columns"},
        {"model_info", json_kind::object, false, "how the model was trained"},
        {"oblivious_trees", json_kind::array, false, "symmetric trees"},
        {"scale_and_bias", json_kind::array, false, "[scale, [bias…]]"},
        {"trees", json_kind::array, false, "trees that are not symmetric"},
    }};
    enum features_key : std::uint32_t { i_float, i_categorical, i_ctrs, i_hash };
    static constexpr std::array<document_field, 4> features_table{{
        {"float_features", json_kind::array, false, "columns of numbers"},
        {"categorical_features", json_kind::array, false, "columns of categories"},
        {"ctrs", json_kind::array, false, "features made of categories"},
        {"cat_features_hash", json_kind::any, false, "hashes of categories"},
    }};
    enum float_key : std::uint32_t { f_borders, f_id, f_name, f_index, f_flat, f_nans, f_treatment };
    static constexpr std::array<std::string_view, 3> treatments{"AsIs", "AsFalse", "AsTrue"};
    static constexpr std::array<document_field, 7> float_table{{
        {"borders", json_kind::array, true, "thresholds of the column, rising"},
        {"feature_id", json_kind::text, false, "name of the column"},
        {"feature_name", json_kind::text, false, "name of the column"},
        {"feature_index", json_kind::integer, true, "position among the columns of numbers"},
        {"flat_feature_index", json_kind::integer, true, "position among all columns"},
        {"has_nans", json_kind::boolean, true, "whether training saw missing values"},
        {"nan_value_treatment", json_kind::text, true, "AsIs, AsFalse or AsTrue"},
    }};
    enum categorical_key : std::uint32_t { c_id, c_name, c_index, c_flat, c_values, c_strings };
    static constexpr std::array<document_field, 6> categorical_table{{
        {"feature_id", json_kind::text, false, "name of the column"},
        {"feature_name", json_kind::text, false, "name of the column"},
        {"feature_index", json_kind::integer, true, "position among the columns of categories"},
        {"flat_feature_index", json_kind::integer, true, "position among all columns"},
        {"values", json_kind::any, false, "hashes"},
        {"string_values", json_kind::any, false, "texts"},
    }};
    enum tree_key : std::uint32_t { t_values, t_weights, t_splits };
    static constexpr std::array<document_field, 3> tree_table{{
        {"leaf_values", json_kind::array, true, "one per leaf and output"},
        {"leaf_weights", json_kind::array, false, "one per leaf"},
        {"splits", json_kind::any, true, "from the lowest bit of a leaf's number; null for none"},
    }};
    enum split_key : std::uint32_t { s_border, s_feature, s_index, s_type, s_category, s_value, s_target };
    static constexpr std::array<document_field, 7> split_table{{
        {"border", json_kind::number, false, "right when the value is greater"},
        {"float_feature_index", json_kind::integer, false, "position among the columns of numbers"},
        {"split_index", json_kind::integer, true, "the border, counted through all features"},
        {"split_type", json_kind::text, true, "FloatFeature"},
        {"cat_feature_index", json_kind::integer, false, "position among the columns of categories"},
        {"value", json_kind::integer, false, "hash of a category"},
        {"ctr_target_border_idx", json_kind::integer, false, "which counter"},
    }};
    enum node_key : std::uint32_t { n_left, n_right, n_split, n_value, n_weight };
    static constexpr std::array<document_field, 5> node_table{{
        {"left", json_kind::object, false, "where the split's answer is no"},
        {"right", json_kind::object, false, "where the split's answer is yes"},
        {"split", json_kind::object, false, "of an inner node"},
        {"value", json_kind::any, false, "of a leaf: one number per output"},
        {"weight", json_kind::number, false, "of a leaf"},
    }};

    result<json_shape> begin(std::uint32_t place, bool array) override {
        switch (place) {
            case outside:
                if (array) return problem("model.not_catboost", "a CatBoost model is a JSON object");
                return json_shape{document, document_table};
            case document:
                switch (field()) {
                    case d_features: return json_shape{features_info, features_table};
                    case d_info: return json_shape{model_info};
                    case d_symmetric: out_.symmetric = true; return json_shape{symmetric_list};
                    case d_scale: return json_shape{scale_and_bias};
                    case d_trees: return json_shape{tree_list};
                    default: return json_shape{skipped};
                }
            case features_info:
                if (field() == i_float) return json_shape{float_list};
                if (field() == i_categorical) return json_shape{categorical_list};
                return json_shape{skipped};
            case float_list:
                if (array) break;
                out_.features.emplace_back();
                return json_shape{float_feature, float_table};
            case float_feature: out_.features.back().first_border = out_.borders.size(); return json_shape{borders};
            case categorical_list:
                if (array) break;
                out_.categorical.emplace_back();
                return json_shape{categorical_feature, categorical_table};
            case categorical_feature: return json_shape{skipped};
            case symmetric_list:
                if (array) break;
                open_tree();
                return json_shape{symmetric_tree, tree_table};
            case symmetric_tree:
                if (!array) break;
                if (field() == t_splits) return json_shape{split_list};
                if (field() == t_values) return json_shape{leaf_values};
                out_.trees.back().weighted = true;
                return json_shape{leaf_weights};
            case split_list:
                if (array) break;
                out_.splits.emplace_back();
                return json_shape{split_item, split_table};
            case tree_list:
                if (array) break;
                open_tree();
                open_.assign(1, 0);
                out_.nodes.emplace_back();
                return json_shape{node, node_table};
            case node: return begin_in_node(array);
            case scale_and_bias:
                if (!array || position() != 1) break;
                return json_shape{bias};
            case model_info: return json_shape{name() == "params" && !array ? parameters : skipped};
            case parameters: return json_shape{name() == "loss_function" && !array ? loss : skipped};
            case loss: return json_shape{name() == "params" && !array ? loss_parameters : skipped};
            case loss_parameters:
            case skipped: return json_shape{skipped};
            default: break;
        }
        return unexpected(array ? json_kind::array : json_kind::object);
    }

    result<json_shape> begin_in_node(bool array) {
        if (field() == n_value) {
            if (!array) return unexpected(json_kind::object);
            at().first_value = out_.values.size();
            return json_shape{node_value};
        }
        if (field() == n_split) {
            at().split = static_cast<std::uint32_t>(out_.splits.size());
            out_.splits.emplace_back();
            return json_shape{split_item, split_table};
        }
        const auto child = static_cast<std::uint32_t>(out_.nodes.size() - out_.trees.back().nodes);
        (field() == n_left ? at().left : at().right) = child;
        open_.push_back(child);
        out_.nodes.emplace_back();
        return json_shape{node, node_table};
    }

    status end(std::uint32_t place) override {
        switch (place) {
            case document:
                if (given(d_symmetric) == given(d_trees))
                    return problem("model.tree_kinds", given(d_trees) ? "trees of both kinds" : "the model has no list of trees",
                                   "expected JSON written by CatBoost: oblivious_trees, or trees");
                return {};
            case scale_and_bias:
                if (position() != 2)
                    return problem("model.count", fmt::format("scale_and_bias has {} items where 2 are needed", position()));
                return {};
            case split_item: return end_of_split();
            case node: return end_of_node();
            default: return {};
        }
    }

    status end_of_split() const {
        const catboost_split& s = out_.splits.back();
        if (s.kind == catboost_split_kind::one_hot || s.kind == catboost_split_kind::counter)
            return problem("model.categorical_split", "a split on categories, whose values are hashes of text",
                           "train on numbers, for example on categories that you encode yourself");
        for (const std::uint32_t k : {s_border, s_feature})
            if (!given(k)) return problem("model.missing_field", fmt::format("field '{}' is missing", split_table[k].name));
        for (const std::uint32_t k : {s_category, s_value, s_target})
            if (given(k)) return problem("model.unknown_field", fmt::format("'{}' in a split on numbers", split_table[k].name));
        return {};
    }

    status end_of_node() {
        const bool split = given(n_split);
        if (given(n_left) != split || given(n_right) != split || given(n_value) == split || (split && given(n_weight)))
            return problem("model.node_shape", "a node has either split, left and right, or value and weight");
        open_.pop_back();
        return {};
    }

    status value(std::uint32_t place, const json_scalar& s) override {
        switch (place) {
            case borders: return take_number(s, out_.borders);
            case leaf_values: return take_number(s, out_.values);
            case leaf_weights: return take_number(s, out_.weights);
            case bias: return take_number(s, out_.bias);
            case node_value: ++at().values; return take_number(s, out_.values);
            case scale_and_bias:
                if (position() == 1 && s.kind == json_kind::any) return {};  // no bias
                if (position() != 0 || !is_number(s)) return unexpected(s.kind);
                out_.scale = s.number;
                return {};
            case symmetric_tree:
                return s.kind == json_kind::any ? status{} : unexpected(s.kind);  // CatBoost writes null for no splits
            case float_feature: return float_value(s);
            case categorical_feature: return categorical_value(s);
            case split_item: return split_value(s);
            case node: return node_scalar(s);
            case loss:
                if (name() == "type" && s.kind == json_kind::text) out_.loss = s.text;
                return {};
            case loss_parameters:
                if (!name().starts_with("__") && s.kind == json_kind::text)
                    out_.loss_parameters += fmt::format(" {}:{}", name(), s.text);
                return {};
            case document:
            case features_info:
            case model_info:
            case parameters:
            case skipped: return {};
            default: return unexpected(s.kind);
        }
    }

    status float_value(const json_scalar& s) {
        catboost_float_feature& f = out_.features.back();
        switch (field()) {
            case f_id: f.id = s.text; return {};
            case f_name: f.name = s.text; return {};
            case f_index: return take_index(s, f.index);
            case f_flat: return take_index(s, f.flat);
            case f_nans: f.has_nans = s.truth; return {};
            default: break;
        }
        if (std::find(treatments.begin(), treatments.end(), s.text) == treatments.end())
            return problem("model.bad_choice", fmt::format("'nan_value_treatment' cannot be {}", quote(s.text)),
                           did_you_mean(s.text, treatments));
        f.nan_is_large = s.text == treatments.back();
        return {};
    }

    status categorical_value(const json_scalar& s) {
        catboost_other_feature& f = out_.categorical.back();
        std::uint32_t ignored = 0;
        if (field() == c_id) f.id = s.text;
        if (field() == c_name) f.name = s.text;
        if (field() == c_index) return take_index(s, ignored);
        return field() == c_flat ? take_index(s, f.flat) : status{};
    }

    status split_value(const json_scalar& s) {
        catboost_split& split = out_.splits.back();
        if (field() == s_border) split.border = s.number;
        if (field() == s_feature) return take_index(s, split.feature);
        if (field() == s_index) return take_index(s, split.index);
        if (field() != s_type) return {};
        static constexpr std::array<std::string_view, 3> kinds{"FloatFeature", "OneHotFeature", "OnlineCtr"};
        const auto found = std::find(kinds.begin(), kinds.end(), s.text);
        if (found == kinds.end())
            return problem("model.bad_choice", fmt::format("'split_type' cannot be {}", quote(s.text)),
                           did_you_mean(s.text, kinds));
        split.kind = static_cast<catboost_split_kind>(found - kinds.begin() + 1);
        return {};
    }

    status node_scalar(const json_scalar& s) {
        if (field() == n_weight) {
            at().weight = s.number;
            return s.number >= 0 ? status{} : problem("model.cover", fmt::format("a leaf's weight is {}", s.number));
        }
        at().first_value = out_.values.size();
        at().values = 1;
        return take_number(s, out_.values);
    }

    static bool is_number(const json_scalar& s) noexcept { return s.kind == json_kind::number || s.kind == json_kind::integer; }
    error unexpected(json_kind found) const {
        return problem("model.wrong_kind", fmt::format("{} stands where it cannot", json_kind_text(found)));
    }
    status take_number(const json_scalar& s, std::vector<double>& out) const {
        if (!is_number(s))
            return problem("model.wrong_kind", fmt::format("a number is needed, found {}", json_kind_text(s.kind)));
        out.push_back(s.number);
        return {};
    }
    status take_index(const json_scalar& s, std::uint32_t& out) const {
        if (s.integer < 0 || s.integer >= INT32_MAX)
            return problem("model.index_range", fmt::format("'{}' is {}", name(), s.integer));
        out = static_cast<std::uint32_t>(s.integer);
        return {};
    }

    void open_tree() {
        out_.trees.push_back({out_.splits.size(), out_.values.size(), out_.weights.size(), out_.nodes.size(), false});
    }
    catboost_node& at() { return out_.nodes[out_.trees.back().nodes + open_.back()]; }

    catboost_model& out_;
    std::vector<std::uint32_t> open_;  // nodes from the root to the one being read
};

}  // namespace opspilot::detail
