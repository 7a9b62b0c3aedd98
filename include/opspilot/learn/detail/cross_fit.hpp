/// \file
/// Internal: what cross-fitting of classifiers and of choice models have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"

namespace opspilot::detail {

/// Rows of each fold, and those of none.
struct fold_rows {
    std::vector<std::vector<std::uint32_t>> inside;   // per fold
    std::vector<std::vector<std::uint32_t>> outside;  // per fold: training rows
    std::vector<std::uint32_t> training;              // all folds together
    std::vector<std::uint32_t> rest;                  // no_fold
};
[[nodiscard]] result<fold_rows> split_folds(std::span<const std::uint32_t> fold, std::size_t rows);

/// One training per fold, each without its fold, columns standardised alike. Weights are not pruned to `max_entries` yet, only
/// to twice as many, so that their mean is precise.
[[nodiscard]] result<std::vector<softmax_weights>> train_folds(const softmax_input& in, const fold_rows& folds,
                                                               const standardisation& dense_rows,
                                                               const standardisation& dense_options,
                                                               const softmax_options& options, const parallel_for& threads);

/// The note kept in a trained model: options, rows, loss.
[[nodiscard]] std::string training_note(const softmax_options& options, const softmax_report& report);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/detail/cross_fit-inl.hpp"
#endif
