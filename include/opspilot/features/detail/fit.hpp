/// \file
/// Internal: computes the fitted values of a document from a training set, in as many passes as transforms build on others.
#pragma once

#include "opspilot/features/detail/compile.hpp"
#include "opspilot/features/detail/execute.hpp"

namespace opspilot::detail {

[[nodiscard]] inline frame frame_of(const training_set& data, std::size_t t) noexcept {
    frame f;
    f.task = data.tasks;
    f.task_row = t;
    f.actions = data.actions;
    const std::uint32_t from = data.candidate_offsets[t];
    f.action_rows = data.action_rows.subspan(from, data.candidate_offsets[t + 1] - from);
    f.pairs = data.pairs;
    f.pair_begin = from;
    f.strings = data.strings;
    f.now_us = data.now_us[t];
    f.catalogue = true;
    return f;
}

[[nodiscard]] inline error bad_training(std::string message) {
    return error{error_kind::usage, "usage.training_set", std::move(message), "", ""};
}

inline status check_training(const training_set& data) {
    if (data.tasks == nullptr || data.actions == nullptr || data.strings == nullptr)
        return bad_training("tasks, actions and strings are needed");
    const std::size_t tasks = data.tasks->rows();
    if (data.candidate_offsets.size() != tasks + 1)
        return bad_training(
            fmt::format("{} candidate offsets for {} tasks; one more is needed", data.candidate_offsets.size(), tasks));
    if (data.chosen.size() != tasks || data.fold.size() != tasks || data.now_us.size() != tasks)
        return bad_training(fmt::format("{} tasks but {} choices, {} folds and {} times", tasks, data.chosen.size(),
                                        data.fold.size(), data.now_us.size()));
    if (data.candidate_offsets.front() != 0 || data.candidate_offsets.back() != data.action_rows.size())
        return bad_training(fmt::format("candidate offsets do not span the {} candidate rows", data.action_rows.size()));
    for (std::size_t t = 0; t < tasks; ++t) {
        if (data.candidate_offsets[t] > data.candidate_offsets[t + 1])
            return bad_training(fmt::format("candidate offsets fall at task {}", t));
        const std::uint32_t size = data.candidate_offsets[t + 1] - data.candidate_offsets[t];
        if (data.chosen[t] < -1 || (data.chosen[t] >= 0 && static_cast<std::uint32_t>(data.chosen[t]) >= size))
            return bad_training(fmt::format("task {}: choice {} of {} candidates", t, data.chosen[t], size));
        if (data.fold[t] > tasks)
            return bad_training(fmt::format("task {}: fold {} is more than the number of tasks", t, data.fold[t]));
    }
    for (const std::uint32_t row : data.action_rows)
        if (row >= data.actions->rows()) return bad_training(fmt::format("action row {} of {}", row, data.actions->rows()));
    if (data.pairs != nullptr && data.pairs->rows() != data.action_rows.size())
        return bad_training(fmt::format("{} pair rows for {} candidate rows", data.pairs->rows(), data.action_rows.size()));
    return {};
}

/// Mean and variance in one pass (Welford 1962), so that large offsets do not cancel.
struct running_moments {
    double n = 0, mean = 0, squares = 0;
    void add(double x) noexcept {
        if (x != x) return;
        n += 1;
        const double before = x - mean;
        mean += before / n;
        squares += before * (x - mean);
    }
    [[nodiscard]] double scale() const noexcept {
        const double variance = n > 0 ? squares / n : 0;
        return variance > 0 ? std::sqrt(variance) : 1.0;
    }
};

/// The quantile q of ascending numbers, interpolated linearly (type 7 of Hyndman and Fan 1996, numpy's default).
[[nodiscard]] inline double quantile_of(const std::vector<double>& sorted, double q) noexcept {
    const double place = static_cast<double>(sorted.size() - 1) * q;
    const auto low = static_cast<std::size_t>(place);
    if (low + 1 >= sorted.size()) return sorted.back();
    const double part = place - static_cast<double>(low);
    const double a = sorted[low];
    const double b = sorted[low + 1];
    return part >= 0.5 ? b - (b - a) * (1 - part) : a + (b - a) * part;
}

/// Inner edges of bins of equal count; equal edges fall together.
[[nodiscard]] inline std::vector<double> quantile_edges(std::vector<double> values, std::size_t bins) {
    if (values.empty()) return {0.0};
    std::sort(values.begin(), values.end());
    std::vector<double> edges;
    for (std::size_t k = 0; k <= bins; ++k)
        edges.push_back(quantile_of(values, static_cast<double>(k) / static_cast<double>(bins)));
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    if (edges.size() <= 2) return {edges.back()};
    return {edges.begin() + 1, edges.end() - 1};
}

/// What one transform gathers while the training set goes by.
struct fit_state {
    pending_fit what;
    running_moments moments;
    std::vector<double> values;        // bucket
    std::vector<std::uint64_t> texts;  // dictionary: count per code
    count_table documents;             // idf
    std::uint64_t document_count = 0;
    std::vector<std::uint64_t> keys;     // target: one per candidate row; transition: levels + 1 per task
    std::vector<std::uint64_t> targets;  // transition: the chosen action's hash per task

    void add_number(double x) {
        if (what.op == feature_op::standardise)
            moments.add(x);
        else if (x == x)
            values.push_back(x);
    }
    void add_texts(const field_rows& r, field_type type, std::size_t rows) {
        const auto add = [&](std::uint32_t code) {
            if (code == no_code) return;
            if (texts.size() <= code) texts.resize(std::size_t{code} + 1);
            ++texts[code];
        };
        for (std::size_t i = 0; i < rows; ++i) {
            const std::size_t row = r.at(i);
            if (r.values->valued[row] == 0) continue;
            if (type == field_type::text)
                add(r.values->codes[row]);
            else
                for (const std::uint32_t code : items_of(*r.values, row)) add(code);
        }
    }
    void add_document(std::span<const std::uint64_t> distinct) {
        ++document_count;
        for (const std::uint64_t token : distinct) documents.add(token, false);
    }
};

/// Adds what one phase of a decision (or the actions) shows of a transform.
inline void observe(fit_state& fit, const feature_run& run, scope phase, std::size_t n) {
    const pending_fit& what = fit.what;
    if (what.slot != no_slot) {
        if (run.plan.slots[what.slot].where != phase) return;
        const operand x = run.number(what.slot);
        for (std::size_t i = 0; i < n; ++i) fit.add_number(x.at(i));
    } else if (what.op == feature_op::dictionary || what.op == feature_op::one_hot) {
        if (scope_of_role(what.field.path.where) == phase) fit.add_texts(run.rows(what.field), what.field.type, n);
    } else if (what.op == feature_op::overlap) {
        for (const std::uint32_t index : what.sources) {
            const token_source& source = run.plan.sources[index];
            if (source.where != phase) continue;
            for (std::size_t i = 0; i < n; ++i) {
                source_set(run, source, i, run.ws.tokens[0]);
                fit.add_document(run.ws.tokens[0]);
            }
        }
    } else if (what.op == feature_op::text_hash && phase == scope::task) {
        const sparse_program& block = run.plan.sparse[what.sparse];
        std::vector<std::uint64_t>& distinct = run.ws.tokens[1];
        distinct.clear();
        for (const sparse_source& source : block.sources)
            each_bucket(block, source, run, [&](std::uint32_t bucket, std::size_t) { distinct.push_back(bucket); });
        std::sort(distinct.begin(), distinct.end());
        distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
        fit.add_document(distinct);
    }
}

/// Adds the keys of one task's rows, and what was chosen.
inline void observe_labels(fit_state& fit, const feature_run& run, const training_set& data, std::size_t t) {
    const statistics_state& state = *fit.what.statistics;
    if (!state.labels_of_tasks) {
        const std::uint64_t of_task = key_of(run, state.parts, 0);
        for (std::size_t i = 0; i < run.n; ++i) fit.keys.push_back(statistics_key(state, run, of_task, i));
        return;
    }
    for (const std::uint32_t level : state.levels) fit.keys.push_back(context_key(run, state, level));
    fit.keys.push_back(context_key(run, state, 0));
    const std::int32_t chosen = data.chosen[t];
    fit.targets.push_back(chosen < 0 ? absent_token
                                     : run.actions->keys[state.action_key][run.f.action_rows[static_cast<std::size_t>(chosen)]]);
}

/// Counts what `observe_labels` gathered about some tasks. Contexts seen less than `least` times take their actions with them.
[[nodiscard]] inline statistics_state::fold_counts count_labels(const fit_state& fit, const training_set& data,
                                                                std::span<const std::uint32_t> tasks, std::uint32_t least) {
    const statistics_state& state = *fit.what.statistics;
    statistics_state::fold_counts out;
    if (!state.labels_of_tasks) {
        for (const std::uint32_t t : tasks) {
            const std::size_t from = data.candidate_offsets[t];
            const std::size_t rows = data.candidate_offsets[t + 1] - from;
            for (std::size_t i = 0; i < rows; ++i)
                out.table.add(fit.keys[from + i], data.chosen[t] == static_cast<std::int32_t>(i));
            out.total += rows;
            if (data.chosen[t] >= 0) ++out.positive;
        }
        return out;
    }
    const std::size_t width = state.levels.size() + 1;
    count_table contexts;
    for (const std::uint32_t t : tasks)
        for (std::size_t j = 0; j < width; ++j) contexts.add(fit.keys[t * width + j], false);
    for (std::size_t i = 0; i < contexts.keys.size(); ++i) {
        if (contexts.seen[i] < least) continue;
        out.table.keys.push_back(contexts.keys[i]);
        out.table.seen.push_back(contexts.seen[i]);
        out.table.chosen.push_back(0);
    }
    out.table.index.rebuild(out.table.keys);
    for (const std::uint32_t t : tasks) {
        ++out.total;
        if (data.chosen[t] < 0 || state.output == statistics_output::count) continue;  // a count reads contexts alone
        for (std::size_t j = 0; j < width; ++j) {
            const std::uint64_t context = fit.keys[t * width + j];
            if (j + 1 == width || contexts.seen_of(context) >= least) out.table.add(mix_hashes(context, fit.targets[t]), false);
        }
    }
    return out;
}

/// The texts of a dictionary, most frequent first, then in byte order.
[[nodiscard]] inline json fitted_values(const fit_state& fit, const json& node, const interner& strings) {
    const auto least = static_cast<std::uint64_t>(integer_or(node, "min_count", 1));
    const auto most = static_cast<std::size_t>(integer_or(node, "limit", fit.what.op == feature_op::one_hot ? 64 : 65536));
    std::vector<std::uint32_t> codes;
    for (std::uint32_t code = 0; code < fit.texts.size(); ++code)
        if (fit.texts[code] >= least && fit.texts[code] > 0) codes.push_back(code);
    std::sort(codes.begin(), codes.end(), [&](std::uint32_t a, std::uint32_t b) {
        return fit.texts[a] != fit.texts[b] ? fit.texts[a] > fit.texts[b] : strings.text(a) < strings.text(b);
    });
    if (codes.size() > most) codes.resize(most);
    json values = json::array();
    for (const std::uint32_t code : codes) values.push_back(std::string(strings.text(code)));
    return values;
}

/// The state that goes into the document.
[[nodiscard]] inline json fitted_state(const fit_state& fit, const json& node, const training_set& data,
                                       std::span<const std::uint32_t> tasks, std::size_t distinct_targets) {
    switch (fit.what.op) {
        case feature_op::standardise: return {{"mean", fit.moments.mean}, {"scale", fit.moments.scale()}};
        case feature_op::bucket:
            return {{"edges", quantile_edges(fit.values, static_cast<std::size_t>(integer_or(node, "bins", 10)))}};
        case feature_op::dictionary:
        case feature_op::one_hot: return {{"values", fitted_values(fit, node, *data.strings)}};
        case feature_op::overlap:
            return {{"documents", fit.document_count}, {"counts", pack_counts(fit.documents, false, stored_token_documents)}};
        case feature_op::text_hash: {
            const std::int64_t least = integer_or(node, "min_count", 0);
            return {{"documents", fit.document_count},
                    {"counts", pack_counts(fit.documents, false, static_cast<std::uint32_t>(least))}};
        }
        default: break;
    }
    const std::uint32_t least = fit.what.statistics->labels_of_tasks ? fit.what.statistics->min_count : 1;
    const statistics_state::fold_counts all = count_labels(fit, data, tasks, least);
    if (fit.what.op == feature_op::transition)
        return {{"decisions", all.total}, {"actions", distinct_targets}, {"counts", pack_counts(all.table, false, 1)}};
    return {
        {"rows", all.total}, {"choices", all.positive}, {"counts", pack_counts(all.table, true, fit.what.statistics->min_count)}};
}

/// Shows the training set to every transform that can be fitted now, and writes their states into the document.
inline void fit_pass(const feature_plan::impl& plan, std::vector<pending_fit> pending, const training_set& data, json& document,
                     fold_tables& folds) {
    std::vector<fit_state> fits;
    for (pending_fit& what : pending) {
        fits.emplace_back();
        fits.back().what = std::move(what);
    }
    feature_workspace scratch;
    feature_workspace::impl& ws = *scratch.state;
    prepared_actions prepared;
    frame actions;
    actions.actions = data.actions;
    actions.strings = data.strings;
    const std::size_t action_rows = data.actions->rows();
    begin_decision(plan, ws);
    prepare_rows(plan, actions, *data.strings, ws, action_rows, prepared);
    const feature_run over_actions{plan, actions, *data.strings, ws, &prepared, nullptr, scope::action, action_rows, every_fold};
    for (fit_state& fit : fits)
        if (!fit.what.statistics) observe(fit, over_actions, scope::action, action_rows);
    for (std::size_t t = 0; t < data.tasks->rows(); ++t) {
        const frame f = frame_of(data, t);
        feature_run run = run_dense(plan, f, &prepared, ws, every_fold);
        for (fit_state& fit : fits) {
            if (fit.what.statistics) {
                observe_labels(fit, run, data, t);
                continue;
            }
            observe(fit, run, scope::pair, f.size());
            run.phase = scope::task;
            observe(fit, run, scope::task, 1);
            run.phase = scope::pair;
        }
    }
    std::vector<std::vector<std::uint32_t>> tasks_of;
    std::vector<std::uint32_t> tasks(data.tasks->rows());
    std::iota(tasks.begin(), tasks.end(), 0U);
    for (const std::uint32_t t : tasks) {
        if (tasks_of.size() <= data.fold[t]) tasks_of.resize(std::size_t{data.fold[t]} + 1);
        tasks_of[data.fold[t]].push_back(t);
    }
    for (const fit_state& fit : fits) {
        json& node = document["transforms"][fit.what.transform];
        std::size_t distinct = 0;
        if (fit.what.statistics) {
            if (fit.what.op == feature_op::transition) {
                std::vector<std::uint64_t> targets = prepared.keys[fit.what.statistics->action_key];
                std::sort(targets.begin(), targets.end());
                distinct = static_cast<std::size_t>(std::unique(targets.begin(), targets.end()) - targets.begin());
            }
            auto& own = folds[fit.what.transform];
            for (const auto& some : tasks_of) own.push_back(count_labels(fit, data, some, 1));
        }
        node["state"] = fitted_state(fit, node, data, tasks, distinct);
    }
}

}  // namespace opspilot::detail
