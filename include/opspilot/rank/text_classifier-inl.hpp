#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/base/math.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/weight_file.hpp"
#include "opspilot/rank/text_classifier.hpp"

namespace opspilot {

namespace detail {
struct classifier_content {
    std::vector<std::string> classes;
    std::optional<std::uint32_t> override_index;
    weight_file file;
};

inline std::shared_ptr<const classifier_content> finish_classifier(std::vector<std::string> classes, weight_file file) {
    auto out = std::make_shared<classifier_content>();
    const auto at = std::find(classes.begin(), classes.end(), override_class);
    if (at != classes.end()) out->override_index = static_cast<std::uint32_t>(at - classes.begin());
    out->classes = std::move(classes);
    out->file = std::move(file);
    return out;
}

inline error wrong_length(std::string_view what, std::size_t is, std::size_t should) {
    return {error_kind::usage, "usage.length", fmt::format("{} {}, the model needs {}", is, what, should), "", ""};
}

/// log Σ exp(x), terms added in order; entries of -infinity count nothing, at least one is finite.
inline double log_sum_exp(std::span<const double> x) noexcept {
    double largest = -std::numeric_limits<double>::infinity();
    for (const double v : x) largest = v > largest ? v : largest;
    double sum = 0.0;
    for (const double v : x) sum += portable_exp(v - largest);
    return largest + portable_log(sum);
}
}  // namespace detail

struct text_classifier::impl {
    std::shared_ptr<const detail::classifier_content> content;
    feature_binding binding;
    bool bound = false;

    /// bias + dense columns, before the sparse part.
    status begin(std::span<const float> dense, std::span<const std::uint8_t> allowed, std::span<const double> out,
                 classifier_scratch& scratch) const;
    status finish(std::span<const std::uint8_t> allowed, std::span<double> out, const classifier_scratch& scratch) const;
};

OPSPILOT_INLINE result<text_classifier> text_classifier::build(const parts& content) {
    if (content.classes.empty()) return error{error_kind::model, "model.shape", "a classifier needs at least one class", "", ""};
    OPSPILOT_CHECK(detail::check_names(content.classes, "/classes"));
    detail::weight_file file{content.blocks,         content.columns,     content.bias, content.centre,
                             content.column_weights, content.fingerprint, {},           {}};
    OPSPILOT_CHECK(
        detail::fill_weight_file(content.classes.size(), content.classes.size(), content.rows, content.training, file));
    text_classifier out;
    out.state = std::make_shared<impl>(impl{detail::finish_classifier(content.classes, std::move(file)), {}, false});
    return out;
}

OPSPILOT_INLINE result<text_classifier> text_classifier::parse(std::string_view bytes) {
    std::vector<std::string> classes;
    const auto shape = [&classes](const detail::json& header) -> result<detail::weight_shape> {
        OPSPILOT_TRY(classes, detail::read_names(header.at("classes"), "/classes"));
        if (classes.empty())
            return error{error_kind::model, "model.shape", "a classifier needs at least one class", "/classes", ""};
        return detail::weight_shape{classes.size(), 0};
    };
    OPSPILOT_TRY(detail::weight_file file, detail::read_weight_file(bytes, "text_classifier", detail::classifier_fields, shape));
    text_classifier out;
    out.state = std::make_shared<impl>(impl{detail::finish_classifier(std::move(classes), std::move(file)), {}, false});
    return out;
}

OPSPILOT_INLINE std::string text_classifier::to_bytes() const {
    return detail::write_weight_file({{"kind", "text_classifier"}, {"classes", state->content->classes}}, state->content->file);
}

OPSPILOT_INLINE std::span<const std::string> text_classifier::classes() const noexcept { return state->content->classes; }
OPSPILOT_INLINE std::span<const sparse_block> text_classifier::blocks() const noexcept { return state->content->file.blocks; }
OPSPILOT_INLINE std::span<const std::string> text_classifier::columns() const noexcept { return state->content->file.columns; }
OPSPILOT_INLINE const std::string& text_classifier::fingerprint() const noexcept { return state->content->file.fingerprint; }
OPSPILOT_INLINE const std::string& text_classifier::training() const noexcept { return state->content->file.training; }
OPSPILOT_INLINE const sparse_weights& text_classifier::weights() const noexcept { return state->content->file.table; }
OPSPILOT_INLINE std::optional<std::uint32_t> text_classifier::override_index() const noexcept {
    return state->content->override_index;
}

OPSPILOT_INLINE result<text_classifier> text_classifier::bound_to(const feature_names& offered) const {
    impl bound{state->content, {}, true};
    OPSPILOT_TRY(bound.binding, bind_features(offered, columns(), blocks(), fingerprint()));
    for (std::size_t j = 0; j < bound.binding.columns.size(); ++j) {
        const std::size_t at = bound.binding.columns[j];
        if (at >= offered.scopes.size() || offered.scopes[at] != scope::task)
            return error{
                error_kind::features, "features.scope",
                fmt::format("column \"{}\" differs between candidates, a classifier reads task columns", quote(columns()[j])), "",
                "use the column in a ranker or a choice model"};
    }
    text_classifier out;
    out.state = std::make_shared<impl>(std::move(bound));
    return out;
}

OPSPILOT_INLINE status text_classifier::impl::begin(std::span<const float> dense, std::span<const std::uint8_t> allowed,
                                                    std::span<const double> out, classifier_scratch& scratch) const {
    const detail::weight_file& file = content->file;
    const std::size_t classes = content->classes.size();
    if (dense.size() != file.columns.size()) return detail::wrong_length("column values", dense.size(), file.columns.size());
    if (out.size() != classes) return detail::wrong_length("places for log-probabilities", out.size(), classes);
    if (!allowed.empty() && allowed.size() != classes)
        return detail::wrong_length("marks of allowed classes", allowed.size(), classes);
    scratch.sums.assign(file.bias.begin(), file.bias.end());
    for (std::size_t j = 0; j < dense.size(); ++j) {
        if (!std::isfinite(dense[j])) continue;
        const float x = dense[j] - file.centre[j];
        const float* weight = file.column_weights.data() + j * classes;
        for (std::size_t k = 0; k < classes; ++k) scratch.sums[k] += x * weight[k];
    }
    return {};
}

OPSPILOT_INLINE status text_classifier::impl::finish(std::span<const std::uint8_t> allowed, std::span<double> out,
                                                     const classifier_scratch& scratch) const {
    constexpr double never = -std::numeric_limits<double>::infinity();
    bool any = false;
    for (std::size_t k = 0; k < out.size(); ++k) {
        if (!allowed.empty() && allowed[k] == 0) {
            out[k] = never;
            continue;
        }
        if (!std::isfinite(scratch.sums[k]))
            return error{error_kind::model, "model.overflow",
                         fmt::format("the logit of class \"{}\" is not finite", quote(content->classes[k])), "",
                         "an input is far beyond what the model was trained on"};
        out[k] = static_cast<double>(scratch.sums[k]);
        any = true;
    }
    if (!any) return error{error_kind::usage, "usage.no_class", "no class is allowed", "", ""};
    const double total = detail::log_sum_exp(out);
    for (double& v : out) v -= total;  // -infinity stays
    return {};
}

OPSPILOT_INLINE status text_classifier::log_probabilities(std::span<const sparse_view> views, std::span<const float> dense,
                                                          std::span<const std::uint8_t> allowed, std::span<double> out,
                                                          classifier_scratch& scratch) const {
    if (views.size() != blocks().size()) return detail::wrong_length("sparse blocks", views.size(), blocks().size());
    OPSPILOT_CHECK(state->begin(dense, allowed, out, scratch));
    weights().add(views, scratch.sums);
    return state->finish(allowed, out, scratch);
}

OPSPILOT_INLINE status text_classifier::log_probabilities(sparse_view row, std::span<const float> dense,
                                                          std::span<const std::uint8_t> allowed, std::span<double> out,
                                                          classifier_scratch& scratch) const {
    OPSPILOT_CHECK(state->begin(dense, allowed, out, scratch));
    weights().add(row, scratch.sums);
    return state->finish(allowed, out, scratch);
}

OPSPILOT_INLINE status text_classifier::log_probabilities(const feature_matrix& features, std::span<const std::uint8_t> allowed,
                                                          std::span<double> out, classifier_scratch& scratch) const {
    if (!state->bound)
        return error{error_kind::usage, "usage.unbound", "the classifier was not bound to a feature plan", "", "call bound_to"};
    const feature_binding& binding = state->binding;
    scratch.views.clear();
    for (const std::uint32_t b : binding.blocks) {
        if (b >= features.sparse_blocks())
            return detail::wrong_length("sparse blocks", features.sparse_blocks(), std::size_t{b} + 1);
        scratch.views.push_back(features.sparse(b));
    }
    scratch.dense.clear();
    for (const std::uint32_t j : binding.columns) {
        if (j >= features.columns()) return detail::wrong_length("columns", features.columns(), std::size_t{j} + 1);
        scratch.dense.push_back(features.rows() == 0 ? std::numeric_limits<float>::quiet_NaN() : features.at(0, j));
    }
    return log_probabilities(scratch.views, scratch.dense, allowed, out, scratch);
}

}  // namespace opspilot
