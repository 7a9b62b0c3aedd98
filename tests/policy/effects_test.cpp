// Effects beyond the verdict: thresholds, redaction, kill, limits over time, diversity, times of validity, the mandatory layer.
#include <fmt/format.h>

#include <atomic>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "desk.hpp"
#include "opspilot/policy/limits.hpp"

using namespace desk_of_policies;

namespace {

constexpr std::int64_t second = 1'000'000;

std::vector<std::string> ids(const policy_set& policy, const std::vector<std::uint32_t>& rules) {
    std::vector<std::string> out;
    for (const std::uint32_t r : rules) out.emplace_back(policy.rule(r).id);
    return out;
}

/// Groups hits as `policy_set::diversify` wants them, and gives candidates in the order that comes out.
std::vector<std::uint32_t> diversified(desk& d, std::vector<rule_hit>* marked = nullptr) {
    const std::size_t n = d.out.cap.size();
    std::vector<std::uint32_t> starts(n + 1), order(n);
    std::iota(order.begin(), order.end(), 0U);
    std::vector<rule_hit> hits = d.out.hits;
    std::sort(hits.begin(), hits.end(), [](const rule_hit& a, const rule_hit& b) {
        return a.candidate != b.candidate ? a.candidate < b.candidate : a.rule < b.rule;
    });
    for (const rule_hit& h : hits) ++starts[h.candidate + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    d.policy.diversify(d.f, order, hits, starts, d.scratch);
    if (marked != nullptr) *marked = hits;
    return order;
}

}  // namespace

TEST_CASE("thresholds: the largest counts, and an error asks for it too") {
    desk d;
    REQUIRE(d.load({document("business", {rule("a", "action.kind == 'refund'", "set_threshold", R"(, "value": 0.95)"),
                                          rule("b", "task.paid", "set_threshold", R"(, "value": 0.9)"),
                                          rule("c", "task.region == 'eu'", "set_threshold", R"(, "value": 0.99)")})}));
    d.decide(R"({"intent": "refund", "amount": 100, "paid": true, "region": "us"})", two);
    CHECK(d.out.threshold == std::vector<double>{0.9, 0.95});
    d.decide(plain_task, two);  // no region: the condition fails
    CHECK(d.out.threshold == std::vector<double>{0.99, 0.99});
    CHECK(d.out.cap[0] == verdict::auto_execute);  // by itself it caps nothing
    REQUIRE(d.scratch.use("machine").ok());
    d.decide(plain_task, two);
    CHECK(d.out.threshold == std::vector<double>{0.99, 0.99});
}

TEST_CASE("tests inside documents expect thresholds") {
    desk d;
    const auto message = [&](const std::string& expected) {
        REQUIRE(d.load(
            {document("business", {rule("a", "task.paid", "set_threshold", R"(, "value": 0.95)")},
                      fmt::format(R"(, "tests": [{{"task": {{"paid": true}}, "expect": {{"threshold": {}}}}}])", expected))}));
        return d.policy.run_tests().at(0).message;
    };
    CHECK(message("0.95").empty());
    CHECK(message("0.9") == "expected a threshold of 0.9, got 0.95; rules that acted: a");
}

TEST_CASE("kill caps at suggest, with scope all at escalate") {
    desk d;
    REQUIRE(d.load({document("compliance", {rule("some", "action.kind == 'refund'", "kill"),
                                            rule("every", "task.amount > 1000.0", "kill", R"(, "scope": "all")")})}));
    d.decide(plain_task, two);
    CHECK(d.out.cap == std::vector<verdict>{verdict::auto_execute, verdict::suggest});
    d.decide(R"({"intent": "refund", "amount": 1001, "paid": true})", two);
    CHECK(d.out.cap == std::vector<verdict>{verdict::escalate, verdict::escalate});
}

TEST_CASE("redact names its field when it acts for any candidate, when it fails, and when nobody can know") {
    desk d;
    REQUIRE(d.load({document("compliance", {rule("amounts", "task.intent == 'legal'", "redact", R"(, "field": "task.amount")"),
                                            rule("regions", "action.kind == 'refund'", "redact", R"(, "field": "task.region")"),
                                            rule("tags", "task.region == 'eu'", "redact", R"(, "field": "task.tags")")})}));
    d.decide(plain_task, two);
    CHECK(ids(d.policy, d.out.redacted) == std::vector<std::string>{"regions", "tags"});
    CHECK(d.policy.rule(0).field.where == role::task);
    CHECK(d.policy.rule(0).field.index == *d.fields.find(role::task, "amount"));
    d.decide(R"({"intent": "legal", "amount": 100, "paid": true, "region": "us"})", R"([{"id": "close", "kind": "close"}])");
    CHECK(ids(d.policy, d.out.redacted) == std::vector<std::string>{"amounts"});
    // Without candidates nobody knows whether there would have been a refund.
    d.decide(R"({"intent": "legal", "amount": 100, "paid": true, "region": "us"})", "[]");
    CHECK(ids(d.policy, d.out.redacted) == std::vector<std::string>{"amounts", "regions"});
}

TEST_CASE("a rule acts from valid_from until before valid_until") {
    desk d;
    REQUIRE(d.load(
        {document("business", {rule("may", "task.paid", "forbid",
                                    R"(, "valid_from": "2026-05-01T00:00:00Z", "valid_until": "2026-06-01T00:00:00Z")")})}));
    const std::int64_t begin = parse_timestamp("2026-05-01T00:00:00Z").value(),
                       end = parse_timestamp("2026-06-01T00:00:00Z").value();
    for (const char* engine : {"", "machine"}) {
        REQUIRE(d.scratch.use(engine).ok());
        for (const auto& [now, acts] : {std::pair{begin - 1, false}, {begin, true}, {end - 1, true}, {end, false}}) {
            d.decide(plain_task, two, now);
            CHECK((d.out.allowed[0] == 0) == acts);
        }
    }
}

TEST_CASE("limits: so many tokens, filled evenly, by key; an exhausted one takes nothing from the others") {
    desk d;
    REQUIRE(d.load({document(
        "business", {rule("all", "true", "limit", R"(, "count": 4, "per": "4s")"),
                     rule("by", "action.kind == 'refund'", "limit", R"(, "key": "task.intent", "count": 2, "per": "1m")")})}));
    limit_counters counters;
    const auto take = [&](const std::string& intent, std::int64_t now) {
        d.decide(fmt::format(R"({{"intent": "{}", "amount": 1, "paid": true}})", intent), R"([{"id": "r", "kind": "refund"}])",
                 now);
        CHECK(d.out.cap[0] == verdict::auto_execute);  // counters are asked when it matters
        const std::uint32_t stopped = d.policy.throttled(d.f, d.out.hits, counters, d.scratch);
        return stopped == 0 ? std::string("taken") : std::string(d.policy.rule(stopped - 1).id);
    };
    CHECK(take("refund", 0) == "taken");
    CHECK(take("refund", 0) == "taken");
    CHECK(take("refund", 0) == "by");  // and "all" has its token back
    CHECK(take("other", 0) == "taken");
    CHECK(take("other", 0) == "taken");
    CHECK(take("fraud", 0) == "all");
    CHECK(take("fraud", second - 1) == "all");
    CHECK(take("fraud", second) == "taken");
    CHECK(take("refund", 29 * second) == "by");
    CHECK(take("refund", 30 * second) == "taken");  // one of two per minute
    // A clock that goes back gives nothing, and takes no longer than the span to fill again.
    CHECK(take("other", -1000 * second) == "all");
    CHECK(take("other", -996 * second) == "by");
    CHECK(take("other", -966 * second - 1) == "by");
    CHECK(take("other", -966 * second) == "taken");
}

TEST_CASE("a limit that cannot be evaluated or counted is exhausted") {
    desk d;
    REQUIRE(d.load(
        {document("business", {rule("when", "task.region == 'eu'", "limit", R"(, "key": "task.intent", "count": 9, "per": "1h")"),
                               rule("key", "true", "limit", R"(, "key": "task.region", "count": 9, "per": "1h")")})}));
    limit_counters counters;
    d.decide(plain_task, two);
    CHECK(d.out.cap[0] == verdict::suggest);
    CHECK(d.policy.rule(d.policy.throttled(d.f, std::span(d.out.hits).first(1), counters, d.scratch) - 1).id == "when");
    d.decide(R"({"intent": "refund", "amount": 1, "paid": true, "region": "us"})", R"([{"id": "r", "kind": "refund"}])");
    CHECK(d.out.cap[0] == verdict::auto_execute);
    CHECK(d.policy.throttled(d.f, d.out.hits, counters, d.scratch) == 0);
    d.policy.give_back(d.f, d.out.hits, counters, d.scratch);
    CHECK(counters.keys() == 1);
}

TEST_CASE("counters: bounded in memory, no token twice among threads, owners apart") {
    limit_counters small(64 * 16);
    int given = 0;
    for (std::uint64_t i = 0; i < 100'000; ++i) given += small.take(i * 0x9E3779B97F4A7C15ULL, 1, 3600 * second, 0) ? 1 : 0;
    CHECK(given >= 64 * 8);
    CHECK(given <= 64 * 16);
    CHECK(small.keys() <= 64 * 16);
    CHECK_FALSE(small.take(12345, 1, 3600 * second, 0));
    CHECK(small.take(12345, 1, 3600 * second, 3601 * second));  // the others are full again and forgotten

    limit_counters shared;
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 10'000; ++i)
                taken += shared.take(static_cast<std::uint64_t>(i % 7) + 1, 100, 3600 * second, 5) ? 1 : 0;
        });
    for (std::thread& t : threads) t.join();
    CHECK(taken == 700);

    // Never more than count at once, for counts that do not divide the span.
    for (const std::int64_t count : {3, 7, 999, 1'000'000}) {
        limit_counters one;
        std::int64_t all = 0;
        while (all <= count && one.take(1, count, second, 0)) ++all;
        CHECK(all == count);
        CHECK_FALSE(one.take(1, count, second, 0));
        CHECK(one.take(1, count, second, second));
    }
    // Times at the ends of the range are times like any other.
    limit_counters edge;
    CHECK(edge.take(1, 1, second, std::numeric_limits<std::int64_t>::max()));
    CHECK_FALSE(edge.take(1, 1, second, std::numeric_limits<std::int64_t>::max()));
    CHECK_FALSE(edge.take(1, 1, second, std::numeric_limits<std::int64_t>::min()));
}

TEST_CASE("diversify: so many of a value, the rest behind, both in their order") {
    desk d;
    REQUIRE(d.load(
        {document("business", {rule("kinds", "action.id != 'free'", "diversify", R"(, "field": "action.kind", "at_most": 2)"),
                               rule("ages", "true", "diversify", R"(, "field": "candidate.age", "at_most": 1)")})}));
    d.decide(plain_task,
             R"([{"id": "0", "kind": "a"}, {"id": "1", "kind": "a"}, {"id": "2", "kind": "a"}, {"id": "3", "kind": "b"},
        {"id": "free", "kind": "a"}, {"id": "5", "kind": "b", "age": 7}, {"id": "6", "kind": "c", "age": 7}, {"id": "7", "kind": "b"}])");
    std::vector<rule_hit> marked;
    CHECK(diversified(d, &marked) == std::vector<std::uint32_t>{0, 1, 3, 4, 5, 2, 6, 7});
    std::size_t acted = 0;
    for (const rule_hit& h : marked) acted += h.idle ? 0 : 1;
    CHECK(acted == 3);  // 2 and 7 by kind, 6 by age
    // A condition that fails does nothing.
    REQUIRE(d.load({document("business",
                             {rule("kinds", "task.region == 'eu'", "diversify", R"(, "field": "action.kind", "at_most": 1)")})}));
    d.decide(plain_task, R"([{"id": "0", "kind": "a"}, {"id": "1", "kind": "a"}, {"id": "2", "kind": "b"}])");
    CHECK(diversified(d) == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("the mandatory layer needs the task alone, and no layer below takes its queue") {
    desk d;
    const std::string mandatory =
        document("mandatory", {rule("legal", "task.intent in ['fraud', 'legal']", "escalate", R"(, "queue": "people")"),
                               rule("region", "task.region == 'x'", "escalate", R"(, "queue": "desk")")});
    const std::string rest =
        document("compliance", {rule("f", "task.paid", "forbid"), rule("e", "task.paid", "escalate", R"(, "queue": "other")")});
    REQUIRE(d.load({rest, mandatory}));
    CHECK(d.policy.rule(0).layer == "mandatory");
    d.decide(R"({"intent": "legal", "amount": 1, "paid": true, "region": "y"})", two);
    CHECK(d.policy.mandatory(d.f, d.scratch) == 1);
    CHECK(d.out.cap[0] == verdict::escalate);
    CHECK(d.policy.rule(d.out.queue[0] - 1).queue == "people");
    d.decide(R"({"intent": "other", "amount": 1, "paid": true, "region": "y"})", "[]");
    CHECK(d.policy.mandatory(d.f, d.scratch) == 0);
    CHECK(d.policy.rule(d.out.task_queue - 1).queue == "other");  // a task without candidates has its queue, too
    d.decide(R"({"intent": "other", "amount": 1, "paid": true})", "[]");
    CHECK(d.policy.mandatory(d.f, d.scratch) == 2);  // what fails escalates
    CHECK(d.policy.rule(d.out.task_queue - 1).queue == "desk");

    const auto refused = [&](const std::string& one) {
        CHECK_FALSE(d.load({document("mandatory", {one})}));
        REQUIRE_FALSE(d.findings.empty());
        CHECK(d.findings[0].code == "policy.mandatory");
    };
    refused(rule("a", "action.kind == 'x'", "escalate", R"(, "queue": "q")"));
    refused(rule("a", "task.paid", "escalate"));
    refused(rule("a", "task.paid", "forbid"));
    refused(rule("a", "task.paid", "escalate", R"(, "queue": "q", "on_error": "abstain")"));
    refused(rule("a", "task.paid", "escalate", R"(, "queue": "q", "valid_until": "2030-01-01T00:00:00Z")"));
}

TEST_CASE("parameters of effects are checked, each with its place and cure") {
    desk d;
    const auto code = [&](const std::string& effect, const std::string& more) {
        const bool fine = d.load({document("business", {rule("a", "action.kind == 'x'", effect, more)})});
        return fine ? std::string("fine") : d.findings.at(0).code;
    };
    CHECK(code("limit", R"(, "count": 1, "per": "1h", "key": "task.intent")") == "fine");
    CHECK(code("limit", R"(, "count": 1)") == "policy.missing_parameter");
    CHECK(code("limit", R"(, "count": 0, "per": "1h")") == "policy.bad_amount");
    CHECK(code("limit", R"(, "count": 1, "per": "hourly")") == "policy.bad_duration");
    CHECK(code("limit", R"(, "count": 1, "per": "0s")") == "policy.bad_duration");
    CHECK(code("limit", R"(, "count": 1, "per": "9000h")") == "policy.bad_duration");
    CHECK(code("limit", R"(, "count": 1, "per": "1h", "key": "task.amount")") == "policy.key_type");
    CHECK(code("limit", R"(, "count": 1, "per": "1h", "key": "task.intnt")") == "policy.unknown_field");
    CHECK(code("limit", R"(, "count": 1, "per": "1h", "on_error": "skip")") == "policy.cannot_skip");
    CHECK(code("set_threshold", R"(, "value": 1.5)") == "policy.bad_amount");
    CHECK(code("set_threshold", "") == "policy.missing_parameter");
    CHECK(code("redact", R"(, "field": "task.amout")") == "policy.unknown_field");
    CHECK(code("redact", R"(, "field": "task.id")") == "policy.bad_field");
    CHECK(code("diversify", R"(, "field": "action.risk", "at_most": 1)") == "policy.bad_field");
    CHECK(code("diversify", R"(, "field": "task.intent", "at_most": 1)") == "policy.task_only");
    CHECK(code("diversify", R"(, "field": "action.kind", "at_most": 1, "on_error": "skip")") == "fine");
    CHECK(code("kill", R"(, "scope": "most")") == "policy.bad_choice");
    CHECK(code("forbid", R"(, "count": 1)") == "policy.unused_parameter");
    CHECK(code("forbid", R"(, "valid_from": "tomorrow")") == "policy.bad_timestamp");
    CHECK(code("forbid", R"(, "valid_from": "2026-05-01T00:00:00Z", "valid_until": "2026-05-01T00:00:00Z")") ==
          "policy.never_valid");
    REQUIRE(d.load({document("business", {rule("a", "action.kind == 'x'", "limit", R"(, "count": 1, "per": "1h")")})}));
    REQUIRE(d.findings.size() == 1);
    CHECK(d.findings[0].code == "policy.limit_without_key");
}

TEST_CASE("words are found whole, in any script, however they are written") {
    desk d;
    const auto mentions = [&](const std::string& text, const std::string& words) {
        REQUIRE(d.load({document("business", {rule("w", fmt::format("task.region.mentions([{}])", words), "forbid")})}));
        d.decide(fmt::format(R"({{"intent": "other", "amount": 1, "paid": true, "region": "{}"}})", text), two);
        CHECK(d.out.allowed[0] == d.out.allowed[1]);
        return d.out.allowed[0] == 0;
    };
    CHECK(mentions("Can I talk to an AGENT please", "'agent'"));
    CHECK(mentions("agent", "'agent'"));
    CHECK(mentions("the agent's name", "'Agent'"));
    CHECK_FALSE(mentions("my travel agency asks", "'agent'"));
    CHECK_FALSE(mentions("reagent", "'agent'"));
    CHECK_FALSE(mentions("agent_7", "'agent'"));
    CHECK_FALSE(mentions("", "'agent'"));
    CHECK_FALSE(mentions("agent", "''"));
    CHECK(mentions("a real,\\n person!", "'robot', 'real person'"));
    CHECK_FALSE(mentions("a real nice person", "'real person'"));
    CHECK(mentions("Ich möchte einen MITARBEITER sprechen.", "'mitarbeiter'"));
    CHECK(mentions("quiero hablar con un AGENTE", "'agente'"));
    CHECK(mentions("je veux un conseiller", "'Conseiller'"));
    CHECK(mentions("REPRÉSENTANT svp", "'représentant'"));
    CHECK(mentions("REPRE\u0301SENTANT svp", "'représentant'"));  // decomposed
    CHECK(mentions("representant svp", "'représentant'"));        // typed without accents
    CHECK(mentions("ＡＧＥＮＴ", "'agent'"));                     // full width
    CHECK(mentions("a\u200Bgent", "'agent'"));                    // an invisible character inside
    CHECK(mentions("STRASSE", "'straße'"));
    CHECK(mentions("соедините с ОПЕРАТОРОМ", "'оператором'"));
    CHECK_FALSE(mentions("оператор", "'оператором'"));
    CHECK(mentions("请转人工客服", "'人工'"));
    CHECK(mentions("担当者につないで", "'担当者'"));
    CHECK(mentions("상담원과 연결해 주세요", "'상담원'"));
    CHECK_FALSE(mentions("상담", "'상담원'"));
    CHECK(mentions("أريد التحدث مع موظف", "'موظف'"));
    CHECK(mentions("ขอคุยกับเจ้าหน้าที่", "'เจ้าหน้าที่'"));
}
