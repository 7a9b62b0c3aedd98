#include "explain.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// Each thread of the host keeps its own.
explain_workspace& explain_scratch() {
    thread_local explain_workspace scratch;
    return scratch;
}

number_table table_of(const number_rows& rows) {
    if (rows.is_float32()) return {rows.floats().data(), rows.rows(), rows.columns()};
    return {rows.doubles().data(), rows.rows(), rows.columns()};
}

py::array_t<double> contributions(const tree_explainer& e, const py::object& x) {
    const number_rows rows(x, "X");
    rows.want_columns(e.features(), "X");
    py::array_t<double> out({rows.rows(), e.outputs(), e.features() + 1});
    const std::span<double> values{out.mutable_data(), static_cast<std::size_t>(out.size())};
    status done = [&] {
        const py::gil_scoped_release unlocked;
        return e.contributions(table_of(rows), values, explain_scratch());
    }();
    unwrap(std::move(done));
    return out;
}

py::array_t<double> mean_magnitudes(const tree_explainer& e, const py::object& x) {
    const number_rows rows(x, "X");
    rows.want_columns(e.features(), "X");
    py::array_t<double> out({e.outputs(), e.features()});
    const std::span<double> values{out.mutable_data(), static_cast<std::size_t>(out.size())};
    status done = [&] {
        const py::gil_scoped_release unlocked;
        return e.mean_magnitudes(table_of(rows), values, explain_scratch());
    }();
    unwrap(std::move(done));
    return out;
}

py::list categories_of(const tree_ensemble& ensemble, std::uint32_t set) {
    py::list out;
    const auto words = ensemble.categories(set);
    for (std::size_t c = 0; c < words.size() * 32; ++c)
        if (((words[c / 32] >> (c % 32)) & 1U) != 0) out.append(c);
    return out;
}

}  // namespace

std::unique_ptr<tree_explainer> make_explainer(const tree_ensemble& ensemble, const std::string& engine) {
    return std::make_unique<tree_explainer>(unwrap(tree_explainer::compile(ensemble, engine)));
}

py::list path_of(const tree_ensemble& ensemble, const py::object& row) {
    const number_rows given(row, "row", 1);
    given.want_columns(ensemble.features(), "row");
    std::vector<double> values(given.columns());
    for (std::size_t j = 0; j < values.size(); ++j)
        values[j] = given.is_float32() ? static_cast<double>(given.floats()[j]) : given.doubles()[j];
    tree_path path;
    unwrap(find_path(ensemble, values, path));
    py::list out;
    for (const path_leaf& leaf : path.leaves) {
        py::list splits;
        for (std::uint32_t i = 0; i < leaf.splits; ++i) {
            const path_split& s = path.splits[leaf.first_split + i];
            splits.append(
                py::make_tuple(s.feature, s.value, s.categorical ? py::object(py::none()) : py::object(py::float_(s.threshold)),
                               s.categorical ? py::object(categories_of(ensemble, s.categories)) : py::object(py::none()), s.left,
                               s.by_default));
        }
        out.append(py::make_tuple(leaf.output, leaf.leaf, std::vector<double>(leaf.values.begin(), leaf.values.end()), splits));
    }
    return out;
}

py::object importance_of(const tree_ensemble& ensemble, const std::string& kind) {
    return array_of(kind == "cover" ? unwrap(split_covers(ensemble)) : split_counts(ensemble));
}

void bind_explain(py::module_& m) {
    py::class_<tree_explainer>(m, "TreeExplainer")
        .def("contributions", &contributions, py::arg("x"))
        .def("mean_magnitudes", &mean_magnitudes, py::arg("x"))
        .def_property_readonly("base",
                               [](const tree_explainer& e) { return std::vector<double>(e.base().begin(), e.base().end()); })
        .def_property_readonly("bytes", &tree_explainer::bytes)
        .def_property_readonly("engine", [](const tree_explainer& e) { return std::string(e.engine()); });
    m.def("explain_engines", [] {
        std::vector<std::string> names;
        for (const std::string_view name : explain_engines()) names.emplace_back(name);
        return names;
    });
}

}  // namespace opspilot::python
