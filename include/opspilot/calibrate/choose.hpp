/// \file
/// Which calibrator the data can carry, and why.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/calibrator.hpp"

namespace opspilot {

/// One candidate: its mean logarithmic loss on rows it was not fitted to.
struct calibrator_candidate {
    calibrator_kind kind = calibrator_kind::none;
    double log_loss = 0;
    double gain = 0;            ///< what it saves against the simpler one that was best before it
    double standard_error = 0;  ///< of the gain
};

struct calibrator_choice {
    score_calibrator calibrator;  ///< fitted to all rows
    std::string reason;           ///< a sentence with the figures
    std::uint64_t positives = 0, negatives = 0;
    /// Mean p1 - p0 of Venn-Abers over the scores: how little the labels say. Above 0.1 no calibrator is to be trusted much.
    double venn_abers_width = 0;
    std::vector<calibrator_candidate> compared;  ///< empty where the labels carry only one
};

/// Platt scaling with fewer than 100 labels of the rarer outcome; from there beta calibration, and from 1000 isotonic
/// calibration, if it beats the simpler ones in five folds by more than a standard error. Folds are taken along the sorted
/// scores, so that the order of the rows does not matter. Errors: as `fit_platt`; calibration.bad_probability for input
/// "probability".
[[nodiscard]] OPSPILOT_API result<calibrator_choice> choose_calibrator(std::span<const double> score,
                                                                       std::span<const std::uint8_t> label,
                                                                       calibrator_input input);

/// Fits one kind to scores as `input` says; `hierarchical_platt` without clients, `none` nothing.
/// Errors: those of the kind's own fit.
[[nodiscard]] OPSPILOT_API result<score_calibrator> fit_calibrator(calibrator_kind kind, calibrator_input input,
                                                                   std::span<const double> score,
                                                                   std::span<const std::uint8_t> label);

/// A hierarchical curve with the names of its clients: ascending, the number of a client being its place among them.
/// Errors: as `fit_hierarchical_platt`; calibration.bad_probability for input "probability", calibration.client_order.
[[nodiscard]] OPSPILOT_API result<score_calibrator> fit_client_calibrator(calibrator_input input, std::span<const double> score,
                                                                          std::span<const std::uint8_t> label,
                                                                          std::span<const std::uint32_t> client,
                                                                          std::vector<std::string> names,
                                                                          const hierarchical_options& options = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/choose-inl.hpp"
#endif
