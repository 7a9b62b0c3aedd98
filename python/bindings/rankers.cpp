#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "explain.hpp"
#include "module.hpp"
#include "opspilot/learn/linear.hpp"
#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/linear.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "opspilot/rank/trees.hpp"
#include "opspilot/rank/xgboost.hpp"
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

/// Each thread of the host keeps its own.
tree_workspace& tree_scratch() {
    thread_local tree_workspace scratch;
    return scratch;
}

number_table table_of(const number_rows& rows) {
    if (rows.is_float32()) return {rows.floats().data(), rows.rows(), rows.columns()};
    return {rows.doubles().data(), rows.rows(), rows.columns()};
}

py::array_t<double> scores_for(std::size_t rows, std::size_t outputs) {
    const auto n = static_cast<py::ssize_t>(rows);
    return py::array_t<double>(outputs == 1 ? std::vector<py::ssize_t>{n}
                                            : std::vector<py::ssize_t>{n, static_cast<py::ssize_t>(outputs)});
}

py::array_t<double> score_trees(tree_handle& r, const py::object& x, const std::string& engine) {
    const number_rows rows(x, "X");
    const std::shared_ptr<const tree_scorer> scorer = r.scorer(engine);
    rows.want_columns(scorer->features(), "X");
    py::array_t<double> out = scores_for(rows.rows(), scorer->outputs());
    const std::span<double> scores{out.mutable_data(), rows.rows() * scorer->outputs()};
    status done = [&] {
        const py::gil_scoped_release unlocked;
        return scorer->score_rows(table_of(rows), scores, tree_scratch());
    }();
    unwrap(std::move(done));
    return out;
}

/// The action columns of a catalogue: their ranks are made for the place that the first use gives them among a model's columns,
/// and kept.
class actions_handle {
public:
    actions_handle(std::shared_ptr<const tree_scorer> scorer, std::string engine, const py::object& rows)
        : scorer_(std::move(scorer)), engine_(std::move(engine)), rows_(rows, "action_rows") {}

    [[nodiscard]] const number_rows& rows() const noexcept { return rows_; }
    /// With the GIL held.
    const action_ranks& at(std::size_t first_feature) {
        const auto known = prepared_.find(first_feature);
        if (known != prepared_.end()) return known->second;
        return prepared_.emplace(first_feature, unwrap(scorer_->prepare_actions(table_of(rows_), first_feature))).first->second;
    }
    [[nodiscard]] bool made_by(const tree_scorer* scorer) const noexcept { return scorer_.get() == scorer; }

private:
    std::shared_ptr<const tree_scorer> scorer_;
    std::string engine_;
    number_rows rows_;
    std::map<std::size_t, action_ranks> prepared_;
};

py::object score_task(tree_handle& r, const py::object& task, const py::object& actions, const py::object& pairs,
                      const std::optional<vector_in<std::int64_t>>& index, std::optional<std::size_t> top_k,
                      const std::string& engine) {
    const std::shared_ptr<const tree_scorer> scorer = r.scorer(engine);
    const number_rows task_row(task, "task_row", 1);
    task_candidates c;
    c.task = table_of(task_row);
    std::optional<number_rows> action_rows, pair_rows;
    if (py::isinstance<actions_handle>(actions)) {
        auto& prepared = actions.cast<actions_handle&>();
        if (prepared.made_by(scorer.get()) && task_row.columns() + prepared.rows().columns() <= scorer->features())
            c.catalogue = &prepared.at(task_row.columns());
        else
            c.actions = table_of(prepared.rows());
    } else {
        action_rows.emplace(actions, "actions");
        c.actions = table_of(*action_rows);
    }
    const std::size_t known = c.catalogue != nullptr ? c.catalogue->actions() : c.actions.rows;
    if (index) {
        c.index = span_of(*index);
        for (std::size_t i = 0; i < c.index.size(); ++i)
            if (c.index[i] < 0 || static_cast<std::size_t>(c.index[i]) >= known)
                raise(error{error_kind::schema, "schema.out_of_range",
                            "row " + std::to_string(c.index[i]) + " of " + std::to_string(known) + " actions",
                            "index[" + std::to_string(i) + "]", "rows count from 0"});
    }
    const std::size_t candidates = index ? c.index.size() : known;
    if (!pairs.is_none()) {
        pair_rows.emplace(pairs, "pair_rows");
        c.pairs = table_of(*pair_rows);
        if (pair_rows->rows() != candidates)
            raise(error{error_kind::schema, "schema.shape",
                        std::to_string(pair_rows->rows()) + " pair rows for " + std::to_string(candidates) + " candidates",
                        "pair_rows", "give one row per candidate"});
    }
    const std::size_t action_columns = c.catalogue != nullptr ? c.catalogue->columns() : c.actions.columns;
    const std::size_t total = c.task.columns + action_columns + c.pairs.columns;
    if (total != scorer->features())
        raise(error{error_kind::schema, "schema.shape",
                    std::to_string(c.task.columns) + " task, " + std::to_string(action_columns) + " action and " +
                        std::to_string(c.pairs.columns) + " pair columns are " + std::to_string(total) + ", the model has " +
                        std::to_string(scorer->features()) + " features",
                    "task_row", "the columns of the model are those of task, action and pair, in this order"});
    if (index && c.index.empty()) {  // an empty index is no candidate, not all of them
        if (top_k) return py::make_tuple(py::array_t<std::int64_t>(0), py::array_t<double>(0));
        return scores_for(0, scorer->outputs());
    }
    if (!top_k) {
        py::array_t<double> out = scores_for(candidates, scorer->outputs());
        const std::span<double> scores{out.mutable_data(), candidates * scorer->outputs()};
        status done = [&] {
            const py::gil_scoped_release unlocked;
            return scorer->score_task(c, scores, tree_scratch());
        }();
        unwrap(std::move(done));
        return out;
    }
    const std::size_t k = std::min(*top_k, candidates);
    py::array_t<std::int64_t> best(static_cast<py::ssize_t>(k));
    py::array_t<double> scores(static_cast<py::ssize_t>(k));
    const std::span<std::int64_t> best_span{best.mutable_data(), k};
    const std::span<double> score_span{scores.mutable_data(), k};
    status done = [&] {
        const py::gil_scoped_release unlocked;
        return scorer->top_k(c, best_span, score_span, tree_scratch());
    }();
    unwrap(std::move(done));
    return py::make_tuple(best, scores);
}

/// Splits on the longest way of any tree.
std::uint32_t depth_of(const tree_ensemble& e) {
    std::uint32_t most = 0;
    for (std::size_t t = 0; t < e.trees(); ++t) most = std::max(most, e.tree(t).depth);
    return most;
}

/// A reader of one format, or of all, behind the interpreter lock.
template <class Reader>
auto tree_reader(Reader read) {
    return [read](const py::bytes& content) {
        const std::string_view bytes = content;
        auto made = [&] {
            const py::gil_scoped_release unlocked;
            return read(bytes, tree_limits{});
        }();
        return std::make_unique<tree_handle>(unwrap(std::move(made)));
    };
}

void bind_trees(py::module_& m) {
    py::class_<actions_handle>(m, "PreparedActions")
        .def_property_readonly("actions", [](const actions_handle& a) { return a.rows().rows(); })
        .def_property_readonly("columns", [](const actions_handle& a) { return a.rows().columns(); });
    py::class_<tree_handle>(m, "TreeRanker")
        .def_static("from_lightgbm", tree_reader(&read_lightgbm), py::arg("content"))
        .def_static("from_xgboost", tree_reader(&read_xgboost), py::arg("content"))
        .def_static("from_catboost", tree_reader(&read_catboost), py::arg("content"))
        .def_static("from_tree_file", tree_reader(&read_tree_file), py::arg("content"))
        .def_static("from_bytes", tree_reader(&read_trees), py::arg("content"))
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
        .def("score_task", &score_task, py::arg("task_row"), py::arg("actions"), py::arg("pair_rows") = py::none(),
             py::arg("index") = py::none(), py::arg("top_k") = py::none(), py::arg("engine") = "")
        .def(
            "prepare_actions",
            [](tree_handle& r, const py::object& rows, const std::string& engine) {
                return std::make_unique<actions_handle>(r.scorer(engine), engine, rows);
            },
            py::arg("action_rows"), py::arg("engine") = "")
        .def(
            "explainer", [](const tree_handle& r, const std::string& engine) { return make_explainer(r.ensemble(), engine); },
            py::arg("engine") = "")
        .def(
            "path", [](const tree_handle& r, const py::object& row) { return path_of(r.ensemble(), row); }, py::arg("row"))
        .def(
            "importance", [](const tree_handle& r, const std::string& kind) { return importance_of(r.ensemble(), kind); },
            py::arg("kind"))
        .def_property_readonly("bytes", [](tree_handle& r) { return r.scorer("")->bytes(); })
        .def_property_readonly("feature_names", [](const tree_handle& r) { return names_of(r.ensemble().feature_names()); })
        .def_property_readonly("features", [](const tree_handle& r) { return r.ensemble().features(); })
        .def_property_readonly("outputs", [](const tree_handle& r) { return r.ensemble().outputs(); })
        .def_property_readonly("trees", [](const tree_handle& r) { return r.ensemble().trees(); })
        .def_property_readonly("splits", [](const tree_handle& r) { return r.ensemble().splits(); })
        .def_property_readonly("depth", [](const tree_handle& r) { return depth_of(r.ensemble()); })
        .def_property_readonly("explanations",
                               [](const tree_handle& r) { return r.ensemble().has_covers() || r.ensemble().splits() == 0; })
        .def_property_readonly("averaged", [](const tree_handle& r) { return r.ensemble().divisor() != 1; })
        .def_property_readonly("objective", [](const tree_handle& r) { return r.ensemble().objective(); });
    m.def("tree_engines", [] {
        std::vector<std::string> names;
        for (const std::string_view name : tree_engines()) names.emplace_back(name);
        return names;
    });
    m.def(
        "find_tree_format",
        [](const py::bytes& content) { return std::string(name(unwrap(find_tree_format(std::string_view(content))))); },
        py::arg("content"));
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
    bind_explain(m);
    bind_trees(m);
    bind_linear(m);
}

}  // namespace opspilot::python
