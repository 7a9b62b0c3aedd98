#include "opspilot/audit/outcome.hpp"

#include "catch.hpp"
#include "opspilot/audit/log.hpp"
#include "opspilot/decide/engine.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

constexpr std::string_view id = "00112233445566778899aabbccddeeff";

error refused(const engine& e, std::string_view decision_id, std::string_view document) {
    std::string out = "before";
    const status done = e.record_outcome(decision_id, document, now_us, out);
    INFO(decision_id << ' ' << document);
    REQUIRE_FALSE(done);
    CHECK(out == "before");
    CHECK_FALSE(done.error().hint.empty());
    return done.error();
}

}  // namespace

TEST_CASE("decisions and their outcomes share one log") {
    const engine e(world::load());
    workspace ws;
    decision d;
    std::string log;
    REQUIRE(e.decide(R"({"intent": "fraud"})", {}, now_us, ws, d).ok());
    d.write_record(log);
    REQUIRE(e.record_outcome(d.id, R"({"kind": "overridden", "action": "close", "reward": 0.5})", now_us + 7, log).ok());
    const outcome later{.kind = outcome_kind::complaint, .action = "", .reward = {}, .delay_us = 9};
    REQUIRE(e.record_outcome(d.id, later, now_us + 9, log).ok());
    const log_summary all = check_log(log);
    CHECK(all.ok);
    CHECK(all.records == 1);
    CHECK(all.outcomes == 2);
    CHECK(all.last_time_us == now_us + 9);
    const auto first = read_outcome_record(
        std::string_view(log).substr(log.find('\n') + 1, log.find('\n', log.find('\n') + 1) - log.find('\n')));
    REQUIRE(first);
    CHECK(first->decision == d.id);
    CHECK(first->time_us == now_us + 7);
    CHECK(first->what.action == "close");
    CHECK(first->what.reward == 0.5);

    const std::string metrics = e.metrics_text();
    CHECK(metrics.find("opspilot_outcomes_total{kind=\"overridden\"} 1\n") != std::string::npos);
    CHECK(metrics.find("opspilot_outcomes_total{kind=\"complaint\"} 1\n") != std::string::npos);
    CHECK(metrics.find("opspilot_outcomes_total{kind=\"accepted\"} 0\n") != std::string::npos);
}

TEST_CASE("an outcome that is refused leaves no trace") {
    const engine e(world::load());
    for (const char* wrong : {"", "x", "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeeff\n"}) {
        const error problem = refused(e, wrong, R"({"kind": "accepted"})");
        CHECK(problem.kind == error_kind::usage);
        CHECK(problem.code == "usage.decision_id");
        CHECK(problem.where == "decision_id");
    }
    CHECK(refused(e, id, R"({"knd": "accepted"})").where == "/outcome/knd");
    CHECK(refused(e, id, R"({"knd": "accepted"})").hint == "did you mean 'kind'?");
    CHECK(refused(e, id, "{}").where == "/outcome");
    CHECK(refused(e, id, R"({"kind": "accepted", "delay_us": -5})").where == "/outcome/delay_us");
    CHECK(refused(e, id, R"({"kind": "observed"})").where == "/outcome/reward");
    std::string out;
    const status syntax = e.record_outcome(id, "{", now_us, out);
    REQUIRE_FALSE(syntax);
    CHECK(syntax.error().where.rfind("byte ", 0) == 0);
    CHECK(e.metrics_text().find("opspilot_outcomes_total{kind=\"accepted\"} 0\n") != std::string::npos);
}

TEST_CASE("an action is an id, never a sentence") {
    const engine e(world::load());
    std::string out;
    // Of no catalogue: hosts bring actions of their own, and an outcome may be older than the bundle.
    CHECK(e.record_outcome(id, R"({"kind": "overridden", "action": "called-back"})", now_us, out).ok());
    const error problem = refused(e, id, R"({"kind": "overridden", "action": "gave Alexis her money back"})");
    CHECK(problem.code == "schema.free_text");
    CHECK(problem.where == "/outcome/action");
    CHECK(refused(e, id, R"({"kind": "overridden", "action": "alexis@example.org"})").code == "schema.free_text");

    part_map parts = world::parts();
    parts["catalogue.json"] =
        R"([{"id": "Refund in full", "kind": "refund", "cost": 3, "intents": ["refund"], "reversible": false}])";
    const engine spoken(bundle::draft(parts).value());
    CHECK(spoken.record_outcome(id, R"({"kind": "overridden", "action": "Refund in full"})", now_us, out).ok());
    CHECK(refused(spoken, id, R"({"kind": "overridden", "action": "Refund in part"})").code == "schema.free_text");
    CHECK(check_log(out).outcomes == 2);
    parts.erase("catalogue.json");
    parts.erase("candidates.json");
    const engine bare(bundle::draft(parts).value());
    CHECK(bare.record_outcome(id, R"({"kind": "overridden", "action": "close"})", now_us, out).ok());
    CHECK(refused(bare, id, R"({"kind": "overridden", "action": "Refund in full"})").code == "schema.free_text");
}
