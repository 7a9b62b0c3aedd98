/// \file
/// Internal: refusals that the files of this room share.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "opspilot/base/result.hpp"

namespace opspilot::detail {

inline error calibration_error_at(std::string_view code, std::string message, std::string where = {}, std::string hint = {}) {
    return error{error_kind::calibration, code, std::move(message), std::move(where), std::move(hint)};
}

inline error calibration_bad_label(double value, std::size_t row) {
    return calibration_error_at("calibration.bad_label", fmt::format("label {} is neither 0 nor 1", value),
                                fmt::format("row {}", row), "1 = the event happened (for errors: the action was wrong), else 0");
}

inline status calibration_same_length(std::size_t scores, std::size_t others, std::string_view what) {
    if (scores == others) return {};
    return calibration_error_at("calibration.length_mismatch", fmt::format("{} scores but {} {}", scores, others, what), "",
                                "give one value per score");
}

inline status calibration_finite(std::span<const double> values, std::string_view what) {
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]))
            return calibration_error_at("calibration.not_finite", fmt::format("{} {} is not finite", what, values[i]),
                                        fmt::format("row {}", i), "drop rows without a score before calibrating");
    return {};
}

}  // namespace opspilot::detail
