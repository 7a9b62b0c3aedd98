#include "opspilot/calibrate/binomial.hpp"

#include <array>
#include <cmath>
#include <random>

#include "fixtures.hpp"

using namespace opspilot;

TEST_CASE("tails and bounds agree with scipy to 1e-12") {
    const auto oracle = fixture("binomial.json");
    REQUIRE(oracle["cdf"].size() > 300);
    REQUIRE(oracle["bounds"].size() > 200);
    for (const auto& row : oracle["cdf"]) {
        const double expected = row[3];
        INFO(row.dump());
        CHECK(std::fabs(binomial_cdf(row[0], row[1], row[2]) - expected) <= 1e-12 * expected);
    }
    for (const auto& row : oracle["bounds"]) {
        const double upper = row[3];
        const double lower = row[4];
        INFO(row.dump());
        CHECK(std::fabs(binomial_upper(row[0], row[1], row[2]) - upper) <= 1e-12 * upper);
        CHECK(std::fabs(binomial_lower(row[0], row[1], row[2]) - lower) <= 1e-12 * lower);
    }
}

TEST_CASE("edges of the tail") {
    CHECK(binomial_cdf(3, 3, 0.5) == 1.0);
    CHECK(binomial_cdf(0, 0, 0.5) == 1.0);
    CHECK(binomial_cdf(0, 5, 0.0) == 1.0);
    CHECK(binomial_cdf(4, 5, 1.0) == 0.0);
    CHECK(binomial_upper(0, 0, 0.05) == 1.0);
    CHECK(binomial_upper(7, 7, 0.05) == 1.0);
    CHECK(binomial_lower(0, 7, 0.05) == 0.0);
    CHECK(binomial_lower(7, 7, 0.05) == Approx(std::pow(0.05, 1.0 / 7)));
}

TEST_CASE("critical ranks agree with scipy") {
    const auto oracle = fixture("binomial.json");
    REQUIRE(oracle["ranks"].size() == 240);
    for (const auto& row : oracle["ranks"]) {
        critical_ranks ranks(row[0], row[1]);
        INFO(row.dump());
        CHECK(ranks.rank(row[2], 10'000'000) == row[3].get<std::uint64_t>());
    }
}

TEST_CASE("critical ranks of the design's table, c = 0, 1, 2, 5") {
    struct line {
        double alpha;
        std::array<std::uint64_t, 4> at5, at1, at05;
    };
    const std::array<line, 4> table{{{0.01, {299, 473, 628, 1049}, {459, 662, 838, 1307}, {528, 740, 924, 1411}},
                                     {0.02, {149, 236, 313, 523}, {228, 330, 418, 652}, {263, 369, 461, 703}},
                                     {0.03, {99, 157, 208, 348}, {152, 219, 277, 433}, {174, 245, 306, 468}},
                                     {0.05, {59, 93, 124, 208}, {90, 130, 165, 259}, {104, 146, 182, 279}}}};
    constexpr std::array<std::uint64_t, 4> errors{0, 1, 2, 5};
    for (const line& l : table)
        for (std::size_t i = 0; i < errors.size(); ++i) {
            CHECK(critical_ranks(l.alpha, 0.05).rank(errors[i], 5000) == l.at5[i]);
            CHECK(critical_ranks(l.alpha, 0.01).rank(errors[i], 5000) == l.at1[i]);
            CHECK(critical_ranks(l.alpha, 0.005).rank(errors[i], 5000) == l.at05[i]);
        }
    CHECK(zero_error_minimum(0.05, 0.05) == 59);
    CHECK(zero_error_minimum(0.03, 0.05) == 99);
    CHECK(zero_error_minimum(1e-300, 0.05) == std::uint64_t{1} << 63);
}

TEST_CASE("recurrences keep to the exact tail over thousands of ranks") {
    for (const double alpha : {0.003, 0.02, 0.1, 0.5, 0.97}) {
        const double delta = 0.05;
        critical_ranks ranks(alpha, delta);
        for (std::uint64_t c = 0; c < 3000; ++c) {
            const auto rank = ranks.rank(c, 10'000'000);
            REQUIRE(rank);
            REQUIRE(binomial_cdf(c, *rank, alpha) <= delta);
            REQUIRE(binomial_cdf(c, *rank - 1, alpha) > delta);
        }
    }
}

TEST_CASE("allowed errors invert the ranks, whatever was asked before") {
    critical_ranks ranks(0.05, 0.05);
    CHECK(ranks.allowed(0) == -1);
    CHECK(ranks.allowed(58) == -1);
    CHECK(ranks.allowed(59) == 0);
    CHECK(ranks.allowed(124) == 2);
    CHECK(ranks.allowed(92) == 0);
    CHECK(ranks.allowed(93) == 1);
    CHECK_FALSE(ranks.rank(5, 207));
    CHECK(ranks.rank(5, 208) == 208);
    CHECK_FALSE(ranks.rank(5, 207));
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; ++i) {
        const std::uint64_t n = random() % 4000;
        const std::int64_t allowed = ranks.allowed(n);
        if (allowed >= 0) REQUIRE(binomial_cdf(static_cast<std::uint64_t>(allowed), n, 0.05) <= 0.05);
        REQUIRE(binomial_cdf(static_cast<std::uint64_t>(allowed + 1), n, 0.05) > 0.05);
    }
}
