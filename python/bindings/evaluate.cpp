#include "opspilot/evaluate/ranking.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "module.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// Columns of a task's or of all tasks' values: mrr, map, scored, then hit, recall and NDCG by cut-off.
void append_values(const ranking_values* v, std::size_t cutoffs, std::vector<double>& out) {
    if (v == nullptr) {
        out.insert(out.end(), 3 + 3 * cutoffs, std::numeric_limits<double>::quiet_NaN());
        return;
    }
    out.insert(out.end(), {v->mrr, v->map, v->scored});
    for (const ranking_at& at : v->at) out.insert(out.end(), {at.hit, at.recall, at.ndcg});
}

}  // namespace

void bind_evaluate(py::module_& m) {
    m.def("ranking_metrics",
          [](const vector_in<double>& score, const vector_in<double>& relevance, const vector_in<std::int64_t>& offsets,
             const std::vector<std::size_t>& cutoffs, bool linear_gain, bool ties_by_position, bool unscored_absent, bool each) {
              const ranking_options options{.cutoffs = cutoffs,
                                            .gain = linear_gain ? ranking_gain::linear : ranking_gain::exponential,
                                            .ties = ties_by_position ? ranking_ties::position : ranking_ties::expected,
                                            .unscored = unscored_absent ? ranking_unscored::absent : ranking_unscored::last};
              std::vector<double> tasks;
              const auto keep = [&](std::size_t, const ranking_values* v) { append_values(v, cutoffs.size(), tasks); };
              auto made = [&] {
                  const py::gil_scoped_release unlocked;
                  return each ? ranking_metrics(span_of(score), span_of(relevance), span_of(offsets), options, keep)
                              : ranking_metrics(span_of(score), span_of(relevance), span_of(offsets), options);
              }();
              const ranking_summary summary = unwrap(std::move(made));
              std::vector<double> means;
              append_values(&summary, cutoffs.size(), means);
              py::dict out;
              out["tasks"] = summary.tasks;
              out["left_out"] = summary.left_out;
              out["means"] = array_of(std::move(means));
              out["each"] = each ? py::object(array_of(std::move(tasks))) : py::object(py::none());
              return out;
          });
}

}  // namespace opspilot::python
