#include "opspilot/evaluate/gap_alarm.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace opspilot;

namespace {

gap_alarm fresh(const gap_alarm_options& options = {}) {
    auto made = gap_alarm::make(options);
    REQUIRE(made);
    return std::move(made).value();
}

/// Pairs until the alarm is raised, or `most`.
std::uint64_t pairs_until(double rate_a, double rate_b, double tolerance, std::uint64_t most, std::uint64_t seed) {
    gap_alarm alarm = fresh({.tolerance = tolerance});
    std::mt19937_64 draw(seed);
    const auto event = [&](double rate) { return static_cast<double>(draw() >> 11) * 0x1p-53 < rate ? 1.0 : 0.0; };
    while (alarm.pairs() < most && !alarm.raised()) {
        REQUIRE(alarm.add(false, event(rate_a)));
        REQUIRE(alarm.add(true, event(rate_b)));
    }
    return alarm.raised() ? alarm.pairs() : most + 1;
}

std::vector<std::uint64_t> delays(double gap, double tolerance, int runs, std::uint64_t most) {
    std::vector<std::uint64_t> out;
    for (int run = 0; run < runs; ++run)
        out.push_back(pairs_until(0.5 + gap / 2, 0.5 - gap / 2, tolerance, most, 1'000 + static_cast<std::uint64_t>(run)));
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace

TEST_CASE("the evidence is that of numpy's thirty lines, step by step") {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/fixtures/groups/gap_alarm.json");
    REQUIRE(file.good());
    const auto document = nlohmann::json::parse(file);
    REQUIRE(document["cases"].size() >= 4);
    for (const auto& one : document["cases"]) {
        gap_alarm alarm = fresh({.tolerance = one["tolerance"].get<double>(), .alpha = one["alpha"].get<double>()});
        const auto first = one["first"].get<std::vector<double>>();
        const auto second = one["second"].get<std::vector<double>>();
        const auto evidence = one["log_evidence"].get<std::vector<double>>();
        for (std::size_t i = 0; i < first.size(); ++i) {
            REQUIRE(alarm.add(false, first[i]));
            REQUIRE(alarm.add(true, second[i]));
            CHECK(std::fabs(alarm.log_evidence() - evidence[i]) <= 1e-12 * std::max(1.0, std::fabs(evidence[i])));
        }
        CHECK(alarm.raised() == one["raised"].get<bool>());
    }
}

TEST_CASE("items are paired in order of arrival and the surplus waits") {
    gap_alarm paired = fresh(), blocks = fresh();
    const std::vector<double> a{1, 0, 1, 1, 0.25}, b{0, 0, 1, 0.5, 1};
    for (std::size_t i = 0; i < a.size(); ++i) {
        REQUIRE(paired.add(false, a[i]));
        REQUIRE(paired.add(true, b[i]));
    }
    for (const double x : b) REQUIRE(blocks.add(true, x));
    CHECK(blocks.pairs() == 0);
    CHECK(blocks.waiting() == b.size());
    for (const double x : a) REQUIRE(blocks.add(false, x));
    CHECK(blocks.pairs() == a.size());
    CHECK(blocks.waiting() == 0);
    CHECK(blocks.log_evidence() == paired.log_evidence());
}

TEST_CASE("a full queue drops the oldest, and says so") {
    gap_alarm alarm = fresh({.queue = 3});
    for (int i = 0; i < 5; ++i) REQUIRE(alarm.add(false, i < 2 ? 1.0 : 0.0));
    CHECK(alarm.waiting() == 3);
    CHECK(alarm.dropped() == 2);
    gap_alarm same = fresh();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(alarm.add(true, 1.0));
        REQUIRE(same.add(false, 0.0));
        REQUIRE(same.add(true, 1.0));
    }
    CHECK(alarm.log_evidence() == same.log_evidence());
    CHECK(alarm.direction() == -1);
    for (int i = 0; i < 10'000; ++i) REQUIRE(alarm.add(false, 0.5));
    CHECK(alarm.waiting() == 3);
}

TEST_CASE("an alarm stays, also when the evidence melts") {
    gap_alarm alarm = fresh();
    while (!alarm.raised() && alarm.pairs() < 100) {
        REQUIRE(alarm.add(false, 1.0));
        REQUIRE(alarm.add(true, 0.0));
    }
    REQUIRE(alarm.raised());
    CHECK(alarm.direction() == 1);
    const double peak = alarm.peak_log_evidence();
    for (int i = 0; i < 4; ++i) {
        REQUIRE(alarm.add(false, 0.0));
        REQUIRE(alarm.add(true, 1.0));
    }
    CHECK(alarm.log_evidence() < std::log(20.0));
    CHECK(alarm.peak_log_evidence() == peak);
    CHECK(alarm.raised());
}

TEST_CASE("a state that was written goes on as the alarm would") {
    std::mt19937_64 draw(7);
    gap_alarm alarm = fresh({.tolerance = 0.02, .alpha = 0.01, .queue = 50});
    for (int i = 0; i < 500; ++i) REQUIRE(alarm.add(draw() % 3 == 0, static_cast<double>(draw() % 101) / 100.0));
    REQUIRE(alarm.waiting() > 0);
    auto read = gap_alarm::parse(alarm.to_json());
    REQUIRE(read);
    CHECK(read->to_json() == alarm.to_json());
    for (int i = 0; i < 200; ++i) {
        const bool second = draw() % 2 == 0;
        const double value = static_cast<double>(draw() % 101) / 100.0;
        REQUIRE(alarm.add(second, value));
        REQUIRE(read->add(second, value));
    }
    CHECK(read->log_evidence() == alarm.log_evidence());
    CHECK(read->peak_log_evidence() == alarm.peak_log_evidence());
    CHECK(read->waiting() == alarm.waiting());
}

TEST_CASE("what is no state of an alarm is refused") {
    const std::string good = fresh().to_json();
    CHECK(gap_alarm::parse(good));
    for (std::size_t cut = 0; cut < good.size(); ++cut) CHECK_FALSE(gap_alarm::parse(good.substr(0, cut)));
    const auto tree = nlohmann::json::parse(good);
    const auto refused = [&](const char* key, const nlohmann::json& value) {
        auto changed = tree;
        changed[key] = value;
        return !gap_alarm::parse(changed.dump());
    };
    CHECK(refused("version", 2));
    CHECK(refused("tolerance", 1.0));
    CHECK(refused("alpha", 0));
    CHECK(refused("queue", 0));
    CHECK(refused("pairs", -1));
    CHECK(refused("peak", -1.0));
    CHECK(refused("waiting", {2.0}));
    CHECK(refused("waiting", {"x"}));
    CHECK(refused("waiting", std::vector<double>(5'000, 0.5)));
    CHECK(refused("above", {{"log_wealth", 0.0}, {"stake", 0.75}, {"curvature", 1.0}}));
    CHECK(refused("below", {{"log_wealth", 0.0}, {"stake", 0.25}, {"curvature", 0.0}}));
    CHECK(refused("colour", 1));
}

TEST_CASE("options and values outside their range are named") {
    for (const gap_alarm_options& bad : {gap_alarm_options{.tolerance = -0.1}, gap_alarm_options{.tolerance = 1.0},
                                         gap_alarm_options{.alpha = 0.0}, gap_alarm_options{.queue = 0}}) {
        const auto made = gap_alarm::make(bad);
        REQUIRE_FALSE(made);
        CHECK(made.error().code == "usage.gap_alarm");
        CHECK_FALSE(made.error().where.empty());
    }
    gap_alarm alarm = fresh();
    for (const double bad : {-0.5, 1.5, std::numeric_limits<double>::quiet_NaN()}) CHECK_FALSE(alarm.add(false, bad));
    CHECK(alarm.waiting() == 0);
}

TEST_CASE("gaps are caught about as fast as the design says, and false alarms are rare") {
    // Design figures at 5 %, base 50 %: a 10-point gap after 479 pairs (median), 1093 (p90); with a tolerance of 2 points 715,
    // 1780.
    const auto ten = delays(0.10, 0.0, 300, 6'000);
    CHECK(ten[150] <= 527);
    CHECK(ten[270] <= 1'203);
    const auto tolerant = delays(0.10, 0.02, 300, 6'000);
    CHECK(tolerant[150] <= 787);
    CHECK(tolerant[270] <= 1'958);
    const auto none = delays(0.0, 0.0, 300, 2'000);
    const auto alarms = std::count_if(none.begin(), none.end(), [](std::uint64_t n) { return n <= 2'000; });
    CHECK(static_cast<double>(alarms) <= 0.05 * 300 + 3 * std::sqrt(0.05 * 0.95 * 300));
}

TEST_CASE("a 5-point gap and 6000 pairs without one", "[.][nightly]") {
    const auto five = delays(0.05, 0.0, 1'000, 20'000);
    CHECK(five[500] <= 2'422);
    CHECK(five[900] <= 4'679);
    for (const double tolerance : {0.0, 0.05}) {
        const auto none = delays(tolerance, tolerance, 2'000, 6'000);
        const auto alarms = std::count_if(none.begin(), none.end(), [](std::uint64_t n) { return n <= 6'000; });
        CHECK(static_cast<double>(alarms) <= 0.05 * 2'000 + 3 * std::sqrt(0.05 * 0.95 * 2'000));
    }
}
