// Suggestion sets.
#include "opspilot/calibrate/conformal.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "module.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

conformal_method conformal_method_of(const std::string& text) {
    for (const conformal_method m : {conformal_method::lac, conformal_method::aps, conformal_method::raps})
        if (name(m) == text) return m;
    raise(error{error_kind::usage, "usage.option", "'" + text + "' is not known", "method", "one of: lac, aps, raps"});
}

}  // namespace

void bind_conformal(py::module_& m) {
    m.def("conformal_minimum", &conformal_minimum);
    py::class_<conformal_sets>(m, "ConformalSets")
        .def_static(
            "fit",
            [](const vector_in<double>& probability, const vector_in<std::int64_t>& offsets, const vector_in<std::int64_t>& right,
               const vector_in<std::uint32_t>& group, const std::string& method, double confidence, bool randomised,
               std::uint64_t seed, double penalty, std::uint64_t free_ranks, bool at_least_one, std::vector<std::string> groups) {
                const conformal_options options{.method = conformal_method_of(method),
                                                .confidence = confidence,
                                                .randomised = randomised,
                                                .seed = seed,
                                                .penalty = penalty,
                                                .free_ranks = free_ranks,
                                                .at_least_one = at_least_one,
                                                .groups = std::move(groups)};
                return unwrap(
                    conformal_sets::fit(span_of(probability), span_of(offsets), span_of(right), span_of(group), options));
            })
        .def_static("parse", [](const std::string& document) { return unwrap(conformal_sets::parse(document)); })
        .def("to_json", &conformal_sets::to_json)
        .def("members",
             [](const conformal_sets& sets, const vector_in<double>& probability, const vector_in<std::int64_t>& offsets,
                const vector_in<std::uint32_t>& group, const vector_in<std::uint64_t>& key) {
                 const auto p = span_of(probability);
                 const auto parts = span_of(offsets);
                 const auto keys = span_of(key);
                 const auto groups = span_of(group);
                 std::vector<std::uint32_t> one;
                 std::vector<std::int64_t> members, sizes;
                 for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
                     const auto first = static_cast<std::size_t>(parts[i]);
                     status done = sets.members(p.subspan(first, static_cast<std::size_t>(parts[i + 1]) - first),
                                                groups.empty() ? 0 : groups[i], keys[i], one);
                     if (!done) {
                         done.error().where = "list " + std::to_string(i);
                         raise(std::move(done).error());
                     }
                     members.insert(members.end(), one.begin(), one.end());
                     sizes.push_back(static_cast<std::int64_t>(one.size()));
                 }
                 return py::make_tuple(array_of(std::move(members)), array_of(std::move(sizes)));
             });
}

}  // namespace opspilot::python
