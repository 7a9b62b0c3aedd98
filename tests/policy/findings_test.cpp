// What the checker says, word for word, and where: these texts are what policy authors live with.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;

namespace {

schema fields() {
    return schema::parse(R"({
      "task": [{"name": "intent", "type": "string", "values": ["refund", "fraud"]}, {"name": "amount", "type": "double"},
               {"name": "count", "type": "int"}, {"name": "note", "type": "string", "optional": true},
               {"name": "tags", "type": "list<string>"}],
      "action": [{"name": "kind", "type": "string"}]})")
        .value();
}

std::string line_of(const policy_finding& f) {
    return fmt::format("{} {} | {}: {}{}{}", f.is_error ? "error" : "warning", f.code, f.where, f.message,
                       f.hint.empty() ? "" : "; ", f.hint);
}

std::vector<std::string> findings_of(std::string_view text) {
    dictionary strings;
    std::vector<policy_finding> found;
    const policy_set::document d{"p.json", text};
    const auto compiled = policy_set::compile({&d, 1}, fields(), strings, &found);
    bool errors = false;
    std::vector<std::string> lines;
    for (const policy_finding& f : found) {
        errors = errors || f.is_error;
        lines.push_back(line_of(f));
    }
    CHECK(compiled.ok() == !errors);
    return lines;
}

/// The findings of one condition, in a document where it starts at line 3 column 12.
std::vector<std::string> condition(const std::string& when, const std::string& effect = "suggest_only") {
    std::string escaped;
    for (const char c : when) escaped += c == '\\' || c == '"' ? fmt::format("\\{}", c) : std::string(1, c);
    return findings_of(
        fmt::format("{{\"layer\": \"client\", \"version\": \"1\", \"rules\": [\n  {{\"id\": \"r\",\n   \"when\": \"{}\","
                    "\n   \"effect\": \"{}\", \"because\": \"b\"}}]}}",
                    escaped, effect));
}
std::string only(const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

}  // namespace

TEST_CASE("a misspelt field is found at its line and column, with the right name") {
    CHECK(only(condition("task.amout > 5.0")) ==
          "error policy.unknown_field | policy 'r' line 3 column 18: unknown field 'amout' on task; did you mean 'amount'?");
    CHECK(only(condition("has(action.knd)")) ==
          "error policy.unknown_field | policy 'r' line 3 column 24: unknown field 'knd' on action; did you mean 'kind'?");
    CHECK(only(condition("tsk.amount > 5.0")) ==
          "error policy.unknown_name | policy 'r' line 3 column 13: unknown name 'tsk'; did you mean 'task'?");
}

TEST_CASE("several problems are reported at once, each where it stands") {
    const auto lines = condition("task.amout > 5.0 && action.kind > 3 || 'x' == 5");
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].find("column 18: unknown field 'amout'") != std::string::npos);
    CHECK(lines[1] == "error policy.type | policy 'r' line 3 column 45: no '>' of string and int");
    CHECK(lines[2] == "error policy.type | policy 'r' line 3 column 56: no '==' of string and int");
}

TEST_CASE("type errors say what to write instead") {
    CHECK(only(condition("task.amount * 2 > 5.0")) ==
          "error policy.type | policy 'r' line 3 column 25: no '*' of double and int; write 2.0");
    CHECK(only(condition("task.amount > 5")).empty());  // comparisons cross numeric kinds
    CHECK(only(condition("task.amount + task.count > 5")) ==
          "error policy.type | policy 'r' line 3 column 25: no '+' of double and int; convert one of them: double(…)");
    CHECK(only(condition("task.note == null")) ==
          "error policy.type | policy 'r' line 3 column 23: no '==' of string and null_type; test has(…) for a field that may be "
          "missing");
    CHECK(only(condition("task.amount")) ==
          "error policy.condition_type | policy 'r' line 3 column 13: a condition is a bool, this is double; compare it with "
          "something");
    CHECK(only(condition("task.count && true")) ==
          "error policy.type | policy 'r' line 3 column 18: && takes a bool, found int; compare it with a number");
    CHECK(only(condition("'a' in task.intent")) ==
          "error policy.type | policy 'r' line 3 column 17: 'in' looks into a list or a map, found string; use "
          "text.contains(part)");
    CHECK(only(condition("startsWith(task.intent, 'a')")) ==
          "error policy.type | policy 'r' line 3 column 13: 'startsWith' does not take (string, string); call it as "
          "value.startsWith(…)");
    CHECK(
        only(condition("task.intent.startWith('a')")) ==
        "error policy.unknown_function | policy 'r' line 3 column 25: unknown function 'startWith'; did you mean 'startsWith'?");
    CHECK(only(condition("task == action")).find("'task' is a record, not a value; name one of its fields, such as task.") !=
          std::string::npos);
    CHECK(only(condition("task.tags.name == 'a'")) ==
          "error policy.type | policy 'r' line 3 column 23: list(string) has no field 'name'; use an index, or a macro such as "
          "exists(x, …)");
}

TEST_CASE("syntax errors") {
    CHECK(only(condition("task.count = 5")) ==
          "error policy.syntax | policy 'r' line 3 column 24: '=' is no operator; compare with '=='");
    CHECK(only(condition("task.count == ")) ==
          "error policy.syntax | policy 'r' line 3 column 27: expected a value, found end of the expression");
    CHECK(only(condition("(task.count == 1")) ==
          "error policy.syntax | policy 'r' line 3 column 29: expected ')', found end of the expression");
    CHECK(
        only(condition("task.intent == 'refund")) ==
        "error policy.unterminated_literal | policy 'r' line 3 column 28: the string that starts here has no end; close it with "
        "the same quote on the same line");
    CHECK(only(condition("task.intent == 'a' and true")) ==
          "error policy.syntax | policy 'r' line 3 column 32: unexpected 'and'; an operator is missing before it?");
    CHECK(only(condition("task.intent.matches('(')"))
              .starts_with("error policy.bad_regex | policy 'r' line 3 column 33: not a regular expression: 'missing ): ('"));
    CHECK(only(condition("task.intent.matches(action.kind)")).find("policy.regex_not_constant") != std::string::npos);
    // Escapes of JSON before the place do not shift it.
    CHECK(only(condition("task.intent == \"refund\" && task.amout > 1.0")).find("line 3 column 47: unknown field 'amout'") !=
          std::string::npos);
}

TEST_CASE("depth, size and nesting are bounded") {
    const auto code = [](const std::string& when) {
        const auto lines = condition(when);
        return lines.empty() ? std::string{} : lines[0].substr(0, lines[0].find(" |"));
    };
    CHECK(code(std::string(200, '(') + "true" + std::string(200, ')')) == "error policy.too_deep");
    CHECK(code(std::string(100'000, '(')) == "error policy.too_long");
    CHECK(code(std::string(9'000, '[')) == "error policy.too_deep");
    std::string chain = "task.count > 0";
    for (int i = 0; i < 400; ++i) chain += " && task.count > 0";
    CHECK(code(chain).empty());  // chains do not nest
    std::string sum = "1 == 1";
    for (int i = 0; i < 5'000; ++i) sum += "+1";
    CHECK(code(sum) == "error policy.too_many_nodes");
    CHECK(code("task.tags.all(a, task.tags.all(b, a == b))").empty());
    CHECK(code("task.tags.all(a, task.tags.all(b, task.tags.all(c, a == c)))") == "error policy.macro_nesting");
}

TEST_CASE("warnings do not refuse a document") {
    CHECK(only(condition("1 + 1 == 2")) ==
          "warning policy.always_true | policy 'r' line 3 column 13: the condition is always true; test a field of the task or "
          "the action");
    CHECK(only(condition("'a' in []")).find("warning policy.always_false") == 0);
    CHECK(only(condition("1 / 0 == 1")) ==
          "error policy.condition_fails | policy 'r' line 3 column 15: the condition always fails: division by zero");
    CHECK(only(condition("task.intent == 'frud'")) ==
          "warning policy.value_not_declared | policy 'r' line 3 column 28: 'frud' is not a declared value of task.intent; did "
          "you mean "
          "'fraud'?");
    CHECK(only(condition("task.intent in ['refund', 'x']")) ==
          "warning policy.value_not_declared | policy 'r' line 3 column 39: 'x' is not a declared value of task.intent; "
          "declared: refund, "
          "fraud");
    CHECK(only(condition("task.count > 3", "forbid")) ==
          "warning policy.task_only | policy 'r' line 3 column 13: the condition reads only the task, so 'forbid' treats every "
          "candidate "
          "alike; test a field of the action, or escalate the task");
    CHECK(condition("task.count > 3", "escalate").empty());
    CHECK(only(condition("task.intent.matches('^ref')")) ==
          "warning policy.regex_is_plain | policy 'r' line 3 column 33: this pattern needs no regular expression; write "
          "startsWith('ref')");
    CHECK(only(condition("task.intent.matches('^refund$')")).find("write == 'refund'") != std::string::npos);
    CHECK(only(condition("task.intent.matches('und$')")).find("write endsWith('und')") != std::string::npos);
    CHECK(condition("task.intent.matches('^re.und$')").empty());
}

TEST_CASE("the document itself: every wrong key with its place, all at once") {
    const auto lines = findings_of(R"({"layer": "cleint", "version": 7, "ruls": [],
 "rules": [
  {"id": "a", "when": "task.count > 1", "effect": "forbidd", "because": "b", "wen": 1},
  {"id": "b", "when": "task.count > 1", "effect": "limit", "because": "b", "key": "task.id", "count": 3, "per": "hourly"},
  {"id": "c", "when": "task.count > 1", "effect": "escalate", "because": " "},
  {"id": "c", "when": "task.count > 1", "effect": "boost", "because": "b", "queue": "q"},
  {"when": "task.count > 1", "effect": "escalate", "because": "b"},
  3],
 "tests": [{"task": {}, "expect": {}}, {"expect": {"verdict": "never"}}]})");
    const std::vector<std::string> wanted{
        "error policy.bad_choice | policy document 'p.json' line 1 column 2: 'layer' cannot be 'cleint'; did you mean 'client'?",
        "error policy.unknown_field | policy document 'p.json' line 1 column 35: unknown field 'ruls'; did you mean 'rules'?",
        "error policy.wrong_kind | policy document 'p.json' line 1 column 21: 'version' must be a string, found an integer; "
        "version of "
        "this document, recorded with every decision",
        "error policy.bad_choice | policy 'a' line 3 column 41: 'effect' cannot be 'forbidd'; did you mean 'forbid'?",
        "error policy.unknown_field | policy 'a' line 3 column 78: unknown field 'wen'; did you mean 'when'?",
        "error policy.bad_duration | policy 'b' line 4 column 113: 'per' is a duration from \"1ms\" to \"8784h\"; write hours, "
        "minutes and seconds: \"1h\", \"30m\", \"24h\"",
        "error policy.no_reason | policy 'c' line 5 column 74: a rule needs a reason; say why, for the person who reads the "
        "decision",
        "error policy.duplicate_rule | policy 'c' line 6 column 10: rule 'c' stands twice; give one of them another id",
        "error policy.unused_parameter | policy 'c' line 6 column 85: 'queue' means nothing to effect 'boost'; take it out; it "
        "belongs to escalate or route",
        "error policy.bad_amount | policy 'c' line 6 column 51: effect 'boost' needs 'by'; add \"by\": 0.1",
        "error policy.missing_field | policy document 'p.json' line 7 column 3: field 'id' is missing; name of the rule, unique "
        "over all "
        "layers",
        "error policy.wrong_kind | policy document 'p.json' line 8 column 3: expected an object, found an integer",
        "error policy.empty_test | policy document 'p.json' line 9 column 35: the test expects nothing; add \"verdict\" or "
        "\"rule\"",
    };
    INFO(only(lines));
    for (const std::string& line : wanted) {
        INFO(line);
        CHECK(std::find(lines.begin(), lines.end(), line) != lines.end());
    }
    CHECK(lines.size() == wanted.size() + 1);  // and the test without a task
    CHECK(only(findings_of("{\"layer\": \"client\",\n \"version\": }"))
              .starts_with("error policy.json_syntax | policy document 'p.json' line 2 column"));
    CHECK(only(findings_of("[]")) ==
          "error policy.wrong_kind | policy document 'p.json' line 1 column 1: a policy document is an object, "
          "found an array");
}
