#pragma once

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/decide/detail/inputs.hpp"

namespace opspilot::detail {

OPSPILOT_INLINE void bind(workspace::impl& ws, const std::shared_ptr<const bundle>& b) {
    if (ws.bound == b && ws.strings) return;
    const bundle::impl& state = b->state();
    ws.bound = b;
    ws.strings.emplace(std::as_const(state.strings));
    ws.tasks.reset(state.schema, role::task);
    ws.candidates.ids.reset(ws.id_only, role::action);
    ws.candidates.actions.reset(state.schema, role::action);
    ws.candidates.pairs.reset(state.schema, role::candidate);
    ws.candidates.seen.clear();
    // When an action has a required field beside its id, a list of mere ids can never be read as actions of the host's own,
    // so the order in which the two readings are tried does not matter.
    ws.candidates.distinguishable = false;
    for (const field& f : state.schema.fields(role::action))
        ws.candidates.distinguishable =
            ws.candidates.distinguishable ||
            (f.name != "id" && !f.optional && std::holds_alternative<std::monostate>(f.default_value));
}

/// Puts a prefix before the place of an error: a JSON pointer, or the words that name a column.
inline error below(std::string_view prefix, error problem) {
    const bool words = !problem.where.empty() && problem.where.front() != '/' && problem.where.front() != ' ';
    problem.where = std::string(prefix) + (words ? " " : "") + problem.where;
    return problem;
}

/// Rows of one batch, tasks or candidates: what 32-bit offsets and a sane amount of memory allow.
inline constexpr std::size_t most_batch_rows = std::size_t{1} << 26;

inline error too_many(std::string_view what, std::size_t count, std::size_t limit, std::string_view where, std::string_view key) {
    return error{error_kind::limit, "limit.input", fmt::format("{} {}; the limit is {}", count, what, limit), std::string(where),
                 fmt::format("cut the list, or raise /limits/{} in bundle.json", key)};
}

/// Turns ids into rows of the catalogue.
inline status look_up_actions(const bundle::impl& b, workspace::impl& ws) {
    candidate_set& set = ws.candidates;
    const std::uint32_t id = *set.ids.schema_of().find(role::action, "id");
    set.rows.resize(set.ids.rows());
    for (std::size_t i = 0; i < set.ids.rows(); ++i) {
        const std::uint32_t code = set.ids.get(id, i).code;
        const std::uint32_t row = code < b.row_of_id.size() ? b.row_of_id[code] : no_code;
        if (row == no_code) {
            std::vector<std::string_view> known;
            for (std::size_t r = 0; r < b.catalogue.rows(); ++r)
                known.push_back(b.strings.text(b.catalogue.get(id_field_of(b), r).code));
            std::string hint = did_you_mean(ws.strings->text(code), known);
            if (hint.empty()) hint = "name an action of the catalogue, or give the action's fields";
            return error{error_kind::schema, "schema.unknown_action",
                         fmt::format("no action {} in the catalogue", quote(ws.strings->text(code))), fmt::format("/{}/id", i),
                         hint};
        }
        set.rows[i] = row;
    }
    return {};
}

/// Ids of candidates [first, last) are different from each other.
inline status check_unique(workspace::impl& ws, std::size_t first, std::size_t last) {
    candidate_set& set = ws.candidates;
    const table& ids = set.catalogue ? set.ids : set.actions;
    const std::uint32_t id = *ids.schema_of().find(role::action, "id");
    if (set.seen.size() < ws.strings->size()) set.seen.resize(ws.strings->size() + ws.strings->size() / 2, 0);
    ++set.mark;
    for (std::size_t i = first; i < last; ++i) {
        std::uint64_t& seen = set.seen[ids.get(id, i).code];
        if (seen == set.mark)
            return error{error_kind::schema, "schema.duplicate_candidate",
                         fmt::format("action {} is offered twice to one task", quote(ws.strings->text(ids.get(id, i).code))),
                         fmt::format("/{}/id", i), "offer each action once"};
        seen = set.mark;
    }
    return {};
}

/// Which of the two readings applies: ids of the catalogue, or actions that the host describes itself.
template <class Read>
inline status read_candidates(const bundle::impl& b, workspace::impl& ws, Read&& read) {
    candidate_set& set = ws.candidates;
    const bool has_catalogue = b.catalogue.rows() > 0;
    if (!has_catalogue)
        set.catalogue = false;
    else if (!set.distinguishable)
        set.catalogue = true;
    status first = read(set.catalogue ? set.ids : set.actions);
    if (first || !has_catalogue) return first;
    const std::string_view code = first.error().code;
    if (code != "schema.unknown_field" && code != "schema.missing_field") return first;
    set.catalogue = !set.catalogue;
    status second = read(set.catalogue ? set.ids : set.actions);
    if (second) return second;
    // Neither reading fits: the error of the one that got to know the fields is the helpful one.
    set.catalogue = true;
    return code == "schema.unknown_field" ? std::move(second) : std::move(first);
}

/// Reads the tasks of a call into the workspace.
inline status read_tasks(const bundle::impl& b, const table_source& source, std::int64_t now_us, std::size_t row_limit,
                         workspace::impl& ws) {
    ws.strings->reset();
    ws.tasks.clear();
    if (source.schema == nullptr) return ws.tasks.read_json(source.json, *ws.strings, now_us, ws.reader, row_limit);
    for (const ArrowArray* chunk : source.chunks)
        OPSPILOT_CHECK(append_arrow(ws.tasks, *source.schema, *chunk, *ws.strings, now_us, ws.arrow));
    if (ws.tasks.rows() > row_limit) return too_many("tasks", ws.tasks.rows(), row_limit, "", "tasks");
    static_cast<void>(b);
    return {};
}

/// Reads the candidates of a call; with `task_index` set, the task of every row too.
inline status read_candidate_rows(const bundle::impl& b, const call_inputs& in, workspace::impl& ws, std::size_t row_limit,
                                  std::vector<std::uint32_t>* task_index) {
    candidate_set& set = ws.candidates;
    const table_source& source = in.candidates;
    if (source.json.size() > b.limits.candidate_bytes)
        return too_many("bytes of candidates", source.json.size(), b.limits.candidate_bytes, "", "candidate_bytes");
    table* pairs = b.schema.fields(role::candidate).empty() ? nullptr : &set.pairs;
    status read = read_candidates(b, ws, [&](table& actions) -> status {
        if (task_index != nullptr) task_index->clear();
        if (source.schema == nullptr) {
            const candidate_tables into{.actions = &actions, .pairs = pairs, .task_index = task_index};
            return read_candidates_json(source.json, into, *ws.strings, in.now_us, ws.reader, row_limit);
        }
        actions.clear();
        if (pairs != nullptr) pairs->clear();
        const candidate_tables into{.actions = &actions, .pairs = pairs, .task_index = task_index};
        for (const ArrowArray* chunk : source.chunks)
            OPSPILOT_CHECK(append_arrow_candidates(into, *source.schema, *chunk, *ws.strings, in.now_us, ws.arrow));
        if (actions.rows() > row_limit) return too_many("candidates", actions.rows(), row_limit, "", "candidates");
        return {};
    });
    if (!read) return read;
    if (set.catalogue) return look_up_actions(b, ws);
    set.rows.resize(set.actions.rows());
    for (std::size_t i = 0; i < set.rows.size(); ++i) set.rows[i] = static_cast<std::uint32_t>(i);
    return {};
}

inline error no_candidates() {
    return error{error_kind::schema, "schema.no_candidates", "the list of candidates is empty", "",
                 "leave candidates out to generate them from the catalogue"};
}

inline error nothing_to_generate_from() {
    return error{error_kind::usage, "usage.no_generator", "no candidates were given, and the bundle cannot generate any",
                 "/candidates", "give candidates, or add catalogue.json and candidates.json to the bundle"};
}

/// Generated candidates have no pair fields; a schema that requires some cannot generate.
inline status generate_candidates(const bundle::impl& b, workspace::impl& ws, std::size_t task_row, std::int64_t now_us) {
    if (!b.generate) return nothing_to_generate_from();
    candidate_set& set = ws.candidates;
    set.catalogue = true;
    b.generate->generate(ws.tasks, task_row, ws.generator, set.rows);
    set.pairs.clear();
    if (b.schema.fields(role::candidate).empty()) return {};
    for (std::size_t i = 0; i < set.rows.size(); ++i) {
        set.pairs.begin_row();
        if (status ended = set.pairs.end_row(*ws.strings, now_us); !ended) return below("/candidates", std::move(ended).error());
    }
    return {};
}

inline frame frame_of(const bundle::impl& b, const workspace::impl& ws, std::size_t task_row, std::size_t first,
                      std::size_t count, std::int64_t now_us) {
    const candidate_set& set = ws.candidates;
    return {.task = &ws.tasks,
            .task_row = task_row,
            .actions = set.catalogue ? &b.catalogue : &set.actions,
            .action_rows = std::span(set.rows).subspan(first, count),
            .pairs = b.schema.fields(role::candidate).empty() ? nullptr : &set.pairs,
            .pair_begin = first,
            .strings = &*ws.strings,
            .now_us = now_us,
            .catalogue = set.catalogue};
}

OPSPILOT_INLINE result<frame> read_one(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws) {
    bind(ws, b);
    const bundle::impl& state = b->state();
    candidate_set& set = ws.candidates;
    if (in.tasks.json.size() > state.limits.task_bytes)
        return too_many("bytes of task", in.tasks.json.size(), state.limits.task_bytes, "/task", "task_bytes");
    if (status read = read_tasks(state, in.tasks, in.now_us, 1, ws); !read) return below("/task", std::move(read).error());
    if (ws.tasks.rows() != 1)
        return error{error_kind::schema, "schema.not_one_task", fmt::format("expected one task, found {}", ws.tasks.rows()),
                     "/task", "batches go through decide_batch"};
    if (!in.candidates.given()) {
        OPSPILOT_CHECK(generate_candidates(state, ws, 0, in.now_us));
    } else {
        status read = read_candidate_rows(state, in, ws, state.limits.candidates, nullptr);
        if (read && set.rows.empty()) read = no_candidates();
        if (read) read = check_unique(ws, 0, set.rows.size());
        if (!read) return below("/candidates", std::move(read).error());
    }
    return frame_of(state, ws, 0, 0, set.rows.size(), in.now_us);
}

OPSPILOT_INLINE status decide_one(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                  const circumstances& now, decision& out) {
    OPSPILOT_TRY(const frame f, read_one(b, in, ws));
    decide_frame(b, f, ws, now, out);
    return {};
}

/// Where the candidates of each task start; the index ascends and stays within the tasks.
inline result<std::vector<std::uint32_t>> candidate_starts(std::span<const std::uint32_t> task_index, std::size_t tasks) {
    std::vector<std::uint32_t> starts(tasks + 1, 0);
    for (std::size_t i = 0; i < task_index.size(); ++i) {
        const std::string where = fmt::format("/{}/task_index", i);
        if (task_index[i] >= tasks)
            return error{error_kind::schema, "schema.out_of_range",
                         fmt::format("task_index {} with {} tasks", task_index[i], tasks), where, "it counts tasks from 0"};
        if (i > 0 && task_index[i] < task_index[i - 1])
            return error{error_kind::schema, "schema.order", "task_index must ascend", where, "sort the candidates by it"};
        ++starts[task_index[i] + 1];
    }
    for (std::size_t t = 0; t < tasks; ++t) starts[t + 1] += starts[t];
    return starts;
}

/// Every task has at least one candidate, not too many, and none twice.
inline status check_candidates(const bundle::impl& b, workspace::impl& ws, std::span<const std::uint32_t> starts) {
    for (std::size_t t = 0; t + 1 < starts.size(); ++t) {
        const std::size_t count = starts[t + 1] - starts[t];
        const std::string where = fmt::format(" of task {}", t);
        if (count > b.limits.candidates) return too_many("candidates", count, b.limits.candidates, where, "candidates");
        if (count == 0) return below(where, no_candidates());
        OPSPILOT_CHECK(check_unique(ws, starts[t], starts[t + 1]));
    }
    return {};
}

OPSPILOT_INLINE status for_each_frame(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                      const std::function<bool(std::size_t, const frame&)>& visit) {
    bind(ws, b);
    const bundle::impl& state = b->state();
    candidate_set& set = ws.candidates;
    if (status read = read_tasks(state, in.tasks, in.now_us, most_batch_rows, ws); !read)
        return below("/tasks", std::move(read).error());
    const std::size_t tasks = ws.tasks.rows();
    std::vector<std::uint32_t> starts;
    if (in.candidates.given()) {
        std::vector<std::uint32_t> task_index;
        status read = read_candidate_rows(state, in, ws, most_batch_rows, &task_index);
        if (read) {
            auto made = candidate_starts(task_index, tasks);
            read = made ? check_candidates(state, ws, starts = std::move(made).value()) : status(std::move(made).error());
        }
        if (!read) return below("/candidates", std::move(read).error());
    } else if (!state.generate) {
        return nothing_to_generate_from();
    }
    for (std::size_t t = 0; t < tasks; ++t) {
        std::size_t first = 0;
        std::size_t count = 0;
        if (in.candidates.given()) {
            first = starts[t];
            count = starts[t + 1] - first;
        } else {
            OPSPILOT_CHECK(generate_candidates(state, ws, t, in.now_us));
            count = set.rows.size();
        }
        if (!visit(t, frame_of(state, ws, t, first, count, in.now_us))) break;
    }
    return {};
}

OPSPILOT_INLINE status decide_many(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                   const circumstances& now, const std::function<bool(std::size_t, const decision&)>& sink) {
    decision d;
    return for_each_frame(b, in, ws, [&](std::size_t t, const frame& f) {
        decide_frame(b, f, ws, now, d);
        return sink(t, d);
    });
}

}  // namespace opspilot::detail
