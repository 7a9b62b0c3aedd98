// Explanations of trees: contributions, paths, importance.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "opspilot/rank/explain.hpp"
#include "opspilot/rank/trees.hpp"

namespace opspilot::python {

/// What `opspilot._core.TreeExplainer` is.
std::unique_ptr<tree_explainer> make_explainer(const tree_ensemble& ensemble, const std::string& engine);
/// Per tree: (output, leaf, values, [(feature, value, threshold or None, categories or None, left, by default)]).
pybind11::list path_of(const tree_ensemble& ensemble, const pybind11::object& row);
/// `kind`: "split" or "cover".
pybind11::object importance_of(const tree_ensemble& ensemble, const std::string& kind);

void bind_explain(pybind11::module_& m);

}  // namespace opspilot::python
