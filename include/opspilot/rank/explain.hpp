/// \file
/// Why trees score as they do: exact Shapley values that add up to the score, the path of a row, importance of features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

namespace detail {
struct explain_program;
struct explain_kernel;
}  // namespace detail

/// Names of the engines that this machine can explain with, best first; "scalar" is always the last. All give the same bits.
[[nodiscard]] OPSPILOT_API std::span<const std::string_view> explain_engines() noexcept;

/// Scratch memory of one thread, for any number of explainers. Grows to what the largest call needs, then stays.
class OPSPILOT_API explain_workspace {
public:
    explain_workspace();
    ~explain_workspace();
    explain_workspace(explain_workspace&&) noexcept;
    explain_workspace& operator=(explain_workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// Shapley values of an ensemble's scores, "path-dependent": a split on an unknown feature goes both ways, weighed by the
/// training rows that went there (Lundberg, Erion, Lee 2018, what LightGBM's pred_contrib and XGBoost's pred_contribs give).
/// Immutable; shared by any number of threads, each with a workspace of its own.
///
/// A feature's value is the integral, over the probability t that each other feature is known, of what knowing it changes
/// (Owen 1972). For a tree whose paths ask about d features that is a polynomial of degree d - 1 in t, so Gauss-Legendre
/// quadrature with d/2 points is exact. At one t a tree takes one pass from the root and one back, hence O(splits · d/2) for
/// all features together where Algorithm 2 of the paper takes O(leaves · d^2); four points share a vector.
class OPSPILOT_API tree_explainer {
public:
    /// Errors: model.no_covers (the model does not say how many training rows reached each node; models of single leaves need
    /// not), model.limit_explanation (paths about so many features that tables would exceed 256 MiB), usage.unknown_engine.
    [[nodiscard]] static result<tree_explainer> compile(const tree_ensemble& ensemble, std::string_view engine = {});

    [[nodiscard]] std::string_view engine() const noexcept;
    [[nodiscard]] std::size_t features() const noexcept { return features_; }
    [[nodiscard]] std::size_t outputs() const noexcept { return outputs_; }
    /// Memory of the compiled form.
    [[nodiscard]] std::size_t bytes() const noexcept;
    /// The score of a row nothing is known of, per output: the mean over the training rows.
    [[nodiscard]] std::span<const double> base() const noexcept;

    /// `out` is rows × outputs() × (features() + 1): the contribution of each feature, then the base, as LightGBM lays them out.
    /// Each such line adds up to the row's score, to rounding in doubles; where the trainer adds leaves in float32, the score
    /// has that rounding and contributions do not. Averages (random forests) are explained as averages. The children of a split
    /// share its weight by their own covers, so a parent's cover that is not their sum changes nothing. Infinite values are
    /// compared as such. Errors: usage.length.
    [[nodiscard]] status contributions(const number_table& rows, std::span<double> out, explain_workspace& scratch) const;

    /// Mean over the rows of the contributions' magnitudes, outputs() × features(). Errors: usage.length, usage.no_rows.
    [[nodiscard]] status mean_magnitudes(const number_table& rows, std::span<double> out, explain_workspace& scratch) const;

private:
    std::shared_ptr<const detail::explain_program> program_;
    const detail::explain_kernel* kernel_ = nullptr;
    std::size_t features_ = 0;
    std::size_t outputs_ = 1;
};

/// A split that a row came to.
struct path_split {
    double value = 0;      ///< the row's, as it was given
    double threshold = 0;  ///< numerical: left when value <= threshold
    std::uint32_t feature = 0;
    std::uint32_t categories = 0;  ///< categorical: the set of the ensemble that goes left
    bool categorical = false;
    bool left = false;
    bool by_default = false;  ///< the value counts as missing there, and the split's default side was taken
};

/// What one tree gave to a row.
struct path_leaf {
    std::uint32_t first_split = 0, splits = 0;  ///< range in `tree_path::splits`, from the root down
    std::uint32_t leaf = 0;                     ///< of the tree, depth first
    std::uint32_t output = 0;                   ///< that the values are added to, the first of several
    std::span<const double> values;             ///< of the ensemble, which must live as long
};

/// The way of one row through every tree.
struct tree_path {
    std::vector<path_split> splits;
    std::vector<path_leaf> leaves;  ///< one per tree
};

/// Follows a row of features() values. Needs no covers. Errors: usage.length.
[[nodiscard]] OPSPILOT_API status find_path(const tree_ensemble& ensemble, std::span<const double> row, tree_path& out);

/// Per feature: how many splits ask about it (LightGBM's "split", XGBoost's "weight").
[[nodiscard]] OPSPILOT_API std::vector<double> split_counts(const tree_ensemble& ensemble);
/// Per feature: the covers of the splits that ask about it, added up (XGBoost's "total_cover"). Errors: model.no_covers.
[[nodiscard]] OPSPILOT_API result<std::vector<double>> split_covers(const tree_ensemble& ensemble);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/explain-inl.hpp"
#endif
