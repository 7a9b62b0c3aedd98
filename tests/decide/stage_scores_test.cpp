#include <cmath>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/decide/engine.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

/// The world with the host's score before the linear stage, which reads it where `read` says so, and after it.
std::shared_ptr<const bundle> with_stages(bool read) {
    part_map parts = world::parts();
    parts["rank/stages.json"] = R"({"version": 1, "rank_by": "score", "stages": [
        {"name": "theirs", "kind": "host", "field": "candidate.match"},
        {"name": "score", "kind": "linear", "model": "rank/linear.json"},
        {"name": "later", "kind": "host", "field": "candidate.match"}]})";
    if (read)
        parts["rank/linear.json"] =
            R"({"version": 1, "features": ["cost", "stage.theirs"], "weights": [-0.5, 2.0], "intercept": 0})";
    auto made = bundle::draft(parts);
    REQUIRE(made);
    return *made;
}

struct row {
    decision made;
    std::vector<std::vector<double>> scores;
};

std::vector<row> scored(const engine& e, std::string_view tasks, std::string_view candidates) {
    workspace ws;
    std::vector<row> out;
    const status done = e.stage_scores({.json = tasks}, {.json = candidates}, now_us, ws,
                                       [&](std::size_t t, const decision& d, std::span<const std::span<const double>> scores) {
                                           CHECK(t == out.size());
                                           out.push_back({d, {}});
                                           for (const auto s : scores) out.back().scores.emplace_back(s.begin(), s.end());
                                           return true;
                                       });
    INFO((done ? std::string() : done.error().text()));
    REQUIRE(done.ok());
    return out;
}

constexpr std::string_view tasks = R"([{"intent": "refund", "amount": 10}, {"intent": "billing", "amount": 10}])";
constexpr std::string_view candidates = R"([
    {"task_index": 0, "id": "close", "match": 0.5}, {"task_index": 0, "id": "refund_full", "match": 0.25},
    {"task_index": 1, "id": "explain_bill"}, {"task_index": 1, "id": "ask_receipt", "match": 0.125}])";

}  // namespace

TEST_CASE("every stage shows what it made of the candidates, in their order") {
    const engine e(with_stages(false));
    const auto names = e.current()->stage_names();
    CHECK(std::vector<std::string>(names.begin(), names.end()) == std::vector<std::string>{"theirs", "score", "later"});
    const auto rows = scored(e, tasks, candidates);
    REQUIRE(rows.size() == 2);
    for (const row& r : rows) REQUIRE(r.scores.size() == 3);
    CHECK(rows[0].scores[0] == std::vector<double>{0.5, 0.25});
    CHECK(rows[0].scores[2] == rows[0].scores[0]);  // after the stage that ranks
    CHECK(std::isnan(rows[1].scores[0][0]));
    CHECK(rows[1].scores[0][1] == 0.125);
    // The linear stage by hand: cost, match, amount per cost, log1p(amount).
    const double amount = 0.25 * std::log1p(10.0) + 0.125;
    CHECK(rows[0].scores[1][0] == Approx(-0.5 * 0.1 + 4 * 0.5 + 0.0001 * 100 + amount));
    CHECK(rows[0].scores[1][1] == Approx(-0.5 * 3 + 4 * 0.25 + 0.0001 * 10 / 3 + amount));
    // Decided as ever: the policy forbids closing and boosts what can be undone.
    workspace ws;
    decision single;
    REQUIRE(e.decide(R"({"intent": "refund", "amount": 10})",
                     R"([{"id": "close", "match": 0.5}, {"id": "refund_full", "match": 0.25}])", now_us, ws, single));
    REQUIRE(rows[0].made.ranked.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(rows[0].made.ranked[i].action == single.ranked[i].action);
        CHECK(rows[0].made.ranked[i].score == single.ranked[i].score);
        CHECK(rows[0].made.ranked[i].candidate == 1 - i);
    }
    CHECK(rows[0].made.id == single.id);
}

TEST_CASE("stages that could not be run have no scores") {
    const auto rows = scored(engine(with_stages(true)), tasks, candidates);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].made.rung == rung::full);
    CHECK(rows[0].scores[1].size() == 2);
    CHECK(rows[1].made.rung == rung::baseline);  // the linear stage reads a score that the host does not bring
    for (const auto& scores : rows[1].scores) CHECK(scores.empty());
    CHECK(rows[1].made.ranked.size() == 2);
}

TEST_CASE("judging stages is not traffic, and a kill switch does not stop it") {
    engine e(with_stages(false));
    e.kill(kill_scope::everything);
    CHECK(scored(e, tasks, candidates)[0].made.rung == rung::full);
    CHECK(e.metrics_text().find("opspilot_decisions_total") != std::string::npos);
    CHECK(e.metrics_text() == [&] {
        engine fresh(e.current());
        fresh.kill(kill_scope::everything);
        return fresh.metrics_text();
    }());
    workspace ws;
    const status refused = e.stage_scores({.json = "[{}]"}, {}, now_us, ws, [](auto, auto&, auto) { return true; });
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "schema.missing_field");
}
