#include "opspilot/calibrate/hierarchical.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "opspilot/calibrate/platt.hpp"
#include "oracles.hpp"

using namespace opspilot;

namespace {

struct labelled_clients {
    std::vector<double> score;
    std::vector<std::uint8_t> label;
    std::vector<std::uint32_t> client;
};

labelled_clients clients_of(const nlohmann::json& oracle) {
    return {doubles_of(oracle["score"]), labels_of(oracle["label"]), oracle["client"].get<std::vector<std::uint32_t>>()};
}

double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11U) * 0x1p-53; }
double normal(std::mt19937_64& random) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(random)));
    return radius * std::cos(6.283185307179586 * unit(random));
}

double log_loss(double p, bool positive) { return -std::log(positive ? p : 1.0 - p); }

}  // namespace

TEST_CASE("the modes given tau are those that scipy finds") {
    const auto oracle = oracle_of("hierarchical");
    const labelled_clients data = clients_of(oracle);
    REQUIRE(oracle["cases"].size() == 3);
    for (const auto& c : oracle["cases"]) {
        const auto m = fit_hierarchical_platt(data.score, data.label, data.client, oracle["clients"],
                                              {.offset_variance = c["variance"].get<double>()});
        REQUIRE(m);
        CHECK(m->intercept == Approx(c["common"][0].get<double>()).margin(1e-6));
        CHECK(m->slope == Approx(c["common"][1].get<double>()).margin(1e-6));
        double objective = 0.005 * (m->intercept * m->intercept + m->slope * m->slope);
        for (std::size_t k = 0; k < m->clients.size(); ++k) {
            const double u = m->clients[k].offset;
            CHECK(u == Approx(c["offsets"][k].get<double>()).margin(1e-6));
            objective += u * u / (2.0 * c["variance"].get<double>());
        }
        for (std::size_t i = 0; i < data.score.size(); ++i) {
            const double x = (data.score[i] - m->centre) / m->spread;
            const double z = m->intercept + m->clients[data.client[i]].offset + m->slope * x;
            objective += std::log1p(std::exp(data.label[i] != 0 ? -z : z));
        }
        CHECK(objective <= c["value"].get<double>() + 1e-8);
    }
}

TEST_CASE("with tau held at 1 statsmodels finds the same modes") {
    const auto oracle = oracle_of("hierarchical");
    const labelled_clients data = clients_of(oracle);
    const auto& theirs = oracle["statsmodels"];
    const auto m = fit_hierarchical_platt(data.score, data.label, data.client, oracle["clients"],
                                          {.offset_variance = theirs["variance"].get<double>()});
    REQUIRE(m);
    CHECK(m->intercept == Approx(theirs["common"][0].get<double>()).margin(1e-5));
    CHECK(m->slope == Approx(theirs["common"][1].get<double>()).margin(1e-5));
    for (std::size_t k = 0; k < m->clients.size(); ++k)
        CHECK(m->clients[k].offset == Approx(theirs["offsets"][k].get<double>()).margin(1e-5));
}

TEST_CASE("the variance of the clients is a fixed point of EM, and new clients have it") {
    const auto oracle = oracle_of("hierarchical");
    const labelled_clients data = clients_of(oracle);
    const hierarchical_platt m = *fit_hierarchical_platt(data.score, data.label, data.client, oracle["clients"], {.sweeps = 500});
    double mean = 0;
    for (const auto& own : m.clients)
        mean += (own.offset * own.offset + own.offset_variance) / static_cast<double>(m.clients.size());
    CHECK(m.offset_variance == Approx(mean).epsilon(1e-4));
    CHECK(m.slope_variance == 0);
    const double margin = m.intercept + m.slope * (2.0 - m.centre) / m.spread;
    const double shrunk = margin / std::sqrt(1 + 3.141592653589793 * m.offset_variance / 8);
    CHECK(m.probability(2.0) == Approx(1 / (1 + std::exp(-shrunk))).epsilon(1e-12));
    CHECK(m.probability(2.0, 999) == m.probability(2.0));
    CHECK(std::isnan(m.probability(std::nan(""), 1)));
}

TEST_CASE("for clients with few labels it beats one curve for all, and one curve each, on new rows") {
    // 60 clients of 8 to 50 labels, offsets N(0, 1); 200 new rows each.
    std::mt19937_64 random(20240607);
    constexpr std::uint32_t clients = 60;
    labelled_clients data, fresh;
    for (std::uint32_t k = 0; k < clients; ++k) {
        const double offset = normal(random);
        const std::size_t n = 8 + random() % 43;
        for (std::size_t i = 0; i < n + 200; ++i) {
            labelled_clients& into = i < n ? data : fresh;
            const double z = 1.5 * normal(random);
            into.score.push_back(z);
            into.label.push_back(unit(random) < 1 / (1 + std::exp(-(0.5 + offset + 0.9 * z))) ? 1 : 0);
            into.client.push_back(k);
        }
    }
    const hierarchical_platt shared = *fit_hierarchical_platt(data.score, data.label, data.client, clients);
    const platt global = *fit_platt(data.score, data.label);
    double of_shared = 0, of_global = 0, of_each = 0;
    for (std::uint32_t k = 0; k < clients; ++k) {
        std::vector<double> score;
        std::vector<std::uint8_t> label;
        for (std::size_t i = 0; i < data.score.size(); ++i)
            if (data.client[i] == k) {
                score.push_back(data.score[i]);
                label.push_back(data.label[i]);
            }
        const auto alone = fit_platt(score, label);
        const platt own = alone ? *alone : global;  // one class only: nothing of its own can be fitted
        for (std::size_t i = 0; i < fresh.score.size(); ++i) {
            if (fresh.client[i] != k) continue;
            const bool positive = fresh.label[i] != 0;
            of_shared += log_loss(shared.probability(fresh.score[i], k), positive);
            of_global += log_loss(global.probability(fresh.score[i]), positive);
            of_each += log_loss(own.probability(fresh.score[i]), positive);
        }
    }
    const auto n = static_cast<double>(fresh.score.size());
    INFO("log-loss: hierarchical " << of_shared / n << ", global " << of_global / n << ", per client " << of_each / n);
    CHECK(of_shared < of_global);
    CHECK(of_shared < of_each);
    CHECK(shared.offset_variance == Approx(1.0).margin(0.5));
}

TEST_CASE("slopes of their own are for clients with 200 labels of each outcome") {
    std::mt19937_64 random(7);
    labelled_clients data;
    const double slopes[] = {0.3, 2.5, 1.0};
    const std::size_t sizes[] = {3000, 3000, 60};
    for (std::uint32_t k = 0; k < 3; ++k)
        for (std::size_t i = 0; i < sizes[k]; ++i) {
            const double z = normal(random);
            data.score.push_back(z);
            data.label.push_back(unit(random) < 1 / (1 + std::exp(-slopes[k] * z)) ? 1 : 0);
            data.client.push_back(k);
        }
    const hierarchical_platt m = *fit_hierarchical_platt(data.score, data.label, data.client, 3);
    CHECK((m.slope + m.clients[0].slope) / m.spread == Approx(0.3).margin(0.12));
    CHECK((m.slope + m.clients[1].slope) / m.spread == Approx(2.5).margin(0.25));
    CHECK(m.clients[2].slope == 0);
    CHECK(m.clients[2].slope_variance == 0);
    const hierarchical_platt offsets_only =
        *fit_hierarchical_platt(data.score, data.label, data.client, 3, {.slope_labels = 100000});
    CHECK(offsets_only.clients[0].slope == 0);
}

TEST_CASE("without clients it is a logistic regression; separable data and clients without labels stay finite") {
    const std::vector<double> score{-2, -1, -0.5, 0.5, 1, 2};
    const std::vector<std::uint8_t> label{0, 0, 0, 1, 1, 1};
    const auto plain = fit_hierarchical_platt(score, label, {}, 0);
    REQUIRE(plain);
    CHECK(plain->offset_variance == 0);
    CHECK(std::isfinite(plain->slope));
    CHECK(plain->probability(3) > 0.9);
    const auto some = fit_hierarchical_platt(score, label, std::vector<std::uint32_t>{0, 0, 0, 2, 2, 2}, 4);
    REQUIRE(some);
    CHECK(std::isfinite(some->probability(0.1, 0)));
    CHECK(some->clients[1].offset == 0);
    CHECK(some->clients[1].offset_variance == Approx(some->offset_variance));
}

TEST_CASE("what hierarchical calibration refuses, by name and place") {
    const std::vector<double> score{0, 1, 2};
    const std::vector<std::uint8_t> label{0, 1, 1};
    const auto refused = [&](std::vector<std::uint32_t> client, std::uint32_t count, hierarchical_options options = {}) {
        return fit_hierarchical_platt(score, label, client, count, options).error();
    };
    CHECK(refused({0, 1}, 2).code == "calibration.length_mismatch");
    CHECK(refused({}, 2).code == "calibration.length_mismatch");
    CHECK(refused({0, 1, 2}, 2).code == "calibration.bad_client");
    CHECK(refused({0, 1, 2}, 2).where == "row 2");
    CHECK(refused({0, 1, 1}, 2, {.offset_variance = 0.0}).code == "calibration.bad_variance");
    CHECK(fit_hierarchical_platt(score, std::vector<std::uint8_t>{1, 1, 1}, {}, 0).error().code == "calibration.one_class");
    CHECK(fit_hierarchical_platt(std::vector<double>{1, 1, 1}, label, {}, 0).error().code == "calibration.all_ties");
    CHECK(fit_hierarchical_platt(std::vector<double>{1, std::nan(""), 1}, label, {}, 0).error().code == "calibration.not_finite");
}
