#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "labelled.hpp"
#include "module.hpp"
#include "opspilot/calibrate/calibration_error.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

calibration_measure calibration_measure_of(const std::string& given) {
    for (int k = 0; k <= static_cast<int>(calibration_measure::binned); ++k)
        if (name(static_cast<calibration_measure>(k)) == given) return static_cast<calibration_measure>(k);
    raise(error{error_kind::usage, "usage.method", "no measure is called '" + given + "'", "method",
                "one of: debiased, smooth, corp, binned"});
}

py::list reliability_bins(const std::vector<reliability_bin>& bins) {
    py::list out;
    for (const reliability_bin& b : bins) {
        py::dict entry;
        entry["low"] = b.low;
        entry["high"] = b.high;
        entry["mean_probability"] = b.mean_probability;
        entry["accuracy"] = b.share;
        entry["n"] = b.n;
        out.append(entry);
    }
    return out;
}

py::dict measured_dict(const number_array& p, const number_array& label, const std::string& method, std::size_t bins,
                       double confidence, std::size_t resamples, std::uint64_t seed) {
    const std::span<const double> stated = scores_in(p, "p");
    const std::vector<std::uint8_t> labels = binary_labels_in(label);
    const calibration_measure measure = calibration_measure_of(method);
    result<measured_calibration> made = [&] {
        const py::gil_scoped_release release;
        return measure_calibration(stated, labels, measure,
                                   {.bins = bins, .confidence = confidence, .resamples = resamples, .seed = seed});
    }();
    const measured_calibration m = unwrap(std::move(made));
    py::dict out;
    out["value"] = m.value;
    out["low"] = m.low;
    out["high"] = m.high;
    out["calibrated_high"] = m.calibrated_high;
    out["confidence"] = m.confidence;
    out["n"] = m.n;
    out["bins"] = m.bins;
    return out;
}

}  // namespace

void bind_calibration_errors(py::module_& m) {
    m.def("measure_calibration", &measured_dict);
    m.def("decompose_score", [](const number_array& p, const number_array& label) {
        const score_decomposition d = unwrap(decompose_score(scores_in(p, "p"), binary_labels_in(label)));
        py::dict out;
        out["score"] = d.score;
        out["miscalibration"] = d.miscalibration;
        out["discrimination"] = d.discrimination;
        out["uncertainty"] = d.uncertainty;
        return out;
    });
    m.def("reliability_diagram", [](const number_array& p, const number_array& label, std::size_t bins) {
        const reliability d = unwrap(reliability_diagram(scores_in(p, "p"), binary_labels_in(label), bins));
        py::dict out;
        out["bins"] = reliability_bins(d.bins);
        out["curve"] = reliability_bins(d.curve);
        return out;
    });
}

}  // namespace opspilot::python
