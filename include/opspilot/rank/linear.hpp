/// \file
/// The linear ranker: one weight per dense column and per hash bucket, the cheapest full rung of the ladder.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/rank/kernels.hpp"

namespace opspilot {

/// Hashed weights of one sparse block: only buckets with a weight are stored.
struct hashed_weights {
    sparse_block block;
    std::vector<std::uint32_t> index;  ///< strictly ascending, below the block's dimension
    std::vector<double> weight;        ///< one per index
};

/// score = Σ columns · w + intercept + Σ blocks · hashed weights. Immutable; shared by any number of threads.
///
/// float32 inputs: dense part as `linear_kernel` defines it, the same bits row by row, in columns and on every kernel; then
/// the blocks' part is added. float64 inputs: the same order of operations in doubles, with the unrounded weights.
/// A score that is not a number has one bit pattern (quiet, positive) whatever NaNs went in.
class OPSPILOT_API linear_ranker {
public:
    struct parts {
        std::vector<std::string> features;  ///< unique names, in the order of `weights`
        std::vector<double> weights;        ///< finite, also as float32
        double intercept = 0;
        std::vector<hashed_weights> sparse;
        std::string fingerprint;  ///< of the feature plan it was trained with; "" = none
    };

    /// Errors (kind model): model.shape, model.feature_name_twice, model.not_finite, model.hashed_index,
    /// model.linear_empty; kind limit: model.limit_features, model.limit_dimension (all blocks together over 2^24 buckets).
    /// `kernel`: a name of `linear_kernels()`, "" = the best; usage.unknown_engine otherwise.
    [[nodiscard]] static result<linear_ranker> build(parts content, std::string_view kernel = {});
    /// Reads linear.json: {"version":1, "features":[name…], "weights":[number…], "intercept":0,
    /// "sparse":[{"block":name,"dimension":n,"index":[…],"weights":[…]}], "fingerprint":"…"}. Errors: as `build`, and of JSON
    /// (model.json_syntax, model.unknown_field, …), with the JSON pointer.
    [[nodiscard]] static result<linear_ranker> parse(std::string_view json, std::string_view kernel = {});
    /// The document; `parse(to_json())` is the same ranker.
    [[nodiscard]] std::string to_json() const;

    [[nodiscard]] std::span<const std::string> feature_names() const noexcept { return content_.features; }
    [[nodiscard]] std::span<const double> weights() const noexcept { return content_.weights; }
    [[nodiscard]] double intercept() const noexcept { return content_.intercept; }
    [[nodiscard]] std::span<const hashed_weights> sparse() const noexcept { return content_.sparse; }
    [[nodiscard]] const std::string& fingerprint() const noexcept { return content_.fingerprint; }
    [[nodiscard]] std::string_view kernel() const noexcept { return kernel_->name; }

    /// Dense scores of row-major rows, n × features. Errors: usage.length.
    [[nodiscard]] status score_rows(std::span<const float> rows, std::size_t n, std::span<float> out) const;
    [[nodiscard]] status score_rows(std::span<const double> rows, std::size_t n, std::span<double> out) const;
    /// Dense scores of columns: `columns[j]` holds n values of feature j of this model. `sparse_score` is added to each.
    /// Allocates nothing. Errors: usage.length.
    [[nodiscard]] status score_columns(std::span<const float* const> columns, std::size_t n, std::span<float> out,
                                       float sparse_score = 0.0F) const;
    /// Contribution of a task's sparse vectors, `views[b]` being block b of `sparse()`: 8 partial sums over the entries at
    /// positions k mod 8, reduced like the dense part. Indices beyond the block count nothing. Errors: usage.length.
    [[nodiscard]] status sparse_score(std::span<const sparse_view> views, float& out) const;

private:
    parts content_;
    std::vector<float> weights_;
    float intercept_ = 0;
    std::vector<std::vector<float>> tables_;  // per block, one weight per bucket
    const linear_kernel* kernel_ = nullptr;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/linear-inl.hpp"
#endif
