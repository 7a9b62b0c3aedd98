/// \file
/// What the policy checker found, as Python values.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "opspilot/policy/policy.hpp"

namespace opspilot::python {

/// A list of mappings, in order.
[[nodiscard]] pybind11::list findings_list(const std::vector<policy_finding>& findings);

}  // namespace opspilot::python
