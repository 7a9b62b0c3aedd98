#include "opspilot/calibrate/temperature.hpp"

#include <algorithm>
#include <cmath>

#include "oracles.hpp"

using namespace opspilot;

namespace {
std::vector<std::uint32_t> classes_of(const nlohmann::json& numbers) { return numbers.get<std::vector<std::uint32_t>>(); }
}  // namespace

TEST_CASE("temperature scaling is scikit-learn's") {
    const auto oracle = oracle_of("temperature");
    REQUIRE(oracle["cases"].size() == 4);
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const auto logits = doubles_of(c["logits"]), p = doubles_of(c["p"]);
        const std::size_t classes = c["classes"];
        std::vector<double> own(logits.size());
        if (classes == 1) {
            const auto fitted = fit_temperature(logits, labels_of(c["label"]));
            REQUIRE(fitted);
            for (std::size_t i = 0; i < own.size(); ++i) own[i] = fitted->probability(logits[i]);
        } else {
            const auto fitted = fit_temperature(logits, classes, classes_of(c["label"]));
            REQUIRE(fitted);
            fitted->probabilities(logits, classes, own);
        }
        double worst = 0;
        for (std::size_t i = 0; i < own.size(); ++i) worst = std::max(worst, std::fabs(own[i] - p[i]));
        CHECK(worst <= 1e-6);
    }
}

TEST_CASE("two classes with logits 0 and s are one score, in any unit") {
    const auto c = oracle_of("temperature")["cases"][0];
    const auto score = doubles_of(c["logits"]);
    const auto label = labels_of(c["label"]);
    const double t = fit_temperature(score, label)->t;
    std::vector<double> rows, large;
    for (const double s : score) {
        rows.insert(rows.end(), {0.0, s});
        large.push_back(1e200 * s);
    }
    CHECK(fit_temperature(rows, 2, classes_of(c["label"]))->t == Approx(t).epsilon(1e-12));
    CHECK(fit_temperature(large, label)->t == Approx(1e200 * t).epsilon(1e-12));
}

TEST_CASE("temperatures stay finite where the optimum does not") {
    const std::vector<double> score{-2, -1, 1, 2};
    const double cold = fit_temperature(score, std::vector<std::uint8_t>{0, 0, 1, 1})->t;
    CHECK(cold == Approx(2 * std::exp(-10)));
    const double hot = fit_temperature(score, std::vector<std::uint8_t>{1, 1, 0, 0})->t;
    CHECK(hot == Approx(2 * std::exp(10)));
}

TEST_CASE("temperature keeps the order of classes in a row, but not that of rows by their largest probability") {
    const std::vector<double> logits{4, 0, 0, 3.5, -4, -4};
    std::vector<double> cool(6), hot(6);
    temperature_curve{0.5}.probabilities(logits, 3, cool);
    temperature_curve{8}.probabilities(logits, 3, hot);
    for (const auto& p : {cool, hot}) {
        CHECK(p[0] > p[1]);
        CHECK(p[3] > p[4]);
        CHECK(p[0] + p[1] + p[2] == Approx(1).epsilon(1e-14));
    }
    const std::vector<double> third{0, -1, -20, 0, -2, -2};  // one rival close by and one far off; two rivals in between
    temperature_curve{0.5}.probabilities(third, 3, cool);
    temperature_curve{8}.probabilities(third, 3, hot);
    CHECK((cool[0] > cool[3]) != (hot[0] > hot[3]));
}

TEST_CASE("vector scaling is the minimum that scipy finds") {
    const auto oracle = oracle_of("vector_scaling");
    const auto logits = doubles_of(oracle["logits"]);
    const auto label = classes_of(oracle["label"]);
    for (const auto& c : oracle["cases"]) {
        const auto fitted = fit_vector_scaling(logits, 4, label, c["ridge"]);
        REQUIRE(fitted);
        for (std::size_t k = 0; k < 4; ++k) {
            CHECK(fitted->scale[k] == Approx(c["scale"][k].get<double>()).margin(1e-5));
            CHECK(fitted->shift[k] == Approx(c["shift"][k].get<double>()).margin(1e-5));
        }
        std::vector<double> p(logits.size());
        fitted->probabilities(logits, p);
        CHECK(p[0] + p[1] + p[2] + p[3] == Approx(1).epsilon(1e-14));
    }
}

TEST_CASE("the task of the most probable class") {
    const std::vector<double> p{0.2, 0.5, 0.3, 0.4, 0.4, 0.2};
    const top_class_task task = *top_class(p, 3, std::vector<std::uint32_t>{1, 1});
    CHECK(task.score == std::vector<double>{0.5, 0.4});
    CHECK(task.label == std::vector<std::uint8_t>{1, 0});  // of equal ones the first
}

TEST_CASE("what scaling of logits refuses, by name and place") {
    using rows = std::vector<double>;
    using classes = std::vector<std::uint32_t>;
    const auto refused = [](const rows& z, std::size_t k, const classes& y) { return fit_temperature(z, k, y).error(); };
    CHECK(refused({1, 2, 3}, 2, {0}).code == "calibration.length_mismatch");
    CHECK(refused({1, 2, 3, 4}, 2, {0}).code == "calibration.length_mismatch");
    CHECK(refused({1, 2}, 1, {0, 1}).code == "calibration.length_mismatch");
    CHECK(refused({}, 2, {}).code == "calibration.empty");
    CHECK(refused({1, std::nan(""), 0, 0}, 2, {0, 1}).code == "calibration.not_finite");
    CHECK(refused({1, std::nan(""), 0, 0}, 2, {0, 1}).where == "row 0, column 1");
    CHECK(refused({1, 2, 3, 4}, 2, {0, 2}).code == "calibration.bad_class");
    CHECK(refused({1, 2, 3, 4}, 2, {1, 1}).code == "calibration.one_class");
    CHECK(refused({1, 1, 4, 4}, 2, {0, 1}).code == "calibration.all_ties");
    CHECK(fit_temperature(rows{0, 0}, std::vector<std::uint8_t>{0, 1}).error().code == "calibration.all_ties");
    CHECK(fit_vector_scaling(rows{1, 2, 4, 3}, 2, classes{0, 1}, 0).error().code == "calibration.bad_ridge");
    CHECK(fit_vector_scaling(rows(600, 1), 300, classes{0, 1}).error().code == "calibration.too_many_classes");
}
