#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/policy/detail/policy_state.hpp"

namespace opspilot::detail {

/// The schema with every field optional, so that a test needs to name only the fields it is about.
inline result<schema> relaxed(const schema& s) {
    json document = json::parse(s.to_json());
    for (const char* r : {"task", "action", "candidate"}) {
        const auto fields = document.find(r);
        if (fields == document.end()) continue;
        for (json& f : *fields)
            if (r != std::string_view("action") || f["name"] != "id") f["optional"] = true;  // an action always has its id
    }
    return schema::parse(document.dump());
}

/// The tables of one test, reused for the next.
class test_bench {
public:
    test_bench(const schema& s, const dictionary& strings) : schema_(s), strings_(strings) {
        task_.reset(s, role::task);
        actions_.reset(s, role::action);
        pairs_.reset(s, role::candidate);
    }

    /// A frame of the test's task and its one candidate.
    result<frame> frame_of(const policy_test& t) {
        task_.clear();
        actions_.clear();
        pairs_.clear();
        strings_.reset();
        OPSPILOT_CHECK(task_.read_json(json::array({t.task}).dump(), strings_, t.now_us));
        const bool paired = !schema_.fields(role::candidate).empty();
        json candidate = t.candidate;
        if (!candidate.contains("id")) candidate["id"] = "";
        OPSPILOT_CHECK(read_candidates_json(json::array({std::move(candidate)}).dump(),
                                            {&actions_, paired ? &pairs_ : nullptr, nullptr}, strings_, t.now_us, reader_));
        frame f;
        f.task = &task_;
        f.actions = &actions_;
        f.action_rows = rows_;
        f.pairs = paired ? &pairs_ : nullptr;
        f.strings = &strings_;
        f.now_us = t.now_us;
        return f;
    }

private:
    const schema& schema_;
    interner strings_;
    table task_, actions_, pairs_;
    json_reader reader_;
    std::array<std::uint32_t, 1> rows_{0};
};

/// What differs from what the test expects; "" when nothing does.
inline std::string difference(const policy_test& t, const policy_set& set, const policy_outcome& out) {
    std::vector<std::string_view> acted, all;
    for (const rule_hit& hit : out.hits) acted.push_back(set.rule(hit.rule).id);
    for (std::uint32_t r = 0; r < set.rules(); ++r) all.push_back(set.rule(r).id);
    std::string wrong;
    const auto differs = [&](std::string message) { wrong += (wrong.empty() ? "" : "; ") + std::move(message); };
    if (t.verdict && *t.verdict != out.cap[0])
        differs(fmt::format("expected verdict {}, got {}", name(*t.verdict), name(out.cap[0])));
    if (t.allowed && *t.allowed != (out.allowed[0] != 0))
        differs(fmt::format("expected the candidate to be {}", *t.allowed ? "allowed" : "forbidden"));
    if (t.boost && std::abs(*t.boost - out.boost[0]) > 1e-9)
        differs(fmt::format("expected a boost of {}, got {}", *t.boost, out.boost[0]));
    if (t.threshold && *t.threshold != out.threshold[0])
        differs(fmt::format("expected a threshold of {}, got {}", *t.threshold, out.threshold[0]));
    if (t.queue) {
        const std::string_view queue = out.queue[0] == 0 ? std::string_view{} : set.rule(out.queue[0] - 1).queue;
        if (queue != *t.queue) differs(fmt::format("expected queue {}, got '{}'", quote(*t.queue), queue));
    }
    if (t.rule && std::find(acted.begin(), acted.end(), *t.rule) == acted.end()) {
        if (std::find(all.begin(), all.end(), *t.rule) == all.end()) {
            const std::string hint = did_you_mean(*t.rule, all);
            differs(fmt::format("no rule is called {}{}{}", quote(*t.rule), hint.empty() ? "" : "; ", hint));
        } else {
            differs(fmt::format("rule '{}' did not act", *t.rule));
        }
    }
    if (!wrong.empty())
        wrong += acted.empty() ? std::string("; no rule acted") : fmt::format("; rules that acted: {}", fmt::join(acted, ", "));
    return wrong;
}

OPSPILOT_INLINE void run_policy_tests(const policy_set::impl& set, std::vector<policy_set::test_result>& results,
                                      std::vector<std::uint32_t>& coverage) {
    coverage.assign(set.rules.size(), 0);
    if (set.tests.empty()) return;
    const auto add = [&](const policy_test& t, std::string message) {
        results.push_back({set.documents[t.document].name, t.index, message.empty(), std::move(message)});
    };
    const auto fail_all = [&](const error& why) {
        for (const policy_test& t : set.tests) add(t, why.text());
    };
    // The same documents over the relaxed schema and a dictionary of their own.
    const auto fields = relaxed(set.fields);
    if (!fields) return fail_all(fields.error());
    dictionary strings;
    std::vector<policy_set::document> documents;
    for (const policy_document& d : set.documents) documents.push_back({d.name, d.text});
    const auto compiled = policy_set::compile(documents, *fields, strings, nullptr, policy_review::rules, set.tables);
    if (!compiled) return fail_all(compiled.error());
    test_bench bench(*fields, strings);
    policy_workspace scratch;
    policy_outcome out;
    for (const policy_test& t : set.tests) {
        const auto f = bench.frame_of(t);
        if (!f) {
            add(t, f.error().text());
            continue;
        }
        compiled->evaluate(*f, scratch, out);
        for (const rule_hit& hit : out.hits)
            if (!hit.failed) ++coverage[hit.rule];
        std::string wrong = difference(t, *compiled, out);
        if (const std::string_view broken = compiled->violated_invariant(*f, 0, out.cap[0], scratch); !broken.empty())
            wrong += fmt::format("{}the rules leave {}, which invariant '{}' excludes", wrong.empty() ? "" : "; ",
                                 name(out.cap[0]), broken);
        add(t, std::move(wrong));
    }
}

}  // namespace opspilot::detail
