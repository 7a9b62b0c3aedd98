#include "opspilot/calibrate/grid_threshold.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "certificate_fixtures.hpp"
#include "fixtures.hpp"
#include "worlds.hpp"

using namespace opspilot;

TEST_CASE("what MAPIE's fixed sequence finds valid on a shared grid is valid, and as far") {
    const nlohmann::json frozen = certificate_fixture("grids").at("cases");
    for (const auto& entry : frozen) {
        const auto score = entry.at("score").get<std::vector<double>>();
        const auto error = bytes_of(entry.at("error"));
        const auto grid = entry.at("grid").get<std::vector<double>>();
        const auto valid = entry.at("valid").get<std::vector<double>>();
        grid_options options{.max_risk = entry.at("alpha"), .confidence = 1.0 - entry.at("delta").get<double>()};
        options.start_value = *std::max_element(grid.begin(), grid.end());
        const auto t = *grid_threshold(score, error, grid, options);
        std::vector<double> passed;
        for (const threshold_step& step : t.steps)
            if (step.passed) passed.push_back(step.value);
        INFO(valid.size() << " and " << passed.size());
        // MAPIE counts ceil(N r) errors, one more than there are for some N: it may stop earlier, never later.
        REQUIRE(passed.size() >= valid.size());
        CHECK(std::equal(valid.begin(), valid.end(), passed.begin()));
        CHECK(passed.size() <= valid.size() + 4);
    }
}

TEST_CASE("the grid is walked from its start to the first failure") {
    std::vector<double> score;
    for (int i = 0; i < 400; ++i) score.push_back(1 - (i + 0.5) / 400);
    std::vector<std::uint8_t> error(400, 0);
    error[300] = error[301] = error[302] = error[303] = error[304] = error[305] = error[306] = error[307] = error[308] = 1;
    error[310] = error[311] = error[312] = error[313] = error[314] = error[315] = error[316] = error[317] = error[318] = 1;
    const std::vector<double> grid{0.1, 0.3, 0.2, 0.9, 0.5, 0.5};
    const auto t = *grid_threshold(score, error, grid);
    REQUIRE(t.steps.size() == 3);     // 40 items above 0.9 cannot pass and are not tested; nothing is below 0.2
    CHECK(t.steps[0].tested == 200);  // strictly above 0.5
    CHECK(t.value == 0.3);
    CHECK(t.automated == 280);
    CHECK(t.errors == 0);
    CHECK(t.steps[1].passed);
    CHECK(t.steps[2].errors == 18);
    CHECK_FALSE(t.steps[2].passed);
    grid_options options;
    options.start_value = 0.9;
    CHECK_FALSE(grid_threshold(score, error, grid, options)->sufficient);  // the start is tested as it is, and fails
    CHECK(grid_threshold(score, error, grid, options)->reason == "too_few");
    options.start_value = 0.4;
    CHECK(grid_threshold(score, error, grid, options).error().code == "calibration.bad_grid");
    CHECK(grid_threshold(score, error, std::vector<double>{}, {}).error().code == "calibration.bad_grid");
    CHECK(grid_threshold(score, error, std::vector<double>{std::nan("")}, {}).error().code == "calibration.bad_grid");
    CHECK(grid_threshold(score, error, grid, {.max_risk = 1.5}).error().code == "calibration.bad_risk");
}

TEST_CASE("with a start from other data the grid holds where the risk is no slope") {
    // The best tenth errs most.
    const auto w =
        worlds::numeric("humped", [](double u) { return u; }, [](double s) { return s > 0.9   ? 0.2
                                                                                    : s > 0.4 ? 0.001
                                                                                              : 0.4; });
    std::mt19937_64 random(9);
    const std::vector<double> grid{0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3};
    for (const double start : {0.9, 0.6, 0.4}) {
        int wrong = 0;
        constexpr int sets = 400;
        for (int i = 0; i < sets; ++i) {
            const auto set = worlds::draw(w, 800, random);
            grid_options options{.max_risk = 0.04};
            options.start_value = start;
            const auto t = *grid_threshold(set.score, set.error, grid, options);
            wrong += t.value && w.risk_above(*t.value) > 0.04 ? 1 : 0;
        }
        INFO(start);
        CHECK(wrong <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
    }
}

TEST_CASE("the expected mode selects as Benjamini and Hochberg do") {
    const nlohmann::json frozen = certificate_fixture("selections").at("cases");
    for (const auto& entry : frozen) {
        const auto made = *expected_selection(entry.at("score").get<std::vector<double>>(), bytes_of(entry.at("error")),
                                              entry.at("batch").get<std::vector<double>>(), entry.at("alpha"));
        CHECK(made.selected == entry.at("selected").get<std::vector<std::uint32_t>>());
    }
    const std::vector<double> score{0.1, 0.9};
    CHECK(expected_selection(score, bytes_of({0, 1}), {}, 0.1).error().code == "calibration.empty");
    CHECK_FALSE(expected_selection(score, bytes_of({0, 1}), std::vector<double>{0.5}, 0.1)->value);
}
