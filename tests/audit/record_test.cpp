#include "opspilot/audit/record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "allocation_count.hpp"
#include "catch.hpp"
#include "opspilot/audit/log.hpp"

using namespace opspilot;
using nlohmann::json;

namespace {

/// A full record; its texts are literals.
struct example {
    record_reason reasons[2] = {{"policy.escalate", "fraud-to-human", "compliance", "Fraud goes to a person.", false},
                                {"policy.failed", "refund-cap", "client", "Not evaluable.", true}};
    record_candidate ranked[2] = {{"close", 1.5, 0.875, "suggest", true, {}}, {"refund", -2.25, 0.125, "escalate", false, {}}};
    std::string_view degraded[1] = {"rank.trees"};
    record r;

    example() {
        ranked[1].reasons = reasons;
        r.id = "00112233445566778899aabbccddeeff";
        r.time_us = 1'718'000'000'000'000;
        r.client = "acme";
        r.task = "T-1";
        r.stage = "shadow";
        r.shadow = true;
        r.verdict = "suggest";
        r.proposed = "auto_execute";
        r.action = "close";
        r.queue = "trust";
        r.probability = 0.875;
        r.threshold = 0.1;
        r.override_probability = 0.25;
        r.propensity = 1;
        r.rung = "full";
        r.degraded = degraded;
        r.bundle = "b0";
        r.bundle_version = "7";
        r.schema = "s0";
        r.features = "f0";
        r.model = "m0";
        r.policy = "p0";
        r.calibration = "c0";
        r.library = "0.1.0";
        r.reasons = reasons;
        r.candidates = 5;
        r.ranked = ranked;
        r.fields = R"({"amount":12.5})";
    }
    [[nodiscard]] std::string line() const {
        std::string out;
        write_json(r, out);
        return out;
    }
};

}  // namespace

TEST_CASE("a record is one line with its keys in a fixed order") {
    CHECK(
        example().line() ==
        R"({"v":1,"type":"decision","id":"00112233445566778899aabbccddeeff","time":1718000000000000,"client":"acme","task":"T-1",)"
        R"("stage":"shadow","shadow":true,"verdict":"suggest","proposed":"auto_execute","action":"close","queue":"trust",)"
        R"("probability":0.875,"threshold":0.1,"override_probability":0.25,"propensity":1,"rung":"full","degraded":["rank.trees"],)"
        R"("versions":{"bundle":"b0","bundle_version":"7","schema":"s0","features":"f0","model":"m0","policy":"p0",)"
        R"("calibration":"c0","library":"0.1.0"},"reasons":[{"code":"policy.escalate","rule":"fraud-to-human",)"
        R"("layer":"compliance","text":"Fraud goes to a person.","failed":false},{"code":"policy.failed","rule":"refund-cap",)"
        R"("layer":"client","text":"Not evaluable.","failed":true}],"candidates":5,"ranked":[{"action":"close","score":1.5,)"
        R"("probability":0.875,"verdict":"suggest","allowed":true,"reasons":[]},{"action":"refund","score":-2.25,)"
        R"("probability":0.125,"verdict":"escalate","allowed":false,"reasons":[{"code":"policy.escalate",)"
        R"("rule":"fraud-to-human","layer":"compliance","text":"Fraud goes to a person.","failed":false},)"
        R"({"code":"policy.failed","rule":"refund-cap","layer":"client","text":"Not evaluable.","failed":true}]}],)"
        R"("fields":{"amount":12.5}})"
        "\n");
}

TEST_CASE("what is written reads back the same") {
    const example e;
    const auto read = read_record(e.line());
    REQUIRE(read);
    CHECK(read->id == e.r.id);
    CHECK(read->time_us == e.r.time_us);
    CHECK(read->shadow);
    CHECK(read->threshold == 0.1);
    CHECK(read->degraded == std::vector<std::string>{"rank.trees"});
    CHECK(read->model == "m0");
    CHECK(read->library == "0.1.0");
    CHECK(read->reasons.size() == 2);
    CHECK(read->reasons[1].failed);
    CHECK(read->ranked.size() == 2);
    CHECK(read->ranked[1].score == -2.25);
    CHECK(read->ranked[1].reasons[0].layer == "compliance");
    CHECK(read->candidates == 5);
    CHECK(read->fields == R"({"amount":12.5})");
}

TEST_CASE("numbers keep their bits, and what is not finite reads as nothing") {
    example e;
    for (const double value : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.125}) {
        e.ranked[0].score = value;
        const auto read = read_record(e.line());
        REQUIRE(read);
        CHECK(*read->ranked[0].score == value);
        CHECK(std::signbit(*read->ranked[0].score) == std::signbit(value));
    }
    for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
        e.r.threshold = value;
        e.ranked[0].score = value;
        const auto read = read_record(e.line());
        REQUIRE(read);
        CHECK_FALSE(read->threshold);
        CHECK_FALSE(read->ranked[0].score);
    }
}

TEST_CASE("any text is written as valid JSON on one line") {
    example e;
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    for (const std::string& text :
         {all, std::string("\xF0\x9F\x92"), std::string("a\xC3\xA9\"\\/\n\u2028"), std::string("\xFF\xFE")}) {
        e.r.task = text;
        const std::string line = e.line();
        CHECK(std::count(line.begin(), line.end(), '\n') == 1);
        CHECK(json::accept(line));
        const auto read = read_record(line);
        REQUIRE(read);
        if (text == "a\xC3\xA9\"\\/\n\u2028") CHECK(read->task == text);
    }
    e.r.task = "x";
    e.r.fields = "{\n  \"a\": \"b\\n\",\r\n  \"c\": 1\n}";
    const std::string line = e.line();
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
    CHECK(read_record(line)->fields == R"({"a":"b\n","c":1})");
    e.r.fields = "";
    CHECK(read_record(e.line())->fields == "{}");
}

TEST_CASE("writing into a warm string allocates nothing") {
    example e;
    e.r.task = "bad \xFF bytes and \"quotes\"";
    std::string out;
    for (int i = 0; i < 3; ++i) {
        out.clear();
        write_json(e.r, out);
    }
    const std::size_t before = allocations_so_far();
    for (int i = 0; i < 100; ++i) {
        out.clear();
        write_json(e.r, out);
    }
    const std::size_t after = allocations_so_far();
    CHECK(after == before);
    std::string cold;
    write_json(e.r, cold);
    if (counts_allocations) CHECK(allocations_so_far() > after);  // the counter counts
}

TEST_CASE("the reader is strict: every key, of its kind, and no other") {
    const json original = json::parse(example().line());
    const auto refused = [](const json& d) {
        const auto read = read_record(d.dump());
        REQUIRE_FALSE(read);
        CHECK(read.error().kind == error_kind::audit);
        return read.error();
    };
    for (const auto& [key, value] : original.items()) {
        json d = original;
        d.erase(key);
        CHECK(refused(d).code == "audit.missing_field");
        d[key] = key == "probability" || key == "threshold" || key == "override_probability" || key == "propensity"
                     ? json("text")
                     : json(nullptr);
        CHECK(refused(d).code == "audit.wrong_kind");
    }
    json d = original;
    d["hash"] = "x";
    CHECK(refused(d).code == "audit.unknown_field");
    d = original;
    d["v"] = 2;
    CHECK(refused(d).code == "audit.version");
    d = original;
    d["verdict"] = "auto-execute";
    CHECK(refused(d).hint == "did you mean 'auto_execute'?");
    d = original;
    d["candidates"] = 1;
    CHECK(refused(d).code == "audit.bad_count");
    d = original;
    d["degraded"][0] = 1;
    CHECK(refused(d).where == "/degraded/0");
    d = original;
    d["ranked"][1]["reasons"][0].erase("code");
    CHECK(refused(d).where == "/ranked/1/reasons/0");
}

TEST_CASE("an explanation stands in the line when there is one, and reads back") {
    example e;
    CHECK_FALSE(read_record(e.line())->explained);
    const std::array<record_explanation::part, 2> parts{{{"amount", -1.5}, {"kind=\"x\"", 0.1}}};
    record_explanation why{.action = "close",
                           .stage = "rank",
                           .method = "tree_shap",
                           .missing = {},
                           .score = 0.75,
                           .base = 2,
                           .others = 0.15,
                           .contributions = parts};
    e.r.explanation = &why;
    CHECK(
        e.line().find(R"("explanation":{"action":"close","stage":"rank","method":"tree_shap","missing":"","score":0.75,"base":2,)"
                      R"("contributions":[{"feature":"amount","contribution":-1.5},{"feature":"kind=\"x\"","contribution":0.1}],)"
                      R"("others":0.15},"fields":)") != std::string::npos);
    const auto read = read_record(e.line());
    REQUIRE(read);
    REQUIRE(read->explained);
    CHECK(read->explained->action == "close");
    CHECK(read->explained->score == 0.75);
    CHECK(read->explained->others == 0.15);
    REQUIRE(read->explained->contributions.size() == 2);
    CHECK(read->explained->contributions[1].feature == "kind=\"x\"");
    CHECK(read->explained->contributions[0].contribution == -1.5);

    const json original = json::parse(e.line());
    for (const auto& [key, value] : original.at("explanation").items()) {
        json d = original;
        d["explanation"].erase(key);
        CHECK(read_record(d.dump()).error().code == "audit.missing_field");
    }
    json d = original;
    d["explanation"]["contributions"][1]["value"] = 3;
    CHECK(read_record(d.dump()).error().code == "audit.unknown_field");
    CHECK(read_record(d.dump()).error().where == "/explanation/contributions/1/value");
    d = original;
    d["explanation"]["contributions"][0]["contribution"] = "x";
    CHECK(read_record(d.dump()).error().code == "audit.wrong_kind");

    record_explanation none;
    none.missing = "explanation.rung";
    e.r.explanation = &none;
    const auto without = read_record(e.line());
    REQUIRE(without);
    CHECK(without->explained->missing == "explanation.rung");
    CHECK_FALSE(without->explained->score);
}

TEST_CASE("clauses stand in the line when there are some, and read back") {
    example e;
    CHECK_FALSE(read_record(e.line())->clauses);
    const std::array<record_clauses::seen, 1> values{{{"task.amount", "12.5"}}};
    const std::array<record_clauses::clause, 2> clauses{
        {{.text = "task.amount > 1.0", .offset = 3, .length = 17, .gives = "true", .problem = {}, .values = values},
         {.text = "task.\"x\"", .gives = "error", .problem = "the field is missing", .values = {}}}};
    const std::array<std::string_view, 2> change{{"has(task.x)", "task.amount <= 1.0"}};
    const std::array<record_clauses::rule, 1> rules{{{.action = "close",
                                                      .id = "cap",
                                                      .layer = "client",
                                                      .effect = "forbid",
                                                      .failed = true,
                                                      .clauses = clauses,
                                                      .change = change}}};
    const record_clauses why{.missing = {}, .rules = rules, .left_out = 7};
    e.r.clauses = &why;
    const auto read = read_record(e.line());
    REQUIRE(read);
    REQUIRE(read->clauses);
    CHECK(read->clauses->left_out == 7);
    REQUIRE(read->clauses->rules.size() == 1);
    const parsed_record::explained_rule& cap = read->clauses->rules[0];
    CHECK(cap.rule == "cap");
    CHECK(cap.failed);
    REQUIRE(cap.clauses.size() == 2);
    CHECK(cap.clauses[0].values.at(0).value == "12.5");
    CHECK(cap.clauses[1].text == "task.\"x\"");
    CHECK(cap.clauses[1].problem == "the field is missing");
    CHECK(cap.change == std::vector<std::string>{"has(task.x)", "task.amount <= 1.0"});

    const json original = json::parse(e.line());
    const auto lacks_each = [&](const json::json_pointer& place) {
        for (const auto& [key, value] : original.at(place).items()) {
            json d = original;
            d[place].erase(key);
            CHECK(read_record(d.dump()).error().code == "audit.missing_field");
        }
    };
    lacks_each("/clauses"_json_pointer);
    lacks_each("/clauses/rules/0"_json_pointer);
    lacks_each("/clauses/rules/0/clauses/1"_json_pointer);
    lacks_each("/clauses/rules/0/clauses/0/values/0"_json_pointer);
    const auto bent = [&](const char* place, json value) {
        json d = original;
        d[json::json_pointer(place)] = std::move(value);
        const error problem = read_record(d.dump()).error();
        CHECK(problem.where == place);
        return std::string(problem.code);
    };
    CHECK(bent("/clauses/left_out", -1) == "audit.bad_count");
    CHECK(bent("/clauses/rules/0/clauses/0/offset", 4294967296) == "audit.bad_count");
    CHECK(bent("/clauses/rules/0/clauses/0/gives", "maybe") == "audit.bad_choice");
    CHECK(bent("/clauses/rules/0/change/1", 5) == "audit.wrong_kind");
    CHECK(bent("/clauses/rules/0/clauses/1", nullptr) == "audit.wrong_kind");
}

TEST_CASE("no change of one byte crashes the reader, no shortened line reads") {
    const std::string line = example().line();
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        CHECK_FALSE(read_record(std::string_view(line).substr(0, i)));
        for (const char byte : {'\0', '"', '{', '\xFF', '9'}) {
            std::string bent = line;
            bent[i] = byte;
            const auto read = read_record(bent);
            if (!read) REQUIRE(read.error().kind == error_kind::audit);
        }
    }
}

TEST_CASE("a log is counted, and its first bad line named by number and byte") {
    example e;
    std::string log = e.line();
    e.r.time_us -= 5;
    e.r.shadow = false;
    e.r.verdict = "auto_execute";
    log += e.line();
    const auto good = check_log(log);
    CHECK(good.ok);
    CHECK(good.records == 2);
    CHECK(good.bytes == log.size());
    CHECK(good.first_time_us == e.r.time_us);
    CHECK(good.last_time_us == e.r.time_us + 5);
    CHECK(good.by_verdict == std::array<std::uint64_t, 5>{0, 0, 1, 0, 1});
    CHECK(good.shadow == 1);
    CHECK(check_log("").ok);
    CHECK(check_log("").records == 0);

    const auto torn = check_log(log + e.line().substr(0, 40));
    CHECK_FALSE(torn.ok);
    CHECK(torn.records == 2);
    CHECK(torn.bytes == log.size());
    REQUIRE(torn.first_bad);
    CHECK(torn.first_bad->line == 3);
    CHECK(torn.first_bad->offset == log.size());
    CHECK(torn.first_bad->problem.code == "audit.truncated");

    std::string whole_but_open = log;
    whole_but_open.pop_back();
    CHECK(check_log(whole_but_open).first_bad->problem.code == "audit.truncated");
    CHECK(check_log(log + "\n").first_bad->problem.code == "audit.empty_line");
    CHECK(check_log("{}\n" + log).first_bad->offset == 0);
    CHECK(check_log("{}\n" + log).first_bad->problem.code == "audit.missing_field");
    CHECK(check_log(log, 100).first_bad->problem.code == "audit.line_too_long");
    const auto junk = check_log(log + "\xFF\xFE\n" + log);
    CHECK(junk.first_bad->line == 3);
    CHECK(junk.first_bad->problem.code == "audit.utf8");
}
