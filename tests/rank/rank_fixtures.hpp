// Models frozen by make_fixtures.py with rows and the scores LightGBM gives them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
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

/// LightGBM's predict(pred_contrib=True) for the first rows of NAME.rows.
struct rank_contributions {
    std::size_t n = 0, line = 0;
    std::vector<double> values;  // n × line
};

inline rank_contributions read_rank_contributions(const std::string& name) {
    std::istringstream in(read_rank_fixture(name + ".contributions"));
    rank_contributions out;
    in >> out.n >> out.line;
    for (std::string word; in >> word;) out.values.push_back(std::strtod(word.c_str(), nullptr));
    REQUIRE(out.values.size() == out.n * out.line);
    return out;
}

/// What a model file says under feature_importances: the number of splits of each feature.
inline std::vector<double> read_rank_importances(const std::string& name, std::span<const std::string> features) {
    std::istringstream in(read_rank_fixture(name + ".txt"));
    std::vector<double> out(features.size(), 0.0);
    bool here = false;
    for (std::string line; std::getline(in, line); here = here ? !line.empty() : line == "feature_importances:") {
        const std::size_t equals = line.rfind('=');
        const auto at = std::find(features.begin(), features.end(), line.substr(0, equals));
        if (here && at != features.end())
            out[static_cast<std::size_t>(at - features.begin())] = std::strtod(line.c_str() + equals + 1, nullptr);
    }
    return out;
}

inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}
