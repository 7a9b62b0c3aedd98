// Ensembles from numpy arrays of nodes, through the library's builder: for trainers whose models are no files.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "opspilot/rank/trees.hpp"

namespace opspilot::python {

/// `trees`: an iterable of tuples (output or -1 for one value per output, left, right, feature, threshold, nan_left, values,
/// covers, category_set, sets): arrays with an item per node, -1 as children of a leaf; `values` has the width of the tree per
/// node, `covers` may be empty, `category_set` is -1 or an index into `sets`, a list of arrays of 32-bit words.
/// Numbers are compared as `value <= threshold`; NaN and unknown categories follow nan_left and to the right.
/// Raises what the builder refuses, and SchemaError where arrays disagree in length.
tree_ensemble trees_from_arrays(std::vector<std::string> features, std::size_t outputs, const std::string& objective,
                                bool average, bool float_values, const std::vector<double>& start,
                                const pybind11::iterable& trees);

}  // namespace opspilot::python
