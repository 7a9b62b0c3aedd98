#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "errors.hpp"
#include "module.hpp"
#include "opspilot/decide/documents.hpp"

namespace py = pybind11;

namespace opspilot::python {

void bind_documents(py::module_& m) {
    m.def("document_names", [] { return std::vector<std::string>(document_names().begin(), document_names().end()); });
    m.def("document_schema", [](const std::string& name) { return unwrap(document_schema(name)); }, py::arg("name"));
}

}  // namespace opspilot::python
