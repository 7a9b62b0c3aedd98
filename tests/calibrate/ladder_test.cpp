#include "opspilot/calibrate/ladder.hpp"

#include <cmath>
#include <random>

#include "catch.hpp"
#include "worlds.hpp"

using namespace opspilot;

namespace {

struct ladder_set {
    std::vector<double> score, belief;
    std::vector<std::uint8_t> error;
    std::vector<std::uint32_t> group;

    void add(const worlds::world& w, std::size_t n, std::uint32_t number, std::mt19937_64& random) {
        const auto part = worlds::draw(w, n, random);
        score.insert(score.end(), part.score.begin(), part.score.end());
        belief.insert(belief.end(), part.belief.begin(), part.belief.end());
        error.insert(error.end(), part.error.begin(), part.error.end());
        group.insert(group.end(), n, number);
    }
    [[nodiscard]] ladder_options options(std::uint32_t count) const {
        ladder_options out;
        out.start_probability = belief;
        out.groups = group;
        out.group_count = count;
        return out;
    }
};

}  // namespace

TEST_CASE("large groups stand on their own line, small ones on the pool's, and the level says so") {
    std::mt19937_64 random(1);
    ladder_set set;
    set.add(worlds::case_b(), 1500, 0, random);
    set.add(worlds::case_b(), 40, 1, random);
    set.add(worlds::steps(), 400, 2, random);  // enough items, and an error rate of 30 % below 0.5
    const auto made = *automation_ladder(set.score, set.error, set.options(3));
    CHECK(made.delta_each == Approx(0.05 / 4));
    REQUIRE(made.groups.size() == 3);
    CHECK(made.groups[0].level == ladder_level::group);
    CHECK(made.groups[0].value == made.of_groups[0].value);
    CHECK(made.groups[0].needed == 86);  // ceil(ln 0.0125 / ln 0.95)
    CHECK(made.groups[1].level == ladder_level::parent);
    CHECK(made.groups[1].value == made.of_parents[0].value);
    CHECK(made.of_parents[0].n == 1940);
    CHECK(made.groups[1].n == 40);
    CHECK(made.groups[1].automation_low < made.groups[1].automation);
    CHECK(made.groups[1].automation_high > made.groups[1].automation);
    CHECK(name(made.groups[1].level) == "parent");
}

TEST_CASE("evidence against a group is not overruled by its parent") {
    // The first draw of which the pool is certified: its 120 errors spread over all scores, the best ones included.
    const auto drawn = [](std::uint64_t seed) {
        std::mt19937_64 random(seed);
        ladder_set set;
        set.add(worlds::case_b(), 12'000, 0, random);
        set.add(worlds::case_b(), 120, 1, random);
        for (std::size_t i = 12'000; i < 12'120; ++i) set.error[i] = 1;
        return *automation_ladder(set.score, set.error, set.options(2));
    };
    std::uint64_t seed = 2;
    auto made = drawn(seed);
    while (!made.of_parents[0].value && seed < 20) made = drawn(++seed);
    REQUIRE(made.of_parents[0].value);
    CHECK(made.groups[1].level == ladder_level::none);
    CHECK_FALSE(made.groups[1].value);
    CHECK(made.groups[1].reason == "start_failed");
    CHECK(made.groups[1].automated == 0);
}

TEST_CASE("parents pool their own groups") {
    std::mt19937_64 random(3);
    ladder_set set;
    set.add(worlds::case_b(), 60, 0, random);
    set.add(worlds::case_b(), 1200, 1, random);
    set.add(worlds::case_b(), 60, 2, random);
    auto options = set.options(3);
    const std::vector<std::uint32_t> parents{0, 0, 1};
    options.parents = parents;
    options.parent_count = 2;
    const auto made = *automation_ladder(set.score, set.error, options);
    CHECK(made.groups[0].level == ladder_level::parent);
    CHECK(made.groups[2].level == ladder_level::none);
    CHECK(made.groups[2].reason == "too_few");
    CHECK(made.of_parents[0].n == 1260);
    CHECK(made.of_parents[1].n == 60);
    // A group that is declared and has no item takes its parent's line.
    auto wider = set.options(4);
    CHECK(automation_ladder(set.score, set.error, wider)->groups[3].level == ladder_level::parent);
}

TEST_CASE("ladders of no kind are refused by name") {
    std::mt19937_64 random(4);
    ladder_set set;
    set.add(worlds::case_b(), 10, 0, random);
    auto options = set.options(1);
    const auto code = [&] { return automation_ladder(set.score, set.error, options).error().code; };
    options.group_count = 0;
    CHECK(code() == "calibration.bad_group");
    options = set.options(11);
    CHECK(code() == "calibration.bad_group");
    options = set.options(1);
    const std::vector<std::uint32_t> parents{5};
    options.parents = parents;
    CHECK(code() == "calibration.bad_group");
    options = set.options(1);
    options.parent_count = 2;
    CHECK(code() == "calibration.bad_group");
    options = set.options(1);
    options.groups = options.groups.first(3);
    CHECK(code() == "calibration.length_mismatch");
    options = set.options(1);
    options.start_probability = options.start_probability.first(3);
    CHECK(code() == "calibration.length_mismatch");
    options = set.options(1);
    options.max_risk = 0;
    CHECK(code() == "calibration.bad_risk");
}
