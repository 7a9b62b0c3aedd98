/// \file
/// Tree ensembles prepared for speed: the trainer's own bits, whole candidate sets at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

namespace detail {
struct tree_program;
struct tree_kernel;
struct tree_catalogue;
}  // namespace detail

/// Names of the tree engines of this build that this machine can run, best first; "scalar" is always the last. All give the
/// same bits.
[[nodiscard]] OPSPILOT_API std::span<const std::string_view> tree_engines() noexcept;

/// Scratch memory of one thread, for any number of scorers. Grows to what the largest call needs, then stays.
class OPSPILOT_API tree_workspace {
public:
    tree_workspace();
    ~tree_workspace();
    tree_workspace(tree_workspace&&) noexcept;
    tree_workspace& operator=(tree_workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// Numbers as rows one after the other, in float32 or float64. Borrowed.
struct number_table {
    number_table() = default;
    number_table(const float* values, std::size_t n, std::size_t width) : floats(values), rows(n), columns(width) {}
    number_table(const double* values, std::size_t n, std::size_t width) : doubles(values), rows(n), columns(width) {}

    const float* floats = nullptr;
    const double* doubles = nullptr;
    std::size_t rows = 0;
    std::size_t columns = 0;
};

/// The action columns of a catalogue as a scorer's ranks. Immutable; shared by threads; of use to the scorer that made it.
class OPSPILOT_API action_ranks {
public:
    action_ranks() = default;
    [[nodiscard]] std::size_t actions() const noexcept;
    [[nodiscard]] std::size_t columns() const noexcept;
    /// Which column of the model the first action column is.
    [[nodiscard]] std::size_t first_feature() const noexcept;

private:
    friend class tree_scorer;
    std::shared_ptr<const detail::tree_catalogue> state_;
};

/// One task's candidates. The model's columns are those of task, action and pair, in this order.
struct task_candidates {
    number_table task;                        ///< one row
    const action_ranks* catalogue = nullptr;  ///< the action columns, or
    number_table actions;                     ///< the same as rows
    std::span<const std::int64_t> index;      ///< per candidate its row in `catalogue` or `actions`; empty: all, in order
    number_table pairs;                       ///< one row per candidate; no columns: none
};

/// One task's candidates as columns.
struct candidate_columns {
    std::span<const float* const> columns;  ///< per column of the model its `rows` values
    std::size_t rows = 0;
    std::span<const std::uint8_t> constant;  ///< per column: not 0 where all rows hold the same value; empty: none is known to
    std::span<const std::uint32_t> chosen;   ///< the rows to score; empty: all, in order
};

/// An ensemble prepared for scoring. Immutable; shared by any number of threads, each with a workspace of its own.
///
/// Small trees (up to 256 leaves) become programs over blocks of candidates: each value is replaced by its rank among the
/// model's thresholds, one byte, and a tree is evaluated from its last split to its root by compare and select, without branches
/// (bottom-up, as in RapidScorer, KDD 2018, but by selection instead of masks). Larger trees, and calls with few rows, walk.
class OPSPILOT_API tree_scorer {
public:
    /// Lays the ensemble out for an engine ("" = the best). Errors: usage.unknown_engine.
    [[nodiscard]] static result<tree_scorer> compile(const tree_ensemble& ensemble, std::string_view engine = {});

    [[nodiscard]] std::string_view engine() const noexcept;
    [[nodiscard]] std::size_t features() const noexcept { return features_; }
    [[nodiscard]] std::size_t outputs() const noexcept { return outputs_; }
    /// Memory of the compiled form.
    [[nodiscard]] std::size_t bytes() const noexcept;

    /// Column j of the model is `columns[j]`, with `rows` values. `out` is rows × outputs(): the same bits as
    /// `tree_ensemble::score_rows`, here and below. Errors: usage.length.
    [[nodiscard]] status score(std::span<const float* const> columns, std::size_t rows, std::span<double> out,
                               tree_workspace& scratch) const;
    /// The same for one task: splits on constant columns are answered once for all rows, and only the chosen rows are scored.
    /// `out` is chosen × outputs(). Errors: usage.length, usage.index (a chosen row that does not exist).
    [[nodiscard]] status score(const candidate_columns& candidates, std::span<double> out, tree_workspace& scratch) const;
    /// Rows of features() values. Errors: usage.length.
    [[nodiscard]] status score_rows(const number_table& rows, std::span<double> out, tree_workspace& scratch) const;

    /// Ranks of action columns, once per catalogue; they are the model's columns from `first_feature` on, that is behind the
    /// task's. Errors: usage.length.
    [[nodiscard]] result<action_ranks> prepare_actions(const number_table& actions, std::size_t first_feature) const;
    /// Scores of one task's candidates, candidates × outputs(). Splits on the task's columns are answered once for all of them.
    /// Errors: usage.length, usage.index (an index outside the actions), usage.catalogue (prepared by another scorer, or
    /// for other columns).
    [[nodiscard]] status score_task(const task_candidates& candidates, std::span<double> out, tree_workspace& scratch) const;
    /// The k best of them (fewer when there are fewer), best first, ties by lower position: exactly the first ones that
    /// sorting all scores would give. Candidates that rounded leaf values prove to be worse are not scored exactly.
    /// `index` and `score` have min(k, candidates) elements. For one output. Errors: as `score_task`, usage.outputs.
    [[nodiscard]] status top_k(const task_candidates& candidates, std::span<std::int64_t> index, std::span<double> score,
                               tree_workspace& scratch) const;

private:
    std::shared_ptr<const detail::tree_program> program_;
    const detail::tree_kernel* kernel_ = nullptr;
    std::size_t features_ = 0;
    std::size_t outputs_ = 1;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/tree_scorer-inl.hpp"
#endif
