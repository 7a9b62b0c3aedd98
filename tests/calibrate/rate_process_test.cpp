#include "opspilot/calibrate/rate_process.hpp"

#include <cmath>
#include <numbers>
#include <random>

#include "certificate_fixtures.hpp"

using namespace opspilot;

TEST_CASE("the evidence is the quadrature of its definition") {
    const nlohmann::json frozen = certificate_fixture("rate_evidence").at("cases");
    for (const auto& row : frozen) {
        INFO(row.dump());
        const auto side = row[5] == "above" ? rate_side::above : rate_side::below;
        const double mine = log_rate_evidence(row[0], row[1], row[2], row[3], row[4], side);
        CHECK(std::fabs(mine - row[6].get<double>()) <= 1e-10 + 1e-13 * std::fabs(row[6].get<double>()));
    }
    CHECK(std::fabs(log_rate_evidence(15, 400, 0.02, 3.92, 192.08, rate_side::above) - 1.78264255891) < 1e-10);
}

TEST_CASE("the evidence is finite and monotone far out, where the incomplete beta function underflows") {
    double last = std::numeric_limits<double>::infinity();
    for (const std::uint64_t bad : {std::uint64_t{5'000'000}, std::uint64_t{300'000}, std::uint64_t{200'000},
                                    std::uint64_t{100'000}, std::uint64_t{1'000}, std::uint64_t{0}}) {
        const double now = log_rate_evidence(bad, 10'000'000, 0.02, 3.92, 192.08, rate_side::above);
        CHECK(std::isfinite(now));
        CHECK(now < last);
        last = now;
    }
    CHECK(std::isfinite(log_rate_evidence(0, std::uint64_t{1} << 50U, 0.5, 0.5, 0.5, rate_side::above)));
    CHECK(log_rate_evidence(0, 0, 0.02, 3.92, 192.08, rate_side::below) == Approx(0.0).margin(1e-12));
}

TEST_CASE("the evidence never rises on average at the limit, nor beyond it") {
    // E[e-value of one more event] <= the e-value before it, for every rate on the other side.
    for (const double limit : {0.02, 0.3})
        for (const auto side : {rate_side::above, rate_side::below}) {
            const auto made = *rate_process::make(limit, side);
            CHECK(made.log_evidence() == Approx(0.0).margin(1e-12));
            const double a = 4 * (1 - limit), b = a * (1 - limit) / limit;
            for (const std::uint64_t total : {std::uint64_t{0}, std::uint64_t{10}, std::uint64_t{1000}})
                for (const std::uint64_t bad : {std::uint64_t{0}, total / 50, total / 2})
                    for (const double far : {0.0, 0.5, 0.9}) {
                        const double rate = side == rate_side::above ? limit * (1 - far) : limit + (1 - limit) * far;
                        const double before = log_rate_evidence(bad, total, limit, a, b, side);
                        const double after = rate * std::exp(log_rate_evidence(bad + 1, total + 1, limit, a, b, side) - before) +
                                             (1 - rate) * std::exp(log_rate_evidence(bad, total + 1, limit, a, b, side) - before);
                        CHECK(after <= 1 + 1e-9);
                        if (far == 0.0) CHECK(after == Approx(1).epsilon(1e-9));
                    }
        }
}

TEST_CASE("counts merge in any order") {
    auto one = *rate_process::make(0.02, rate_side::above, 0.01);
    auto first = one, second = one;
    REQUIRE(first.add(3, 100));
    REQUIRE(second.add(12, 300));
    REQUIRE(one.add(15, 400));
    auto left = first, right = second;
    REQUIRE(left.merge(second));
    REQUIRE(right.merge(first));
    CHECK(left.log_evidence() == one.log_evidence());
    CHECK(right.log_evidence() == one.log_evidence());
    CHECK(one.log_evidence() == Approx(1.78264255891).epsilon(1e-10));
    CHECK(one.merge(*rate_process::make(0.02, rate_side::below, 0.01)).error().code == "calibration.foreign_process");
    CHECK(one.add(2, 1).error().code == "calibration.bad_count");
    CHECK(one.add(0, ~std::uint64_t{0}).error().code == "calibration.bad_count");
    CHECK(one.total() == 400);
    CHECK(rate_process::make(0.0, rate_side::above).error().code == "calibration.bad_risk");
    CHECK(rate_process::make(0.1, rate_side::above, 1.5).error().code == "calibration.bad_change");
}

TEST_CASE("a stream certifies at any time, and a revocation stays") {
    auto stream = *recertification::make();
    std::uint64_t labels = 0;
    while (stream.state() == recertification_state::undecided && labels < 1000) {
        REQUIRE(stream.add(0, 1));
        ++labels;
    }
    CHECK(stream.state() == recertification_state::certified);
    CHECK(labels > 59);  // what one look at a fixed number of labels needs: any time has its price
    CHECK(labels < 200);
    CHECK(stream.log_evidence_below() >= std::log(20.0));
    REQUIRE(stream.add(40, 100));
    CHECK(stream.state() == recertification_state::revoked);
    REQUIRE(stream.add(0, 10'000));
    CHECK(stream.state() == recertification_state::revoked);
    CHECK(name(stream.state()) == "revoked");
    CHECK(stream.errors() == 40);
}

TEST_CASE("shards do not certify for the whole, and revoke for it") {
    auto central = *recertification::make();
    auto good = central, bad = central;
    REQUIRE(good.add(0, 200));
    REQUIRE(good.state() == recertification_state::certified);
    REQUIRE(bad.add(20, 20));
    REQUIRE(bad.state() == recertification_state::revoked);
    auto mixed = central;
    REQUIRE(mixed.add(8, 90));
    REQUIRE(mixed.merge(good));
    CHECK(mixed.state() == recertification_state::undecided);  // 8 of 290, whatever the shard said
    REQUIRE(mixed.merge(bad));
    CHECK(mixed.state() == recertification_state::revoked);
    auto other = *recertification::make({.max_risk = 0.01});
    CHECK(other.merge(good).error().code == "calibration.foreign_process");
    CHECK(recertification::make({.max_risk = 0.05, .confidence = 1.0}).error().code == "calibration.bad_confidence");
}

TEST_CASE("spending adds up to the failure probability") {
    double sum = 0;
    for (std::uint64_t t = 1; t <= 100'000; ++t) sum += spent_delta(0.05, t);
    CHECK(sum < 0.05);
    CHECK(sum == Approx(0.05).epsilon(1e-4));
    CHECK(spent_delta(0.05, 1) == Approx(0.3 / (std::numbers::pi * std::numbers::pi)));
    CHECK(spent_delta(0.05, 0) == 0.0);
}

TEST_CASE("false alarms of a stream that is read after every label") {
    std::mt19937_64 random(21);
    int alarms = 0, certified = 0;
    constexpr int runs = 200;
    for (int run = 0; run < runs; ++run) {
        auto stream = *recertification::make({.max_risk = 0.1});
        bool ever = false;
        for (int i = 0; i < 600; ++i) {
            REQUIRE(stream.add(std::uniform_real_distribution<double>()(random) < 0.1 ? 1 : 0, 1));
            ever = ever || stream.state() == recertification_state::certified;
        }
        alarms += stream.state() == recertification_state::revoked ? 1 : 0;
        certified += ever ? 1 : 0;
    }
    const double most = 0.05 * runs + 3 * std::sqrt(0.05 * 0.95 * runs);
    CHECK(alarms <= most);
    CHECK(certified <= most);
}
