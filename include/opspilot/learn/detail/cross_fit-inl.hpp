#pragma once

#include <fmt/format.h>

#include <optional>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/learn/detail/cross_fit.hpp"

namespace opspilot::detail {

OPSPILOT_INLINE result<fold_rows> split_folds(std::span<const std::uint32_t> fold, std::size_t rows) {
    constexpr std::uint32_t most = 64;
    const auto problem = [](std::string message, std::string where) {
        return error{error_kind::usage, "learn.folds", std::move(message), std::move(where), "folds are 0 … k-1, or no_fold"};
    };
    if (fold.size() != rows) return problem(fmt::format("{} folds for {} rows", fold.size(), rows), "");
    fold_rows out;
    for (std::size_t i = 0; i < rows; ++i) {
        if (fold[i] == no_fold) {
            out.rest.push_back(static_cast<std::uint32_t>(i));
            continue;
        }
        if (fold[i] >= most) return problem(fmt::format("fold {}: at most {} folds", fold[i], most), fmt::format("row {}", i));
        if (fold[i] >= out.inside.size()) out.inside.resize(fold[i] + 1);
        out.inside[fold[i]].push_back(static_cast<std::uint32_t>(i));
        out.training.push_back(static_cast<std::uint32_t>(i));
    }
    if (out.inside.size() < 2) return problem(fmt::format("{} folds, at least 2 are needed", out.inside.size()), "");
    for (std::size_t k = 0; k < out.inside.size(); ++k) {
        if (out.inside[k].empty()) return problem(fmt::format("fold {} of {} has no rows", k, out.inside.size()), "");
        std::vector<std::uint32_t> others;
        for (const std::uint32_t r : out.training)
            if (fold[r] != k) others.push_back(r);
        out.outside.push_back(std::move(others));
    }
    return out;
}

OPSPILOT_INLINE result<std::vector<softmax_weights>> train_folds(const softmax_input& in, const fold_rows& folds,
                                                                 const standardisation& dense_rows,
                                                                 const standardisation& dense_options,
                                                                 const softmax_options& options, const parallel_for& threads) {
    std::vector<std::optional<result<softmax_weights>>> trained(folds.inside.size());
    run_all(threads, trained.size(), [&](std::size_t k) {
        trained[k].emplace(train_softmax(in, folds.outside[k], dense_rows, dense_options, options, {}));
        if (trained[k]->ok()) prune(trained[k]->value(), 2 * options.max_entries);
    });
    std::vector<softmax_weights> out;
    for (auto& one : trained) {
        if (!one->ok()) return std::move(*one).error();
        out.push_back(std::move(*one).value());
    }
    return out;
}

OPSPILOT_INLINE std::string training_note(const softmax_options& options, const softmax_report& report) {
    json note = {{"l2", options.l2},
                 {"bias_l2", options.bias_l2},
                 {"min_count", options.min_count},
                 {"rows", report.rows},
                 {"buckets", report.buckets},
                 {"loss", report.loss},
                 {"iterations", report.iterations},
                 {"max_entries", options.max_entries},
                 {"standardise", options.standardise}};
    if (options.solver == softmax_solver::adagrad) {
        note["solver"] = "adagrad";
        note["learning_rate"] = options.learning_rate;
        note["initial_square"] = options.initial_square;
        note["seed"] = options.seed;
    } else {
        note["solver"] = "lbfgs";
        note["converged"] = report.converged;
        note["tolerance"] = options.tolerance;
    }
    return note.dump();
}

}  // namespace opspilot::detail
