// Labelled scores from numpy: one dimension, labels 0 or 1, or an exception that names the argument.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "errors.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot::python {

using number_array = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;

/// The memory of a 1-d array. Raises CalibrationError: calibration.shape.
inline std::span<const double> scores_in(const number_array& a, const char* what) {
    if (a.ndim() != 1)
        raise(error{error_kind::calibration, "calibration.shape",
                    std::string(what) + " has " + std::to_string(a.ndim()) + " dimensions", what, "give a 1-d array"});
    return {a.data(), static_cast<std::size_t>(a.size())};
}

inline std::vector<std::uint8_t> binary_labels_in(const number_array& a) { return unwrap(binary_labels(scores_in(a, "label"))); }

/// Rows of logits. Raises CalibrationError: calibration.shape.
inline std::span<const double> logits_in(const number_array& a) {
    if (a.ndim() != 2)
        raise(error{error_kind::calibration, "calibration.shape", "logits have " + std::to_string(a.ndim()) + " dimensions",
                    "score", "give one row of logits per label"});
    return {a.data(), static_cast<std::size_t>(a.size())};
}

}  // namespace opspilot::python
