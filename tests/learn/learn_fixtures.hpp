// Answers frozen by make_fixtures.py: named lists of numbers.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/learn/softmax.hpp"

class learn_fixture {
public:
    explicit learn_fixture(const std::string& name) {
        std::ifstream in(std::string(OPSPILOT_TEST_DATA) + "/learn/fixtures/" + name + ".txt");
        REQUIRE(in.good());
        std::string key;
        for (std::size_t count = 0; in >> key >> count;) {
            std::vector<double>& values = lists_[key];
            values.resize(count);
            for (double& v : values) in >> v;
            REQUIRE_FALSE(in.fail());
        }
    }
    template <class T = double>
    [[nodiscard]] std::vector<T> list(const std::string& key) const {
        REQUIRE(lists_.count(key) == 1);
        std::vector<T> out;
        for (const double v : lists_.at(key)) out.push_back(static_cast<T>(v));
        return out;
    }

private:
    std::map<std::string, std::vector<double>> lists_;
};

// A dense matrix as compressed sparse rows.
struct csr_storage {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> index;
    std::vector<float> value;
    csr_storage(const std::vector<float>& dense, std::size_t columns) {
        for (std::size_t i = 0; i < dense.size(); i += columns) {
            for (std::size_t j = 0; j < columns; ++j)
                if (dense[i + j] != 0.0F) {
                    index.push_back(static_cast<std::uint32_t>(j));
                    value.push_back(dense[i + j]);
                }
            offsets.push_back(static_cast<std::int64_t>(index.size()));
        }
    }
    [[nodiscard]] opspilot::csr_view view() const { return {offsets, index, value}; }
};

// "learn.label row 3", or "fine".
template <class T>
std::string code_and_place(const opspilot::result<T>& fit) {
    if (fit.ok()) return "fine";
    std::string out(fit.error().code);
    out.push_back(' ');
    out.append(fit.error().where);
    return out;
}
