#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "cel_typed.hpp"
#include "cel_values.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/policy/cel/expression.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

py::tuple compile(const std::string& source, const std::vector<std::pair<std::string, std::string>>& variables, bool check,
                  const std::string& container) {
    std::vector<cel::variable> declared;
    for (const auto& [name, type] : variables) declared.push_back({name, type});
    std::vector<cel::remark> remarks;
    cel::options how;
    how.variables = declared;
    how.check = check;
    how.container = container;
    cel::expression made = unwrap(cel::expression::compile(source, how, &remarks));
    py::list found;
    for (const cel::remark& r : remarks) {
        py::dict entry;
        entry["code"] = text(r.code);
        entry["message"] = r.message;
        entry["where"] = r.where;
        entry["hint"] = r.hint;
        found.append(entry);
    }
    return py::make_tuple(std::move(made), found);
}

/// Evaluates with the values that `make` makes of those given, and hands the result to `use`.
template <class Make, class Use>
auto evaluated(const cel::expression& e, const py::dict& values, cel::arena& memory, Make&& make, Use&& use) {
    std::vector<cel::value> bound(e.variables().size());
    for (std::size_t i = 0; i < bound.size(); ++i) {
        const py::str name = text(e.variables()[i]);
        if (!values.contains(name)) continue;
        try {
            bound[i] = make(values[name]);
        } catch (py::error_already_set& problem) {
            // The variable's name belongs into the error.
            if (py::hasattr(problem.value(), "where") && py::str(problem.value().attr("where")).cast<std::string>().empty())
                problem.value().attr("where") = py::str("variable '{}'").format(name);
            throw;
        }
    }
    const cel::value v = [&] {
        const py::gil_scoped_release unlocked;
        return e.evaluate(bound, memory);
    }();
    if (v.failed()) raise_as("EvaluationError", e.explain(v));
    std::size_t left = most_values;
    return use(v, left);
}

py::object evaluate(const cel::expression& e, const py::dict& values) {
    cel::arena memory;
    value_maker maker(memory);
    return evaluated(e, values, memory, [&](const py::handle& given) { return maker.make(given); }, to_python);
}

py::dict evaluate_typed(const cel::expression& e, const py::dict& values) {
    cel::arena memory;
    return evaluated(e, values, memory, [&](const py::handle& given) { return from_typed(given, memory); }, to_typed);
}

}  // namespace

void bind_cel(py::module_& m) {
    py::class_<cel::expression>(m, "Expression")
        .def_static("compile", &compile, py::arg("source"), py::arg("variables"), py::arg("check"), py::arg("container") = "")
        .def("evaluate", &evaluate, py::arg("values"))
        .def("evaluate_typed", &evaluate_typed, py::arg("values"))
        .def_property_readonly(
            "variables",
            [](const cel::expression& e) { return std::vector<std::string>(e.variables().begin(), e.variables().end()); })
        .def_property_readonly("type", &cel::expression::type)
        .def_property_readonly("source", &cel::expression::source);
}

}  // namespace opspilot::python
