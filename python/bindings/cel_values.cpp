#include "cel_values.hpp"

#include <pybind11/pybind11.h>

#include <datetime.h>

#include <string>

#include "cel_typed.hpp"
#include "errors.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

constexpr std::int64_t longest_duration = 315'576'000'000;  // seconds, as the specification has it

std::string_view utf8(PyObject* p) {
    py::ssize_t size = 0;
    const char* const bytes = PyUnicode_AsUTF8AndSize(p, &size);
    if (bytes == nullptr) {
        PyErr_Clear();
        refuse_value("a text with a lone surrogate", "decode the text with its real encoding");
    }
    return {bytes, static_cast<std::size_t>(size)};
}

[[noreturn]] void too_much() {
    raise(error{error_kind::limit, "limit.cel_memory", "the values need more memory than an evaluation may use", "",
                "give smaller values"});
}

cel::value timestamp(const py::handle& object) {
    const auto us = py::module_::import("opspilot._rows").attr("microseconds")(object).cast<std::int64_t>();
    const std::int64_t rest = (us % 1'000'000 + 1'000'000) % 1'000'000;
    return cel::make_timestamp((us - rest) / 1'000'000, static_cast<std::uint32_t>(rest * 1000));
}

cel::value duration(PyObject* p) {
    const std::int64_t seconds = std::int64_t{PyDateTime_DELTA_GET_DAYS(p)} * 86'400 + PyDateTime_DELTA_GET_SECONDS(p);
    if (seconds > longest_duration || seconds < -longest_duration) refuse_value("a timedelta longer than 10,000 years", "");
    return cel::make_duration(seconds, static_cast<std::uint32_t>(PyDateTime_DELTA_GET_MICROSECONDS(p)) * 1000U);
}

}  // namespace

value_maker::value_maker(cel::arena& memory)
    : memory_(memory),
      uint_(py::module_::import("opspilot.cel").attr("UInt")),
      optional_(py::module_::import("opspilot.cel").attr("Optional")) {
    if (PyDateTimeAPI == nullptr) PyDateTime_IMPORT;
}

cel::value value_maker::make(const py::handle& object, int depth) {
    if (depth > deepest_given) refuse_value("a value nested deeper than " + std::to_string(deepest_given), "");
    PyObject* const p = object.ptr();
    if (object.is_none()) return cel::make_null();
    if (PyBool_Check(p)) return cel::make_boolean(p == Py_True);
    if (PyLong_Check(p)) return integer(object);
    if (PyFloat_Check(p)) return cel::make_number(PyFloat_AS_DOUBLE(p));
    if (PyUnicode_Check(p)) return cel::make_text(copy(utf8(p)));
    if (PyBytes_Check(p)) return cel::make_bytes(copy({PyBytes_AS_STRING(p), static_cast<std::size_t>(PyBytes_GET_SIZE(p))}));
    if (PyDateTime_Check(p)) return timestamp(object);
    if (PyDelta_Check(p)) return duration(p);
    if (PyList_Check(p) || PyTuple_Check(p)) return list(py::tuple(py::reinterpret_borrow<py::object>(object)), depth);
    if (PyDict_Check(p)) return map(py::reinterpret_borrow<py::dict>(object), depth);
    if (py::isinstance(object, optional_)) return optional(object, depth);
    if (py::hasattr(object, "tolist")) return make(object.attr("tolist")(), depth + 1);  // numpy scalars and arrays
    if (py::isinstance(object, py::module_::import("collections.abc").attr("Mapping")))
        return map(py::dict(py::reinterpret_borrow<py::object>(object)), depth);
    refuse_value(std::string("a value of type ") + Py_TYPE(p)->tp_name,
                 "give None, bool, int, float, str, bytes, list, dict, an aware datetime or a timedelta");
}

std::string_view value_maker::copy(std::string_view s) {
    const std::string_view kept = memory_.copy(s);
    if (kept.data() == nullptr) too_much();
    return kept;
}

cel::value value_maker::integer(const py::handle& object) {
    if (py::isinstance(object, uint_)) {
        const unsigned long long u = PyLong_AsUnsignedLongLong(object.ptr());
        if (u == static_cast<unsigned long long>(-1) && PyErr_Occurred() != nullptr) {
            PyErr_Clear();
            refuse_value("an unsigned integer outside of 64 bits", "");
        }
        return cel::make_uinteger(u);
    }
    int overflow = 0;
    const long long i = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (overflow != 0) refuse_value("an integer outside of 64 bits", "give a float, or opspilot.cel.UInt up to 2**64 - 1");
    return cel::make_integer(i);
}

cel::value value_maker::optional(const py::handle& object, int depth) {
    if (!object.attr("has_value").cast<bool>()) return cel::make_optional(nullptr);
    cel::value* const inside = memory_.array<cel::value>(1);
    if (inside == nullptr) too_much();
    *inside = make(object.attr("value"), depth + 1);
    return cel::make_optional(inside);
}

cel::value value_maker::list(const py::tuple& items, int depth) {
    cel::value* const made = memory_.array<cel::value>(items.size());
    if (made == nullptr) too_much();
    for (std::size_t i = 0; i < items.size(); ++i) made[i] = make(items[i], depth + 1);
    return cel::make_list({made, items.size()});
}

cel::value value_maker::map(const py::dict& items, int depth) {
    cel::map_entry* const made = memory_.array<cel::map_entry>(items.size());
    if (made == nullptr) too_much();
    const std::size_t room = items.size();
    std::size_t n = 0;
    for (const auto& [key, item] : items) {
        if (n == room) break;
        made[n].key = make(key, depth + 1);
        made[n++].item = make(item, depth + 1);
    }
    if (!cel::sort_entries({made, n})) refuse_value("a map with a repeated key, or one that is no bool, int or str", "");
    return cel::make_map({made, n});
}

py::object to_python(const cel::value& v, std::size_t& left) {
    count_value(left);
    switch (v.what) {
        case cel::kind::boolean: return py::bool_(v.boolean);
        case cel::kind::integer: return py::int_(v.integer);
        case cel::kind::uinteger: return py::module_::import("opspilot.cel").attr("UInt")(v.uinteger);
        case cel::kind::number: return py::float_(v.number);
        case cel::kind::text: return text(v.view());
        case cel::kind::bytes: return py::bytes(v.data, static_cast<std::size_t>(v.size));
        case cel::kind::list: {
            py::list out;
            for (std::size_t i = 0; i < v.size; ++i) out.append(to_python(cel::item_at(v, i, nullptr), left));
            return out;
        }
        case cel::kind::map: {
            py::dict out;
            for (std::size_t i = 0; i < v.size; ++i) out[to_python(v.entries[i].key, left)] = to_python(v.entries[i].item, left);
            return out;
        }
        case cel::kind::optional: {
            const py::object made = py::module_::import("opspilot.cel").attr("Optional");
            return v.size > 0 ? made(true, to_python(*v.items, left)) : made();
        }
        case cel::kind::type:
            return py::module_::import("opspilot.cel").attr("Type")(text(cel::type_name(static_cast<cel::kind>(v.code))));
        case cel::kind::timestamp: return py::module_::import("opspilot.cel").attr("_timestamp")(v.integer, v.size);
        case cel::kind::duration: return py::module_::import("opspilot.cel").attr("_duration")(v.integer, v.size);
        default: return py::none();
    }
}

}  // namespace opspilot::python
