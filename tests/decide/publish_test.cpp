// Policies published while an engine decides: whole or not at all, undone in one call, for one client or all.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "opspilot/audit/record.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

constexpr std::string_view clear_case = R"([{"id": "refund_full", "match": 3}, {"id": "ask_receipt", "match": 0.1}])";
constexpr std::string_view plain_task = R"({"id": "t", "client": "acme", "intent": "refund", "amount": 100})";

std::string layer(std::string_view name, std::string_view rules) {
    return fmt::format(R"({{"layer": "{}", "version": "9", "rules": [{}]}})", name, rules);
}
std::string rule(std::string_view id, std::string_view when, std::string_view more) {
    return fmt::format(R"({{"id": "{}", "when": "{}", "because": "b", {}}})", id, when, more);
}

struct desk {
    engine e{world::load()};
    workspace ws;
    decision d;

    status publish(const std::vector<policy_set::document>& documents) {
        return e.publish({.policy = std::span(documents), .overlays = {}}, now_us);
    }
    status overlay(const std::string& client, std::optional<std::string_view> document) {
        const std::vector<policy_change::overlay> one{{client, document}};
        return e.publish({.policy = {}, .overlays = one}, now_us);
    }
    const decision& decide(std::string_view task = plain_task, std::string_view candidates = clear_case) {
        const status done = e.decide(task, candidates, now_us, ws, d);
        INFO((done ? std::string() : done.error().text()));
        REQUIRE(done.ok());
        return d;
    }
    [[nodiscard]] bool has_reason(std::string_view code, std::string_view of_rule = {}) const {
        for (const reason& r : d.reasons)
            if (r.code == code && (of_rule.empty() || r.rule == of_rule)) return true;
        return false;
    }
};

}  // namespace

TEST_CASE("published policies decide from the next decision on, and one call undoes it") {
    desk k;
    CHECK(k.decide().verdict == verdict::auto_execute);
    const std::string before = k.d.versions().policy, id = k.d.id, model = k.d.versions().model;
    const std::string stricter =
        layer("compliance", rule("no-refunds", "action.kind == 'refund'", R"("effect": "require_approval")"));
    REQUIRE(k.publish({{"a.json", stricter}}).ok());
    CHECK(k.decide().verdict == verdict::require_approval);
    CHECK(k.d.versions().policy != before);
    CHECK(k.d.versions().model == model);
    CHECK(k.d.versions().bundle == k.e.current()->fingerprint());
    CHECK(k.d.id != id);  // another policy, another decision
    CHECK(k.e.current()->packed() == world::load()->packed());
    const auto layers = k.e.layers();
    REQUIRE(layers.size() == 1);
    CHECK(layers[0].layer == "compliance");
    CHECK(layers[0].version == "9");
    CHECK(layers[0].published_us == now_us);
    REQUIRE(k.e.rollback().ok());
    CHECK(k.decide().verdict == verdict::auto_execute);
    CHECK(k.d.versions().policy == before);
    CHECK(k.d.id == id);
    for (const auto& l : k.e.layers()) CHECK(l.published_us == 0);
}

TEST_CASE("what is wrong is not published") {
    desk k;
    k.decide();
    const std::string before = k.d.versions().policy;
    const auto refused = [&](const std::string& document) {
        const status done = k.publish({{"a.json", document}});
        REQUIRE_FALSE(done.ok());
        CHECK(k.decide().versions().policy == before);
        return done.error();
    };
    CHECK(refused("{").code == "policy.json_syntax");
    CHECK(refused(layer("compliance", rule("r", "task.amout > 1.0", R"("effect": "forbid")"))).code == "policy.unknown_field");
    const error failed = refused(R"({"layer": "client", "version": "1",
        "rules": [{"id": "r", "when": "task.intent == 'refund'", "effect": "forbid", "because": "b"}],
        "tests": [{"task": {"intent": "refund"}, "expect": {"allowed": true}}]})");
    CHECK(failed.code == "policy.test_failed");
    CHECK(failed.where == "document 'a.json' /tests/0");
    CHECK_FALSE(k.e.rollback().ok());  // nothing was published
}

TEST_CASE("an overlay narrows for its client alone, and its records name it") {
    desk k;
    k.decide();
    const std::string before = k.d.versions().policy;
    const std::string own =
        layer("client", rule("acme-approves", "action.kind == 'refund'", R"("effect": "require_approval")") + "," +
                            rule("acme-route", "task.intent == 'refund'", R"("effect": "route", "queue": "acme-desk")"));
    REQUIRE(k.overlay("acme", own).ok());
    CHECK(k.decide().verdict == verdict::require_approval);
    CHECK(k.d.queue == "acme-desk");
    CHECK(k.d.versions().policy != before);
    const auto reasons = k.d.reasons_of(k.d.ranked[0]);
    REQUIRE(reasons.size() == 2);
    CHECK(reasons[0].rule == "acme-approves");
    CHECK(reasons[0].layer == "client");
    std::string line;
    k.d.write_record(line);
    CHECK(line.find(k.d.versions().policy) != std::string::npos);
    CHECK(k.decide(R"({"id": "t", "client": "other", "intent": "refund", "amount": 100})").verdict == verdict::auto_execute);
    CHECK(k.d.versions().policy == before);
    CHECK(k.decide(R"({"id": "t", "intent": "refund", "amount": 100})").verdict == verdict::auto_execute);

    // The bundle's policy changes below it; it stays. Taken away, it is gone.
    REQUIRE(k.publish({{"b.json", layer("business", rule("b", "action.kind == 'ask'", R"("effect": "pin")"))}}).ok());
    CHECK(k.decide().action == "ask_receipt");
    CHECK(k.decide(plain_task, R"([{"id": "refund_full", "match": 3}])").verdict != verdict::auto_execute);
    CHECK(k.d.reasons_of(k.d.ranked[0])[0].rule == "acme-approves");
    REQUIRE(k.overlay("acme", std::nullopt).ok());
    k.decide(plain_task, R"([{"id": "refund_full", "match": 3}])");
    CHECK(k.d.ranked[0].reasons == 0);
}

TEST_CASE("no overlay widens what the bundle's rules narrow, and none hides behind an id") {
    desk k;
    const auto refused = [&](const std::string& document) { return k.overlay("acme", document).error().code; };
    CHECK(refused(layer("client", rule("fraud-to-human", "task.intent == 'other'", R"("effect": "suggest_only")"))) ==
          "policy.locked");
    CHECK(refused(layer("client", rule("big-refund", "task.intent == 'other'", R"("effect": "suggest_only")"))) ==
          "policy.duplicate_rule");
    CHECK(refused(layer("compliance", rule("x", "task.intent == 'other'", R"("effect": "suggest_only")"))) ==
          "policy.overlay_layer");
    CHECK(k.overlay("", layer("client", "")).error().code == "usage.overlay_client");

    // Boosts, pins and routes of a client leave fraud where it is: with people.
    REQUIRE(
        k.overlay("acme", layer("client", rule("pin", "action.kind == 'block'", R"("effect": "pin")") + "," +
                                              rule("route", "task.intent == 'fraud'", R"("effect": "route", "queue": "mine")")))
            .ok());
    k.decide(R"({"client": "acme", "intent": "fraud", "amount": 100})", {});
    CHECK(k.d.verdict == verdict::escalate);
    CHECK(k.d.queue == "trust");
    // A later policy of the bundle may not take an id that an overlay has.
    CHECK(k.publish({{"c.json", layer("compliance", rule("pin", "task.intent == 'fraud'", R"("effect": "escalate")"))}})
              .error()
              .code == "policy.duplicate_rule");
}

TEST_CASE("a limit throttles what would have been done, and swaps are no fresh start") {
    desk k;
    const std::string two_an_hour = layer(
        "client", rule("two", "action.kind == 'refund'", R"("effect": "limit", "key": "task.client", "count": 2, "per": "1h")"));
    REQUIRE(k.publish({{"a.json", two_an_hour}}).ok());
    CHECK(k.decide().verdict == verdict::auto_execute);
    CHECK(k.d.ranked[0].reasons == 0);  // a limit that is not reached is no reason
    // Asking for suggestions only takes nothing.
    workspace other;
    decision low;
    REQUIRE(k.e.decide(plain_task, clear_case, now_us, other, low, {.widest = rung::baseline}).ok());
    CHECK(k.decide().verdict == verdict::auto_execute);
    CHECK(k.decide().verdict == verdict::suggest);
    CHECK(k.has_reason("throttled", "two"));
    CHECK(k.e.metrics_text().find("opspilot_decision_reasons_total{code=\"throttled\"} 1\n") != std::string::npos);
    CHECK(k.d.ranked[0].decided == verdict::suggest);
    REQUIRE(k.publish({{"a.json", two_an_hour}, {"b.json", layer("business", "")}}).ok());
    CHECK(k.decide().verdict == verdict::suggest);
    CHECK(k.decide(R"({"client": "other", "intent": "refund", "amount": 100})").verdict == verdict::auto_execute);
    // Half an hour gives one back.
    REQUIRE(k.e.decide(plain_task, clear_case, now_us + 1'800'000'000, k.ws, k.d).ok());
    CHECK(k.d.verdict == verdict::auto_execute);

    // In a batch the same counts hold, in order.
    desk b;
    REQUIRE(b.publish({{"a.json", two_an_hour}}).ok());
    std::vector<verdict> got;
    const std::string tasks = fmt::format("[{0}, {0}, {0}]", plain_task);
    const std::string rows =
        R"([{"task_index": 0, "id": "refund_full", "match": 3}, {"task_index": 0, "id": "ask_receipt", "match": 0.1},
        {"task_index": 1, "id": "refund_full", "match": 3}, {"task_index": 1, "id": "ask_receipt", "match": 0.1},
        {"task_index": 2, "id": "refund_full", "match": 3}, {"task_index": 2, "id": "ask_receipt", "match": 0.1}])";
    REQUIRE(b.e.decide_batch({.json = tasks}, {.json = rows}, now_us, b.ws,
                             [&](std::size_t, const decision& d) {
                                 got.push_back(d.verdict);
                                 return true;
                             })
                .ok());
    CHECK(got == std::vector<verdict>{verdict::auto_execute, verdict::auto_execute, verdict::suggest});
}

TEST_CASE("a policy can ask for more than is certified, and never for less") {
    desk k;
    k.decide();
    const double p = k.d.probability;
    REQUIRE(p > 0.9);
    const auto threshold = [&](double value) {
        const std::string more = fmt::format(R"("effect": "set_threshold", "value": {})", value);
        REQUIRE(k.publish({{"a.json", layer("client", rule("t", "action.kind == 'refund'", more))}}).ok());
        k.decide();
        return k.d.threshold;
    };
    CHECK(threshold(0.5) == 0.9);
    CHECK(k.d.verdict == verdict::auto_execute);
    CHECK(threshold(1.0) == 1.0);
    CHECK(k.d.verdict == verdict::suggest);
    CHECK(k.has_reason("confidence.below_policy_threshold"));
}

TEST_CASE("redacted fields stay out of the record") {
    desk k;
    const auto line = [&](std::string_view task) {
        k.decide(task);
        std::string out;
        k.d.write_record(out);
        return out;
    };
    CHECK(line(plain_task).find("\"amount\":100") != std::string::npos);
    REQUIRE(k.publish({{"a.json",
                        layer("client", rule("r", "task.intent == 'refund'", R"("effect": "redact", "field": "task.amount")"))}})
                .ok());
    CHECK(line(plain_task).find("\"amount\"") == std::string::npos);
    CHECK(line(plain_task).find("\"intent\":\"refund\"") != std::string::npos);
    CHECK(line(R"({"intent": "billing", "amount": 100})").find("\"amount\":100") != std::string::npos);
}

TEST_CASE("the mandatory layer decides before any model, in every mode") {
    desk k;
    const std::string mandatory =
        layer("mandatory", rule("person", "has(task.text) && task.text.mentions(['agent', 'human being', 'mitarbeiter'])",
                                R"("effect": "escalate", "queue": "front-desk")"));
    const std::string wide =
        layer("business", rule("pin", "action.kind == 'refund'", R"("effect": "pin")") + "," +
                              rule("away", "action.kind == 'refund'", R"("effect": "escalate", "queue": "else")") + "," +
                              rule("none", "task.intent == 'billing'", R"("effect": "forbid")"));
    REQUIRE(k.publish({{"m.json", mandatory}, {"w.json", wide}}).ok());
    constexpr std::string_view asks = R"({"client": "acme", "intent": "refund", "amount": 100, "text": "An AGENT, please"})";
    constexpr std::string_view forbidden = R"({"client": "acme", "intent": "billing", "amount": 100, "text": "mitarbeiter!"})";
    constexpr std::string_view nothing_fits = R"({"client": "acme", "intent": "other", "text": "a human being"})";
    for (const kill_scope killed : {kill_scope::none, kill_scope::automation, kill_scope::everything}) {
        k.e.kill(killed);
        for (const rung widest : {rung::full, rung::cached, rung::linear, rung::baseline, rung::human})
            for (const auto& [task, candidates] :
                 {std::pair{asks, clear_case}, {forbidden, clear_case}, {nothing_fits, std::string_view{}}}) {
                REQUIRE(k.e.decide(task, candidates, now_us, k.ws, k.d, {.widest = widest}).ok());
                CHECK(k.d.verdict == verdict::escalate);
                CHECK(k.d.queue == "front-desk");
                REQUIRE_FALSE(k.d.reasons.empty());
                CHECK(k.d.reasons[0].code == "policy.mandatory");
                CHECK(k.d.reasons[0].rule == "person");
            }
    }
    k.e.kill(kill_scope::none);
    CHECK(k.decide(R"({"intent": "refund", "amount": 100, "text": "travel agency"})").queue == "else");
}

TEST_CASE("diversity changes the order, not what is allowed") {
    desk k;
    REQUIRE(k.publish({{"a.json",
                        layer("business", rule("d", "true", R"("effect": "diversify", "field": "action.kind", "at_most": 1)"))}})
                .ok());
    k.decide(R"({"intent": "refund", "amount": 0})", R"([{"id": "refund_half", "match": 2}, {"id": "refund_full", "match": 3},
        {"id": "close", "match": 0}, {"id": "ask_receipt", "match": 1}])");
    std::vector<std::string> order;
    for (const ranked_candidate& c : k.d.ranked) order.emplace_back(c.action);
    CHECK(order == std::vector<std::string>{"refund_full", "ask_receipt", "close", "refund_half"});
    CHECK(k.d.ranked[0].reasons == 0);
    REQUIRE(k.d.ranked[3].reasons == 1);
    CHECK(k.d.reasons_of(k.d.ranked[3])[0].rule == "d");
    CHECK(k.d.ranked[3].allowed);
}

TEST_CASE("publishing under load: no decision fails, and none mixes versions") {
    desk k;
    // Each version's rules agree among themselves: approve with queue "even", or suggest with queue "odd".
    const auto version = [&](bool even) {
        return layer("client", even ? rule("a", "task.intent == 'refund'", R"("effect": "require_approval")") + "," +
                                          rule("b", "task.intent == 'refund'", R"("effect": "route", "queue": "even")")
                                    : rule("c", "task.intent == 'refund'", R"("effect": "suggest_only")") + "," +
                                          rule("d", "task.intent == 'refund'", R"("effect": "route", "queue": "odd")"));
    };
    REQUIRE(k.publish({{"v.json", version(true)}}).ok());
    const std::string even = k.decide().versions().policy;
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0}, made{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            workspace ws;
            decision d;
            while (!stop) {
                if (!k.e.decide(plain_task, clear_case, now_us, ws, d).ok()) ++wrong;
                const bool first = d.versions().policy == even;
                if (d.verdict != (first ? verdict::require_approval : verdict::suggest)) ++wrong;
                if (d.queue != (first ? "even" : "odd")) ++wrong;
                ++made;
            }
        });
    for (int i = 0; i < 50 || made < 1000; ++i) {
        if (i % 5 == 4)
            wrong += k.e.rollback().ok() ? 0 : 1;
        else
            wrong += k.publish({{"v.json", version(i % 2 == 0)}}).ok() ? 0 : 1;
    }
    stop = true;
    for (std::thread& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(made >= 1000);
}

TEST_CASE("an engine that trusts keys takes signed releases alone, each once and for its own bundle") {
    desk k;
    const signing_key key = signing_key::make(), stranger = signing_key::make();
    const std::string strict =
        layer("compliance", rule("no-refunds", "action.kind == 'refund'", R"("effect": "require_approval")"));
    const auto release = [&](std::int64_t sequence, const signing_key& by, const std::string& bundle = "support") {
        policy_release r{.sequence = sequence, .bundle = bundle, .documents = {}, .overlays = {}};
        r.documents = {{"a.json", strict}};
        return r.sign(by);
    };
    const auto code = [&](const std::string& envelope) {
        const status done = k.e.publish_signed(envelope, now_us);
        return done ? std::string("published") : std::string(done.error().code);
    };
    CHECK(code(release(1, key)) == "usage.not_trusting");
    REQUIRE(k.e.trust({key.public_half()}).ok());
    CHECK(k.e.trust({}).error().code == "usage.no_keys");
    CHECK(k.publish({{"a.json", strict}}).error().code == "signature.required");
    CHECK(k.overlay("acme", std::nullopt).error().code == "signature.required");
    CHECK(k.e.swap(world::load()).error().code == "signature.required");
    CHECK(code(strict) == "policy.unknown_field");  // a document is no envelope
    CHECK(code(release(1, stranger)) == "signature.not_trusted");
    CHECK(code(release(1, key, "another")) == "signature.other_bundle");
    CHECK(code(release(0, key)) == "signature.sequence");
    CHECK(code(bundle_release{.sequence = 1, .fingerprint = k.e.current()->fingerprint()}.sign(key)) == "signature.payload_type");
    CHECK(k.decide().verdict == verdict::auto_execute);

    CHECK(code(release(5, key)) == "published");
    CHECK(k.decide().verdict == verdict::require_approval);
    CHECK(code(release(5, key)) == "signature.replayed");
    CHECK(code(release(4, key)) == "signature.replayed");
    policy_release own{.sequence = 6, .bundle = "support", .documents = {}, .overlays = {}};
    own.overlays.push_back({"acme", layer("client", rule("acme", "action.kind == 'refund'", R"("effect": "suggest_only")"))});
    CHECK(code(own.sign(key)) == "published");
    CHECK(k.decide().verdict == verdict::suggest);
    REQUIRE(k.e.rollback().ok());
    CHECK(k.decide().verdict == verdict::require_approval);
    // What does not compile uses no number up.
    policy_release broken = own;
    broken.sequence = 7;
    broken.overlays[0].text = "{";
    CHECK(code(broken.sign(key)) == "policy.json_syntax");
    own.sequence = 7;
    CHECK(code(own.sign(key)) == "published");

    const auto bundle_code = [&](const std::string& envelope) {
        const status done = k.e.swap_signed(world::load(), envelope);
        return done ? std::string("published") : std::string(done.error().code);
    };
    const auto statement = [&](std::int64_t sequence, std::string fingerprint) {
        return bundle_release{.sequence = sequence, .fingerprint = std::move(fingerprint)}.sign(key);
    };
    CHECK(bundle_code(statement(1, std::string(64, '0'))) == "signature.other_bundle");
    CHECK(bundle_code(statement(1, world::load()->fingerprint())) == "published");
    CHECK(bundle_code(statement(1, world::load()->fingerprint())) == "signature.replayed");
    CHECK(bundle_code(release(9, key)) == "signature.payload_type");

    // An engine made anew is told where the host stood; keys change, the count stays.
    engine again(world::load());
    REQUIRE(again.trust({key.public_half()}, 7).ok());
    CHECK(again.publish_signed(release(7, key), now_us).error().code == "signature.replayed");
    REQUIRE(again.trust({stranger.public_half()}).ok());
    CHECK(again.publish_signed(release(8, key), now_us).error().code == "signature.not_trusted");
    CHECK(again.publish_signed(release(7, stranger), now_us).error().code == "signature.replayed");
    CHECK(again.publish_signed(release(8, stranger), now_us).ok());
}

TEST_CASE("a shadow decides beside the live bundle and touches nothing of it") {
    desk k;
    const std::string strict =
        layer("client", rule("approve", "action.kind == 'refund'", R"("effect": "require_approval")") + "," +
                            rule("two", "action.kind == 'refund'", R"("effect": "limit", "count": 1, "per": "1h")"));
    const std::vector<policy_set::document> documents{{"a.json", strict}};
    const policy_change change{.policy = std::span(documents), .overlays = {}};
    CHECK(k.e.shadowed().decided == 0);
    CHECK(k.e.shadow(k.e.current()->with(change).value(), 2).error().code == "usage.share");
    REQUIRE(k.e.shadow(k.e.current()->with(change).value()).ok());
    for (int i = 0; i < 3; ++i) CHECK(k.decide().verdict == verdict::auto_execute);
    CHECK(k.decide(R"({"intent": "billing"})", {}).verdict != verdict::auto_execute);
    shadow_report report = k.e.shadowed();
    CHECK(report.running);
    CHECK(report.decided == 4);
    CHECK(report.changed == 3);
    CHECK(report.verdicts[static_cast<std::size_t>(verdict::auto_execute)][static_cast<std::size_t>(verdict::require_approval)] ==
          3);
    REQUIRE(report.examples.size() == 3);
    CHECK(report.examples[0].task == "t");
    CHECK(report.examples[0].live == verdict::auto_execute);
    CHECK(report.examples[0].shadow == verdict::require_approval);
    CHECK(k.e.metrics_text().find("opspilot_decisions_total{verdict=\"require_approval\"} 0") != std::string::npos);

    // A batch counts the same way.
    const std::string tasks = fmt::format("[{0}, {0}]", plain_task);
    const std::string rows =
        R"([{"task_index": 0, "id": "refund_full", "match": 3}, {"task_index": 0, "id": "ask_receipt", "match": 0.1},
        {"task_index": 1, "id": "refund_full", "match": 3}, {"task_index": 1, "id": "ask_receipt", "match": 0.1}])";
    REQUIRE(
        k.e.decide_batch({.json = tasks}, {.json = rows}, now_us, k.ws, [](std::size_t, const decision&) { return true; }).ok());
    CHECK(k.e.shadowed().decided == 6);
    CHECK(k.e.shadowed().changed == 5);

    REQUIRE(k.e.shadow(nullptr).ok());
    k.decide();
    report = k.e.shadowed();
    CHECK_FALSE(report.running);
    CHECK(report.decided == 6);
    // A share picks by the id, so the same decisions again and again.
    REQUIRE(k.e.shadow(k.e.current()->with(change).value(), 0.5).ok());
    for (int i = 0; i < 400; ++i) k.decide(fmt::format(R"({{"id": "{}", "intent": "refund", "amount": 100}})", i));
    CHECK(k.e.shadowed().decided > 140);
    CHECK(k.e.shadowed().decided < 260);
    CHECK(k.e.shadowed().changed == k.e.shadowed().decided);
    CHECK(k.e.shadowed().examples.size() == shadow_report::most_examples);
}

TEST_CASE("policies look into the bundle's tables, published ones too") {
    part_map parts = world::complete_parts();
    parts["tables/caps.json"] =
        R"({"version": "5", "key": "string", "value": "double", "default": 1000000, "rows": {"refund": 150}})";
    parts["policy/business.json"] = layer("business", rule("cap", "has(task.amount) && task.amount > lookup('caps', action.kind)",
                                                           R"("effect": "require_approval")"));
    const auto b = bundle::load(world::packed(parts));
    REQUIRE(b.ok());
    engine e(*b);
    workspace ws;
    decision d;
    const auto decide = [&](std::string_view amount) {
        const std::string task = fmt::format(R"({{"id": "t", "intent": "refund", "amount": {}}})", amount);
        REQUIRE(e.decide(task, clear_case, now_us, ws, d).ok());
        return d.verdict;
    };
    CHECK(decide("100") == verdict::auto_execute);
    CHECK(decide("200") == verdict::require_approval);
    const auto layers = e.layers();
    REQUIRE(!layers.empty());
    CHECK(layers.back().layer == "table");
    CHECK(layers.back().document == "caps");
    CHECK(layers.back().version == "5");
    CHECK(layers.back().sha256.size() == 64);
    // Another policy over the same table.
    const std::string stricter =
        layer("client",
              rule("half", "has(task.amount) && task.amount > lookup('caps', action.kind) / 2.0", R"("effect": "suggest_only")"));
    const std::vector<policy_set::document> documents{{"a.json", stricter}};
    REQUIRE(e.publish({.policy = documents, .overlays = {}}, now_us).ok());
    CHECK(decide("100") == verdict::suggest);
    CHECK(decide("70") == verdict::auto_execute);
    const std::vector<policy_change::overlay> own{{"acme", stricter}};
    CHECK(e.publish({.policy = {}, .overlays = own}, now_us).error().code == "policy.duplicate_rule");
    const std::string unknown = layer("client", rule("x", "lookup('cap', action.kind) > 1.0", R"("effect": "forbid")"));
    const std::vector<policy_set::document> wrong{{"a.json", unknown}};
    const status refused = e.publish({.policy = wrong, .overlays = {}}, now_us);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == "policy.unknown_table");
    // A table that is wrong refuses the bundle, and says which.
    parts["tables/caps.json"] = R"({"version": "5", "key": "string", "value": "double", "rows": {"refund": "150"}})";
    const auto broken = bundle::draft(parts);
    REQUIRE_FALSE(broken.ok());
    CHECK(broken.error().where.starts_with("table 'caps' line 1"));
    parts["tables/caps.txt"] = "x";
    CHECK(bundle::draft(parts).error().code == "bundle.unknown_part");
}

TEST_CASE("what decides after a publication can be saved") {
    desk k;
    CHECK_FALSE(k.e.current()->published());
    CHECK(k.e.current()->parts_in_force().value().size() == k.e.current()->part_sizes().size());
    // Everything stays allowed for whom the golden rows need it: this one asks for approval above 150.
    const std::string stricter =
        layer("compliance", rule("fifty", "has(task.amount) && task.amount > 150.0", R"("effect": "require_approval")") + "," +
                                rule("fraud", "task.intent == 'fraud'", R"("effect": "escalate", "queue": "trust")"));
    const std::string odd = layer("business", rule("odd", "action.reversible", R"("effect": "boost", "by": 0.25)"));
    REQUIRE(k.publish({{"policy/a.json", stricter}, {"../b", odd}}).ok());
    const auto current = k.e.current();
    CHECK(current->published());
    const auto parts = current->parts_in_force();
    REQUIRE(parts.ok());
    CHECK(parts->at("policy/a.json") == stricter);
    CHECK(parts->at("policy/.._b.json") == odd);
    CHECK_FALSE(parts->contains("policy/compliance.json"));
    CHECK(parts->contains("rank/linear.json"));
    const auto saved = bundle::build(*parts);
    INFO((saved ? std::string{} : saved.error().text()));
    REQUIRE(saved.ok());
    const auto again = bundle::load(*saved);
    REQUIRE(again.ok());
    CHECK((*again)->fingerprint() != current->fingerprint());
    CHECK((*again)->versions().policy == current->versions().policy);
    desk other;
    REQUIRE(other.e.swap(*again).ok());
    for (const char* amount : {"100", "200"}) {
        const std::string task = fmt::format(R"({{"id": "t", "intent": "refund", "amount": {}}})", amount);
        CHECK(other.decide(task).verdict == k.decide(task).verdict);
    }
    // Overlays have no place in a bundle.
    const std::string own = layer("client", rule("own", "action.kind == 'refund'", R"("effect": "suggest_only")"));
    REQUIRE(k.overlay("acme", own).ok());
    CHECK(k.e.current()->parts_in_force().error().code == "usage.overlays");
    // A bundle that differs twice keeps what it needs of the first one.
    std::shared_ptr<const bundle> last;
    {
        const auto only = bundle::load(world::packed()).value();
        last = only->with({.policy = {}, .overlays = {}}).value()->with({.policy = {}, .overlays = {}}).value();
    }
    CHECK(last->packed() == world::packed());
    engine alone(last);
    workspace ws;
    decision d;
    REQUIRE(alone.decide(plain_task, {}, now_us, ws, d).ok());
    CHECK(last->catalogue().schema_of().fields(role::action).size() == last->schema().fields(role::action).size());
    CHECK(last->part("schema.json") == world::load()->part("schema.json"));
}
