// Models frozen by make_fixtures.py with rows and the scores LightGBM gives them.
#pragma once

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "catch.hpp"

inline constexpr std::array<const char*, 7> rank_fixture_names{
    "lambdarank", "binary_dart", "multiclass_categories", "forest", "zero_as_missing", "no_missing", "one_leaf"};

inline std::string read_rank_fixture(const std::string& file) {
    std::ifstream in(std::string(OPSPILOT_TEST_DATA) + "/rank/fixtures/" + file, std::ios::binary);
    REQUIRE(in.good());
    return {std::istreambuf_iterator<char>(in), {}};
}

struct rank_rows {
    std::size_t n = 0, features = 0, outputs = 0;
    std::vector<double> values;  // n × features
    std::vector<double> scores;  // n × outputs
};

inline rank_rows read_rank_rows(const std::string& name) {
    const std::string text = read_rank_fixture(name + ".rows");
    const char* at = text.c_str();
    const auto next = [&at] {
        char* end = nullptr;
        const double value = std::strtod(at, &end);
        REQUIRE(end != at);
        at = end;
        return value;
    };
    rank_rows out;
    out.n = static_cast<std::size_t>(next());
    out.features = static_cast<std::size_t>(next());
    out.outputs = static_cast<std::size_t>(next());
    for (std::size_t i = 0; i < out.n; ++i) {
        for (std::size_t j = 0; j < out.features; ++j) out.values.push_back(next());
        for (std::size_t k = 0; k < out.outputs; ++k) out.scores.push_back(next());
    }
    return out;
}

inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}
