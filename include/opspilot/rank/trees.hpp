/// \file
/// Tree ensembles in the library's own layout: immutable, checked when built, scored bit for bit like their trainer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// What a numerical split does with a missing value.
enum class missing_rule : std::uint8_t {
    none,  ///< NaN is read as 0 and compared
    zero,  ///< NaN and 0 go to the default side
    nan,   ///< NaN goes to the default side
};

/// One split. A child >= 0 is another split of the same tree, always with a higher index; a child < 0 is leaf `~child`.
struct tree_split {
    double threshold = 0;          ///< numerical: left when value <= threshold; never NaN
    std::uint32_t feature = 0;     ///< below `features()`
    std::uint32_t categories = 0;  ///< categorical: index of the set of categories that go left
    std::int32_t left = 0;
    std::int32_t right = 0;
    missing_rule missing = missing_rule::none;
    bool default_left = false;
    bool categorical = false;  ///< left when the value, truncated to an integer, is in the set; NaN and negatives go right
};

/// One tree of an ensemble. `splits[0]` is the root; a tree without splits is its single leaf.
struct tree_view {
    std::span<const tree_split> splits;
    std::span<const double> leaves;  ///< finite values, numbered in depth-first order
    std::uint32_t output = 0;        ///< which output the tree adds to
    std::uint32_t depth = 0;         ///< splits on the longest way from root to leaf
};

/// A sum of trees per output. Made by `tree_builder`, which checks everything; immutable; shared by any number of threads.
class OPSPILOT_API tree_ensemble {
public:
    [[nodiscard]] std::size_t features() const noexcept { return feature_names_.size(); }
    [[nodiscard]] std::span<const std::string> feature_names() const noexcept { return feature_names_; }
    [[nodiscard]] std::size_t trees() const noexcept { return outputs_of_.size(); }
    [[nodiscard]] std::size_t splits() const noexcept { return splits_.size(); }
    /// Scores per row: 1, or the number of classes.
    [[nodiscard]] std::size_t outputs() const noexcept { return outputs_; }
    /// The trainer's objective with its parameters, e.g. "binary sigmoid:1": names the link from score to probability.
    /// Empty when the model states none.
    [[nodiscard]] const std::string& objective() const noexcept { return objective_; }
    /// Sums are divided by this number; 1 unless the ensemble is an average (random forests).
    [[nodiscard]] std::uint32_t divisor() const noexcept { return divisor_; }
    /// Values with a magnitude up to this are read as 0, NaN excepted; negative = none are.
    [[nodiscard]] double zero_threshold() const noexcept { return zero_threshold_; }

    [[nodiscard]] tree_view tree(std::size_t t) const noexcept {
        const std::size_t s = first_split_[t];
        const std::size_t l = first_leaf_[t];
        return {{splits_.data() + s, first_split_[t + 1] - s},
                {leaves_.data() + l, first_leaf_[t + 1] - l},
                outputs_of_[t],
                depths_[t]};
    }
    /// Bit c of the set = category c goes left (32 categories a word).
    [[nodiscard]] std::span<const std::uint32_t> categories(std::uint32_t set) const noexcept {
        return {words_.data() + first_word_[set], first_word_[set + 1] - first_word_[set]};
    }
    [[nodiscard]] std::size_t category_sets() const noexcept { return first_word_.size() - 1; }

    /// The reference: walks every tree of every row in doubles, in tree order. `rows` is row-major, n × features();
    /// `out` is n × outputs(). Bit-identical to LightGBM's `predict(raw_score=True)`; for random forests to its average.
    /// Infinite values are compared as such. Errors: usage.length when a span's size disagrees.
    [[nodiscard]] status score_rows(std::span<const double> rows, std::size_t n, std::span<double> out) const;
    [[nodiscard]] status score_rows(std::span<const float> rows, std::size_t n, std::span<double> out) const;

private:
    friend class tree_builder;

    std::vector<std::string> feature_names_;
    std::string objective_;
    std::size_t outputs_ = 1;
    std::uint32_t divisor_ = 1;
    double zero_threshold_ = -1;
    std::vector<tree_split> splits_;  // of all trees, one after the other
    std::vector<double> leaves_;
    std::vector<std::size_t> first_split_{0};  // trees + 1
    std::vector<std::size_t> first_leaf_{0};
    std::vector<std::uint32_t> outputs_of_;
    std::vector<std::uint32_t> depths_;
    std::vector<std::uint32_t> words_;  // of all category sets; equal sets are stored once
    std::vector<std::size_t> first_word_{0};
};

/// Names of the tree engines of this build that this machine can run, best first. All give the same bits.
[[nodiscard]] OPSPILOT_API std::span<const std::string_view> tree_engines() noexcept;

/// An ensemble prepared for scoring columns of float32. Immutable; shared by any number of threads.
class OPSPILOT_API tree_scorer {
public:
    /// Lays the ensemble out for an engine ("" = the best). Thresholds are rounded down to the largest float not above, so
    /// answers for float values stay exact. Errors: usage.unknown_engine.
    [[nodiscard]] static result<tree_scorer> compile(const tree_ensemble& ensemble, std::string_view engine = {});

    [[nodiscard]] std::string_view engine() const noexcept { return engine_; }
    [[nodiscard]] std::size_t outputs() const noexcept { return outputs_; }
    /// Column j of the model is `columns[j]`, with `rows` values. `out` is rows × outputs(). Needs no memory of its own;
    /// the same bits as `tree_ensemble::score_rows`. Errors: usage.length.
    [[nodiscard]] status score(std::span<const float* const> columns, std::size_t rows, std::span<double> out) const;

private:
    struct node {
        union {
            float threshold = 0;
            std::uint32_t set;  // of a categorical split
        };
        std::uint32_t feature_and_rule = 0;  // rule in the low 4 bits
        std::uint32_t next[2] = {0, 0};      // where the right and the left branch lead; leaves point to themselves
    };

    std::string_view engine_;
    std::size_t features_ = 0;
    std::size_t outputs_ = 1;
    std::uint32_t divisor_ = 1;
    float zero_threshold_ = 0;    // values up to it count as 0 where 0 means missing
    std::vector<node> nodes_;     // per tree: splits, then leaves
    std::vector<double> values_;  // per node; 0 for splits
    std::vector<std::uint32_t> first_node_;
    std::vector<std::uint32_t> outputs_of_;
    std::vector<std::uint32_t> depths_;
    std::vector<std::uint32_t> words_;
    std::vector<std::uint32_t> first_word_{0};
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/trees-inl.hpp"
#endif
