#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/policy/detail/diff/compare.hpp"
#include "opspilot/policy/detail/diff/lines.hpp"
#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/diff.hpp"

namespace opspilot {

namespace detail {

/// The schema as logs fit it: nothing is required, any value will do.
inline result<schema> lenient(const schema& s) {
    json document = json::parse(s.to_json());
    for (const char* r : {"task", "action", "candidate"}) {
        const auto fields = document.find(r);
        if (fields == document.end()) continue;
        for (json& f : *fields) {
            if (r != std::string_view("action") || f["name"] != "id") f["optional"] = true;  // an action always has its id
            for (const char* key : {"values", "min", "max"}) f.erase(key);
        }
    }
    return schema::parse(document.dump());
}

/// By rule id, what a document says of it but for the words.
inline void rule_texts(std::span<const policy_set::document> documents, std::map<std::string, std::string>& out) {
    for (const policy_set::document& d : documents) {
        auto parsed = parse_json(d.text, error_kind::policy);
        if (!parsed || !parsed->is_object() || !parsed->contains("rules")) continue;
        for (json& rule : (*parsed)["rules"]) {
            if (!rule.is_object() || !rule.contains("id") || !rule["id"].is_string()) continue;
            for (const char* words : {"because", "description", "locked"}) rule.erase(words);
            rule["layer"] = text_or(*parsed, "layer", "");
            out[rule["id"].get<std::string>()] = rule.dump();
        }
    }
}

/// Compiles one side; errors say which.
inline result<policy_set> compile_side(std::string_view side, std::span<const policy_set::document> documents, const schema& s,
                                       dictionary& strings, const lookup_tables& tables) {
    std::vector<policy_set::document> named(documents.begin(), documents.end());
    for (policy_set::document& d : named) d.name = fmt::format("{} {}", side, d.name);
    return policy_set::compile(named, s, strings, nullptr, policy_review::rules, tables);
}

/// Both policies' rules by id: those of the new one first, in its order.
inline void join_rules(policy_diff::impl& d, std::span<const policy_set::document> old_documents,
                       std::span<const policy_set::document> new_documents) {
    std::map<std::string, std::string> was, is;
    rule_texts(old_documents, was);
    rule_texts(new_documents, is);
    std::map<std::string, std::uint32_t, std::less<>> known;
    const auto enter = [&](const policy_set& set, std::vector<std::uint32_t>& joint) {
        for (std::uint32_t r = 0; r < set.rules(); ++r) {
            const rule_info info = set.rule(r);
            const auto [at, fresh] = known.emplace(info.id, static_cast<std::uint32_t>(d.rules.size()));
            joint.push_back(at->second);
            if (!fresh) continue;
            const std::string id(info.id);
            const rule_fate fate = !was.contains(id)   ? rule_fate::added
                                   : !is.contains(id)  ? rule_fate::removed
                                   : was[id] == is[id] ? rule_fate::same
                                                       : rule_fate::edited;
            d.rules.push_back({id, std::string(info.layer), std::string(info.effect), std::string(info.because), fate});
        }
    };
    enter(d.after, d.after_rules);
    enter(d.before, d.before_rules);
}

/// Fields that rules read, each once, with the reasons for which a record may lack them.
inline void find_read_fields(policy_diff::impl& d, const schema& declared) {
    d.reasons = {"candidates that the record does not list", "an action that the catalogue does not have"};
    std::vector<std::pair<role, std::uint32_t>> found;
    for (const policy_set* set : {&d.before, &d.after})
        for (const policy_rule& rule : set->state->rules)
            for (const cel::detail::instruction& i : rule.condition.code) {
                using cel::detail::opcode;
                if (i.op != opcode::field && i.op != opcode::has_field && i.op != opcode::optional_field) continue;
                found.emplace_back(static_cast<role>(i.a), i.b);
            }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    for (const auto& [where, index] : found) {
        if (where == role::action && index == d.action_id) continue;
        const field& f = d.fields.fields(where)[index];
        const auto known = declared.find(where, f.name);
        const field* given = known ? &declared.fields(where)[*known] : &f;
        d.reads.push_back({.where = {where, index},
                           .personal = given->pii >= pii_class::personal,
                           .required = !given->optional && given->default_value.index() == 0,
                           .reason = static_cast<std::uint32_t>(d.reasons.size())});
        d.reasons.push_back(fmt::format("{}.{}", name(where), f.name));
    }
}

inline status read_diff_catalogue(policy_diff::impl& d, std::string_view rows) {
    d.catalogue.reset(d.fields, role::action);
    d.action_id = *d.fields.find(role::action, "id");
    if (rows.empty()) return {};
    interner strings = interner::growing(d.strings);
    OPSPILOT_CHECK(d.catalogue.read_json(rows, strings, 0));
    d.row_of_id.assign(d.strings.size(), no_code);
    for (std::size_t row = d.catalogue.rows(); row-- > 0;)
        d.row_of_id[d.catalogue.get(d.action_id, row).code] = static_cast<std::uint32_t>(row);
    return {};
}

/// The rows of a JSON object or array without the keys that the schema does not know; "" when it is not such a thing.
inline std::string known_keys(const schema& s, std::span<const role> roles, std::string_view text) {
    auto parsed = parse_json(text, error_kind::schema);
    if (!parsed) return {};
    const auto clean = [&](json& row) {
        if (!row.is_object()) return;
        for (auto item = row.begin(); item != row.end();) {
            const bool known = std::any_of(roles.begin(), roles.end(), [&](role r) { return s.find(r, item.key()).has_value(); });
            item = known ? std::next(item) : row.erase(item);
        }
    };
    if (parsed->is_array())
        for (json& row : *parsed) clean(row);
    else
        clean(*parsed);
    return parsed->dump();
}

/// Replays records of one thread.
class policy_replayer {
public:
    policy_replayer(const std::shared_ptr<const policy_diff::impl>& d, policy_diff_workspace::impl& ws, policy_diff_counts& out)
        : d_(*d), ws_(ws), out_(out) {
        if (ws_.kept == d) return;
        ws_.kept = d;
        ws_.strings.emplace(d_.strings);
        ws_.task.reset(d_.fields, role::task);
        ws_.actions.reset(d_.fields, role::action);
        ws_.pairs.reset(d_.fields, role::candidate);
        ws_.no_pairs.reset(d_.fields, role::candidate);
        ws_.marks.assign(ws_.marks.size(), 0);
    }

    void line(std::string_view text, std::size_t room, std::uint64_t number) {
        line_scanner scanner(ws_.parser, line_);
        status read = scanner.read(text, room);
        if (read && line_.outcome) {
            ++out_.others;
            return;
        }
        ws_.strings->reset();
        if (read) read = line_.record ? record(number) : situation(number);
        if (!read) refuse(number, std::move(read).error());
    }

    status tables(const policy_diff::rows& tasks, const policy_diff::rows& candidates, std::span<const std::int64_t> now_us,
                  std::uint64_t first_task) {
        ws_.strings->reset();
        const std::int64_t now = now_us.empty() ? 0 : now_us.front();
        ws_.task.clear();
        if (tasks.schema == nullptr) {
            OPSPILOT_CHECK(below("/tasks", ws_.task.read_json(tasks.json, *ws_.strings, now, ws_.reader)));
        }
        for (const ArrowArray* batch : tasks.batches)
            OPSPILOT_CHECK(below("/tasks", append_arrow(ws_.task, *tasks.schema, *batch, *ws_.strings, now, ws_.arrow)));
        const std::size_t count = ws_.task.rows();
        if (now_us.size() != 1 && now_us.size() != count)
            return error{error_kind::schema, "schema.rows", fmt::format("{} times for {} tasks", now_us.size(), count), "/now",
                         "give one time, or one per task"};
        ws_.actions.clear();
        ws_.pairs.clear();
        ws_.task_index.clear();
        const candidate_tables into{&ws_.actions, pairs(), &ws_.task_index};
        if (candidates.schema == nullptr)
            OPSPILOT_CHECK(below("/candidates", read_candidates_json(candidates.json, into, *ws_.strings, now, ws_.reader)));
        for (const ArrowArray* batch : candidates.batches)
            OPSPILOT_CHECK(
                below("/candidates", append_arrow_candidates(into, *candidates.schema, *batch, *ws_.strings, now, ws_.arrow)));
        OPSPILOT_CHECK(find_starts(count, first_task));
        ws_.rows.resize(ws_.actions.rows());
        std::iota(ws_.rows.begin(), ws_.rows.end(), 0U);
        for (std::size_t t = 0; t < count; ++t) {
            frame f = frame_of(now_us.size() == 1 ? now : now_us[t]);
            f.task_row = t;
            f.action_rows = std::span(ws_.rows).subspan(ws_.starts[t], ws_.starts[t + 1] - ws_.starts[t]);
            f.pair_begin = ws_.starts[t];
            const logged_decision what{first_task + t + 1, {}, client_of(t), {}, is_exact(f, false, true)};
            decide(f, what);
        }
        return {};
    }

private:
    static status below(const char* place, status read) {
        if (!read) read.error().where = place + read.error().where;
        return read;
    }

    [[nodiscard]] table* pairs() noexcept { return d_.paired ? &ws_.pairs : nullptr; }
    [[nodiscard]] frame frame_of(std::int64_t now_us) const noexcept {
        frame f;
        f.task = &ws_.task;
        f.actions = &ws_.actions;
        f.pairs = d_.paired ? &ws_.pairs : nullptr;
        f.strings = &*ws_.strings;
        f.now_us = now_us;
        return f;
    }
    [[nodiscard]] std::string_view client_of(std::size_t row) const noexcept {
        if (!d_.task_client) return {};
        const cell c = ws_.task.get(*d_.task_client, row);
        return c.has_value() ? ws_.strings->text(c.code) : std::string_view{};
    }

    /// Where each task's candidates begin.
    status find_starts(std::size_t tasks, std::uint64_t first_task) {
        ws_.starts.assign(tasks + 1, 0);
        std::uint64_t last = 0;
        for (std::size_t i = 0; i < ws_.task_index.size(); ++i) {
            const std::uint64_t t = ws_.task_index[i];
            if (t < first_task || t - first_task >= tasks || t < last)
                return error{error_kind::schema, "schema.order", fmt::format("task_index {} stands out of order", t),
                             fmt::format("/candidates/{}/task_index", i), "it counts tasks from 0 and ascends"};
            last = t;
            ++ws_.starts[t - first_task + 1];
        }
        std::partial_sum(ws_.starts.begin(), ws_.starts.end(), ws_.starts.begin());
        return {};
    }

    status read_task(std::string_view text) {
        status read = ws_.task.read_json(text, *ws_.strings, line_.now_us, ws_.reader);
        if (!read && read.error().code == "schema.unknown_field") {
            constexpr std::array roles{role::task};
            read = ws_.task.read_json(known_keys(d_.fields, roles, text), *ws_.strings, line_.now_us, ws_.reader);
        }
        return below("/task", std::move(read));
    }

    /// A task with candidates that it describes itself.
    status situation(std::uint64_t number) {
        OPSPILOT_CHECK(read_task(line_.task));
        const candidate_tables into{&ws_.actions, pairs(), nullptr};
        status read = read_candidates_json(line_.candidates, into, *ws_.strings, line_.now_us, ws_.reader);
        if (!read && read.error().code == "schema.unknown_field") {
            constexpr std::array roles{role::action, role::candidate};
            read = read_candidates_json(known_keys(d_.fields, roles, line_.candidates), into, *ws_.strings, line_.now_us,
                                        ws_.reader);
        }
        OPSPILOT_CHECK(below("/candidates", std::move(read)));
        const std::size_t count = ws_.actions.rows();
        if (!line_.scores.empty() && line_.scores.size() != count)
            return error{error_kind::schema, "schema.rows",
                         fmt::format("{} scores for {} candidates", line_.scores.size(), count), "/scores",
                         "give one per candidate"};
        ws_.rows.resize(count);
        std::iota(ws_.rows.begin(), ws_.rows.end(), 0U);
        frame f = frame_of(line_.now_us);
        f.action_rows = ws_.rows;
        decide(f, {.record = number,
                   .id = line_.id,
                   .client = line_.client.empty() ? client_of(0) : line_.client,
                   .scores = line_.scores,
                   .exact = is_exact(f, false, true)});
        return {};
    }

    /// A decision record: its candidates are rows of the catalogue, or known by their ids alone.
    status record(std::uint64_t number) {
        OPSPILOT_CHECK(read_task(line_.task));
        const bool named = d_.catalogue.rows() > 0;
        bool unknown = false;
        ws_.rows.clear();
        ws_.scores.clear();
        ws_.listed.clear();
        ws_.actions.clear();
        for (std::uint32_t i = 0; i < line_.listed.size(); ++i) {
            const listed_candidate& c = line_.listed[i];
            std::uint32_t row = static_cast<std::uint32_t>(ws_.rows.size());
            if (named) {
                const std::uint32_t code = d_.strings.find(c.action);
                row = code < d_.row_of_id.size() ? d_.row_of_id[code] : no_code;
                unknown = unknown || row == no_code;
                if (row == no_code) continue;
            } else {
                ws_.actions.begin_row();
                OPSPILOT_CHECK(ws_.actions.set_text(d_.action_id, c.action, *ws_.strings));
                OPSPILOT_CHECK(ws_.actions.end_row(*ws_.strings, line_.now_us));
            }
            ws_.rows.push_back(row);
            ws_.scores.push_back(c.score);
            ws_.listed.push_back(i);
        }
        while (d_.paired && ws_.no_pairs.rows() < ws_.rows.size()) {
            ws_.no_pairs.begin_row();
            OPSPILOT_CHECK(ws_.no_pairs.end_row(*ws_.strings, line_.now_us));
        }
        frame f = frame_of(line_.now_us);
        if (named) f.actions = &d_.catalogue;
        if (d_.paired) f.pairs = &ws_.no_pairs;
        f.action_rows = ws_.rows;
        f.catalogue = named;
        bool exact = is_exact(f, true, !named);
        exact = !count_reason(line_.count > line_.listed.size(), reason_unlisted) && exact;
        exact = !count_reason(unknown, reason_unknown_action) && exact;
        decide(f, {.record = number,
                   .id = line_.id,
                   .client = line_.client.empty() ? client_of(0) : line_.client,
                   .scores = ws_.scores,
                   .exact = exact});
        if (line_.policy == d_.before.fingerprint()) {
            ++out_.checked;
            out_.differing += tells_otherwise() ? 1U : 0U;
        }
        return {};
    }

    /// Whether the log tells of other rules, or other forbidden candidates, than the replay of the old policy found.
    bool tells_otherwise() {
        ws_.acted.assign(ws_.rows.size(), 0);
        const std::span<const std::string_view> logged = line_.rules;
        for (std::size_t i = 0; i < ws_.rows.size(); ++i)
            if (line_.listed[ws_.listed[i]].allowed != (ws_.before.allowed[i] != 0)) return true;
        for (const rule_hit& hit : ws_.before.hits) {  // per candidate in rule order, as they are logged
            const listed_candidate& c = line_.listed[ws_.listed[hit.candidate]];
            const std::uint32_t at = ws_.acted[hit.candidate]++;
            if (at >= c.rules || logged[c.first_rule + at] != d_.before.rule(hit.rule).id) return true;
        }
        for (std::size_t i = 0; i < ws_.rows.size(); ++i)
            if (ws_.acted[i] != line_.listed[ws_.listed[i]].rules) return true;
        return false;
    }

    bool count_reason(bool holds, std::uint32_t reason) noexcept {
        out_.reasons[reason] += holds ? 1U : 0U;
        return holds;
    }

    /// Counts what the record lacks of what rules read. `own`: actions are in the record, not in a catalogue.
    bool is_exact(const frame& f, bool from_record, bool own) {
        bool exact = true;
        for (const field_read& r : d_.reads) exact = !count_reason(lacks(r, f, from_record, own), r.reason) && exact;
        return exact;
    }
    [[nodiscard]] static bool lacks(const field_read& r, const frame& f, bool from_record, bool own) noexcept {
        switch (r.where.where) {
            case role::task: {
                const cell c = f.task->get(r.where.index, f.task_row);
                return from_record && r.personal ? c.state != cell_state::present : r.required && c.state == cell_state::missing;
            }
            case role::action:
                if (!own) return false;
                if (from_record) return true;
                break;
            case role::candidate:
                if (from_record) return true;
                break;
        }
        if (!r.required) return false;
        for (std::size_t i = 0; i < f.size(); ++i)
            if (f.get(r.where, i).state == cell_state::missing) return true;
        return false;
    }

    void decide(const frame& f, const logged_decision& what) {
        d_.before.evaluate(f, ws_.before_scratch, ws_.before, f.catalogue ? &d_.before_ready : nullptr);
        d_.after.evaluate(f, ws_.after_scratch, ws_.after, f.catalogue ? &d_.after_ready : nullptr);
        decision_comparer(d_, ws_, out_).compare(f, what);
    }

    void refuse(std::uint64_t number, error&& problem) {
        ++out_.unreadable;
        if (out_.refusals.size() < most_refusals)
            out_.refusals.push_back({number, std::string(problem.code), std::move(problem.message), std::move(problem.where)});
    }

    const policy_diff::impl& d_;
    policy_diff_workspace::impl& ws_;
    policy_diff_counts& out_;
    logged_line line_;
};

}  // namespace detail

OPSPILOT_INLINE policy_diff_workspace::policy_diff_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE policy_diff_workspace::~policy_diff_workspace() = default;
OPSPILOT_INLINE policy_diff_workspace::policy_diff_workspace(policy_diff_workspace&&) noexcept = default;
OPSPILOT_INLINE policy_diff_workspace& policy_diff_workspace::operator=(policy_diff_workspace&&) noexcept = default;

OPSPILOT_INLINE result<policy_diff> policy_diff::compile(std::span<const policy_set::document> old_documents,
                                                         std::span<const policy_set::document> new_documents, const schema& s,
                                                         std::string_view catalogue, const policy_diff_options& options) {
    auto made = std::make_shared<impl>();
    made->options = options;
    OPSPILOT_TRY(made->fields, detail::lenient(s));
    OPSPILOT_TRY(made->before, detail::compile_side("old", old_documents, made->fields, made->strings, options.old_tables));
    OPSPILOT_TRY(made->after, detail::compile_side("new", new_documents, made->fields, made->strings, options.new_tables));
    OPSPILOT_CHECK(detail::read_diff_catalogue(*made, catalogue));
    made->paired = !made->fields.fields(role::candidate).empty();
    made->task_id = made->fields.find(role::task, "id");
    made->task_client = made->fields.find(role::task, "client");
    detail::join_rules(*made, old_documents, new_documents);
    detail::find_read_fields(*made, s);
    const interner strings(std::as_const(made->strings));
    made->before_ready = made->before.prepare(made->catalogue, strings);
    made->after_ready = made->after.prepare(made->catalogue, strings);
    policy_diff out;
    out.state = std::move(made);
    return out;
}

OPSPILOT_INLINE policy_diff_counts policy_diff::begin() const {
    policy_diff_counts out;
    out.rules.resize(state->rules.size());
    out.reasons.resize(state->reasons.size());
    return out;
}

OPSPILOT_INLINE void policy_diff::replay_lines(std::string_view lines, std::uint64_t first_line, policy_diff_workspace& scratch,
                                               policy_diff_counts& out) const {
    policy_diff_workspace::impl& ws = *scratch.state;
    // The parser reads in whole registers, past the end of a line; after the last one that must be ours too.
    ws.padded.resize(std::max(ws.padded.size(), lines.size() + simdjson::SIMDJSON_PADDING));
    if (!lines.empty()) std::memcpy(ws.padded.data(), lines.data(), lines.size());
    std::memset(ws.padded.data() + lines.size(), ' ', simdjson::SIMDJSON_PADDING);
    detail::policy_replayer replayer(state, ws, out);
    const std::string_view all(ws.padded.data(), lines.size());
    for (std::size_t at = 0; at < all.size(); ++first_line) {
        const std::size_t end = std::min(all.find('\n', at), all.size());
        const std::string_view line = all.substr(at, end - at);
        if (line.find_first_not_of(" \t\r") != std::string_view::npos)
            replayer.line(line, all.size() + simdjson::SIMDJSON_PADDING - at, first_line);
        at = end + 1;
    }
}

OPSPILOT_INLINE status policy_diff::replay_rows(const rows& tasks, const rows& candidates, std::span<const std::int64_t> now_us,
                                                std::uint64_t first_task, policy_diff_workspace& scratch,
                                                policy_diff_counts& out) const {
    return detail::policy_replayer(state, *scratch.state, out).tables(tasks, candidates, now_us, first_task);
}

OPSPILOT_INLINE void policy_diff::merge(policy_diff_counts& into, policy_diff_counts&& more) const {
    using counts = policy_diff_counts;
    for (const auto total : {&counts::decisions, &counts::candidates, &counts::changed, &counts::changed_exact,
                             &counts::changed_candidates, &counts::answers, &counts::answers_exact, &counts::best_actions,
                             &counts::inexact, &counts::differing, &counts::checked, &counts::others, &counts::unreadable})
        into.*total += more.*total;
    for (std::size_t a = 0; a < policy_states; ++a)
        for (std::size_t b = 0; b < policy_states; ++b) {
            into.by_candidate[a][b] += more.by_candidate[a][b];
            into.by_answer[a][b] += more.by_answer[a][b];
        }
    for (std::size_t r = 0; r < into.rules.size(); ++r)
        for (const auto total : {&counts::rule::old_hits, &counts::rule::new_hits, &counts::rule::gained, &counts::rule::lost,
                                 &counts::rule::candidates, &counts::rule::decisions})
            into.rules[r].*total += more.rules[r].*total;
    for (std::size_t r = 0; r < into.reasons.size(); ++r) into.reasons[r] += more.reasons[r];
    for (auto& [name, counted] : more.clients) {
        const bool room = into.clients.contains(name) || into.clients.size() < state->options.clients;
        counts::client& client = into.clients[room ? name : std::string("(others)")];
        client.decisions += counted.decisions;
        client.changed += counted.changed;
        client.answers += counted.answers;
    }
    for (counts::refusal& r : more.refusals)
        if (into.refusals.size() < detail::most_refusals) into.refusals.push_back(std::move(r));
    for (counts::example& e : more.examples)
        if (detail::decision_comparer::wanted(*state, into, e)) detail::decision_comparer::keep(into, std::move(e));
}

}  // namespace opspilot

#include "opspilot/policy/detail/diff/report-inl.hpp"
