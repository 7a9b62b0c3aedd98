#pragma once

#include <fmt/format.h>

#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

OPSPILOT_INLINE result<std::vector<std::uint8_t>> binary_labels(std::span<const double> label) {
    std::vector<std::uint8_t> out(label.size());
    for (std::size_t i = 0; i < label.size(); ++i) {
        if (label[i] != 0.0 && label[i] != 1.0) return detail::calibration_bad_label(label[i], i);
        out[i] = label[i] == 1.0 ? 1 : 0;
    }
    return out;
}

OPSPILOT_INLINE status check_labelled(std::span<const double> score, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(detail::calibration_same_length(score.size(), label.size(), "labels"));
    if (score.empty()) return detail::calibration_error_at("calibration.empty", "no labelled scores");
    OPSPILOT_CHECK(detail::calibration_finite(score, "score"));
    for (std::size_t i = 0; i < label.size(); ++i)
        if (label[i] > 1) return detail::calibration_bad_label(label[i], i);
    return {};
}

OPSPILOT_INLINE status check_open_unit(double value, std::string_view what) {
    if (value > 0.0 && value < 1.0) return {};
    const std::string_view code = what == "confidence"   ? "calibration.bad_confidence"
                                  : what == "min_recall" ? "calibration.bad_recall"
                                                         : "calibration.bad_risk";
    return detail::calibration_error_at(code, fmt::format("{} {} is not strictly between 0 and 1", what, value), "",
                                        value >= 1.0 && value <= 100.0 ? "give a fraction: 0.05, not 5" : "");
}

}  // namespace opspilot
