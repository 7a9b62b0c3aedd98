#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "catch.hpp"

/// What scipy, mpmath, MAPIE and confseq answered (scripts/regenerate_fixtures.py).
inline nlohmann::json certificate_fixture(const std::string& name) {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/fixtures/certificates/" + name + ".json");
    REQUIRE(file.good());
    return nlohmann::json::parse(file);
}
