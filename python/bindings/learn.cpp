#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/learn/choice.hpp"
#include "opspilot/learn/text_classifier.hpp"
#include "training.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// What `transform` computes for one task after the other.
struct transformed {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> index;
    std::vector<float> value;
};

/// A plan, and the set it was fitted on: the plan knows texts by the codes they have there.
struct fitted_plan {
    feature_plan plan;
    const training_data* home;
};

/// Dense rows of all candidates and one sparse row per task, its columns running through all blocks.
py::dict transform(const fitted_plan& fitted, training_data& data, bool out_of_fold, std::size_t threads) {
    // The codes of another set are others: there the plan is read again, as a bundle reads it.
    const bool at_home = fitted.home == &data;
    if (out_of_fold && !at_home)
        raise(error{error_kind::usage, "usage.out_of_fold", "out of fold on another set than the plan was fitted on", "data",
                    "give the set that was given to fit"});
    const feature_plan elsewhere =
        at_home ? feature_plan{} : unwrap(feature_plan::parse(fitted.plan.to_json(), data.declared(), data.strings()));
    const feature_plan& plan = at_home ? fitted.plan : elsewhere;
    const training_set set = data.view();
    const std::size_t tasks = data.tasks();
    const std::size_t columns = plan.names().size();
    py::array_t<float> dense({set.candidate_offsets.back(), static_cast<std::uint32_t>(columns)});
    float* out = dense.mutable_data();
    constexpr std::size_t piece = 1024;
    const std::size_t pieces = (tasks + piece - 1) / piece;
    std::vector<transformed> parts(pieces);
    std::vector<status> problems(pieces);
    {
        const py::gil_scoped_release unlocked;
        auto prepared = plan.prepare(*set.actions, *set.strings);
        if (!prepared) {
            const py::gil_scoped_acquire locked;
            raise(prepared.error());
        }
        const auto body = [&](std::size_t p) {
            feature_workspace scratch;
            feature_matrix m;
            for (std::size_t t = p * piece; t < std::min(tasks, (p + 1) * piece); ++t) {
                problems[p] = out_of_fold ? apply_out_of_fold(plan, set, t, scratch, m)
                                          : plan.apply(data.frame_of(t), prepared->get(), scratch, m);
                if (!problems[p]) return;
                float* rows = out + std::size_t{set.candidate_offsets[t]} * columns;
                for (std::size_t j = 0; j < columns; ++j)
                    for (std::size_t i = 0; i < m.rows(); ++i) rows[i * columns + j] = m.at(i, j);
                std::uint32_t base = 0;
                for (std::size_t b = 0; b < m.sparse_blocks(); ++b) {
                    const sparse_view block = m.sparse(b);
                    for (const std::uint32_t i : block.index) parts[p].index.push_back(base + i);
                    parts[p].value.insert(parts[p].value.end(), block.value.begin(), block.value.end());
                    base += plan.sparse_blocks()[b].dimension;
                }
                parts[p].offsets.push_back(static_cast<std::int64_t>(parts[p].index.size()));
            }
        };
        if (const parallel_for run = host_threads(threads))
            run(pieces, body);
        else
            for (std::size_t p = 0; p < pieces; ++p) body(p);
    }
    transformed all;
    for (std::size_t p = 0; p < pieces; ++p) {
        unwrap(std::move(problems[p]));
        const std::int64_t base = all.offsets.back();
        for (std::size_t i = 1; i < parts[p].offsets.size(); ++i) all.offsets.push_back(base + parts[p].offsets[i]);
        all.index.insert(all.index.end(), parts[p].index.begin(), parts[p].index.end());
        all.value.insert(all.value.end(), parts[p].value.begin(), parts[p].value.end());
        parts[p] = {};
    }
    py::dict result;
    result["dense"] = dense;
    result["offsets"] = array_of(std::move(all.offsets));
    result["index"] = array_of(std::move(all.index));
    result["value"] = array_of(std::move(all.value));
    return result;
}

softmax_options options_from(const py::dict& given) {
    softmax_options o;
    for (const auto& [key, value] : given) {
        const auto name = key.cast<std::string>();
        if (name == "solver") {
            const auto solver = value.cast<std::string>();
            if (solver != "lbfgs" && solver != "adagrad")
                raise(error{error_kind::usage, "learn.options", "no solver is called '" + solver + "'", "solver",
                            "one of: lbfgs, adagrad"});
            o.solver = solver == "lbfgs" ? softmax_solver::lbfgs : softmax_solver::adagrad;
        } else if (name == "l2")
            o.l2 = value.cast<double>();
        else if (name == "bias_l2")
            o.bias_l2 = value.cast<double>();
        else if (name == "max_iterations")
            o.max_iterations = value.cast<int>();
        else if (name == "tolerance")
            o.tolerance = value.cast<double>();
        else if (name == "memory")
            o.memory = value.cast<int>();
        else if (name == "epochs")
            o.epochs = value.cast<int>();
        else if (name == "learning_rate")
            o.learning_rate = value.cast<double>();
        else if (name == "initial_square")
            o.initial_square = value.cast<double>();
        else if (name == "seed")
            o.seed = value.cast<std::uint64_t>();
        else if (name == "min_count")
            o.min_count = value.cast<std::uint32_t>();
        else if (name == "standardise")
            o.standardise = value.cast<bool>();
        else if (name == "max_entries")
            o.max_entries = value.cast<std::size_t>();
        else
            raise(error{error_kind::usage, "learn.options", "no option is called '" + name + "'", name,
                        "solver, l2, bias_l2, max_iterations, tolerance, memory, epochs, learning_rate, initial_square, seed, "
                        "min_count, standardise, max_entries"});
    }
    return o;
}

py::dict report_dict(const softmax_report& r) {
    py::dict out;
    out["rows"] = r.rows;
    out["buckets"] = r.buckets;
    out["loss"] = r.loss;
    out["iterations"] = r.iterations;
    out["converged"] = r.converged;
    return out;
}

std::vector<sparse_block> blocks_from(const std::vector<std::pair<std::string, std::uint32_t>>& blocks) {
    std::vector<sparse_block> out;
    for (const auto& [name, dimension] : blocks) out.push_back({name, dimension});
    return out;
}

/// Rows to classify, from numpy arrays that outlive the call.
struct classifier_arrays {
    std::vector<sparse_block> blocks;
    std::vector<std::string> classes;
    vector_in<std::int64_t> offsets;
    vector_in<std::uint32_t> index;
    vector_in<float> value;
    vector_in<std::uint32_t> labels;
    vector_in<std::int64_t> allowed_offsets;
    vector_in<std::uint32_t> allowed;
    std::string fingerprint;

    [[nodiscard]] classifier_data view() const {
        return {.blocks = blocks,
                .x = {.offsets = span_of(offsets), .index = span_of(index), .value = span_of(value)},
                .classes = classes,
                .labels = span_of(labels),
                .columns = {},
                .dense = {},
                .weights = {},
                .allowed_offsets = span_of(allowed_offsets),
                .allowed = span_of(allowed),
                .fingerprint = fingerprint};
    }
};

/// Tasks to choose in, from numpy arrays that outlive the call.
struct choice_arrays {
    std::vector<sparse_block> blocks;
    vector_in<std::int64_t> offsets;
    vector_in<std::uint32_t> index;
    vector_in<float> value;
    vector_in<std::int64_t> candidate_offsets;
    std::vector<choice_model::key> keys;
    vector_in<std::uint32_t> slots;
    bool outside = false;
    std::vector<std::string> columns;
    vector_in<float> dense;
    vector_in<std::int32_t> chosen;
    std::string fingerprint;

    [[nodiscard]] choice_data view() const {
        return {.blocks = blocks,
                .x = {.offsets = span_of(offsets), .index = span_of(index), .value = span_of(value)},
                .candidate_offsets = span_of(candidate_offsets),
                .keys = keys,
                .slots = span_of(slots),
                .outside = outside,
                .columns = columns,
                .dense = span_of(dense),
                .chosen = span_of(chosen),
                .weights = {},
                .fingerprint = fingerprint};
    }
};

py::bytes bytes_of(const std::string& s) { return py::bytes(s); }

void bind_classifier(py::module_& m) {
    py::class_<classifier_arrays>(m, "ClassifierData")
        .def(py::init([](const std::vector<std::pair<std::string, std::uint32_t>>& blocks,
                         const std::vector<std::string>& classes, const vector_in<std::int64_t>& offsets,
                         const vector_in<std::uint32_t>& index, const vector_in<float>& value,
                         const vector_in<std::uint32_t>& labels, const vector_in<std::int64_t>& allowed_offsets,
                         const vector_in<std::uint32_t>& allowed, const std::string& fingerprint) {
                 return classifier_arrays{blocks_from(blocks), classes, offsets,    index, value, labels,
                                          allowed_offsets,     allowed, fingerprint};
             }),
             py::arg("blocks"), py::arg("classes"), py::arg("offsets"), py::arg("index"), py::arg("value"), py::arg("labels"),
             py::arg("allowed_offsets"), py::arg("allowed"), py::arg("fingerprint") = "")
        .def(
            "fit",
            [](const classifier_arrays& a, const py::dict& options, const vector_in<std::uint32_t>& rows, std::size_t threads) {
                const softmax_options o = options_from(options);
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return fit_text_classifier(a.view(), o, span_of(rows), host_threads(threads));
                }();
                const trained_classifier trained = unwrap(std::move(made));
                return py::make_tuple(bytes_of(trained.model.to_bytes()), report_dict(trained.report));
            },
            py::arg("options"), py::arg("rows"), py::arg("threads") = 1)
        .def(
            "cross_fit",
            [](const classifier_arrays& a, const py::dict& options, const vector_in<std::uint32_t>& folds, std::size_t threads) {
                const softmax_options o = options_from(options);
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return cross_fit(a.view(), span_of(folds), o, host_threads(threads));
                }();
                const cross_fitted_classifier fitted = unwrap(std::move(made));
                py::list reports;
                for (const softmax_report& r : fitted.reports) reports.append(report_dict(r));
                return py::make_tuple(bytes_of(fitted.average.to_bytes()), array_of(fitted.log_probabilities), reports);
            },
            py::arg("options"), py::arg("folds"), py::arg("threads") = 1)
        .def(
            "predict",
            [](const classifier_arrays& a, const py::bytes& model, const vector_in<std::uint32_t>& rows, std::size_t threads) {
                const text_classifier parsed = unwrap(text_classifier::parse(std::string_view(model)));
                const std::size_t width = a.allowed_offsets.size() > 0
                                              ? static_cast<std::size_t>(a.allowed.size())
                                              : (static_cast<std::size_t>(a.offsets.size()) - 1) * a.classes.size();
                std::vector<double> out(width, 0.0);
                status done = [&] {
                    const py::gil_scoped_release unlocked;
                    return predict_rows(parsed, a.view(), span_of(rows), out, host_threads(threads));
                }();
                unwrap(std::move(done));
                return array_of(out);
            },
            py::arg("model"), py::arg("rows"), py::arg("threads") = 1);
}

void bind_choice(py::module_& m) {
    py::class_<choice_arrays>(m, "ChoiceData")
        .def(py::init([](const std::vector<std::pair<std::string, std::uint32_t>>& blocks, const vector_in<std::int64_t>& offsets,
                         const vector_in<std::uint32_t>& index, const vector_in<float>& value,
                         const vector_in<std::int64_t>& candidate_offsets,
                         const std::vector<std::pair<std::string, std::vector<std::string>>>& keys,
                         const vector_in<std::uint32_t>& slots, bool outside, const std::vector<std::string>& columns,
                         const vector_in<float>& dense, const vector_in<std::int32_t>& chosen, const std::string& fingerprint) {
                 choice_arrays made{
                     blocks_from(blocks), offsets, index, value, candidate_offsets, {}, slots, outside, columns, dense, chosen,
                     fingerprint};
                 for (const auto& [field, values] : keys) made.keys.push_back({field, values});
                 return made;
             }),
             py::arg("blocks"), py::arg("offsets"), py::arg("index"), py::arg("value"), py::arg("candidate_offsets"),
             py::arg("keys"), py::arg("slots"), py::arg("outside"), py::arg("columns"), py::arg("dense"), py::arg("chosen"),
             py::arg("fingerprint") = "")
        .def(
            "fit",
            [](const choice_arrays& a, const py::dict& options, const vector_in<std::uint32_t>& tasks, std::size_t threads) {
                const softmax_options o = options_from(options);
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return fit_choice(a.view(), o, span_of(tasks), host_threads(threads));
                }();
                const trained_choice trained = unwrap(std::move(made));
                return py::make_tuple(bytes_of(trained.model.to_bytes()), report_dict(trained.report));
            },
            py::arg("options"), py::arg("tasks"), py::arg("threads") = 1)
        .def(
            "cross_fit",
            [](const choice_arrays& a, const py::dict& options, const vector_in<std::uint32_t>& folds, std::size_t threads) {
                const softmax_options o = options_from(options);
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return cross_fit(a.view(), span_of(folds), o, host_threads(threads));
                }();
                const cross_fitted_choice fitted = unwrap(std::move(made));
                py::list reports;
                for (const softmax_report& r : fitted.reports) reports.append(report_dict(r));
                return py::make_tuple(bytes_of(fitted.average.to_bytes()), array_of(fitted.log_probabilities),
                                      array_of(fitted.outside), reports);
            },
            py::arg("options"), py::arg("folds"), py::arg("threads") = 1);
}

}  // namespace

void bind_learn(py::module_& m) {
    py::class_<training_data>(m, "TrainingSet")
        .def(py::init<const std::string&, const std::string&>(), py::arg("schema"), py::arg("catalogue"))
        .def("add_tasks", &training_data::add_tasks, py::arg("rows"), py::arg("now"))
        .def("generate", &training_data::generate, py::arg("document"))
        .def("set_candidates", &training_data::set_candidates, py::arg("rows"))
        .def("set_chosen", &training_data::set_chosen, py::arg("ids"))
        .def("set_folds", &training_data::set_folds, py::arg("folds"))
        .def_property_readonly("tasks", &training_data::tasks)
        .def_property_readonly("offsets", &training_data::offsets)
        .def_property_readonly("rows", &training_data::rows)
        .def_property_readonly("action_ids", &training_data::action_ids);

    py::class_<fitted_plan>(m, "FeaturePlan")
        .def_static(
            "fit",
            [](const std::string& spec, const training_data& data) {
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return fit_features(spec, data.declared(), data.view());
                }();
                return fitted_plan{unwrap(std::move(made)), &data};
            },
            py::arg("spec"), py::arg("data"), py::keep_alive<0, 2>())
        .def("transform", &transform, py::arg("data"), py::arg("out_of_fold") = false, py::arg("threads") = 1)
        .def_property_readonly("document", [](const fitted_plan& p) { return p.plan.to_json(); })
        .def_property_readonly("fingerprint", [](const fitted_plan& p) { return p.plan.fingerprint(); })
        .def_property_readonly(
            "columns",
            [](const fitted_plan& p) { return std::vector<std::string>(p.plan.names().begin(), p.plan.names().end()); })
        .def_property_readonly("blocks", [](const fitted_plan& p) {
            std::vector<std::pair<std::string, std::uint32_t>> out;
            for (const sparse_block& b : p.plan.sparse_blocks()) out.emplace_back(b.name, b.dimension);
            return out;
        });
    bind_classifier(m);
    bind_choice(m);
}

}  // namespace opspilot::python
