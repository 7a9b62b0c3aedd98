#include "opspilot/calibrate/label_plan.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "catch.hpp"
#include "opspilot/calibrate/recall.hpp"
#include "opspilot/calibrate/threshold.hpp"
#include "worlds.hpp"

using namespace opspilot;

TEST_CASE("the line lies where the belief is 1.3 times the risk, and labels above it") {
    std::mt19937_64 random(1);
    const auto set = worlds::draw(worlds::case_a(), 10'000, random);
    label_plan_options options{.max_risk = 0.02, .budget = 500};
    const auto plan = *plan_labels(set.score, set.belief, options);
    REQUIRE(plan.line);
    CHECK(plan.believed_risk <= 0.026);
    CHECK(plan.believed_risk > 0.0259);
    CHECK(plan.risk.size() == 500);
    CHECK(std::is_sorted(plan.risk.begin(), plan.risk.end()));
    CHECK(std::adjacent_find(plan.risk.begin(), plan.risk.end()) == plan.risk.end());
    for (const std::uint32_t row : plan.risk) CHECK(set.score[row] > *plan.line);
    const auto above = std::count_if(set.score.begin(), set.score.end(), [&](double s) { return s > *plan.line; });
    CHECK(static_cast<std::uint64_t>(above) == plan.above);
    CHECK(plan.recall.empty());
    CHECK(plan.automation > plan.automation_random + 0.03);
    CHECK(plan.none < plan.none_random);
    CHECK(plan_labels(set.score, set.belief, options)->risk == plan.risk);
    options.seed = 1;
    CHECK(plan_labels(set.score, set.belief, options)->risk != plan.risk);
}

TEST_CASE("every item above the line is drawn as often as any other") {
    std::vector<double> score, belief;
    for (int i = 0; i < 60; ++i) {
        score.push_back(1 - i / 60.0);
        belief.push_back(i < 40 ? 0.99 : 0.5);
    }
    std::vector<int> drawn(60);
    constexpr int rounds = 4000;
    for (int seed = 0; seed < rounds; ++seed) {
        const auto plan = *plan_labels(
            score, belief, {.max_risk = 0.01, .budget = 10, .simulations = 0, .seed = static_cast<std::uint64_t>(seed)});
        REQUIRE(plan.above == 40);
        for (const std::uint32_t row : plan.risk) ++drawn[row];
    }
    // Binomial(4000, 1/4) within 4.5 standard deviations.
    for (int i = 0; i < 40; ++i) CHECK(std::abs(drawn[static_cast<std::size_t>(i)] - 1000) < 124);
    for (int i = 40; i < 60; ++i) CHECK(drawn[static_cast<std::size_t>(i)] == 0);
}

TEST_CASE("a tie at the line goes wholly out") {
    std::vector<double> score(300, 0.9), belief(300, 0.999);
    score.resize(600, 0.5);
    belief.resize(600, 0.9);
    score.resize(900, 0.1);
    belief.resize(900, 0.2);
    const auto plan = *plan_labels(score, belief, {.max_risk = 0.03, .budget = 100, .simulations = 0});
    CHECK(plan.line == 0.5);
    CHECK(plan.above == 300);
    const auto all = *plan_labels(score, belief, {.max_risk = 0.5, .budget = 100, .simulations = 0});
    REQUIRE(all.line);
    CHECK(*all.line < 0.1);
    CHECK(all.above == 900);
    // Beliefs nowhere near: no line, and labels from everywhere.
    const auto hopeless = *plan_labels(score, std::vector<double>(900, 0.2), {.max_risk = 0.01, .budget = 100, .simulations = 0});
    CHECK_FALSE(hopeless.line);
    CHECK(hopeless.above == 0);
    CHECK(hopeless.risk.size() == 100);
}

TEST_CASE("planned labels certify more, and no more falsely; beliefs that are too sure break nothing") {
    std::mt19937_64 random(2);
    for (const bool honest : {true, false}) {
        const auto w = honest ? worlds::case_b() : worlds::overconfident("overconfident B", worlds::quantile_b);
        double planned = 0, evenly = 0;
        int wrong = 0;
        constexpr int sets = 150;
        for (int run = 0; run < sets; ++run) {
            const auto set = worlds::draw(w, 5000, random);
            const auto plan =
                *plan_labels(set.score, set.belief,
                             {.max_risk = 0.01, .budget = 500, .simulations = 0, .seed = static_cast<std::uint64_t>(run)});
            worlds::sample labelled;
            for (const std::uint32_t row : plan.risk) {
                labelled.score.push_back(set.score[row]);
                labelled.belief.push_back(set.belief[row]);
                labelled.error.push_back(set.error[row]);
            }
            threshold_options options{.max_risk = 0.01};
            options.start_probability = labelled.belief;
            const auto t = *automation_threshold(labelled.score, labelled.error, options);
            const auto share = [&](double line) {
                return static_cast<double>(
                           std::count_if(set.score.begin(), set.score.end(), [&](double s) { return s > line; })) /
                       5000;
            };
            if (t.value) {
                planned += share(*t.value);
                wrong += w.risk_above(*t.value) > 0.01 * (1 + 1e-6) ? 1 : 0;
            }
            options.start_probability = std::span(set.belief).first(500);
            const auto plain = *automation_threshold(std::span(set.score).first(500), std::span(set.error).first(500), options);
            if (plain.value) evenly += share(*plain.value);
        }
        CHECK(wrong <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
        if (honest) CHECK(planned > evenly + 0.06 * sets);
    }
}

TEST_CASE("one budget for risk and recall: two samples without a common row, with what the second was drawn at") {
    std::mt19937_64 random(3);
    const auto set = worlds::draw(worlds::case_b(), 6000, random);
    std::vector<double> positive;
    for (const double b : set.belief) positive.push_back(0.5 * (1 - b));
    label_plan_options options{.max_risk = 0.02, .budget = 2000, .min_recall = 0.95, .simulations = 0};
    options.believed_positive = positive;
    const auto plan = *plan_labels(set.score, set.belief, options);
    REQUIRE(plan.line);
    CHECK(plan.recall_needed > 0);
    CHECK(plan.risk.size() + plan.recall.size() == 2000);
    CHECK(plan.inclusion.size() == plan.recall.size());
    std::vector<std::uint32_t> both;
    std::set_intersection(plan.risk.begin(), plan.risk.end(), plan.recall.begin(), plan.recall.end(), std::back_inserter(both));
    CHECK(both.empty());
    std::uint64_t above = 0;
    double q_above = 0, q_below = 0;
    for (std::size_t i = 0; i < plan.recall.size(); ++i)
        if (set.score[plan.recall[i]] > *plan.line) {
            ++above;
            q_above = plan.inclusion[i];
        } else {
            q_below = plan.inclusion[i];
        }
    const auto below = plan.recall.size() - above;
    // The ratio of the stated probabilities is the ratio of the drawn shares.
    CHECK(q_above / q_below == Approx((static_cast<double>(above) / static_cast<double>(plan.above)) /
                                      (static_cast<double>(below) / (6000.0 - static_cast<double>(plan.above)))));
    CHECK(q_above / q_below == Approx(0.25).epsilon(0.1));
    CHECK(*std::max_element(plan.inclusion.begin(), plan.inclusion.end()) == 1.0);
    CHECK(*std::min_element(plan.inclusion.begin(), plan.inclusion.end()) >= 0.05);
    std::vector<double> flag;
    std::vector<std::uint8_t> label(plan.recall.size(), 0);
    for (const std::uint32_t row : plan.recall) flag.push_back(1 - set.score[row]);
    CHECK(weighted_recall_floor(flag, label, plan.inclusion, 0.95));
    options.believed_positive = {};
    CHECK(plan_labels(set.score, set.belief, options)->recall.size() == 1000);  // nothing believed: half
}

TEST_CASE("plans of no kind are refused by name") {
    const std::vector<double> score{0.1, 0.2, 0.3}, belief{0.5, 0.6, 0.7};
    label_plan_options options{.max_risk = 0.1, .budget = 2, .simulations = 0};
    const auto code = [&] { return plan_labels(score, belief, options).error().code; };
    REQUIRE(plan_labels(score, belief, options));
    options.budget = 0;
    CHECK(code() == "calibration.bad_budget");
    options.budget = 4;
    CHECK(code() == "calibration.bad_budget");
    options.budget = 2;
    options.margin = 0.9;
    CHECK(code() == "calibration.bad_margin");
    options.margin = 1.3;
    options.rate_above = 0.04;
    CHECK(code() == "calibration.bad_inclusion");
    options.rate_above = 0.25;
    options.min_recall = 1.0;
    CHECK(code() == "calibration.bad_recall");
    options.min_recall = 0;
    options.max_risk = 0;
    CHECK(code() == "calibration.bad_risk");
    options.max_risk = 0.1;
    CHECK(plan_labels(score, std::vector<double>{0.5, 0.6, 1.7}, options).error().code == "calibration.bad_probability");
    CHECK(plan_labels(score, std::vector<double>{0.5}, options).error().code == "calibration.length_mismatch");
    CHECK(plan_labels({}, {}, options).error().code == "calibration.empty");
}
