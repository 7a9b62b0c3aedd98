#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "labelled.hpp"
#include "module.hpp"
#include "opspilot/calibrate/calibrator.hpp"
#include "opspilot/calibrate/choose.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

calibrator_kind calibrator_kind_of(const std::string& given) {
    for (int k = 0; k <= static_cast<int>(calibrator_kind::hierarchical_platt); ++k)
        if (name(static_cast<calibrator_kind>(k)) == given) return static_cast<calibrator_kind>(k);
    raise(error{error_kind::usage, "usage.calibrator", "no calibrator is called '" + given + "'", "kind", ""});
}

calibrator_input calibrator_input_of(const std::string& given) {
    if (given == "margin") return calibrator_input::margin;
    if (given == "probability") return calibrator_input::probability;
    raise(error{error_kind::usage, "usage.calibrator_input", "no input is called '" + given + "'", "input",
                "'margin' or 'probability'"});
}

/// Client numbers of rows; -1 and none are new clients.
std::uint32_t client_at(const std::optional<vector_in<std::int64_t>>& client, std::size_t row) {
    if (!client) return hierarchical_platt::new_client;
    const std::int64_t number = client->size() == 1 ? client->data()[0] : client->data()[row];
    return number < 0 ? hierarchical_platt::new_client : static_cast<std::uint32_t>(number);
}

py::array_t<double> probabilities_of(const score_calibrator& c, const number_array& score,
                                     const std::optional<vector_in<std::int64_t>>& client) {
    const std::span<const double> in = scores_in(score, "score");
    if (client && client->size() != 1 && static_cast<std::size_t>(client->size()) != in.size())
        raise(error{error_kind::calibration, "calibration.length_mismatch",
                    std::to_string(in.size()) + " scores but " + std::to_string(client->size()) + " clients", "client",
                    "give one client, or one per score"});
    std::vector<double> out(in.size());
    {
        const py::gil_scoped_release release;
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = c.probability(in[i], client_at(client, i));
    }
    return array_of(std::move(out));
}

py::array_t<double> intervals_of(const score_calibrator& c, const number_array& score) {
    const auto* table = std::get_if<venn_abers>(&c.curve);
    if (table == nullptr)
        raise(error{error_kind::calibration, "calibration.no_interval",
                    "a calibrator of kind " + std::string(name(c.kind())) + " has no pairs", "", "fit VennAbers"});
    const std::span<const double> in = scores_in(score, "score");
    py::array_t<double> out({static_cast<py::ssize_t>(in.size()), py::ssize_t{2}});
    double* to = out.mutable_data();
    const py::gil_scoped_release release;
    for (std::size_t i = 0; i < in.size(); ++i) {
        const venn_abers_pair pair = table->interval(in[i]);
        to[2 * i] = pair.p0;
        to[2 * i + 1] = pair.p1;
    }
    return out;
}

score_calibrator fit_weighted_isotonic(const std::string& input, const number_array& score, const number_array& label,
                                       const number_array& weight) {
    const std::span<const double> scores = scores_in(score, "score"), weights = scores_in(weight, "weight");
    const std::vector<std::uint8_t> labels = binary_labels_in(label);
    score_calibrator out;
    out.input = calibrator_input_of(input);
    result<isotonic> made = [&] {
        const py::gil_scoped_release release;
        return fit_isotonic(scores, labels, weights);
    }();
    out.curve = unwrap(std::move(made));
    return out;
}

score_calibrator fit_hierarchical(const std::string& input, const number_array& score, const number_array& label,
                                  const vector_in<std::int64_t>& client, std::vector<std::string> names,
                                  std::optional<double> offset_variance) {
    const std::span<const double> given = scores_in(score, "score");
    const std::vector<std::uint8_t> labels = binary_labels_in(label);
    const std::vector<std::uint32_t> numbers(client.data(), client.data() + client.size());
    const calibrator_input reads = calibrator_input_of(input);
    result<score_calibrator> made = [&] {
        const py::gil_scoped_release release;
        return fit_client_calibrator(reads, given, labels, numbers, std::move(names), {.offset_variance = offset_variance});
    }();
    return unwrap(std::move(made));
}

py::dict choice_dict(const number_array& score, const number_array& label, const std::string& input) {
    const std::span<const double> scores = scores_in(score, "score");
    const std::vector<std::uint8_t> labels = binary_labels_in(label);
    const calibrator_input reads = calibrator_input_of(input);
    result<calibrator_choice> made = [&] {
        const py::gil_scoped_release release;
        return choose_calibrator(scores, labels, reads);
    }();
    calibrator_choice choice = unwrap(std::move(made));
    py::list compared;
    for (const calibrator_candidate& c : choice.compared) {
        py::dict entry;
        entry["kind"] = std::string(name(c.kind));
        entry["log_loss"] = c.log_loss;
        entry["gain"] = c.gain;
        entry["standard_error"] = c.standard_error;
        compared.append(entry);
    }
    py::dict out;
    out["calibrator"] = py::cast(std::move(choice.calibrator));
    out["reason"] = choice.reason;
    out["positives"] = choice.positives;
    out["negatives"] = choice.negatives;
    out["venn_abers_width"] = choice.venn_abers_width;
    out["compared"] = compared;
    return out;
}

std::vector<std::uint32_t> classes_in(const vector_in<std::int64_t>& label) {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < static_cast<std::size_t>(label.size()); ++i)
        out.push_back(label.data()[i] < 0 ? UINT32_MAX : static_cast<std::uint32_t>(label.data()[i]));
    return out;
}

std::size_t columns_of(const number_array& a) { return a.ndim() == 2 ? static_cast<std::size_t>(a.shape(1)) : 0; }

template <class Curve>
py::array_t<double> softmax_of(const number_array& logits, const Curve& fill) {
    const std::span<const double> in = logits_in(logits);
    py::array_t<double> out({logits.shape(0), logits.shape(1)});
    fill(in, std::span<double>(out.mutable_data(), in.size()));
    return out;
}

}  // namespace

void bind_calibrators(py::module_& m) {
    py::class_<score_calibrator>(m, "Calibrator")
        .def_static("fit",
                    [](const std::string& kind, const std::string& input, const number_array& score, const number_array& label) {
                        const std::span<const double> scores = scores_in(score, "score");
                        const std::vector<std::uint8_t> labels = binary_labels_in(label);
                        const calibrator_kind chosen = calibrator_kind_of(kind);
                        const calibrator_input reads = calibrator_input_of(input);
                        result<score_calibrator> made = [&] {
                            const py::gil_scoped_release release;
                            return fit_calibrator(chosen, reads, scores, labels);
                        }();
                        return unwrap(std::move(made));
                    })
        .def_static("fit_weighted_isotonic", &fit_weighted_isotonic)
        .def_static("fit_hierarchical", &fit_hierarchical)
        .def_static("parse",
                    [](const py::bytes& document) { return unwrap(score_calibrator::parse(std::string_view(document))); })
        .def("to_json", [](const score_calibrator& c) { return text(c.to_json()); })
        .def_property_readonly("kind", [](const score_calibrator& c) { return std::string(name(c.kind())); })
        .def_property_readonly(
            "input",
            [](const score_calibrator& c) { return std::string(c.input == calibrator_input::margin ? "margin" : "probability"); })
        .def("client_number",
             [](const score_calibrator& c, const std::string& client) {
                 const std::uint32_t number = c.client_number(client);
                 return number == hierarchical_platt::new_client ? std::int64_t{-1} : std::int64_t{number};
             })
        .def("probability", &probabilities_of, py::arg("score"), py::arg("client") = py::none())
        .def("interval", &intervals_of);
    m.def("choose_calibrator", &choice_dict);
    m.def("fit_temperature", [](const number_array& logits, const vector_in<std::int64_t>& label) {
        return unwrap(fit_temperature(logits_in(logits), columns_of(logits), classes_in(label))).t;
    });
    m.def("temperature_probabilities", [](const number_array& logits, double t) {
        return softmax_of(logits, [&](auto in, auto out) { temperature_curve{t}.probabilities(in, columns_of(logits), out); });
    });
    m.def("fit_vector_scaling", [](const number_array& logits, const vector_in<std::int64_t>& label, double ridge) {
        const std::span<const double> rows = logits_in(logits);
        const std::vector<std::uint32_t> classes = classes_in(label);
        vector_scaling made = unwrap(fit_vector_scaling(rows, columns_of(logits), classes, ridge));
        return py::make_tuple(array_of(std::move(made.scale)), array_of(std::move(made.shift)));
    });
    m.def("vector_probabilities", [](const number_array& logits, std::vector<double> scale, std::vector<double> shift) {
        if (scale.size() != columns_of(logits) || shift.size() != scale.size())
            raise(error{error_kind::calibration, "calibration.shape",
                        std::to_string(columns_of(logits)) + " columns for " + std::to_string(scale.size()) + " classes", "score",
                        "give the classes that were fitted"});
        const vector_scaling curve{std::move(scale), std::move(shift)};
        return softmax_of(logits, [&](auto in, auto out) { curve.probabilities(in, out); });
    });
    m.def("top_class", [](const number_array& rows, const vector_in<std::int64_t>& label) {
        top_class_task made = unwrap(top_class(logits_in(rows), columns_of(rows), classes_in(label)));
        return py::make_tuple(array_of(std::move(made.score)), array_of(std::move(made.label)));
    });
}

}  // namespace opspilot::python
