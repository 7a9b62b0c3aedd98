// The column evaluator against the scalar machine: the same rules over the same candidates must do the same to all of them,
// whatever the kernel, with a prepared catalogue or without, for rows in order and for rows picked out.
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "made_conditions.hpp"
#include "opspilot/policy/detail/columns/limits.hpp"
#include "opspilot/policy/detail/columns/planes.hpp"
#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;
using namespace made;

namespace {

std::string document_of(const std::vector<std::string>& conditions) {
    const std::vector<std::string> effects{R"("effect": "forbid")", R"("effect": "allow_only")",
                                           R"("effect": "boost", "by": 0.1)", R"("effect": "escalate", "queue": "q")",
                                           R"("effect": "require_approval", "on_error": "abstain")"};
    std::string rules;
    for (std::size_t i = 0; i < conditions.size(); ++i)
        rules += fmt::format(R"({}{{"id": "r{}", "when": "{}", {}, "because": "test"}})", i == 0 ? "" : ",", i, conditions[i],
                             effects[i % effects.size()]);
    return fmt::format(R"({{"layer": "business", "version": "1", "rules": [{}]}})", rules);
}

/// What was done, as text that can be compared.
std::string story(const policy_outcome& out) {
    std::string told;
    for (std::size_t i = 0; i < out.cap.size(); ++i)
        told += fmt::format("{}/{}/{}/{} ", static_cast<int>(out.cap[i]), out.allowed[i], out.boost[i], out.queue[i]);
    std::vector<std::string> hits(out.cap.size());  // per candidate, in the order in which they stand
    for (const rule_hit& hit : out.hits) hits[hit.candidate] += fmt::format("{}{},", hit.rule, hit.failed ? "!" : "");
    told += fmt::format("{}", fmt::join(hits, " "));
    return told;
}

}  // namespace

TEST_CASE("every engine does what the scalar machine does") {
    const bool looks_up = GENERATE(false, true);
    const lookup_tables lookups = looks_up ? tables() : lookup_tables{};
    expressions make(20260101, looks_up);
    std::size_t rules = 0, failed = 0, matched = 0;
    for (int round = 0; round < 18; ++round) {
        floor_of floor;
        floor.random.seed(static_cast<std::uint64_t>(round));
        std::vector<std::string> conditions;
        for (int r = 0; r < 40; ++r) conditions.push_back(make.truth(r % 4));
        // Conditions that the checker refuses (two constants that cannot be compared) are left out.
        std::vector<std::string> sound;
        for (const std::string& c : conditions) {
            dictionary strings;
            const std::string text = document_of({c});
            const policy_set::document d{"p", text};
            if (policy_set::compile({&d, 1}, floor.fields, strings, nullptr, policy_review::rules, lookups)) sound.push_back(c);
        }
        REQUIRE(sound.size() >= 20);
        rules += sound.size();
        const std::string text = document_of(sound);
        const policy_set::document d{"p", text};
        const auto policy = policy_set::compile({&d, 1}, floor.fields, floor.frozen, nullptr, policy_review::rules, lookups);
        REQUIRE(policy.ok());

        const std::size_t size =
            std::vector<std::size_t>{1, 63, 64, 65, 200, 2000, 2048, 2049, 4500}[static_cast<std::size_t>(round) % 9];
        interner growing = interner::growing(floor.frozen);
        floor.fill(floor.catalogue, role::action, size, growing, round % 3 == 0 ? 0 : 20);
        interner strings(floor.frozen);
        floor.fill(floor.task, role::task, 1, strings, 20);
        floor.fill(floor.pairs, role::candidate, size + 3, strings, 20);
        const policy_catalogue ready = policy->prepare(floor.catalogue, strings);

        std::vector<std::uint32_t> in_order(size), picked(size);
        for (std::uint32_t i = 0; i < size; ++i) in_order[i] = i;
        for (std::uint32_t& row : picked)
            row = std::uniform_int_distribution<std::uint32_t>(0, static_cast<std::uint32_t>(size) - 1)(floor.random);
        std::vector<std::uint32_t> later(in_order.begin() + static_cast<std::ptrdiff_t>(size / 3), in_order.end());
        for (const auto& rows : {in_order, picked, later}) {
            frame f;
            f.task = &floor.task;
            f.actions = &floor.catalogue;
            f.action_rows = rows;
            f.pairs = &floor.pairs;
            f.pair_begin = 3;
            f.strings = &strings;
            f.now_us = 3'600'000'000;
            policy_workspace scratch;
            policy_outcome out;
            REQUIRE(scratch.use("machine").ok());
            policy->evaluate(f, scratch, out);
            const std::string wanted = story(out);
            for (const rule_hit& hit : out.hits) ++(hit.failed ? failed : matched);
            for (const char* engine : {"scalar", "sse4", "avx2", "avx512"}) {
                if (!scratch.use(engine)) continue;
                for (const policy_catalogue* given : {&ready, static_cast<const policy_catalogue*>(nullptr)}) {
                    policy->evaluate(f, scratch, out, given);
                    INFO(engine << (given == nullptr ? "" : ", prepared") << ", round " << round << ", " << text);
                    REQUIRE(story(out) == wanted);
                }
            }
        }
    }
    CHECK(rules > 450);
    CHECK(failed > 10'000);
    CHECK(matched > 10'000);
}

TEST_CASE("conditions of the common shapes leave nothing to the scalar machine candidate by candidate") {
    const schema fields = schema::parse(schema_text).value();
    dictionary strings;
    const std::string text =
        document_of({"task.tier == 'a' && action.risk > 0.5 && !(action.kind in ['a', 'bb'])",
                     "task.amount < 3.0 || action.manual", "action.region.startsWith('a') && task.priority >= 2",
                     "action.kind.matches('^a+b$')", "has(action.region) && action.region == task.tier && action.level > 2",
                     "action.kind in task.tags && candidate.age < 10", "action.risk * 2.0 + task.amount * 0.5 > 4.0",
                     "now >= action.since || candidate.score != 1.5", "task.amount > lookup('caps', action.kind)",
                     "lookup('risky', action.kind)", "lookup('teams', candidate.note) == task.tier"});
    const policy_set::document d{"p", text};
    const auto policy = policy_set::compile({&d, 1}, fields, strings, nullptr, policy_review::rules, tables());
    REQUIRE(policy.ok());
    const cel::detail::graph& g = policy->state->columns;
    for (const cel::detail::graph_part& part : g.parts) CHECK(part.kind != cel::detail::part_kind::each);
    CHECK(g.prepared.size() >= 10);
    const auto cap = std::find_if(g.parts.begin(), g.parts.end(), [](const cel::detail::graph_part& part) {
        return part.kind == cel::detail::part_kind::looked_up;
    });
    REQUIRE(cap != g.parts.end());
    CHECK(cap->by_text);
    CHECK(std::find(g.prepared.begin(), g.prepared.end(), static_cast<std::uint32_t>(cap - g.parts.begin())) != g.prepared.end());
}

TEST_CASE("a matrix of bits is transposed") {
    std::mt19937_64 random(5);
    std::vector<std::uint64_t> words(64);
    for (std::uint64_t& w : words) w = random();
    std::vector<std::uint64_t> turned = words;
    cel::detail::transpose_64(turned.data());
    for (unsigned r = 0; r < 64; ++r)
        for (unsigned c = 0; c < 64; ++c) REQUIRE((turned[c] >> r & 1) == (words[r] >> c & 1));
}

TEST_CASE("the engine that a workspace uses is one of this machine") {
    policy_workspace scratch;
    CHECK(scratch.use("").ok());
    CHECK(scratch.use("machine").ok());
    CHECK(scratch.use("scalar").ok());
    const status refused = scratch.use("abacus");
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == "usage.unknown_engine");
}
