/// \file
/// Internal: runs a feature program: what depends on the task once, on actions per action, on the pair per candidate.
#pragma once

#include "opspilot/features/detail/lookups.hpp"
#include "opspilot/features/detail/numeric.hpp"
#include "opspilot/features/detail/overlap.hpp"
#include "opspilot/features/detail/run.hpp"
#include "opspilot/features/detail/sparse.hpp"
#include "opspilot/features/detail/statistics.hpp"

namespace opspilot::detail {

inline void run_step(const step& s, const feature_run& run, double* out, std::size_t n) {
    if (n == 0) return;
    if (!run_numeric(s, run, out, n) && !run_lookup(s, run, out, n)) {
        switch (s.op) {
            case opcode::token_count: run_token_count(s, run, out, n); break;
            case opcode::overlap:
                if (s.place != no_slot)
                    overlap_with_actions(s, run, out, n);
                else
                    overlap_rows(s, run, out, n);
                break;
            case opcode::statistics: run_statistics(s, run, out, n); break;
            default: run_transition(s, run, out, n);
        }
    }
    if (s.missing == s.missing)
        for (std::size_t i = 0; i < n; ++i) out[i] = out[i] == out[i] ? out[i] : s.missing;
}

/// Sizes the scratch that depends on the program and forgets the task before.
inline void begin_decision(const feature_plan::impl& plan, feature_workspace::impl& ws) {
    ws.task_values.resize(plan.slots_of[0]);
    ws.gathered.resize(plan.slots_of[1]);
    ws.pair_values.resize(plan.slots_of[2]);
    ws.task_texts.resize(plan.caches.size());
    ws.text_ready.assign(plan.caches.size(), 0);
    if (ws.part_tokens.size() < plan.parts.size()) ws.part_tokens.resize(plan.parts.size());
    ws.part_ready.assign(plan.parts.size(), 0);
}

/// Everything that depends on actions alone, for `rows` rows of the frame's actions (its candidates, or the whole table when
/// the frame has no candidates).
inline void prepare_rows(const feature_plan::impl& plan, const frame& f, const interner& strings, feature_workspace::impl& ws,
                         std::size_t rows, prepared_actions& out) {
    out.rows = rows;
    out.values.resize(plan.slots_of[1]);
    out.columns.resize(plan.slots_of[1]);
    out.tokens.resize(plan.action_sources.size());
    out.keys.resize(plan.keys.size());
    const feature_run run{plan, f, strings, ws, &out, nullptr, scope::action, rows, every_fold};
    for (const step& s : plan.action_steps) {
        std::vector<double>& values = out.values[plan.slots[s.out].place];
        values.resize(rows);
        run_step(s, run, values.data(), rows);
    }
    for (const output_column& column : plan.outputs) {
        const slot& from = plan.slots[column.slot];
        if (from.where != scope::action) continue;
        out.columns[from.place].resize(rows);
        columns().round(out.values[from.place].data(), out.columns[from.place].data(), rows);
    }
    for (std::size_t j = 0; j < plan.action_sources.size(); ++j) prepare_tokens(run, plan.action_sources[j], rows, out.tokens[j]);
    for (std::size_t j = 0; j < plan.keys.size(); ++j) {
        out.keys[j].resize(rows);
        for (std::size_t i = 0; i < rows; ++i) out.keys[j][i] = key_of(run, plan.keys[j].parts, i);
    }
}

template <class T>
inline void gather_column(const std::vector<T>& from, const std::uint32_t* index, T* to, std::size_t n) noexcept {
    if (index == nullptr) {
        std::copy_n(from.data(), n, to);
        return;
    }
    const T* const values = from.data();
    for (std::size_t i = 0; i < n; ++i) to[i] = values[index[i]];
}

inline void write_outputs(const feature_run& run, feature_matrix& out) {
    const feature_plan::impl& plan = run.plan;
    out.resize(run.f.size(), plan.scopes, plan.sparse.size());
    const std::size_t n = run.f.size();
    for (std::size_t j = 0; j < plan.outputs.size(); ++j) {
        const slot& from = plan.slots[plan.outputs[j].slot];
        float* const to = out.column(j);
        switch (from.where) {
            case scope::task: {
                float value = 0;
                columns().round(&run.ws.task_values[from.place], &value, 1);
                std::fill_n(to, n, value);
                break;
            }
            case scope::action: gather_column(run.actions->columns[from.place], run.action_index, to, n); break;
            case scope::pair: columns().round(run.ws.pair_values[from.place].data(), to, n); break;
        }
    }
}

/// Everything dense of one decision, up to its output. Returns the run for what follows.
inline feature_run run_dense(const feature_plan::impl& plan, const frame& f, const prepared_actions* prepared,
                             feature_workspace::impl& ws, std::uint32_t fold) {
    const std::size_t n = f.size();
    begin_decision(plan, ws);
    feature_run run{plan, f, *f.strings, ws, prepared, f.action_rows.data(), scope::task, 1, fold};
    if (prepared == nullptr) {
        if (plan.actions_needed) prepare_rows(plan, f, *f.strings, ws, n, ws.local);
        run.actions = &ws.local;
        run.action_index = nullptr;
    }
    for (const step& s : plan.task_steps) run_step(s, run, &ws.task_values[plan.slots[s.out].place], 1);
    run.phase = scope::pair;
    run.n = n;
    for (const slot& from : plan.slots) {
        if (from.where != scope::action || !from.gathered || !from.fitted) continue;
        ws.gathered[from.place].resize(n);
        gather_column(run.actions->values[from.place], run.action_index, ws.gathered[from.place].data(), n);
    }
    for (const step& s : plan.pair_steps) {
        std::vector<double>& values = ws.pair_values[plan.slots[s.out].place];
        values.resize(n);
        run_step(s, run, values.data(), n);
    }
    return run;
}

/// One decision. `fold` is left out of label statistics, `every_fold` leaves out none.
inline void run_features(const feature_plan::impl& plan, const frame& f, const prepared_actions* prepared,
                         feature_workspace::impl& ws, std::uint32_t fold, feature_matrix& out) {
    feature_run run = run_dense(plan, f, prepared, ws, fold);
    write_outputs(run, out);
    run.phase = scope::task;
    for (std::size_t j = 0; j < plan.sparse.size(); ++j) run_sparse(plan.sparse[j], run, out.sparse_for_writing(j));
}

}  // namespace opspilot::detail
