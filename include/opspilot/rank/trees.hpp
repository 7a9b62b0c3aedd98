/// \file
/// Tree ensembles in the library's own layout: immutable, checked when built, scored bit for bit like their trainer.
#pragma once

#include <cstddef>
#include <cstdint>
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
    bool categorical = false;  ///< left when the value, truncated to an integer, is in the set; NaN goes to the default side
};

/// How the trainer of an ensemble computes. Part of the model: scores are the trainer's own bits only in its own arithmetic.
struct tree_arithmetic {
    /// Values with a magnitude up to this are read as 0, NaN excepted; negative = none are (LightGBM: 1e-35).
    double zero_threshold = -1;
    bool float_values = false;       ///< values are rounded to float32 before they are compared
    bool float_sums = false;         ///< leaves are added in float32
    bool fractions_are_zero = true;  ///< categories: a value between -1 and 0 is category 0, otherwise it is none
};

/// One tree of an ensemble. `splits[0]` is the root; a tree without splits is its single leaf.
struct tree_view {
    std::span<const tree_split> splits;
    std::span<const double> leaves;  ///< finite values, `width` per leaf, leaves numbered in depth-first order
    std::uint32_t output = 0;        ///< the first output that the tree adds to
    std::uint32_t width = 1;         ///< 1, or the number of outputs when every leaf has a value for each
    std::uint32_t depth = 0;         ///< splits on the longest way from root to leaf
    /// Weight of the training rows that reached a split or a leaf; empty when the model does not say.
    std::span<const double> split_covers;
    std::span<const double> leaf_covers;
};

/// score = (start + Σ trees) / divisor · scale + bias, per output, in the trainer's order. Made by `tree_builder`, which checks
/// everything; immutable; shared by any number of threads.
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
    [[nodiscard]] const tree_arithmetic& arithmetic() const noexcept { return arithmetic_; }
    /// What each output's sum begins with.
    [[nodiscard]] std::span<const double> start() const noexcept { return start_; }
    /// Sums are divided by this number; 1 unless the ensemble is an average (random forests).
    [[nodiscard]] std::uint32_t divisor() const noexcept { return divisor_; }
    [[nodiscard]] double scale() const noexcept { return scale_; }
    [[nodiscard]] std::span<const double> bias() const noexcept { return bias_; }
    /// Whether every node knows the weight of its training rows, as explanations need it.
    [[nodiscard]] bool has_covers() const noexcept { return !leaf_covers_.empty(); }

    [[nodiscard]] tree_view tree(std::size_t t) const noexcept {
        const std::size_t s = first_split_[t];
        const std::size_t l = first_leaf_[t];
        const std::size_t splits = first_split_[t + 1] - s;
        const bool covers = has_covers();
        // A tree has one leaf more than splits.
        return {{splits_.data() + s, splits},
                {leaves_.data() + l, first_leaf_[t + 1] - l},
                outputs_of_[t],
                widths_[t],
                depths_[t],
                {split_covers_.data() + (covers ? s : 0), covers ? splits : 0},
                {leaf_covers_.data() + (covers ? s + t : 0), covers ? splits + 1 : 0}};
    }
    /// Bit c of the set = category c goes left (32 categories a word).
    [[nodiscard]] std::span<const std::uint32_t> categories(std::uint32_t set) const noexcept {
        return {words_.data() + first_word_[set], first_word_[set + 1] - first_word_[set]};
    }
    [[nodiscard]] std::size_t category_sets() const noexcept { return first_word_.size() - 1; }

    /// The reference: walks every tree of every row in doubles, in tree order. `rows` is row-major, n × features();
    /// `out` is n × outputs(). Bit-identical to the trainer's raw scores (importers say which function of the trainer that is).
    /// Infinite values are compared as such. Errors: usage.length when a span's size disagrees.
    [[nodiscard]] status score_rows(std::span<const double> rows, std::size_t n, std::span<double> out) const;
    [[nodiscard]] status score_rows(std::span<const float> rows, std::size_t n, std::span<double> out) const;

private:
    friend class tree_builder;

    std::vector<std::string> feature_names_;
    std::string objective_;
    std::size_t outputs_ = 1;
    tree_arithmetic arithmetic_;
    std::vector<double> start_;  // per output
    std::uint32_t divisor_ = 1;
    double scale_ = 1;
    std::vector<double> bias_;        // per output
    std::vector<tree_split> splits_;  // of all trees, one after the other
    std::vector<double> leaves_;
    std::vector<double> split_covers_;
    std::vector<double> leaf_covers_;
    std::vector<std::size_t> first_split_{0};  // trees + 1
    std::vector<std::size_t> first_leaf_{0};   // into leaves_, which has a tree's width of values per leaf
    std::vector<std::uint32_t> outputs_of_;
    std::vector<std::uint32_t> widths_;
    std::vector<std::uint32_t> depths_;
    std::vector<std::uint32_t> words_;  // of all category sets; equal sets are stored once
    std::vector<std::size_t> first_word_{0};
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/trees-inl.hpp"
#endif
