#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "opspilot/rank/detail/explain_program.hpp"
#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/explain.hpp"

#if defined(OPSPILOT_HEADER_ONLY) && defined(__AVX2__)
#include "opspilot/rank/detail/explain_avx2.hpp"
#endif

namespace opspilot {

struct explain_workspace::impl {
    std::vector<double> values, numbers;  // of a block of rows
    std::vector<std::uint8_t> answers;
    std::vector<detail::explain_step> steps;
    std::vector<double> nodes;  // above, then below
    std::vector<double> lines;  // of a block, for means
};

OPSPILOT_INLINE explain_workspace::explain_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE explain_workspace::~explain_workspace() = default;
OPSPILOT_INLINE explain_workspace::explain_workspace(explain_workspace&&) noexcept = default;
OPSPILOT_INLINE explain_workspace& explain_workspace::operator=(explain_workspace&&) noexcept = default;

namespace detail {

inline constexpr explain_kernel explain_scalar = make_explain_kernel<plain_four>("scalar");

#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX2__)
inline constexpr explain_kernel explain_avx2 = make_explain_kernel<avx2_four>("avx2");
#endif
#elif defined(__x86_64__)
const explain_kernel& explain_kernel_avx2() noexcept;
const explain_kernel& explain_kernel_sse4() noexcept;
#elif defined(__aarch64__)
const explain_kernel& explain_kernel_neon() noexcept;
#endif

struct explain_kernel_list {
    std::array<const explain_kernel*, 3> kernels{};
    std::array<std::string_view, 3> names{};
    std::size_t count = 0;
    void add(const explain_kernel& kernel) noexcept {
        names[count] = kernel.name;
        kernels[count++] = &kernel;
    }
};

inline const explain_kernel_list& known_explain_kernels() noexcept {
    static const explain_kernel_list found = [] {
        explain_kernel_list list;
#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__AVX2__)
        list.add(explain_avx2);
#endif
#elif defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) list.add(explain_kernel_avx2());
        if (__builtin_cpu_supports("sse4.2")) list.add(explain_kernel_sse4());
#elif defined(__aarch64__)
        list.add(explain_kernel_neon());
#endif
        list.add(explain_scalar);
        return list;
    }();
    return found;
}

/// Rows that go through a tree before the next tree is taken: their values and the tree stay in the nearest cache.
inline constexpr std::size_t explain_block = 16;

/// A block's values as the two kinds of splits read them.
inline void read_rows(const explain_program& p, const number_table& rows, std::size_t first, std::size_t n,
                      explain_workspace::impl& ws) {
    const std::size_t count = n * rows.columns;
    ws.values.resize(count);
    ws.numbers.resize(count);
    const std::size_t from = first * rows.columns;
    for (std::size_t i = 0; i < count; ++i) {
        double value = rows.doubles != nullptr ? rows.doubles[from + i] : static_cast<double>(rows.floats[from + i]);
        if (p.arithmetic.float_values) value = static_cast<double>(static_cast<float>(value));
        ws.values[i] = value;
        ws.numbers[i] = std::fabs(value) <= p.arithmetic.zero_threshold ? 0.0 : value;
    }
}

/// Two arrays of `each` values, one after the other, that begin with a line of the cache; `each` is whole vectors. Vectors
/// that straddle lines are slow to be read back just after they were written.
inline double* two_on_lines(std::vector<double>& memory, std::size_t each) {
    constexpr std::size_t line = 64;
    memory.resize(std::max(memory.size(), 2 * each + line / sizeof(double)));
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    return memory.data() + (line - at % line) % line / sizeof(double);
}

/// Contributions of a block of rows, rows × outputs × (features + 1), the last of each line the base.
inline void explain_rows(const explain_program& p, const explain_kernel& kernel, const number_table& rows, std::size_t first,
                         std::size_t n, double* out, explain_workspace::impl& ws) {
    read_rows(p, rows, first, n, ws);
    ws.answers.resize(p.most_splits + 1);
    ws.steps.resize(p.most_splits);
    double* const above = two_on_lines(ws.nodes, p.most_values);
    const std::size_t outputs = p.base.size();
    const std::size_t line = rows.columns + 1;
    std::fill(out, out + n * outputs * line, 0.0);
    for (const explain_tree& tree : p.trees) {
        const explain_rule& rule = p.rules[tree.rule];
        explain_task task;
        task.splits = p.splits.data() + tree.first_split;
        task.count = tree.splits;
        task.leaves = p.leaves.data() + tree.first_leaf;
        task.width = tree.width;
        task.answers = ws.answers.data();
        task.above = above;
        task.below = above + p.most_values;
        task.steps = ws.steps.data();
        task.stride = line;
        for (std::size_t i = 0; i < n; ++i) {
            answer_splits(p, {task.splits, task.count}, ws.numbers.data() + i * rows.columns, ws.values.data() + i * rows.columns,
                          ws.answers.data());
            task.out = out + (i * outputs + tree.output) * line;
            for (std::size_t pass = 0; pass < rule.passes; ++pass) {
                task.weights = rule.weights.data() + pass * rule.points();
                task.ratios = rule.ratios.data() + pass * rule.rows() * 2 * rule.points();
                kernel.run[rule.packs - 1](task);
                task.leaves_laid = true;
            }
        }
    }
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < outputs; ++k) {
            double* const of = out + (i * outputs + k) * line;
            if (p.divisor != 1 || p.scale != 1)
                for (std::size_t f = 0; f < rows.columns; ++f) of[f] = of[f] / p.divisor * p.scale;
            of[rows.columns] = p.base[k];
        }
}

inline status check_rows(const number_table& rows, std::size_t features) {
    if (rows.columns != features) return length_error("a row", rows.columns, features);
    return {};
}

}  // namespace detail

OPSPILOT_INLINE std::span<const std::string_view> explain_engines() noexcept {
    const detail::explain_kernel_list& known = detail::known_explain_kernels();
    return {known.names.data(), known.count};
}

OPSPILOT_INLINE result<tree_explainer> tree_explainer::compile(const tree_ensemble& ensemble, std::string_view engine) {
    const detail::explain_kernel_list& known = detail::known_explain_kernels();
    tree_explainer out;
    for (std::size_t i = known.count; i-- > 0;)
        if (engine.empty() || known.names[i] == engine) out.kernel_ = known.kernels[i];
    if (out.kernel_ == nullptr)
        return error{error_kind::usage,
                     "usage.unknown_engine",
                     fmt::format("this machine has no engine '{}' for explanations", engine),
                     {},
                     fmt::format("one of: {}", fmt::join(explain_engines(), ", "))};
    OPSPILOT_TRY(auto program, detail::explain_compiler(ensemble).compile());
    out.program_ = std::make_shared<const detail::explain_program>(std::move(program));
    out.features_ = ensemble.features();
    out.outputs_ = ensemble.outputs();
    return out;
}

OPSPILOT_INLINE std::string_view tree_explainer::engine() const noexcept { return kernel_->name; }
OPSPILOT_INLINE std::span<const double> tree_explainer::base() const noexcept { return program_->base; }

OPSPILOT_INLINE std::size_t tree_explainer::bytes() const noexcept {
    const detail::explain_program& p = *program_;
    std::size_t sum = sizeof p + p.splits.size() * sizeof(detail::explain_split) + p.leaves.size() * sizeof(double) +
                      p.trees.size() * sizeof(detail::explain_tree) + p.words.size() * sizeof(std::uint32_t);
    for (const detail::explain_rule& rule : p.rules)
        sum += (rule.weights.size() + rule.ratios.size() + rule.shares.size()) * sizeof(double);
    return sum;
}

OPSPILOT_INLINE status tree_explainer::contributions(const number_table& rows, std::span<double> out,
                                                     explain_workspace& scratch) const {
    OPSPILOT_CHECK(detail::check_rows(rows, features_));
    const std::size_t line = outputs_ * (features_ + 1);
    if (out.size() != rows.rows * line) return detail::length_error("out", out.size(), rows.rows * line);
    for (std::size_t first = 0; first < rows.rows; first += detail::explain_block)
        detail::explain_rows(*program_, *kernel_, rows, first, std::min(detail::explain_block, rows.rows - first),
                             out.data() + first * line, *scratch.state);
    return {};
}

OPSPILOT_INLINE status tree_explainer::mean_magnitudes(const number_table& rows, std::span<double> out,
                                                       explain_workspace& scratch) const {
    OPSPILOT_CHECK(detail::check_rows(rows, features_));
    if (out.size() != outputs_ * features_) return detail::length_error("out", out.size(), outputs_ * features_);
    if (rows.rows == 0) return error{error_kind::usage, "usage.no_rows", "the mean over no rows", {}, "give some rows"};
    std::fill(out.begin(), out.end(), 0.0);
    const std::size_t line = features_ + 1;
    std::vector<double>& lines = scratch.state->lines;
    lines.resize(detail::explain_block * outputs_ * line);
    for (std::size_t first = 0; first < rows.rows; first += detail::explain_block) {
        const std::size_t n = std::min(detail::explain_block, rows.rows - first);
        detail::explain_rows(*program_, *kernel_, rows, first, n, lines.data(), *scratch.state);
        for (std::size_t i = 0; i < n * outputs_; ++i)
            for (std::size_t f = 0; f < features_; ++f) out[i % outputs_ * features_ + f] += std::fabs(lines[i * line + f]);
    }
    for (double& sum : out) sum /= static_cast<double>(rows.rows);
    return {};
}

OPSPILOT_INLINE status find_path(const tree_ensemble& ensemble, std::span<const double> row, tree_path& out) {
    out.splits.clear();
    out.leaves.clear();
    if (row.size() != ensemble.features()) return detail::length_error("the row", row.size(), ensemble.features());
    const tree_arithmetic& how = ensemble.arithmetic();
    for (std::size_t t = 0; t < ensemble.trees(); ++t) {
        const tree_view tree = ensemble.tree(t);
        path_leaf end;
        end.first_split = static_cast<std::uint32_t>(out.splits.size());
        end.output = tree.output;
        std::int32_t at = tree.splits.empty() ? ~0 : 0;
        while (at >= 0) {
            const tree_split& s = tree.splits[static_cast<std::size_t>(at)];
            const double value = row[s.feature];
            path_split step;
            step.value = value;
            step.threshold = s.threshold;
            step.feature = s.feature;
            step.categories = s.categories;
            step.categorical = s.categorical;
            step.left = detail::goes_left(ensemble, s, value);
            const bool zero = std::isnan(value) || value == 0 || std::fabs(value) <= how.zero_threshold;
            step.by_default =
                s.categorical || s.missing == missing_rule::nan ? std::isnan(value) : s.missing == missing_rule::zero && zero;
            out.splits.push_back(step);
            at = step.left ? s.left : s.right;
        }
        end.splits = static_cast<std::uint32_t>(out.splits.size()) - end.first_split;
        end.leaf = static_cast<std::uint32_t>(~at);
        end.values = tree.leaves.subspan(std::size_t{end.leaf} * tree.width, tree.width);
        out.leaves.push_back(end);
    }
    return {};
}

OPSPILOT_INLINE std::vector<double> split_counts(const tree_ensemble& ensemble) {
    std::vector<double> out(ensemble.features(), 0.0);
    for (std::size_t t = 0; t < ensemble.trees(); ++t)
        for (const tree_split& s : ensemble.tree(t).splits) out[s.feature] += 1;
    return out;
}

OPSPILOT_INLINE result<std::vector<double>> split_covers(const tree_ensemble& ensemble) {
    std::vector<double> out(ensemble.features(), 0.0);
    if (ensemble.splits() > 0 && !ensemble.has_covers())
        return error{error_kind::model,
                     "model.no_covers",
                     "the model does not say how many training rows reached each node",
                     {},
                     "ask for the number of splits instead"};
    for (std::size_t t = 0; t < ensemble.trees(); ++t) {
        const tree_view tree = ensemble.tree(t);
        for (std::size_t i = 0; i < tree.splits.size(); ++i) out[tree.splits[i].feature] += tree.split_covers[i];
    }
    return out;
}

}  // namespace opspilot
