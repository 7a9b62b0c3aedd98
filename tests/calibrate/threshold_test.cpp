#include "opspilot/calibrate/threshold.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "fixtures.hpp"
#include "opspilot/calibrate/binomial.hpp"

using namespace opspilot;

namespace {

using bytes = std::vector<std::uint8_t>;

struct labelled {
    std::vector<double> score, belief;
    bytes error;
};

/// n items with descending scores 1, 1 - 1/n, …; items at the given ranks (from 0) are wrong.
labelled descending(std::size_t n, std::initializer_list<std::size_t> wrong) {
    labelled set;
    for (std::size_t i = 0; i < n; ++i) set.score.push_back(1.0 - static_cast<double>(i) / static_cast<double>(n));
    set.error.assign(n, 0);
    for (const std::size_t i : wrong) set.error[i] = 1;
    return set;
}

automation_certificates certify(const labelled& set, threshold_options options = {}) {
    options.start_probability = set.belief;
    auto made = automation_threshold(set.score, set.error, options);
    REQUIRE(made);
    return *std::move(made);
}

/// What a certificate claims about its own set, recounted.
void check_figures(const labelled& set, const certified_threshold& t) {
    REQUIRE(t.sufficient == t.value.has_value());
    REQUIRE(t.sufficient == t.reason.empty());
    if (!t.sufficient) return;
    std::uint64_t above = 0, errors = 0;
    for (std::size_t i = 0; i < set.score.size(); ++i)
        if (set.score[i] > *t.value) {
            ++above;
            errors += set.error[i];
        }
    REQUIRE(t.automated == above);
    REQUIRE(t.errors == errors);
    REQUIRE(t.coverage == static_cast<double>(above) / static_cast<double>(set.score.size()));
    REQUIRE(binomial_cdf(errors, above, t.max_risk) <= t.delta);
    REQUIRE(t.risk_upper <= t.max_risk);
    REQUIRE(std::find(set.score.begin(), set.score.end(), *t.value) != set.score.end());
}

}  // namespace

TEST_CASE("59 items without an error certify 5 %, and the 60th sets the line") {
    const auto set = descending(60, {});
    const auto t = certify(set);
    CHECK(t.sufficient);
    CHECK(t.value == set.score[59]);
    CHECK(t.automated == 59);
    CHECK(t.errors == 0);
    CHECK(t.needed == 59);
    CHECK(t.n == 60);
    CHECK(t.risk_upper == Approx(1 - std::pow(0.05, 1.0 / 59)));
    CHECK(t.steps.size() == 1);

    const auto few = certify(descending(59, {}));
    CHECK_FALSE(few.sufficient);
    CHECK(few.reason == "too_few");
    CHECK(few.risk_upper == 1.0);
}

TEST_CASE("steps follow the critical ranks and stop at the first failure") {
    // Ranks at 5 %, 95 %: 59, 93, 124, 153, 181, 208. The third error at rank 100 makes step c = 2 (124 items) fail.
    const auto set = descending(400, {70, 95, 100});
    const auto t = certify(set);
    REQUIRE(t.steps.size() == 3);
    CHECK(t.steps[0].rank == 59);
    CHECK(t.steps[1].rank == 93);
    CHECK(t.steps[1].errors == 1);
    CHECK(t.steps[2].rank == 124);
    CHECK(t.steps[2].errors == 3);
    CHECK_FALSE(t.steps[2].passed);
    CHECK(t.value == set.score[93]);
    CHECK(t.automated == 93);

    const auto none = certify(descending(400, {3}));
    CHECK_FALSE(none.sufficient);
    CHECK(none.reason == "start_failed");
    CHECK(none.steps.size() == 1);
}

TEST_CASE("a belief moves the start past an early error, an explicit start wins over it") {
    auto set = descending(400, {3});
    set.belief.assign(400, 0.99);
    const auto t = certify(set);
    CHECK(t.start_errors > 0);
    CHECK(t.sufficient);
    // Believed risk 1 %, taken as 1.5 %: the chance BinCDF(c; N_c, 0.015) still rises at the last rank that fits.
    CHECK(t.start_errors == t.steps.front().allowed);

    auto flat = descending(400, {});
    flat.belief.assign(400, 1.0);
    CHECK(certify(flat).start_errors == 0);  // certain of everything: the curve is flat, the smallest start

    threshold_options options;
    options.start_errors = 1;
    CHECK(certify(set, options).start_errors == 1);
    CHECK(certify(set, options).steps.front().rank == 93);
    options.start_errors = 1000;
    CHECK(certify(set, options).reason == "too_few");
}

TEST_CASE("the order of the input changes nothing, ties or not") {
    std::mt19937_64 random(7);
    for (const double grid : {1e6, 200.0, 20.0, 4.0}) {
        labelled set;
        std::uniform_real_distribution<double> uniform;
        for (int i = 0; i < 1500; ++i) {
            const double s = std::round(std::pow(uniform(random), 0.1) * grid) / grid;
            set.score.push_back(s);
            set.belief.push_back(std::min(1.0, 0.3 + 0.7 * uniform(random)));
            set.error.push_back(uniform(random) > 0.99 - 0.2 * (1 - s) ? 1 : 0);
        }
        const auto first = certify(set);
        check_figures(set, first);
        std::vector<std::size_t> order(set.score.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        for (int round = 0; round < 20; ++round) {
            std::shuffle(order.begin(), order.end(), random);
            labelled shuffled;
            for (const std::size_t i : order) {
                shuffled.score.push_back(set.score[i]);
                shuffled.belief.push_back(set.belief[i]);
                shuffled.error.push_back(set.error[i]);
            }
            const auto again = certify(shuffled);
            REQUIRE(again.value == first.value);
            REQUIRE(again.risk_upper == first.risk_upper);
            REQUIRE(again.start_errors == first.start_errors);
            REQUIRE(again.steps.size() == first.steps.size());
            for (std::size_t i = 0; i < first.steps.size(); ++i) {
                REQUIRE(again.steps[i].errors == first.steps[i].errors);
                REQUIRE(again.steps[i].value == first.steps[i].value);
            }
        }
    }
}

TEST_CASE("a tie block is never split") {
    // 50 items at 0.9, 40 at 0.8, 100 at 0.7: rank 59 ends inside the second block, whose last items are the only errors.
    labelled set;
    const auto add = [&](double score, int count, int wrong) {
        for (int i = 0; i < count; ++i) {
            set.score.push_back(score);
            set.error.push_back(i >= count - wrong ? 1 : 0);
        }
    };
    add(0.9, 50, 0);
    add(0.8, 40, 2);
    add(0.7, 100, 50);
    const auto t = certify(set);
    // 90 items at or above 0.8 tolerate no error and two stand there; the 50 of 0.9 alone are too few.
    CHECK_FALSE(t.sufficient);
    for (std::size_t i = 50; i < 90; ++i) set.error[i] = 0;
    const auto clean = certify(set);
    CHECK(clean.value == 0.7);
    CHECK(clean.automated == 90);
    check_figures(set, clean);
}

TEST_CASE("zeros of both signs are one score") {
    labelled set = descending(200, {});
    for (std::size_t i = 60; i < 200; ++i) set.score[i] = i % 2 == 0 ? 0.0 : -0.0;
    const auto t = certify(set);
    REQUIRE(t.value);
    CHECK(*t.value == 0.0);
    CHECK_FALSE(std::signbit(*t.value));
    CHECK(t.automated == 60);
}

TEST_CASE("all scores equal certify nothing and name the reason") {
    labelled set;
    set.score.assign(1000, 0.5);
    set.error.assign(1000, 0);
    const auto t = certify(set);
    CHECK_FALSE(t.sufficient);
    CHECK(t.reason == "ties");
    CHECK(t.automated == 0);
}

TEST_CASE("groups share the failure probability and are certified apart") {
    labelled set;
    std::vector<std::uint32_t> group;
    for (std::uint32_t g = 0; g < 10; ++g)
        for (int i = 0; i < 120; ++i) {
            set.score.push_back(1.0 - i / 120.0);
            set.error.push_back(g == 3 && i == 0 ? 1 : 0);
            group.push_back(g);
        }
    threshold_options options;
    options.groups = group;
    options.group_count = 10;
    const auto t = certify(set, options);
    REQUIRE(t.groups.size() == 10);
    CHECK(t.groups[0].needed == 104);  // 0.5 % of failure probability each
    CHECK(t.groups[0].sufficient);
    CHECK(t.groups[0].automated == 104);
    CHECK(t.groups[0].delta == Approx(0.005));
    CHECK_FALSE(t.groups[3].sufficient);
    CHECK(t.needed == 59);
    options.group_count = 3;
    CHECK(automation_threshold(set.score, set.error, options).error().code == "calibration.bad_group");
}

TEST_CASE("impossible questions are refused by name") {
    const std::vector<double> score{0.1, 0.2};
    const bytes error{0, 1};
    const auto code = [&](const threshold_options& options) { return automation_threshold(score, error, options).error().code; };
    for (const double bad : {0.0, 1.0, -0.1, 5.0, std::nan("")}) {
        threshold_options options;
        options.max_risk = bad;
        CHECK(code(options) == "calibration.bad_risk");
        options = {};
        options.confidence = bad;
        CHECK(code(options) == "calibration.bad_confidence");
        CHECK(recall_floor(score, error, bad).error().code == "calibration.bad_recall");
        CHECK(naive_threshold(score, error, bad).error().code == "calibration.bad_risk");
    }
    const std::vector<double> beliefs{0.5, std::nan("")};
    const std::vector<double> short_beliefs{0.5};
    const std::vector<std::uint32_t> short_groups{0};
    threshold_options options;
    options.start_probability = beliefs;
    CHECK(code(options) == "calibration.bad_probability");
    options.start_probability = short_beliefs;
    CHECK(code(options) == "calibration.length_mismatch");
    options = {};
    options.groups = short_groups;
    options.group_count = 1;
    CHECK(code(options) == "calibration.length_mismatch");
    CHECK(automation_threshold({}, {}, {}).error().code == "calibration.empty");
    CHECK(automation_threshold(score, bytes{0}, {}).error().code == "calibration.length_mismatch");
    CHECK(automation_threshold(score, bytes{0, 3}, {}).error().code == "calibration.bad_label");
    CHECK(automation_threshold(std::vector<double>{0, std::nan("")}, error, {}).error().code == "calibration.not_finite");
}

TEST_CASE("the naive threshold reads the data plainly, by whole tie blocks") {
    const auto set = descending(100, {10, 50, 51, 52, 99});
    const auto t = *naive_threshold(set.score, set.error, 0.05);
    CHECK(t.automated == 100);  // 5 of 100
    CHECK(*t.value < set.score.back());
    const auto strict = *naive_threshold(set.score, set.error, 0.02);
    CHECK(strict.automated == 50);
    CHECK(strict.value == set.score[50]);
    CHECK_FALSE(naive_threshold(std::vector<double>{1, 1}, bytes{0, 1}, 0.1)->value);
}

TEST_CASE("what is missing is a sentence, not an error") {
    CHECK(statement(certify(descending(20, {}))) ==
          "Insufficient: 59 items without an error and one below them needed for a risk of at most 5 % with confidence 95 %, 20 "
          "given.");
    CHECK(statement(certify(descending(400, {3}))) ==
          "Insufficient: 1 errors among the best 59 items, at most 0 prove a risk of at most 5 % with confidence 95 %.");
    CHECK(statement(certify(descending(60, {}))).starts_with("Certified above 0.0166667: a risk of at most 5 %"));
    const std::vector<double> score(60, 1.0);
    CHECK(statement(*recall_floor(score, bytes(60, 1), 0.97)) == "Insufficient: 99 positives needed, 60 given.");
    CHECK(statement(*recall_floor(std::vector<double>(120, 1.0), bytes(120, 1), 0.97)).starts_with("Certified from 1 on"));
}

TEST_CASE("the recall floor is the order statistic of its tolerance limit") {
    std::vector<double> score;
    bytes label;
    for (int i = 0; i < 157; ++i) {
        score.push_back(i);
        label.push_back(1);
        score.push_back(-1 - i);
        label.push_back(0);
    }
    const auto floor = *recall_floor(score, label, 0.97);
    CHECK(floor.sufficient);
    CHECK(floor.needed == 99);
    CHECK(floor.misses_allowed == 1);
    CHECK(floor.misses == 1);
    CHECK(floor.value == 1.0);
    CHECK(floor.flagged == Approx(156.0 / 314.0));
    const auto few = *recall_floor(std::span(score).first(120), std::span(label).first(120), 0.97);
    CHECK_FALSE(few.sufficient);
    CHECK(few.positives == 60);
    CHECK(few.needed == 99);
    CHECK_FALSE(few.value);
    CHECK_FALSE(recall_floor(std::vector<double>{1, 2}, bytes{0, 0}, 0.97)->sufficient);
}
