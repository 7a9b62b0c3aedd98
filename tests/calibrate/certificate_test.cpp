#include "opspilot/calibrate/certificate.hpp"

#include <cmath>
#include <limits>

#include "fixtures.hpp"

using namespace opspilot;
using nlohmann::json;

namespace {

json valid_document() {
    return json::parse(R"({
      "version": 1,
      "calibrator": {"kind": "platt", "a": -1.25, "b": 0.1, "input": "margin"},
      "thresholds": [
        {"scope": "auto", "value": 0.93, "certificate": {
          "model_fingerprint": "m1", "calibrator": "platt", "sampling_unit": "one seeded decision per dialogue",
          "n": 300, "automated": 93, "errors": 1, "needed": 59, "alpha": 0.05, "delta": 0.05, "coverage": 0.31,
          "risk_upper": 0.0499, "data_from": 100, "data_to": 200, "created_at": 300, "expires_at": 1000}},
        {"scope": "auto", "kind": "refund", "value": null, "certificate": {
          "model_fingerprint": "m1", "calibrator": "platt", "sampling_unit": "one seeded decision per dialogue",
          "n": 20, "automated": 0, "errors": 0, "needed": 59, "alpha": 0.05, "delta": 0.05, "coverage": 0,
          "risk_upper": 1, "data_from": 100, "data_to": 200, "created_at": 300, "expires_at": 1000}}],
      "recall_floors": [{"label": "safety", "value": 0.2, "min_recall": 0.97, "confidence": 0.95, "positives": 160,
                         "misses_allowed": 1, "needed": 99}]})");
}

error refusal(const json& document) {
    const auto parsed = calibration::parse(document.dump());
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == error_kind::calibration);
    return parsed.error();
}

}  // namespace

TEST_CASE("the document reads, writes and reads again as the same value") {
    const auto first = calibration::parse(valid_document().dump());
    REQUIRE(first);
    CHECK(first->curve.a == -1.25);
    CHECK(first->thresholds.size() == 2);
    CHECK(first->thresholds[0].certificate.sampling_unit == "one seeded decision per dialogue");
    CHECK(first->recall_floors[0].misses_allowed == 1);
    const std::string text = first->to_json();
    const auto second = calibration::parse(text);
    REQUIRE(second);
    CHECK(second->to_json() == text);

    calibration awkward = *first;
    awkward.curve = {0.1 + 0.2, 5e-324};
    CHECK(calibration::parse(awkward.to_json())->curve.a == 0.1 + 0.2);
    CHECK(calibration::parse(awkward.to_json())->curve.b == 5e-324);
}

TEST_CASE("the threshold of an action kind wins over the one for any kind") {
    const auto c = *calibration::parse(valid_document().dump());
    REQUIRE(c.find("auto", ""));
    CHECK(c.find("auto", "")->value == 0.93);
    CHECK(c.find("auto", "close")->value == 0.93);
    CHECK_FALSE(c.find("auto", "refund")->value);  // its own evidence did not suffice: nothing is automated
    CHECK(c.find("approval", "close") == nullptr);
    CHECK(calibration{}.find("auto", "") == nullptr);
}

TEST_CASE("probabilities by kind and input") {
    calibration c;
    CHECK(c.probability(0.0) == 0.5);
    c.input = calibrator_input::probability;
    CHECK(c.probability(0.7) == 0.7);
    c.kind = calibrator_kind::platt;
    CHECK(c.probability(0.7) == Approx(0.7));  // a = -1, b = 0 is the identity on logits
    CHECK(c.probability(0.0) > 0.0);
    CHECK(c.probability(1.0) < 1.0);
    c.input = calibrator_input::margin;
    c.curve = {-2, 1};
    CHECK(c.probability(0.5) == 0.5);
}

TEST_CASE("a certificate speaks for one model, from its making to its expiry") {
    const certificate c = calibration::parse(valid_document().dump())->thresholds[0].certificate;
    CHECK(c.usable(300, "m1"));
    CHECK(c.usable(999, "m1"));
    CHECK(c.usable(1000, "m1").error().code == "calibration.expired");
    CHECK(c.usable(299, "m1").error().code == "calibration.not_yet_valid");
    CHECK(c.usable(500, "m2").error().code == "calibration.foreign_model");
    certificate blank = c;
    blank.model_fingerprint.clear();
    CHECK(blank.usable(500, "").error().code == "calibration.foreign_model");
}

TEST_CASE("a certificate is refused behind another calibrator and after a drift, and says which") {
    calibration here = *calibration::parse(valid_document().dump());
    certificate c = here.thresholds[0].certificate;
    CHECK(here.is_calibrator_of(c));  // by its kind alone
    c.calibrator_fingerprint = here.calibrator_fingerprint();
    CHECK(here.is_calibrator_of(c));
    const certificate::situation now{
        .now_us = 500, .model_fingerprint = "m1", .calibrator_fingerprint = c.calibrator_fingerprint, .drifted = false};
    CHECK(c.usable(now));
    auto drifted = now;
    drifted.drifted = true;
    CHECK(c.usable(drifted).error().code == "calibration.drifted");

    // Every parameter of the scale counts, and nothing else does.
    std::vector<calibration> others(4, here);
    others[0].curve.a = std::nextafter(here.curve.a, 0.0);
    others[1].temperature = 2;
    others[2].input = calibrator_input::probability;
    others[3].kind = calibrator_kind::none;
    for (const calibration& other : others) {
        CHECK_FALSE(other.is_calibrator_of(c));
        auto there = now;
        const std::string fingerprint = other.calibrator_fingerprint();
        there.calibrator_fingerprint = fingerprint;
        CHECK(c.usable(there).error().code == "calibration.foreign_calibrator");
    }
    calibration stricter = here;
    stricter.abstain_below = 0.5;
    stricter.thresholds.clear();
    CHECK(stricter.is_calibrator_of(c));
    c.calibrator_fingerprint.clear();
    CHECK_FALSE(others[3].is_calibrator_of(c));

    here.thresholds[0].certificate.calibrator_fingerprint = here.calibrator_fingerprint();
    here.thresholds[0].certificate.level = "group de";
    const auto again = calibration::parse(here.to_json());
    REQUIRE(again);
    CHECK(again->thresholds[0].certificate.calibrator_fingerprint == here.calibrator_fingerprint());
    CHECK(again->thresholds[0].certificate.level == "group de");
}

TEST_CASE("a certificate states its claim, its evidence and its limits") {
    certificate c = calibration::parse(valid_document().dump())->thresholds[0].certificate;
    c.data_from_us = 1'767'225'600'000'000;  // 2026-01-01
    c.data_to_us = 1'772'323'199'000'000;    // 2026-02-28
    c.level = "group de";
    c.not_covered = "other clients";
    const std::string text = c.statement();
    for (const char* part :
         {"At most 5 %", "(group de)", "95 %", "1 errors among 93 automated of 300", "2026-01-01", "2026-02-28",
          "upper bound 4.99 %", "one seeded decision per dialogue", "m1", "platt", "Not covered: other clients"})
        CHECK(text.find(part) != std::string::npos);
    CHECK(c.statement(false).starts_with("Insufficient (group de)"));
    CHECK(c.statement(false).find("59") != std::string::npos);
    c.data_from_us = std::numeric_limits<std::int64_t>::min();
    c.data_to_us = std::numeric_limits<std::int64_t>::max();
    CHECK(c.statement().find("from 1970-01-01 to 9999-12-31") != std::string::npos);
}

TEST_CASE("a finished certification becomes a threshold whose claim is accepted") {
    std::vector<double> score;
    for (int i = 0; i < 200; ++i) score.push_back(1 - i / 200.0);
    std::vector<std::uint8_t> error(200, 0);
    error[80] = 1;
    const auto made = *automation_threshold(score, error, {});
    threshold t = threshold::from(made, "refund");
    t.certificate.model_fingerprint = "m1";
    t.certificate.created_at_us = 1;
    t.certificate.expires_at_us = 2;
    calibration c;
    c.kind = calibrator_kind::platt;
    c.thresholds.push_back(t);
    const auto read = calibration::parse(c.to_json());
    REQUIRE(read);
    CHECK(read->thresholds[0].value == made.value);
    CHECK(read->thresholds[0].certificate.automated == made.automated);
    CHECK(read->thresholds[0].certificate.delta == made.delta);
}

TEST_CASE("claims that the figures do not prove are refused") {
    json d = valid_document();
    d["thresholds"][0]["certificate"]["errors"] = 2;
    CHECK(refusal(d).code == "calibration.unproven");
    CHECK(refusal(d).where == "/thresholds/0/certificate");
    d = valid_document();
    d["thresholds"][0]["certificate"]["alpha"] = 0.01;
    CHECK(refusal(d).code == "calibration.unproven");
    d = valid_document();
    d["thresholds"][1]["value"] = 0.5;
    CHECK(refusal(d).code == "calibration.unproven");
    d = valid_document();
    d["recall_floors"][0]["misses_allowed"] = 2;
    CHECK(refusal(d).code == "calibration.unproven");
}

TEST_CASE("broken documents are refused with their place") {
    json d = valid_document();
    d["calibrator"]["kind"] = "plat";
    CHECK(refusal(d).code == "calibration.bad_choice");
    CHECK(refusal(d).hint == "did you mean 'platt'?");
    d = valid_document();
    d["calibrator"].erase("a");
    CHECK(refusal(d).where == "/calibrator/a");
    d = valid_document();
    d["calibrator"]["kind"] = "none";
    CHECK(refusal(d).code == "calibration.unknown_field");
    d = valid_document();
    d["thresholds"][0]["value"] = "high";
    CHECK(refusal(d).where == "/thresholds/0/value");
    d = valid_document();
    d["thresholds"][0]["certificate"]["n"] = -1;
    CHECK(refusal(d).code == "calibration.bad_count");
    d = valid_document();
    d["thresholds"][0]["certificate"]["n"] = 50;
    CHECK(refusal(d).code == "calibration.bad_count");
    d = valid_document();
    d["thresholds"][0]["certificate"]["delta"] = 1.5;
    CHECK(refusal(d).where == "/thresholds/0/certificate/delta");
    d = valid_document();
    d["thresholds"][0]["certificate"]["expires_at"] = 300;
    CHECK(refusal(d).code == "calibration.bad_window");
    d = valid_document();
    d["thresholds"][1].erase("kind");
    CHECK(refusal(d).code == "calibration.duplicate_threshold");
    d = valid_document();
    d["version"] = 2;
    CHECK(refusal(d).code == "calibration.version");
    d = valid_document();
    d["threshold"] = 1;
    CHECK(refusal(d).hint == "did you mean 'thresholds'?");
    for (const char* text : {"", "null", "[]", "{", "{\"version\":1e999}", "\xFF"}) CHECK_FALSE(calibration::parse(text));
}

TEST_CASE("every value of every key may be of any type without harm") {
    const json original = valid_document();
    const json flat = original.flatten();
    for (const auto& [place, unused] : flat.items())
        for (const json& value : {json(nullptr), json(true), json(-1), json(1e300), json("x"), json::array(), json::object()}) {
            json d = original;
            d[json::json_pointer(place)] = value;
            const auto parsed = calibration::parse(d.dump());
            if (!parsed) CHECK_FALSE(parsed.error().where.empty());
        }
    const std::string text = original.dump();
    for (std::size_t cut = 0; cut < text.size(); ++cut) CHECK_FALSE(calibration::parse(std::string_view(text).substr(0, cut)));
}
