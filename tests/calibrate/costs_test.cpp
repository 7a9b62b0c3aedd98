#include "opspilot/calibrate/costs.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "catch.hpp"
#include "opspilot/calibrate/threshold.hpp"
#include "worlds.hpp"

using namespace opspilot;

TEST_CASE("equal prices: the certified line of the largest saving, at the risk where both cost the same") {
    std::mt19937_64 random(1);
    const auto set = worlds::draw(worlds::case_b(), 3000, random);
    const std::vector<double> wrong{50.0};
    cost_options options{.review = 2.0, .wrong = wrong};
    options.start_probability = set.belief;
    const auto t = *cost_threshold(set.score, set.error, options);
    REQUIRE(t.sufficient);
    CHECK(t.break_even == 0.04);
    CHECK(t.cost_upper <= 2.0);
    CHECK(t.cost <= t.cost_upper);
    CHECK(t.saving == Approx((2.0 - t.cost) * t.coverage));
    threshold_options same{.max_risk = 0.04};
    same.start_probability = set.belief;
    const auto lowest = *automation_threshold(set.score, set.error, same);
    CHECK(*t.value >= *lowest.value);  // further down automates more and may save less
    double saved = 0;
    for (std::size_t i = 0; i < set.score.size(); ++i)
        if (set.score[i] > *lowest.value) saved += 2.0 - (set.error[i] != 0 ? 50.0 : 0.0);
    CHECK(t.saving * 3000 >= saved - 1e-9);
}

TEST_CASE("unequal prices: no dearer than reviews, as often as stated") {
    std::mt19937_64 random(2);
    const auto w = worlds::case_b();
    int wrong_claims = 0, sufficient = 0;
    constexpr int sets = 200;
    for (int run = 0; run < sets; ++run) {
        const auto set = worlds::draw(w, 1500, random);
        std::vector<double> wrong, believed;
        for (std::size_t i = 0; i < set.score.size(); ++i) wrong.push_back(random() % 2 == 0 ? 20.0 : 60.0);  // 40 on average
        cost_options options{.review = 1.2, .wrong = wrong};
        options.start_probability = set.belief;
        options.seed = static_cast<std::uint64_t>(run);
        const auto t = *cost_threshold(set.score, set.error, options);
        if (!t.value) continue;
        ++sufficient;
        CHECK(t.cost_upper <= 1.2 + 1e-12);
        wrong_claims += w.risk_above(*t.value) * 40.0 > 1.2 ? 1 : 0;
    }
    CHECK(sufficient > sets / 2);
    CHECK(wrong_claims <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
}

TEST_CASE("prices that make no sense are refused by name") {
    const std::vector<double> score{0.1, 0.2};
    const std::vector<std::uint8_t> error{0, 1};
    const auto code = [&](double review, std::vector<double> wrong, double most = 0) {
        return cost_threshold(score, error, {.review = review, .wrong = wrong, .most_wrong = most}).error().code;
    };
    CHECK(code(0.0, {5}) == "calibration.bad_cost");
    CHECK(code(1.0, {-5}) == "calibration.bad_cost");
    CHECK(code(1.0, {std::nan("")}) == "calibration.bad_cost");
    CHECK(code(6.0, {5}) == "calibration.bad_cost");
    CHECK(code(1.0, {5, 9}, 8) == "calibration.bad_cost");
    CHECK(code(1.0, {5, 9, 7}) == "calibration.length_mismatch");
    CHECK(code(1.0, {}) == "calibration.length_mismatch");
}

TEST_CASE("reviews go to what they are worth most for, what is left of them audits at random") {
    const std::vector<double> score{0.9, 0.2, 0.8, 0.1, 0.3, 0.95};
    const std::vector<double> gain{1, 5, 1, 9, 5, 1};
    const auto scarce = *plan_reviews(score, gain, 0.5, 2);
    CHECK(scarce.automated == std::vector<std::uint32_t>{0, 2, 5});
    CHECK(scarce.reviewed == std::vector<std::uint32_t>{3, 1});  // ties by row
    CHECK(scarce.waiting == std::vector<std::uint32_t>{4});
    CHECK(scarce.worth == 14.0);
    CHECK(scarce.next_gain == 5.0);
    CHECK(scarce.audited.empty());

    const auto ample = *plan_reviews(score, gain, 0.5, 5, 7);
    CHECK(ample.waiting.empty());
    CHECK(ample.next_gain == 0.0);
    CHECK(ample.audited.size() == 2);
    CHECK(ample.audit_probability == Approx(2.0 / 3.0));
    std::set<std::vector<std::uint32_t>> seen;
    for (std::uint64_t seed = 0; seed < 40; ++seed) seen.insert(plan_reviews(score, gain, 0.5, 5, seed)->audited);
    CHECK(seen.size() == 3);  // every pair is drawn by some seed

    const auto nothing_certified = *plan_reviews(score, gain, std::nullopt, 100);
    CHECK(nothing_certified.automated.empty());
    CHECK(nothing_certified.reviewed.size() == 6);
    CHECK(plan_reviews(score, gain, 0.9, 1)->automated == std::vector<std::uint32_t>{5});  // strictly above
    CHECK(plan_reviews(score, std::vector<double>{1}, 0.5, 2).error().code == "calibration.length_mismatch");
    CHECK(plan_reviews(std::vector<double>{std::nan("")}, std::vector<double>{1}, 0.5, 2).error().code ==
          "calibration.not_finite");
}
