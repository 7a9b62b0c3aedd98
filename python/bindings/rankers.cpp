#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/learn/linear.hpp"
#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/linear.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "training.hpp"
#include "tree_arrays.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

std::vector<std::string> names_of(std::span<const std::string> names) { return {names.begin(), names.end()}; }

/// An engine that this machine lacks is an error of the model's use, whatever the core calls it.
[[noreturn]] void refuse_engine(error problem) {
    problem.kind = error_kind::model;
    problem.code = "model.unknown_engine";
    problem.where = "engine";
    raise(problem);
}

/// Trees with a scorer per engine that was asked for. Scorers are made and looked up with the GIL held.
class tree_handle {
public:
    explicit tree_handle(tree_ensemble ensemble) : ensemble_(std::move(ensemble)) { static_cast<void>(scorer("")); }

    [[nodiscard]] const tree_ensemble& ensemble() const noexcept { return ensemble_; }

    std::shared_ptr<const tree_scorer> scorer(const std::string& engine) {
        std::shared_ptr<const tree_scorer>& known = scorers_[engine];
        if (!known) {
            auto made = tree_scorer::compile(ensemble_, engine);
            if (!made) {
                scorers_.erase(engine);
                refuse_engine(std::move(made.error()));
            }
            known = std::make_shared<const tree_scorer>(std::move(*made));
        }
        return known;
    }

private:
    tree_ensemble ensemble_;
    std::map<std::string, std::shared_ptr<const tree_scorer>> scorers_;
};

/// Rows are turned into columns piece by piece, so that a piece stays in the cache.
status score_float_rows(const tree_scorer& scorer, std::span<const float> rows, std::size_t n, std::size_t features,
                        std::span<double> out) {
    constexpr std::size_t piece = 1024;
    std::vector<float> turned(std::min(n, piece) * features);
    std::vector<const float*> columns(features);
    for (std::size_t first = 0; first < n; first += piece) {
        const std::size_t count = std::min(piece, n - first);
        for (std::size_t j = 0; j < features; ++j) {
            columns[j] = turned.data() + j * count;
            for (std::size_t i = 0; i < count; ++i) turned[j * count + i] = rows[(first + i) * features + j];
        }
        OPSPILOT_CHECK(scorer.score(columns, count, out.subspan(first * scorer.outputs(), count * scorer.outputs())));
    }
    return {};
}

/// What the column scorer does not do yet.
bool only_reference(const tree_ensemble& e) {
    const auto given = [](std::span<const double> values) {
        return std::any_of(values.begin(), values.end(), [](double v) { return v != 0; });
    };
    if (given(e.start()) || given(e.bias()) || e.scale() != 1 || e.arithmetic().float_sums || !e.arithmetic().fractions_are_zero)
        return true;
    for (std::size_t t = 0; t < e.trees(); ++t)
        if (e.tree(t).width != 1) return true;
    return false;
}

py::array_t<double> score_trees(tree_handle& r, const py::object& x, const std::string& engine) {
    const number_rows rows(x, "X");
    const tree_ensemble& e = r.ensemble();
    rows.want_columns(e.features(), "X");
    const std::shared_ptr<const tree_scorer> scorer = r.scorer(engine);
    const auto n = static_cast<py::ssize_t>(rows.rows());
    const auto outputs = static_cast<py::ssize_t>(e.outputs());
    py::array_t<double> out(outputs == 1 ? std::vector<py::ssize_t>{n} : std::vector<py::ssize_t>{n, outputs});
    const std::span<double> scores{out.mutable_data(), rows.rows() * e.outputs()};
    status done = [&]() -> status {
        const py::gil_scoped_release unlocked;
        if (rows.is_float32() && only_reference(e)) return e.score_rows(rows.floats(), rows.rows(), scores);
        if (rows.is_float32()) return score_float_rows(*scorer, rows.floats(), rows.rows(), rows.columns(), scores);
        return e.score_rows(rows.doubles(), rows.rows(), scores);
    }();
    unwrap(std::move(done));
    return out;
}

/// Positions of the k best scores, best first, ties by lower position.
py::array_t<std::int64_t> best_of(const vector_in<double>& scores, std::size_t k) {
    const std::span<const double> s = span_of(scores);
    k = std::min(k, s.size());
    std::vector<std::int64_t> order(s.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    const auto better = [&](std::int64_t a, std::int64_t b) {
        const double left = s[static_cast<std::size_t>(a)], right = s[static_cast<std::size_t>(b)];
        return left != right ? left > right : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(), better);
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(k), order.data());
}

void bind_trees(py::module_& m) {
    py::class_<tree_handle>(m, "TreeRanker")
        .def_static(
            "from_lightgbm",
            [](const py::bytes& text) {
                const std::string_view bytes = text;
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return read_lightgbm(bytes);
                }();
                return std::make_unique<tree_handle>(unwrap(std::move(made)));
            },
            py::arg("text"))
        .def_static(
            "from_catboost",
            [](const py::bytes& content) {
                const std::string_view bytes = content;
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return read_catboost(bytes);
                }();
                return std::make_unique<tree_handle>(unwrap(std::move(made)));
            },
            py::arg("content"))
        .def_static(
            "from_tree_file",
            [](const py::bytes& content) {
                const std::string_view bytes = content;
                auto made = [&] {
                    const py::gil_scoped_release unlocked;
                    return read_tree_file(bytes);
                }();
                return std::make_unique<tree_handle>(unwrap(std::move(made)));
            },
            py::arg("content"))
        .def_static(
            "from_arrays",
            [](std::vector<std::string> features, std::size_t outputs, const std::string& objective, bool average,
               bool float_values, const std::vector<double>& start, const py::iterable& trees) {
                return std::make_unique<tree_handle>(
                    trees_from_arrays(std::move(features), outputs, objective, average, float_values, start, trees));
            },
            py::arg("features"), py::arg("outputs"), py::arg("objective"), py::arg("average"), py::arg("float_values"),
            py::arg("start"), py::arg("trees"))
        .def("to_tree_file", [](const tree_handle& r) { return py::bytes(write_tree_file(r.ensemble())); })
        .def("score", &score_trees, py::arg("x"), py::arg("engine") = "")
        .def_property_readonly("feature_names", [](const tree_handle& r) { return names_of(r.ensemble().feature_names()); })
        .def_property_readonly("features", [](const tree_handle& r) { return r.ensemble().features(); })
        .def_property_readonly("outputs", [](const tree_handle& r) { return r.ensemble().outputs(); })
        .def_property_readonly("trees", [](const tree_handle& r) { return r.ensemble().trees(); })
        .def_property_readonly("splits", [](const tree_handle& r) { return r.ensemble().splits(); })
        .def_property_readonly("averaged", [](const tree_handle& r) { return r.ensemble().divisor() != 1; })
        .def_property_readonly("objective", [](const tree_handle& r) { return r.ensemble().objective(); });
    m.def("tree_engines", [] {
        std::vector<std::string> names;
        for (const std::string_view name : tree_engines()) names.emplace_back(name);
        return names;
    });
    m.def("best_of", &best_of, py::arg("scores"), py::arg("k"));
    m.def("lightgbm_feature_name", [](const std::string& name) { return lightgbm_feature_name(name); }, py::arg("name"));
}

/// A linear ranker, and the same for other kernels that were asked for (looked up with the GIL held).
class linear_handle {
public:
    explicit linear_handle(linear_ranker model) : model_(std::move(model)) {}
    [[nodiscard]] const linear_ranker& model() const noexcept { return model_; }
    const linear_ranker& on(const std::string& kernel) {
        if (kernel.empty() || kernel == model_.kernel()) return model_;
        const auto known = others_.find(kernel);
        if (known != others_.end()) return known->second;
        const auto found = find_linear_kernel(kernel);
        if (!found) refuse_engine(found.error());
        linear_ranker::parts parts{.features = names_of(model_.feature_names()),
                                   .weights = {model_.weights().begin(), model_.weights().end()},
                                   .intercept = model_.intercept(),
                                   .sparse = {model_.sparse().begin(), model_.sparse().end()},
                                   .fingerprint = model_.fingerprint()};
        return others_.emplace(kernel, unwrap(linear_ranker::build(std::move(parts), kernel))).first->second;
    }

private:
    linear_ranker model_;
    std::map<std::string, linear_ranker> others_;  // references to elements stay valid
};

/// float32 scores for float32 rows, float64 for float64: each by the model's own arithmetic for that type.
py::array score_linear(linear_handle& r, const py::object& x, const std::string& engine) {
    const number_rows rows(x, "X");
    const linear_ranker& model = r.on(engine);
    if (!model.sparse().empty())
        raise(error{error_kind::model, "model.needs_blocks", "the model also reads hashed text, X holds its dense columns only",
                    "X", "score through a bundle that has the model's features"});
    rows.want_columns(model.feature_names().size(), "X");
    const auto n = static_cast<py::ssize_t>(rows.rows());
    const auto run = [&](auto numbers, auto out) {
        const std::span scores{out.mutable_data(), rows.rows()};
        status done = [&] {
            const py::gil_scoped_release unlocked;
            return model.score_rows(numbers, rows.rows(), scores);
        }();
        unwrap(std::move(done));
        return py::array(std::move(out));
    };
    return rows.is_float32() ? run(rows.floats(), py::array_t<float>(n)) : run(rows.doubles(), py::array_t<double>(n));
}

py::tuple fit_linear_handle(const vector_in<float>& x, const std::vector<std::string>& columns, const vector_in<float>& labels,
                            const vector_in<float>& weights, const vector_in<std::int64_t>& groups, const std::string& loss,
                            double l2, bool standardise, int max_iterations, double tolerance, std::size_t threads) {
    linear_options options;
    const std::array losses{linear_loss::squared, linear_loss::logistic, linear_loss::listwise};
    const auto* const wanted = std::find_if(losses.begin(), losses.end(), [&](linear_loss l) { return name(l) == loss; });
    if (wanted == losses.end())
        raise(error{error_kind::usage, "learn.options", "no loss is called '" + loss + "'", "loss",
                    "one of: squared, logistic, listwise"});
    options.loss = *wanted;
    options.l2 = l2;
    options.standardise = standardise;
    options.solver.max_iterations = max_iterations;
    options.solver.gradient_tolerance = tolerance;
    const linear_data data{.columns = columns,
                           .x = span_of(x),
                           .labels = span_of(labels),
                           .weights = span_of(weights),
                           .groups = span_of(groups),
                           .fingerprint = {}};
    auto made = [&] {
        const py::gil_scoped_release unlocked;
        return fit_linear(data, options, host_threads(threads));
    }();
    trained_linear trained = unwrap(std::move(made));
    py::dict report;
    report["loss"] = trained.report.loss;
    report["gradient"] = trained.report.gradient;
    report["iterations"] = trained.report.iterations;
    report["evaluations"] = trained.report.evaluations;
    report["stopped"] = std::string(name(trained.report.reason));
    return py::make_tuple(std::make_unique<linear_handle>(std::move(trained.model)), report);
}

void bind_linear(py::module_& m) {
    py::class_<linear_handle>(m, "LinearModel")
        .def_static(
            "parse",
            [](const py::bytes& document) {
                return std::make_unique<linear_handle>(unwrap(linear_ranker::parse(std::string_view(document))));
            },
            py::arg("document"))
        .def_static("fit", &fit_linear_handle, py::arg("x"), py::arg("columns"), py::arg("labels"), py::arg("weights"),
                    py::arg("groups"), py::arg("loss"), py::arg("l2"), py::arg("standardise"), py::arg("max_iterations"),
                    py::arg("tolerance"), py::arg("threads") = 1)
        .def("to_json", [](const linear_handle& r) { return r.model().to_json(); })
        .def("score", &score_linear, py::arg("x"), py::arg("engine") = "")
        .def_property_readonly("feature_names", [](const linear_handle& r) { return names_of(r.model().feature_names()); })
        .def_property_readonly("weights",
                               [](const linear_handle& r) {
                                   const std::span<const double> w = r.model().weights();
                                   return py::array_t<double>(static_cast<py::ssize_t>(w.size()), w.data());
                               })
        .def_property_readonly("intercept", [](const linear_handle& r) { return r.model().intercept(); })
        .def_property_readonly("kernel", [](const linear_handle& r) { return std::string(r.model().kernel()); })
        .def_property_readonly("fingerprint", [](const linear_handle& r) { return r.model().fingerprint(); })
        .def_property_readonly("blocks", [](const linear_handle& r) {
            std::vector<std::pair<std::string, std::uint32_t>> out;
            for (const hashed_weights& h : r.model().sparse()) out.emplace_back(h.block.name, h.block.dimension);
            return out;
        });
    m.def("linear_engines", [] {
        std::vector<std::string> names;
        for (const linear_kernel* kernel : linear_kernels()) names.emplace_back(kernel->name);
        return names;
    });
}

}  // namespace

void bind_rankers(py::module_& m) {
    bind_trees(m);
    bind_linear(m);
}

}  // namespace opspilot::python
