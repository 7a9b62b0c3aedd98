#include "opspilot/calibrate/beta.hpp"

#include <algorithm>
#include <cmath>

#include "oracles.hpp"

using namespace opspilot;

TEST_CASE("beta calibration agrees with betacal") {
    const auto oracle = oracle_of("beta");
    REQUIRE(oracle["cases"].size() == 6);
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const auto score = doubles_of(c["score"]), p = doubles_of(c["p"]);
        const auto fitted = fit_beta(score, labels_of(c["label"]));
        REQUIRE(fitted);
        double worst = 0;
        for (std::size_t i = 0; i < score.size(); ++i) worst = std::max(worst, std::fabs(fitted->probability(score[i]) - p[i]));
        CHECK(worst <= 1e-6);
    }
}

TEST_CASE("coefficients of beta calibration are never negative, and the fit is the best of those") {
    const auto oracle = oracle_of("beta");
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const auto score = doubles_of(c["score"]);
        const auto label = labels_of(c["label"]);
        const beta_curve k = *fit_beta(score, label);
        CHECK(k.a >= 0);
        CHECK(k.b >= 0);
        if (c["name"] == "negative a") CHECK(k.a == 0);
        if (c["name"] == "negative b") CHECK(k.b == 0);
        const double here = beta_objective(k, score, label);
        for (const double step : {1e-3, -1e-3}) {
            if (k.a + step >= 0) CHECK(beta_objective({k.a + step, k.b, k.c}, score, label) > here);
            if (k.b + step >= 0) CHECK(beta_objective({k.a, k.b + step, k.c}, score, label) > here);
            CHECK(beta_objective({k.a, k.b, k.c + step}, score, label) > here);
        }
    }
}

TEST_CASE("where scores point the wrong way the beta curve is the mean label") {
    std::vector<double> score;
    std::vector<std::uint8_t> label;
    for (int i = 1; i < 100; ++i) {
        score.push_back(i / 100.0);
        label.push_back(i <= 33 ? 1 : 0);
    }
    const beta_curve k = *fit_beta(score, label);
    CHECK(k.a == 0);
    CHECK(k.b == 0);
    CHECK(k.probability(0.9) == Approx(1.0 / 3.0).epsilon(1e-12));
}

TEST_CASE("beta curves are finite on separable data, at 0 and at 1") {
    const std::vector<double> score{0, 0.1, 0.2, 0.8, 1};
    const auto k = fit_beta(score, std::vector<std::uint8_t>{0, 0, 0, 1, 1});
    REQUIRE(k);
    CHECK(std::isfinite(k->a));
    CHECK(std::isfinite(k->c));
    double last = 0;
    for (const double s : {0.0, 1e-300, 0.1, 0.5, 0.9, 1.0}) {
        const double p = k->probability(s);
        CHECK(p >= last);
        CHECK(p <= 1);
        last = p;
    }
    CHECK(std::isnan(k->probability(std::nan(""))));
    CHECK(beta_curve{}.probability(0.3) == Approx(0.3).epsilon(1e-14));
}

TEST_CASE("what beta calibration refuses, by name and place") {
    const auto refused = [](std::vector<double> s, std::vector<std::uint8_t> y) { return fit_beta(s, y).error(); };
    CHECK(refused({0.1, 1.2}, {0, 1}).code == "calibration.bad_probability");
    CHECK(refused({0.1, 1.2}, {0, 1}).where == "row 1");
    CHECK_FALSE(refused({-0.1, 1}, {0, 1}).hint.empty());
    CHECK(refused({0.1, 0.2}, {1, 1}).code == "calibration.one_class");
    CHECK(refused({0.2, 0.2}, {0, 1}).code == "calibration.all_ties");
    CHECK(refused({0.2, std::nan("")}, {0, 1}).code == "calibration.not_finite");
    CHECK(refused({}, {}).code == "calibration.empty");
}
