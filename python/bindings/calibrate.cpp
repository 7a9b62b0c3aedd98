#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <string>
#include <vector>

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

py::dict certificate_dict(const certified_threshold& t) {
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
    py::list steps;
    for (const threshold_step& s : t.steps) {
        py::dict step;
        step["allowed"] = s.allowed;
        step["rank"] = s.rank;
        step["tested"] = s.tested;
        step["tolerated"] = s.tolerated;
        step["errors"] = s.errors;
        step["value"] = s.value;
        step["test"] = std::string(name(s.test));
        step["passed"] = s.passed;
        steps.append(step);
    }
    out["steps"] = steps;
    return out;
}

}  // namespace

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
              py::dict out = certificate_dict(made);
              py::list per_group;
              for (const certified_threshold& g : made.groups) per_group.append(certificate_dict(g));
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
    m.def("recall_floor", [](const doubles& score, const doubles& label, double min_recall, double confidence) {
        const certified_recall made =
            unwrap(recall_floor(vector_of(score, "score"), labels_of(label, "label"), min_recall, confidence));
        py::dict out;
        out["value"] = made.value ? py::object(py::float_(*made.value)) : py::object(py::none());
        out["sufficient"] = made.sufficient;
        out["n"] = made.n;
        out["positives"] = made.positives;
        out["misses_allowed"] = made.misses_allowed;
        out["misses"] = made.misses;
        out["needed"] = made.needed;
        out["flagged"] = made.flagged;
        return out;
    });
    m.def(
        "check_calibration",
        [](const py::bytes& document) { return unwrap(calibration::parse(std::string_view(document))).to_json(); },
        "Reads a calibration document and gives it back in canonical form.");
}

}  // namespace opspilot::python
