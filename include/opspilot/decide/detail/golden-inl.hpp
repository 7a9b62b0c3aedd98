#pragma once

#include <fmt/format.h>

#include <array>
#include <initializer_list>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/decide/detail/document_tables.hpp"
#include "opspilot/decide/detail/golden.hpp"
#include "opspilot/decide/detail/inputs.hpp"
#include "opspilot/decide/detail/order.hpp"

namespace opspilot::detail {

inline constexpr std::array<document_field, 4> golden_fields{
    {{"task", json_kind::object, true, "the task to decide"},
     {"candidates", json_kind::array, false, "its candidates; left out: generated from the catalogue"},
     {"now", json_kind::integer, true, "time of decision, microseconds since 1970 UTC"},
     {"expect", json_kind::object, false, "the answer, written by the builder"}}};

OPSPILOT_INLINE std::span<const document_field> golden_table() noexcept { return golden_fields; }

/// A number that is not finite has no JSON form; a threshold that does not exist is null.
inline json finite_or_null(double x) { return std::isfinite(x) ? json(x) : json(nullptr); }

/// What must be the same again: the proposed verdict, and the head of the ranking with every bit of its numbers.
inline json golden_answer(const decision& d) {
    constexpr std::size_t head = 5;
    json ranked = json::array();
    for (std::size_t i = 0; i < std::min(head, d.ranked.size()); ++i) {
        const ranked_candidate& c = d.ranked[i];
        ranked.push_back({c.action, finite_or_null(c.score), finite_or_null(c.probability), name(c.decided)});
    }
    return {{"id_candidates", d.ranked.size()},
            {"verdict", name(d.proposed)},
            {"action", d.action},
            {"queue", d.queue},
            {"probability", finite_or_null(d.probability)},
            {"threshold", finite_or_null(d.threshold)},
            {"rung", name(d.rung)},
            {"ranked", std::move(ranked)}};
}

/// Calls `visit(line number, document, decision)` for every line.
template <class Visitor>
inline status for_each_golden(const std::shared_ptr<const bundle>& b, std::string_view lines, Visitor&& visit) {
    workspace ws;
    decision d;
    std::size_t number = 0;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        ++number;
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const std::string where = fmt::format("part 'golden.jsonl' line {}", number);
        const auto fail = [&](error problem) {
            problem.where = problem.where.empty() ? where : where + " " + problem.where;
            return problem;
        };
        auto document = parse_json(line, error_kind::bundle);
        if (!document) return fail(std::move(document).error());
        if (status checked = check_object(*document, golden_fields, "", error_kind::bundle); !checked)
            return fail(std::move(checked).error());
        const std::string task = (*document)["task"].dump();
        const std::string candidates = document->contains("candidates") ? (*document)["candidates"].dump() : std::string();
        const std::string_view given = candidates.empty() ? std::string_view{} : std::string_view(candidates);
        const call_inputs inputs{
            .tasks = {.json = task}, .candidates = {.json = given}, .now_us = (*document)["now"].get<std::int64_t>()};
        const circumstances unstaged{.widest = rung::full, .staged = false, .killed = kill_scope::none};
        if (status decided = decide_one(b, inputs, *ws.state, unstaged, d); !decided) return fail(std::move(decided).error());
        if (status visited = visit(*document, d); !visited) return fail(std::move(visited).error());
    }
    return {};
}

/// Whether any task can end in the verdict, by what the bundle declares: a bundle without a certificate never automates, and
/// one whose policy never asks for approval never does.
inline bool reachable(const bundle::impl& b, verdict v) {
    const auto has_effect = [&](std::initializer_list<std::string_view> effects) {
        for (std::uint32_t i = 0; i < b.policy.rules(); ++i)
            for (const std::string_view effect : effects)
                if (b.policy.rule(i).effect == effect) return true;
        return false;
    };
    bool certified = false;
    for (const automation_line& line : b.lines) certified = certified || line.certified;
    switch (v) {
        case verdict::auto_execute: return certified;
        case verdict::require_approval: return certified && has_effect({"require_approval"});
        case verdict::suggest: return b.ranking.has_value() || b.baseline.has_value();
        case verdict::escalate: return b.generate.has_value() || has_effect({"escalate"});
        case verdict::abstain: return b.confidence && b.confidence->abstain_below > 0;
    }
    return true;
}

OPSPILOT_INLINE result<std::string> make_golden(const std::shared_ptr<const bundle>& b, std::string_view lines) {
    std::string out;
    std::size_t count = 0;
    std::array<std::size_t, 5> seen{};
    OPSPILOT_CHECK(for_each_golden(b, lines, [&](json& document, const decision& d) -> status {
        document["expect"] = golden_answer(d);
        out += document.dump();
        out += '\n';
        ++count;
        ++seen[static_cast<std::size_t>(d.proposed)];
        return {};
    }));
    if (count < fewest_golden_rows)
        return error{error_kind::bundle, "bundle.golden_rows",
                     fmt::format("{} golden rows; at least {} are needed", count, fewest_golden_rows), "part 'golden.jsonl'",
                     "add tasks that stand for the traffic"};
    for (std::size_t v = 0; v < seen.size(); ++v)
        if (seen[v] == 0 && reachable(b->state(), static_cast<verdict>(v)))
            return error{error_kind::bundle, "bundle.golden_rows",
                         fmt::format("no golden row ends in '{}'", name(static_cast<verdict>(v))), "part 'golden.jsonl'",
                         "add a task that does, so that every way out of a decision is proven"};
    return out;
}

OPSPILOT_INLINE result<std::size_t> check_golden(const std::shared_ptr<const bundle>& b, std::string_view lines) {
    std::size_t count = 0;
    OPSPILOT_CHECK(for_each_golden(b, lines, [&](const json& document, const decision& d) -> status {
        ++count;
        const auto expected = document.find("expect");
        if (expected == document.end())
            return error{error_kind::bundle, "bundle.golden_rows", "a golden row without an answer", "",
                         "build the bundle with Bundle.build"};
        const json answer = golden_answer(d);
        if (answer == *expected) return {};
        for (const auto& [key, value] : answer.items())
            if (!expected->contains(key) || (*expected)[key] != value)
                return error{error_kind::bundle, "bundle.golden_mismatch",
                             fmt::format("'{}' is {} here and was {} where the bundle was built", key, value.dump(),
                                         expected->contains(key) ? (*expected)[key].dump() : "absent"),
                             "/expect", "do not use this bundle on this machine; report the difference"};
        return error{error_kind::bundle, "bundle.golden_mismatch", "the answer has other keys than the library gives", "/expect",
                     "build the bundle again"};
    }));
    if (count < fewest_golden_rows)
        return error{error_kind::bundle, "bundle.golden_rows",
                     fmt::format("{} golden rows; at least {} are needed", count, fewest_golden_rows), "part 'golden.jsonl'",
                     "build the bundle with Bundle.build"};
    return count;
}

}  // namespace opspilot::detail
