#include "opspilot/audit/outcome.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "opspilot/audit/log.hpp"

using namespace opspilot;
using nlohmann::json;

namespace {

constexpr std::string_view id = "00112233445566778899aabbccddeeff";

outcome_record overridden() {
    return {.decision = std::string(id),
            .time_us = 1'718'000'000'000'000,
            .what = {.kind = outcome_kind::overridden, .action = "ask_receipt", .reward = -0.25, .delay_us = 3'600'000'000}};
}

std::string line_of(const outcome_record& r) {
    std::string out;
    write_json(r, out);
    return out;
}

/// A line about a decision; of its record only what `check_log` counts matters here.
std::string decision_line() {
    record r;
    r.id = id;
    r.time_us = 1'718'000'000'000'000;
    r.verdict = r.proposed = "suggest";
    std::string out;
    write_json(r, out);
    return out;
}

error refused(std::string_view document) {
    const auto read = read_outcome(document);
    INFO(document);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == error_kind::schema);
    return read.error();
}

}  // namespace

TEST_CASE("an outcome is read field by field") {
    const auto whole = read_outcome(R"({"kind": "overridden", "action": "ask_receipt", "reward": 1, "delay_us": 5})");
    REQUIRE(whole);
    CHECK(whole->kind == outcome_kind::overridden);
    CHECK(whole->action == "ask_receipt");
    CHECK(whole->reward == 1.0);
    CHECK(whole->delay_us == 5);
    for (const auto kind : {outcome_kind::accepted, outcome_kind::overridden, outcome_kind::reversed, outcome_kind::complaint}) {
        const auto read = read_outcome(R"({"kind": ")" + std::string(name(kind)) + "\"}");
        REQUIRE(read);
        CHECK(read->kind == kind);
        CHECK(read->action.empty());
        CHECK_FALSE(read->reward);
        CHECK_FALSE(read->delay_us);
    }
    CHECK(read_outcome(R"({"kind": "observed", "reward": 0})")->reward == 0.0);
    CHECK(read_outcome(R"({"kind": "accepted", "delay_us": 0})")->delay_us == 0);
}

TEST_CASE("an outcome that is wrong is refused with its place and its cure") {
    CHECK(refused("").code == "schema.json_syntax");
    CHECK(refused("{\"kind\": \"accepted\xFF\"}").code == "schema.utf8");
    CHECK(refused("[]").code == "schema.wrong_kind");
    CHECK(refused("{}").code == "schema.missing_field");
    CHECK(refused(R"({"kind": "accepted", "kind": "reversed"})").code == "schema.json_duplicate_key");
    CHECK(refused(R"({"kind": "accepted", "rewrd": 1})").where == "/rewrd");
    CHECK(refused(R"({"kind": "accepted", "rewrd": 1})").hint == "did you mean 'reward'?");
    CHECK(refused(R"({"kind": "accepted", "comment": "she was angry"})").code == "schema.unknown_field");
    CHECK(refused(R"({"kind": "accepted", "reviewer": "Alexis"})").code == "schema.unknown_field");
    CHECK(refused(R"({"kind": "acepted"})").hint == "did you mean 'accepted'?");
    CHECK(refused(R"({"kind": 1})").where == "/kind");
    CHECK(refused(R"({"kind": "overridden", "action": 3})").where == "/action");
    CHECK(refused(R"({"kind": "accepted", "reward": "1"})").code == "schema.wrong_kind");
    CHECK(refused(R"({"kind": "accepted", "reward": null})").where == "/reward");
    CHECK(refused(R"({"kind": "accepted", "reward": 1e999})").code == "schema.json_syntax");
    CHECK(refused(R"({"kind": "accepted", "delay_us": 1.5})").code == "schema.wrong_kind");
    CHECK(refused(R"({"kind": "accepted", "delay_us": 9223372036854775808})").code == "schema.wrong_kind");
    CHECK(refused(R"({"kind": "accepted", "delay_us": -1})").code == "schema.out_of_range");
    CHECK(refused(R"({"kind": "accepted", "delay_us": -1})").where == "/delay_us");
    CHECK(refused(R"({"kind": "observed"})").code == "schema.missing_field");
    for (const char* kind : {"accepted", "reversed", "complaint", "observed"}) {
        const error e = refused(std::string(R"({"kind": ")") + kind + R"(", "action": "close", "reward": 1})");
        CHECK(e.code == "schema.not_applicable");
        CHECK(e.where == "/action");
        CHECK_FALSE(e.hint.empty());
    }
    for (const double reward :
         {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
        const status checked = check_outcome({.kind = outcome_kind::accepted, .action = "", .reward = reward, .delay_us = {}});
        REQUIRE_FALSE(checked);
        CHECK(checked.error().code == "schema.not_finite");
    }
}

TEST_CASE("ids of decisions, and what may stand for an action") {
    CHECK(is_decision_id(id));
    for (const char* wrong : {"", "0011", "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeefg",
                              "00112233445566778899aabbccddeeff0", " 0112233445566778899aabbccddeeff"})
        CHECK_FALSE(is_decision_id(wrong));
    CHECK(is_identifier("refund_full"));
    CHECK(is_identifier("team/Refund-2:v1.0"));
    CHECK(is_identifier(std::string(128, 'a')));
    CHECK_FALSE(is_identifier(std::string(129, 'a')));
    for (const char* wrong : {"", "two words", "a@b.example", "caf\xC3\xA9", "a\nb", "\"", "+49 170"})
        CHECK_FALSE(is_identifier(wrong));
}

TEST_CASE("an outcome is one line with its keys in a fixed order, and reads back the same") {
    const outcome_record whole = overridden();
    CHECK(line_of(whole) ==
          R"({"v":1,"type":"outcome","decision":"00112233445566778899aabbccddeeff","time":1718000000000000,"kind":"overridden",)"
          R"("action":"ask_receipt","reward":-0.25,"delay_us":3600000000})"
          "\n");
    outcome_record bare;
    bare.decision = id;
    bare.what.kind = outcome_kind::complaint;
    CHECK(line_of(bare) ==
          R"({"v":1,"type":"outcome","decision":"00112233445566778899aabbccddeeff","time":0,"kind":"complaint","action":"",)"
          R"("reward":null,"delay_us":null})"
          "\n");
    for (const outcome_record& r : {whole, bare}) {
        const auto read = read_outcome_record(line_of(r));
        REQUIRE(read);
        CHECK(read->decision == r.decision);
        CHECK(read->time_us == r.time_us);
        CHECK(read->what.kind == r.what.kind);
        CHECK(read->what.action == r.what.action);
        CHECK(read->what.reward == r.what.reward);
        CHECK(read->what.delay_us == r.what.delay_us);
    }
    for (const double reward : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0}) {
        outcome_record r = whole;
        r.what.reward = reward;
        const auto read = read_outcome_record(line_of(r));
        REQUIRE(read);
        CHECK(*read->what.reward == reward);
        CHECK(std::signbit(*read->what.reward) == std::signbit(reward));
    }
}

TEST_CASE("the reader of outcome lines is strict: every key, of its kind, and no other") {
    const json original = json::parse(line_of(overridden()));
    const auto refused_line = [](const json& d) {
        const auto read = read_outcome_record(d.dump());
        INFO(d.dump());
        REQUIRE_FALSE(read);
        CHECK(read.error().kind == error_kind::audit);
        return read.error();
    };
    for (const auto& [key, value] : original.items()) {
        json d = original;
        d.erase(key);
        CHECK(refused_line(d).code == "audit.missing_field");
        d[key] = json::array();
        CHECK(refused_line(d).code == "audit.wrong_kind");
    }
    const auto with = [&](const char* key, const json& value) {
        json d = original;
        d[key] = value;
        return refused_line(d);
    };
    CHECK(with("comment", "x").code == "audit.unknown_field");
    CHECK(with("v", 2).code == "audit.version");
    CHECK(with("kind", "overriden").hint == "did you mean 'overridden'?");
    CHECK(with("kind", "accepted").code == "audit.not_applicable");
    CHECK(with("decision", "00").code == "audit.bad_id");
    CHECK(with("delay_us", -1).code == "audit.out_of_range");
    CHECK(with("delay_us", 1.5).code == "audit.wrong_kind");
    CHECK(with("delay_us", 9223372036854775808U).code == "audit.wrong_kind");
    CHECK(with("type", "outcme").hint == "did you mean 'outcome'?");
    json d = original;
    d["kind"] = "observed";
    d["action"] = "";
    d["reward"] = nullptr;
    CHECK(refused_line(d).code == "audit.missing_field");
}

TEST_CASE("a line of the other type is named as such") {
    const auto decision_read = read_record(line_of(overridden()));
    REQUIRE_FALSE(decision_read);
    CHECK(decision_read.error().code == "audit.bad_choice");
    CHECK(decision_read.error().where == "/type");
    const auto outcome_read = read_outcome_record(decision_line());
    REQUIRE_FALSE(outcome_read);
    CHECK(outcome_read.error().where == "/type");
}

TEST_CASE("no change of one byte crashes the reader of outcomes, no shortened line reads") {
    const std::string line = line_of(overridden());
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        CHECK_FALSE(read_outcome_record(std::string_view(line).substr(0, i)));
        for (const char byte : {'\0', '"', '{', '\xFF', '9', ','}) {
            std::string bent = line;
            bent[i] = byte;
            if (const auto read = read_outcome_record(bent); !read) REQUIRE(read.error().kind == error_kind::audit);
            if (const auto read = read_outcome(bent); !read) REQUIRE(read.error().kind == error_kind::schema);
        }
    }
}

TEST_CASE("decisions and outcomes stand in one log and are counted apart") {
    outcome_record early = overridden();  // before its decision, and once more after it
    early.time_us -= 7;
    outcome_record late = overridden();
    late.time_us += 9;
    late.what = {.kind = outcome_kind::reversed, .action = "", .reward = {}, .delay_us = {}};
    outcome_record other = late;
    other.decision = "ffffffffffffffffffffffffffffffff";  // its decision is in another log
    const std::string log = line_of(early) + decision_line() + line_of(early) + line_of(late) + decision_line() + line_of(other);
    const log_summary all = check_log(log);
    CHECK(all.ok);
    CHECK(all.records == 2);
    CHECK(all.outcomes == 4);
    CHECK(all.bytes == log.size());
    CHECK(all.by_verdict == std::array<std::uint64_t, 5>{0, 0, 2, 0, 0});
    CHECK(all.by_outcome == std::array<std::uint64_t, 5>{0, 2, 2, 0, 0});
    CHECK(all.first_time_us == early.time_us);
    CHECK(all.last_time_us == late.time_us);

    const log_summary only = check_log(line_of(late));
    CHECK(only.ok);
    CHECK(only.records == 0);
    CHECK(only.first_time_us == late.time_us);
    CHECK(only.last_time_us == late.time_us);

    std::string bad = line_of(late);
    bad.replace(bad.find("reversed"), 8, "revrsed");
    const log_summary stopped = check_log(log + bad + log);
    CHECK_FALSE(stopped.ok);
    CHECK(stopped.outcomes == 4);
    CHECK(stopped.bytes == log.size());
    REQUIRE(stopped.first_bad);
    CHECK(stopped.first_bad->line == 7);
    CHECK(stopped.first_bad->offset == log.size());
    CHECK(stopped.first_bad->problem.code == "audit.bad_choice");
    CHECK(stopped.first_bad->problem.where == "/kind");
    CHECK(stopped.first_bad->problem.hint == "did you mean 'reversed'?");

    std::string unknown = line_of(late);
    unknown.replace(unknown.find("\"outcome\""), 9, "\"outcomes\"");
    CHECK(check_log(unknown).first_bad->problem.hint == "did you mean 'outcome'?");
    CHECK(check_log(log + line_of(late).substr(0, 30)).first_bad->problem.code == "audit.truncated");
    CHECK(check_log("[]\n").first_bad->problem.code == "audit.wrong_kind");
}
