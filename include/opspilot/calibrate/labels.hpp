/// \file
/// Checks shared by everything that learns from labelled scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Labels given as numbers (whatever a table or an array held) as 0/1 bytes.
/// Errors: calibration.bad_label for anything that is not exactly 0 or 1, with the row.
[[nodiscard]] OPSPILOT_API result<std::vector<std::uint8_t>> binary_labels(std::span<const double> label);

/// Checks a labelled set: equally long, not empty, scores finite, labels 0 or 1.
/// Errors: calibration.length_mismatch, .empty, .not_finite, .bad_label, with the row as place.
[[nodiscard]] OPSPILOT_API status check_labelled(std::span<const double> score, std::span<const std::uint8_t> label);

/// Checks that a value lies strictly between 0 and 1. Errors: calibration.bad_risk, .bad_confidence or .bad_recall by `what`
/// ("max_risk", "confidence" or "min_recall").
[[nodiscard]] OPSPILOT_API status check_open_unit(double value, std::string_view what);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/labels-inl.hpp"
#endif
