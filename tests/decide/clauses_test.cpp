// Why the rules of a decision acted, down to the clause: on request, for whom it was asked, within bounds, without personal
// values.
#include <algorithm>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/audit/record.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

constexpr std::string_view offered = R"([{"id": "refund_full", "match": 3}, {"id": "close", "match": 1}])";
constexpr std::string_view plain_task = R"({"id": "t", "client": "acme", "intent": "refund", "amount": 120})";

std::string document(std::string_view layer, std::string_view rules) {
    return fmt::format(R"({{"layer": "{}", "version": "9", "rules": [{}]}})", layer, rules);
}
std::string rule(std::string_view id, std::string_view when, std::string_view more) {
    return fmt::format(R"({{"id": "{}", "when": "{}", "because": "b", {}}})", id, when, more);
}

struct desk {
    engine e{world::load()};
    workspace ws;
    decision d;

    void publish(const std::string& policy, const std::string& overlay = {}) {
        const std::vector<policy_set::document> documents{{"p.json", policy}};
        const std::vector<policy_change::overlay> overlays{{"acme", overlay}};
        policy_change change{.policy = std::span(documents), .overlays = {}};
        if (!overlay.empty()) change.overlays = overlays;
        const status done = e.publish(change, now_us);
        INFO((done ? std::string() : done.error().text()));
        REQUIRE(done.ok());
    }
    const decision_clauses& ask(std::string_view task, std::string_view candidates = offered, std::string_view about = {}) {
        const status done = e.decide(task, candidates, now_us, ws, d, {.clauses = true, .about = about});
        INFO((done ? std::string() : done.error().text()));
        REQUIRE(done.ok());
        return d.clauses;
    }
    [[nodiscard]] std::string record() const {
        std::string line;
        d.write_record(line);
        return line;
    }
};

/// "action rule: clause=outcome field: value … -> change" for each rule.
std::string story(const decision_clauses& all) {
    std::string out;
    for (const decision_clauses::rule& r : all.rules) {
        out += fmt::format("{} {}:", r.action, r.id);
        for (const policy_clause& c : r.why.clauses) {
            out += fmt::format(" {}={}", c.text, name(c.gives));
            for (const policy_clause::seen& s : c.values) out += fmt::format(" {}: {}", s.field, s.value);
            if (!c.problem.empty()) out += fmt::format(" [{}]", c.problem);
        }
        out += fmt::format(" -> {}\n", fmt::join(r.why.change, " and "));
    }
    return out;
}

}  // namespace

TEST_CASE("the clauses of the rules on the best candidate and on refused ones") {
    desk k;
    const decision_clauses& all = k.ask(R"({"intent": "billing", "amount": 120})",
                                        R"([{"id": "close", "match": 9}, {"id": "ask_receipt"}, {"id": "refund_half"}])");
    CHECK(k.d.action == "ask_receipt");
    CHECK(story(all) ==
          "ask_receipt prefer-reversible: action.reversible=true action.reversible: true -> !action.reversible\n"
          "close no-close-with-amount: action.id == 'close'=true action.id: \"close\" has(task.amount)=true task.amount: 120 "
          "task.amount > 0.0=true task.amount: 120 -> action.id != 'close'\n"
          "close prefer-reversible: action.reversible=true action.reversible: true -> !action.reversible\n");
    CHECK(all.asked);
    CHECK(all.missing.empty());
    CHECK(all.left_out == 0);
    CHECK(all.rules[1].effect == "forbid");
    CHECK(all.rules[1].layer == "business");
}

TEST_CASE("what was not asked for is not there, and costs the next decision nothing") {
    desk k;
    REQUIRE_FALSE(k.ask(plain_task).rules.empty());
    CHECK(k.record().find(R"("clauses":)") != std::string::npos);
    const std::string id = k.d.id;
    REQUIRE(k.e.decide(plain_task, offered, now_us, k.ws, k.d));
    CHECK_FALSE(k.d.clauses.asked);
    CHECK(k.d.clauses.rules.empty());
    CHECK(k.d.id == id);
    CHECK(k.record().find(R"("clauses":)") == std::string::npos);
    std::string why;
    k.d.write_explanation(why);
    CHECK(why == fmt::format(R"({{"decision":"{}","verdict":"auto_execute","action":"refund_full"}})", id));
}

TEST_CASE("one candidate can be asked about, whatever its place") {
    desk k;
    CHECK(story(k.ask(plain_task, offered, "close")).find("close no-close-with-amount:") == 0);
    CHECK(std::all_of(k.d.clauses.rules.begin(), k.d.clauses.rules.end(), [](const auto& r) { return r.action == "close"; }));
    CHECK(k.ask(plain_task, offered, "refund_ful").rules.empty());
    CHECK(k.d.clauses.missing == "explanation.no_candidate");
    CHECK(k.ask(plain_task, offered).missing.empty());
}

TEST_CASE("a task that nothing fits has the rules on the task alone") {
    desk k;
    k.publish(document("compliance",
                       rule("by-hand", "task.intent == 'other' || task.amount > 5.0", R"("effect": "escalate", "queue": "q")") +
                           ", " + rule("cheap", "action.cost > 1.0", R"("effect": "forbid")")));
    CHECK(story(k.ask(R"({"intent": "other"})", {})) ==
          " by-hand: task.intent == 'other'=true task.intent: \"other\" -> task.intent != 'other' and has(task.amount) and "
          "task.amount <= 5.0\n");
    CHECK(k.d.queue == "q");
}

TEST_CASE("rules of the client's overlay, limits that stop, and conditions that fail") {
    desk k;
    k.publish(
        document("compliance",
                 rule("often", "action.kind == 'refund'", R"("effect": "limit", "count": 1, "per": "1h", "key": "task.client")") +
                     ", " +
                     rule("owing", "task.amount / task.amount > 1.0 && task.balance > 5.0", R"("effect": "boost", "by": 0.5)")),
        document("client", rule("ours", "task.amount >= 100.0", R"("effect": "require_approval")")));
    const std::string own = "refund_full ours: task.amount >= 100.0=true task.amount: 120 -> task.amount < 100.0\n";
    CHECK(story(k.ask(plain_task, offered, "refund_full")) == own);  // the limit has one left
    CHECK(story(k.ask(plain_task, offered, "refund_full")) ==
          "refund_full often: action.kind == 'refund'=true action.kind: \"refund\" -> action.kind != 'refund'\n" + own);
    CHECK(k.d.proposed == verdict::suggest);
    k.publish(document("compliance", rule("owed", "task.amount > 1.0", R"("effect": "suggest_only")")));
    CHECK(story(k.ask(R"({"intent": "refund"})", offered, "refund_full")) ==
          "refund_full owed: task.amount > 1.0=error task.amount: (missing) [the field is missing: 'amount'] -> has(task.amount) "
          "and task.amount <= 1.0\n");
    CHECK(k.d.clauses.rules[0].failed);
}

TEST_CASE("the record holds the clauses, reads them back, and what it holds decides the same again") {
    desk k;
    k.publish(document("compliance", rule("cap", "action.kind == 'refund' && (task.amount > 100.0 || task.balance > 3.0)",
                                          R"("effect": "require_approval")") +
                                         ", " + rule("shut", "action.id == 'close'", R"("effect": "forbid")")));
    k.ask(plain_task);
    const std::string line = k.record();
    const auto read = read_record(line);
    REQUIRE(read);
    REQUIRE(read->clauses);
    REQUIRE(read->clauses->rules.size() == 2);
    const parsed_record::explained_rule& cap = read->clauses->rules[0];
    CHECK(cap.action == "refund_full");
    CHECK(cap.rule == "cap");
    CHECK(cap.layer == "compliance");
    CHECK(cap.effect == "require_approval");
    REQUIRE(cap.clauses.size() == 2);
    CHECK(cap.clauses[1].text == "task.amount > 100.0");
    CHECK(cap.clauses[1].offset == 28);
    CHECK(cap.clauses[1].length == 19);
    CHECK(cap.clauses[1].gives == "true");
    REQUIRE(cap.clauses[1].values.size() == 1);
    CHECK(cap.clauses[1].values[0].field == "task.amount");
    CHECK(cap.clauses[1].values[0].value == "120");
    CHECK(cap.change == std::vector<std::string>{"action.kind != 'refund'"});
    CHECK(read->clauses->rules[1].rule == "shut");

    REQUIRE(read->fields.find("120") != std::string::npos);
    k.ask(read->fields);
    CHECK(k.record() == line);

    std::string why;
    k.d.write_explanation(why);
    const std::size_t at = line.find(R"("clauses":)");
    CHECK(why.substr(why.find(R"("clauses":)")) == line.substr(at, line.find(R"(,"fields":)", at) - at) + "}");
}

TEST_CASE("personal and redacted values are in no explanation and in no record") {
    desk k;
    k.publish(
        document("compliance", rule("named", "task.text.contains('Alexis') || task.text.startsWith('b') || int(task.text) > 3",
                                    R"("effect": "forbid")") +
                                   ", " + rule("shaped", "task.text.format([1]) == 'x'", R"("effect": "suggest_only")") + ", " +
                                   rule("owed", "task.amount > 41.0 && task.balance >= 0.0", R"("effect": "suggest_only")") +
                                   ", " + rule("hide", "true", R"("effect": "redact", "field": "task.amount")")));
    for (const std::string_view name : {"Alexis Quill", "bearer Quill", "%Quill 7"}) {
        k.ask(fmt::format(R"({{"intent": "refund", "amount": 4711.25, "text": "{}"}})", name));
        REQUIRE(k.d.clauses.rules.size() > 2);
        std::string all = k.record();
        k.d.write_explanation(all);
        all += story(k.d.clauses);
        CHECK(all.find("(personal)") != std::string::npos);
        CHECK(all.find("(redacted)") != std::string::npos);
        CHECK(all.find("Quill") == std::string::npos);
        CHECK(all.find("4711") == std::string::npos);
    }
    CHECK(story(k.d.clauses).find("task.text: (personal) [") != std::string::npos);  // a format that is none was tried
}

TEST_CASE("an explanation stays small, and says what it leaves out") {
    desk k;
    std::string rules, candidates;
    const std::string long_text(2000, 'x');
    for (int i = 0; i < 20; ++i)
        rules += (i == 0 ? "" : ", ") +
                 rule(fmt::format("r{}", i), fmt::format("action.kind != '{}{}'", long_text, i), R"("effect": "forbid")");
    for (int i = 0; i < 10; ++i)
        candidates += fmt::format(R"({}{{"id": "a{}", "kind": "{}", "cost": 1, "intents": [], "reversible": true}})",
                                  i == 0 ? "" : ", ", i, std::string(300, 'k') + "\xC3\xA9");
    k.publish(document("compliance", rules));
    const decision_clauses& all = k.ask(plain_task, "[" + candidates + "]");
    CHECK(all.rules.size() == decision_clauses::most_rules);
    std::size_t bytes = 0, left_out = 200 - decision_clauses::most_rules;
    for (const decision_clauses::rule& r : all.rules) {
        left_out += (r.why.clauses.empty() ? 1U : 0U) + (r.why.change.empty() ? 1U : 0U);
        for (const std::string& change : r.why.change) bytes += change.size();
        for (const policy_clause& c : r.why.clauses) {
            CHECK(c.text.size() <= decision_clauses::most_text);
            CHECK(c.text.ends_with("…"));
            CHECK(c.values.at(0).value.ends_with("…"));
            CHECK(c.length > 2000);
            bytes += c.text.size() + c.values[0].value.size();
        }
    }
    CHECK(all.left_out == left_out);
    CHECK(bytes <= decision_clauses::most_bytes);
    CHECK(bytes > decision_clauses::most_bytes / 2);
    const auto read = read_record(k.record());
    REQUIRE(read);
    CHECK(read->clauses->left_out == left_out);
}

TEST_CASE("a batch explains as single decisions do") {
    desk k;
    const std::string tasks = fmt::format(R"([{0}, {{"intent": "fraud"}}, {0}])", plain_task);
    const decide_options options{.clauses = true, .about = {}};
    std::vector<std::string> lines;
    REQUIRE(k.e.decide_batch(
        {.json = tasks}, {}, now_us, k.ws,
        [&](std::size_t, const decision& d) {
            d.write_record(lines.emplace_back());
            return true;
        },
        options));
    REQUIRE(lines.size() == 3);
    for (const std::size_t i : {0U, 1U, 2U}) {
        k.ask(i == 1 ? R"({"intent": "fraud"})" : plain_task, {});
        CHECK(k.record() == lines[i]);
        CHECK_FALSE(k.d.clauses.rules.empty());
    }
}
