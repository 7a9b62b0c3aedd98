// Does the certificate hold as often as it says? Repeated certification in worlds whose true risk is known.
#include <cmath>
#include <cstdio>

#include "catch.hpp"
#include "opspilot/calibrate/threshold.hpp"
#include "worlds.hpp"

using namespace opspilot;

namespace {

struct tally {
    int sets = 0, false_certificates = 0, none = 0;
    double automation = 0, squares = 0;
    [[nodiscard]] double mean_automation() const { return automation / sets; }
    [[nodiscard]] double standard_error() const {
        return std::sqrt((squares / sets - mean_automation() * mean_automation()) / sets);
    }
    [[nodiscard]] double violation() const { return static_cast<double>(false_certificates) / sets; }
};

tally certify_often(const worlds::world& w, std::size_t n, double max_risk, bool believe, int sets, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    tally out;
    for (; out.sets < sets; ++out.sets) {
        const worlds::sample set = worlds::draw(w, n, random);
        threshold_options options;
        options.max_risk = max_risk;
        if (believe) options.start_probability = set.belief;
        const auto t = automation_threshold(set.score, set.error, options);
        REQUIRE(t);
        if (!t->sufficient) {
            ++out.none;
            continue;
        }
        out.automation += t->coverage;
        out.squares += t->coverage * t->coverage;
        if (w.risk_above(*t->value) > max_risk * (1 + 1e-6)) ++out.false_certificates;
    }
    return out;
}

void check_violation(const tally& t, double delta, const std::string& what) {
    INFO(what << ": " << t.false_certificates << " false of " << t.sets << ", automation " << t.mean_automation() << ", none "
              << t.none);
    CHECK(t.violation() <= delta + 3 * std::sqrt(delta * (1 - delta) / t.sets));
}

std::vector<worlds::world> all_worlds() {
    return {worlds::case_a(),
            worlds::case_b(),
            worlds::overconfident("overconfident A", worlds::quantile_a),
            worlds::overconfident("overconfident B", worlds::quantile_b),
            worlds::steps(),
            worlds::atoms(),
            worlds::grid(20),
            worlds::grid(200),
            worlds::grid(2000)};
}

}  // namespace

TEST_CASE("certificates are false no more often than stated") {
    std::uint64_t seed = 100;
    for (const auto& w : all_worlds())
        for (const double risk : {0.02, 0.05})
            for (const bool believe : {true, false})
                check_violation(certify_often(w, 600, risk, believe, 300, ++seed), 0.05, w.name);
}

TEST_CASE("certificates are not merely never given") {
    // Means of the design's simulation; 150 sets leave a standard error of about 0.02.
    CHECK(certify_often(worlds::case_a(), 2000, 0.02, true, 150, 1).mean_automation() > 0.348 - 0.06);
    CHECK(certify_often(worlds::case_b(), 2000, 0.01, true, 150, 2).mean_automation() > 0.580 - 0.06);
    CHECK(certify_often(worlds::grid(20), 2000, 0.05, true, 150, 3).mean_automation() > 0.5);
    CHECK(certify_often(worlds::grid(2000), 2000, 0.02, true, 150, 4).mean_automation() > 0.25);
}

TEST_CASE("a naive threshold breaks its word, which is why it is not certified") {
    std::mt19937_64 random(11);
    const auto w = worlds::case_a();
    int broken = 0;
    for (int i = 0; i < 100; ++i) {
        const auto set = worlds::draw(w, 600, random);
        const auto t = *naive_threshold(set.score, set.error, 0.05);
        if (t.value && w.risk_above(*t.value) > 0.05) ++broken;
    }
    CHECK(broken > 25);
}

TEST_CASE("groups hold together") {
    // Five groups of unequal size and accuracy; a run violates when any of them does.
    std::mt19937_64 random(12);
    const std::vector<worlds::world> by_group{worlds::case_a(), worlds::case_b(), worlds::grid(20), worlds::steps(),
                                              worlds::case_a()};
    const std::vector<std::size_t> sizes{800, 200, 500, 400, 150};
    int violated = 0;
    constexpr int sets = 300;
    for (int run = 0; run < sets; ++run) {
        std::vector<double> score, belief;
        std::vector<std::uint8_t> error;
        std::vector<std::uint32_t> group;
        for (std::uint32_t g = 0; g < by_group.size(); ++g) {
            const auto part = worlds::draw(by_group[g], sizes[g], random);
            score.insert(score.end(), part.score.begin(), part.score.end());
            belief.insert(belief.end(), part.belief.begin(), part.belief.end());
            error.insert(error.end(), part.error.begin(), part.error.end());
            group.insert(group.end(), sizes[g], g);
        }
        threshold_options options;
        options.start_probability = belief;
        options.groups = group;
        options.group_count = 5;
        const auto t = automation_threshold(score, error, options);
        REQUIRE(t);
        bool bad = false;
        for (std::size_t g = 0; g < by_group.size(); ++g)
            bad = bad || (t->groups[g].value && by_group[g].risk_above(*t->groups[g].value) > 0.05);
        violated += bad ? 1 : 0;
    }
    CHECK(violated <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
}

TEST_CASE("recall floors are false no more often than stated") {
    std::mt19937_64 random(13);
    for (const double round_to : {0.0, 20.0}) {
        int broken = 0;
        constexpr int sets = 1000;
        for (int run = 0; run < sets; ++run) {
            std::vector<double> score;
            for (int i = 0; i < 400; ++i) {
                const double u = std::uniform_real_distribution<double>()(random);
                score.push_back(round_to > 0 ? std::floor(u * round_to) / round_to : u);
            }
            const std::vector<std::uint8_t> label(400, 1);
            const auto t = *recall_floor(score, label, 0.97);
            REQUIRE(t.misses_allowed == 6);
            const double recall = 1 - *t.value;  // of a uniform score; on the grid, P(s >= k / 20) = 1 - k / 20 as well
            broken += recall < 0.97 - 1e-12 ? 1 : 0;
        }
        CHECK(broken <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
    }
}

TEST_CASE("nightly: 2,000 sets a cell and the design's table of automation", "[.nightly]") {
    struct cell {
        worlds::world w;
        double risk;
        std::size_t n;
        double automation;
    };
    const std::vector<cell> table{
        {worlds::case_a(), 0.01, 2000, 0.105}, {worlds::case_a(), 0.01, 20000, 0.308}, {worlds::case_a(), 0.02, 500, 0.110},
        {worlds::case_a(), 0.02, 2000, 0.348}, {worlds::case_a(), 0.02, 20000, 0.485}, {worlds::case_b(), 0.01, 500, 0.145},
        {worlds::case_b(), 0.01, 2000, 0.580}, {worlds::case_b(), 0.01, 20000, 0.681}, {worlds::case_b(), 0.02, 500, 0.570},
        {worlds::case_b(), 0.02, 2000, 0.754}, {worlds::case_b(), 0.02, 20000, 0.810}};
    std::uint64_t seed = 1000;
    for (const cell& c : table) {
        const tally t = certify_often(c.w, c.n, c.risk, true, c.n > 5000 ? 500 : 2000, ++seed);
        std::printf("%s %.0f %% n=%zu: automation %.3f (table %.3f), none %.1f %%, false %.2f %%\n", c.w.name.c_str(),
                    c.risk * 100, c.n, t.mean_automation(), c.automation, 100.0 * t.none / t.sets, 100 * t.violation());
        check_violation(t, 0.05, c.w.name);
        CHECK(t.mean_automation() + 2 * t.standard_error() >= 0.95 * c.automation);
    }
    for (const auto& w : all_worlds())
        for (const double risk : {0.01, 0.02, 0.05, 0.1})
            for (const std::size_t n : {std::size_t{300}, std::size_t{1000}})
                for (const bool believe : {true, false}) {
                    const tally t = certify_often(w, n, risk, believe, 4000, ++seed);
                    std::printf("%-16s %4.0f %% n=%-5zu %s automation %.3f none %5.1f %% false %.2f %%\n", w.name.c_str(),
                                risk * 100, n, believe ? "belief" : "      ", t.mean_automation(), 100.0 * t.none / t.sets,
                                100 * t.violation());
                    check_violation(t, 0.05, w.name);
                }
}
