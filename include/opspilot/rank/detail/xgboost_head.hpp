/// \file
/// Internal: everything an XGBoost model says besides its trees.
#pragma once

#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "opspilot/rank/detail/pull_reader.hpp"
#include "opspilot/rank/tree_builder.hpp"

namespace opspilot::detail {

/// From base score to margin.
enum class xgboost_link : std::uint8_t { identity, logit, log };

struct xgboost_objective {
    std::string_view name;
    xgboost_link link;
};

/// All objectives of XGBoost 3.2, and names they had before.
inline constexpr std::array<xgboost_objective, 24> xgboost_objectives{{
    {"reg:squarederror", xgboost_link::identity},
    {"reg:linear", xgboost_link::identity},
    {"reg:squaredlogerror", xgboost_link::identity},
    {"reg:logistic", xgboost_link::logit},
    {"reg:pseudohubererror", xgboost_link::identity},
    {"reg:absoluteerror", xgboost_link::identity},
    {"reg:quantileerror", xgboost_link::identity},
    {"reg:gamma", xgboost_link::log},
    {"reg:tweedie", xgboost_link::log},
    {"binary:logistic", xgboost_link::logit},
    {"binary:logitraw", xgboost_link::identity},
    {"binary:hinge", xgboost_link::identity},
    {"count:poisson", xgboost_link::log},
    {"survival:cox", xgboost_link::log},
    {"survival:aft", xgboost_link::log},
    {"multi:softmax", xgboost_link::identity},
    {"multi:softprob", xgboost_link::identity},
    {"rank:ndcg", xgboost_link::identity},
    {"rank:map", xgboost_link::identity},
    {"rank:pairwise", xgboost_link::identity},
    {"gpu:reg:linear", xgboost_link::identity},
    {"gpu:reg:logistic", xgboost_link::logit},
    {"gpu:binary:logistic", xgboost_link::logit},
    {"gpu:binary:logitraw", xgboost_link::identity},
}};

/// The margin that XGBoost adds leaves to, in its own floats. The logarithm is that of the C library, as it is XGBoost's.
inline float xgboost_margin(xgboost_link link, float base_score) noexcept {
    constexpr float edge = 1e-6F;
    switch (link) {
        case xgboost_link::identity: break;
        case xgboost_link::logit: {
            const float inside = std::min(std::max(base_score, edge), 1.0F - edge);
            return -std::log(1.0F / inside - 1.0F);
        }
        case xgboost_link::log: return std::log(base_score);
    }
    return base_score;
}

struct xgboost_head {
    std::vector<std::int32_t> version;
    std::uint32_t features = 0;
    std::uint32_t classes = 0;
    std::uint32_t targets = 1;
    std::vector<float> base_scores;
    std::string base_score_place;
    std::string objective;
    xgboost_link link = xgboost_link::identity;
    bool dart = false;
    std::vector<std::string> names, types;
    std::uint32_t trees = 0;
    std::vector<std::int32_t> tree_outputs;
    std::vector<std::int32_t> rounds;  // where the trees of each begin
    std::vector<float> weights;        // of dart's trees
    pull_reader::bookmark trees_at;

    [[nodiscard]] std::uint32_t outputs() const noexcept { return std::max({targets, classes, 1U}); }
};

class xgboost_head_reader {
public:
    xgboost_head_reader(pull_reader& in, const tree_limits& limits) : in_(in), limits_(limits) {}

    /// Reads the whole document but for what is inside of "trees".
    [[nodiscard]] result<xgboost_head> read() {
        constexpr std::array<std::string_view, 4> names{"learner", "version", "Config", "Model"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         if (k == 0) return learner();
                         if (k == 1) return version();
                         return in_.problem("model.snapshot", in_.at(), "a snapshot of a booster in memory, not a model",
                                            "write the model with save_model or save_raw");
                     }));
        OPSPILOT_CHECK(in_.end());
        OPSPILOT_CHECK(fields.require({0, 1}));
        OPSPILOT_CHECK(agree());
        return std::move(head_);
    }

private:
    [[nodiscard]] opspilot::error problem(std::string_view code, std::string message, std::string hint = {}) const {
        return in_.problem(code, in_.at(), std::move(message), std::move(hint));
    }

    [[nodiscard]] status version() {
        const std::size_t at = in_.at();
        OPSPILOT_CHECK(in_.integers(head_.version, 3));
        if (head_.version.size() != 3 || head_.version[0] < 1 || head_.version[0] > 3)
            return in_.problem("model.version", at, fmt::format("file version {}", fmt::join(head_.version, ".")),
                               "versions 1 to 3 can be read; load the model with XGBoost 3 and save it again");
        return {};
    }

    [[nodiscard]] status learner() {
        constexpr std::array<std::string_view, 6> names{"attributes",       "feature_names",       "feature_types",
                                                        "gradient_booster", "learner_model_param", "objective"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         switch (k) {
                             case 0: return strings_by_key();
                             case 1: return strings(head_.names, limits_.features);
                             case 2: return strings(head_.types, limits_.features);
                             case 3: return booster();
                             case 4: return model_param();
                             default: return objective();
                         }
                     }));
        return fields.require({0, 3, 4, 5});
    }

    /// An object of strings with any keys.
    [[nodiscard]] status strings_by_key() {
        OPSPILOT_CHECK(in_.open_object());
        for (;;) {
            OPSPILOT_TRY(const bool more, in_.next());
            if (!more) return {};
            if (auto value = in_.text(); !value) return std::move(value).error();
        }
    }

    [[nodiscard]] status strings(std::vector<std::string>& out, std::size_t most) {
        OPSPILOT_CHECK(in_.open_array());
        for (;;) {
            OPSPILOT_TRY(const bool more, in_.next());
            if (!more) return {};
            if (out.size() == most)
                return opspilot::error{error_kind::limit, "model.limit_features", fmt::format("more than {} features", most),
                                       pull_reader::place(in_.pointer(), in_.at()),
                                       "raise the limit if the model can be trusted"};
            OPSPILOT_TRY(const std::string_view value, in_.text());
            out.emplace_back(value);
        }
    }

    /// A number in a string, as XGBoost writes its parameters.
    [[nodiscard]] result<std::uint32_t> quoted_integer() {
        const std::size_t at = in_.at();
        const std::string where = in_.pointer();
        OPSPILOT_TRY(const std::string_view digits, in_.text());
        std::uint32_t value = 0;
        const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (code != std::errc{} || stop != digits.data() + digits.size() ||
            value > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max()))
            return opspilot::error{error_kind::model,
                                   "model.bad_number",
                                   fmt::format("{} is not a number of its kind", quote(digits)),
                                   pull_reader::place(where, at),
                                   {}};
        return value;
    }

    [[nodiscard]] status model_param() {
        constexpr std::array<std::string_view, 5> names{"base_score", "num_feature", "num_class", "num_target",
                                                        "boost_from_average"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         if (k == 0) return base_score();
                         OPSPILOT_TRY(const std::uint32_t value, quoted_integer());
                         if (k == 1) head_.features = value;
                         if (k == 2) head_.classes = value;
                         if (k == 3) head_.targets = value;
                         return {};
                     }));
        OPSPILOT_CHECK(fields.require({0, 1, 2}));
        const auto refuse = [&](std::string_view code, std::string message) -> status {
            return opspilot::error{
                error_kind::model, code, std::move(message), pull_reader::place(fields.pointer, fields.at), {}};
        };
        if (head_.features > limits_.features)
            return opspilot::error{error_kind::limit, "model.limit_features",
                                   fmt::format("{} features, at most {} are allowed", head_.features, limits_.features),
                                   pull_reader::place(fields.pointer, fields.at), "raise the limit if the model can be trusted"};
        if (head_.targets == 0) return refuse("model.no_outputs", "num_target is 0");
        if (head_.classes > 1 && head_.targets > 1)
            return refuse("model.class_count", fmt::format("{} classes and {} targets", head_.classes, head_.targets));
        return {};
    }

    /// "5E-1", or since version 3.1 "[5E-1]" with a number per output.
    [[nodiscard]] status base_score() {
        const std::size_t at = in_.at();
        head_.base_score_place = pull_reader::place(in_.pointer(), at);
        OPSPILOT_TRY(std::string_view text, in_.text());
        const std::string_view whole = text;
        const auto refuse = [&]() -> status {
            return opspilot::error{error_kind::model,
                                   "model.base_score",
                                   fmt::format("{} is neither a finite number nor a list of them", quote(whole)),
                                   head_.base_score_place,
                                   {}};
        };
        if (text.starts_with('[')) {
            if (!text.ends_with(']')) return refuse();
            text = text.substr(1, text.size() - 2);
        }
        for (bool more = true; more;) {
            const std::size_t stop = std::min(text.find(','), text.size());
            const std::string_view digits = text.substr(0, stop);
            float value = 0;
            const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
            if (code != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(value)) return refuse();
            head_.base_scores.push_back(value);
            more = stop < text.size();
            text.remove_prefix(more ? stop + 1 : stop);
        }
        return {};
    }

    [[nodiscard]] status objective() {
        // The parameters of objectives say nothing about margins.
        constexpr std::array<std::string_view, 13> names{"name",
                                                         "reg_loss_param",
                                                         "softmax_multiclass_param",
                                                         "lambdarank_param",
                                                         "lambda_rank_param",
                                                         "aft_loss_param",
                                                         "poisson_regression_param",
                                                         "tweedie_regression_param",
                                                         "pseudo_huber_param",
                                                         "quantile_loss_param",
                                                         "hinge_param",
                                                         "ti+",
                                                         "tj-"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         if (k != 0) return in_.skip();
                         const std::size_t at = in_.at();
                         const std::string where = in_.pointer();
                         OPSPILOT_TRY(const std::string_view name, in_.text());
                         for (const xgboost_objective& known : xgboost_objectives)
                             if (known.name == name) {
                                 head_.objective = name;
                                 head_.link = known.link;
                                 return {};
                             }
                         std::array<std::string_view, xgboost_objectives.size()> all;
                         std::transform(xgboost_objectives.begin(), xgboost_objectives.end(), all.begin(),
                                        [](const xgboost_objective& o) { return o.name; });
                         return opspilot::error{error_kind::model, "model.unknown_objective",
                                                fmt::format("unknown objective {}", quote(name)), pull_reader::place(where, at),
                                                did_you_mean(name, all)};
                     }));
        return fields.require({0});
    }

    [[nodiscard]] opspilot::error linear_booster() const {
        return problem("model.linear_booster", "a linear model (booster gblinear), not trees",
                       "train with booster gbtree or dart");
    }

    [[nodiscard]] status booster() {
        constexpr std::array<std::string_view, 4> names{"name", "model", "gbtree", "weight_drop"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         if (k == 0) return booster_name(head_.dart);
                         if (k == 1) return model();
                         if (k == 2) return inner_booster();
                         return weights();
                     }));
        OPSPILOT_CHECK(fields.require({0}));
        if (!head_.dart) {
            OPSPILOT_CHECK(fields.require({1}));
        } else {
            OPSPILOT_CHECK(fields.require({2, 3}));
        }
        const std::size_t foreign = head_.dart ? 1 : 2;
        if (fields.given[foreign] || (!head_.dart && fields.given[3]))
            return opspilot::error{error_kind::model,
                                   "model.unknown_key",
                                   fmt::format("'{}' in a booster that is {}", fields.given[foreign] ? names[foreign] : names[3],
                                               head_.dart ? "dart" : "gbtree"),
                                   pull_reader::place(fields.pointer, fields.at),
                                   {}};
        return {};
    }

    [[nodiscard]] status booster_name(bool& dart) {
        const std::size_t at = in_.at();
        const std::string where = in_.pointer();
        OPSPILOT_TRY(const std::string_view name, in_.text());
        if (name == "gblinear") return linear_booster();
        constexpr std::array<std::string_view, 2> known{"gbtree", "dart"};
        if (name != known[0] && name != known[1])
            return opspilot::error{error_kind::model, "model.unknown_booster", fmt::format("unknown booster {}", quote(name)),
                                   pull_reader::place(where, at), did_you_mean(name, known)};
        dart = name == "dart";
        return {};
    }

    /// The trees of a dart model.
    [[nodiscard]] status inner_booster() {
        constexpr std::array<std::string_view, 2> names{"name", "model"};
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         if (k == 1) return model();
                         bool dart = false;
                         OPSPILOT_CHECK(booster_name(dart));
                         if (dart) return problem("model.unknown_booster", "dart inside of dart");
                         return {};
                     }));
        return fields.require({0, 1});
    }

    [[nodiscard]] status weights() { return in_.floats(head_.weights, limits_.trees); }

    [[nodiscard]] status model() {
        constexpr std::array<std::string_view, 8> names{
            "gbtree_model_param", "trees", "tree_info", "iteration_indptr", "cats", "weights", "boosted_rounds", "param"};
        if (has_model_) return problem("model.key_twice", "a second model");
        has_model_ = true;
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         switch (k) {
                             case 0: return tree_counts();
                             case 1: head_.trees_at = in_.mark(); return in_.leap();
                             case 2: return in_.integers(head_.tree_outputs, limits_.trees);
                             case 3: return in_.integers(head_.rounds, limits_.trees + 1);
                             // Categories of a data frame, by which XGBoost codes other data frames. Codes are what trees
                             // were made of, and codes are what is scored here.
                             case 4: return in_.skip();
                             default: return linear_booster();
                         }
                     }));
        OPSPILOT_CHECK(fields.require({0, 1, 2}));
        const auto refuse = [&](std::string_view code, std::string message) -> status {
            return opspilot::error{
                error_kind::model, code, std::move(message), pull_reader::place(fields.pointer, fields.at), {}};
        };
        if (head_.tree_outputs.size() != head_.trees)
            return refuse("model.tree_count",
                          fmt::format("tree_info has {} items for {} trees", head_.tree_outputs.size(), head_.trees));
        if (!fields.given[3]) return {};
        if (head_.rounds.empty() || head_.rounds.front() != 0 || !std::is_sorted(head_.rounds.begin(), head_.rounds.end()) ||
            static_cast<std::uint32_t>(head_.rounds.back()) != head_.trees)
            return refuse("model.rounds", fmt::format("iteration_indptr does not rise from 0 to {}", head_.trees));
        return {};
    }

    [[nodiscard]] status tree_counts() {
        constexpr std::array<std::string_view, 3> names{"num_trees", "num_parallel_tree", "size_leaf_vector"};
        const std::string where = in_.pointer();
        const std::size_t at = in_.at();
        OPSPILOT_TRY(const auto fields, pull_object(in_, names, [&](std::size_t k) -> status {
                         OPSPILOT_TRY(const std::uint32_t value, quoted_integer());
                         if (k == 0) head_.trees = value;
                         return {};
                     }));
        OPSPILOT_CHECK(fields.require({0}));
        if (head_.trees > limits_.trees)
            return opspilot::error{error_kind::limit, "model.limit_trees",
                                   fmt::format("{} trees, at most {} are allowed", head_.trees, limits_.trees),
                                   pull_reader::place(where, at), "raise the limit if the model can be trusted"};
        return {};
    }

    /// What is known only when everything was read.
    [[nodiscard]] status agree() {
        const auto refuse = [](std::string_view code, std::string message, std::string where, std::string hint = {}) -> status {
            return opspilot::error{error_kind::model, code, std::move(message), std::move(where), std::move(hint)};
        };
        const std::uint32_t outputs = head_.outputs();
        if (outputs > limits_.outputs)
            return opspilot::error{error_kind::limit, "model.limit_outputs",
                                   fmt::format("{} outputs, at most {} are allowed", outputs, limits_.outputs),
                                   "/learner/learner_model_param", "raise the limit if the model can be trusted"};
        if (head_.base_scores.size() == 1) head_.base_scores.resize(outputs, head_.base_scores.front());
        if (head_.base_scores.size() != outputs)
            return refuse("model.base_score", fmt::format("{} base scores for {} outputs", head_.base_scores.size(), outputs),
                          head_.base_score_place);
        for (float& value : head_.base_scores) {
            const float margin = xgboost_margin(head_.link, value);
            if (!std::isfinite(margin) || (head_.link == xgboost_link::logit && !(value >= 0 && value <= 1)))
                return refuse("model.base_score",
                              fmt::format("a base score of {} has no margin under {}", value, head_.objective),
                              head_.base_score_place, "train again with a base_score that the objective can reach");
            value = margin;
        }
        if (head_.dart && head_.weights.size() != head_.trees)
            return refuse("model.tree_count",
                          fmt::format("weight_drop has {} items for {} trees", head_.weights.size(), head_.trees),
                          "/learner/gradient_booster/weight_drop");
        if (!head_.names.empty() && head_.names.size() != head_.features)
            return refuse("model.feature_count", fmt::format("{} names for {} features", head_.names.size(), head_.features),
                          "/learner/feature_names");
        if (!head_.types.empty() && head_.types.size() != head_.features)
            return refuse("model.feature_count", fmt::format("{} types for {} features", head_.types.size(), head_.features),
                          "/learner/feature_types");
        constexpr std::array<std::string_view, 5> types{"q", "c", "i", "int", "float"};
        for (std::size_t j = 0; j < head_.types.size(); ++j)
            if (std::find(types.begin(), types.end(), head_.types[j]) == types.end())
                return refuse("model.feature_type", fmt::format("unknown feature type {}", quote(head_.types[j])),
                              fmt::format("/learner/feature_types/{}", j), fmt::format("one of: {}", fmt::join(types, ", ")));
        for (std::size_t t = 0; t < head_.tree_outputs.size(); ++t)
            if (head_.tree_outputs[t] < 0 || static_cast<std::uint32_t>(head_.tree_outputs[t]) >= outputs)
                return refuse("model.output_range",
                              fmt::format("tree {} adds to output {}, the model has {}", t, head_.tree_outputs[t], outputs),
                              "/learner/gradient_booster");
        return {};
    }

    pull_reader& in_;
    const tree_limits& limits_;
    xgboost_head head_;
    bool has_model_ = false;
};

}  // namespace opspilot::detail
