/// \file
/// The certified threshold on a grid that was chosen on other data: exact whatever the shape of the risk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

struct grid_options {
    double max_risk = 0.05;
    double confidence = 0.95;
    /// Where to start: the highest grid value that is tested, chosen on other data too. Then nothing is assumed of the risk.
    /// Empty: the first value from above with enough items for `start_errors`, which needs a risk that does not fall near the
    /// start.
    std::optional<double> start_value = {};
    std::uint64_t start_errors = 0;  ///< without `start_value`: errors that the first test tolerates; chosen on other data
};

/// Walks the grid down from the start, testing P(error | score > value) <= max_risk by the exact binomial tail of what lies
/// strictly above each value (whole tie blocks), and stops at the first failure: the lowest value that passed. `grid` in any
/// order; equal values count once. Use it for scores of several models merged into one, whose risk may rise where the score does.
/// Given the start, the first bad value of the walk is fixed, and it is certified only if its own test passes: with probability
/// at most 1 - confidence. `steps` carry test = exact. Values above the start, and values that nothing lies above, are not
/// tested. Errors: as `automation_threshold`; calibration.bad_grid when it is empty, not finite, or does not hold `start_value`.
[[nodiscard]] OPSPILOT_API result<certified_threshold> grid_threshold(std::span<const double> score,
                                                                      std::span<const std::uint8_t> error,
                                                                      std::span<const double> grid,
                                                                      const grid_options& options = {});

/// "Expected" mode. NOT a certificate: it bounds the average, over calibration sets and batches, of the share of errors among the
/// selected, and says nothing of this set or this batch. Conformal p-values (1 + #{calibration errors with s >= s_j}) / (n + 1)
/// and the Benjamini-Hochberg procedure at `max_risk` over the batch (Jin, Candes 2023). Batch and calibration items are
/// exchangeable. Errors: as `check_labelled`; calibration.bad_risk, .not_finite, .empty.
struct expected_selection_result {
    std::vector<std::uint32_t> selected;  ///< rows of the batch to automate, ascending
    std::optional<double> value;          ///< the lowest selected score
    std::uint64_t n = 0, batch = 0;
};
[[nodiscard]] OPSPILOT_API result<expected_selection_result> expected_selection(std::span<const double> score,
                                                                                std::span<const std::uint8_t> error,
                                                                                std::span<const double> batch, double max_risk);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/grid_threshold-inl.hpp"
#endif
