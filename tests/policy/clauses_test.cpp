// Why a rule acted: the clauses that decided, what they saw, and the smallest change that would keep it from acting.
#include "opspilot/policy/clauses.hpp"

#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "desk.hpp"

using namespace desk_of_policies;

namespace {

/// "clause=yes{field: value}" for each that decided.
std::string story(const rule_explanation& e) {
    static constexpr std::array<const char*, 3> outcomes{"no", "yes", "failed"};
    std::string out;
    for (const policy_clause& c : e.clauses) {
        out += fmt::format("{}{}={}", out.empty() ? "" : "; ", c.text, outcomes[static_cast<std::size_t>(c.gives)]);
        for (const policy_clause::seen& s : c.values) out += fmt::format(" {}: {}", s.field, s.value);
    }
    return out;
}

struct explained : desk {
    rule_explanation why(const std::string& when, const std::string& given, const std::string& effect = "forbid") {
        REQUIRE(load({document("business", {rule("r", when, effect)})}));
        decide(given, R"([{"id": "refund", "kind": "refund", "risk": 0.5}])");
        return explain_rule(policy, 0, f, 0, scratch);
    }
};

}  // namespace

TEST_CASE("the clauses that decided, with what they saw") {
    explained d;
    CHECK(story(d.why("action.kind == 'refund' && task.amount > 50.0", plain_task)) ==
          "action.kind == 'refund'=yes action.kind: \"refund\"; task.amount > 50.0=yes task.amount: 100");
    CHECK(story(d.why("action.kind == 'refund' && task.amount > 500.0 && task.paid", plain_task)) ==
          "task.amount > 500.0=no task.amount: 100");
    CHECK(story(d.why("task.intent == 'fraud' || task.amount > 50.0 || !task.paid", plain_task)) ==
          "task.amount > 50.0=yes task.amount: 100");
    CHECK(story(d.why("!(task.intent in ['fraud', 'legal'])", plain_task)) ==
          "task.intent in ['fraud', 'legal']=no task.intent: \"refund\"");
    CHECK(story(d.why("task.paid ? action.risk > 0.1 : task.amount > 1.0", plain_task)) ==
          "task.paid=yes task.paid: true; action.risk > 0.1=yes action.risk: 0.5");
    const rule_explanation failed = d.why("task.paid && task.region == 'eu'", plain_task);
    CHECK(story(failed) == "task.region == 'eu'=failed task.region: (missing)");
    CHECK(failed.clauses[0].problem == "the field is missing: 'region'");
    CHECK(failed.clauses[0].offset == 13);
    CHECK(failed.clauses[0].length == 19);
    CHECK(story(d.why("task.created > timestamp('2026-01-01T00:00:00Z')",
                      R"({"intent": "refund", "amount": 1, "paid": true, "created": "2026-03-07T12:00:00.5Z"})")) ==
          "task.created > timestamp('2026-01-01T00:00:00Z')=yes task.created: \"2026-03-07T12:00:00.5Z\"");
}

TEST_CASE("the smallest change that keeps a rule from acting") {
    explained d;
    using texts = std::vector<std::string>;
    CHECK(d.why("action.kind == 'refund' && task.amount > 50.0", plain_task).change == texts{"action.kind != 'refund'"});
    CHECK(d.why("task.amount > 50.0 || task.paid", plain_task).change == texts{"task.amount <= 50.0", "!task.paid"});
    CHECK(d.why("(task.amount > 50.0 || task.paid) && action.risk >= 0.5", plain_task).change == texts{"action.risk < 0.5"});
    CHECK(d.why("!has(task.region)", plain_task).change == texts{"has(task.region)"});
    CHECK(d.why("task.region == 'eu'", plain_task).change == texts{"has(task.region)", "task.region != 'eu'"});
    CHECK(d.why("task.intent in ['refund', 'legal']", plain_task).change == texts{"!(task.intent in ['refund', 'legal'])"});
    CHECK(d.why("action.kind in ['note'] && task.paid", plain_task, "allow_only").change == texts{"action.kind in ['note']"});
    CHECK(d.why("(task.paid ? 2.0 : 1.0) > action.risk", plain_task).change == texts{"(task.paid ? 2.0 : 1.0) <= action.risk"});
    CHECK(d.why("(task.amount > 1.0) == task.paid", plain_task).change == texts{"(task.amount > 1.0) != task.paid"});
    CHECK(d.why("task.intent == 'legal'", plain_task).change.empty());  // it does not act
}

TEST_CASE("personal and redacted values are not shown") {
    desk d;
    d.fields =
        schema::parse(
            R"({"task": [{"name": "name", "type": "string", "pii": "personal"}, {"name": "health", "type": "string", "pii": "sensitive"},
        {"name": "amount", "type": "double"}], "action": []})")
            .value();
    REQUIRE(d.load({document("business", {rule("r", "task.name == 'x' || task.health == 'y' || task.amount > 1.0", "forbid")})}));
    d.decide(R"({"name": "Ann", "health": "well", "amount": 0})", R"([{"id": "a"}])");
    const schema::path amount{role::task, *d.fields.find(role::task, "amount")};
    CHECK(story(explain_rule(d.policy, 0, d.f, 0, d.scratch, {&amount, 1})) ==
          "task.name == 'x'=no task.name: (personal); task.health == 'y'=no task.health: (sensitive); task.amount > 1.0=no "
          "task.amount: (redacted)");
    CHECK(explain_rule(d.policy, 7, d.f, 0, d.scratch).clauses.empty());
}

TEST_CASE("random conditions: their clauses are part of them, and a chain of any length is bounded") {
    explained d;
    std::mt19937 random(7);
    const std::vector<std::string> leaves{"task.paid",           "task.amount > 50.0",      "task.amount < 50.0",
                                          "task.region == 'eu'", "action.kind == 'refund'", "candidate.age > 3",
                                          "has(action.region)"};
    const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto condition = [&](const auto& self, int depth) -> std::string {
        if (depth == 0 || pick(4) == 0) return leaves[pick(leaves.size())];
        switch (pick(4)) {
            case 0: return fmt::format("!({})", self(self, depth - 1));
            case 1: return fmt::format("({} && {})", self(self, depth - 1), self(self, depth - 1));
            case 2: return fmt::format("({} || {})", self(self, depth - 1), self(self, depth - 1));
            default: return fmt::format("({} ? {} : {})", self(self, depth - 1), self(self, depth - 1), self(self, depth - 1));
        }
    };
    for (int i = 0; i < 300; ++i) {
        const std::string when = condition(condition, 4);
        INFO(when);
        const rule_explanation e = d.why(when, plain_task);
        const bool acts = !d.out.hits.empty();
        CHECK(e.change.empty() != acts);
        REQUIRE_FALSE(e.clauses.empty());
        for (const policy_clause& c : e.clauses) {
            CHECK(when.substr(c.offset, c.length) == c.text);
            CHECK((c.gives == policy_clause::outcome::failed) == !c.problem.empty());
        }
    }
    std::string chain = "task.paid";
    while (chain.size() < 9'000) chain += " && task.paid";
    CHECK(d.why(chain, plain_task).clauses.size() > 100);
}
