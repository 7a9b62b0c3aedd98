#include "sources.hpp"

#include <array>
#include <cstring>
#include <string_view>

#include "errors.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

[[noreturn]] void refuse(std::string_view code, std::string message, std::string hint) {
    raise(error{error_kind::usage, code, std::move(message), "", std::move(hint)});
}

/// The struct behind a capsule of the PyCapsule protocol, or an exception.
template <class Struct>
Struct* behind(const py::object& capsule, const char* name) {
    auto* found = static_cast<Struct*>(PyCapsule_GetPointer(capsule.ptr(), name));
    if (found == nullptr) throw py::error_already_set();
    return found;
}

}  // namespace

rows_from_python::rows_from_python(const py::object& object, const char* what) {
    if (object.is_none()) return;
    if (py::isinstance<py::bytes>(object) || PyByteArray_Check(object.ptr())) {
        is_json_ = true;
        json_ = std::string(py::bytes(object));
        return;
    }
    if (py::isinstance<py::str>(object))
        refuse("usage.path_as_rows", std::string(what) + " is a str", "pass a mapping, a table, or JSON as bytes");
    if (py::hasattr(object, "__arrow_c_stream__")) {
        import_stream(object, what);
        return;
    }
    if (py::hasattr(object, "__arrow_c_array__")) {
        import_array(object);
        return;
    }
    is_json_ = true;
    json_ = std::string(py::bytes(py::module_::import("opspilot._rows").attr("encode")(object, what)));
}

void rows_from_python::import_stream(const py::object& object, const char* what) {
    const py::object capsule = object.attr("__arrow_c_stream__")();
    auto* stream = behind<ArrowArrayStream>(capsule, "arrow_array_stream");
    const auto fail = [&](int code) {
        const char* text = stream->get_last_error(stream);
        refuse("usage.arrow_stream",
               std::string(what) + ": the stream failed with " + std::to_string(code) +
                   (text != nullptr ? std::string(": ") + text : ""),
               "see the library that made the table");
    };
    if (const int code = stream->get_schema(stream, &schema_); code != 0) fail(code);
    for (;;) {
        ArrowArray chunk{};
        if (const int code = stream->get_next(stream, &chunk); code != 0) fail(code);
        if (chunk.release == nullptr) break;
        arrays_.push_back(chunk);
    }
    for (const ArrowArray& array : arrays_) pointers_.push_back(&array);
}

void rows_from_python::import_array(const py::object& object) {
    const py::tuple pair = object.attr("__arrow_c_array__")();
    if (pair.size() != 2) refuse("usage.arrow_array", "__arrow_c_array__ gave no pair of capsules", "");
    auto* schema = behind<ArrowSchema>(pair[0], "arrow_schema");
    auto* array = behind<ArrowArray>(pair[1], "arrow_array");
    // Taking over the content: the capsule's destructor then finds nothing to release.
    schema_ = *schema;
    schema->release = nullptr;
    arrays_.push_back(*array);
    array->release = nullptr;
    pointers_.push_back(arrays_.data());
}

rows_from_python::~rows_from_python() {
    for (ArrowArray& array : arrays_)
        if (array.release != nullptr) array.release(&array);
    if (schema_.release != nullptr) schema_.release(&schema_);
}

table_source rows_from_python::view() const noexcept {
    table_source source;
    if (is_json_) source.json = json_;
    if (schema_.release != nullptr) {
        source.schema = &schema_;
        source.chunks = pointers_;
    }
    return source;
}

std::int64_t microseconds(const py::object& now) {
    if (PyLong_Check(now.ptr()) && !PyBool_Check(now.ptr())) return now.cast<std::int64_t>();
    return py::module_::import("opspilot._rows").attr("microseconds")(now).cast<std::int64_t>();
}

}  // namespace opspilot::python
