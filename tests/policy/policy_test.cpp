// Documents: effects, layers, errors that narrow, invariants, tests inside documents, findings with their places.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "desk.hpp"

using namespace desk_of_policies;

TEST_CASE("every effect does what it says") {
    desk d;
    REQUIRE(d.load({document("business", {rule("f", "action.id == 'close'", "forbid"),
                                          rule("r", "action.kind == 'refund' && task.amount > 50.0", "require_approval"),
                                          rule("b", "action.kind == 'refund'", "boost", R"(, "by": 0.25)"),
                                          rule("p", "action.id == 'refund'", "penalise", R"(, "by": 0.5)"),
                                          rule("q", "action.id == 'refund'", "route", R"(, "queue": "money")")})}));
    d.decide(plain_task, two);
    CHECK(d.out.allowed == std::vector<std::uint8_t>{0, 1});
    CHECK(d.out.cap[0] == verdict::abstain);
    CHECK(d.out.cap[1] == verdict::require_approval);
    CHECK(d.out.boost == std::vector<double>{0.0, -0.25});
    CHECK(d.out.queue == std::vector<std::uint32_t>{0, 5});
    CHECK(d.policy.rule(4).queue == "money");
    REQUIRE(d.out.hits.size() == 5);
    CHECK(d.out.hits[0].rule == 0);
    CHECK(d.out.hits[0].candidate == 0);

    REQUIRE(d.load(
        {document("business", {rule("a", "action.kind in ['refund', 'note']", "allow_only"),
                               rule("s", "task.intent == 'refund'", "suggest_only"), rule("p", "action.risk > 0.1", "pin")})}));
    d.decide(plain_task, two);
    CHECK(d.out.allowed == std::vector<std::uint8_t>{0, 1});
    CHECK(d.out.cap[1] == verdict::suggest);
    CHECK(d.out.boost[1] == pin_boost);
    CHECK(d.out.boost[0] == 0.0);  // no risk given: the condition fails, and pin does nothing then
}

TEST_CASE("layers: compliance first, lower ones only narrow, an escalation keeps its queue") {
    desk d;
    const std::string business =
        document("business", {rule("b1", "task.intent == 'fraud'", "escalate", R"(, "queue": "sales")"),
                              rule("b2", "task.intent == 'fraud' && action.kind == 'close'", "boost", R"(, "by": 5)"),
                              rule("b3", "action.risk > 1.0", "suggest_only", R"(, "on_error": "abstain")")});
    const std::string compliance =
        document("compliance", {rule("c1", "task.intent == 'fraud'", "escalate", R"(, "queue": "trust", "locked": true)")});
    REQUIRE(d.load({business, compliance}));
    CHECK(d.policy.rule(0).id == "c1");  // whatever the order of the documents
    CHECK(d.policy.rule(0).layer == "compliance");
    CHECK(d.policy.rule(0).locked);
    d.decide(R"({"intent": "fraud", "amount": 1, "paid": true})", two);
    CHECK(d.out.cap[0] == verdict::escalate);  // abstain of b3 does not take its place
    CHECK(d.policy.rule(d.out.queue[0] - 1).queue == "trust");
    CHECK(d.out.boost[0] == 5.0);

    // A locked id cannot be taken again.
    CHECK_FALSE(d.load({document("business", {rule("c1", "action.kind == 'x'", "boost", R"(, "by": 1)")}), compliance}));
    CHECK(d.problem == "policy 'c1' line 1 column 56: rule 'c1' is locked by the compliance layer; choose another id");
}

TEST_CASE("an escalation's queue takes the place of a route's only within the layer") {
    desk d;
    const auto queue = [&](const std::vector<std::string>& documents) {
        REQUIRE(d.load(documents));
        d.decide(plain_task, two);
        return std::string(d.policy.rule(d.out.queue[0] - 1).queue);
    };
    const std::string route = rule("r", "task.paid", "route", R"(, "queue": "one")");
    const std::string escalate = rule("e", "task.paid", "escalate", R"(, "queue": "two")");
    CHECK(queue({document("business", {route, escalate})}) == "two");
    CHECK(queue({document("business", {escalate, route})}) == "two");
    CHECK(queue({document("compliance", {route}), document("business", {escalate})}) == "one");
}

TEST_CASE("a condition that fails narrows, never widens") {
    // task.region is missing: reading it is an error of the condition.
    struct row {
        std::string effect, more;
        bool allowed;
        verdict cap;
        double boost;
    };
    const std::vector<row> table{
        {"forbid", "", false, verdict::abstain, 0},
        {"allow_only", "", false, verdict::abstain, 0},
        {"require_approval", "", true, verdict::require_approval, 0},
        {"escalate", R"(, "queue": "q")", true, verdict::escalate, 0},
        {"suggest_only", "", true, verdict::suggest, 0},
        {"boost", R"(, "by": 1)", true, verdict::auto_execute, 0},
        {"penalise", R"(, "by": 1)", true, verdict::auto_execute, 0},
        {"pin", "", true, verdict::auto_execute, 0},
        {"route", R"(, "queue": "q")", true, verdict::auto_execute, 0},
        {"boost", R"(, "by": 1, "on_error": "skip")", true, verdict::auto_execute, 0},
        {"boost", R"(, "by": 1, "on_error": "abstain")", true, verdict::abstain, 0},
        {"require_approval", R"(, "on_error": "abstain")", true, verdict::abstain, 0},
        {"escalate", R"(, "queue": "q", "on_error": "abstain")", true, verdict::abstain, 0},
    };
    for (const row& r : table) {
        for (const std::string when :
             {"task.region == action.kind", "task.region == 'eu'", "action.region == 'eu' && task.paid"}) {
            desk d;
            INFO(r.effect << r.more << " when " << when);
            REQUIRE(d.load({document("compliance", {rule("x", when, r.effect, r.more)})}));
            d.decide(plain_task, two);
            CHECK((d.out.allowed[0] != 0) == r.allowed);
            CHECK(d.out.cap[0] == r.cap);
            CHECK(d.out.boost[0] == r.boost);
            REQUIRE(d.out.hits.size() == 2);
            CHECK(d.out.hits[0].failed);
            const bool queued = r.effect == "escalate" && r.cap == verdict::escalate;
            CHECK(d.out.queue[0] == (queued ? 1U : 0U));
        }
    }
    for (const std::string effect : {"forbid", "allow_only", "require_approval", "escalate", "suggest_only"}) {
        desk d;
        CHECK_FALSE(d.load({document("business", {rule("x", "action.kind == 'a'", effect, R"(, "on_error": "skip")")})}));
        CHECK(d.problem.find(fmt::format("an error in a '{}' rule cannot be skipped", effect)) != std::string::npos);
    }
}

TEST_CASE("missing is not an error where it is tested, and a default is a value") {
    desk d;
    REQUIRE(d.load({document("business", {rule("g", "has(task.region) && task.region == 'eu'", "forbid"),
                                          rule("n", "!has(task.region) && task.priority == 3", "suggest_only"),
                                          rule("o", "has(action.risk) && action.risk > 0.4", "require_approval")})}));
    d.decide(plain_task, two);
    CHECK(d.out.allowed[0] == 1);
    CHECK(d.out.cap[0] == verdict::suggest);
    for (const rule_hit& hit : d.out.hits) CHECK_FALSE(hit.failed);
    CHECK(d.out.hits.size() == 3);
}

TEST_CASE("texts and lists by code, time, unseen texts of one decision") {
    desk d;
    REQUIRE(
        d.load({document("business", {rule("l", "action.kind in task.tags", "forbid"),
                                      rule("e", "task.tags.exists(t, t.startsWith('vip'))", "suggest_only"),
                                      rule("t", "now - task.created > duration('1h') && action.kind != 'x'", "require_approval"),
                                      rule("u", "task.region == action.region", "penalise", R"(, "by": 1)")})}));
    d.decide(R"({"intent": "other", "amount": 1, "paid": true, "tags": ["close", "vip-7"], "created": 0, "region": "mars"})",
             R"([{"id": "1", "kind": "close", "region": "mars"}, {"id": "2", "kind": "wait", "region": "venus"}])",
             3'600'000'001);
    CHECK(d.out.allowed == std::vector<std::uint8_t>{0, 1});
    CHECK(d.out.cap[1] == verdict::suggest);
    CHECK(d.out.boost == std::vector<double>{-1.0, 0.0});
    d.decide(R"({"intent": "other", "amount": 1, "paid": true, "tags": [], "created": 0, "region": "mars"})",
             R"([{"id": "1", "kind": "close", "region": "mars"}])", 3'600'000'000);
    CHECK(d.out.cap[0] == verdict::auto_execute);
}

TEST_CASE("invariants hold whatever was decided") {
    desk d;
    const std::string more = R"(, "invariants": [
        {"id": "never-auto-fraud", "when": "task.intent == 'fraud'", "never": "auto_execute"},
        {"id": "region", "when": "task.region == 'eu'", "never": "require_approval"}])";
    REQUIRE(d.load({document("compliance", {}, more)}));
    d.decide(R"({"intent": "fraud", "amount": 1, "paid": true, "region": "us"})", two);
    CHECK(d.policy.violated_invariant(d.f, 0, verdict::auto_execute, d.scratch) == "never-auto-fraud");
    CHECK(d.policy.violated_invariant(d.f, 0, verdict::require_approval, d.scratch).empty());
    d.decide(plain_task, two);  // no region: the condition fails, so the invariant holds
    CHECK(d.policy.violated_invariant(d.f, 1, verdict::require_approval, d.scratch) == "region");
    CHECK(d.policy.violated_invariant(d.f, 1, verdict::suggest, d.scratch).empty());
}

TEST_CASE("tests inside documents: run, explained when they fail, counted by rule") {
    desk d;
    const std::string tests = R"(, "invariants": [{"id": "inv", "when": "task.intent == 'legal'", "never": "auto_execute"}],
      "tests": [
        {"task": {"intent": "fraud"}, "candidate": {"id": "close"}, "expect": {"verdict": "escalate", "rule": "fraud", "queue": "trust"}},
        {"task": {"intent": "refund", "amount": 20.0}, "candidate": {"kind": "refund"}, "expect": {"verdict": "auto_execute"}},
        {"task": {"intent": "refund"}, "candidate": {"kind": "refund"}, "expect": {"verdict": "auto_execute"}},
        {"task": {"intent": "refund"}, "expect": {"rule": "frau"}},
        {"task": {"intent": "legal", "amount": 1.0}, "expect": {"verdict": "auto_execute"}},
        {"task": {"intnet": "legal"}, "expect": {"allowed": false}}])";
    REQUIRE(d.load({document("client",
                             {rule("fraud", "task.intent == 'fraud'", "escalate", R"(, "queue": "trust")"),
                              rule("cap", "task.amount > 50.0", "require_approval")},
                             tests)}));
    const auto results = d.policy.run_tests();
    REQUIRE(results.size() == 6);
    CHECK(results[0].passed);
    CHECK(results[1].passed);
    CHECK(results[2].message == "expected verdict auto_execute, got require_approval; rules that acted: cap");
    CHECK(results[3].message == "no rule is called 'frau'; did you mean 'fraud'?; rules that acted: cap");
    CHECK(results[4].message == "the rules leave auto_execute, which invariant 'inv' excludes");
    CHECK(results[5].message == "/0/intnet: unknown field 'intnet' on task; did you mean 'intent'?");
    CHECK(results[5].document == "p0.json");
    CHECK(results[5].index == 5);
    CHECK(d.policy.coverage() == std::vector<std::uint32_t>{1, 0});
}

TEST_CASE("nothing is allocated twice: a warm workspace keeps its memory and gives the same answer") {
    desk d;
    REQUIRE(d.load({document("business", {rule("a", "action.kind + '-' + task.intent == 'close-refund'", "forbid"),
                                          rule("b", "[1, 2, 3].exists(x, double(x) > task.amount)", "suggest_only")})}));
    d.decide(plain_task, two);
    const policy_outcome first = d.out;
    const auto* caps = d.out.cap.data();
    for (int i = 0; i < 3; ++i) {
        d.policy.evaluate(d.f, d.scratch, d.out);
        CHECK(d.out.cap == first.cap);
        CHECK(d.out.allowed == first.allowed);
        CHECK(d.out.cap.data() == caps);
    }
    CHECK(d.out.allowed == std::vector<std::uint8_t>{0, 1});
    d.rows.clear();
    d.f.action_rows = d.rows;
    d.policy.evaluate(d.f, d.scratch, d.out);
    CHECK(d.out.cap.empty());
}

TEST_CASE("identity follows the text") {
    desk d;
    REQUIRE(d.load({document("business", {rule("a", "task.paid", "suggest_only")})}));
    const std::string one = d.policy.fingerprint();
    REQUIRE(d.load({document("business", {rule("a", "!task.paid", "suggest_only")})}));
    CHECK(one.size() == 64);
    CHECK(d.policy.fingerprint() != one);
    REQUIRE(d.load({}));
    CHECK(d.policy.rules() == 0);
    d.decide(plain_task, two);
    CHECK(d.out.cap == std::vector<verdict>{verdict::auto_execute, verdict::auto_execute});
    CHECK(policy_set{}.rules() == 0);
}
