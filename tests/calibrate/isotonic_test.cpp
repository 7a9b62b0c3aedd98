#include "opspilot/calibrate/isotonic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "oracles.hpp"

using namespace opspilot;

TEST_CASE("isotonic calibration is scikit-learn's, with ties and weights") {
    const auto oracle = oracle_of("isotonic");
    REQUIRE(oracle["cases"].size() == 6);
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const auto fitted = fit_isotonic(doubles_of(c["score"]), labels_of(c["label"]), doubles_of(c["weight"]));
        REQUIRE(fitted);
        const auto at = doubles_of(c["at"]), value = doubles_of(c["value"]);
        double worst = 0;
        for (std::size_t i = 0; i < at.size(); ++i) worst = std::max(worst, std::fabs(fitted->probability(at[i]) - value[i]));
        CHECK(worst <= 1e-12);
    }
}

TEST_CASE("an isotonic curve is the fit of least squares among nondecreasing ones, whatever the order of the rows") {
    std::mt19937 random(5);
    std::vector<double> score(300);
    std::vector<std::uint8_t> label(300);
    for (std::size_t i = 0; i < score.size(); ++i) {
        score[i] = static_cast<double>(static_cast<int>(random() % 41) - 20) / 4.0;
        label[i] = random() % 41 < static_cast<unsigned>(20 + 4 * score[i]) ? 1 : 0;
    }
    const isotonic fitted = *fit_isotonic(score, label);
    // Max-min formula: the value at s is the largest over a <= s of the smallest over b >= s of the mean of [a, b].
    for (const double s : score) {
        double best = 0;
        for (const double a : score) {
            if (a > s) continue;
            double least = 1;
            for (const double b : score) {
                if (b < s) continue;
                double sum = 0, n = 0;
                for (std::size_t i = 0; i < score.size(); ++i)
                    if (score[i] >= a && score[i] <= b) {
                        sum += label[i];
                        n += 1;
                    }
                least = std::min(least, sum / n);
            }
            best = std::max(best, least);
        }
        REQUIRE(fitted.probability(s) == best);
        if (s > 3.0) break;  // cubic
    }
    CHECK(std::is_sorted(fitted.value.begin(), fitted.value.end()));
    for (std::size_t i = 1; i < fitted.score.size(); ++i) CHECK(fitted.score[i - 1] < fitted.score[i]);

    std::vector<std::size_t> order(score.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> other_score;
    std::vector<std::uint8_t> other_label;
    for (const std::size_t i : order) {
        other_score.push_back(score[i] == 0 ? -0.0 : score[i]);  // the same score
        other_label.push_back(label[i]);
    }
    const isotonic other = *fit_isotonic(other_score, other_label);
    CHECK(other.score == fitted.score);
    CHECK(other.value == fitted.value);
}

TEST_CASE("isotonic curves are read at any number") {
    const isotonic curve{{-1, 0, 2}, {0.1, 0.3, 0.7}};
    CHECK(curve.probability(-5) == 0.1);
    CHECK(curve.probability(-0.5) == Approx(0.2).epsilon(1e-15));
    CHECK(curve.probability(0) == 0.3);
    CHECK(curve.probability(1) == 0.5);
    CHECK(curve.probability(std::numeric_limits<double>::infinity()) == 0.7);
    CHECK(std::isnan(curve.probability(std::nan(""))));
    const double most = std::numeric_limits<double>::max();
    CHECK(isotonic{{-most, most}, {0, 1}}.probability(0) == 0.5);
}

TEST_CASE("what isotonic calibration refuses, by name and place") {
    const std::vector<double> score{0.1, 0.4, 0.9};
    const std::vector<std::uint8_t> label{0, 1, 1};
    const auto refused = [&](std::vector<double> s, std::vector<std::uint8_t> y, std::vector<double> w = {}) {
        return fit_isotonic(s, y, w).error();
    };
    REQUIRE(fit_isotonic(score, label));
    CHECK(refused(score, {0, 1}).code == "calibration.length_mismatch");
    CHECK(refused({}, {}).code == "calibration.empty");
    CHECK(refused(score, {0, 0, 0}).code == "calibration.one_class");
    CHECK(refused({0, std::nan(""), 1}, label).code == "calibration.not_finite");
    CHECK(refused({0, std::nan(""), 1}, label).where == "row 1");
    CHECK(refused(score, {0, 3, 1}).code == "calibration.bad_label");
    CHECK(refused(score, label, {1, 2}).code == "calibration.length_mismatch");
    CHECK(refused(score, label, {1, -2, 1}).code == "calibration.bad_weight");
    CHECK(refused(score, label, {1, -2, 1}).where == "row 1");
    CHECK(refused(score, label, {0, 0, 0}).code == "calibration.bad_weight");
    CHECK_FALSE(refused(score, label, {0, 0, 0}).hint.empty());
}

TEST_CASE("scores of all sizes and both signs are sorted") {
    // The curve of labels that rise with the score touches each knot, so that the knots are the sorted scores.
    std::vector<double> score{0.0,   1e-310, -1e-310, 5e-324, -5e-324, 1.0, -1.0, 1.5,
                              1e308, -1e308, 3e-5,    -7e17,  1e-20,   2.5, -2.5, 100.0};
    std::vector<double> sorted = score;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::uint8_t> label;
    for (const double s : score) label.push_back(s > sorted[7] ? 1 : 0);
    const isotonic fitted = *fit_isotonic(score, label);
    CHECK(fitted.score == std::vector<double>{sorted[0], sorted[7], sorted[8], sorted[15]});
    CHECK(fitted.value == std::vector<double>{0, 0, 1, 1});
}
