#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/rank/detail/document_tables.hpp"
#include "opspilot/rank/generator.hpp"

namespace opspilot {

namespace detail {

/// One "match": rows of the catalogue by the code of the action's value.
struct match_generator {
    std::uint32_t task_field = 0;
    std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> rows_of;
};

inline constexpr std::array<std::string_view, 2> generator_kinds{"match", "all"};
inline constexpr std::array<document_field, 3> generator_fields{
    {{"kind", json_kind::text, true, "\"match\" or \"all\"", generator_kinds},
     {"task", json_kind::text, false, "match: a string or list<string> field of the task, e.g. \"task.queues\""},
     {"action", json_kind::text, false, "match: a string or list<string> field of the action, e.g. \"action.queue\""}}};
inline constexpr std::array<document_field, 2> generators_fields{
    {{"generators", json_kind::array, true, "the generators, in order; an action is offered when any of them offers it"},
     {"limit", json_kind::integer, false, "most candidates offered for a task, default 2000"}}};

OPSPILOT_INLINE generator_tables generator_document_tables() noexcept { return {generators_fields, generator_fields}; }

inline bool holds_texts(const field& f) noexcept { return f.type == field_type::text || f.type == field_type::text_list; }

template <class Visitor>
inline void for_each_code(const cell& c, Visitor&& visit) {
    if (!c.has_value()) return;
    if (c.type == field_type::text)
        visit(c.code);
    else
        for (const std::uint32_t code : c.codes) visit(code);
}

inline result<std::uint32_t> generator_field(const json& node, const char* key, role side, const schema& s,
                                             const std::string& where) {
    const std::string place = pointer(where, key);
    OPSPILOT_TRY(const schema::path path, s.resolve(text_or(node, key, ""), place));
    if (path.where != side || !holds_texts(s.at(path)))
        return error{error_kind::model, "model.generator_field",
                     fmt::format("'{}' must be a string or list<string> field of the {}", node.value(key, ""), name(side)), place,
                     ""};
    if (s.at(path).audit_only) return audit_only_error(error_kind::model, "model.audit_only", path.where, s.at(path), place);
    return path.index;
}

}  // namespace detail

struct generator::impl {
    bool all = false;
    std::size_t limit = 2000;
    std::size_t actions = 0;
    std::vector<detail::match_generator> matches;
};

OPSPILOT_INLINE result<generator> generator::parse(std::string_view text, const schema& s, const table& actions) {
    OPSPILOT_TRY(const detail::json document, detail::parse_json(text, error_kind::model));
    OPSPILOT_CHECK(detail::check_object(document, detail::generators_fields, "", error_kind::model));
    auto out = std::make_shared<impl>();
    out->actions = actions.rows();
    const std::int64_t limit = detail::integer_or(document, "limit", 2000);
    if (limit < 1 || limit > 100'000)
        return error{error_kind::model, "model.generator_limit", fmt::format("limit {} is not between 1 and 100000", limit),
                     "/limit", ""};
    out->limit = static_cast<std::size_t>(limit);
    std::size_t i = 0;
    for (const detail::json& node : document["generators"]) {
        const std::string where = detail::pointer("/generators", i++);
        OPSPILOT_CHECK(detail::check_object(node, detail::generator_fields, where, error_kind::model));
        if (node["kind"] == "all") {
            out->all = true;
            continue;
        }
        detail::match_generator match;
        OPSPILOT_TRY(match.task_field, detail::generator_field(node, "task", role::task, s, where));
        OPSPILOT_TRY(const std::uint32_t action_field, detail::generator_field(node, "action", role::action, s, where));
        for (std::size_t row = 0; row < actions.rows(); ++row)
            detail::for_each_code(actions.get(action_field, row), [&](std::uint32_t code) {
                auto& rows = match.rows_of[code];
                if (rows.empty() || rows.back() != row) rows.push_back(static_cast<std::uint32_t>(row));
            });
        out->matches.push_back(std::move(match));
    }
    if (!out->all && out->matches.empty())
        return error{error_kind::model, "model.no_generator", "no generator is declared", "/generators",
                     "declare one, or {\"kind\": \"all\"}"};
    generator made;
    made.state = std::move(out);
    return made;
}

OPSPILOT_INLINE std::size_t generator::limit() const noexcept { return state->limit; }

OPSPILOT_INLINE void generator::generate(const table& tasks, std::size_t task_row, generator_workspace& scratch,
                                         std::vector<std::uint32_t>& rows) const {
    rows.clear();
    if (state->all) {
        for (std::size_t row = 0; row < std::min(state->actions, state->limit); ++row)
            rows.push_back(static_cast<std::uint32_t>(row));
        return;
    }
    if (scratch.seen.size() != state->actions || scratch.generation == UINT32_MAX) {
        scratch.seen.assign(state->actions, 0);
        scratch.generation = 0;
    }
    ++scratch.generation;
    for (const detail::match_generator& match : state->matches)
        detail::for_each_code(tasks.get(match.task_field, task_row), [&](std::uint32_t code) {
            const auto found = match.rows_of.find(code);
            if (found == match.rows_of.end()) return;
            for (const std::uint32_t row : found->second)
                if (scratch.seen[row] != scratch.generation) {
                    scratch.seen[row] = scratch.generation;
                    rows.push_back(row);
                }
        });
    std::sort(rows.begin(), rows.end());
    if (rows.size() > state->limit) rows.resize(state->limit);
}

}  // namespace opspilot
