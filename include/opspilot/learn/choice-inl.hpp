#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "opspilot/learn/choice.hpp"
#include "opspilot/learn/detail/cross_fit.hpp"
#include "opspilot/learn/detail/inputs.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"

namespace opspilot {

namespace detail {

inline std::size_t tasks_of(const choice_data& data) {
    return data.candidate_offsets.empty() ? 0 : data.candidate_offsets.size() - 1;
}
inline std::size_t candidates_of(const choice_data& data) {
    return data.candidate_offsets.empty() ? 0 : static_cast<std::size_t>(data.candidate_offsets.back());
}

OPSPILOT_INLINE result<softmax_input> choice_input(const choice_data& data) {
    const auto problem = [](std::string_view code, std::string message, std::string where = {}) {
        return error{error_kind::usage, code, std::move(message), std::move(where), ""};
    };
    constexpr std::size_t most_slots = 65535, most_buckets_learned = std::size_t{1} << 26;
    softmax_input in;
    if (data.candidate_offsets.empty() || data.candidate_offsets.back() < 0)
        return problem("learn.shape", "candidate_offsets needs tasks + 1 values");
    in.row_count = tasks_of(data);
    const std::size_t candidates = candidates_of(data);
    if (in.row_count >= nothing) return problem("learn.shape", "too many tasks");
    OPSPILOT_CHECK(check_offsets(data.candidate_offsets, in.row_count, candidates, "candidates"));
    for (const sparse_block& b : data.blocks) in.dimension += b.dimension;
    if (in.dimension > most_buckets_learned)
        return error{error_kind::limit, "limit.buckets",
                     fmt::format("{} buckets, at most {}", in.dimension, most_buckets_learned), "/blocks", ""};
    if (in.dimension > 0 || data.x.rows() > 0) {
        OPSPILOT_CHECK(check_csr(data.x, in.row_count, in.dimension));
        in.x = data.x;
    }
    in.option_offsets = data.candidate_offsets;
    in.outside = data.outside;
    in.keys = data.keys.size();
    std::vector<std::size_t> first_slot{0};
    for (const choice_model::key& k : data.keys) first_slot.push_back(first_slot.back() + k.values.size());
    in.slot_count = first_slot.back() + (data.outside ? 1 : 0);
    if (in.slot_count > most_slots) return problem("learn.shape", fmt::format("{} slots, at most {}", in.slot_count, most_slots));
    if (data.slots.size() != candidates * in.keys)
        return problem("learn.shape",
                       fmt::format("{} slots for {} candidates and {} keys", data.slots.size(), candidates, in.keys));
    for (std::size_t i = 0; i < candidates; ++i)
        for (std::size_t k = 0; k < in.keys; ++k)
            if (const std::uint32_t s = data.slots[i * in.keys + k];
                s != choice_model::no_slot && (s < first_slot[k] || s >= first_slot[k + 1]))
                return problem("learn.shape",
                               fmt::format("slot {}: those of key \"{}\" are {} to {}", s, data.keys[k].field, first_slot[k],
                                           first_slot[k + 1]),
                               fmt::format("candidate {}", i));
    in.slots = data.slots;
    if (data.outside && in.keys == 0) return problem("learn.shape", "an outside option needs at least one key");
    if (data.dense.size() != candidates * data.columns.size())
        return problem("learn.shape", fmt::format("{} dense values for {} candidates of {}", data.dense.size(), candidates,
                                                  data.columns.size()));
    in.option_dense = data.dense;
    in.option_columns = data.columns.size();
    OPSPILOT_CHECK(check_row_weights(data.weights, in.row_count));
    in.weights = data.weights;
    if (data.chosen.size() != in.row_count)
        return problem("learn.shape", fmt::format("{} choices for {} tasks", data.chosen.size(), in.row_count));
    for (std::size_t i = 0; i < in.row_count; ++i) {
        const std::int64_t options = data.candidate_offsets[i + 1] - data.candidate_offsets[i];
        const std::int32_t c = data.chosen[i];
        if (c >= options || c < -1)
            return problem("learn.label", fmt::format("choice {} of {} candidates", c, options), fmt::format("task {}", i));
        if (c == -1 && !data.outside)  // nothing was chosen and the model has no word for it
            in.chosen.push_back(nothing);
        else
            in.chosen.push_back(static_cast<std::uint32_t>(c == -1 ? options : c));
    }
    return in;
}

inline result<choice_model> make_choice(const choice_data& data, const standardisation& dense, const softmax_options& options,
                                        softmax_weights weights) {
    prune(weights, options.max_entries);
    choice_model::parts parts;
    parts.columns.assign(data.columns.begin(), data.columns.end());
    parts.centre = dense.centre;
    parts.column_weights = std::move(weights.option_columns);
    parts.keys.assign(data.keys.begin(), data.keys.end());
    parts.outside = data.outside;
    parts.blocks.assign(data.blocks.begin(), data.blocks.end());
    parts.bias = std::move(weights.bias);
    parts.rows = std::move(weights.rows);
    parts.fingerprint = data.fingerprint;
    parts.training = training_note(options, weights.report);
    return choice_model::build(parts);
}

/// One task: log-probabilities of its candidates and of the outside option.
struct task_predictor {
    const choice_model& model;
    const choice_data& data;
    choice_scratch scratch;
    std::vector<sparse_view> views;
    std::vector<std::vector<std::uint32_t>> local;  // indices of a block counted from its start
    std::vector<float> transposed;
    std::vector<const float*> columns;

    status predict(std::size_t t, std::span<double> out, std::span<double> outside) {
        const auto first = static_cast<std::size_t>(data.candidate_offsets[t]);
        const std::size_t n = static_cast<std::size_t>(data.candidate_offsets[t + 1]) - first, width = data.columns.size();
        transposed.resize(n * width);
        columns.clear();
        for (std::size_t j = 0; j < width; ++j) {
            for (std::size_t i = 0; i < n; ++i) transposed[j * n + i] = data.dense[(first + i) * width + j];
            columns.push_back(transposed.data() + j * n);
        }
        split_row(t);
        const std::span<double> own = out.subspan(first, n);
        OPSPILOT_CHECK(
            model.utilities(columns, data.slots.subspan(first * data.keys.size(), n * data.keys.size()), views, own, scratch));
        if (!data.outside) {
            log_softmax(own);
        } else {
            const double none = log_softmax(own, model.outside_utility(scratch));
            if (!outside.empty()) outside[t] = none;
        }
        return {};
    }

    void split_row(std::size_t t) {
        views.assign(data.blocks.size(), {});
        local.resize(data.blocks.size());
        if (data.x.rows() == 0) return;
        const sparse_view row = data.x.row(t);
        std::size_t at = 0;
        std::uint32_t start = 0;
        for (std::size_t b = 0; b < data.blocks.size(); start += data.blocks[b++].dimension) {
            local[b].clear();
            const std::size_t begin = at;
            for (; at < row.index.size() && row.index[at] - start < data.blocks[b].dimension; ++at)
                local[b].push_back(row.index[at] - start);
            views[b] = {local[b], row.value.subspan(begin, at - begin)};
        }
    }
};

inline status predict_checked(const choice_model& model, const choice_data& data, std::span<const std::uint32_t> tasks,
                              std::span<double> out, std::span<double> outside, const parallel_for& threads) {
    constexpr std::size_t per_piece = 512;
    const std::size_t pieces = (tasks.size() + per_piece - 1) / per_piece;
    std::vector<status> states(pieces);
    run_all(threads, pieces, [&](std::size_t p) {
        task_predictor one{model, data, {}, {}, {}, {}, {}};
        for (std::size_t i = p * per_piece; i < std::min(tasks.size(), (p + 1) * per_piece) && states[p].ok(); ++i)
            states[p] = one.predict(tasks[i], out, outside);
    });
    for (status& s : states) OPSPILOT_CHECK(std::move(s));
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<trained_choice> fit_choice(const choice_data& data, const softmax_options& options,
                                                  std::span<const std::uint32_t> tasks, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::choice_input(data));
    OPSPILOT_CHECK(detail::check_subset(tasks, in.row_count));
    const std::vector<std::uint32_t> chosen_tasks = detail::rows_or_all(tasks, in.row_count);
    const detail::standardisation dense = detail::standardise_options(in, chosen_tasks, options.standardise);
    OPSPILOT_TRY(detail::softmax_weights weights, detail::train_softmax(in, chosen_tasks, {}, dense, options, threads));
    trained_choice out;
    out.report = weights.report;
    OPSPILOT_TRY(out.model, detail::make_choice(data, dense, options, std::move(weights)));
    return out;
}

OPSPILOT_INLINE status predict_rows(const choice_model& model, const choice_data& data, std::span<const std::uint32_t> tasks,
                                    std::span<double> out, std::span<double> outside, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::choice_input(data));
    OPSPILOT_CHECK(detail::check_subset(tasks, in.row_count));
    if (out.size() != detail::candidates_of(data) || (!outside.empty() && outside.size() != in.row_count))
        return error{error_kind::usage, "usage.length",
                     fmt::format("{} and {} places for {} candidates of {} tasks", out.size(), outside.size(),
                                 detail::candidates_of(data), in.row_count),
                     "", ""};
    if (model.slots() != in.slot_count || model.has_outside() != data.outside || model.weights().dimension() != in.dimension)
        return error{error_kind::usage, "learn.shape", "the model has other slots or buckets than the data", "", ""};
    return detail::predict_checked(model, data, detail::rows_or_all(tasks, in.row_count), out, outside, threads);
}

OPSPILOT_INLINE result<cross_fitted_choice> cross_fit(const choice_data& data, std::span<const std::uint32_t> fold,
                                                      const softmax_options& options, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::choice_input(data));
    OPSPILOT_TRY(const detail::fold_rows folds, detail::split_folds(fold, in.row_count));
    const detail::standardisation dense = detail::standardise_options(in, folds.training, options.standardise);
    OPSPILOT_TRY(std::vector<detail::softmax_weights> weights, detail::train_folds(in, folds, {}, dense, options, threads));
    cross_fitted_choice out;
    detail::softmax_weights mean = detail::average(weights);
    mean.report = weights.front().report;
    mean.report.rows = folds.training.size();
    OPSPILOT_TRY(out.average, detail::make_choice(data, dense, options, std::move(mean)));
    out.log_probabilities.resize(detail::candidates_of(data));
    if (data.outside) out.outside.resize(in.row_count);
    for (std::size_t k = 0; k < weights.size(); ++k) {
        out.reports.push_back(weights[k].report);
        OPSPILOT_TRY(choice_model model, detail::make_choice(data, dense, options, std::move(weights[k])));
        OPSPILOT_CHECK(detail::predict_checked(model, data, folds.inside[k], out.log_probabilities, out.outside, threads));
        out.models.push_back(std::move(model));
    }
    if (!folds.rest.empty())
        OPSPILOT_CHECK(detail::predict_checked(out.average, data, folds.rest, out.log_probabilities, out.outside, threads));
    return out;
}

}  // namespace opspilot
