#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/base/math.hpp"
#include "opspilot/rank/detail/pipeline_parse.hpp"
#include "opspilot/rank/detail/pipeline_state.hpp"
#include "opspilot/rank/pipeline.hpp"

namespace opspilot {

OPSPILOT_INLINE rank_workspace::rank_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE rank_workspace::~rank_workspace() = default;
OPSPILOT_INLINE rank_workspace::rank_workspace(rank_workspace&&) noexcept = default;
OPSPILOT_INLINE rank_workspace& rank_workspace::operator=(rank_workspace&&) noexcept = default;

namespace detail {

OPSPILOT_INLINE pipeline_tables pipeline_document_tables() noexcept {
    return {pipeline_fields, stage_fields, rerank_fields, stage_kind_names, stage_keys};
}

/// Log-probabilities of the candidates' classes; returns the probability of override.
inline result<double> score_classes(const stage& s, const frame& f, const feature_matrix& features, rank_workspace::impl& ws,
                                    std::span<double> out) {
    const std::span<const std::string> classes = s.classifier->classes();
    const auto class_at = [&](std::size_t i) noexcept {
        const cell c = f.get(s.field, i);
        return c.has_value() && c.code < s.class_of.size() ? s.class_of[c.code] : no_code;
    };
    ws.allowed.assign(classes.size(), 0);
    bool any = false;
    for (std::size_t i = 0; i < out.size(); ++i)
        if (const std::uint32_t c = class_at(i); c != no_code) {
            ws.allowed[c] = 1;
            any = true;
        }
    const auto override_index = s.classifier->override_index();
    if (override_index) ws.allowed[*override_index] = 1;
    if (!any && !override_index) {
        std::fill(out.begin(), out.end(), no_class_log_probability);
        return 0.0;
    }
    ws.log_probabilities.resize(classes.size());
    OPSPILOT_CHECK(s.classifier->log_probabilities(features, ws.allowed, ws.log_probabilities, ws.classifier));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::uint32_t c = class_at(i);
        out[i] = c == no_code ? no_class_log_probability : ws.log_probabilities[c];
    }
    return override_index ? portable_exp(ws.log_probabilities[*override_index]) : 0.0;
}

inline result<double> score_choice(const stage& s, const frame& f, const feature_matrix& features, rank_workspace::impl& ws,
                                   std::span<double> out) {
    OPSPILOT_CHECK(s.choice->utilities(f, features, out, ws.choice));
    if (!s.has_override) {
        if (!out.empty()) log_softmax(out);
        return 0.0;
    }
    return portable_exp(log_softmax(out, s.choice->outside_utility(ws.choice)));
}

inline status score_linear(const stage& s, const feature_matrix& features, rank_workspace::impl& ws, std::span<double> out) {
    ws.views.clear();
    for (const std::uint32_t block : s.blocks) ws.views.push_back(features.sparse(block));
    float sparse = 0.0F;
    OPSPILOT_CHECK(s.linear->sparse_score(ws.views, sparse));
    ws.floats.resize(out.size());
    OPSPILOT_CHECK(s.linear->score_columns(ws.inputs, out.size(), ws.floats, sparse));
    std::copy(ws.floats.begin(), ws.floats.end(), out.begin());
    return {};
}

inline status score_trees(const stage& s, rank_workspace::impl& ws, std::span<double> out) {
    const std::size_t width = s.trees->outputs();
    const bool some = s.reranks >= 0;
    const std::size_t count = some ? ws.chosen.size() : out.size();
    const candidate_columns candidates{ws.inputs, out.size(), s.constant, some ? ws.chosen : std::span<const std::uint32_t>{}};
    if (width == 1 && !some) return s.trees->score(candidates, out, ws.trees);
    ws.outputs.resize(count * width);
    OPSPILOT_CHECK(s.trees->score(candidates, ws.outputs, ws.trees));
    if (some) std::fill(out.begin(), out.end(), std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < count; ++i) out[some ? ws.chosen[i] : i] = ws.outputs[i * width + s.output];
    return {};
}

/// The best candidates of the stage before a reranking one, in the host's order. Those without a score there are none of them.
inline status choose(const stage& s, std::string_view earlier, std::span<const double> scores, rank_workspace::impl& ws) {
    ws.chosen.clear();
    for (std::uint32_t i = 0; i < scores.size(); ++i)
        if (!std::isnan(scores[i])) ws.chosen.push_back(i);
    if (ws.chosen.empty() && !scores.empty())
        return error{error_kind::model, "model.score_missing",
                     fmt::format("stage '{}' scores the best of '{}', which gave no candidate a score", s.name, earlier), "",
                     "give the candidates scores"};
    if (ws.chosen.size() <= s.rerank_count) return {};
    std::nth_element(ws.chosen.begin(), ws.chosen.begin() + static_cast<std::ptrdiff_t>(s.rerank_count), ws.chosen.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
    ws.chosen.resize(s.rerank_count);
    std::sort(ws.chosen.begin(), ws.chosen.end());
    return {};
}

/// A linear model scores all candidates sooner than it would gather the chosen ones; the others' scores are dropped.
inline void drop_others(rank_workspace::impl& ws, std::span<double> out) {
    std::size_t next = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
        if (next < ws.chosen.size() && ws.chosen[next] == i)
            ++next;
        else
            out[i] = std::numeric_limits<double>::quiet_NaN();
}

/// One column of what a stage gives to later ones.
inline void fill_stage_column(stage_value value, std::span<const double> scores, double override_probability,
                              rank_workspace::impl& ws, float* out) {
    switch (value) {
        case stage_value::score:
        case stage_value::log_probability:
            for (std::size_t i = 0; i < scores.size(); ++i) out[i] = static_cast<float>(scores[i]);
            return;
        case stage_value::probability:
            for (std::size_t i = 0; i < scores.size(); ++i) out[i] = static_cast<float>(portable_exp(scores[i]));
            return;
        case stage_value::override_probability:
            std::fill(out, out + scores.size(), static_cast<float>(override_probability));
            return;
        case stage_value::rank: {
            // Missing scores come last, so that the order is strict and weak.
            const auto key = [&](std::uint32_t i) {
                return std::isnan(scores[i]) ? -std::numeric_limits<double>::infinity() : scores[i];
            };
            ws.order.resize(scores.size());
            for (std::uint32_t i = 0; i < ws.order.size(); ++i) ws.order[i] = i;
            std::sort(ws.order.begin(), ws.order.end(), [&](std::uint32_t a, std::uint32_t b) { return key(a) > key(b); });
            std::size_t higher = 0;
            for (std::size_t k = 0; k < ws.order.size(); ++k) {
                if (k > 0 && key(ws.order[k]) < key(ws.order[k - 1])) higher = k;
                out[ws.order[k]] = static_cast<float>(higher);
            }
            return;
        }
        case stage_value::margin: {
            double best = -std::numeric_limits<double>::infinity();
            double second = best;
            for (const double score : scores) {
                if (score > best) {
                    second = best;
                    best = score;
                } else if (score > second) {
                    second = score;
                }
            }
            for (std::size_t i = 0; i < scores.size(); ++i) {
                const double other = scores[i] == best ? second : best;
                out[i] = std::isinf(other) ? 0.0F : static_cast<float>(scores[i] - other);
            }
            return;
        }
    }
}

inline status check_stage_scores(const stage& s, bool ordering, const rank_workspace::impl& ws, std::span<const double> scores) {
    const bool some = s.reranks >= 0;
    for (std::size_t at = 0; at < (some ? ws.chosen.size() : scores.size()); ++at) {
        const std::size_t i = some ? ws.chosen[at] : at;
        if (std::isfinite(scores[i])) continue;
        if (s.kind == stage_kind::host) {
            if (!ordering || std::isinf(scores[i])) continue;
            return error{error_kind::model, "model.score_missing",
                         fmt::format("stage '{}' orders candidates, but candidate {} has no score", s.name, i),
                         fmt::format("candidate {}", i), "give every candidate a score"};
        }
        std::string culprit;
        for (std::size_t j = 0; j < s.inputs.size() && culprit.empty(); ++j)
            if (!std::isfinite(ws.inputs[j][i])) culprit = fmt::format("'{}' is {}", s.input_names[j], ws.inputs[j][i]);
        return error{error_kind::model, "model.score_not_finite",
                     fmt::format("stage '{}' gives candidate {} the score {}", s.name, i, scores[i]),
                     fmt::format("candidate {}", i), std::move(culprit)};
    }
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<pipeline> pipeline::parse(std::string_view stages_json,
                                                 const std::function<result<std::string_view>(std::string_view)>& load,
                                                 const schema& s, const feature_plan& plan, dictionary& strings) {
    detail::pipeline_parser parser(load, s, plan, strings);
    pipeline out;
    OPSPILOT_TRY(out.state, parser.parse(stages_json));
    return out;
}

OPSPILOT_INLINE std::span<const std::string> pipeline::stage_names() const noexcept { return state->names; }

OPSPILOT_INLINE status pipeline::score(const frame& f, const feature_matrix& features, rank_workspace& scratch,
                                       std::size_t last) const {
    rank_workspace::impl& ws = *scratch.state;
    ws.done = 0;
    const std::size_t n = f.size();
    if (features.rows() != n || features.columns() != state->plan_columns || features.sparse_blocks() != state->plan_blocks)
        return error{
            error_kind::usage,
            "usage.length",
            fmt::format("features of {} × {} with {} blocks for {} candidates, {} columns and {} blocks", features.rows(),
                        features.columns(), features.sparse_blocks(), n, state->plan_columns, state->plan_blocks),
            {},
            "apply the plan that the pipeline was parsed with to the same frame"};
    const std::size_t end = last < state->stages.size() ? last + 1 : state->stages.size();
    if (ws.scores.size() < state->stages.size()) ws.scores.resize(state->stages.size());
    ws.override_of.assign(state->stages.size(), 0.0);
    ws.scopes.assign(state->columns.size(), scope::pair);
    ws.columns.resize(n, ws.scopes, 0);
    for (std::size_t k = 0; k < end; ++k) {
        const detail::stage& s = state->stages[k];
        ws.scores[k].resize(n);
        const std::span<double> out = ws.scores[k];
        ws.inputs.clear();
        for (const detail::stage_input& input : s.inputs)
            ws.inputs.push_back(input.staged ? ws.columns.column(input.index) : features.column(input.index));
        if (s.reranks >= 0) {
            const auto earlier = static_cast<std::size_t>(s.reranks);
            OPSPILOT_CHECK(detail::choose(s, state->names[earlier], ws.scores[earlier], ws));
        }
        switch (s.kind) {
            case detail::stage_kind::text_classifier: {
                OPSPILOT_TRY(ws.override_of[k], detail::score_classes(s, f, features, ws, out));
                break;
            }
            case detail::stage_kind::choice: {
                OPSPILOT_TRY(ws.override_of[k], detail::score_choice(s, f, features, ws, out));
                break;
            }
            case detail::stage_kind::linear:
                OPSPILOT_CHECK(detail::score_linear(s, features, ws, out));
                if (s.reranks >= 0) detail::drop_others(ws, out);
                break;
            case detail::stage_kind::trees: OPSPILOT_CHECK(detail::score_trees(s, ws, out)); break;
            case detail::stage_kind::host:
                for (std::size_t i = 0; i < n; ++i) {
                    const cell c = f.get(s.field, i);
                    out[i] = c.has_value() ? c.number : std::numeric_limits<double>::quiet_NaN();
                }
                break;
        }
        const bool ordering = k == state->rank_by || static_cast<int>(k) == state->linear;
        OPSPILOT_CHECK(detail::check_stage_scores(s, ordering, ws, out));
        for (std::size_t c = 0; c < state->columns.size(); ++c)
            if (state->columns[c].stage == k)
                detail::fill_stage_column(state->columns[c].value, out, ws.override_of[k], ws, ws.columns.column(c));
        ws.done = k + 1;
    }
    return {};
}

namespace detail {

/// The largest parts of a score, and the sum of the others.
inline void pick_parts(const stage& s, std::span<const double> contributions, std::size_t top, rank_workspace::impl& ws,
                       score_explanation& out) {
    ws.order.clear();
    for (std::uint32_t j = 0; j < contributions.size(); ++j)
        if (contributions[j] != 0) ws.order.push_back(j);
    const std::size_t listed = std::min(top, ws.order.size());
    std::partial_sort(ws.order.begin(), ws.order.begin() + static_cast<std::ptrdiff_t>(listed), ws.order.end(),
                      [&](std::uint32_t a, std::uint32_t b) {
                          const double x = std::fabs(contributions[a]);
                          const double y = std::fabs(contributions[b]);
                          return x != y ? x > y : a < b;
                      });
    for (std::size_t i = 0; i < ws.order.size(); ++i) {
        const std::uint32_t j = ws.order[i];
        if (i < listed)
            out.parts.push_back({s.input_names[j], contributions[j], s.personal[j] != 0});
        else
            out.others += contributions[j];
    }
}

}  // namespace detail

OPSPILOT_INLINE status pipeline::explain(const feature_matrix& features, rank_workspace& scratch, std::size_t k,
                                         std::size_t candidate, std::size_t top, score_explanation& out) const {
    rank_workspace::impl& ws = *scratch.state;
    out.parts.clear();
    out.others = 0;
    if (k >= ws.done || candidate >= ws.scores[k].size())
        return error{error_kind::usage, "usage.stage",
                     fmt::format("candidate {} of stage {}, {} stages were run", candidate, k, ws.done), "", "score first"};
    const detail::stage& s = state->stages[k];
    if (s.kind != detail::stage_kind::trees && s.kind != detail::stage_kind::linear)
        return error{error_kind::model, "model.no_contributions",
                     fmt::format("stage '{}' is a {}, whose scores are no sums over features", s.name,
                                 detail::stage_kind_names[static_cast<std::size_t>(s.kind)]),
                     "", "explain a stage of trees or a linear one"};
    out.stage = s.name;
    out.score = ws.scores[k][candidate];
    if (std::isnan(out.score))
        return error{error_kind::model, "model.not_scored",
                     fmt::format("stage '{}' did not score candidate {}: it is not among the best of '{}'", s.name, candidate,
                                 state->names[static_cast<std::size_t>(s.reranks)]),
                     "", "explain that stage"};
    ws.row.clear();
    for (const detail::stage_input& input : s.inputs)
        ws.row.push_back((input.staged ? ws.columns : features).at(candidate, input.index));
    if (s.kind == detail::stage_kind::trees) {
        const result<tree_explainer>& explainer = s.explainer->get();
        if (!explainer) return explainer.error();
        const std::size_t line = s.inputs.size() + 1;
        ws.lines.resize(s.trees->outputs() * line);
        OPSPILOT_CHECK(explainer->contributions({ws.row.data(), 1, ws.row.size()}, ws.lines, ws.explain));
        const std::span of_output(ws.lines.data() + s.output * line, line);
        out.method = "tree_shap";
        out.base = of_output.back();
        detail::pick_parts(s, of_output.first(line - 1), top, ws, out);
        return {};
    }
    out.method = "linear";
    out.base = s.linear->intercept();
    ws.lines.clear();
    for (std::size_t j = 0; j < ws.row.size(); ++j) ws.lines.push_back(s.linear->weights()[j] * static_cast<double>(ws.row[j]));
    ws.views.clear();
    for (const std::uint32_t block : s.blocks) ws.views.push_back(features.sparse(block));
    float sparse = 0.0F;
    OPSPILOT_CHECK(s.linear->sparse_score(ws.views, sparse));
    out.others = static_cast<double>(sparse);
    detail::pick_parts(s, ws.lines, top, ws, out);
    return {};
}

OPSPILOT_INLINE std::span<const double> pipeline::stage_scores(const rank_workspace& scratch, std::size_t k) const noexcept {
    return k < scratch.state->done ? std::span<const double>(scratch.state->scores[k]) : std::span<const double>{};
}

OPSPILOT_INLINE stage_summary pipeline::stage(std::size_t k) const noexcept {
    const detail::stage& s = state->stages[k];
    stage_summary out;
    out.name = s.name;
    out.kind = detail::stage_kind_names[static_cast<std::size_t>(s.kind)];
    if (s.trees) out.engine = s.trees->engine();
    if (s.linear) out.engine = s.linear->kernel();
    out.columns = s.inputs.size();
    out.reranks = s.reranks;
    out.rerank_count = s.rerank_count;
    return out;
}

OPSPILOT_INLINE std::size_t pipeline::ranking_stage() const noexcept { return state->rank_by; }
OPSPILOT_INLINE int pipeline::linear_stage() const noexcept { return state->linear; }

OPSPILOT_INLINE double pipeline::override_probability(const rank_workspace& scratch) const noexcept {
    const auto k = static_cast<std::size_t>(state->override_stage);
    return state->override_stage >= 0 && k < scratch.state->done ? scratch.state->override_of[k] : 0.0;
}

}  // namespace opspilot
