#include "errors.hpp"

#include <string>

namespace py = pybind11;

namespace opspilot::python {

namespace {
const char* class_of(error_kind kind) {
    switch (kind) {
        case error_kind::usage: return "UsageError";
        case error_kind::schema: return "SchemaError";
        case error_kind::features: return "FeatureError";
        case error_kind::model: return "ModelError";
        case error_kind::policy: return "PolicyError";
        case error_kind::calibration: return "CalibrationError";
        case error_kind::bundle: return "BundleError";
        case error_kind::audit: return "AuditError";
        case error_kind::limit: return "LimitError";
        case error_kind::internal: return "InternalError";
    }
    return "Error";
}
}  // namespace

py::str text(std::string_view bytes) {
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(bytes.data(), static_cast<py::ssize_t>(bytes.size()), "replace"));
}

void raise(const error& problem) { raise_as(class_of(problem.kind), problem); }

void raise_as(const char* class_name, const error& problem) {
    const py::object cls = py::module_::import("opspilot.errors").attr(class_name);
    const py::object exception = cls(text(problem.message), py::arg("code") = text(problem.code),
                                     py::arg("where") = text(problem.where), py::arg("hint") = text(problem.hint));
    PyErr_SetObject(cls.ptr(), exception.ptr());
    throw py::error_already_set();
}

}  // namespace opspilot::python
