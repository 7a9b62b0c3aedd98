/// \file
/// Tree ensembles prepared for speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot {

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
#include "opspilot/rank/tree_scorer-inl.hpp"
#endif
