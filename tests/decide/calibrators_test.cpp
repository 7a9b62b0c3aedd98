// Every kind of calibrator decides as calibration.json holds it.
#include "opspilot/calibrate/calibrator.hpp"

#include <cmath>

#include "catch.hpp"
#include "opspilot/calibrate/choose.hpp"
#include "world.hpp"

using namespace opspilot;

namespace {

/// The world with this calibrator, and with a field for the client of a task.
std::shared_ptr<const bundle> calibrated_world(const score_calibrator& c) {
    part_map parts = world::parts();
    std::string& schema = parts["schema.json"];
    schema.replace(schema.find(R"({"name": "amount")"), 0, R"({"name": "client", "type": "string", "optional": true}, )");
    const auto draft = bundle::draft(parts);
    if (!draft) throw std::runtime_error(draft.error().text());
    calibration document = world::calibration_for((*draft)->versions().model);
    document.kind = c.kind();
    document.input = c.input;
    document.calibrator = c;
    document.thresholds[0].certificate.calibrator = name(c.kind());
    parts["calibration.json"] = document.to_json();
    const auto made = bundle::draft(parts);
    if (!made) throw std::runtime_error(made.error().text());
    return *made;
}

/// The best candidate's probability; `share` with the identity as calibrator.
double probability_for(const std::shared_ptr<const bundle>& b, std::string_view client) {
    const engine e(b);
    workspace ws;
    decision d;
    const std::string task = fmt::format(R"({{"id": "t", "intent": "refund", "amount": 100, "client": "{}"}})", client);
    const status done =
        e.decide(task, R"([{"id": "refund_full", "match": 1.5}, {"id": "ask_receipt", "match": 1}])", world::now_us, ws, d);
    INFO((done ? std::string() : done.error().text()));
    REQUIRE(done.ok());
    REQUIRE_FALSE(d.ranked.empty());
    return d.ranked[0].probability;
}

}  // namespace

TEST_CASE("the engine serves every kind of calibrator") {
    const double share = probability_for(calibrated_world({calibrator_input::probability, {}, {}}), "acme");
    REQUIRE(share > 0.5);
    REQUIRE(share < 0.99);
    std::vector<double> p;
    std::vector<std::uint8_t> label;
    for (int i = 1; i < 200; ++i) {
        p.push_back(i / 200.0);
        label.push_back((i * 37) % 200 < i * i / 200 ? 1 : 0);
    }
    for (const calibrator_kind kind :
         {calibrator_kind::beta, calibrator_kind::temperature, calibrator_kind::isotonic, calibrator_kind::venn_abers}) {
        INFO(name(kind));
        const score_calibrator c = *fit_calibrator(kind, calibrator_input::probability, p, label);
        CHECK(probability_for(calibrated_world(c), "acme") == c.probability(share));
        CHECK(c.probability(share) != share);
    }
}

TEST_CASE("the engine finds the client of a task in a hierarchical calibrator") {
    const double share = probability_for(calibrated_world({calibrator_input::probability, {}, {}}), "acme");
    hierarchical_platt curve;
    curve.offset_variance = 0.5;
    curve.clients = {{-1.0, 0, 0.1, 0, 0}, {1.0, 0, 0.1, 0, 0}};
    const score_calibrator c{calibrator_input::probability, curve, {"acme", "bolt"}};
    const auto b = calibrated_world(c);
    CHECK(probability_for(b, "acme") == c.probability(share, 0));
    CHECK(probability_for(b, "bolt") == c.probability(share, 1));
    CHECK(probability_for(b, "nobody") == c.probability(share));
    CHECK(probability_for(b, "acme") < probability_for(b, "nobody"));
    CHECK(probability_for(b, "nobody") < probability_for(b, "bolt"));
}
