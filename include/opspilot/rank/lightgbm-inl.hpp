#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/rank/detail/lightgbm_text.hpp"
#include "opspilot/rank/lightgbm.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 12> lightgbm_header_names{
    "version",        "num_class",     "num_tree_per_iteration", "label_index",   "max_feature_idx", "objective",
    "average_output", "feature_names", "monotone_constraints",   "feature_infos", "tree_sizes",      "tree"};
enum lightgbm_header : std::size_t {
    h_version,
    h_classes,
    h_per_iteration,
    h_label,
    h_last_feature,
    h_objective,
    h_average,
    h_names,
    h_monotone,
    h_infos,
    h_sizes,
    h_tree
};

inline constexpr std::array<std::string_view, 22> lightgbm_tree_names{
    "num_leaves",      "num_cat",        "split_feature",  "split_gain",    "threshold",  "decision_type",
    "left_child",      "right_child",    "leaf_value",     "leaf_weight",   "leaf_count", "internal_value",
    "internal_weight", "internal_count", "cat_boundaries", "cat_threshold", "is_linear",  "shrinkage",
    "leaf_const",      "num_features",   "leaf_features",  "leaf_coeff"};
enum lightgbm_tree : std::size_t {
    t_leaves,
    t_cat,
    t_feature,
    t_gain,
    t_threshold,
    t_decision,
    t_left,
    t_right,
    t_value,
    t_leaf_weight,
    t_leaf_count,
    t_inner_value,
    t_inner_weight,
    t_inner_count,
    t_cat_boundaries,
    t_cat_threshold,
    t_linear,
    t_shrinkage,
    t_const,
    t_num_features,
    t_leaf_features,
    t_coeff
};

inline constexpr std::array<std::string_view, 16> lightgbm_objectives{
    "regression", "regression_l1", "huber",  "fair",       "poisson",       "quantile",      "mape",
    "gamma",      "tweedie",       "binary", "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda",
    "lambdarank", "rank_xendcg"};

/// LightGBM's kZeroThreshold: the decimal 1e-35 as a float, widened.
inline constexpr double lightgbm_zero = 1e-35F;

/// Arrays of one tree, kept between trees.
struct lightgbm_scratch {
    std::vector<std::uint32_t> features, boundaries, words;
    std::vector<double> thresholds, values, ignored, split_counts, leaf_counts;
    std::vector<std::int32_t> left, right;
    std::vector<std::uint32_t> decisions;
};

inline status lightgbm_feature_infos(const lightgbm_piece& list, std::size_t features) {
    return lightgbm_each(list, "feature_infos", features, [](std::string_view item, std::size_t at) -> status {
        if (item == "none") return {};
        const bool range = item.size() >= 2 && item.front() == '[' && item.back() == ']';
        std::string_view rest = range ? item.substr(1, item.size() - 2) : item;
        std::size_t parts = 0;
        for (bool more = true; more; ++parts) {
            const std::size_t end = std::min(rest.find(':'), rest.size());
            if (auto value = lightgbm_number<double>(rest.substr(0, end), at, "feature_infos"); !value)
                return std::move(value).error();
            more = end < rest.size();
            rest.remove_prefix(more ? end + 1 : end);
        }
        if (range && parts != 2)
            return lightgbm_error("model.bad_feature_info", at,
                                  fmt::format("{} is neither none, [min:max] nor a list of categories", quote(item)));
        return {};
    });
}

struct lightgbm_head {
    std::size_t outputs = 1;
    std::vector<std::size_t> sizes;
};

inline status lightgbm_read_objective(const lightgbm_piece& value, std::size_t classes, tree_builder& builder) {
    const std::string_view type = value.text.substr(0, value.text.find(' '));
    if (std::find(lightgbm_objectives.begin(), lightgbm_objectives.end(), type) == lightgbm_objectives.end())
        return lightgbm_error("model.unknown_objective", value.at, fmt::format("unknown objective {}", quote(type)),
                              did_you_mean(type, lightgbm_objectives));
    const bool several = type == "multiclass" || type == "multiclassova";
    constexpr std::string_view key = " num_class:";
    const std::size_t found = value.text.find(key);
    std::size_t stated = 1;
    if (found != std::string_view::npos) {
        std::string_view digits = value.text.substr(found + key.size());
        digits = digits.substr(0, digits.find(' '));
        OPSPILOT_TRY(stated, lightgbm_number<std::size_t>(digits, value.at, "num_class of the objective"));
    }
    if (several == (found == std::string_view::npos) || stated != classes)
        return lightgbm_error("model.class_count", value.at,
                              fmt::format("objective {} with num_class={}", quote(value.text), classes));
    builder.objective(std::string(value.text));
    return {};
}

inline result<lightgbm_head> lightgbm_read_head(lightgbm_lines& lines, const tree_limits& limits, tree_builder& builder) {
    {
        auto first = lines.next();
        if (!first || first->text != "tree")
            return lightgbm_error("model.not_lightgbm", 0, "the file does not begin with the line 'tree'",
                                  "expected the text written by LightGBM's Booster.save_model");
    }
    lightgbm_keys<lightgbm_header_names.size()> keys(lightgbm_header_names);
    for (;;) {
        OPSPILOT_TRY(const lightgbm_piece line, lines.next());
        if (line.text.empty()) break;
        OPSPILOT_CHECK(keys.take(line));
    }
    for (const std::size_t k : {h_version, h_classes, h_per_iteration, h_label, h_last_feature, h_names, h_infos, h_sizes})
        OPSPILOT_CHECK(keys.require(k, lines.at()));
    if (keys[h_tree].given) return lightgbm_error("model.unknown_key", keys[h_tree].at, "'tree' stands twice");
    if (keys[h_version].text != "v4" && keys[h_version].text != "v3")
        return lightgbm_error("model.version", keys[h_version].at, fmt::format("file version {}", quote(keys[h_version].text)),
                              "versions v3 and v4 can be read; load the model with LightGBM 4 and save it again");
    if (keys[h_average].given && !keys[h_average].text.empty())
        return lightgbm_error("model.bad_value", keys[h_average].at, "'average_output' takes no value");

    const auto integer = [&](std::size_t k) { return lightgbm_number<std::uint32_t>(keys[k].text, keys[k].at, keys.name(k)); };
    OPSPILOT_TRY(const std::uint32_t classes, integer(h_classes));
    OPSPILOT_TRY(const std::uint32_t per_iteration, integer(h_per_iteration));
    OPSPILOT_TRY(const std::uint32_t last_feature, integer(h_last_feature));
    if (auto label = lightgbm_number<std::int32_t>(keys[h_label].text, keys[h_label].at, "label_index"); !label)
        return std::move(label).error();
    if (classes != per_iteration)
        return lightgbm_error("model.class_count", keys[h_per_iteration].at,
                              fmt::format("num_class={} with num_tree_per_iteration={}", classes, per_iteration));
    const std::size_t features = std::size_t{last_feature} + 1;
    if (features > limits.features)
        return error{error_kind::limit, "model.limit_features",
                     fmt::format("{} features, at most {} are allowed", features, limits.features),
                     fmt::format("byte {}", keys[h_last_feature].at), "raise the limit if the model can be trusted"};

    std::vector<std::string> names;
    OPSPILOT_CHECK(lightgbm_each(keys[h_names], "feature_names", features, [&](std::string_view item, std::size_t at) -> status {
        if (item.empty()) return lightgbm_error("model.feature_name_empty", at, "a feature has no name");
        if (!valid_utf8(item)) return lightgbm_error("model.utf8", at, "a feature's name is not UTF-8");
        names.emplace_back(item);
        return {};
    }));
    OPSPILOT_CHECK(lightgbm_feature_infos(keys[h_infos], features));
    if (keys[h_monotone].given) {
        std::vector<std::int32_t> ignored;
        OPSPILOT_CHECK(lightgbm_numbers(keys[h_monotone], "monotone_constraints", features, ignored));
    }
    lightgbm_head head;
    head.outputs = classes;
    const std::size_t trees = lightgbm_items(keys[h_sizes].text);
    if (classes == 0) return lightgbm_error("model.no_outputs", keys[h_classes].at, "num_class=0");
    OPSPILOT_CHECK(builder.begin(std::move(names), classes, trees));
    OPSPILOT_CHECK(lightgbm_numbers(keys[h_sizes], "tree_sizes", trees, head.sizes));
    if (trees % classes != 0)
        return lightgbm_error("model.tree_count", keys[h_sizes].at,
                              fmt::format("{} trees are no multiple of {} per iteration", trees, classes));
    if (keys[h_objective].given) OPSPILOT_CHECK(lightgbm_read_objective(keys[h_objective], classes, builder));
    if (keys[h_average].given) builder.average();
    builder.arithmetic({.zero_threshold = lightgbm_zero});
    return head;
}

using lightgbm_tree_keys = lightgbm_keys<lightgbm_tree_names.size()>;

/// The splits of a tree with more than one leaf. Internal node i keeps its number, leaf k becomes leaves - 1 + k.
inline status lightgbm_read_splits(const lightgbm_tree_keys& keys, std::uint32_t leaves, std::uint32_t sets, lightgbm_scratch& s,
                                   tree_builder& builder) {
    const std::uint32_t inner = leaves - 1;
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_feature], "split_feature", inner, s.features));
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_threshold], "threshold", inner, s.thresholds));
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_decision], "decision_type", inner, s.decisions));
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_left], "left_child", inner, s.left));
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_right], "right_child", inner, s.right));
    if (sets > 0) {
        OPSPILOT_CHECK(lightgbm_numbers(keys[t_cat_boundaries], "cat_boundaries", std::size_t{sets} + 1, s.boundaries));
        if (s.boundaries.front() != 0 || !std::is_sorted(s.boundaries.begin(), s.boundaries.end()))
            return lightgbm_error("model.category_boundaries", keys[t_cat_boundaries].at, "cat_boundaries do not rise from 0");
        OPSPILOT_CHECK(lightgbm_numbers(keys[t_cat_threshold], "cat_threshold", s.boundaries.back(), s.words));
    }
    const auto child = [&](std::int32_t c) -> std::uint32_t {
        constexpr std::uint32_t outside = UINT32_MAX;  // which the builder refuses
        if (c >= 0) return static_cast<std::uint32_t>(c) < inner ? static_cast<std::uint32_t>(c) : outside;
        return static_cast<std::uint32_t>(~c) < leaves ? inner + static_cast<std::uint32_t>(~c) : outside;
    };
    std::uint32_t categorical = 0;
    for (std::uint32_t i = 0; i < inner; ++i) {
        const std::uint32_t decision = s.decisions[i];
        const std::uint32_t missing = decision >> 2;
        if (missing > 2)
            return lightgbm_error("model.decision_type", keys[t_decision].at,
                                  fmt::format("decision_type {} of split {}", decision, i));
        const std::uint32_t left = child(s.left[i]);
        const std::uint32_t right = child(s.right[i]);
        if ((decision & 1U) == 0) {
            OPSPILOT_CHECK(builder.split(i, s.features[i], s.thresholds[i], static_cast<missing_rule>(missing),
                                         (decision & 2U) != 0, left, right));
            continue;
        }
        ++categorical;
        const double set = s.thresholds[i];
        if (!(set >= 0) || set >= sets || set != static_cast<double>(static_cast<std::uint32_t>(set)))
            return lightgbm_error("model.category_set", keys[t_threshold].at,
                                  fmt::format("split {} names category set {} of {}", i, set, sets));
        const std::uint32_t begin = s.boundaries[static_cast<std::uint32_t>(set)];
        const std::uint32_t end = s.boundaries[static_cast<std::uint32_t>(set) + 1];
        OPSPILOT_CHECK(builder.split_categories(
            i, s.features[i], std::span<const std::uint32_t>(s.words).subspan(begin, end - begin), false, left, right));
    }
    if (categorical != sets)
        return lightgbm_error("model.count", keys[t_cat].at,
                              fmt::format("num_cat={} but {} splits are categorical", sets, categorical));
    return {};
}

inline status lightgbm_read_tree(lightgbm_lines& lines, std::size_t index, std::size_t size, std::size_t outputs,
                                 lightgbm_scratch& s, tree_builder& builder) {
    const std::size_t begin = lines.at();
    OPSPILOT_CHECK(lines.expect(fmt::format("Tree={}", index)));
    lightgbm_tree_keys keys(lightgbm_tree_names);
    for (;;) {
        OPSPILOT_TRY(const lightgbm_piece line, lines.next());
        if (line.text.empty()) break;
        OPSPILOT_CHECK(keys.take(line));
    }
    OPSPILOT_CHECK(lines.expect(""));
    if (lines.at() - begin != size)
        return lightgbm_error("model.tree_size", begin,
                              fmt::format("tree {} has {} bytes where tree_sizes says {}", index, lines.at() - begin, size));
    for (const std::size_t k : {t_leaves, t_cat, t_value}) OPSPILOT_CHECK(keys.require(k, begin));

    if (keys[t_linear].given && keys[t_linear].text == "1")
        return lightgbm_error("model.linear_tree", keys[t_linear].at,
                              fmt::format("tree {} has linear models in its leaves", index), "train with linear_tree=false");
    if (keys[t_linear].given && keys[t_linear].text != "0")
        return lightgbm_error("model.bad_value", keys[t_linear].at, fmt::format("is_linear={}", quote(keys[t_linear].text)));
    for (const std::size_t k : {t_const, t_num_features, t_leaf_features, t_coeff})
        if (keys[k].given)
            return lightgbm_error("model.linear_tree", keys[k].at,
                                  fmt::format("'{}' in a tree that is not linear", keys.name(k)));

    OPSPILOT_TRY(const auto leaves, lightgbm_number<std::uint32_t>(keys[t_leaves].text, keys[t_leaves].at, "num_leaves"));
    OPSPILOT_TRY(const auto sets, lightgbm_number<std::uint32_t>(keys[t_cat].text, keys[t_cat].at, "num_cat"));
    if (leaves == 0) return lightgbm_error("model.tree_empty", keys[t_leaves].at, fmt::format("tree {} has no leaves", index));
    if (sets >= leaves)
        return lightgbm_error("model.count", keys[t_cat].at, fmt::format("num_cat={} in a tree of {} leaves", sets, leaves));
    // The number of leaves is believed only after as many values were found.
    OPSPILOT_CHECK(lightgbm_numbers(keys[t_value], "leaf_value", leaves, s.values));
    for (const std::size_t k : {t_cat_boundaries, t_cat_threshold}) {
        if (sets > 0) OPSPILOT_CHECK(keys.require(k, begin));
        if (sets == 0 && keys[k].given)
            return lightgbm_error("model.count", keys[k].at, fmt::format("'{}' in a tree with num_cat=0", keys.name(k)));
    }
    for (const std::size_t k : {t_gain, t_inner_value, t_inner_weight, t_inner_count})
        if (keys[k].given)
            OPSPILOT_CHECK(lightgbm_numbers(keys[k], keys.name(k), leaves - 1, k == t_inner_count ? s.split_counts : s.ignored));
    for (const std::size_t k : {t_leaf_weight, t_leaf_count})
        if (keys[k].given && !(leaves == 1 && keys[k].text.empty()))
            OPSPILOT_CHECK(lightgbm_numbers(keys[k], keys.name(k), leaves, k == t_leaf_count ? s.leaf_counts : s.ignored));
    if (keys[t_shrinkage].given)
        if (auto shrinkage = lightgbm_number<double>(keys[t_shrinkage].text, keys[t_shrinkage].at, "shrinkage"); !shrinkage)
            return std::move(shrinkage).error();

    OPSPILOT_CHECK(builder.begin_tree(2 * std::size_t{leaves} - 1, index % outputs, 0, fmt::format("byte {}", begin)));
    for (const std::size_t k : {t_feature, t_threshold, t_decision, t_left, t_right}) {
        if (leaves > 1) OPSPILOT_CHECK(keys.require(k, begin));
        if (leaves == 1 && !keys[k].text.empty())
            return lightgbm_error("model.count", keys[k].at, fmt::format("'{}' in a tree of one leaf", keys.name(k)));
    }
    if (leaves > 1) OPSPILOT_CHECK(lightgbm_read_splits(keys, leaves, sets, s, builder));
    for (std::uint32_t k = 0; k < leaves; ++k) OPSPILOT_CHECK(builder.leaf(leaves - 1 + k, s.values[k]));
    // Counts of training rows, which is what pred_contrib weighs by; a single leaf has nothing to weigh.
    if (leaves > 1 && keys[t_inner_count].given && keys[t_leaf_count].given) {
        for (std::uint32_t i = 0; i < leaves - 1; ++i) OPSPILOT_CHECK(builder.cover(i, s.split_counts[i]));
        for (std::uint32_t k = 0; k < leaves; ++k) OPSPILOT_CHECK(builder.cover(leaves - 1 + k, s.leaf_counts[k]));
    }
    return builder.end_tree();
}

/// What follows the trees decides no score, but must be whole and nothing else.
inline status lightgbm_read_tail(lightgbm_lines& lines) {
    OPSPILOT_CHECK(lines.expect(""));
    OPSPILOT_CHECK(lines.expect("feature_importances:"));
    bool importances = true;
    bool parameters = false;
    bool pandas = false;
    while (!lines.done()) {
        OPSPILOT_TRY(const lightgbm_piece line, lines.next());
        if (line.text.empty()) {
            importances = false;
            continue;
        }
        if (importances) {
            const std::size_t equals = line.text.rfind('=');
            if (equals == std::string_view::npos)
                return lightgbm_error("model.unexpected_line", line.at,
                                      fmt::format("{} among the feature importances", quote(line.text)));
            if (auto n = lightgbm_number<std::uint64_t>(line.text.substr(equals + 1), line.at + equals + 1, "importance"); !n)
                return std::move(n).error();
        } else if (line.text == "parameters:" && !parameters && !pandas) {
            parameters = true;
            for (;;) {
                OPSPILOT_TRY(const lightgbm_piece parameter, lines.next());
                if (parameter.text == "end of parameters") break;
                if (!parameter.text.empty() && (parameter.text.front() != '[' || parameter.text.back() != ']'))
                    return lightgbm_error("model.unexpected_line", parameter.at,
                                          fmt::format("{} among the parameters", quote(parameter.text)));
            }
        } else if (line.text.starts_with("pandas_categorical:") && !pandas) {
            pandas = true;
            const std::string_view value = line.text.substr(line.text.find(':') + 1);
            // Which names a data frame's codes stood for. Splits are on the codes, so rows of codes score as they do there.
            const auto names = parse_json(value, error_kind::model);
            if (!names || !(names->is_null() || names->is_array()))
                return lightgbm_error("model.pandas_categories", line.at,
                                      fmt::format("{} is no list of categories", quote(value)));
        } else {
            return lightgbm_error("model.trailing_data", line.at, fmt::format("{} after the model's end", quote(line.text)));
        }
    }
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<tree_ensemble> read_lightgbm(std::string_view text, const tree_limits& limits) {
    if (text.size() > limits.bytes)
        return error{error_kind::limit,
                     "model.limit_bytes",
                     fmt::format("the model has {} bytes, at most {} are allowed", text.size(), limits.bytes),
                     {},
                     "raise the limit if the model can be trusted"};
    detail::lightgbm_lines lines(text);
    tree_builder builder(limits);
    OPSPILOT_TRY(const detail::lightgbm_head head, detail::lightgbm_read_head(lines, limits, builder));
    detail::lightgbm_scratch scratch;
    for (std::size_t t = 0; t < head.sizes.size(); ++t)
        OPSPILOT_CHECK(detail::lightgbm_read_tree(lines, t, head.sizes[t], head.outputs, scratch, builder));
    OPSPILOT_CHECK(lines.expect("end of trees"));
    OPSPILOT_CHECK(detail::lightgbm_read_tail(lines));
    return builder.finish();
}

OPSPILOT_INLINE std::string lightgbm_feature_name(std::string_view name) {
    constexpr std::string_view refused = "\",:[]{}%";
    std::string out;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte != 0x7F && refused.find(c) == std::string_view::npos)
            out += c;
        else
            out += fmt::format("%{:02X}", byte);
    }
    return out;
}

}  // namespace opspilot
