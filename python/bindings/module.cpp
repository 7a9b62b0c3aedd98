#include "module.hpp"

#include <cstdlib>
#include <string>

#include "opspilot/base/config.hpp"

namespace {

/// pybind11 before 2.12 takes numpy 2's arrays for what numpy 1 laid out, and reads other types from them.
void check_numpy() {
#if PYBIND11_VERSION_HEX < 0x020C0000
    const auto version = pybind11::module_::import("numpy").attr("__version__").cast<std::string>();
    if (std::strtol(version.c_str(), nullptr, 10) >= 2)
        throw pybind11::import_error(
            "this build of opspilot, made with pybind11 " PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(
                PYBIND11_VERSION_MINOR) ", cannot read the arrays of numpy " +
            version + ": install numpy below 2, or build with pybind11 2.12 or later");
#endif
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    check_numpy();
    m.doc() = "Bindings of the opspilot library. Use the package `opspilot`; names here may change.";
    m.attr("__version__") = OPSPILOT_PYTHON_VERSION;
    opspilot::python::bind_decide(m);
    opspilot::python::bind_calibrate(m);
    opspilot::python::bind_calibrators(m);
    opspilot::python::bind_calibration_errors(m);
    opspilot::python::bind_certificates(m);
    opspilot::python::bind_conformal(m);
    opspilot::python::bind_evaluate(m);
    opspilot::python::bind_groups(m);
    opspilot::python::bind_learn(m);
    opspilot::python::bind_rankers(m);
    opspilot::python::bind_classifiers(m);
    opspilot::python::bind_policy(m);
    opspilot::python::bind_signing(m);
    opspilot::python::bind_cel(m);
    opspilot::python::bind_cel_rules(m);
    opspilot::python::bind_cel_columns(m);
    opspilot::python::bind_policy_diff(m);
    opspilot::python::bind_policy_tools(m);
    opspilot::python::bind_documents(m);
    opspilot::python::bind_info(m);
    opspilot::python::bind_stages(m);
}
