/// \file
/// What training a text classifier and training a choice model have in common: sparse rows, options, report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "opspilot/base/result.hpp"
#include "opspilot/features/matrix.hpp"

namespace opspilot {

/// Compressed sparse rows, as scipy keeps them. Columns run through all blocks one after the other: bucket i of block b is
/// column i + the dimensions of the blocks before b. Columns ascend strictly within a row.
struct csr_view {
    std::span<const std::int64_t> offsets;  ///< rows + 1
    std::span<const std::uint32_t> index;
    std::span<const float> value;
    [[nodiscard]] std::size_t rows() const noexcept { return offsets.empty() ? 0 : offsets.size() - 1; }
    [[nodiscard]] sparse_view row(std::size_t i) const noexcept {
        const auto first = static_cast<std::size_t>(offsets[i]);
        const std::size_t count = static_cast<std::size_t>(offsets[i + 1]) - first;
        return {index.subspan(first, count), value.subspan(first, count)};
    }
};

/// How weights are found.
enum class softmax_solver : std::uint8_t {
    /// The minimum of the penalised loss, to `tolerance`. Memory: about 2 × `memory` + 6 copies of the weights.
    lbfgs,
    /// `epochs` passes of AdaGrad (Duchi, Hazan, Singer 2011) over shuffled rows. Not the exact minimum; for large tables of
    /// hashed text a few passes predict as well in a fraction of the time. One thread; two copies of the weights.
    adagrad,
};

/// Loss: Σ rows weight · -log p(chosen) + l2/2 · |weights|² + bias_l2/2 · |bias|².
struct softmax_options {
    softmax_solver solver = softmax_solver::lbfgs;
    double l2 = 1.0;
    double bias_l2 = 0.01;         ///< keeps classes that never occur finite
    int max_iterations = 100;      ///< L-BFGS
    double tolerance = 1e-6;       ///< L-BFGS: `lbfgs_options::gradient_tolerance`
    int memory = 6;                ///< L-BFGS: pairs kept
    int epochs = 4;                ///< AdaGrad
    double learning_rate = 0.05;   ///< AdaGrad: falls linearly to a tenth in the last epoch
    double initial_square = 0.01;  ///< AdaGrad: sum of squared gradients that each weight starts with
    std::uint64_t seed = 0;        ///< AdaGrad: order of rows
    std::uint32_t min_count = 2;   ///< buckets in fewer training rows get no weights
    bool standardise = true;  ///< centre dense columns and penalise them as if their deviation were 1; missing = mean (else 0)
    /// Most weights kept in the model: those with the largest |weight| · √Σ value² over the training rows. 0 = all.
    std::size_t max_entries = 2'500'000;
};

/// In lists of folds: a row that is never trained on and belongs to no fold (dev and test rows).
inline constexpr std::uint32_t no_fold = 0xFFFFFFFFU;

/// How training went.
struct softmax_report {
    std::size_t rows = 0;     ///< training rows
    std::size_t buckets = 0;  ///< buckets with weights before pruning
    double loss = 0;          ///< mean -log p(chosen) on the training rows: of the last pass for AdaGrad, at the end for L-BFGS
    int iterations = 0;       ///< L-BFGS iterations or epochs
    bool converged = false;   ///< L-BFGS: the gradient tolerance was met
};

}  // namespace opspilot
