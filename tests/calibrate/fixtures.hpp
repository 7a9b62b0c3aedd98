#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.hpp"

inline nlohmann::json fixture(const std::string& name) {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/calibrate/data/" + name);
    REQUIRE(file.good());
    return nlohmann::json::parse(file);
}

inline std::vector<std::uint8_t> bytes_of(const nlohmann::json& numbers) {
    std::vector<std::uint8_t> out;
    for (const auto& number : numbers) out.push_back(number.get<std::uint8_t>());
    return out;
}
