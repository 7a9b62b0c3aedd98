#include "opspilot/calibrate/choose.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "catch.hpp"

using namespace opspilot;

namespace {

struct stated_labels {
    std::vector<double> p;
    std::vector<std::uint8_t> label;
};

/// Uniform stated probabilities; labels by `truth` of them.
stated_labels labels_by(std::size_t n, std::uint64_t seed, const std::function<double(double)>& truth) {
    std::mt19937_64 random(seed);
    const auto unit = [&random] { return static_cast<double>(random() >> 11U) * 0x1p-53; };
    stated_labels out;
    for (std::size_t i = 0; i < n; ++i) {
        out.p.push_back(unit());
        out.label.push_back(unit() < truth(out.p.back()) ? 1 : 0);
    }
    return out;
}

calibrator_choice chosen_for(const stated_labels& data) {
    const auto made = choose_calibrator(data.p, data.label, calibrator_input::probability);
    REQUIRE(made);
    return *made;
}

double platt_truth(double p) { return 1 / (1 + std::exp(-(0.5 + 0.6 * std::log(p / (1 - p))))); }
double steps_truth(double p) { return p < 0.3 ? 0.1 : p < 0.6 ? 0.15 : p < 0.65 ? 0.8 : 0.85; }
double beta_truth(double p) { return 1 / (1 + std::exp(-(2.5 * std::log(p) + 0.1 * -std::log(1 - p) + 1))); }

}  // namespace

TEST_CASE("few labels carry Platt scaling, whatever the truth, and the reason says what is missing") {
    const calibrator_choice c = chosen_for(labels_by(120, 1, steps_truth));
    CHECK(c.calibrator.kind() == calibrator_kind::platt);
    CHECK(c.compared.empty());
    CHECK(c.positives + c.negatives == 120);
    CHECK(c.reason.find("beta calibration wants 100, isotonic 1000") != std::string::npos);
}

TEST_CASE("a richer curve is chosen where it is true, and only there") {
    CHECK(chosen_for(labels_by(20000, 2, platt_truth)).calibrator.kind() == calibrator_kind::platt);
    CHECK(chosen_for(labels_by(4000, 3, beta_truth)).calibrator.kind() == calibrator_kind::beta);
    const calibrator_choice steps = chosen_for(labels_by(8000, 4, steps_truth));
    CHECK(steps.calibrator.kind() == calibrator_kind::isotonic);
    REQUIRE(steps.compared.size() == 3);
    CHECK(steps.compared[2].gain > steps.compared[2].standard_error);
    CHECK(steps.reason.rfind("isotonic: log-loss on held-out rows platt ", 0) == 0);
    CHECK(chosen_for(labels_by(1500, 5, steps_truth)).compared.size() == 2);  // too few for isotonic
}

TEST_CASE("the width of Venn-Abers pairs tells how little the labels say") {
    const calibrator_choice few = chosen_for(labels_by(30, 6, platt_truth)), many = chosen_for(labels_by(5000, 6, platt_truth));
    CHECK(few.venn_abers_width > 0.1);
    CHECK(few.reason.find("too few labels") != std::string::npos);
    CHECK(many.venn_abers_width < 0.03);
    CHECK(many.reason.find("too few labels") == std::string::npos);
}

TEST_CASE("the order of the rows does not matter") {
    const stated_labels data = labels_by(3000, 7, beta_truth);
    std::vector<std::size_t> order(data.p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937 random(1);
    std::shuffle(order.begin(), order.end(), random);
    stated_labels other;
    for (const std::size_t i : order) {
        other.p.push_back(data.p[i]);
        other.label.push_back(data.label[i]);
    }
    const calibrator_choice a = chosen_for(data), b = chosen_for(other);
    CHECK(a.calibrator.kind() == b.calibrator.kind());
    CHECK(a.reason == b.reason);
    CHECK(a.calibrator.probability(0.4) == Approx(b.calibrator.probability(0.4)).epsilon(1e-9));
}

TEST_CASE("a choice among nothing is refused by name") {
    const auto refused = [](std::vector<double> s, std::vector<std::uint8_t> y, calibrator_input input) {
        return choose_calibrator(s, y, input).error().code;
    };
    CHECK(refused({0.1, 1.4}, {0, 1}, calibrator_input::probability) == "calibration.bad_probability");
    CHECK(refused({0.1, 0.4}, {1, 1}, calibrator_input::probability) == "calibration.one_class");
    CHECK(refused({3, 3}, {0, 1}, calibrator_input::margin) == "calibration.all_ties");
    CHECK(refused({}, {}, calibrator_input::margin) == "calibration.empty");
}

TEST_CASE("each kind is fitted to what it reads") {
    const stated_labels data = labels_by(500, 8, platt_truth);
    std::vector<double> margin;
    for (const double p : data.p) margin.push_back(std::log(p / (1 - p)));
    for (const calibrator_kind kind :
         {calibrator_kind::platt, calibrator_kind::beta, calibrator_kind::temperature, calibrator_kind::isotonic,
          calibrator_kind::venn_abers, calibrator_kind::hierarchical_platt}) {
        INFO(name(kind));
        const auto of_p = fit_calibrator(kind, calibrator_input::probability, data.p, data.label);
        const auto of_margin = fit_calibrator(kind, calibrator_input::margin, margin, data.label);
        REQUIRE(of_p);
        REQUIRE(of_margin);
        CHECK(of_p->kind() == kind);
        for (const std::size_t i : {std::size_t{3}, std::size_t{77}, std::size_t{401}})
            CHECK(of_p->probability(data.p[i]) == Approx(of_margin->probability(margin[i])).epsilon(1e-6));
    }
}

TEST_CASE("clients are fitted by name, in ascending order") {
    const stated_labels data = labels_by(300, 9, platt_truth);
    std::vector<std::uint32_t> client(data.p.size());
    for (std::size_t i = 0; i < client.size(); ++i) client[i] = static_cast<std::uint32_t>(i % 2);
    const auto reads = calibrator_input::probability;
    const auto made = fit_client_calibrator(reads, data.p, data.label, client, {"acme", "bolt"});
    REQUIRE(made);
    CHECK(made->client_number("bolt") == 1);
    CHECK(made->probability(0.5, 0) != made->probability(0.5, 1));
    CHECK(fit_client_calibrator(reads, data.p, data.label, client, {"bolt", "acme"}).error().code == "calibration.client_order");
    CHECK(fit_client_calibrator(reads, data.p, data.label, client, {"acme"}).error().code == "calibration.bad_client");
    std::vector<double> wrong = data.p;
    wrong[7] = 2;
    CHECK(fit_client_calibrator(reads, wrong, data.label, client, {"acme", "bolt"}).error().where == "row 7");
}
