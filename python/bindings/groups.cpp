// Exact bounds of rates, the alarm on two groups' difference, and launch criteria.
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
#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/criteria.hpp"
#include "opspilot/evaluate/gap_alarm.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

py::dict judged_dict(const judged_criterion& made) {
    py::list rates;
    for (const judged_rate& r : made.rates) {
        py::dict one;
        one["events"] = r.count.events;
        one["n"] = r.count.n;
        one["value"] = r.value;
        one["lower"] = r.lower;
        one["upper"] = r.upper;
        one["verdict"] = std::string(name(r.verdict));
        one["needed"] = r.needed;
        rates.append(one);
    }
    py::dict out;
    out["verdict"] = std::string(name(made.verdict));
    out["rates"] = rates;
    return out;
}

}  // namespace

void bind_groups(py::module_& m) {
    m.def("binomial_bounds", [](const vector_in<std::int64_t>& events, const vector_in<std::int64_t>& n, double delta) {
        std::vector<double> lower, upper;
        const auto k = span_of(events), of = span_of(n);
        for (std::size_t i = 0; i < k.size() && i < of.size(); ++i) {
            const auto count = static_cast<std::uint64_t>(k[i]), total = static_cast<std::uint64_t>(of[i]);
            lower.push_back(binomial_lower(count, total, delta));
            upper.push_back(binomial_upper(count, total, delta));
        }
        return py::make_tuple(array_of(std::move(lower)), array_of(std::move(upper)));
    });
    m.def("newcombe_difference",
          [](std::uint64_t first, std::uint64_t of_first, std::uint64_t second, std::uint64_t of_second, double delta) {
              const difference_bounds made = newcombe_difference({first, of_first}, {second, of_second}, delta);
              return py::make_tuple(made.value, made.lower, made.upper);
          });

    py::class_<launch_criteria>(m, "LaunchCriteria")
        .def_static("parse", [](const py::bytes& document) { return unwrap(launch_criteria::parse(std::string_view(document))); })
        .def("to_json", &launch_criteria::to_json)
        .def("fingerprint", &launch_criteria::fingerprint)
        .def("judge",
             [](const launch_criteria& c, std::size_t index, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& counts) {
                 std::vector<rate_count> rates;
                 for (const auto& [events, n] : counts) rates.push_back({events, n});
                 return judged_dict(judge(c.criteria.at(index), rates));
             });

    py::class_<gap_alarm>(m, "GapAlarm")
        .def(py::init([](double tolerance, double alpha, std::size_t queue) {
            return unwrap(gap_alarm::make({.tolerance = tolerance, .alpha = alpha, .queue = queue}));
        }))
        .def_static("parse", [](const std::string& state) { return unwrap(gap_alarm::parse(state)); })
        .def("to_json", &gap_alarm::to_json)
        .def("add",
             [](gap_alarm& a, const vector_in<bool>& second, const vector_in<double>& value) {
                 const auto side = span_of(second);
                 const auto values = span_of(value);
                 for (std::size_t i = 0; i < side.size() && i < values.size(); ++i) {
                     status done = a.add(side[i], values[i]);
                     if (!done) {
                         done.error().where = "row " + std::to_string(i);
                         raise(std::move(done).error());
                     }
                 }
             })
        .def_property_readonly("log_evidence", &gap_alarm::log_evidence)
        .def_property_readonly("peak_log_evidence", &gap_alarm::peak_log_evidence)
        .def_property_readonly("raised", &gap_alarm::raised)
        .def_property_readonly("direction", &gap_alarm::direction)
        .def_property_readonly("pairs", &gap_alarm::pairs)
        .def_property_readonly("waiting", &gap_alarm::waiting)
        .def_property_readonly("dropped", &gap_alarm::dropped);
}

}  // namespace opspilot::python
