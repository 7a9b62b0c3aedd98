#include "opspilot/calibrate/label_noise.hpp"

#include <cmath>
#include <random>

#include "certificate_fixtures.hpp"

using namespace opspilot;

TEST_CASE("disagreement of 14 % is noise of 7.6 %, and hides a perfect model") {
    const double eta = symmetric_noise(0.14);
    CHECK(eta == Approx(0.0757).margin(1e-4));
    CHECK(2 * eta * (1 - eta) == Approx(0.14));
    CHECK(majority_noise(eta, 3) == Approx(0.016).margin(5e-4));
    CHECK(apparent_recall(0.05, eta) == Approx(0.39).margin(5e-3));
    CHECK(apparent_recall(0.10, eta) == Approx(0.58).margin(5e-3));
    CHECK(apparent_recall(0.30, eta) == Approx(0.84).margin(5e-3));
    CHECK(symmetric_noise(0.7) == 0.5);
    const nlohmann::json noise_cases = certificate_fixture("noise");
    for (const auto& row : noise_cases.at("majority"))
        CHECK(majority_noise(row[0], row[1]) == Approx(row[2].get<double>()).epsilon(1e-10));
}

TEST_CASE("a risk below the noise of the labels is refused") {
    const auto bounds = *label_noise(140, 1000);
    CHECK(bounds.noise == Approx(0.0757).margin(1e-4));
    CHECK(bounds.lower < bounds.noise);
    CHECK(bounds.upper > bounds.noise);
    CHECK(bounds.lower > 0.06);
    const auto refused = check_noise_floor(0.02, bounds);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "calibration.noise_floor");
    CHECK(refused.error().message.find("140 of 1000") != std::string::npos);
    CHECK(check_noise_floor(bounds.lower, bounds).error().code == "calibration.noise_floor");
    CHECK(check_noise_floor(0.1, bounds));
    CHECK(check_noise_floor(0.02, *label_noise(0, 1000)));
    CHECK(check_noise_floor(0.02, *label_noise(0, 0)));  // nothing is known: no lower bound
    CHECK(check_noise_floor(0.0, bounds).error().code == "calibration.bad_risk");
    CHECK(label_noise(2, 1).error().code == "calibration.bad_count");
    CHECK(label_noise(0, 1, 1.0).error().code == "calibration.bad_confidence");
}

TEST_CASE("the audit's parts are Clopper and Pearson's, at their share of the failure probability") {
    const nlohmann::json noise_cases = certificate_fixture("noise");
    for (const auto& row : noise_cases.at("audits")) {
        INFO(row.dump());
        const auto made = *two_phase_audit({.n = row[0],
                                            .apparent = row[1],
                                            .apparent_adjudicated = row[2],
                                            .apparent_confirmed = row[3],
                                            .rest_adjudicated = row[4],
                                            .rest_found = row[5]},
                                           row[6]);
        CHECK(made.apparent_part == Approx(row[7].get<double>()).epsilon(1e-10));
        CHECK(made.rest_part == Approx(row[8].get<double>()).epsilon(1e-10));
        CHECK(made.risk_upper == Approx(std::min(1.0, made.apparent_part + made.rest_part)));
    }
    CHECK(two_phase_audit({})->risk_upper == 1.0);
    CHECK(two_phase_audit({.n = 10, .apparent = 11}).error().code == "calibration.bad_count");
    CHECK(two_phase_audit({.n = 10, .apparent = 5, .apparent_adjudicated = 6}).error().code == "calibration.bad_count");
    CHECK(two_phase_audit({.n = 10, .apparent = 5, .rest_adjudicated = 6}).error().code == "calibration.bad_count");
    CHECK(two_phase_audit({.n = 10, .rest_adjudicated = 5, .rest_found = 6}).error().code == "calibration.bad_count");
}

TEST_CASE("bounds from noisy labels are too low no more often than stated") {
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> uniform;
    const double eta = symmetric_noise(0.14), risk = 0.03;
    int corrected = 0, audit = 0, single = 0;
    constexpr int sets = 500;
    for (int run = 0; run < sets; ++run) {
        two_phase_counts c{.n = 1000};
        std::uint64_t differ = 0;
        for (std::uint64_t i = 0; i < c.n; ++i) {
            const bool wrong = uniform(random) < risk;
            const bool label = wrong != (uniform(random) < eta);
            if (i < 400) differ += label != (wrong != (uniform(random) < eta)) ? 1U : 0U;
            if (label) {
                ++c.apparent;
                if (c.apparent_adjudicated < 60) {
                    ++c.apparent_adjudicated;
                    c.apparent_confirmed += wrong ? 1 : 0;
                }
            } else if (c.rest_adjudicated < 600) {
                ++c.rest_adjudicated;
                c.rest_found += wrong ? 1 : 0;
            }
        }
        corrected += *noise_corrected_upper(c.apparent, c.n, differ, 400) < risk ? 1 : 0;
        const auto bound = *two_phase_audit(c);
        audit += bound.risk_upper < risk ? 1 : 0;
        single += bound.risk_upper < 0.0757 ? 1 : 0;
    }
    const double most = 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets);
    CHECK(corrected <= most);
    CHECK(audit <= most);
    CHECK(single > 0.9 * sets);  // below what single labels could ever show
    CHECK(*noise_corrected_upper(0, 0, 0, 0) == 1.0);
    CHECK(noise_corrected_upper(2, 1, 0, 0).error().code == "calibration.bad_count");
    CHECK(*noise_corrected_upper(20, 1000, 0, 0) > 0.02);  // no pairs: nothing is corrected
}
