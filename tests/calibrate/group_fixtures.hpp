#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "catch.hpp"

/// What MAPIE and statsmodels answered (scripts/regenerate_fixtures.py).
inline nlohmann::json group_fixture(const std::string& name) {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/fixtures/groups/" + name + ".json");
    REQUIRE(file.good());
    return nlohmann::json::parse(file);
}
