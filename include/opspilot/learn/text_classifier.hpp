/// \file
/// Training of `text_classifier`: multinomial logistic regression over sparse text, optionally among each row's candidates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/parallel.hpp"
#include "opspilot/learn/softmax.hpp"
#include "opspilot/rank/text_classifier.hpp"

namespace opspilot {

/// Rows to learn from. All spans refer to the caller's arrays.
struct classifier_data {
    std::span<const sparse_block> blocks;
    csr_view x;
    std::span<const std::string> classes;
    std::span<const std::uint32_t> labels;  ///< one class per row
    std::span<const std::string> columns;   ///< dense task columns; may be empty
    std::span<const float> dense;           ///< rows × columns, NaN = missing
    std::span<const float> weights;         ///< one per row, empty = 1
    /// Classes that may occur in each row (a task's candidates and "override"): the softmax runs over these alone. Each row's
    /// list holds its label and no class twice. Empty = all classes everywhere.
    std::span<const std::int64_t> allowed_offsets;  ///< rows + 1
    std::span<const std::uint32_t> allowed;
    std::string fingerprint;  ///< of the feature plan, kept in the model
};

struct trained_classifier {
    text_classifier model;
    softmax_report report;
};

/// Trains on the given rows (`rows` empty = all). The result is the saved, quantised model. Deterministic: same data, options
/// and rows, same bytes, whatever `threads` is. Errors: kind usage, "learn.shape", "learn.label", "learn.value",
/// "learn.options", with the row.
[[nodiscard]] OPSPILOT_API result<trained_classifier> fit_text_classifier(const classifier_data& data,
                                                                          const softmax_options& options = {},
                                                                          std::span<const std::uint32_t> rows = {},
                                                                          const parallel_for& threads = {});

/// Log-probabilities by a model, in the order of `allowed`, or rows × classes when all are allowed. Rows that are not asked
/// for keep what `out` holds. Errors: kind usage.
[[nodiscard]] OPSPILOT_API status predict_rows(const text_classifier& model, const classifier_data& data,
                                               std::span<const std::uint32_t> rows, std::span<double> out,
                                               const parallel_for& threads = {});

struct cross_fitted_classifier {
    std::vector<text_classifier> models;  ///< model k did not see fold k
    std::vector<softmax_report> reports;
    /// The mean of the models' weights, pruned and quantised like one model: what serves, so that later stages see scores made
    /// as those they learned from.
    text_classifier average;
    /// As `predict_rows`: each row of fold k by model k, rows of `no_fold` by `average`.
    std::vector<double> log_probabilities;
};

/// Out-of-fold predictions for stacking: what a later stage learns from was made by models that had not seen the row.
/// `fold`: one per row; folds are 0 … k-1, 2 ≤ k ≤ 64, none empty, or `no_fold`. Folds are trained side by side when `threads`
/// allows, which takes the memory of as many trainings at once.
[[nodiscard]] OPSPILOT_API result<cross_fitted_classifier> cross_fit(const classifier_data& data,
                                                                     std::span<const std::uint32_t> fold,
                                                                     const softmax_options& options = {},
                                                                     const parallel_for& threads = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/text_classifier-inl.hpp"
#endif
