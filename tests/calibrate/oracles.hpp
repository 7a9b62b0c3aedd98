#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.hpp"

/// Answers of other libraries; scripts/regenerate_fixtures.py makes them.
inline nlohmann::json oracle_of(const std::string& name) {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/fixtures/calibration/" + name + ".json");
    REQUIRE(file.good());
    return nlohmann::json::parse(file);
}

inline std::vector<double> doubles_of(const nlohmann::json& numbers) { return numbers.get<std::vector<double>>(); }
inline std::vector<std::uint8_t> labels_of(const nlohmann::json& numbers) { return numbers.get<std::vector<std::uint8_t>>(); }
