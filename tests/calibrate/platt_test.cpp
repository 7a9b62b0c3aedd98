#include "opspilot/calibrate/platt.hpp"

#include <cmath>
#include <limits>

#include "fixtures.hpp"
#include "opspilot/calibrate/labels.hpp"

using namespace opspilot;

TEST_CASE("Platt scaling agrees with scikit-learn, and its objective is never above") {
    const auto oracle = fixture("platt.json");
    REQUIRE(oracle["cases"].size() == 7);
    for (const auto& c : oracle["cases"]) {
        const auto score = c["score"].get<std::vector<double>>();
        const auto label = bytes_of(c["label"]);
        const auto fitted = fit_platt(score, label);
        INFO(c["name"].get<std::string>());
        REQUIRE(fitted);
        const double a = c["a"];
        const double b = c["b"];
        CHECK(std::fabs(fitted->a - a) <= 1e-5 * std::fabs(a));
        CHECK(std::fabs(fitted->b - b) <= 1e-5 * std::fabs(b) + 1e-9);
        CHECK(platt_objective(*fitted, score, label) <= c["objective"].get<double>() + 1e-9);
    }
}

TEST_CASE("the fit is a stationary point of its objective") {
    const nlohmann::json c = fixture("platt.json")["cases"][1];
    const auto score = c["score"].get<std::vector<double>>();
    const auto label = bytes_of(c["label"]);
    const platt fitted = *fit_platt(score, label);
    const double here = platt_objective(fitted, score, label);
    for (const double step : {1e-4, -1e-4}) {
        CHECK(platt_objective({fitted.a + step, fitted.b}, score, label) > here);
        CHECK(platt_objective({fitted.a, fitted.b + step}, score, label) > here);
    }
}

TEST_CASE("probabilities are monotone, bounded and finite for any finite margin") {
    const platt p{-2.0, 0.5};
    const std::vector<double> score{-std::numeric_limits<double>::max(), -1e6, -1, 0, 0.25, 1, 1e6,
                                    std::numeric_limits<double>::max()};
    std::vector<double> out(score.size());
    p.probabilities(score, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(out[i] >= 0.0);
        CHECK(out[i] <= 1.0);
        CHECK(out[i] == p.probability(score[i]));
        if (i > 0) CHECK(out[i] >= out[i - 1]);
    }
    CHECK(p.probability(0.25) == 0.5);
}

TEST_CASE("what cannot be calibrated is refused by name") {
    const std::vector<double> score{0.1, 0.4, 0.9};
    const std::vector<std::uint8_t> label{0, 1, 1};
    const auto code = [](std::vector<double> s, std::vector<std::uint8_t> y) { return fit_platt(s, y).error().code; };
    REQUIRE(fit_platt(score, label));
    CHECK(code(score, {0, 1}) == "calibration.length_mismatch");
    CHECK(code({}, {}) == "calibration.empty");
    CHECK(code(score, {0, 1, 2}) == "calibration.bad_label");
    CHECK(code(score, {1, 1, 1}) == "calibration.one_class");
    CHECK(code(score, {0, 0, 0}) == "calibration.one_class");
    CHECK(code({0.5, 0.5, 0.5}, label) == "calibration.all_ties");
    CHECK(code({0.1, std::nan(""), 0.9}, label) == "calibration.not_finite");
    CHECK(code({0.1, 0.2, std::numeric_limits<double>::infinity()}, label) == "calibration.not_finite");
    CHECK(fit_platt(std::vector<double>{0.1, std::nan(""), 0.9}, label).error().where == "row 1");
    CHECK(fit_platt(score, std::vector<std::uint8_t>{0, 1, 2}).error().kind == error_kind::calibration);
}

TEST_CASE("labels given as numbers must be 0 or 1") {
    CHECK(*binary_labels(std::vector<double>{0, 1, -0.0}) == std::vector<std::uint8_t>{0, 1, 0});
    for (const double bad : {0.5, -1.0, 256.0, std::nan("")}) {
        const auto refused = binary_labels(std::vector<double>{0, bad});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == "calibration.bad_label");
        CHECK(refused.error().where == "row 1");
    }
}
