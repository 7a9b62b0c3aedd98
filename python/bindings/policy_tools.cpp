#include <pybind11/pybind11.h>

#include <string>

#include "errors.hpp"
#include "module.hpp"
#include "opspilot/policy/format.hpp"

namespace py = pybind11;

namespace opspilot::python {

void bind_policy_tools(py::module_& m) {
    m.def(
        "format_policy",
        [](const std::string& document, const std::string& name) { return unwrap(format_policy({name, document})); },
        py::arg("document"), py::arg("name"));
    m.def("format_condition", [](const std::string& source) { return unwrap(format_condition(source)); }, py::arg("source"));
}

}  // namespace opspilot::python
