/// \file
/// How well scores rank: the field's ranking metrics, as means over tasks.
///
/// A task is a list of candidates, each with a score and a relevance: 0 = not relevant, more = better, graded or just 0 and 1.
/// The highest score has rank 1. With R candidates of relevance > 0:
///
///     hit@k      1 when one of the first k is relevant, else 0 (top-k accuracy)
///     recall@k   relevant ones among the first k, divided by R
///     MRR        1 / rank of the first relevant one
///     MAP        mean over the relevant ones of: relevant ones down to its rank, divided by its rank
///     NDCG@k     Σ gain / log2(1 + rank) over the first k, divided by the same sum in the best possible order
///
/// A task without a relevant candidate has none of these: it is left out of the means and counted apart.
/// Sources: Järvelin, Kekäläinen 2002 (NDCG); Burges et al. 2005 (its exponential gain); McSherry, Najork 2008 (ties).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// What a relevance is worth in NDCG. The two agree where relevance is 0 or 1.
enum class ranking_gain : std::uint8_t {
    exponential,  ///< 2^relevance - 1
    linear,       ///< the relevance itself
};

/// Who comes first among equal scores.
enum class ranking_ties : std::uint8_t {
    expected,  ///< every order of them is equally likely, and each metric is its expected value: rows may stand in any order
    position,  ///< the earlier row, as the engine ranks: what it would have shown
};

/// Where a candidate without a score (NaN) stands, as those that a cascade's dear stage never sees.
enum class ranking_unscored : std::uint8_t {
    last,    ///< after all others, with those of score -infinity, as the engine ranks; of equal rank among themselves
    absent,  ///< not in the ranking: never found at any rank, yet among the R relevant ones (an item that was not retrieved)
};

struct ranking_options {
    std::span<const std::size_t> cutoffs = {};  ///< the k, ascending, each at least 1; more than there are candidates is "all"
    ranking_gain gain = ranking_gain::exponential;
    ranking_ties ties = ranking_ties::expected;
    ranking_unscored unscored = ranking_unscored::last;
};

/// The metrics at one cut-off.
struct ranking_at {
    std::size_t k = 0;
    double hit = 0, recall = 0, ndcg = 0;
};

/// The metrics of one task, or their means.
struct ranking_values {
    double mrr = 0;     ///< of one task: the reciprocal rank
    double map = 0;     ///< of one task: the average precision
    double scored = 0;  ///< share of the relevant candidates that have a score: the recall of whoever chose what to score
    std::vector<ranking_at> at;  ///< by cut-off, as given
};

/// Means over the tasks that count; NaN when none does.
struct ranking_summary : ranking_values {
    std::uint64_t tasks = 0;     ///< that count
    std::uint64_t left_out = 0;  ///< without a relevant candidate
};

/// Judges one task after the other; for hosts that hold no columns. Keeps its memory: after the first tasks nothing is allocated.
/// O(n log n) per task. One thread.
class OPSPILOT_API ranking_judge {
public:
    /// Errors: usage.cutoffs (0, or not ascending).
    [[nodiscard]] static result<ranking_judge> make(const ranking_options& options);

    /// Adds one task; an empty one is left out. Errors, and nothing is added: usage.length (as many scores as relevances),
    /// usage.relevance (NaN, infinite, negative, or a gain above 2^512), with the row, counted from `first_row`. Scores may be
    /// any number, and NaN.
    [[nodiscard]] status add(std::span<const double> score, std::span<const double> relevance, std::size_t first_row = 0);

    /// The task added last; null when it was left out.
    [[nodiscard]] const ranking_values* last() const noexcept { return counted_ ? &last_ : nullptr; }
    [[nodiscard]] ranking_summary summary() const;

private:
    struct item {
        double score, gain;
        std::size_t row;
    };
    ranking_judge() = default;
    [[nodiscard]] status read(std::span<const double> score, std::span<const double> relevance, std::size_t first_row);
    void sort_items();
    void walk();
    void walk_tied(std::size_t first, std::size_t end, std::size_t relevant, double gain, std::size_t& cut, double& dcg);
    void normalise();

    ranking_gain gain_ = ranking_gain::exponential;
    ranking_ties ties_ = ranking_ties::expected;
    ranking_unscored unscored_ = ranking_unscored::last;
    std::vector<item> items_;        ///< of the task, best first
    std::vector<double> gains_;      ///< of its relevant candidates, highest first
    std::vector<double> discounts_;  ///< by rank - 1, of all ranks seen so far
    std::size_t found_ = 0, scored_ = 0;
    bool counted_ = false;
    ranking_values last_, sum_;
    std::uint64_t tasks_ = 0, left_out_ = 0;
};

/// The metrics of many tasks in columns: rows offsets[t] … offsets[t + 1] are task t's. `each`, when given, is called once per
/// task, in order, with null for one that is left out.
/// Errors: as `ranking_judge`; usage.offsets (they start at 0, never fall and end at the number of rows).
[[nodiscard]] OPSPILOT_API result<ranking_summary> ranking_metrics(
    std::span<const double> score, std::span<const double> relevance, std::span<const std::int64_t> offsets,
    const ranking_options& options, const std::function<void(std::size_t, const ranking_values*)>& each = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/evaluate/ranking-inl.hpp"
#endif
