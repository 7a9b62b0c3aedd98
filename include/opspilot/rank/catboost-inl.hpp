#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/detail/catboost_json.hpp"

namespace opspilot {

namespace detail {

inline error catboost_error(std::string_view code, std::string where, std::string message, std::string hint = {}) {
    return {error_kind::model, code, std::move(message), std::move(where), std::move(hint)};
}

/// Checks and describes one model after its whole text was read.
class catboost_builder {
public:
    catboost_builder(const catboost_model& model, const tree_limits& limits) : m_(model), limits_(limits), builder_(limits) {}

    [[nodiscard]] result<tree_ensemble> build() {
        OPSPILOT_TRY(std::vector<std::string> names, feature_names());
        OPSPILOT_CHECK(check_borders());
        OPSPILOT_TRY(outputs_, count_outputs());
        OPSPILOT_CHECK(builder_.begin(std::move(names), outputs_, m_.trees.size()));
        builder_.objective(m_.loss + m_.loss_parameters);
        builder_.arithmetic({.float_values = true});
        if (!m_.bias.empty() || m_.scale != 1) {
            const std::vector<double> none(outputs_, 0.0);
            OPSPILOT_CHECK(builder_.scale_and_bias(m_.scale, m_.bias.empty() ? none : m_.bias));
        }
        for (std::size_t t = 0; t < m_.trees.size(); ++t) OPSPILOT_CHECK(m_.symmetric ? symmetric_tree(t) : any_tree(t));
        return builder_.finish();
    }

private:
    [[nodiscard]] std::string tree_place(std::size_t t) const {
        return fmt::format("{}/{}", m_.symmetric ? "/oblivious_trees" : "/trees", t);
    }
    template <class T>
    [[nodiscard]] std::span<const T> part(const std::vector<T>& all, std::size_t catboost_tree::* member, std::size_t t) const {
        const std::size_t first = m_.trees[t].*member;
        const std::size_t end = t + 1 < m_.trees.size() ? m_.trees[t + 1].*member : all.size();
        return std::span<const T>(all).subspan(first, end - first);
    }
    [[nodiscard]] std::span<const double> borders_of(std::size_t f) const {
        const std::size_t first = m_.features[f].first_border;
        const std::size_t end = f + 1 < m_.features.size() ? m_.features[f + 1].first_border : m_.borders.size();
        return std::span<const double>(m_.borders).subspan(first, end - first);
    }

    /// Columns of both kinds together count from 0 without a gap.
    result<std::vector<std::string>> feature_names() const {
        const std::size_t n = m_.features.size() + m_.categorical.size();
        if (n > limits_.features)
            return error{error_kind::limit, "model.limit_features",
                         fmt::format("{} features, at most {} are allowed", n, limits_.features), "/features_info",
                         "raise the limit if the model can be trusted"};
        std::vector<std::string> names(n);
        std::vector<bool> named(n, false);
        const auto take = [&](const auto& f, std::string where) -> status {
            if (f.flat >= n || named[f.flat])
                return catboost_error(
                    "model.feature_index", std::move(where),
                    f.flat < n ? fmt::format("two columns stand at {}", f.flat) : fmt::format("column {} of {}", f.flat, n));
            named[f.flat] = true;
            names[f.flat] = !f.id.empty() ? f.id : f.name;
            if (names[f.flat].empty()) names[f.flat] = fmt::format("{}", f.flat);
            return {};
        };
        for (std::size_t i = 0; i < m_.features.size(); ++i) {
            const std::string where = fmt::format("/features_info/float_features/{}", i);
            if (m_.features[i].index != i)
                return catboost_error("model.feature_index", where,
                                      fmt::format("feature_index {} at position {}", m_.features[i].index, i));
            OPSPILOT_CHECK(take(m_.features[i], where + "/flat_feature_index"));
        }
        for (std::size_t i = 0; i < m_.categorical.size(); ++i)
            OPSPILOT_CHECK(take(m_.categorical[i], fmt::format("/features_info/categorical_features/{}/flat_feature_index", i)));
        return names;
    }

    /// CatBoost counts the borders below a value: that is a comparison with one of them only where they rise.
    status check_borders() const {
        for (std::size_t f = 0; f < m_.features.size(); ++f) {
            const std::span<const double> borders = borders_of(f);
            for (std::size_t i = 0; i < borders.size(); ++i) {
                const auto border = static_cast<float>(std::clamp(borders[i], -big, big));
                if (static_cast<double>(border) != borders[i] || (i > 0 && borders[i] < borders[i - 1]))
                    return catboost_error("model.borders", fmt::format("/features_info/float_features/{}/borders/{}", f, i),
                                          i > 0 && borders[i] < borders[i - 1]
                                              ? fmt::format("border {} after {}", borders[i], borders[i - 1])
                                              : fmt::format("border {} is no float32 number", borders[i]));
            }
        }
        return {};
    }

    result<std::size_t> count_outputs() const {
        if (m_.trees.empty()) return std::max<std::size_t>(m_.bias.size(), 1);  // the builder refuses that
        if (!m_.symmetric) {
            for (const catboost_node& n : part(m_.nodes, &catboost_tree::nodes, 0))
                if (n.split == catboost_node::none) return std::size_t{n.values};
            return catboost_error("model.node_shape", tree_place(0), "the tree has no leaf");
        }
        const std::size_t depth = part(m_.splits, &catboost_tree::splits, 0).size();
        const std::size_t values = part(m_.values, &catboost_tree::values, 0).size();
        if (depth >= 32)
            return catboost_error("model.count", tree_place(0) + "/leaf_values",
                                  fmt::format("{} values for {} splits", values, depth));
        return values >> depth;
    }

    /// `value > border` is the way to the right; what is missing is small, or large where the column says so.
    status add_split(std::uint32_t node, const catboost_split& s, std::size_t t, std::uint32_t left, std::uint32_t right) {
        const auto wrong = [&](std::string_view code, std::string message) {
            return catboost_error(code, fmt::format("{}, node {}", tree_place(t), node), std::move(message));
        };
        if (s.feature >= m_.features.size())
            return wrong("model.feature_range",
                         fmt::format("float_feature_index {}, the model has {}", s.feature, m_.features.size()));
        const catboost_float_feature& f = m_.features[s.feature];
        const std::span<const double> borders = borders_of(s.feature);
        if (s.index < f.first_border || s.index - f.first_border >= borders.size() ||
            borders[s.index - f.first_border] != s.border)
            return wrong("model.split_index", fmt::format("border {} is not what split_index {} stands for", s.border, s.index));
        return builder_.split(node, f.flat, s.border, missing_rule::nan, !(f.has_nans && f.nan_is_large), left, right);
    }

    /// Node i has the children 2i+1 and 2i+2; the root asks for the highest bit of the leaf's number.
    status symmetric_tree(std::size_t t) {
        const auto splits = part(m_.splits, &catboost_tree::splits, t);
        const auto values = part(m_.values, &catboost_tree::values, t);
        const auto weights = part(m_.weights, &catboost_tree::weights, t);
        const std::size_t depth = splits.size();
        const std::size_t leaves = std::size_t{1} << std::min<std::size_t>(depth, 31);
        if (depth > 31 || values.size() / outputs_ != leaves || values.size() % outputs_ != 0)
            return catboost_error("model.count", tree_place(t) + "/leaf_values",
                                  fmt::format("{} values for {} splits and {} outputs", values.size(), depth, outputs_));
        const bool weighted = m_.trees[t].weighted;
        if (weighted && weights.size() != leaves)
            return catboost_error("model.count", tree_place(t) + "/leaf_weights",
                                  fmt::format("{} weights for {} leaves", weights.size(), leaves));
        OPSPILOT_CHECK(outputs_ == 1 ? builder_.begin_tree(2 * leaves - 1, 0, 0, tree_place(t))
                                     : builder_.begin_vector_tree(2 * leaves - 1, 0, tree_place(t)));
        std::uint32_t node = 0;
        for (std::size_t level = 0; level < depth; ++level)
            for (std::size_t i = 0; i < std::size_t{1} << level; ++i, ++node)
                OPSPILOT_CHECK(add_split(node, splits[depth - 1 - level], t, 2 * node + 1, 2 * node + 2));
        for (std::size_t leaf = 0; leaf < leaves; ++leaf)
            OPSPILOT_CHECK(builder_.leaf(node + static_cast<std::uint32_t>(leaf), values.subspan(leaf * outputs_, outputs_)));
        if (weighted) {
            std::vector<double> covers(2 * leaves - 1);
            std::copy(weights.begin(), weights.end(), covers.begin() + static_cast<std::ptrdiff_t>(leaves - 1));
            OPSPILOT_CHECK(add_covers(covers, [](std::size_t i) { return std::pair{2 * i + 1, 2 * i + 2}; }, leaves - 1));
        }
        return builder_.end_tree();
    }

    /// Children stand after their parents, so sums are made from the last node to the first.
    template <class Children>
    status add_covers(std::vector<double>& covers, const Children& children, std::size_t inner) {
        for (std::size_t i = inner; i-- > 0;) {
            const auto [left, right] = children(i);
            if (left != right) covers[i] = covers[left] + covers[right];
        }
        for (std::size_t i = 0; i < covers.size(); ++i) OPSPILOT_CHECK(builder_.cover(static_cast<std::uint32_t>(i), covers[i]));
        return {};
    }

    status any_tree(std::size_t t) {
        const auto nodes = part(m_.nodes, &catboost_tree::nodes, t);
        OPSPILOT_CHECK(outputs_ == 1 ? builder_.begin_tree(nodes.size(), 0, 0, tree_place(t))
                                     : builder_.begin_vector_tree(nodes.size(), 0, tree_place(t)));
        std::size_t leaves = 0;
        std::size_t weighted = 0;
        std::vector<double> covers(nodes.size());
        for (std::uint32_t i = 0; i < nodes.size(); ++i) {
            const catboost_node& n = nodes[i];
            if (n.split != catboost_node::none) {
                OPSPILOT_CHECK(add_split(i, m_.splits[n.split], t, n.left, n.right));
                continue;
            }
            OPSPILOT_CHECK(builder_.leaf(i, std::span<const double>(m_.values).subspan(n.first_value, n.values)));
            ++leaves;
            weighted += n.weight >= 0 ? 1 : 0;
            covers[i] = std::max(n.weight, 0.0);
        }
        if (weighted == leaves) {
            const auto children = [&](std::size_t i) {
                return nodes[i].split == catboost_node::none ? std::pair{0U, 0U} : std::pair{nodes[i].left, nodes[i].right};
            };
            OPSPILOT_CHECK(add_covers(covers, children, nodes.size()));
        } else if (weighted > 0) {
            return catboost_error("model.cover_missing", tree_place(t), "some leaves have a weight, others do not");
        }
        return builder_.end_tree();
    }

    static constexpr double big = std::numeric_limits<float>::max();
    const catboost_model& m_;
    const tree_limits& limits_;
    tree_builder builder_;
    std::size_t outputs_ = 1;
};

}  // namespace detail

OPSPILOT_INLINE result<tree_ensemble> read_catboost(std::string_view json, const tree_limits& limits) {
    if (json.size() > limits.bytes)
        return error{error_kind::limit,
                     "model.limit_bytes",
                     fmt::format("the model has {} bytes, at most {} are allowed", json.size(), limits.bytes),
                     {},
                     "raise the limit if the model can be trusted"};
    detail::catboost_model model;
    // The document around a tree is a few levels deep; the builder counts the tree's own.
    detail::catboost_reader reader(limits.depth + 16, model);
    OPSPILOT_CHECK(reader.read(json));
    return detail::catboost_builder(model, limits).build();
}

OPSPILOT_INLINE bool is_catboost(std::string_view bytes) noexcept {
    constexpr std::string_view space = " \t\r\n";
    const auto skip = [&](std::string_view token) {
        bytes.remove_prefix(std::min(bytes.find_first_not_of(space), bytes.size()));
        if (!bytes.starts_with(token)) return false;
        bytes.remove_prefix(token.size());
        return true;
    };
    if (!skip("{") || !skip("\"")) return false;
    const std::string_view key = bytes.substr(0, bytes.find('"'));
    return key == "ctr_data" || key == "features_info" || key == "model_info" || key == "oblivious_trees" ||
           key == "scale_and_bias" || key == "trees";
}

}  // namespace opspilot
