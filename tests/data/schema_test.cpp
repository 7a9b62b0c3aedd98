#include "opspilot/data/schema.hpp"

#include "catch.hpp"

using namespace opspilot;

namespace {
constexpr const char* document = R"({
  "task": [
    {"name": "amount", "type": "double", "unit": "USD", "min": 0},
    {"name": "opened", "type": "timestamp", "optional": true},
    {"name": "balance", "type": "double", "optional": true, "max_age": "15m", "as_of": "opened", "default": 0},
    {"name": "intent", "type": "string", "values": ["refund", "close"], "default": "close"},
    {"name": "note", "type": "string", "optional": true, "pii": "personal", "description": "free text"},
    {"name": "tags", "type": "list<string>", "optional": true, "default": ["a"]}],
  "action": [{"name": "id", "type": "string"}, {"name": "cost", "type": "int", "default": 3, "max": 9}],
  "candidate": [{"name": "seen", "type": "bool", "optional": true}]})";

error refusal(std::string_view text) {
    const auto made = schema::parse(text);
    REQUIRE_FALSE(made.ok());
    return made.error();
}
}  // namespace

TEST_CASE("a schema document gives its fields in order, with the implicit ones first") {
    const auto made = schema::parse(document);
    REQUIRE(made.ok());
    const auto task = made->fields(role::task);
    REQUIRE(task.size() == 8);
    CHECK(task[0].name == "id");
    CHECK(task[1].name == "client");
    CHECK(task[1].pii == pii_class::pseudonymous);
    CHECK(task[2].name == "amount");
    CHECK(task[4].max_age_us == 900'000'000);
    CHECK(made->dated_by(role::task, 4) == 3);
    CHECK(made->dated_by(role::task, 2) == no_field);
    CHECK(std::get<double>(task[4].default_value) == 0.0);
    CHECK(std::get<std::vector<std::string>>(task[7].default_value) == std::vector<std::string>{"a"});
    CHECK(made->fields(role::action).size() == 2);
    CHECK(made->allows(role::task, 5, "refund"));
    CHECK_FALSE(made->allows(role::task, 5, "refnd"));
    CHECK(made->allows(role::task, 6, "anything"));
}

TEST_CASE("the canonical document gives the schema again") {
    const auto made = schema::parse(document);
    REQUIRE(made.ok());
    const auto again = schema::parse(made->to_json());
    REQUIRE(again.ok());
    CHECK(*again == *made);
    CHECK(again->to_json() == made->to_json());
    CHECK(again->fingerprint() == made->fingerprint());
    CHECK(schema::parse(schema().to_json())->to_json() == schema().to_json());
    CHECK(schema::parse("{}")->to_json() == schema().to_json());
}

TEST_CASE("the fingerprint covers what decides scoring and nothing else") {
    const auto print = [](std::string_view text) { return schema::parse(text).value().fingerprint(); };
    const auto base = print(R"({"task":[{"name":"a","type":"int"},{"name":"b","type":"int"}]})");
    CHECK(base.size() == 64);
    CHECK(base == print(R"({"task":[{"name":"a","type":"int","unit":"ms","description":"x"},{"name":"b","type":"int"}]})"));
    CHECK(base != print(R"({"task":[{"name":"b","type":"int"},{"name":"a","type":"int"}]})"));
    CHECK(base != print(R"({"task":[{"name":"a","type":"double"},{"name":"b","type":"int"}]})"));
    CHECK(base != print(R"({"task":[{"name":"a","type":"int","default":1},{"name":"b","type":"int"}]})"));
    CHECK(base != print(R"({"task":[{"name":"a","type":"int","optional":true},{"name":"b","type":"int"}]})"));
}

TEST_CASE("names are resolved, and misspelt ones answered with the nearest") {
    const auto made = schema::parse(document);
    REQUIRE(made.ok());
    const auto path = made->resolve("action.cost");
    REQUIRE(path.ok());
    CHECK(path->where == role::action);
    CHECK(made->at(*path).name == "cost");
    CHECK(made->find(role::candidate, "seen") == 0U);
    CHECK_FALSE(made->find(role::candidate, "amount"));
    const auto misspelt = made->require(role::task, "amout", "/inputs/0");
    REQUIRE_FALSE(misspelt.ok());
    CHECK(misspelt.error().text() == "/inputs/0: unknown field 'amout' on task; did you mean 'amount'?");
    CHECK(misspelt.error().code == "schema.unknown_field");
    CHECK(made->require(role::action, "balance").error().hint == "'balance' is a field of task");
    CHECK(made->resolve("tsk.amount").error().hint == "did you mean 'task'?");
    CHECK(made->resolve("amount").error().code == "schema.bad_path");
    CHECK(made->resolve("task.amout").error().hint == "did you mean 'amount'?");
    CHECK(made->resolve("task.").error().code == "schema.unknown_field");
}

TEST_CASE("faulty schema documents are refused where they err") {
    CHECK(refusal(R"({"tasks": []})").hint == "did you mean 'task'?");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "number"}]})").where == "/task/0/type");
    CHECK(refusal(R"({"task": [{"name": "a", "typ": "int"}]})").where == "/task/0/typ");
    CHECK(refusal(R"({"task": [{"name": "a b", "type": "int"}]})").code == "schema.bad_name");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]})").where == "/task/1");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "default": 1.5}]})").where == "/task/0/default");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "default": 18446744073709551615}]})").code == "schema.bad_default");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "default": 5, "max": 4}]})").code == "schema.bad_default");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "min": 5, "max": 4}]})").code == "schema.bad_bound");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "string", "min": 5}]})").code == "schema.bad_bound");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "values": ["x"]}]})").code == "schema.bad_values");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "string", "values": ["x", "x"]}]})").where == "/task/0/values/1");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "string", "values": ["x"], "default": "y"}]})").code ==
          "schema.bad_default");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "max_age": "1h"}]})").code == "schema.undated");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "max_age": "0s", "as_of": "b"}]})").code == "schema.bad_duration");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "max_age": "1h", "as_of": "at"}]})").code == "schema.unknown_field");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "int", "max_age": "1h", "as_of": "a"}]})").code == "schema.undated");
    CHECK(refusal(R"({"task": [{"name": "id", "type": "int"}]})").code == "schema.reserved_field");
    CHECK(refusal(R"({"action": [{"name": "id", "type": "string", "optional": true}]})").code == "schema.reserved_field");
    CHECK(refusal("[]").code == "schema.wrong_kind");
    CHECK(refusal("{").code == "schema.json_syntax");
    std::string many = R"({"candidate": [)";
    for (int i = 0; i < 4097; ++i) {
        if (i > 0) many += ',';
        many += R"({"type": "int", "name": "f)";
        many += std::to_string(i);
        many += "\"}";
    }
    CHECK(refusal(many + "]}").code == "schema.too_many_fields");
}

TEST_CASE("durations are whole numbers with a unit") {
    CHECK(parse_duration("250ms").value() == 250'000);
    CHECK(parse_duration("15m").value() == 900'000'000);
    CHECK(parse_duration("24h").value() == 86'400'000'000);
    CHECK(parse_duration("7d").value() == 604'800'000'000);
    CHECK(parse_duration("1w").value() == 604'800'000'000);
    CHECK(parse_duration("3us").value() == 3);
    for (const char* text : {"", "h", "1", "1.5h", "-1h", "0s", "1 h", "1H", "1hh", "99999999999999999999s", "9999999999999d"}) {
        INFO(text);
        const auto read = parse_duration(text, "/x");
        REQUIRE_FALSE(read.ok());
        CHECK(read.error().code == "schema.bad_duration");
        CHECK(read.error().where == "/x");
    }
    for (const std::int64_t value :
         {1LL, 1000LL, 1001LL, 900'000'000LL, 86'400'000'000LL, 90'000'000'000LL, 9223372036854775807LL})
        CHECK(parse_duration(format_duration(value)).value() == value);
    CHECK(format_duration(604'800'000'000) == "7d");
    CHECK(format_duration(5'400'000'000) == "90m");
}

// The instants are those of Python's datetime.fromisoformat(...).timestamp(), the first four the examples of RFC 3339, 5.8.
TEST_CASE("timestamps follow RFC 3339") {
    CHECK(parse_timestamp("1985-04-12T23:20:50.52Z").value() == 482196050520000);
    CHECK(parse_timestamp("1996-12-19T16:39:57-08:00").value() == 851042397000000);
    CHECK(parse_timestamp("1990-12-31T23:59:60Z").value() == 662688000000000);
    CHECK(parse_timestamp("1937-01-01T12:00:27.87+00:20").value() == -1041337172130000);
    CHECK(parse_timestamp("1970-01-01t00:00:00z").value() == 0);
    CHECK(parse_timestamp("2024-02-29 12:00:00.1234567Z").value() == 1709208000123456);
    CHECK(parse_timestamp("0000-01-01T00:00:00Z").value() == -62167219200000000);
    CHECK(parse_timestamp("9999-12-31T23:59:59.999999Z").value() == 253402300799999999);
    for (const char* text : {"", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01",
                             "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00",
                             "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+0100",
                             "2024-01-01T00:00:00Zx", "24-01-01T00:00:00Z", "+024-01-01T00:00:00Z"}) {
        INFO(text);
        const auto read = parse_timestamp(text);
        REQUIRE_FALSE(read.ok());
        CHECK(read.error().code == "schema.bad_timestamp");
    }
}

TEST_CASE("field tables name every key") {
    CHECK(schema::document_fields().size() == 3);
    CHECK(schema::field_fields().size() == 13);
}

TEST_CASE("a field for audit only says so, reads back, and is in no fingerprint") {
    const std::string plain = R"({"task": [{"name": "gender", "type": "string", "optional": true}]})";
    const std::string audit = R"({"task": [{"name": "gender", "type": "string", "optional": true, "use": "audit"}]})";
    const auto before = schema::parse(plain), after = schema::parse(audit);
    REQUIRE(before.ok());
    REQUIRE(after.ok());
    CHECK_FALSE(before->fields(role::task)[2].audit_only);
    CHECK(after->fields(role::task)[2].audit_only);
    CHECK_FALSE(*before == *after);
    CHECK(before->fingerprint() == after->fingerprint());
    const auto again = schema::parse(after->to_json());
    REQUIRE(again.ok());
    CHECK(*again == *after);
    CHECK(refusal(R"({"task": [{"name": "id", "type": "string", "use": "audit"}]})").code == "schema.reserved_field");
    CHECK(refusal(R"({"task": [{"name": "a", "type": "string", "use": "judge"}]})").code == "schema.bad_choice");
}
