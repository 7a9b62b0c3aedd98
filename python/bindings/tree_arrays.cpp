#include "tree_arrays.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <utility>

#include "arrays.hpp"
#include "errors.hpp"
#include "opspilot/rank/tree_builder.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// Negative numbers stand for nothing that exists: the builder refuses them.
std::uint32_t as_number(std::int64_t v) { return v < 0 || v > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(v); }

struct node_arrays {
    vector_in<std::int64_t> left, right, feature;
    vector_in<double> threshold;
    vector_in<bool> nan_left;
    vector_in<double> values, covers;
    vector_in<std::int64_t> category_set;
    std::vector<vector_in<std::uint32_t>> sets;

    [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(left.size()); }
    void check_lengths(std::size_t width) const {
        const auto n = left.size();
        const bool agree = right.size() == n && feature.size() == n && threshold.size() == n && nan_left.size() == n &&
                           values.size() == n * static_cast<py::ssize_t>(width) && (covers.size() == 0 || covers.size() == n) &&
                           category_set.size() == n;
        if (!agree) raise(error{error_kind::schema, "schema.shape", "the arrays of a tree differ in length", "trees", {}});
    }
};

status add_node(tree_builder& b, const node_arrays& t, std::uint32_t node, std::size_t width) {
    const std::int64_t left = t.left.data()[node], right = t.right.data()[node];
    if (t.covers.size() != 0) OPSPILOT_CHECK(b.cover(node, t.covers.data()[node]));
    if (left == -1 && right == -1) return b.leaf(node, span_of(t.values).subspan(node * width, width));
    const std::int64_t set = t.category_set.data()[node];
    const bool nan_left = t.nan_left.data()[node];
    const std::uint32_t feature = as_number(t.feature.data()[node]);
    if (set < 0)
        return b.split(node, feature, t.threshold.data()[node], missing_rule::nan, nan_left, as_number(left), as_number(right));
    if (static_cast<std::size_t>(set) >= t.sets.size())
        return error{error_kind::model, "model.category_set", "a split names a set of categories that is not there", "trees", {}};
    return b.split_categories(node, feature, span_of(t.sets[static_cast<std::size_t>(set)]), nan_left, as_number(left),
                              as_number(right));
}

}  // namespace

tree_ensemble trees_from_arrays(std::vector<std::string> features, std::size_t outputs, const std::string& objective,
                                bool average, bool float_values, const std::vector<double>& start, const py::iterable& trees) {
    tree_builder b;
    unwrap(b.begin(std::move(features), outputs));
    b.objective(objective);
    b.arithmetic({.float_values = float_values, .fractions_are_zero = false});
    unwrap(b.start(start));
    if (average) b.average();
    for (const py::handle item : trees) {
        const auto parts = py::cast<py::tuple>(item);
        const auto output = py::cast<std::int64_t>(parts[0]);
        const node_arrays t{py::cast<vector_in<std::int64_t>>(parts[1]),
                            py::cast<vector_in<std::int64_t>>(parts[2]),
                            py::cast<vector_in<std::int64_t>>(parts[3]),
                            py::cast<vector_in<double>>(parts[4]),
                            py::cast<vector_in<bool>>(parts[5]),
                            py::cast<vector_in<double>>(parts[6]),
                            py::cast<vector_in<double>>(parts[7]),
                            py::cast<vector_in<std::int64_t>>(parts[8]),
                            py::cast<std::vector<vector_in<std::uint32_t>>>(parts[9])};
        const std::size_t width = output < 0 ? outputs : 1;
        t.check_lengths(width);
        unwrap(output < 0 ? b.begin_vector_tree(t.size()) : b.begin_tree(t.size(), static_cast<std::size_t>(output)));
        for (std::uint32_t node = 0; node < t.size(); ++node) unwrap(add_node(b, t, node, width));
        unwrap(b.end_tree());
    }
    return unwrap(b.finish());
}

}  // namespace opspilot::python
