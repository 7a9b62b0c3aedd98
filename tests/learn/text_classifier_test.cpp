#include "opspilot/learn/text_classifier.hpp"

#include <cmath>
#include <thread>

#include "learn_fixtures.hpp"
#include "opspilot/learn/detail/inputs.hpp"

using namespace opspilot;

namespace {

struct multinomial_world {
    learn_fixture fixture{"multinomial"};
    csr_storage x{fixture.list<float>("x"), 30};
    std::vector<std::uint32_t> labels = fixture.list<std::uint32_t>("labels");
    std::vector<sparse_block> blocks{{"words", 20}, {"letters", 10}};
    std::vector<std::string> classes{"a", "b", "c", "d", "override"};
    classifier_data data;
    softmax_options options;
    multinomial_world() {
        data.blocks = blocks;
        data.x = x.view();
        data.classes = classes;
        data.labels = labels;
        options.l2 = fixture.list("l2")[0];
        options.bias_l2 = 0;
        options.min_count = 1;
        options.max_entries = 0;
        options.tolerance = 1e-9;
        options.max_iterations = 2000;
    }
};

const parallel_for two_threads = [](std::size_t count, const std::function<void(std::size_t)>& body) {
    std::thread odd([&] {
        for (std::size_t i = 1; i < count; i += 2) body(i);
    });
    for (std::size_t i = 0; i < count; i += 2) body(i);
    odd.join();
};

}  // namespace

TEST_CASE("multinomial logistic regression agrees with scikit-learn to 1e-4 on probabilities") {
    const multinomial_world world;
    const auto in = detail::classifier_input(world.data);
    REQUIRE(in.ok());
    const auto expected = world.fixture.list("probabilities");
    const auto exact = detail::train_softmax(*in, detail::rows_or_all({}, 300), {}, {}, world.options, {});
    REQUIRE(exact.ok());
    for (std::size_t i = 0; i < 300; ++i) {
        std::vector<double> logit(exact->bias.begin(), exact->bias.end());
        const sparse_view row = world.data.x.row(i);
        for (std::size_t j = 0; j < row.index.size(); ++j)
            for (std::size_t r = 0; r < exact->rows.bucket.size(); ++r)
                for (std::size_t e = exact->rows.start[r]; exact->rows.bucket[r] == row.index[j] && e < exact->rows.start[r + 1];
                     ++e)
                    logit[exact->rows.output[e]] +=
                        static_cast<double>(exact->rows.weight[e]) * static_cast<double>(row.value[j]);
        double sum = 0;
        for (const double z : logit) sum += std::exp(z);
        for (std::size_t k = 0; k < 5; ++k) CHECK(std::abs(std::exp(logit[k]) / sum - expected[i * 5 + k]) <= 1e-4);
    }
    // The saved model: int8 rows, so a hundredth.
    const auto fit = fit_text_classifier(world.data, world.options);
    REQUIRE(fit.ok());
    CHECK(fit->report.converged);
    std::vector<double> out(300 * 5);
    REQUIRE(predict_rows(fit->model, world.data, {}, out).ok());
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::abs(std::exp(out[i]) - expected[i]) <= 0.01);
}

TEST_CASE("all classes allowed in every row is the same problem as no restriction") {
    multinomial_world world;
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> allowed;
    for (std::size_t i = 0; i < 300; ++i) {
        for (std::uint32_t k = 0; k < 5; ++k) allowed.push_back(k);
        offsets.push_back(static_cast<std::int64_t>(allowed.size()));
    }
    for (const softmax_solver solver : {softmax_solver::lbfgs, softmax_solver::adagrad}) {
        world.options.solver = solver;
        world.data.allowed_offsets = {};
        world.data.allowed = {};
        const auto free = fit_text_classifier(world.data, world.options);
        world.data.allowed_offsets = offsets;
        world.data.allowed = allowed;
        const auto listed = fit_text_classifier(world.data, world.options);
        REQUIRE(free.ok());
        REQUIRE(listed.ok());
        CHECK(free->model.to_bytes() == listed->model.to_bytes());
    }
}

TEST_CASE("a softmax among the allowed classes learns what separates them") {
    multinomial_world world;
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> allowed;
    for (std::size_t i = 0; i < 300; ++i) {
        for (std::uint32_t k = 0; k < 5; ++k)
            if (k == world.labels[i] || k == 4 || k % 2 == i % 2) allowed.push_back(k);
        offsets.push_back(static_cast<std::int64_t>(allowed.size()));
    }
    world.data.allowed_offsets = offsets;
    world.data.allowed = allowed;
    for (const softmax_solver solver : {softmax_solver::lbfgs, softmax_solver::adagrad}) {
        world.options.solver = solver;
        world.options.epochs = 20;
        const auto fit = fit_text_classifier(world.data, world.options);
        const auto threaded = fit_text_classifier(world.data, world.options, {}, two_threads);
        REQUIRE(fit.ok());
        REQUIRE(threaded.ok());
        CHECK(fit->model.to_bytes() == threaded->model.to_bytes());
        std::vector<double> out(allowed.size());
        REQUIRE(predict_rows(fit->model, world.data, {}, out, two_threads).ok());
        double loss = 0, chance = 0;
        for (std::size_t i = 0; i < 300; ++i) {
            double sum = 0;
            for (auto o = static_cast<std::size_t>(offsets[i]); o < static_cast<std::size_t>(offsets[i + 1]); ++o) {
                sum += std::exp(out[o]);
                if (allowed[o] == world.labels[i]) loss -= out[o] / 300;
            }
            CHECK(sum == Approx(1.0).epsilon(1e-12));
            chance += std::log(static_cast<double>(offsets[i + 1] - offsets[i])) / 300;
        }
        CHECK(loss < 0.75 * chance);
        if (solver == softmax_solver::lbfgs) CHECK(loss == Approx(fit->report.loss).epsilon(2e-3));
    }
}

TEST_CASE("dense task columns count like features and missing ones like their mean") {
    multinomial_world world;
    std::vector<float> dense;
    for (std::size_t i = 0; i < 300; ++i)
        dense.push_back(i % 10 == 0 ? NAN : 1000.0F + static_cast<float>(world.labels[i]) * 5.0F);
    const std::vector<std::string> columns{"tell_tale"};
    world.data.columns = columns;
    world.data.dense = dense;
    const auto fit = fit_text_classifier(world.data, world.options);
    REQUIRE(fit.ok());
    std::vector<double> out(300 * 5);
    REQUIRE(predict_rows(fit->model, world.data, {}, out).ok());
    std::size_t right = 0;
    for (std::size_t i = 0; i < 300; ++i)
        right += out[i * 5 + world.labels[i]] >= *std::max_element(out.begin() + static_cast<std::ptrdiff_t>(i * 5),
                                                                   out.begin() + static_cast<std::ptrdiff_t>(i * 5 + 5))
                     ? 1U
                     : 0U;
    CHECK(right >= 275);  // the 270 that are told, and some of the others by their text
}

TEST_CASE("pruning keeps the most important weights and never more than asked") {
    multinomial_world world;
    const auto whole = fit_text_classifier(world.data, world.options);
    world.options.max_entries = 60;
    const auto small = fit_text_classifier(world.data, world.options);
    REQUIRE(whole.ok());
    REQUIRE(small.ok());
    CHECK(whole->model.weights().entries() > 120);
    CHECK(small->model.weights().entries() <= 60);
    CHECK(small->model.weights().entries() > 50);
    world.options.max_entries = 0;
    world.options.min_count = 100000;
    const auto none = fit_text_classifier(world.data, world.options);
    REQUIRE(none.ok());
    CHECK(none->model.weights().entries() == 0);
}

TEST_CASE("cross-fitting a classifier never shows a model its own fold") {
    multinomial_world world;
    std::vector<std::uint32_t> fold;
    for (std::uint32_t i = 0; i < 300; ++i) fold.push_back(i >= 280 ? no_fold : i % 4);
    for (const softmax_solver solver : {softmax_solver::lbfgs, softmax_solver::adagrad}) {
        world.options.solver = solver;
        world.data.labels = world.labels;
        const auto one = cross_fit(world.data, fold, world.options);
        const auto two = cross_fit(world.data, fold, world.options, two_threads);
        REQUIRE(one.ok());
        REQUIRE(two.ok());
        CHECK(one->log_probabilities == two->log_probabilities);
        CHECK(one->average.to_bytes() == two->average.to_bytes());
        std::vector<std::uint32_t> other = world.labels;
        for (std::size_t i = 0; i < 300; ++i)
            if (fold[i] == 2 || fold[i] == no_fold) other[i] = 0;
        world.data.labels = other;
        const auto changed = cross_fit(world.data, fold, world.options);
        REQUIRE(changed.ok());
        CHECK(changed->models[2].to_bytes() == one->models[2].to_bytes());
        CHECK(changed->models[0].to_bytes() != one->models[0].to_bytes());
        for (std::size_t i = 0; i < 300; ++i)
            for (std::size_t k = 0; k < 5 && fold[i] == 2; ++k)
                CHECK(changed->log_probabilities[i * 5 + k] == one->log_probabilities[i * 5 + k]);
    }
}

TEST_CASE("classifier data that does not fit together is refused with its place") {
    const auto code_of = [](const auto& change) {
        multinomial_world world;
        change(world);
        const auto fit = fit_text_classifier(world.data, world.options);
        return code_and_place(fit);
    };
    CHECK(code_of([](multinomial_world& w) { w.options.max_iterations = 2; }) == "fine");
    CHECK(code_of([](multinomial_world& w) { w.labels[3] = 5; }) == "learn.label row 3");
    CHECK(code_of([](multinomial_world& w) { w.data.classes = {}; }) == "learn.shape ");
    CHECK(code_of([](multinomial_world& w) { w.x.index[1] = w.x.index[0]; }) == "learn.shape row 0");
    CHECK(code_of([](multinomial_world& w) { w.x.value[0] = NAN; }) == "learn.value row 0");
    CHECK(code_of([](multinomial_world& w) { w.x.offsets[1] = -4; }) == "learn.shape row 0");
    CHECK(code_of([](multinomial_world& w) { w.blocks[1].dimension = 1U << 30; }) == "limit.buckets /blocks");
    CHECK(code_of([](multinomial_world& w) {
              w.options.solver = softmax_solver::adagrad;
              w.options.epochs = 0;
          }) == "learn.options ");
    static const std::vector<std::int64_t> offsets = [] {
        std::vector<std::int64_t> out;
        for (std::int64_t i = 0; i <= 300; ++i) out.push_back(i);
        return out;
    }();
    static const std::vector<std::uint32_t> first(300, 0);
    CHECK(code_of([](multinomial_world& w) {
              w.data.allowed_offsets = offsets;
              w.data.allowed = first;
          }).substr(0, 15) == "learn.label row");
    multinomial_world world;
    const std::uint32_t beyond[] = {300};
    CHECK_FALSE(fit_text_classifier(world.data, world.options, beyond).ok());
}
