/// \file
/// Which class a task belongs to, by a linear softmax over its hashed text: action ids, and "override" for none of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot {

/// The class of decisions that no action of the catalogue answers.
inline constexpr std::string_view override_class = "override";

/// Buffers of one thread for `text_classifier`. Keep it: nothing is allocated once they have grown.
struct classifier_scratch {
    std::vector<float> sums;
    std::vector<sparse_view> views;
    std::vector<float> dense;
};

/// A trained multinomial logistic model: logits = bias + Σ blocks · W + Σ columns · V. Immutable, shared by any number of
/// threads; copies are cheap. The arithmetic has one order and its own exp and log, so equal inputs give equal bits on every
/// machine, alone or in a batch.
class OPSPILOT_API text_classifier {
public:
    /// What a model is made of, before quantisation.
    struct parts {
        std::vector<std::string> classes;  ///< unique, not empty
        std::vector<sparse_block> blocks;
        std::vector<std::string> columns;   ///< dense columns of scope task
        std::vector<float> centre;          ///< per column: subtracted first; a missing value (NaN) counts as the centre
        std::vector<float> bias;            ///< per class
        std::vector<float> column_weights;  ///< columns × classes
        sparse_weights::float_rows rows;    ///< buckets × classes
        std::string fingerprint;            ///< of the feature plan it was trained with; "" = none
        std::string training;               ///< JSON object kept with the model (options, loss, counts); "" = {}
    };

    /// Checks and quantises. The model made here is the model that is saved: scores used for stacking must come from it.
    [[nodiscard]] static result<text_classifier> build(const parts& content);
    /// Reads a model file. Nothing in it is trusted: each count is checked against the bytes left, numbers must be finite,
    /// bytes left over are refused. Errors: kind model, "byte N" or the JSON pointer in the header.
    [[nodiscard]] static result<text_classifier> parse(std::string_view bytes);
    /// The model file; `parse` of it is an equal model, byte for byte.
    [[nodiscard]] std::string to_bytes() const;

    [[nodiscard]] std::span<const std::string> classes() const noexcept;
    [[nodiscard]] std::span<const sparse_block> blocks() const noexcept;
    [[nodiscard]] std::span<const std::string> columns() const noexcept;
    [[nodiscard]] const std::string& fingerprint() const noexcept;
    [[nodiscard]] const std::string& training() const noexcept;
    /// Index of the class "override", when there is one.
    [[nodiscard]] std::optional<std::uint32_t> override_index() const noexcept;
    /// Rows, entries: how large the table is.
    [[nodiscard]] const sparse_weights& weights() const noexcept;

    /// The same model with its inputs looked up by name in a plan; needed for `log_probabilities(feature_matrix, …)`.
    /// Errors: as `bind_features`, and "features.scope" for a column that differs between candidates.
    [[nodiscard]] result<text_classifier> bound_to(const feature_names& offered) const;

    /// Logits and log-probabilities of one task. `views`: one per block; `dense`: one value per column; `allowed`: one 0/1 per
    /// class that may occur (a task's candidates and override), empty = all; `out`: one per class, log-probabilities among the
    /// allowed, -infinity for the others. Errors: kind usage, "usage.length", "usage.no_class" when nothing is allowed.
    [[nodiscard]] status log_probabilities(std::span<const sparse_view> views, std::span<const float> dense,
                                           std::span<const std::uint8_t> allowed, std::span<double> out,
                                           classifier_scratch& scratch) const;
    /// The same from a decision's features; the model must be bound. Task columns are read from row 0; a matrix without rows
    /// has no task columns, which then count as missing.
    [[nodiscard]] status log_probabilities(const feature_matrix& features, std::span<const std::uint8_t> allowed,
                                           std::span<double> out, classifier_scratch& scratch) const;
    /// Log-probabilities for a row of CSR training data whose columns run through all blocks one after the other.
    [[nodiscard]] status log_probabilities(sparse_view row, std::span<const float> dense, std::span<const std::uint8_t> allowed,
                                           std::span<double> out, classifier_scratch& scratch) const;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/text_classifier-inl.hpp"
#endif
