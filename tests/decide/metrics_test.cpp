#include <map>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "opspilot/decide/engine.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

constexpr std::string_view clear_case = R"([{"id": "refund_full", "match": 3}, {"id": "ask_receipt", "match": 0.1}])";
constexpr std::string_view refund = R"({"intent": "refund", "amount": 100})";

/// Samples by name with labels. Refuses what the format does not allow: a family without HELP and TYPE, samples of another
/// family below it, a sample or a family twice, a line that does not end.
std::map<std::string, std::uint64_t> read(const std::string& text) {
    std::map<std::string, std::uint64_t> out;
    std::map<std::string, int> families;
    std::string family;
    bool typed = false;
    REQUIRE(text.back() == '\n');
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        INFO(line);
        if (line.rfind("# HELP ", 0) == 0) {
            family = line.substr(7, line.find(' ', 7) - 7);
            typed = false;
            REQUIRE(++families[family] == 1);
            continue;
        }
        if (line.rfind("# TYPE ", 0) == 0) {
            const std::string counter = "# TYPE " + family + " counter";
            REQUIRE((line == counter || line == "# TYPE " + family + " gauge"));
            REQUIRE((line == counter) == (family.size() > 6 && family.compare(family.size() - 6, 6, "_total") == 0));
            typed = true;
            continue;
        }
        REQUIRE(typed);
        const std::size_t space = line.rfind(' ');
        REQUIRE(space != std::string::npos);
        const std::string sample = line.substr(0, space);
        REQUIRE(sample.substr(0, sample.find('{')) == family);
        REQUIRE(line.find_first_not_of("0123456789", space + 1) == std::string::npos);
        REQUIRE(out.emplace(sample, std::stoull(line.substr(space + 1))).second);
    }
    return out;
}

std::uint64_t total(const std::map<std::string, std::uint64_t>& samples, const std::string& family) {
    std::uint64_t sum = 0;
    for (const auto& [sample, value] : samples)
        if (sample.rfind(family + "{", 0) == 0) sum += value;
    return sum;
}

}  // namespace

TEST_CASE("an engine that has done nothing names every series with zero") {
    const engine e(world::load());
    const auto samples = read(e.metrics_text());
    CHECK(samples.at(R"(opspilot_decisions_total{verdict="auto_execute"})") == 0);
    CHECK(samples.at(R"(opspilot_decide_errors_total{kind="schema"})") == 0);
    CHECK(samples.at(R"(opspilot_decide_errors_total{kind="internal"})") == 0);
    CHECK(samples.at(R"(opspilot_outcomes_total{kind="observed"})") == 0);
    CHECK(samples.at("opspilot_bundle_swaps_total") == 0);
    CHECK(samples.at("opspilot_bundle_golden_rows") == 64);
    CHECK(samples.at(R"(opspilot_kill_switch{scope="none"})") == 1);
    CHECK(samples.at(R"(opspilot_bundle_info{name="support",version="1",fingerprint=")" +
                     e.current()->fingerprint().substr(0, 12) + "\"}") == 1);
    for (const auto& [sample, value] : samples)
        if (sample.find("_total") != std::string::npos) CHECK(value == 0);
}

TEST_CASE("decisions are counted by all that they say") {
    engine e(world::load());
    workspace ws;
    decision d;
    std::map<std::string, std::uint64_t> expected;
    const auto once = [&](std::string_view task, std::string_view candidates, const decide_options& options = {}) {
        REQUIRE(e.decide(task, candidates, now_us, ws, d, options).ok());
        ++expected[fmt::format("opspilot_decisions_total{{verdict=\"{}\"}}", name(d.verdict))];
        ++expected[fmt::format("opspilot_decisions_proposed_total{{verdict=\"{}\"}}", name(d.proposed))];
        ++expected[fmt::format("opspilot_decisions_by_rung_total{{rung=\"{}\"}}", name(d.rung))];
        ++expected[fmt::format("opspilot_decisions_by_stage_total{{stage=\"{}\"}}", d.stage)];
        for (const reason& r : d.reasons) ++expected[fmt::format("opspilot_decision_reasons_total{{code=\"{}\"}}", r.code)];
        expected["opspilot_candidates_total"] += d.ranked.size();
    };
    once(refund, clear_case);
    once(R"({"intent": "refund", "amount": 501})", clear_case);
    once(R"({"intent": "fraud"})", {});
    once(R"({"intent": "billing"})", {});
    once(R"({"intent": "other"})", {});
    once(R"({"intent": "billing", "amount": 1})", R"([{"id": "close"}])");
    for (const rung r : {rung::linear, rung::baseline, rung::human}) once(refund, clear_case, {.widest = r});
    e.kill(kill_scope::automation);
    once(refund, clear_case);
    auto samples = read(e.metrics_text());
    CHECK(samples.at(R"(opspilot_kill_switch{scope="automation"})") == 1);
    CHECK(samples.at(R"(opspilot_kill_switch{scope="none"})") == 0);
    e.kill(kill_scope::everything);
    once(refund, clear_case);
    part_map parts = world::complete_parts();
    parts["rollout.json"] = R"({"stage": "shadow"})";
    REQUIRE(e.swap(bundle::load(bundle::build(parts).value()).value()).ok());
    e.kill(kill_scope::none);
    once(refund, clear_case);

    samples = read(e.metrics_text());
    REQUIRE(expected.size() > 20);
    for (const auto& [sample, value] : expected) {
        INFO(sample);
        CHECK(samples.at(sample) == value);
    }
    for (const char* family : {"opspilot_decisions_total", "opspilot_decisions_proposed_total",
                               "opspilot_decisions_by_rung_total", "opspilot_decisions_by_stage_total"})
        CHECK(total(samples, family) == 12);
    CHECK(samples.at(R"(opspilot_decision_reasons_total{code="other"})") == 0);  // every code that was met has its name
    CHECK(samples.at("opspilot_bundle_swaps_total") == 1);
    CHECK(samples.at("opspilot_bundle_rollbacks_total") == 0);
    REQUIRE(e.rollback().ok());
    CHECK_FALSE(e.rollback().ok());
    samples = read(e.metrics_text());
    CHECK(samples.at("opspilot_bundle_swaps_total") == 1);
    CHECK(samples.at("opspilot_bundle_rollbacks_total") == 1);
    CHECK(total(samples, "opspilot_decisions_total") == 12);
}

TEST_CASE("a batch counts its decisions, a refused call counts once") {
    const engine e(world::load());
    workspace ws;
    decision d;
    const std::string tasks = R"([{"intent": "fraud"}, {"intent": "billing"}, {"intent": "refund"}])";
    const auto all = [](std::size_t, const decision&) { return true; };
    REQUIRE(e.decide_batch({.json = tasks}, {}, now_us, ws, all).ok());
    CHECK(total(read(e.metrics_text()), "opspilot_decisions_total") == 3);
    REQUIRE(e.decide_batch({.json = tasks}, {}, now_us, ws, [](std::size_t t, const decision&) { return t < 1; }).ok());
    CHECK(total(read(e.metrics_text()), "opspilot_decisions_total") == 5);  // the one that stopped it was decided
    CHECK_FALSE(e.decide_batch({.json = R"([{"intent": "fraud"}, {"intnt": 1}])"}, {}, now_us, ws, all).ok());
    CHECK_FALSE(e.decide("{", {}, now_us, ws, d).ok());
    CHECK_FALSE(e.decide(R"({"intent": "fraud"})", std::string(1, '['), now_us, ws, d).ok());
    const std::string huge(std::size_t{2} << 20, ' ');
    CHECK_FALSE(e.decide(huge, {}, now_us, ws, d).ok());
    const auto samples = read(e.metrics_text());
    CHECK(total(samples, "opspilot_decisions_total") == 5);
    CHECK(samples.at(R"(opspilot_decide_errors_total{kind="schema"})") == 3);
    CHECK(samples.at(R"(opspilot_decide_errors_total{kind="limit"})") == 1);
}

TEST_CASE("many threads, workspaces that come and go, swaps meanwhile: totals are exact") {
    engine e(world::load());
    const auto first = e.current();
    const engine another(first);
    constexpr std::size_t threads = 8;
    constexpr std::size_t rounds = 60;
    std::vector<std::thread> running;
    for (std::size_t t = 0; t < threads; ++t)
        running.emplace_back([&] {
            decision d;
            for (std::size_t i = 0; i < rounds; ++i) {
                workspace ws;  // a short-lived one: what it counted stays
                static_cast<void>(e.decide(refund, clear_case, now_us, ws, d));
                static_cast<void>(another.decide(refund, clear_case, now_us, ws, d));  // it wanders
                workspace moved = std::move(ws);
                static_cast<void>(e.decide(R"({"intent": "fraud"})", {}, now_us, moved, d));
                static_cast<void>(e.decide("{", {}, now_us, moved, d));
                static_cast<void>(e.decide_batch({.json = R"([{"intent": "fraud"}, {"intent": "fraud"}])"}, {}, now_us, moved,
                                                 [](std::size_t, const decision&) { return true; }));
            }
        });
    for (int i = 0; i < 50; ++i) {
        REQUIRE(e.swap(first).ok());
        CHECK_FALSE(e.metrics_text().empty());
    }
    for (std::thread& t : running) t.join();
    const auto samples = read(e.metrics_text());
    CHECK(samples.at(R"(opspilot_decisions_total{verdict="auto_execute"})") == threads * rounds);
    CHECK(samples.at(R"(opspilot_decisions_total{verdict="escalate"})") == 3 * threads * rounds);
    CHECK(samples.at("opspilot_candidates_total") == threads * rounds * (2 + 3 * 2));
    CHECK(samples.at(R"(opspilot_decide_errors_total{kind="schema"})") == threads * rounds);
    CHECK(samples.at("opspilot_bundle_swaps_total") == 50);
    CHECK(total(read(another.metrics_text()), "opspilot_decisions_total") == threads * rounds);
}

TEST_CASE("a workspace outlives the engines it counted for") {
    workspace ws;
    decision d;
    for (int i = 0; i < 3; ++i) {
        const engine e(world::load());
        REQUIRE(e.decide(refund, clear_case, now_us, ws, d).ok());
        CHECK(total(read(e.metrics_text()), "opspilot_decisions_total") == 1);
    }
}

TEST_CASE("label values are escaped") {
    part_map parts = world::parts();
    parts["bundle.json"] = R"({"name": "a\"b\\c\nd", "version": "\u00e9 1"})";
    const engine e(bundle::draft(parts).value());
    const std::string text = e.metrics_text();
    CHECK(text.find("name=\"a\\\"b\\\\c\\nd\",version=\"\xC3\xA9 1\"") != std::string::npos);
    static_cast<void>(read(text));  // the line end of the name did not end the line
}
