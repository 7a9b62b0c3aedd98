#include "opspilot/calibrate/venn_abers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "opspilot/calibrate/isotonic.hpp"
#include "oracles.hpp"

using namespace opspilot;

TEST_CASE("Venn-Abers pairs are those of the venn-abers package and of refitted isotonic regressions") {
    const auto oracle = oracle_of("venn_abers");
    REQUIRE(oracle["cases"].size() == 4);
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const auto fitted = fit_venn_abers(doubles_of(c["score"]), labels_of(c["label"]));
        REQUIRE(fitted);
        const auto at = doubles_of(c["at"]);
        double package = 0, refitted = 0;
        for (std::size_t i = 0; i < at.size(); ++i) {
            const venn_abers_pair pair = fitted->interval(at[i]);
            for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
                const double own = side == 0 ? pair.p0 : pair.p1;
                package = std::max(package, std::fabs(own - c["package"][i][side].get<double>()));
                refitted = std::max(refitted, std::fabs(own - c["refitted"][i][side].get<double>()));
            }
        }
        CHECK(package <= 1e-12);
        CHECK(refitted <= 1e-12);
    }
}

TEST_CASE("each pair is what a fit with the new point in both ways says, over many small sets") {
    std::mt19937 random(17);
    for (int round = 0; round < 300; ++round) {
        const std::size_t n = 2 + random() % 12;
        const int values = 1 + static_cast<int>(random() % 8);
        std::vector<double> score(n);
        std::vector<std::uint8_t> label(n);
        for (std::size_t i = 0; i < n; ++i) {
            score[i] = static_cast<double>(random() % static_cast<unsigned>(values));
            label[i] = static_cast<std::uint8_t>(random() % 2);
        }
        label[0] = 0;
        label[1] = 1;
        const venn_abers fitted = *fit_venn_abers(score, label);
        double last0 = 0, last1 = 0;
        for (double s = -1; s <= values; s += 0.5) {
            const venn_abers_pair pair = fitted.interval(s);
            for (const std::uint8_t y : {std::uint8_t{0}, std::uint8_t{1}}) {
                auto with_score = score;
                auto with_label = label;
                with_score.push_back(s);
                with_label.push_back(y);
                REQUIRE((y == 0 ? pair.p0 : pair.p1) == fit_isotonic(with_score, with_label)->probability(s));
            }
            REQUIRE(pair.p0 <= pair.p1);
            REQUIRE(pair.p0 >= last0);
            REQUIRE(pair.p1 >= last1);
            REQUIRE(pair.probability() >= pair.p0);
            REQUIRE(pair.probability() <= pair.p1);
            last0 = pair.p0;
            last1 = pair.p1;
        }
    }
}

TEST_CASE("p0 <= p1 and both rise, on many scores; the width shrinks with the labels") {
    std::mt19937_64 random(3);
    double last_width = 1;
    for (const std::size_t n : {std::size_t{20}, std::size_t{500}, std::size_t{20000}}) {
        std::vector<double> score(n);
        std::vector<std::uint8_t> label(n);
        for (std::size_t i = 0; i < n; ++i) {
            score[i] = static_cast<double>(random() % 100000) / 100000.0;
            label[i] = static_cast<double>(random() % 100000) / 100000.0 < score[i] ? 1 : 0;
        }
        const venn_abers fitted = *fit_venn_abers(score, label);
        venn_abers_pair last{0, 0};
        double width = 0;
        for (int i = 0; i <= 1000; ++i) {
            const venn_abers_pair pair = fitted.interval(i / 1000.0);
            REQUIRE(pair.p0 <= pair.p1);
            REQUIRE(pair.p0 >= last.p0);
            REQUIRE(pair.p1 >= last.p1);
            width += pair.width() / 1001;
            last = pair;
        }
        CHECK(width < 0.6 * last_width);
        last_width = width;
    }
}

TEST_CASE("the interval is no confidence interval of the probability") {
    // One score, half of whose labels are 1: the pair closes in on 1/2 whatever the true probability is within sampling error.
    std::vector<double> score(1000, 0.5);
    std::vector<std::uint8_t> label(1000, 0);
    for (std::size_t i = 0; i < 480; ++i) label[i] = 1;
    const venn_abers_pair pair = fit_venn_abers(score, label)->interval(0.5);
    CHECK(pair.p0 == 480.0 / 1001.0);
    CHECK(pair.p1 == 481.0 / 1001.0);
    CHECK(pair.p1 < 0.5);  // a true probability of 1/2, 1.3 standard errors away, lies outside
}

TEST_CASE("Venn-Abers at the ends, at NaN, and what it refuses") {
    const std::vector<double> score{0.2, 0.4, 0.6};
    const venn_abers fitted = *fit_venn_abers(score, std::vector<std::uint8_t>{0, 1, 1});
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(fitted.interval(-infinity).p0 == 0.0);
    CHECK(fitted.interval(infinity).p1 == 1.0);
    CHECK(std::isnan(fitted.interval(std::nan("")).p0));
    CHECK(std::isnan(fitted.probability(std::nan(""))));
    const auto code = [](std::vector<double> s, std::vector<std::uint8_t> y) { return fit_venn_abers(s, y).error().code; };
    CHECK(code({}, {}) == "calibration.empty");
    CHECK(code({1, 2}, {1, 1}) == "calibration.one_class");
    CHECK(code({1, 2}, {1}) == "calibration.length_mismatch");
    CHECK(code({1, std::nan("")}, {1, 0}) == "calibration.not_finite");
    CHECK(code({1, 2}, {1, 7}) == "calibration.bad_label");
}
