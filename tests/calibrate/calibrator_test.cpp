#include "opspilot/calibrate/calibrator.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "opspilot/calibrate/certificate.hpp"
#include "oracles.hpp"

using namespace opspilot;
using nlohmann::json;

namespace {

/// One of each kind, fitted to the same probabilities.
std::vector<score_calibrator> one_of_each() {
    std::mt19937_64 random(13);
    std::vector<double> p(400), margin(400);
    std::vector<std::uint8_t> label(400);
    std::vector<std::uint32_t> client(400);
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = (static_cast<double>(random() % 9998) + 1) / 10000;
        margin[i] = std::log(p[i] / (1 - p[i]));
        label[i] = static_cast<double>(random() % 10000) / 10000 < p[i] * p[i] ? 1 : 0;
        client[i] = static_cast<std::uint32_t>(random() % 3);
    }
    const auto reads = calibrator_input::probability;
    return {{reads, {}, {}},
            {reads, *fit_platt(margin, label), {}},
            {reads, *fit_beta(p, label), {}},
            {reads, *fit_temperature(margin, label), {}},
            {reads, *fit_isotonic(p, label), {}},
            {reads, *fit_venn_abers(p, label), {}},
            {reads, *fit_hierarchical_platt(margin, label, client, 3), {"acme", "bolt", "corp / ü"}}};
}

error refusal(const json& document) {
    const auto read = score_calibrator::parse(document.dump());
    REQUIRE_FALSE(read);
    CHECK_FALSE(read.error().hint.empty());
    CHECK(read.error().kind == error_kind::calibration);
    return read.error();
}

}  // namespace

TEST_CASE("each kind of calibrator is written and read again bit for bit, alone and in calibration.json") {
    const auto all = one_of_each();
    for (std::size_t k = 0; k < all.size(); ++k) {
        const score_calibrator& c = all[k];
        INFO(name(c.kind()));
        CHECK(c.kind() == static_cast<calibrator_kind>(k));
        const auto alone = score_calibrator::parse(c.to_json());
        REQUIRE(alone);
        CHECK(alone->to_json() == c.to_json());
        const json document{{"version", 1}, {"calibrator", json::parse(c.to_json())}, {"thresholds", json::array()}};
        const auto whole = calibration::parse(document.dump());
        REQUIRE(whole);
        CHECK(calibration::parse(whole->to_json())->to_json() == whole->to_json());
        for (const double p : {0.0, 0.001, 0.25, 0.5, 0.77, 1.0})
            for (const std::uint32_t client : {c.client_number("bolt"), c.client_number("nobody")}) {
                CHECK(alone->probability(p, client) == c.probability(p, client));
                CHECK(whole->probability(p, client) == c.probability(p, client));
                CHECK(c.probability(p, client) >= 0);
                CHECK(c.probability(p, client) <= 1);
            }
        if (k > 0 && c.kind() != calibrator_kind::temperature)       // which cannot move 1/2
            CHECK(c.probability(0.7) == Approx(0.49).margin(0.15));  // the labels were drawn with p^2
    }
}

TEST_CASE("calibrators read margins and probabilities alike") {
    for (score_calibrator c : one_of_each()) {
        if (c.kind() == calibrator_kind::isotonic || c.kind() == calibrator_kind::venn_abers) continue;
        INFO(name(c.kind()));
        const double of_probability = c.probability(0.8);
        c.input = calibrator_input::margin;
        CHECK(c.probability(std::log(4.0)) == Approx(of_probability).epsilon(1e-12));
    }
}

TEST_CASE("clients are known by name") {
    const score_calibrator c = one_of_each().back();
    CHECK(c.client_number("acme") == 0);
    CHECK(c.client_number("corp / ü") == 2);
    CHECK(c.client_number("") == hierarchical_platt::new_client);
    CHECK(c.client_number("zzz") == hierarchical_platt::new_client);
    CHECK(c.probability(0.6, 0) != c.probability(0.6, 1));
}

TEST_CASE("calibrators that cannot be are refused with their place") {
    const auto all = one_of_each();
    const auto document = [&](calibrator_kind kind) { return json::parse(all[static_cast<std::size_t>(kind)].to_json()); };
    json d = document(calibrator_kind::beta);
    d["b"] = -0.5;
    CHECK(refusal(d).code == "calibration.bad_coefficient");
    CHECK(refusal(d).where == "/b");
    d.erase("b");
    CHECK(refusal(d).code == "calibration.missing_field");
    d = document(calibrator_kind::temperature);
    d["a"] = 1;
    CHECK(refusal(d).code == "calibration.unknown_field");
    CHECK(refusal(d).where == "/a");
    d.erase("a");
    d["t"] = 0;
    CHECK(refusal(d).code == "calibration.bad_coefficient");

    d = document(calibrator_kind::isotonic);
    d["score"][1] = d["score"][0];
    CHECK(refusal(d).code == "calibration.not_ascending");
    CHECK(refusal(d).where == "/score/1");
    d = document(calibrator_kind::isotonic);
    d["value"].back() = 1.5;
    CHECK(refusal(d).code == "calibration.bad_probability");
    d["value"].back() = "1";
    CHECK(refusal(d).code == "calibration.wrong_kind");
    d["value"].erase(0);
    d["value"].back() = 1;
    CHECK(refusal(d).code == "calibration.length_mismatch");
    d["value"] = json::array();
    CHECK(refusal(d).code == "calibration.empty");

    d = document(calibrator_kind::venn_abers);
    for (auto& p : d["lower"]) p = 1;
    CHECK(refusal(d).code == "calibration.crossed_pair");
    CHECK(refusal(d).where == "/lower/0");

    d = document(calibrator_kind::hierarchical_platt);
    d["spread"] = 0;
    CHECK(refusal(d).where == "/spread");
    d = document(calibrator_kind::hierarchical_platt);
    d["clients"]["corp / ü"]["offset_variance"] = -1;
    CHECK(refusal(d).where == "/clients/corp ~1 ü/offset_variance");
    d["clients"]["corp / ü"] = {{"offset", 1}};
    CHECK(refusal(d).code == "calibration.missing_field");
    d["kind"] = "beat";
    CHECK(refusal(d).hint == "did you mean 'beta'?");
}

TEST_CASE("every value of a calibrator may be of any type without harm") {
    for (const score_calibrator& c : one_of_each()) {
        const json good = json::parse(c.to_json());
        for (const auto& [key, value] : good.items())
            for (const json& other : {json(nullptr), json(-1), json(1e308), json("x"), json::array({1, "a"}), json::array({-1}),
                                      json{{"x", 1}}, json(true)}) {
                json d = good;
                d[key] = other;
                const auto read = score_calibrator::parse(d.dump());
                if (read) CHECK_FALSE(std::isinf(read->probability(0.3, 0)));
            }
        const std::string text = c.to_json();
        for (std::size_t cut = 0; cut < text.size(); cut += 1 + text.size() / 50)
            CHECK_FALSE(score_calibrator::parse(std::string_view(text).substr(0, cut)));
    }
}
