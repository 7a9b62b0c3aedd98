/// \file
/// The stages of a bundle's ranking: each reads features and earlier stages, and adds one column of scores per candidate.
///
/// rank/stages.json:
///     {"version": 1,
///      "stages": [{"name": "intent", "kind": "text_classifier", "model": "rank/intent.model", "classes_from": "action.id"},
///                 {"name": "choice", "kind": "choice", "model": "rank/choice.model"},
///                 {"name": "rank", "kind": "trees", "model": "rank/model.txt", "fingerprint": "…"}],
///      "rank_by": "rank", "linear": "choice", "override": "intent"}
///
/// kind             score of a candidate
/// text_classifier  log-probability of its class (the value of the text field `classes_from`) among the candidates' classes and
///                  "override"; `no_class_log_probability` when its value is no class of the model
/// choice           log-probability of its utility among the candidates and the outside option, if the model has one
/// linear           linear.json: dense columns and sparse blocks
/// trees            a LightGBM model: its raw score (`output` picks one of several), read from float32 columns
/// host             the number in `field` ("candidate.score"): a score the host brings; NaN where there is none
///
/// Two phases: trees and linear models may score the best candidates of an earlier, cheaper stage alone, as in
///     {"name": "rank", "kind": "trees", "model": "rank/model.txt", "rerank": {"stage": "choice", "count": 200}}
/// Ties go by the host's order. The others have no score of this stage (NaN, also to later stages); where it orders candidates
/// they come after those it scored, in the order of the earlier stage.
///
/// Models find their columns by name, whatever the order: a column of the plan, or what an earlier stage gives:
///     stage.NAME                   the score, as float32
///     stage.NAME.rank              how many candidates have a higher score
///     stage.NAME.margin            score minus the best score of another candidate; 0 when there is no other
///     stage.NAME.log_probability   text_classifier and choice: the score
///     stage.NAME.probability       text_classifier and choice: its exponential
///     stage.NAME.override          text_classifier with an override class, choice with an outside option: the probability that
///                                  none of the candidates is chosen, the same for all of them
/// Trees and linear models read all of these; text classifiers and choice models read columns of the plan. Names in a
/// LightGBM model may be written as `lightgbm_feature_name` writes them, and `"features": [name…]` on the stage stands in for
/// names that the model lacks (its own Column_0, Column_1 …).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/features/plan.hpp"

namespace opspilot {

/// Score of a candidate whose value is no class of a text classifier: the logarithm of a probability of 1e-13.
inline constexpr double no_class_log_probability = -30.0;

/// One feature's part in a candidate's score.
struct score_part {
    std::string_view feature;  ///< as the model calls it; lives as long as the pipeline
    double contribution = 0;
    bool personal = false;  ///< made from a personal or sensitive field: the contribution may tell its value
};

/// How a stage came to a candidate's score: score = base + Σ parts + others, to rounding.
struct score_explanation {
    std::string_view stage;
    std::string_view method;  ///< "tree_shap": exact, path-dependent; "linear": weight times value
    double score = 0;
    double base = 0;                ///< what a candidate nothing is known of gets; the intercept of a linear model
    std::vector<score_part> parts;  ///< the largest by magnitude first
    double others = 0;              ///< of all further features; a linear model's hashed text is among them
};

/// What a stage is. Views live as long as the pipeline.
struct stage_summary {
    std::string_view name, kind;
    std::string_view engine;  ///< of trees and linear models
    std::size_t columns = 0;  ///< that trees and linear models read, of the plan and of earlier stages
    int reranks = -1;         ///< the earlier stage whose best `rerank_count` candidates alone it scores; -1: it scores all
    std::size_t rerank_count = 0;
};

/// Scratch of one thread for `pipeline::score`. Keeps its memory: nothing is allocated once it has grown.
class OPSPILOT_API rank_workspace {
public:
    rank_workspace();
    ~rank_workspace();
    rank_workspace(rank_workspace&&) noexcept;
    rank_workspace& operator=(rank_workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// The compiled stages (rank/stages.json and the models it names). Immutable, shared by any number of threads.
class OPSPILOT_API pipeline {
public:
    /// `load(name)` returns the bytes of a part of the bundle ("rank/model.txt"). Every model's feature names, count and
    /// fingerprint are checked against the plan: what disagrees is refused by name. Action ids of classifiers are looked up in
    /// (and inserted into) `strings`.
    ///
    /// Errors, with the place in stages.json and in the model: those of the models; kind model: model.json_… and field errors
    /// of the document, model.version, model.stage_name, model.stage_twice, model.stage_unknown, model.stage_order,
    /// model.stage_key, model.no_stages, model.limit_stages, model.outputs, model.no_override, model.rerank_count,
    /// model.feature_count, model.block; kind features: features.unknown_column (the nearest name is offered),
    /// features.fingerprint, features.unknown_block, features.dimension; kind schema for fields.
    [[nodiscard]] static result<pipeline> parse(std::string_view stages_json,
                                                const std::function<result<std::string_view>(std::string_view)>& load,
                                                const schema& s, const feature_plan& plan, dictionary& strings);

    [[nodiscard]] std::span<const std::string> stage_names() const noexcept;

    /// Scores all candidates by stages 0 … `last` (default: all). `stage_scores(k)` of the workspace then holds stage k.
    /// Errors: usage.length when features and frame disagree; model.score_not_finite when a model's score is not a number
    /// (a linear model read a missing value), model.score_missing when the host's score orders candidates and is missing,
    /// or a reranking stage finds no candidate with a score.
    [[nodiscard]] status score(const frame& f, const feature_matrix& features, rank_workspace& scratch,
                               std::size_t last = SIZE_MAX) const;
    /// Why stage k scores a candidate as it does, after a `score` call on this workspace with the same features: the `top`
    /// largest parts. What trees need for it is made at the first such call and kept. Errors: usage.stage (k was not run, no
    /// such candidate), model.no_contributions (text classifiers, choice models and the host's own scores have none),
    /// model.not_scored (the stage reranks others), model.no_covers and model.limit_explanation (of the trees).
    [[nodiscard]] status explain(const feature_matrix& features, rank_workspace& scratch, std::size_t k, std::size_t candidate,
                                 std::size_t top, score_explanation& out) const;
    /// Scores of stage k for each candidate, from the last `score` call on this workspace.
    [[nodiscard]] std::span<const double> stage_scores(const rank_workspace& scratch, std::size_t k) const noexcept;
    /// Stage k < stage_names().size().
    [[nodiscard]] stage_summary stage(std::size_t k) const noexcept;
    /// Index of the stage that orders candidates, of the one that gives confidence, and of the one used when trees are
    /// unavailable (the linear rung; -1 = none).
    [[nodiscard]] std::size_t ranking_stage() const noexcept;
    [[nodiscard]] int linear_stage() const noexcept;
    /// Probability that the operator would do none of the candidates ("override"), from the stage that models it; 0 = none does.
    /// That stage stands at or before the ranking and the linear one, so the figure is there on every rung.
    [[nodiscard]] double override_probability(const rank_workspace& scratch) const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/pipeline-inl.hpp"
#endif
