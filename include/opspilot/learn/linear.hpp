/// \file
/// Training of `linear_ranker` on dense columns: least squares, logistic regression, or softmax within groups.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/lbfgs.hpp"
#include "opspilot/learn/parallel.hpp"
#include "opspilot/rank/linear.hpp"

namespace opspilot {

/// What a linear ranker is fitted to.
enum class linear_loss : std::uint8_t {
    squared,   ///< ½ (score - label)²: ridge regression
    logistic,  ///< -log p of a 0/1 label, p = 1 / (1 + e^-score)
    listwise,  ///< within each group, -Σ label · log softmax(score) (ListNet, Cao et al. 2007); with one label of 1: conditional
               ///< logit
};
[[nodiscard]] OPSPILOT_API std::string_view name(linear_loss loss) noexcept;

/// Rows to learn from. All spans refer to the caller's arrays.
struct linear_data {
    std::span<const std::string> columns;
    std::span<const float> x;              ///< rows × columns, finite (a linear ranker has no notion of missing)
    std::span<const float> labels;         ///< one per row
    std::span<const float> weights;        ///< one per row, empty = 1; of a group: the weight of its first row
    std::span<const std::int64_t> groups;  ///< listwise: groups + 1 offsets into the rows
    std::string fingerprint;               ///< of the feature plan, kept in the model
};

/// Loss: Σ weight · loss + l2/2 · |w|², the intercept not penalised (listwise has none).
struct linear_options {
    linear_loss loss = linear_loss::logistic;
    double l2 = 1.0;
    bool standardise = true;  ///< penalise columns as if their standard deviation were 1
    lbfgs_options solver{.max_iterations = 500, .gradient_tolerance = 1e-8};
};

struct trained_linear {
    linear_ranker model;
    lbfgs_report report;
};

/// Trains by L-BFGS in double. Deterministic whatever `threads` is. Errors: kind usage, "learn.shape", "learn.value",
/// "learn.label", "learn.options", with the row; and those of `linear_ranker::build`.
[[nodiscard]] OPSPILOT_API result<trained_linear> fit_linear(const linear_data& data, const linear_options& options = {},
                                                             const parallel_for& threads = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/linear-inl.hpp"
#endif
