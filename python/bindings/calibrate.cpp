#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "certificates.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// One dimension, or an exception that names the argument.
std::span<const double> vector_of(const doubles& a, const char* what) {
    if (a.ndim() != 1)
        raise(error{error_kind::calibration, "calibration.shape",
                    std::string(what) + " has " + std::to_string(a.ndim()) + " dimensions", what, "give a 1-d array"});
    return {a.data(), static_cast<std::size_t>(a.size())};
}

std::vector<std::uint8_t> labels_of(const doubles& a, const char* what) { return unwrap(binary_labels(vector_of(a, what))); }

}  // namespace

py::dict threshold_dict(const certified_threshold& t) {
    py::dict out;
    out["value"] = t.value ? py::object(py::float_(*t.value)) : py::object(py::none());
    out["sufficient"] = t.sufficient;
    out["reason"] = std::string(t.reason);
    out["coverage"] = t.coverage;
    out["risk_upper"] = t.risk_upper;
    out["n"] = t.n;
    out["automated"] = t.automated;
    out["errors"] = t.errors;
    out["needed"] = t.needed;
    out["max_risk"] = t.max_risk;
    out["confidence"] = t.confidence;
    out["statement"] = statement(t);
    // By columns: a million items make tens of thousands of steps, and dictionaries of them would take longer than the proof.
    std::vector<std::uint64_t> allowed, rank, tested, tolerated, errors;
    std::vector<double> value;
    std::vector<std::uint8_t> test, passed;
    for (const threshold_step& s : t.steps) {
        allowed.push_back(s.allowed);
        rank.push_back(s.rank);
        tested.push_back(s.tested);
        tolerated.push_back(s.tolerated);
        errors.push_back(s.errors);
        value.push_back(s.value);
        test.push_back(static_cast<std::uint8_t>(s.test));
        passed.push_back(s.passed ? 1 : 0);
    }
    py::dict steps;
    steps["allowed"] = array_of(std::move(allowed));
    steps["rank"] = array_of(std::move(rank));
    steps["tested"] = array_of(std::move(tested));
    steps["tolerated"] = array_of(std::move(tolerated));
    steps["errors"] = array_of(std::move(errors));
    steps["value"] = array_of(std::move(value));
    steps["test"] = array_of(std::move(test));
    steps["passed"] = array_of(std::move(passed));
    out["steps"] = steps;
    return out;
}

void bind_calibrate(py::module_& m) {
    m.def("automation_threshold",
          [](const doubles& score, const doubles& error, double max_risk, double confidence, const py::object& belief,
             const std::vector<std::uint32_t>& groups, std::uint32_t group_count) {
              const std::vector<std::uint8_t> errors = labels_of(error, "error");
              threshold_options options{.max_risk = max_risk, .confidence = confidence};
              doubles beliefs;
              if (!belief.is_none()) {
                  beliefs = doubles(belief);
                  options.start_probability = vector_of(beliefs, "start_probability");
              }
              options.groups = groups;
              options.group_count = group_count;
              const automation_certificates made = unwrap(automation_threshold(vector_of(score, "score"), errors, options));
              py::dict out = threshold_dict(made);
              py::list per_group;
              for (const certified_threshold& g : made.groups) per_group.append(threshold_dict(g));
              out["groups"] = per_group;
              return out;
          });
    m.def("naive_threshold", [](const doubles& score, const doubles& error, double max_risk) {
        const naive_threshold_result made =
            unwrap(naive_threshold(vector_of(score, "score"), labels_of(error, "error"), max_risk));
        py::dict out;
        out["value"] = made.value ? py::object(py::float_(*made.value)) : py::object(py::none());
        out["coverage"] = made.coverage;
        out["risk"] = made.risk;
        out["n"] = made.n;
        out["automated"] = made.automated;
        out["errors"] = made.errors;
        return out;
    });
    m.def(
        "check_calibration",
        [](const py::bytes& document) { return unwrap(calibration::parse(std::string_view(document))).to_json(); },
        "Reads a calibration document and gives it back in canonical form.");
}

}  // namespace opspilot::python
