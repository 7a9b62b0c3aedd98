#include "module.hpp"

#include "opspilot/base/config.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "Bindings of the opspilot library. Use the package `opspilot`; names here may change.";
    m.attr("__version__") = OPSPILOT_PYTHON_VERSION;
    opspilot::python::bind_decide(m);
    opspilot::python::bind_calibrate(m);
    opspilot::python::bind_evaluate(m);
    opspilot::python::bind_learn(m);
    opspilot::python::bind_rankers(m);
    opspilot::python::bind_classifiers(m);
    opspilot::python::bind_policy(m);
    opspilot::python::bind_cel(m);
    opspilot::python::bind_info(m);
}
