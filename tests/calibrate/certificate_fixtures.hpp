#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "catch.hpp"

/// What scipy, mpmath, MAPIE and confseq answered (scripts/fixtures_certificates.py).
inline const nlohmann::json& certificate_fixtures() {
    static const nlohmann::json document = [] {
        std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/fixtures/certificates.json");
        REQUIRE(file.good());
        return nlohmann::json::parse(file);
    }();
    return document;
}
