#include "opspilot/learn/lbfgs.hpp"

#include <cmath>
#include <limits>

#include "catch.hpp"

namespace {
double rosenbrock(std::span<const double> w, std::span<double> g) {
    double loss = 0;
    for (double& v : g) v = 0;
    for (std::size_t i = 0; i + 1 < w.size(); ++i) {
        const double a = 1 - w[i], b = w[i + 1] - w[i] * w[i];
        loss += a * a + 100 * b * b;
        g[i] += -2 * a - 400 * w[i] * b;
        g[i + 1] += 200 * b;
    }
    return loss;
}
}  // namespace

TEST_CASE("L-BFGS finds the minimum of Rosenbrock's valley") {
    for (const std::size_t n : {2U, 10U, 50U}) {
        std::vector<double> w(n, -1.2);
        opspilot::lbfgs_options options;
        options.max_iterations = 2000;
        options.gradient_tolerance = 1e-10;
        options.decrease_tolerance = 0;
        const auto report = opspilot::minimise(rosenbrock, std::span<double>(w), options);
        REQUIRE(report.ok());
        CAPTURE(n, report->iterations, report->evaluations, opspilot::name(report->reason));
        // In 10 and 50 dimensions there is a second, local minimum near (-1, 1, …): 3.98 (Shang and Qiu 2006).
        if (n == 2) {
            CHECK(report->loss < 1e-16);
            for (const double v : w) CHECK(v == Approx(1.0).margin(1e-8));
            CHECK(report->evaluations < 80);
        } else {
            CHECK((report->loss < 1e-16 || report->loss == Approx(3.98).margin(0.02)));
        }
        CHECK(report->gradient < 1e-8);
        CHECK(report->reason == opspilot::lbfgs_stop::gradient);
    }
}

TEST_CASE("L-BFGS solves a quadratic in about as many steps as it has eigenvalues") {
    const std::vector<double> curvature{1, 1, 1, 100, 100, 10000};
    std::vector<double> w(curvature.size(), 1.0);
    const auto report = opspilot::minimise(
        [&](std::span<const double> at, std::span<double> g) {
            double loss = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
                g[i] = curvature[i] * (at[i] - 3);
                loss += 0.5 * curvature[i] * (at[i] - 3) * (at[i] - 3);
            }
            return loss;
        },
        std::span<double>(w));
    REQUIRE(report.ok());
    CHECK(report->iterations < 30);
    for (const double v : w) CHECK(v == Approx(3.0).margin(1e-5));
}

TEST_CASE("L-BFGS in float32 reaches the precision of its numbers") {
    std::vector<float> w(1000, 5.0F);
    const auto report = opspilot::minimise(
        [](std::span<const float> at, std::span<float> g) {
            double loss = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
                const double d = static_cast<double>(at[i]) - static_cast<double>(i % 7);
                loss += std::cosh(d) - 1;
                g[i] = static_cast<float>(std::sinh(d));
            }
            return loss;
        },
        std::span<float>(w));
    REQUIRE(report.ok());
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(std::abs(w[i] - static_cast<float>(i % 7)) < 1e-3F);
}

TEST_CASE("L-BFGS says why it stops and refuses what it cannot start from") {
    std::vector<double> w{-1.2, 1};
    opspilot::lbfgs_options options;
    options.max_iterations = 3;
    const auto few = opspilot::minimise(rosenbrock, std::span<double>(w), options);
    REQUIRE(few.ok());
    CHECK(few->iterations == 3);
    CHECK(few->reason == opspilot::lbfgs_stop::iterations);
    CHECK(few->loss < 24.2);  // the value at the start

    // A gradient of the wrong sign: no step lowers the loss.
    w = {-1.2, 1};
    const auto wrong = opspilot::minimise(
        [](std::span<const double> at, std::span<double> g) {
            const double loss = rosenbrock(at, g);
            for (double& v : g) v = -v;
            return loss;
        },
        std::span<double>(w));
    REQUIRE(wrong.ok());
    CHECK(wrong->reason == opspilot::lbfgs_stop::line_search);
    CHECK(w[0] == -1.2);

    const auto nan =
        opspilot::minimise([](std::span<const double>, std::span<double>) { return std::nan(""); }, std::span<double>(w));
    REQUIRE_FALSE(nan.ok());
    CHECK(nan.error().code == "learn.not_finite");
    options.memory = 0;
    CHECK_FALSE(opspilot::minimise(rosenbrock, std::span<double>(w), options).ok());
    std::vector<double> none;
    CHECK(opspilot::minimise([](std::span<const double>, std::span<double>) { return 1.0; }, std::span<double>(none)).ok());
}
