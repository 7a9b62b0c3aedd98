// Certified thresholds as Python reads them.
#pragma once

#include <pybind11/pybind11.h>

#include "opspilot/calibrate/threshold.hpp"

namespace opspilot::python {

/// Everything that a certificate states, with the log of its steps.
pybind11::dict threshold_dict(const certified_threshold& t);

}  // namespace opspilot::python
