#pragma once

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/decide/detail/arrow_inputs.hpp"
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
            ws.candidates.distinguishable || (f.name != "id" && !f.optional && std::holds_alternative<std::monostate>(f.default_value));
}

/// Puts a prefix before the JSON pointer of an error.
inline error below(std::string_view prefix, error problem) {
    problem.where = std::string(prefix) + problem.where;
    return problem;
}

inline error too_many(std::string_view what, std::size_t count, std::size_t limit, std::string_view where, std::string_view key) {
    return error{error_kind::limit, "limit.input", fmt::format("{} {}; the limit is {}", count, what, limit), std::string(where),
                 fmt::format("cut the list, or raise /limits/{} in bundle.json", key)};
}

/// Turns ids into rows of the catalogue.
inline status look_up_actions(const bundle::impl& b, workspace::impl& ws, std::string_view where) {
    candidate_set& set = ws.candidates;
    const std::uint32_t id = *set.ids.schema_of().find(role::action, "id");
    set.rows.resize(set.ids.rows());
    for (std::size_t i = 0; i < set.ids.rows(); ++i) {
        const std::uint32_t code = set.ids.get(id, i).code;
        const std::uint32_t row = code < b.row_of_id.size() ? b.row_of_id[code] : no_code;
        if (row == no_code) {
            std::vector<std::string_view> known;
            for (std::size_t r = 0; r < b.catalogue.rows(); ++r) known.push_back(b.strings.text(b.catalogue.get(id_field_of(b), r).code));
            std::string hint = did_you_mean(ws.strings->text(code), known);
            if (hint.empty()) hint = "name an action of the catalogue, or give the action's fields";
            return error{error_kind::schema, "schema.unknown_action", fmt::format("no action {} in the catalogue", quote(ws.strings->text(code))),
                         fmt::format("{}/{}/id", where, i), hint};
        }
        set.rows[i] = row;
    }
    return {};
}

/// Ids of candidates [first, last) are different from each other.
inline status check_unique(workspace::impl& ws, std::size_t first, std::size_t last, std::string_view where) {
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
                         fmt::format("{}/{}/id", where, i), "offer each action once"};
        seen = set.mark;
    }
    return {};
}

/// Which of the two readings applies: ids of the catalogue, or actions that the host describes itself.
template <class Read>
inline status read_candidates(const bundle::impl& b, workspace::impl& ws, Read&& read) {
    candidate_set& set = ws.candidates;
    const bool has_catalogue = b.catalogue.rows() > 0;
    if (!has_catalogue) set.catalogue = false;
    else if (!set.distinguishable) set.catalogue = true;
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

inline status read_json_candidates(const bundle::impl& b, const json_inputs& in, workspace::impl& ws) {
    candidate_set& set = ws.candidates;
    if (in.candidates.size() > b.limits.candidate_bytes)
        return too_many("bytes of candidates", in.candidates.size(), b.limits.candidate_bytes, "/candidates", "candidate_bytes");
    table* pairs = b.schema.fields(role::candidate).empty() ? nullptr : &set.pairs;
    status done = read_candidates(b, ws, [&](table& actions) -> status {
        const candidate_tables into{.actions = &actions, .pairs = pairs};
        return read_candidates_json(in.candidates, into, *ws.strings, in.now_us, ws.reader, b.limits.candidates);
    });
    if (!done) return below("/candidates", std::move(done).error());
    const std::size_t count = (set.catalogue ? set.ids : set.actions).rows();
    if (count == 0)
        return error{error_kind::schema, "schema.no_candidates", "the list of candidates is empty", "/candidates",
                     "leave candidates out to generate them from the catalogue"};
    if (set.catalogue) {
        OPSPILOT_CHECK(look_up_actions(b, ws, "/candidates"));
    } else {
        set.rows.resize(count);
        for (std::size_t i = 0; i < count; ++i) set.rows[i] = static_cast<std::uint32_t>(i);
    }
    return check_unique(ws, 0, count, "/candidates");
}

inline error nothing_to_generate_from() {
    return error{error_kind::usage, "usage.no_generator", "no candidates were given, and the bundle cannot generate any", "/candidates",
                 "give candidates, or add catalogue.json and candidates.json to the bundle"};
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

inline frame frame_of(const bundle::impl& b, const workspace::impl& ws, std::size_t task_row, std::size_t first, std::size_t count,
                      std::int64_t now_us) {
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

OPSPILOT_INLINE status decide_json(const std::shared_ptr<const bundle>& b, const json_inputs& in, workspace::impl& ws,
                                   const circumstances& now, decision& out) {
    bind(ws, b);
    const bundle::impl& state = b->state();
    if (in.task.size() > state.limits.task_bytes)
        return too_many("bytes of task", in.task.size(), state.limits.task_bytes, "/task", "task_bytes");
    ws.strings->reset();
    ws.tasks.clear();
    if (status read = ws.tasks.read_json(in.task, *ws.strings, in.now_us, ws.reader, 1); !read) return below("/task", std::move(read).error());
    if (ws.tasks.rows() != 1)
        return error{error_kind::schema, "schema.not_one_task", "expected one task as a JSON object", "/task", "batches go through decide_batch"};
    OPSPILOT_CHECK(in.candidates.data() == nullptr ? generate_candidates(state, ws, 0, in.now_us) : read_json_candidates(state, in, ws));
    decide_frame(b, frame_of(state, ws, 0, 0, ws.candidates.rows.size(), in.now_us), ws, now, out);
    return {};
}

OPSPILOT_INLINE status decide_json(const std::shared_ptr<const bundle>& b, const json_inputs& in, workspace& ws, const circumstances& now,
                                   decision& out) {
    return decide_json(b, in, *ws.state, now, out);
}

OPSPILOT_INLINE status decide_arrow(const std::shared_ptr<const bundle>& b, const arrow_batch& batch, std::int64_t now_us,
                                    workspace::impl& ws, const circumstances& now,
                                    const std::function<bool(std::size_t, const decision&)>& sink) {
    bind(ws, b);
    const bundle::impl& state = b->state();
    candidate_set& set = ws.candidates;
    ws.strings->reset();
    ws.tasks.clear();
    if (status read = append_arrow(ws.tasks, *batch.task_schema, *batch.tasks, *ws.strings, now_us); !read)
        return below("/tasks ", std::move(read).error());
    const std::size_t tasks = ws.tasks.rows();
    std::vector<std::uint32_t> starts;  // candidates of task t are [starts[t], starts[t + 1])
    if (batch.candidates != nullptr) {
        const auto append = [&](table& actions) {
            table* pairs = state.schema.fields(role::candidate).empty() ? nullptr : &set.pairs;
            return append_arrow_candidates(*batch.candidate_schema, *batch.candidates, actions, pairs, *ws.strings, now_us);
        };
        if (status read = read_candidates(state, ws, append); !read) return below("/candidates ", std::move(read).error());
        OPSPILOT_TRY(starts, task_starts(*batch.candidate_schema, *batch.candidates, tasks));
        if (set.catalogue) {
            OPSPILOT_CHECK(look_up_actions(state, ws, "/candidates"));
        } else {
            set.rows.resize(set.actions.rows());
            for (std::size_t i = 0; i < set.rows.size(); ++i) set.rows[i] = static_cast<std::uint32_t>(i);
        }
        for (std::size_t t = 0; t < tasks; ++t) {
            const std::size_t count = starts[t + 1] - starts[t];
            if (count > state.limits.candidates) return too_many("candidates", count, state.limits.candidates, fmt::format("task {}", t), "candidates");
            if (count == 0)
                return error{error_kind::schema, "schema.no_candidates", "the task has no candidates", fmt::format("task {}", t),
                             "leave the task out, or candidates altogether to generate them"};
            OPSPILOT_CHECK(check_unique(ws, starts[t], starts[t + 1], "/candidates"));
        }
    } else if (!state.generate) {
        return nothing_to_generate_from();
    }
    decision d;
    for (std::size_t t = 0; t < tasks; ++t) {
        if (starts.empty()) {
            OPSPILOT_CHECK(generate_candidates(state, ws, t, now_us));
            decide_frame(b, frame_of(state, ws, t, 0, set.rows.size(), now_us), ws, now, d);
        } else {
            decide_frame(b, frame_of(state, ws, t, starts[t], starts[t + 1] - starts[t], now_us), ws, now, d);
        }
        if (!sink(t, d)) break;
    }
    return {};
}

}  // namespace opspilot::detail
