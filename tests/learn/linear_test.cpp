#include "opspilot/learn/linear.hpp"

#include <cmath>
#include <thread>

#include "learn_fixtures.hpp"

using namespace opspilot;

namespace {
struct linear_world {
    learn_fixture fixture{"linear"};
    std::vector<std::string> columns{"a", "b", "c", "d"};
    std::vector<float> x = fixture.list<float>("x");
    std::vector<float> labels = fixture.list<float>("labels");
    std::vector<float> targets = fixture.list<float>("targets");
    std::vector<float> weight = fixture.list<float>("weight");
    linear_data data;
    linear_options options;
    linear_world() {
        data.columns = columns;
        data.x = x;
        data.labels = labels;
        data.weights = weight;
        options.l2 = 2.0;
        options.standardise = false;
        options.solver.gradient_tolerance = 1e-12;
    }
};
void check_model(const linear_ranker& model, const std::vector<double>& expected) {
    for (std::size_t j = 0; j + 1 < expected.size(); ++j) CHECK(std::abs(model.weights()[j] - expected[j]) <= 1e-5);
    CHECK(std::abs(model.intercept() - expected.back()) <= 1e-5);
}
}  // namespace

TEST_CASE("logistic and ridge regression agree with scikit-learn to 1e-5") {
    linear_world world;
    const auto logistic = fit_linear(world.data, world.options);
    REQUIRE(logistic.ok());
    check_model(logistic->model, world.fixture.list("logistic"));
    world.data.labels = world.targets;
    world.options.loss = linear_loss::squared;
    const auto ridge = fit_linear(world.data, world.options, [](std::size_t n, const std::function<void(std::size_t)>& body) {
        for (std::size_t i = n; i-- > 0;) body(i);
    });
    REQUIRE(ridge.ok());
    check_model(ridge->model, world.fixture.list("ridge"));
}

TEST_CASE("without penalty standardising changes nothing but the path") {
    linear_world world;
    world.data.labels = world.targets;
    world.options.loss = linear_loss::squared;
    world.options.l2 = 0;
    const auto plain = fit_linear(world.data, world.options);
    world.options.standardise = true;
    const auto standardised = fit_linear(world.data, world.options);
    REQUIRE(plain.ok());
    REQUIRE(standardised.ok());
    std::vector<double> expected(plain->model.weights().begin(), plain->model.weights().end());
    expected.push_back(plain->model.intercept());
    check_model(standardised->model, expected);
}

TEST_CASE("listwise loss with one chosen row per group is conditional logit") {
    const learn_fixture fixture("conditional_logit");
    const auto offsets = fixture.list<std::int64_t>("offsets");
    const auto x = fixture.list<float>("x");
    const auto labels = fixture.list<float>("labels");
    const std::vector<std::string> columns{"a", "b", "c"};
    linear_data data;
    data.columns = columns;
    data.x = x;
    data.labels = labels;
    data.groups = offsets;
    linear_options options;
    options.loss = linear_loss::listwise;
    options.l2 = 0;
    options.solver.gradient_tolerance = 1e-12;
    const auto fit = fit_linear(data, options);
    REQUIRE(fit.ok());
    const auto expected = fixture.list("params");
    for (std::size_t j = 0; j < 3; ++j) CHECK(std::abs(fit->model.weights()[j] - expected[j]) <= 1e-5);
    CHECK(fit->report.loss == Approx(fixture.list("loss")[0]).epsilon(1e-10));
}

TEST_CASE("linear data that does not fit together is refused with its place") {
    const auto code_of = [](const auto& change) {
        linear_world world;
        change(world);
        const auto fit = fit_linear(world.data, world.options);
        return code_and_place(fit);
    };
    CHECK(code_of([](linear_world&) {}) == "fine");
    CHECK(code_of([](linear_world& w) { w.x[5] = NAN; }) == "learn.value row 1");
    CHECK(code_of([](linear_world& w) { w.labels[2] = 0.5F; }) == "learn.label row 2");
    CHECK(code_of([](linear_world& w) { w.data.x = w.data.x.subspan(4); }) == "learn.shape ");
    CHECK(code_of([](linear_world& w) { w.weight[9] = NAN; }) == "learn.value row 9");
    CHECK(code_of([](linear_world& w) { w.options.loss = linear_loss::listwise; }) == "learn.shape ");
    CHECK(code_of([](linear_world& w) { w.options.l2 = NAN; }) == "learn.options ");
    CHECK(code_of([](linear_world& w) { w.columns[1] = w.columns[0]; }) == "model.feature_name_twice /features");
}
