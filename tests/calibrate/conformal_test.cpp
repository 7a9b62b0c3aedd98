#include "opspilot/calibrate/conformal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "group_fixtures.hpp"

using namespace opspilot;

namespace {

using doubles = std::vector<double>;

/// Lists of `k` candidates whose right one is drawn by their own probabilities, sharpened: a model that is overconfident.
struct lists {
    doubles probability;
    std::vector<std::int64_t> offsets{0}, right;
    std::vector<std::uint32_t> group;
};

lists make_lists(std::size_t n, std::uint64_t seed, std::uint32_t groups = 1) {
    std::mt19937_64 draw(seed);
    std::normal_distribution<double> normal;
    lists out;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t k = 3 + draw() % 8;
        const auto g = static_cast<std::uint32_t>(draw() % groups);
        doubles truth(k), said(k);
        for (std::size_t j = 0; j < k; ++j) {
            const double score = 2.0 * normal(draw);
            truth[j] = std::exp(score);
            said[j] = std::exp(score * (g == 0 ? 1.5 : 0.7));
        }
        const double all = std::accumulate(said.begin(), said.end(), 0.0);
        for (const double p : said) out.probability.push_back(p / all);
        out.offsets.push_back(static_cast<std::int64_t>(out.probability.size()));
        out.right.push_back(std::discrete_distribution<std::int64_t>(truth.begin(), truth.end())(draw));
        out.group.push_back(g);
    }
    return out;
}

std::span<const double> list_of(const lists& l, std::size_t i) {
    const auto first = static_cast<std::size_t>(l.offsets[i]);
    return std::span(l.probability).subspan(first, static_cast<std::size_t>(l.offsets[i + 1]) - first);
}

conformal_sets fitted(const lists& l, const conformal_options& options) {
    auto made = conformal_sets::fit(l.probability, l.offsets, l.right,
                                    options.groups.empty() ? std::span<const std::uint32_t>{} : std::span(l.group), options);
    REQUIRE(made);
    return std::move(made).value();
}

struct seen {
    double coverage = 0, size = 0;
};
/// Of the lists of a group (or of all), how many sets hold the right one, and how large they are.
seen judge_sets(const conformal_sets& sets, const lists& l, int group = -1) {
    seen out;
    double n = 0;
    std::vector<std::uint32_t> members;
    for (std::size_t i = 0; i < l.right.size(); ++i) {
        if (group >= 0 && static_cast<int>(l.group[i]) != group) continue;
        REQUIRE(sets.members(list_of(l, i), sets.options().groups.empty() ? 0 : l.group[i], i, members));
        const auto right = static_cast<std::uint32_t>(l.right[i]);
        out.coverage += static_cast<double>(std::count(members.begin(), members.end(), right));
        out.size += static_cast<double>(members.size());
        n += 1;
    }
    out.coverage /= n;
    out.size /= n;
    return out;
}

}  // namespace

TEST_CASE("MAPIE's sets come out member by member") {
    const auto document = group_fixture("conformal");
    REQUIRE(document["cases"].size() >= 6);
    for (const auto& one : document["cases"]) {
        INFO(one["name"].get<std::string>());
        lists l;
        l.probability = document["calibration"].get<doubles>();
        const auto k = document["classes"].get<std::int64_t>();
        l.right = document["labels"].get<std::vector<std::int64_t>>();
        for (std::size_t i = 1; i <= l.right.size(); ++i) l.offsets.push_back(static_cast<std::int64_t>(i) * k);
        const auto sets = fitted(l, {.method = one["method"] == "lac" ? conformal_method::lac : conformal_method::aps,
                                     .confidence = one["confidence"].get<double>(),
                                     .at_least_one = false});
        const auto test = document["test"].get<doubles>();
        const std::size_t rows = test.size() / static_cast<std::size_t>(k);
        double size = 0;
        std::vector<std::uint32_t> members;
        for (std::size_t i = 0; i < rows; ++i) {
            REQUIRE(sets.members(std::span(test).subspan(i * static_cast<std::size_t>(k), static_cast<std::size_t>(k)), 0, i,
                                 members));
            size += static_cast<double>(members.size());
            if (one["method"] != "lac") continue;
            std::sort(members.begin(), members.end());
            CHECK(members == one["sets"][i].get<std::vector<std::uint32_t>>());
        }
        // Randomised sets come from another stream of chance: their sizes agree on average.
        if (one["method"] != "lac")
            CHECK(std::fabs(size / static_cast<double>(rows) - one["mean_size"].get<double>()) <= one["margin"].get<double>());
    }
}

TEST_CASE("the rank is the whole number that is meant") {
    CHECK(conformal_minimum(0.9) == 9);
    CHECK(conformal_minimum(0.95) == 19);
    CHECK(conformal_minimum(0.99) == 99);
    CHECK(conformal_minimum(0.5) == 1);
    for (std::uint64_t denominator = 2; denominator <= 40; ++denominator)
        for (std::uint64_t part = 1; part < denominator; ++part) {
            // n + 1 a multiple of the denominator: (n + 1) part / denominator is whole, and no rounding may add a rank.
            const std::uint64_t n = 7 * denominator - 1;
            lists l;
            for (std::uint64_t i = 1; i <= n; ++i) {
                l.probability.push_back(1.0 - static_cast<double>(i) / static_cast<double>(n + 1));
                l.offsets.push_back(static_cast<std::int64_t>(i));
                l.right.push_back(0);
            }
            const double confidence = static_cast<double>(part) / static_cast<double>(denominator);
            const auto sets = fitted(l, {.method = conformal_method::lac, .confidence = confidence});
            REQUIRE(std::lround(sets.lines()[0].value * static_cast<double>(n + 1)) == static_cast<long>(7 * part));
        }
}

TEST_CASE("sets hold the right candidate as often as they promise, on average over fits") {
    for (const conformal_method method : {conformal_method::lac, conformal_method::aps, conformal_method::raps}) {
        for (const double confidence : {0.8, 0.95}) {
            double coverage = 0;
            const int fits = 100;
            for (int f = 0; f < fits; ++f) {
                const auto seed = static_cast<std::uint64_t>(f);
                const auto sets = fitted(make_lists(200, 2 * seed + 1),
                                         {.method = method, .confidence = confidence, .seed = seed, .at_least_one = false});
                coverage += judge_sets(sets, make_lists(200, 2 * seed + 2)).coverage;
            }
            coverage /= fits;
            // Between the promise and 1 / (n + 1) above it, but for the noise of 20000 lists and 100 fits.
            CHECK(coverage >= confidence - 0.012);
            CHECK(coverage <= confidence + 1.0 / 201 + 0.012);
        }
    }
}

TEST_CASE("by group every group is covered; together the easy one pays for the hard one") {
    const auto fit_on = make_lists(6'000, 1, 2), fresh_lists = make_lists(20'000, 2, 2);
    const auto pooled = fitted(fit_on, {.confidence = 0.9});
    const auto by_group = fitted(fit_on, {.confidence = 0.9, .groups = {"a", "b"}});
    CHECK(by_group.lines().size() == 2);
    CHECK(by_group.find_group("b") == 1);
    CHECK_FALSE(by_group.find_group("c"));
    CHECK(judge_sets(pooled, fresh_lists, 0).coverage < 0.88);
    for (const int group : {0, 1}) CHECK(std::fabs(judge_sets(by_group, fresh_lists, group).coverage - 0.9) < 0.02);
}

TEST_CASE("chance makes sets smaller, and depends on the seed and the key alone") {
    const auto l = make_lists(1'000, 5);
    const auto sure = fitted(l, {.randomised = false}), chance = fitted(l, {.randomised = true}),
               other = fitted(l, {.randomised = true, .seed = 9});
    CHECK(judge_sets(chance, l).size < judge_sets(sure, l).size);
    std::vector<std::uint32_t> first, second;
    int by_seed = 0, by_key = 0;
    for (std::size_t i = 0; i < 500; ++i) {
        REQUIRE(chance.members(list_of(l, i), 0, i, first));
        REQUIRE(chance.members(list_of(l, i), 0, i, second));
        CHECK(first == second);
        REQUIRE(other.members(list_of(l, i), 0, i, second));
        by_seed += first != second;
        REQUIRE(chance.members(list_of(l, i), 0, i + 1'000, second));
        by_key += first != second;
    }
    CHECK(by_seed > 20);
    CHECK(by_key > 20);
}

TEST_CASE("a set starts with the best, and equal ones stand in their order") {
    lists l;
    for (int i = 0; i < 40; ++i) {
        for (const double p : {0.1, 0.3, 0.3, 0.3}) l.probability.push_back(p);
        l.offsets.push_back(static_cast<std::int64_t>(l.probability.size()));
        l.right.push_back(2);
    }
    const auto sets = fitted(l, {.randomised = false});
    std::vector<std::uint32_t> members;
    REQUIRE(sets.members(doubles{0.1, 0.3, 0.3, 0.3}, 0, 0, members));
    CHECK(members == std::vector<std::uint32_t>{1, 2});
    REQUIRE(sets.members(doubles{0.9, 0.05, 0.05}, 0, 0, members));  // nothing is within the line, and one is given all the same
    CHECK(members == std::vector<std::uint32_t>{0});
}

TEST_CASE("what cannot be fitted is named") {
    const auto l = make_lists(50, 3, 2);
    const auto code = [](const lists& given, const conformal_options& options, bool with_groups = false) {
        const auto made = conformal_sets::fit(given.probability, given.offsets, given.right,
                                              with_groups ? std::span(given.group) : std::span<const std::uint32_t>{}, options);
        return made ? std::string{} : std::string(made.error().code);
    };
    CHECK(code(l, {}).empty());
    CHECK(code(l, {.confidence = 0.99}) == "calibration.too_few");
    CHECK(code(l, {.confidence = 1.5}) == "calibration.bad_confidence");
    CHECK(code(l, {.penalty = -1}) == "calibration.bad_option");
    CHECK(code(l, {.groups = {"a", "a"}}, true) == "calibration.bad_group");
    CHECK(code(l, {.groups = {"a"}}, true) == "calibration.bad_group");
    CHECK(code(l, {.groups = {"a", "b", "none of these"}}, true) == "calibration.too_few");
    CHECK(code(l, {.groups = {"a"}}) == "calibration.length_mismatch");
    CHECK(code({}, {}) == "calibration.empty");
    lists bad = l;
    bad.right[7] = 99;
    CHECK(code(bad, {}) == "calibration.bad_right");
    bad = l;
    bad.offsets[3] = 0;
    CHECK(code(bad, {}) == "calibration.offsets");
    bad = l;
    bad.probability[4] = std::numeric_limits<double>::quiet_NaN();
    CHECK(code(bad, {}) == "calibration.bad_probability");
    bad = l;
    for (double& p : bad.probability) p = 0.9;
    CHECK(code(bad, {}) == "calibration.bad_probability");
    CHECK(code(bad, {.method = conformal_method::lac}).empty());
    bad = l;
    for (std::size_t i = 0; i < 10; ++i) bad.right[i] = -1;  // a fifth was not offered: 90 % cannot be reached
    CHECK(code(bad, {}) == "calibration.not_offered");
    CHECK(code(bad, {.confidence = 0.7}).empty());
}

TEST_CASE("sets that were written are the same sets") {
    const auto l = make_lists(300, 3, 2);
    const auto sets = fitted(l, {.method = conformal_method::raps, .seed = 77, .groups = {"a", "b"}});
    const std::string text = sets.to_json();
    const auto read = conformal_sets::parse(text);
    REQUIRE(read);
    CHECK(read->to_json() == text);
    std::vector<std::uint32_t> first, second;
    for (std::size_t i = 0; i < 300; ++i) {
        REQUIRE(sets.members(list_of(l, i), l.group[i], i, first));
        REQUIRE(read->members(list_of(l, i), l.group[i], i, second));
        REQUIRE(first == second);
    }
    for (std::size_t cut = 0; cut < text.size(); ++cut) CHECK_FALSE(conformal_sets::parse(text.substr(0, cut)));
    const auto tree = nlohmann::json::parse(text);
    for (const auto& [key, value] : std::vector<std::pair<std::string, nlohmann::json>>{{"version", 2},
                                                                                        {"method", "best"},
                                                                                        {"confidence", 0.0},
                                                                                        {"confidence", 0.9999},
                                                                                        {"seed", -1},
                                                                                        {"penalty", -0.5},
                                                                                        {"groups", {"a"}},
                                                                                        {"groups", {1, 2}},
                                                                                        {"lines", nlohmann::json::array()}}) {
        auto changed = tree;
        changed[key] = value;
        CHECK_FALSE(conformal_sets::parse(changed.dump()));
    }
    CHECK_FALSE(sets.members(doubles{0.5}, 2, 0, first));
}
