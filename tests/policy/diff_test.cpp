// Diffs of policies: counts, independence of how a log is cut, and logs of any bytes. The counts of whole logs are held against
// evaluating decision by decision in tests/python/test_policy_diff.py.
#include "opspilot/policy/diff.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace opspilot;
using nlohmann::json;

namespace {

constexpr std::string_view schema_text = R"({
  "task": [{"name": "amount", "type": "double"}, {"name": "intent", "type": "string"}],
  "action": [{"name": "kind", "type": "string"}]
})";
constexpr std::string_view catalogue_text = R"([{"id": "pay", "kind": "refund"}, {"id": "ask", "kind": "reply"}])";

std::string document(std::string_view limit) {
    return fmt::format(R"({{"layer": "client", "version": "1", "rules": [
        {{"id": "cap", "when": "action.kind == 'refund' && task.amount > {}", "effect": "require_approval", "because": "b"}},
        {{"id": "fraud", "when": "task.intent == 'fraud'", "effect": "escalate", "queue": "desk", "because": "b"}}]}})",
                       limit);
}

policy_diff compiled() {
    static const std::string before = document("500.0"), after = document("300.0");
    const std::vector<policy_set::document> was{{"p", before}}, is{{"p", after}};
    auto made = policy_diff::compile(was, is, schema::parse(schema_text).value(), catalogue_text, {.examples = 2});
    REQUIRE(made);
    return *made;
}

std::string situation(double amount, std::string_view intent, int index) {
    return fmt::format(R"({{"task": {{"id": "T{}", "amount": {}, "intent": "{}"}}, )"
                       R"("candidates": [{{"id": "pay", "kind": "refund"}}, {{"id": "ask", "kind": "reply"}}], "now": {}}})",
                       index, amount, intent, index);
}

json replay(const policy_diff& d, const std::vector<std::string>& pieces) {
    policy_diff_counts all = d.begin();
    std::uint64_t first = 1;
    for (const std::string& piece : pieces) {
        policy_diff_workspace scratch;
        policy_diff_counts counts = d.begin();
        d.replay_lines(piece, first, scratch, counts);
        d.merge(all, std::move(counts));
        first += static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
    }
    return json::parse(d.report(all));
}

}  // namespace

TEST_CASE("diff: what changes between two limits") {
    const policy_diff d = compiled();
    const std::string log = situation(200, "refund", 1) + "\n" + situation(400, "refund", 2) + "\n" + situation(400, "fraud", 3) +
                            "\n" + situation(600, "refund", 4);
    const json found = replay(d, {log});
    CHECK(found["decisions"] == 4);
    CHECK(found["candidates"] == 8);
    CHECK(found["changed"] == 1);  // the fraud goes to a person either way
    CHECK(found["answers"] == 1);
    CHECK(found["best_actions"] == 0);
    CHECK(found["rules"][0]["id"] == "cap");
    CHECK(found["rules"][0]["fate"] == "edited");
    CHECK(found["rules"][0]["gained"] == 2);
    CHECK(found["rules"][0]["decisions"] == 1);
    CHECK(found["rules"][1]["fate"] == "same");
    const json& example = found["examples"][0];
    CHECK(example["record"] == 2);
    CHECK(example["task"] == "T2");
    CHECK(example["old_answer"] == "auto_execute");
    CHECK(example["new_answer"] == "require_approval");
    CHECK(example["changes"].size() == 1);
    CHECK(example["changes"][0]["gained"] == json::array({"cap"}));
}

TEST_CASE("diff: a decision record is replayed over the catalogue") {
    const policy_diff d = compiled();
    const json record{
        {"v", 1},
        {"type", "decision"},
        {"id", "d1"},
        {"time", 5},
        {"client", "acme"},
        {"task", "T9"},
        {"candidates", 2},
        {"ranked", json::array({{{"action", "ask"}, {"score", 0.5}, {"allowed", true}, {"reasons", json::array()}},
                                {{"action", "pay"}, {"score", nullptr}, {"allowed", true}, {"reasons", json::array()}}})},
        {"fields", {{"id", "T9"}, {"amount", 400}, {"intent", "refund"}}}};
    const json found = replay(d, {record.dump() + "\n"});
    CHECK(found["decisions"] == 1);
    CHECK(found["changed"] == 1);
    CHECK(found["answers"] == 0);  // the best one is not the one that changes
    CHECK(found["inexact"] == 0);
    CHECK(found["clients"][0]["client"] == "acme");
}

TEST_CASE("diff: however a log is cut, the result is the same") {
    const policy_diff d = compiled();
    std::mt19937_64 random(5);
    std::vector<std::string> lines;
    for (int i = 0; i < 200; ++i)
        lines.push_back(situation(static_cast<double>(random() % 700), random() % 5 == 0 ? "fraud" : "refund", i) + "\n");
    lines[70] = "no JSON\n";
    std::string whole;
    for (const std::string& line : lines) whole += line;
    const json expected = replay(d, {whole});
    CHECK(expected["unreadable"] == 1);
    CHECK(expected["refusals"][0]["record"] == 71);
    for (int round = 0; round < 20; ++round) {
        std::vector<std::string> pieces(1);
        for (const std::string& line : lines) {
            if (random() % 10 == 0) pieces.emplace_back();
            pieces.back() += line;
        }
        CHECK(replay(d, pieces) == expected);
    }
}

TEST_CASE("diff: any bytes are records or refusals") {
    const policy_diff d = compiled();
    policy_diff_workspace scratch;
    std::mt19937_64 random(7);
    const std::string good = situation(400, "refund", 1);
    for (int round = 0; round < 3000; ++round) {
        std::string line = good;
        if (round % 3 == 0) line.resize(random() % line.size());
        for (std::uint64_t flips = random() % 4; flips > 0 && !line.empty(); --flips)
            line[random() % line.size()] = static_cast<char>(random() % 256);
        policy_diff_counts counts = d.begin();
        d.replay_lines(line + "\n" + good, 1, scratch, counts);
        CHECK(counts.decisions >= 1);  // the line after it is read whatever stood before
        CHECK(counts.decisions + counts.unreadable + counts.others >= 1);
        CHECK(!d.report(counts).empty());
    }
}

TEST_CASE("diff: errors say which side they are of") {
    const std::string good = document("1.0"), bad = document("'x'");
    const std::vector<policy_set::document> was{{"p.json", good}}, is{{"p.json", bad}};
    const schema fields = schema::parse(schema_text).value();
    const auto made = policy_diff::compile(was, is, fields, {});
    REQUIRE_FALSE(made);
    CHECK(made.error().where.find("cap") != std::string::npos);
    const std::string broken = "{";
    const std::vector<policy_set::document> none{{"p.json", broken}};
    CHECK(policy_diff::compile(none, was, fields, {}).error().where.find("old p.json") != std::string::npos);
    CHECK(policy_diff::compile(was, was, fields, "[{}]").error().code == "schema.missing_field");
}
