#include "opspilot/calibrate/bounded.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "certificate_fixtures.hpp"
#include "opspilot/calibrate/detail/betting.hpp"

using namespace opspilot;

TEST_CASE("the wealth of the bets is confseq's betting martingale") {
    const nlohmann::json frozen = certificate_fixture("betting").at("cases");
    for (const auto& entry : frozen) {
        const auto loss = entry.at("loss").get<std::vector<double>>();
        for (const auto& expected : entry.at("cases")) {
            INFO(entry.at("name") << " " << expected.dump());
            detail::betting_wealth wealth(expected[0], loss.size(), -std::log(expected[1].get<double>()));
            for (const double x : loss) wealth.bet(x);
            CHECK(wealth.best() == Approx(expected[2].get<double>()).epsilon(1e-9).margin(1e-12));
        }
    }
}

TEST_CASE("the bound is the smallest mean that is refuted") {
    std::mt19937_64 random(3);
    std::vector<double> loss(300);
    for (double& x : loss) x = std::uniform_real_distribution<double>()(random) < 0.1 ? 0.3 : 0.0;
    const double upper = *betting_upper(loss);
    CHECK(upper > 0.03);
    CHECK(upper < 0.1);
    CHECK(*betting_p_value(loss, upper * 1.0001) <= 0.05);
    CHECK(*betting_p_value(loss, upper * 0.9999) > 0.05);
    CHECK(*betting_upper(std::vector<double>(3, 0.5)) == 1.0);
    CHECK(*betting_upper(std::vector<double>(3, 1.0)) == 1.0);
}

TEST_CASE("the seed alone orders the bets") {
    std::mt19937_64 random(4);
    std::vector<double> loss(200);
    for (double& x : loss) x = std::uniform_real_distribution<double>()(random);
    const double first = *betting_p_value(loss, 0.6);
    std::shuffle(loss.begin(), loss.end(), random);
    CHECK(*betting_p_value(loss, 0.6) == first);
    CHECK(*betting_p_value(loss, 0.6, {.confidence = 0.95, .seed = 1}) != first);
}

TEST_CASE("losses of no kind are refused by name") {
    const auto code = [](std::vector<double> loss, double mean = 0.1) { return betting_p_value(loss, mean).error().code; };
    CHECK(code({}) == "calibration.empty");
    CHECK(code({0.1, std::nan("")}) == "calibration.not_finite");
    CHECK(code({0.1, 1.1}) == "calibration.bad_loss");
    CHECK(code({-0.1}) == "calibration.bad_loss");
    CHECK(code({0.1}, 0.0) == "calibration.bad_risk");
    CHECK(betting_upper(std::vector<double>{0.1}, {.confidence = 1.0, .seed = 0}).error().code == "calibration.bad_confidence");
    CHECK(graded_threshold(std::vector<double>{0.1}, std::vector<double>{0.1, 0.2}, {}).error().code ==
          "calibration.length_mismatch");
}

TEST_CASE("the graded threshold is the last whole block whose bets won") {
    // 1000 items without loss, then 1000 that lose a half, in blocks of ten.
    std::vector<double> score, loss;
    for (int i = 0; i < 2000; ++i) {
        score.push_back(1.0 - std::floor(i / 10.0) / 1000.0);
        loss.push_back(i < 1000 ? 0.0 : 0.5);
    }
    const auto t = *graded_threshold(score, loss, {});
    REQUIRE(t.sufficient);
    CHECK(t.reason.empty());
    CHECK(t.automated % 10 == 0);
    CHECK(t.automated >= 950);
    CHECK(t.automated < 1120);
    CHECK(t.mean <= t.upper);
    CHECK(t.upper <= 0.05);
    CHECK(t.steps.front().tested >= t.needed);
    for (std::size_t i = 0; i + 1 < t.steps.size(); ++i) CHECK(t.steps[i].passed);
    const auto count = std::count_if(score.begin(), score.end(), [&](double s) { return s > *t.value; });
    CHECK(static_cast<std::uint64_t>(count) == t.automated);
    // Any order of the input.
    std::mt19937_64 random(5);
    std::vector<std::size_t> order(score.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> s, l;
    for (const std::size_t i : order) {
        s.push_back(score[i]);
        l.push_back(loss[i]);
    }
    const auto again = *graded_threshold(s, l, {});
    CHECK(again.value == t.value);
    CHECK(again.upper == t.upper);

    CHECK(graded_threshold(std::vector<double>(500, 0.5), std::vector<double>(500, 0.0), {})->reason == "ties");
    const auto few = *graded_threshold(std::span(score).first(40), std::span(loss).first(40), {});
    CHECK(few.reason == "too_few");
    CHECK(few.needed > 59);  // bets on losses with grades need a few more than the exact tail
    CHECK(few.needed < 80);
    CHECK(graded_threshold(score, std::vector<double>(2000, 0.2), {})->reason == "start_failed");
}

TEST_CASE("what was believed to lose moves the start, and the start alone") {
    std::vector<double> score, loss, belief;
    std::mt19937_64 random(6);
    for (int i = 0; i < 3000; ++i) {
        score.push_back(1.0 - i / 3000.0);
        belief.push_back(i / 30000.0);
        loss.push_back(std::uniform_real_distribution<double>()(random) < belief.back() ? 1.0 : 0.0);
    }
    graded_options options;
    const auto without = *graded_threshold(score, loss, options);
    options.start_loss = belief;
    const auto with = *graded_threshold(score, loss, options);
    CHECK(with.steps.front().tested > without.steps.front().tested);
    CHECK(with.sufficient);
    std::vector<double> wrong(3000, 2.0);
    options.start_loss = wrong;
    CHECK(graded_threshold(score, loss, options).error().code == "calibration.bad_probability");
}
