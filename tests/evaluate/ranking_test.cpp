#include "opspilot/evaluate/ranking.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "allocation_count.hpp"
#include "catch.hpp"

using namespace opspilot;

namespace {

using doubles = std::vector<double>;
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

nlohmann::json oracle() {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/evaluate/data/ranking.json");
    REQUIRE(file.good());
    return nlohmann::json::parse(file);
}

/// The metrics of one task.
ranking_values of_task(const doubles& score, const doubles& relevance, const std::vector<std::size_t>& cutoffs,
                       ranking_options options = {}) {
    options.cutoffs = cutoffs;
    auto judge = ranking_judge::make(options);
    REQUIRE(judge);
    REQUIRE(judge->add(score, relevance));
    REQUIRE(judge->last() != nullptr);
    return *judge->last();
}

void check_close(double a, double b) { CHECK(std::fabs(a - b) <= 1e-12); }

/// Every number of a task, for comparisons of whole tasks.
doubles numbers(const ranking_values& v) {
    doubles out{v.mrr, v.map, v.scored};
    for (const ranking_at& at : v.at) out.insert(out.end(), {at.hit, at.recall, at.ndcg});
    return out;
}

}  // namespace

TEST_CASE("scikit-learn and scipy agree, with ties and without") {
    const auto document = oracle();
    const auto cutoffs = document["cutoffs"].get<std::vector<std::size_t>>();
    REQUIRE(document["tasks"].size() > 80);
    std::size_t untied = 0;
    for (const auto& task : document["tasks"]) {
        INFO(task["name"].get<std::string>());
        const auto score = task["score"].get<doubles>();
        const auto relevance = task["relevance"].get<doubles>();
        const ranking_values exponential = of_task(score, relevance, cutoffs);
        const ranking_values linear = of_task(score, relevance, cutoffs, {.gain = ranking_gain::linear});
        for (std::size_t c = 0; c < cutoffs.size(); ++c) {
            INFO("k = " << cutoffs[c]);
            check_close(exponential.at[c].hit, task["hit"][c]);
            check_close(exponential.at[c].recall, task["recall"][c]);
            check_close(exponential.at[c].ndcg, task["ndcg_exponential"][c]);
            check_close(linear.at[c].ndcg, task["ndcg_linear"][c]);
        }
        if (!task.contains("map")) continue;
        ++untied;
        check_close(exponential.map, task["map"]);
        check_close(exponential.mrr, task["mrr"]);
        // Without ties there is but one order.
        CHECK(numbers(of_task(score, relevance, cutoffs, {.ties = ranking_ties::position})) == numbers(exponential));
    }
    CHECK(untied > 40);
}

TEST_CASE("published examples") {
    // Discounted cumulative gain in Wikipedia: grades 3 2 3 0 1 2 as ranked, DCG 6.861; two further documents of 3 and 2 are not
    // retrieved, ideal DCG at 6 8.740, nDCG 0.785; without them 7.141 and 0.961.
    const doubles ranked{6, 5, 4, 3, 2, 1};
    const doubles grades{3, 2, 3, 0, 1, 2};
    const auto at_6 = of_task(ranked, grades, {6}, {.gain = ranking_gain::linear});
    CHECK(std::fabs(at_6.at[0].ndcg - 0.961) < 5e-4);
    const doubles all_ranked{6, 5, 4, 3, 2, 1, no_number, no_number};
    const doubles all_grades{3, 2, 3, 0, 1, 2, 3, 2};
    const ranking_options absent{.gain = ranking_gain::linear, .unscored = ranking_unscored::absent};
    CHECK(std::fabs(of_task(all_ranked, all_grades, {6}, absent).at[0].ndcg - 0.785) < 5e-4);
    // Mean reciprocal rank in Wikipedia: catten, cati, CATS; torii, TORI, toruses; VIRUSES, virii, viri: 11 / 18.
    const doubles score{3, 2, 1, 3, 2, 1, 3, 2, 1};
    const doubles right{0, 0, 1, 0, 1, 0, 1, 0, 0};
    const auto queries = ranking_metrics(score, right, std::vector<std::int64_t>{0, 3, 6, 9}, {});
    REQUIRE(queries);
    check_close(queries->mrr, 11.0 / 18.0);
    // scikit-learn's user guide: 0.416…, and ndcg_score's own example with ties, 0.75 averaged and 0.5 in one order.
    const auto guide =
        ranking_metrics(doubles{0.75, 0.5, 1, 1, 0.2, 0.1}, doubles{1, 0, 0, 0, 0, 1}, std::vector<std::int64_t>{0, 3, 6}, {});
    REQUIRE(guide);
    check_close(guide->map, 0.41666666666666666);
    const doubles tied{1, 0, 0, 0, 1};
    const doubles relevance{10, 0, 0, 1, 5};
    check_close(of_task(tied, relevance, {1}, {.gain = ranking_gain::linear}).at[0].ndcg, 0.75);
    const doubles reversed{5, 1, 0, 0, 10};
    check_close(of_task(tied, reversed, {1}, {.gain = ranking_gain::linear, .ties = ranking_ties::position}).at[0].ndcg, 0.5);
}

TEST_CASE("ties are the mean over all orders of the rows") {
    std::mt19937 draw(3);
    const std::vector<std::size_t> cutoffs{1, 2, 3, 5, 6, 9};
    for (int round = 0; round < 20; ++round) {
        doubles score(6);
        doubles relevance(6);
        for (double& s : score) s = static_cast<double>(draw() % 3);
        for (double& r : relevance) r = static_cast<double>(draw() % 4) * 0.75;
        relevance[draw() % 6] = 2;
        if (round % 4 == 0) score[0] = score[1] = no_number;
        const doubles expected = numbers(of_task(score, relevance, cutoffs));
        doubles mean(expected.size());
        std::vector<std::size_t> order(6);
        std::iota(order.begin(), order.end(), std::size_t{0});
        double count = 0;
        do {
            doubles s;
            doubles r;
            for (const std::size_t i : order) {
                s.push_back(score[i]);
                r.push_back(relevance[i]);
            }
            const doubles one = numbers(of_task(s, r, cutoffs, {.ties = ranking_ties::position}));
            for (std::size_t i = 0; i < one.size(); ++i) mean[i] += one[i];
            ++count;
            CHECK(numbers(of_task(s, r, cutoffs)) == expected);  // to the last bit
        } while (std::next_permutation(order.begin(), order.end()));
        REQUIRE(count == 720);
        for (std::size_t i = 0; i < mean.size(); ++i) check_close(mean[i] / count, expected[i]);
    }
}

TEST_CASE("candidates without a score come last, or not at all") {
    const doubles score{no_number, 1, no_number, 2, -inf};
    const doubles relevance{1, 0, 0, 0, 0};
    const std::vector<std::size_t> cutoffs{1, 2, 3, 4, 5};
    // Ranks 3 to 5 are shared with -infinity, as in the engine.
    const auto last = of_task(score, relevance, cutoffs);
    check_close(last.mrr, (1.0 / 3 + 1.0 / 4 + 1.0 / 5) / 3);
    check_close(last.at[1].hit, 0);
    check_close(last.at[2].hit, 1.0 / 3);
    check_close(last.at[4].hit, 1);
    check_close(last.scored, 0);
    // By position the first row of the three.
    check_close(of_task(score, relevance, cutoffs, {.ties = ranking_ties::position}).mrr, 1.0 / 3);
    const auto absent = of_task(score, relevance, cutoffs, {.unscored = ranking_unscored::absent});
    CHECK(numbers(absent) == doubles(3 + 3 * cutoffs.size(), 0.0));
    // What is absent still counts among the relevant ones.
    const auto half = of_task({no_number, 1, 0}, {1, 0, 1}, {2}, {.unscored = ranking_unscored::absent});
    check_close(half.at[0].recall, 0.5);
    check_close(half.map, 0.5 * 0.5);
    check_close(half.scored, 0.5);
}

TEST_CASE("tasks without a relevant candidate are left out, and a perfect ranking is 1") {
    const std::vector<std::size_t> cutoffs{1, 3};
    const doubles score{3, 2, 1, 5, 4, 0.3, 0.2, 0.1};
    const doubles relevance{0.1, 0, 0, 0, 0, 2.7, 0.3, 0.3};
    std::vector<bool> counted;
    const auto made = ranking_metrics(score, relevance, std::vector<std::int64_t>{0, 3, 3, 5, 8}, {.cutoffs = cutoffs},
                                      [&](std::size_t t, const ranking_values* v) {
                                          CHECK(t == counted.size());
                                          counted.push_back(v != nullptr);
                                      });
    REQUIRE(made);
    CHECK(counted == std::vector<bool>{true, false, false, true});
    CHECK(made->tasks == 2);
    CHECK(made->left_out == 2);
    CHECK(made->mrr == 1.0);
    CHECK(made->map == 1.0);
    CHECK(made->at[0].hit == 1.0);
    check_close(made->at[0].recall, (1.0 + 1.0 / 3) / 2);
    CHECK(made->at[0].ndcg == 1.0);
    CHECK(made->at[1].ndcg == 1.0);
    const auto none = ranking_metrics({}, {}, std::vector<std::int64_t>{0}, {.cutoffs = cutoffs});
    REQUIRE(none);
    CHECK(none->tasks == 0);
    CHECK(std::isnan(none->mrr));
    CHECK(std::isnan(none->at[1].hit));
}

TEST_CASE("large and tiny relevances stay numbers between 0 and 1") {
    for (const auto gain : {ranking_gain::exponential, ranking_gain::linear})
        for (const double relevance : {512.0, 1e-300, 5e-324, 1e-9, 0.5}) {
            const auto made = of_task({1, 1, 0, 2}, {relevance, relevance, relevance, 0}, {1, 4}, {.gain = gain});
            INFO(relevance);
            CHECK(made.at[0].ndcg == 0.0);
            CHECK(made.at[1].ndcg >= 0.5);
            CHECK(made.at[1].ndcg < 1.0);
        }
}

TEST_CASE("what cannot be judged is refused with its place") {
    const std::vector<std::size_t> cutoffs{1, 3};
    const auto problem = [&](const doubles& score, const doubles& relevance, const std::vector<std::int64_t>& offsets,
                             ranking_options options = {}) {
        if (options.cutoffs.empty()) options.cutoffs = cutoffs;
        const auto made = ranking_metrics(score, relevance, offsets, options);
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == error_kind::usage);
        CHECK_FALSE(made.error().hint.empty());
        return std::string(made.error().code) + " " + made.error().where;
    };
    CHECK(problem({1, 2}, {1}, {0, 2}) == "usage.length relevance");
    CHECK(problem({1, 2, 3}, {1, 0, no_number}, {0, 2, 3}) == "usage.relevance row 2");
    CHECK(problem({1, 2, 3}, {1, -0.5, 0}, {0, 2, 3}) == "usage.relevance row 1");
    CHECK(problem({1, 2, 3}, {1, 0, inf}, {0, 1, 3}) == "usage.relevance row 2");
    CHECK(problem({1, 2}, {1, 513}, {0, 2}) == "usage.relevance row 1");
    CHECK(problem({1, 2}, {1, 1e300}, {0, 2}, {.gain = ranking_gain::linear}) == "usage.relevance row 1");
    CHECK(problem({1, 2}, {1, 0}, {}) == "usage.offsets offset 0");
    CHECK(problem({1, 2}, {1, 0}, {1, 2}) == "usage.offsets offset 0");
    CHECK(problem({1, 2}, {1, 0}, {0, 2, 1, 2}) == "usage.offsets offset 2");
    CHECK(problem({1, 2}, {1, 0}, {0, 3}) == "usage.offsets offset 1");
    CHECK(problem({1, 2}, {1, 0}, {0, 1}) == "usage.offsets offset 1");
    const std::vector<std::size_t> zero{0, 1};
    const std::vector<std::size_t> falls{3, 3};
    CHECK(problem({1}, {1}, {0, 1}, {.cutoffs = zero}) == "usage.cutoffs cutoff 0");
    CHECK(problem({1}, {1}, {0, 1}, {.cutoffs = falls}) == "usage.cutoffs cutoff 1");
    // A refused task leaves the sums as they were.
    auto judge = ranking_judge::make({.cutoffs = cutoffs});
    REQUIRE(judge);
    REQUIRE(judge->add(doubles{1, 2}, doubles{1, 0}));
    const doubles before = numbers(judge->summary());
    CHECK_FALSE(judge->add(doubles{1, 2, 3}, doubles{1, 1, no_number}));
    CHECK(numbers(judge->summary()) == before);
    CHECK(judge->summary().tasks == 1);
}

TEST_CASE("nothing is allocated once the largest task has been seen") {
    const std::vector<std::size_t> cutoffs{1, 3, 10};
    auto judge = ranking_judge::make({.cutoffs = cutoffs});
    REQUIRE(judge);
    doubles score(500);
    doubles relevance(500);
    for (std::size_t i = 0; i < score.size(); ++i) {
        score[i] = static_cast<double>(i * 7919 % 101);
        relevance[i] = static_cast<double>(i % 3);
    }
    REQUIRE(judge->add(score, relevance));
    const std::size_t before = allocations_so_far();
    for (std::size_t n = 500; n > 2; n -= 3) REQUIRE(judge->add(std::span(score).first(n), std::span(relevance).first(n)));
    if (counts_allocations) CHECK(allocations_so_far() == before);
}
