#include "opspilot/learn/choice.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "learn_fixtures.hpp"
#include "opspilot/learn/detail/inputs.hpp"
#include "opspilot/learn/detail/softmax_objective.hpp"

using namespace opspilot;

namespace {

const parallel_for three_threads = [](std::size_t count, const std::function<void(std::size_t)>& body) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = t; i < count; i += 3) body(i);
        });
    for (std::thread& t : threads) t.join();
};

// The crossed fixture, as data and as the problem behind it.
struct crossed_world {
    learn_fixture fixture{"crossed_choice"};
    std::vector<sparse_block> blocks{{"words", 6}, {"letters", 4}};
    csr_storage x{fixture.list<float>("text"), 10};
    std::vector<std::int64_t> offsets = fixture.list<std::int64_t>("offsets");
    std::vector<std::uint32_t> slots = fixture.list<std::uint32_t>("slots");
    std::vector<float> dense = fixture.list<float>("dense");
    std::vector<std::int32_t> chosen = fixture.list<std::int32_t>("chosen");
    std::vector<float> weight = fixture.list<float>("weight");
    std::vector<choice_model::key> keys{{"id", {"a", "b", "c", "d"}}, {"kind", {"odd", "even"}}};
    std::vector<std::string> columns{"price", "age"};
    choice_data data;
    softmax_options options;

    crossed_world() {
        data.blocks = blocks;
        data.x = x.view();
        data.candidate_offsets = offsets;
        data.keys = keys;
        data.slots = slots;
        data.outside = true;
        data.columns = columns;
        data.dense = dense;
        data.chosen = chosen;
        data.weights = weight;
        options.l2 = fixture.list("penalties")[0];
        options.bias_l2 = fixture.list("penalties")[1];
        options.min_count = 1;
        options.standardise = false;
        options.tolerance = 1e-10;
        options.max_iterations = 2000;
        options.max_entries = 0;
    }
    [[nodiscard]] std::vector<std::uint32_t> all() const { return detail::rows_or_all({}, chosen.size()); }
};

}  // namespace

TEST_CASE("conditional logit agrees with statsmodels to 1e-5") {
    const learn_fixture fixture("conditional_logit");
    const auto offsets = fixture.list<std::int64_t>("offsets");
    const auto x = fixture.list<float>("x");
    const auto chosen = fixture.list<std::int32_t>("chosen");
    const std::vector<std::string> columns{"a", "b", "c"};
    choice_data data;
    data.candidate_offsets = offsets;
    data.columns = columns;
    data.dense = x;
    data.chosen = chosen;
    for (const bool standardise : {false, true}) {
        softmax_options options;
        options.l2 = 0;
        options.tolerance = 1e-11;
        options.standardise = standardise;
        const auto fit = fit_choice(data, options);
        REQUIRE(fit.ok());
        const auto expected = fixture.list("params");
        for (std::size_t j = 0; j < 3; ++j)
            CHECK(std::abs(static_cast<double>(fit->model.column_weights()[j]) - expected[j]) <= 1e-5);
        CHECK(fit->report.loss * 150 == Approx(fixture.list("loss")[0]).epsilon(1e-9));
        CHECK(fit->report.converged);
    }
}

TEST_CASE("the crossed model with an outside option agrees with scipy to 1e-5") {
    const crossed_world world;
    const auto in = detail::choice_input(world.data);
    REQUIRE(in.ok());
    const auto dense = detail::standardise_options(*in, world.all(), false);
    const auto found = detail::train_softmax(*in, world.all(), {}, dense, world.options, {});
    REQUIRE(found.ok());
    const std::size_t width = 7;
    std::vector<double> table(10 * width, 0.0);
    for (std::size_t r = 0; r < found->rows.bucket.size(); ++r)
        for (std::size_t e = found->rows.start[r]; e < found->rows.start[r + 1]; ++e)
            table[found->rows.bucket[r] * width + found->rows.output[e]] = static_cast<double>(found->rows.weight[e]);
    const auto expected = world.fixture.list("table");
    for (std::size_t i = 0; i < table.size(); ++i) CHECK(std::abs(table[i] - expected[i]) <= 1e-5);
    const auto beta = world.fixture.list("beta");
    for (std::size_t j = 0; j < 2; ++j) CHECK(std::abs(static_cast<double>(found->option_columns[j]) - beta[j]) <= 1e-5);
    const auto bias = world.fixture.list("bias");
    for (std::size_t s = 0; s < width; ++s) CHECK(std::abs(static_cast<double>(found->bias[s]) - bias[s]) <= 1e-5);
}

TEST_CASE("gradient of the crossed objective by finite differences") {
    crossed_world world;
    const auto in = detail::choice_input(world.data);
    REQUIRE(in.ok());
    const auto dense = detail::standardise_options(*in, world.all(), true);
    const detail::standardisation none;
    const detail::softmax_rows rows(*in, world.all(), none, dense, 1);
    const parallel_for serial;
    detail::softmax_objective<double> objective(rows, world.options, serial);
    std::vector<double> w(objective.parameters()), gradient(w.size()), ignored(w.size());
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<double>(i) * 1.7) * 0.5;
    objective(w, gradient);
    for (std::size_t i = 0; i < w.size(); ++i) {
        const double h = 1e-5, at = w[i];
        w[i] = at + h;
        const double up = objective(w, ignored);
        w[i] = at - h;
        const double down = objective(w, ignored);
        w[i] = at;
        CHECK(std::abs((up - down) / (2 * h) - gradient[i]) <= 1e-6 * std::max(1.0, std::abs(gradient[i])));
    }
}

TEST_CASE("the saved choice model predicts what was trained, in any piece and by any number of threads") {
    crossed_world world;
    world.options.standardise = true;
    for (const softmax_solver solver : {softmax_solver::lbfgs, softmax_solver::adagrad}) {
        world.options.solver = solver;
        world.options.epochs = 30;
        const auto one = fit_choice(world.data, world.options);
        const auto many = fit_choice(world.data, world.options, {}, three_threads);
        REQUIRE(one.ok());
        REQUIRE(many.ok());
        CHECK(one->model.to_bytes() == many->model.to_bytes());
        const auto read = choice_model::parse(one->model.to_bytes());
        REQUIRE(read.ok());
        std::vector<double> out(world.dense.size() / 2), outside(world.chosen.size());
        REQUIRE(predict_rows(*read, world.data, {}, out, outside, three_threads).ok());
        double loss = 0, weight = 0, chance = 0;
        for (std::size_t t = 0; t < world.chosen.size(); ++t) {
            double sum = std::exp(outside[t]);
            const auto first = static_cast<std::size_t>(world.offsets[t]);
            for (std::size_t i = first; i < static_cast<std::size_t>(world.offsets[t + 1]); ++i) sum += std::exp(out[i]);
            CHECK(sum == Approx(1.0).epsilon(1e-12));
            const double own = world.chosen[t] < 0 ? outside[t] : out[first + static_cast<std::size_t>(world.chosen[t])];
            loss -= own * static_cast<double>(world.weight[t]);
            weight += static_cast<double>(world.weight[t]);
            chance +=
                static_cast<double>(world.weight[t]) * std::log(static_cast<double>(world.offsets[t + 1] - world.offsets[t] + 1));
        }
        // int8 rows change the loss by less than a thousandth; AdaGrad reports the loss during its last pass.
        CHECK(loss / weight == Approx(one->report.loss).epsilon(solver == softmax_solver::lbfgs ? 1e-3 : 0.03));
        CHECK(loss < 0.95 * chance);
    }
}

TEST_CASE("tasks without candidates or with nothing chosen are skipped, weights of 0 count nothing") {
    crossed_world world;
    world.data.outside = false;
    const auto some = fit_choice(world.data, world.options);
    REQUIRE(some.ok());
    CHECK(some->report.rows ==
          static_cast<std::size_t>(std::count_if(world.chosen.begin(), world.chosen.end(), [](int c) { return c >= 0; })));

    std::vector<std::uint32_t> half;
    std::vector<float> weight = world.weight;
    for (std::uint32_t t = 0; t < world.chosen.size(); ++t)
        if (t % 2 == 0)
            half.push_back(t);
        else
            weight[t] = 0.0F;
    world.data.outside = true;
    const auto subset = fit_choice(world.data, world.options, half);
    world.data.weights = weight;
    const auto weighted = fit_choice(world.data, world.options);
    REQUIRE(subset.ok());
    REQUIRE(weighted.ok());
    CHECK(static_cast<double>(subset->model.column_weights()[0]) ==
          Approx(static_cast<double>(weighted->model.column_weights()[0])).epsilon(1e-5));
}

TEST_CASE("out-of-fold choices come from models that did not see them") {
    crossed_world world;
    world.options.standardise = true;
    std::vector<std::uint32_t> fold;
    for (std::uint32_t t = 0; t < world.chosen.size(); ++t) fold.push_back(t < 20 ? no_fold : t % 3);
    const auto folded = cross_fit(world.data, fold, world.options, three_threads);
    REQUIRE(folded.ok());
    REQUIRE(folded->models.size() == 3);
    // The models of hand-made training sets give the same numbers.
    for (std::uint32_t k = 0; k < 3; ++k) {
        std::vector<std::uint32_t> inside;
        for (std::uint32_t t = 0; t < fold.size(); ++t)
            if (fold[t] == k) inside.push_back(t);
        std::vector<double> out = folded->log_probabilities, outside = folded->outside;
        REQUIRE(predict_rows(folded->models[k], world.data, inside, out, outside).ok());
        CHECK(out == folded->log_probabilities);
        CHECK(outside == folded->outside);
    }
    // What fold 0 chose must not matter to its own scores, but to those of the others it does.
    std::vector<std::int32_t> other = world.chosen;
    for (std::size_t t = 0; t < other.size(); ++t)
        if (fold[t] == 0) other[t] = -1;
    world.data.chosen = other;
    const auto changed = cross_fit(world.data, fold, world.options);
    REQUIRE(changed.ok());
    CHECK(changed->models[0].to_bytes() == folded->models[0].to_bytes());
    CHECK(changed->models[1].to_bytes() != folded->models[1].to_bytes());
    for (std::size_t t = 0; t < fold.size(); ++t)
        for (auto i = static_cast<std::size_t>(world.offsets[t]);
             fold[t] == 0 && i < static_cast<std::size_t>(world.offsets[t + 1]); ++i)
            CHECK(changed->log_probabilities[i] == folded->log_probabilities[i]);
    // Dev rows by the average: log-odds are close to the mean of the models' log-odds.
    std::vector<double> sums(folded->log_probabilities.size(), 0.0);
    for (const choice_model& m : folded->models) {
        std::vector<double> out(sums.size());
        REQUIRE(predict_rows(m, world.data, {}, out, {}).ok());
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += out[i] / 3;
    }
    const auto first = static_cast<std::size_t>(world.offsets[1]);
    REQUIRE(world.offsets[2] - world.offsets[1] >= 2);
    CHECK(folded->log_probabilities[first] - folded->log_probabilities[first + 1] ==
          Approx(sums[first] - sums[first + 1]).margin(0.02));
}

TEST_CASE("choice data that does not fit together is refused with its place") {
    const auto code_of = [](const auto& change) {
        crossed_world world;
        change(world);
        const auto fit = fit_choice(world.data, world.options);
        return code_and_place(fit);
    };
    CHECK(code_of([](crossed_world&) {}) == "fine");
    CHECK(code_of([](crossed_world& w) { w.chosen[3] = 9; }) == "learn.label task 3");
    CHECK(code_of([](crossed_world& w) { w.chosen[3] = -2; }) == "learn.label task 3");
    CHECK(code_of([](crossed_world& w) { w.slots[4] = 6; }) == "learn.shape candidate 2");
    CHECK(code_of([](crossed_world& w) { w.offsets[5] = 10000; }) == "learn.shape row 5");
    CHECK(code_of([](crossed_world& w) { w.x.index[0] = 10; }) == "learn.shape row 0");
    CHECK(code_of([](crossed_world& w) { w.x.value[0] = INFINITY; }) == "learn.value row 0");
    CHECK(code_of([](crossed_world& w) { w.weight[7] = -1; }) == "learn.value row 7");
    CHECK(code_of([](crossed_world& w) { w.options.l2 = -1; }) == "learn.options ");
    CHECK(code_of([](crossed_world& w) { w.data.dense = w.data.dense.subspan(1); }) == "learn.shape ");
    CHECK(code_of([](crossed_world& w) { w.dense[0] = NAN; }) == "fine");  // missing
    crossed_world world;
    for (const std::vector<std::uint32_t>& fold :
         {std::vector<std::uint32_t>(160, 0), std::vector<std::uint32_t>(3, 0), std::vector<std::uint32_t>(160, 70)}) {
        const auto folded = cross_fit(world.data, fold, world.options);
        REQUIRE_FALSE(folded.ok());
        CHECK(folded.error().code == "learn.folds");
    }
}
