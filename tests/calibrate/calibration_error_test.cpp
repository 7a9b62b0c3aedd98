#include "opspilot/calibrate/calibration_error.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "oracles.hpp"

using namespace opspilot;

namespace {

/// Probabilities and labels of a model whose true probability is p^power / (p^power + (1 - p)^power).
std::pair<std::vector<double>, std::vector<std::uint8_t>> stated(std::uint64_t seed, std::size_t n, double power) {
    std::mt19937_64 random(seed);
    const auto unit = [&random] { return static_cast<double>(random() >> 11U) * 0x1p-53; };
    std::vector<double> p(n);
    std::vector<std::uint8_t> label(n);
    for (std::size_t i = 0; i < n; ++i) {
        p[i] = unit();
        const double up = std::pow(p[i], power), down = std::pow(1 - p[i], power);
        label[i] = unit() < up / (up + down) ? 1 : 0;
    }
    return {p, label};
}

double measured(const nlohmann::json& c, calibration_measure measure, std::size_t bins = 0) {
    return measure_calibration(doubles_of(c["p"]), labels_of(c["label"]), measure, {.bins = bins, .resamples = 20})->value;
}

}  // namespace

TEST_CASE("debiased and plain binned errors are those of uncertainty-calibration") {
    const auto oracle = oracle_of("calibration_error");
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        CHECK(measured(c, calibration_measure::debiased) == Approx(c["debiased"].get<double>()).margin(1e-12));
        CHECK(measured(c, calibration_measure::debiased, 10) == Approx(c["debiased_10_bins"].get<double>()).margin(1e-12));
        CHECK(measured(c, calibration_measure::binned, 15) == Approx(c["binned_15"].get<double>()).margin(1e-12));
    }
}

TEST_CASE("the smooth error is relplot's within its 1e-3") {
    const auto oracle = oracle_of("calibration_error");
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        CHECK(measured(c, calibration_measure::smooth) == Approx(c["smooth"].get<double>()).margin(1e-3));
    }
}

TEST_CASE("the decomposition of the Brier score is that of model-diagnostics, and adds up") {
    const auto oracle = oracle_of("calibration_error");
    for (const auto& c : oracle["cases"]) {
        INFO(c["name"].get<std::string>());
        const score_decomposition d = *decompose_score(doubles_of(c["p"]), labels_of(c["label"]));
        CHECK(d.miscalibration == Approx(c["corp"]["miscalibration"].get<double>()).margin(1e-12));
        CHECK(d.discrimination == Approx(c["corp"]["discrimination"].get<double>()).margin(1e-12));
        CHECK(d.uncertainty == Approx(c["corp"]["uncertainty"].get<double>()).margin(1e-12));
        CHECK(d.score == Approx(c["corp"]["score"].get<double>()).margin(1e-12));
        CHECK(std::fabs(d.score - (d.miscalibration - d.discrimination + d.uncertainty)) <= 1e-12);
        CHECK(measured(c, calibration_measure::corp) == d.miscalibration);
    }
}

TEST_CASE("the plain error of a perfect model is far from 0, and says so; the debiased one is not") {
    const auto [p, label] = stated(11, 500, 1.0);
    const measured_calibration plain = *measure_calibration(p, label, calibration_measure::binned, {.bins = 15});
    CHECK(plain.value > 0.02);
    CHECK(plain.value < plain.calibrated_high);
    CHECK(plain.low <= plain.value);
    const measured_calibration debiased = *measure_calibration(p, label, calibration_measure::debiased);
    CHECK(debiased.value < plain.value);
    CHECK(debiased.low == 0);
    CHECK(debiased.bins == 15);
    CHECK(debiased.n == 500);
}

TEST_CASE("intervals hold the true error about as often as they say, and the same seed gives the same interval") {
    // power 2: the true squared error is the mean of (p - q(p))^2 over uniform p, by the midpoint rule.
    double square = 0;
    for (int i = 0; i < 10000; ++i) {
        const double p = (i + 0.5) / 10000, q = p * p / (p * p + (1 - p) * (1 - p));
        square += (p - q) * (p - q) / 10000;
    }
    int held = 0;
    constexpr int runs = 120;
    for (int run = 0; run < runs; ++run) {
        const auto [p, label] = stated(static_cast<std::uint64_t>(run), 800, 2.0);
        const measured_calibration m = *measure_calibration(p, label, calibration_measure::debiased, {.confidence = 0.9});
        held += m.low <= std::sqrt(square) && std::sqrt(square) <= m.high ? 1 : 0;
    }
    CHECK(held >= 0.8 * runs);  // 90 % less four standard errors
    CHECK(held <= 0.99 * runs);

    const auto [p, label] = stated(3, 400, 3.0);
    for (const auto measure :
         {calibration_measure::debiased, calibration_measure::smooth, calibration_measure::corp, calibration_measure::binned}) {
        INFO(name(measure));
        const auto first = *measure_calibration(p, label, measure, {.seed = 5});
        const auto again = *measure_calibration(p, label, measure, {.seed = 5});
        const auto other = *measure_calibration(p, label, measure, {.seed = 6});
        CHECK(first.low == again.low);
        CHECK(first.high == again.high);
        CHECK(first.calibrated_high == again.calibrated_high);
        CHECK(first.calibrated_high != other.calibrated_high);
        CHECK(first.low <= first.high);
        CHECK(first.value > first.calibrated_high);  // 400 rows suffice to see this error
    }
}

TEST_CASE("the smooth error finds what a shift of all probabilities adds, whatever the order of the rows") {
    auto [p, label] = stated(21, 20000, 1.0);
    for (double& value : p) value = 0.2 + 0.6 * value;  // states too little spread: mean |error| is 0.1
    const double direct = measure_calibration(p, label, calibration_measure::smooth, {.resamples = 20})->value;
    CHECK(direct == Approx(0.1).margin(0.02));
    std::reverse(p.begin(), p.end());
    std::reverse(label.begin(), label.end());
    CHECK(measure_calibration(p, label, calibration_measure::smooth, {.resamples = 20})->value == direct);
    // Everything at one end: the mirror keeps its mass.
    const std::vector<double> zeros(100, 0.0), ones(100, 1.0);
    std::vector<std::uint8_t> some(100, 0);
    std::fill_n(some.begin(), 30, std::uint8_t{1});
    CHECK(measure_calibration(zeros, some, calibration_measure::smooth)->value == Approx(0.3).margin(1e-3));
    CHECK(measure_calibration(ones, some, calibration_measure::smooth)->value == Approx(0.7).margin(5e-3));
}

TEST_CASE("a reliability diagram: bins of equal mass, and the isotonic steps through them") {
    const auto [p, label] = stated(8, 1000, 1.5);
    const reliability d = *reliability_diagram(p, label, 10);
    REQUIRE(d.bins.size() == 10);
    std::uint64_t rows = 0, curve_rows = 0;
    double positives = 0, curve_positives = 0;
    for (const reliability_bin& b : d.bins) {
        CHECK(b.n == 100);
        CHECK(b.low <= b.mean_probability);
        CHECK(b.mean_probability <= b.high);
        rows += b.n;
        positives += b.share * static_cast<double>(b.n);
    }
    for (std::size_t i = 0; i < d.curve.size(); ++i) {
        if (i > 0) CHECK(d.curve[i - 1].share < d.curve[i].share);
        if (i > 0) CHECK(d.curve[i - 1].high < d.curve[i].low);
        curve_rows += d.curve[i].n;
        curve_positives += d.curve[i].share * static_cast<double>(d.curve[i].n);
    }
    CHECK(rows == 1000);
    CHECK(curve_rows == 1000);
    CHECK(positives == Approx(curve_positives));
}

TEST_CASE("equal probabilities share a bin") {
    std::vector<double> p(100, 0.5);
    std::vector<std::uint8_t> label(100, 0);
    for (std::size_t i = 0; i < 40; ++i) label[i] = 1;
    p[99] = 0.9;
    const reliability d = *reliability_diagram(p, label, 10);
    REQUIRE(d.bins.size() == 2);
    CHECK(d.bins[0].n == 99);
    CHECK(d.bins[1].n == 1);
}

TEST_CASE("what measures of calibration refuse, by name and place") {
    const auto refused = [](std::vector<double> p, std::vector<std::uint8_t> y, calibration_error_options options = {}) {
        return measure_calibration(p, y, calibration_measure::debiased, options).error();
    };
    CHECK(refused({}, {}).code == "calibration.empty");
    CHECK(refused({0.5}, {1, 0}).code == "calibration.length_mismatch");
    CHECK(refused({0.5, -0.1}, {1, 0}).code == "calibration.bad_probability");
    CHECK(refused({0.5, -0.1}, {1, 0}).where == "row 1");
    CHECK(refused({0.5, std::nan("")}, {1, 0}).code == "calibration.not_finite");
    CHECK(refused({0.5, 0.1}, {1, 3}).code == "calibration.bad_label");
    CHECK(refused({0.5, 0.1}, {1, 0}, {.bins = 3}).code == "calibration.bad_bins");
    CHECK(refused({0.5, 0.1}, {1, 0}, {.confidence = 95}).code == "calibration.bad_confidence");
    CHECK(refused({0.5, 0.1}, {1, 0}, {.resamples = 1}).code == "calibration.bad_resamples");
    CHECK(measure_calibration(std::vector<double>{0.5, 0.25}, std::vector<std::uint8_t>{0, 0}, calibration_measure::corp));
}
