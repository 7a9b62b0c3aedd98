/// \file
/// The stages of a bundle's ranking: each reads features and earlier stages, and adds one column of scores per candidate.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/features/plan.hpp"

namespace opspilot {

/// Scratch of one thread for `pipeline::score`.
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
    [[nodiscard]] static result<pipeline> parse(std::string_view stages_json,
                                                const std::function<result<std::string_view>(std::string_view)>& load,
                                                const schema& s, const feature_plan& plan, dictionary& strings);

    [[nodiscard]] std::span<const std::string> stage_names() const noexcept;

    /// Scores all candidates by stages 0 … `last` (default: all). `stage_scores(k)` of the workspace then holds stage k.
    [[nodiscard]] status score(const frame& f, const feature_matrix& features, rank_workspace& scratch,
                               std::size_t last = SIZE_MAX) const;
    /// Scores of stage k for each candidate, from the last `score` call on this workspace.
    [[nodiscard]] std::span<const double> stage_scores(const rank_workspace& scratch, std::size_t k) const noexcept;
    /// Index of the stage that orders candidates, of the one that gives confidence, and of the one used when trees are
    /// unavailable (the linear rung; -1 = none).
    [[nodiscard]] std::size_t ranking_stage() const noexcept;
    [[nodiscard]] int linear_stage() const noexcept;
    /// Probability that the operator would do none of the candidates ("override"), from the stage that models it; 0 = none does.
    [[nodiscard]] double override_probability(const rank_workspace& scratch) const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/pipeline-inl.hpp"
#endif
