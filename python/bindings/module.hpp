// The pieces of opspilot._core, one per file.
#pragma once

#include <pybind11/pybind11.h>

namespace opspilot::python {

void bind_decide(pybind11::module_& m);
void bind_calibrate(pybind11::module_& m);
void bind_calibrators(pybind11::module_& m);
void bind_calibration_errors(pybind11::module_& m);
void bind_certificates(pybind11::module_& m);
void bind_conformal(pybind11::module_& m);
void bind_evaluate(pybind11::module_& m);
void bind_groups(pybind11::module_& m);
void bind_learn(pybind11::module_& m);
void bind_rankers(pybind11::module_& m);
void bind_classifiers(pybind11::module_& m);
void bind_policy(pybind11::module_& m);
void bind_signing(pybind11::module_& m);
void bind_cel(pybind11::module_& m);
void bind_cel_rules(pybind11::module_& m);
void bind_cel_columns(pybind11::module_& m);
void bind_policy_diff(pybind11::module_& m);
void bind_policy_tools(pybind11::module_& m);
void bind_documents(pybind11::module_& m);
void bind_info(pybind11::module_& m);
void bind_stages(pybind11::module_& m);

}  // namespace opspilot::python
