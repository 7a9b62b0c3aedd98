// The reference scorer: one row, one tree, one split at a time, as the contract of an ensemble reads.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "opspilot/rank/trees.hpp"

namespace opspilot::detail {

inline bool in_category_set(std::span<const std::uint32_t> words, double value, bool fractions_are_zero) noexcept {
    // Truncation towards zero. NaN fails the comparison.
    if (!(fractions_are_zero ? value > -1.0 : value >= 0.0) || value >= 2147483648.0) return false;
    const auto category = static_cast<std::uint32_t>(static_cast<std::int32_t>(value));
    return category / 32 < words.size() && ((words[category / 32] >> (category % 32)) & 1U) != 0;
}

inline bool goes_left(const tree_ensemble& e, const tree_split& s, double value) noexcept {
    const tree_arithmetic& how = e.arithmetic();
    if (how.float_values) value = static_cast<double>(static_cast<float>(value));
    if (s.categorical) {
        if (std::isnan(value)) return s.default_left;
        return in_category_set(e.categories(s.categories), value, how.fractions_are_zero);
    }
    if (std::fabs(value) <= how.zero_threshold) value = 0;
    if (std::isnan(value) && s.missing != missing_rule::nan) value = 0;
    if (s.missing == missing_rule::zero && value == 0) return s.default_left;
    if (s.missing == missing_rule::nan && std::isnan(value)) return s.default_left;
    return value <= s.threshold;
}

inline opspilot::error length_error(std::string_view what, std::size_t got, std::size_t want) {
    return {error_kind::usage, "usage.length", fmt::format("{} has {} values, {} are needed", what, got, want), {}, {}};
}

/// From sums to scores, for `rows` rows of all outputs.
template <class Ensemble>
void finish_tree_sums(const Ensemble& e, std::span<double> sums) noexcept {
    const std::size_t outputs = e.outputs();
    if (e.divisor() != 1)
        for (double& sum : sums) sum /= e.divisor();
    if (e.scale() != 1)
        for (double& sum : sums) sum *= e.scale();
    for (std::size_t k = 0; k < outputs; ++k)
        if (e.bias()[k] != 0)
            for (std::size_t i = k; i < sums.size(); i += outputs) sums[i] += e.bias()[k];
}

template <class Sum, class T>
void sum_tree_rows(const tree_ensemble& e, const T* rows, std::size_t n, std::span<double> out) {
    std::vector<Sum> sums(e.outputs());
    for (std::size_t i = 0; i < n; ++i) {
        const T* row = rows + i * e.features();
        std::transform(e.start().begin(), e.start().end(), sums.begin(), [](double v) { return static_cast<Sum>(v); });
        for (std::size_t t = 0; t < e.trees(); ++t) {
            const tree_view tree = e.tree(t);
            std::int32_t at = tree.splits.empty() ? ~0 : 0;
            while (at >= 0) {
                const tree_split& s = tree.splits[static_cast<std::size_t>(at)];
                at = goes_left(e, s, static_cast<double>(row[s.feature])) ? s.left : s.right;
            }
            const double* leaf = tree.leaves.data() + static_cast<std::size_t>(~at) * tree.width;
            for (std::size_t k = 0; k < tree.width; ++k) sums[tree.output + k] += static_cast<Sum>(leaf[k]);
        }
        std::copy(sums.begin(), sums.end(), out.begin() + static_cast<std::ptrdiff_t>(i * e.outputs()));
    }
}

template <class T>
status score_tree_rows(const tree_ensemble& e, std::span<const T> rows, std::size_t n, std::span<double> out) {
    const std::size_t width = e.features();
    if (width == 0 || rows.size() / width != n || rows.size() % width != 0) return length_error("rows", rows.size(), n * width);
    if (out.size() != n * e.outputs()) return length_error("out", out.size(), n * e.outputs());
    if (e.arithmetic().float_sums)
        sum_tree_rows<float>(e, rows.data(), n, out);
    else
        sum_tree_rows<double>(e, rows.data(), n, out);
    finish_tree_sums(e, out);
    return {};
}

}  // namespace opspilot::detail
