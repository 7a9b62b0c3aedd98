// Tables of constants: what their documents may say, and what lookup() in conditions makes of them.
#include "opspilot/policy/tables.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "desk.hpp"
#include "opspilot/policy/clauses.hpp"
#include "opspilot/policy/detail/policy_state.hpp"
#include "opspilot/policy/diff.hpp"

using namespace desk_of_policies;

namespace {

constexpr const char* caps_text =
    R"({"version": "3", "key": "string", "value": "double", "rows": {"refund": 250.0, "close": 1000, "hold": 0.5}})";

result<lookup_tables> read(const std::string& text, const std::string& name = "caps") {
    const lookup_tables::document d{name, text};
    return lookup_tables::read({&d, 1});
}

lookup_tables several() {
    const std::vector<lookup_tables::document> documents{
        {"levels", R"({"version": "1", "key": "int", "value": "int", "default": 7, "rows": [[3, 30], [-1, 10]]})"},
        {"caps", caps_text},
        {"regions",
         R"({"version": "1", "key": "string", "value": "list<string>", "rows": {"eu": ["refund", "close"], "us": []}})"},
        {"teams", R"({"version": "1", "key": "bool", "value": "string", "rows": [[true, "cash"], [false, "desk"]]})"}};
    return lookup_tables::read(documents).value();
}

/// A desk whose policies look into `several`.
struct table_desk : desk {
    bool load(const std::vector<std::string>& documents) {
        std::vector<policy_set::document> given;
        for (std::size_t i = 0; i < documents.size(); ++i) given.push_back({fmt::format("p{}.json", i), documents[i]});
        findings.clear();
        auto compiled = policy_set::compile(given, fields, strings, &findings, policy_review::whole, several());
        if (compiled) policy = *compiled;
        problem = compiled ? std::string{} : compiled.error().text();
        return compiled.ok();
    }
    bool one(const std::string& when, const std::string& effect = "forbid", const std::string& more = {}) {
        return load({document("business", {rule("r", when, effect, more)})});
    }
    [[nodiscard]] const policy_finding* finding(std::string_view code) const {
        for (const policy_finding& found : findings)
            if (found.code == code) return &found;
        return nullptr;
    }
};

}  // namespace

TEST_CASE("tables say what they hold") {
    const lookup_tables tables = several();
    const auto all = tables.list();
    REQUIRE(all.size() == 4);
    CHECK(all[0].name == "caps");
    CHECK(all[0].version == "3");
    CHECK(all[0].key == "string");
    CHECK(all[0].value == "double");
    CHECK(all[0].rows == 3);
    CHECK(!all[0].has_default);
    CHECK(all[1].name == "levels");
    CHECK(all[1].has_default);
    CHECK(all[2].value == "list<string>");
    CHECK(lookup_tables{}.list().empty());
    CHECK(!lookup_tables::read({}).value().state);
}

TEST_CASE("a malformed table is refused with its place") {
    struct bad {
        const char *text, *code, *where;
    };
    const std::vector<bad> cases{
        {"[]", "policy.wrong_kind", "line 1"},
        {"{", "policy.json_syntax", "byte"},
        {R"({"version": "1", "key": "string", "value": "int"})", "policy.missing_field", "line 1"},
        {R"({"version": "1", "key": "string", "value": "int", "rows": {}, "row": 1})", "policy.unknown_field", "line 1"},
        {R"({"version": "1", "key": "double", "value": "int", "rows": []})", "policy.bad_choice", "line 1 column 25"},
        {R"({"version": "1", "key": "string", "value": "map", "rows": []})", "policy.bad_choice", "line 1 column 44"},
        {R"({"version": "1", "key": "int", "value": "int", "rows": {"1": 1}})", "policy.wrong_kind", "line 1"},
        {R"({"version": "1", "key": "int", "value": "int", "rows": 5})", "policy.wrong_kind", "line 1"},
        {"{\"version\": \"1\", \"key\": \"int\", \"value\": \"int\",\n\"rows\": [[1, 2],\n[1, 2, 3]]}", "policy.table_row",
         "line 3 column 1"},
        {R"({"version": "1", "key": "int", "value": "int", "rows": [[1.0, 2]]})", "policy.table_key", "column"},
        {R"({"version": "1", "key": "int", "value": "int", "rows": [["1", 2]]})", "policy.table_key", "column"},
        {R"({"version": "1", "key": "int", "value": "int", "rows": [[9223372036854775808, 2]]})", "policy.table_key", "column"},
        {R"({"version": "1", "key": "bool", "value": "int", "rows": [[0, 2]]})", "policy.table_key", "column"},
        {R"({"version": "1", "key": "string", "value": "int", "rows": [["a", 2.5]]})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "int", "rows": {"a": null}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "double", "rows": {"a": "1"}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "bool", "rows": {"a": 1}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "list<string>", "rows": {"a": "b"}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "list<string>", "rows": {"a": [1]}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "int", "default": "x", "rows": {}})", "policy.table_value", "column"},
        {R"({"version": "1", "key": "string", "value": "int", "rows": {"a": 1, "a": 2}})", "policy.json_duplicate_key", "line 1"},
        {R"({"version": "1", "key": "string", "value": "int", "rows": [["a", 1], ["b", 2], ["a", 1]]})", "policy.duplicate_key",
         "column 81"},
        {R"({"version": "1", "key": "bool", "value": "int", "rows": [[true, 1], [true, 2]]})", "policy.duplicate_key", "column"}};
    for (const bad& b : cases) {
        INFO(b.text);
        const auto made = read(b.text);
        REQUIRE(!made.ok());
        INFO(made.error().text());
        CHECK(made.error().code == b.code);
        CHECK(made.error().where.starts_with("table 'caps' "));
        CHECK(made.error().where.find(b.where) != std::string::npos);
    }
    const std::string whole = caps_text;
    for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK(!read(whole.substr(0, cut)).ok());
    for (const char* name : {"", "a/b", "a b", "größe"}) CHECK(read(whole, name).error().code == "policy.table_name");
    const std::vector<lookup_tables::document> twice{{"caps", whole}, {"caps", whole}};
    CHECK(lookup_tables::read(twice).error().code == "policy.duplicate_table");
}

TEST_CASE("tables are bounded together") {
    std::string half = R"({"version": "1", "key": "int", "value": "bool", "rows": [[0,true])";
    for (int i = 1; i < 500'001; ++i) half += fmt::format(",[{},true]", i);
    half += "]}";
    const std::vector<lookup_tables::document> one{{"a", half}}, both{{"a", half}, {"b", half}};
    const auto fine = lookup_tables::read(one);
    REQUIRE(fine.ok());
    CHECK(fine->list()[0].rows == 500'001);
    const auto refused = lookup_tables::read(both);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == "policy.too_many_rows");
    CHECK(refused.error().kind == error_kind::limit);
    CHECK(refused.error().where.find("'b'") != std::string::npos);
}

TEST_CASE("lookup gives the value of a key") {
    table_desk d;
    SECTION("a number of the action, compared with one of the task") {
        REQUIRE(d.one("task.amount > lookup('caps', action.kind)"));
        d.decide(R"({"intent": "refund", "amount": 300.0, "paid": true})", two);
        CHECK(d.out.allowed[0] == 1);  // close: 1000
        CHECK(d.out.allowed[1] == 0);  // refund: 250
    }
    SECTION("whole numbers, with a default for all other keys") {
        REQUIRE(d.one("lookup('levels', task.priority) == 7"));
        d.decide(R"({"intent": "refund", "amount": 1.0, "paid": true, "priority": 4})", two);
        CHECK(d.out.allowed[0] == 0);
        d.decide(R"({"intent": "refund", "amount": 1.0, "paid": true, "priority": -1})", two);
        CHECK(d.out.allowed[0] == 1);
    }
    SECTION("lists and bools") {
        REQUIRE(d.one("action.kind in lookup('regions', task.region) && lookup('teams', task.paid) == 'cash'"));
        d.decide(R"({"intent": "refund", "amount": 1.0, "paid": true, "region": "eu"})",
                 R"([{"id": "a", "kind": "refund"}, {"id": "b", "kind": "hold"}])");
        CHECK(d.out.allowed[0] == 0);
        CHECK(d.out.allowed[1] == 1);
        d.decide(R"({"intent": "refund", "amount": 1.0, "paid": false, "region": "eu"})", R"([{"id": "a", "kind": "refund"}])");
        CHECK(d.out.allowed[0] == 1);
    }
    SECTION("what the call says where there is no row") {
        REQUIRE(d.one("lookup('caps', action.kind, -1.0) < 0.0"));
        d.decide(plain_task, R"([{"id": "a", "kind": "unheard of"}, {"id": "b", "kind": "hold"}])");
        CHECK(d.out.allowed[0] == 0);
        CHECK(d.out.allowed[1] == 1);
        CHECK(!d.out.hits[0].failed);
    }
    SECTION("in place of the table's default") {
        REQUIRE(d.one("lookup('levels', task.priority, 8) == 8"));
        d.decide(R"({"intent": "refund", "amount": 1.0, "paid": true, "priority": 4})", two);
        CHECK(d.out.allowed[0] == 0);
    }
}

TEST_CASE("a key without a value is an error, and the rule narrows") {
    const std::string unheard = R"([{"id": "a", "kind": "unheard of"}, {"id": "b", "kind": "hold"}])";
    table_desk d;
    REQUIRE(d.one("task.amount > lookup('caps', action.kind)", "require_approval"));
    for (const char* engine : {"machine", "scalar", ""}) {
        REQUIRE(d.scratch.use(engine).ok());
        d.decide(R"({"intent": "refund", "amount": 0.25, "paid": true})", unheard);
        CHECK(d.out.cap[0] == verdict::require_approval);
        CHECK(d.out.cap[1] == verdict::auto_execute);
        REQUIRE(d.out.hits.size() == 1);
        CHECK(d.out.hits[0].failed);
        CHECK(d.out.hits[0].candidate == 0);
    }
    const rule_explanation why = explain_rule(d.policy, 0, d.f, 0, d.scratch);
    REQUIRE(why.clauses.size() == 1);
    CHECK(why.clauses[0].problem == "the table has no such key: 'caps'");
    // One that widens does nothing.
    REQUIRE(d.one("lookup('caps', action.kind) > 0.0", "boost", R"(, "by": 1.0)"));
    d.decide(plain_task, unheard);
    CHECK(d.out.boost[0] == 0);
    CHECK(d.out.boost[1] == 1);
    // What a call gives itself does not save a key that cannot be read, nor does a default.
    REQUIRE(d.one("lookup('regions', task.region, []) == []"));
    d.decide(plain_task, unheard);
    REQUIRE(d.out.hits.size() == 2);
    CHECK(d.out.hits[0].failed);
}

TEST_CASE("constant keys are looked up when the policy is compiled") {
    table_desk d;
    REQUIRE(d.one("task.amount > lookup('caps', 'refund')"));
    for (const cel::detail::instruction& i : d.policy.state->rules[0].condition.code) CHECK(i.op != cel::detail::opcode::lookup);
    d.decide(R"({"intent": "refund", "amount": 251.0, "paid": true})", two);
    CHECK(d.out.allowed[0] == 0);
    REQUIRE(d.one("lookup('levels', 3) == 30"));
    CHECK(d.finding("policy.always_true") != nullptr);
    CHECK(!d.one("lookup('levels', 3, 1 / 0) == 30"));
    CHECK(d.finding("policy.condition_fails") != nullptr);
}

TEST_CASE("what lookup cannot do is found when the policy is compiled") {
    table_desk d;
    const auto refused = [&](const std::string& when, std::string_view code, const std::string& hint) {
        INFO(when);
        CHECK(!d.one(when));
        const policy_finding* const f = d.finding(code);
        REQUIRE(f != nullptr);
        INFO(f->hint);
        CHECK(f->is_error);
        CHECK(f->hint.find(hint) != std::string::npos);
        CHECK(f->where.find("line 1 column ") != std::string::npos);
    };
    refused("lookup('cap', action.kind) > 1.0", "policy.unknown_table", "did you mean 'caps'?");
    refused("lookup('somewhere else', action.kind) > 1.0", "policy.unknown_table", "tables: caps, levels, regions, teams");
    refused("lookup(action.kind, action.kind) > 1.0", "policy.table_name", "lookup('limits', …)");
    refused("lookup('caps', task.amount) > 1.0", "policy.type", "");
    refused("lookup('levels', task.amount) > 1", "policy.type", "");
    refused("lookup('caps', action.kind) == 'x'", "policy.type", "");
    refused("lookup('caps', action.kind, 1) > 1.0", "policy.type", "write 1.0");
    refused("lookup('caps', action.kind, 'x') > 1.0", "policy.type", "");
    refused("lookup('caps') > 1.0", "policy.lookup", "lookup('table', key)");
    refused("lookup('caps', 'a', 1.0, 2.0) > 1.0", "policy.lookup", "");
    refused("lookup('caps', 'refnd') > task.amount", "policy.no_such_key", "did you mean 'refund'?");
    refused("task.lookup('caps', 'refund') > 1.0", "policy.unknown_function", "");
    refused("loookup('caps', 'refund') > 1.0", "policy.unknown_function", "did you mean 'lookup'?");
    // A value that the schema allows and the table does not know.
    REQUIRE(d.one("lookup('caps', task.intent) > task.amount"));
    const policy_finding* const lacks = d.finding("policy.key_not_in_table");
    REQUIRE(lacks != nullptr);
    CHECK(!lacks->is_error);
    CHECK(lacks->message == "table 'caps' has no key 'fraud', which task.intent may be");
    REQUIRE(d.one("lookup('caps', task.intent, 0.0) > task.amount"));
    CHECK(d.finding("policy.key_not_in_table") == nullptr);
    // Without any table.
    desk bare;
    CHECK(!bare.load({document("business", {rule("r", "lookup('caps', action.kind) > 1.0", "forbid")})}));
    CHECK(bare.problem.find("tables/") != std::string::npos);
}

TEST_CASE("a policy is another one when a table that it reads is") {
    const auto fingerprint = [](const std::string& caps, const std::string& levels) {
        const std::vector<lookup_tables::document> documents{{"caps", caps}, {"levels", levels}};
        const std::string text = document("business", {rule("r", "task.amount > lookup('caps', action.kind)", "forbid")});
        const policy_set::document d{"p", text};
        dictionary strings;
        const auto made = policy_set::compile({&d, 1}, schema::parse(schema_text).value(), strings, nullptr, policy_review::rules,
                                              lookup_tables::read(documents).value());
        REQUIRE(made->tables().size() == 1);
        CHECK(made->tables()[0].name == "caps");
        return made->fingerprint();
    };
    const std::string other = R"({"version": "4", "key": "string", "value": "double", "rows": {"refund": 300.0}})";
    const std::string levels = R"({"version": "1", "key": "int", "value": "int", "rows": []})";
    CHECK(fingerprint(caps_text, levels) ==
          fingerprint(caps_text, R"({"version": "2", "key": "int", "value": "int", "rows": []})"));
    CHECK(fingerprint(caps_text, levels) != fingerprint(other, levels));
}

TEST_CASE("documents' tests and invariants look into the tables") {
    table_desk d;
    const std::string tests = R"(, "tests": [
        {"task": {"amount": 300.0}, "candidate": {"kind": "refund"}, "expect": {"verdict": "require_approval", "rule": "r"}},
        {"task": {"amount": 300.0}, "candidate": {"kind": "close"}, "expect": {"verdict": "auto_execute"}}])";
    REQUIRE(d.load({document("business", {rule("r", "task.amount > lookup('caps', action.kind)", "require_approval")}, tests)}));
    for (const policy_set::test_result& t : d.policy.run_tests()) CHECK(t.passed);

    const auto proof = [&](const std::string& guard, const std::string& invariant) {
        const std::string more =
            fmt::format(R"(, "invariants": [{{"id": "i", "when": "{}", "never": "auto_execute"}}])", invariant);
        INFO(d.problem);
        REQUIRE(d.load({document("business", {rule("r", guard, "require_approval")}, more)}));
        return d.policy.prove().at(0);
    };
    using outcome = policy_set::proof::kind;
    // No row of the table is above 1000, and other keys fail, which asks for approval.
    CHECK(proof("task.amount > 1000.0 && task.amount > lookup('caps', action.kind)", "task.amount > 1000.0").what ==
          outcome::proved);
    // Texts of which each row is looked at, and all others are alike.
    CHECK(proof("action.kind in ['refund', 'hold']", "lookup('caps', action.kind, 9999.0) < 500.0").what == outcome::proved);
    const policy_set::proof refuted = proof("action.kind == 'refund'", "lookup('caps', action.kind, 9999.0) < 500.0");
    CHECK(refuted.what == outcome::refuted);
    CHECK(refuted.row.find("\"hold\"") != std::string::npos);
    CHECK(proof("lookup('levels', task.priority) > 7", "task.priority == 3").what == outcome::proved);
    CHECK(proof("lookup('levels', task.priority) > 7", "task.priority == 4").what == outcome::refuted);
}

TEST_CASE("a diff compares two states of a table") {
    const std::string rules = document("business", {rule("r", "task.amount > lookup('caps', action.kind)", "require_approval")});
    const std::vector<policy_set::document> documents{{"p.json", rules}};
    policy_diff_options options;
    options.old_tables = read(caps_text).value();
    options.new_tables =
        read(R"({"version": "4", "key": "string", "value": "double", "default": 100, "rows": {"close": 1}})").value();
    const auto made = policy_diff::compile(documents, documents, schema::parse(schema_text).value(), {}, options);
    REQUIRE(made.ok());
    policy_diff_workspace scratch;
    policy_diff_counts counts = made->begin();
    made->replay_lines(
        R"({"task": {"intent": "refund", "amount": 200.0, "paid": true}, "candidates": [{"id": "a", "kind": "refund"}], "now": 1}
{"task": {"intent": "refund", "amount": 50.0, "paid": true}, "candidates": [{"id": "a", "kind": "refund"}], "now": 1}
)",
        1, scratch, counts);
    CHECK(counts.decisions == 2);
    CHECK(counts.changed == 1);
    // Without its tables the policy does not compile, and the message says on which side.
    options.old_tables = {};
    const auto refused = policy_diff::compile(documents, documents, schema::parse(schema_text).value(), {}, options);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == "policy.unknown_table");
}
