/// \file
/// Training of `choice_model`: conditional logit (McFadden 1974) over each task's candidates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/parallel.hpp"
#include "opspilot/learn/softmax.hpp"
#include "opspilot/rank/choice_model.hpp"

namespace opspilot {

/// Tasks with their candidates. All spans refer to the caller's arrays.
struct choice_data {
    std::span<const sparse_block> blocks;
    csr_view x;                                       ///< one row per task; without rows when there are no blocks
    std::span<const std::int64_t> candidate_offsets;  ///< tasks + 1
    std::span<const choice_model::key> keys;
    /// candidates × keys: slots counted through all keys; `choice_model::no_slot` = no value. With one key and slots of its own
    /// per action this is the classifier among candidates; further keys share what actions of a kind have in common.
    std::span<const std::uint32_t> slots;
    bool outside = false;                  ///< choosing none of the candidates is possible
    std::span<const std::string> columns;  ///< dense columns; may be empty
    std::span<const float> dense;          ///< candidates × columns, NaN = missing
    std::span<const std::int32_t> chosen;  ///< per task: index within its candidates, -1 = none of them
    std::span<const float> weights;        ///< one per task, empty = 1
    std::string fingerprint;               ///< of the feature plan, kept in the model
};

struct trained_choice {
    choice_model model;
    softmax_report report;
};

/// Trains on the given tasks (`tasks` empty = all). The result is the saved, quantised model; weights of dense columns are
/// float32. Deterministic whatever `threads` is. Errors: kind usage, "learn.shape", "learn.label", "learn.value",
/// "learn.options", with the task.
[[nodiscard]] OPSPILOT_API result<trained_choice> fit_choice(const choice_data& data, const softmax_options& options = {},
                                                             std::span<const std::uint32_t> tasks = {},
                                                             const parallel_for& threads = {});

/// Log-probabilities by a model: one per candidate, task after task; with an outside option `outside` gets one per task
/// (may be empty otherwise). Tasks that are not asked for keep what is there. Errors: kind usage.
[[nodiscard]] OPSPILOT_API status predict_rows(const choice_model& model, const choice_data& data,
                                               std::span<const std::uint32_t> tasks, std::span<double> out,
                                               std::span<double> outside, const parallel_for& threads = {});

struct cross_fitted_choice {
    std::vector<choice_model> models;  ///< model k did not see fold k
    std::vector<softmax_report> reports;
    choice_model average;                   ///< the mean of the models' weights, as for the classifier: what serves
    std::vector<double> log_probabilities;  ///< per candidate: tasks of fold k by model k, of `no_fold` by `average`
    std::vector<double> outside;            ///< per task, empty without an outside option
};

/// Out-of-fold predictions for stacking; folds as for the classifier.
[[nodiscard]] OPSPILOT_API result<cross_fitted_choice> cross_fit(const choice_data& data, std::span<const std::uint32_t> fold,
                                                                 const softmax_options& options = {},
                                                                 const parallel_for& threads = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/choice-inl.hpp"
#endif
