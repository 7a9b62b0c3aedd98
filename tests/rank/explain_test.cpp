#include "opspilot/rank/explain.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "allocation_count.hpp"
#include "opspilot/rank/detail/tree_walk.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

// A tree of random shape over the builder's features, grown by splitting random leaves; nodes with their covers.
void add_random_tree(tree_builder& b, std::mt19937_64& random, std::size_t leaves, std::size_t features, std::size_t outputs,
                     bool vector) {
    struct node {
        std::uint32_t left = 0, right = 0;
        double cover = 0;
    };
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    std::vector<node> nodes{{0, 0, 1000}};
    std::vector<std::uint32_t> open{0};
    while (open.size() < leaves) {
        const std::size_t pick = below(open.size());
        const std::uint32_t at = open[pick];
        // Now and then all rows go to one side, and below it nothing is known of either.
        const double share = below(8) == 0 ? static_cast<double>(below(2)) : static_cast<double>(1 + below(99)) / 100;
        const double cover = nodes[at].cover;
        nodes[at].left = static_cast<std::uint32_t>(nodes.size());
        nodes[at].right = nodes[at].left + 1;
        nodes.push_back({0, 0, cover * share});
        nodes.push_back({0, 0, cover * (1 - share)});
        open[pick] = nodes[at].left;
        open.push_back(nodes[at].right);
    }
    const std::size_t width = vector ? outputs : 1;
    REQUIRE((vector ? b.begin_vector_tree(nodes.size()) : b.begin_tree(nodes.size(), below(outputs))));
    for (std::uint32_t i = 0; i < nodes.size(); ++i) {
        REQUIRE(b.cover(i, nodes[i].cover));
        const auto feature = static_cast<std::uint32_t>(below(features));
        if (nodes[i].left == 0) {
            std::vector<double> values(width);
            for (double& value : values) value = std::normal_distribution<>()(random);
            REQUIRE(b.leaf(i, values));
        } else if (below(4) == 0) {
            const std::array<std::uint32_t, 1> set{static_cast<std::uint32_t>(random())};
            REQUIRE(b.split_categories(i, feature, set, below(2) == 0, nodes[i].left, nodes[i].right));
        } else {
            REQUIRE(b.split(i, feature, static_cast<double>(below(9)) / 2 - 2, static_cast<missing_rule>(below(3)), below(2) == 0,
                            nodes[i].left, nodes[i].right));
        }
    }
    REQUIRE(b.end_tree());
}

tree_ensemble random_ensemble(std::uint64_t seed, std::size_t features, std::size_t outputs = 1) {
    std::mt19937_64 random(seed);
    tree_builder b;
    std::vector<std::string> names;
    for (std::size_t f = 0; f < features; ++f) names.push_back(std::to_string(f));
    REQUIRE(b.begin(std::move(names), outputs));
    b.arithmetic({.zero_threshold = seed % 2 == 0 ? 1e-35 : -1.0, .float_values = seed % 3 == 0});
    const std::vector<double> start(outputs, 0.5), bias(outputs, -0.25);
    REQUIRE(b.start(start));
    if (seed % 4 == 0) REQUIRE(b.scale_and_bias(1.5, bias));
    const bool vector = outputs > 1 && seed % 2 == 0;
    for (int t = 0; t < 4; ++t) add_random_tree(b, random, 1 + random() % 12, features, outputs, vector);
    auto built = b.finish();
    REQUIRE(built);
    return std::move(*built);
}

std::vector<double> random_row(std::mt19937_64& random, std::size_t features) {
    constexpr std::array special{std::numeric_limits<double>::quiet_NaN(), 0.0, -0.5, 1e-36, 31.0, 1e300};
    std::vector<double> row(features);
    for (double& value : row)
        value = random() % 4 == 0 ? special[random() % special.size()] : std::normal_distribution<>(0, 2)(random);
    return row;
}

// What the definition says a tree expects of a row of which the features in `known` are known, per value of a leaf.
double expectation(const tree_ensemble& e, const tree_view& tree, std::int32_t at, std::span<const double> row, unsigned known,
                   std::size_t k) {
    if (at < 0) return tree.leaves[static_cast<std::size_t>(~at) * tree.width + k];
    const tree_split& s = tree.splits[static_cast<std::size_t>(at)];
    const auto side = [&](std::int32_t child) { return expectation(e, tree, child, row, known, k); };
    if (((known >> s.feature) & 1U) != 0) return side(detail::goes_left(e, s, row[s.feature]) ? s.left : s.right);
    const auto cover = [&](std::int32_t child) {
        return child < 0 ? tree.leaf_covers[static_cast<std::size_t>(~child)]
                         : tree.split_covers[static_cast<std::size_t>(child)];
    };
    const double both = cover(s.left) + cover(s.right);
    const double share = both > 0 ? cover(s.left) / both : 0.5;
    return share * side(s.left) + (1 - share) * side(s.right);
}

double expectation(const tree_ensemble& e, std::span<const double> row, unsigned known, std::size_t output) {
    double sum = e.start()[output];
    for (std::size_t t = 0; t < e.trees(); ++t) {
        const tree_view tree = e.tree(t);
        if (output < tree.output || output >= tree.output + tree.width) continue;
        sum += expectation(e, tree, tree.splits.empty() ? ~0 : 0, row, known, output - tree.output);
    }
    return sum / e.divisor() * e.scale() + e.bias()[output];
}

// Shapley's formula over all subsets, then the base.
std::vector<double> shapley(const tree_ensemble& e, std::span<const double> row, std::size_t output) {
    const std::size_t n = e.features();
    std::vector<double> value(std::size_t{1} << n), out(n + 1);
    for (unsigned known = 0; known < value.size(); ++known) value[known] = expectation(e, row, known, output);
    for (std::size_t f = 0; f < n; ++f)
        for (unsigned known = 0; known < value.size(); ++known) {
            if (((known >> f) & 1U) != 0) continue;
            const int size = std::popcount(known);
            const double weight = std::tgamma(size + 1) * std::tgamma(static_cast<int>(n) - size) / std::tgamma(n + 1);
            out[f] += weight * (value[known | (1U << f)] - value[known]);
        }
    out[n] = value[0];
    return out;
}

std::string code(const status& s) { return s ? "" : std::string(s.error().code); }

}  // namespace

TEST_CASE("contributions are Shapley's values, by all subsets of features") {
    for (std::uint64_t seed = 0; seed < 120; ++seed) {
        INFO(seed);
        const std::size_t features = 1 + seed % 7;
        const std::size_t outputs = 1 + seed % 3;
        const tree_ensemble model = random_ensemble(seed, features, outputs);
        const auto explainer = tree_explainer::compile(model);
        REQUIRE(explainer);
        std::mt19937_64 random(seed + 1000);
        explain_workspace scratch;
        for (int r = 0; r < 4; ++r) {
            const std::vector<double> row = random_row(random, features);
            std::vector<double> got(outputs * (features + 1), -1);
            REQUIRE(explainer->contributions({row.data(), 1, features}, got, scratch));
            for (std::size_t k = 0; k < outputs; ++k) {
                const std::vector<double> want = shapley(model, row, k);
                for (std::size_t f = 0; f <= features; ++f) {
                    INFO("output " << k << " feature " << f);
                    CHECK(std::fabs(got[k * (features + 1) + f] - want[f]) < 1e-12);
                }
                CHECK(explainer->base()[k] == got[k * (features + 1) + features]);
            }
        }
    }
}

TEST_CASE("contributions are LightGBM's") {
    for (const char* name : rank_fixture_names) {
        INFO(name);
        const auto model = read_lightgbm(read_rank_fixture(std::string(name) + ".txt"));
        REQUIRE(model);
        const auto explainer = tree_explainer::compile(*model);
        REQUIRE(explainer);
        const rank_rows rows = read_rank_rows(name);
        const rank_contributions want = read_rank_contributions(name);
        REQUIRE(want.line == rows.outputs * (rows.features + 1));
        explain_workspace scratch;
        std::vector<double> got(want.n * want.line, -1);
        REQUIRE(explainer->contributions({rows.values.data(), want.n, rows.features}, got, scratch));
        for (std::size_t i = 0; i < got.size(); ++i) {
            INFO("row " << i / want.line << " place " << i % want.line);
            const double score = rows.scores[i / want.line * rows.outputs + i % want.line / (rows.features + 1)];
            CHECK(std::fabs(got[i] - want.values[i]) <= 1e-9 * std::max(1.0, std::fabs(score)));
        }
    }
}

TEST_CASE("contributions add up to the score, on every engine the same bits, alone or among others") {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        INFO(seed);
        const std::size_t features = 3 + seed % 40;
        const std::size_t outputs = 1 + seed % 3;
        const tree_ensemble model = random_ensemble(seed, features, outputs);
        std::mt19937_64 random(seed);
        const std::size_t n = 37;
        std::vector<double> rows;
        for (std::size_t i = 0; i < n; ++i) {
            const std::vector<double> row = random_row(random, features);
            rows.insert(rows.end(), row.begin(), row.end());
        }
        std::vector<double> scores(n * outputs);
        REQUIRE(model.score_rows(std::span<const double>(rows), n, scores));
        const std::size_t line = outputs * (features + 1);
        std::vector<double> first;
        for (const std::string_view engine : explain_engines()) {
            const auto explainer = tree_explainer::compile(model, engine);
            REQUIRE(explainer);
            CHECK(explainer->engine() == engine);
            explain_workspace scratch;
            std::vector<double> got(n * line, -1);
            REQUIRE(explainer->contributions({rows.data(), n, features}, got, scratch));
            for (std::size_t i = 0; i < n * outputs; ++i) {
                double sum = 0;
                for (std::size_t f = 0; f <= features; ++f) sum += got[i * (features + 1) + f];
                CHECK(std::fabs(sum - scores[i]) <= 1e-9 * std::max(1.0, std::fabs(scores[i])));
            }
            if (first.empty()) first = got;
            CHECK(same_bits(got, first));
            std::vector<double> alone(line, -1);
            for (const std::size_t i : {std::size_t{0}, n - 1}) {
                REQUIRE(explainer->contributions({rows.data() + i * features, 1, features}, alone, scratch));
                CHECK(std::equal(alone.begin(), alone.end(), got.begin() + static_cast<std::ptrdiff_t>(i * line)));
            }
        }
    }
}

TEST_CASE("warm explanations allocate nothing") {
    const tree_ensemble model = random_ensemble(4, 6);
    const auto explainer = tree_explainer::compile(model);
    REQUIRE(explainer);
    std::mt19937_64 random(4);
    const std::vector<double> row = random_row(random, 6);
    std::vector<double> out(7);
    explain_workspace scratch;
    REQUIRE(explainer->contributions({row.data(), 1, 6}, out, scratch));
    const std::size_t before = allocations_so_far();
    const status done = explainer->contributions({row.data(), 1, 6}, out, scratch);
    CHECK(allocations_so_far() == before);
    CHECK(done);
}

TEST_CASE("what cannot be explained is refused by name") {
    tree_builder b;
    REQUIRE(b.begin({"a", "b"}, 1));
    REQUIRE(b.begin_tree(3, 0));
    REQUIRE(b.split(0, 0, 0.5, missing_rule::none, false, 1, 2));
    REQUIRE(b.leaf(1, 1));
    REQUIRE(b.leaf(2, 2));
    REQUIRE(b.end_tree());
    const auto bare = b.finish();
    REQUIRE(bare);
    const auto refused = tree_explainer::compile(*bare);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "model.no_covers");
    CHECK(refused.error().kind == error_kind::model);
    CHECK(split_covers(*bare).error().code == "model.no_covers");
    CHECK(split_counts(*bare) == std::vector<double>{1, 0});

    const tree_ensemble model = random_ensemble(1, 2);
    CHECK(tree_explainer::compile(model, "abacus").error().code == "usage.unknown_engine");
    const auto explainer = tree_explainer::compile(model);
    REQUIRE(explainer);
    explain_workspace scratch;
    const std::array<double, 4> rows{};
    std::array<double, 6> out{};
    CHECK(code(explainer->contributions({rows.data(), 1, 4}, out, scratch)) == "usage.length");
    CHECK(code(explainer->contributions({rows.data(), 1, 2}, out, scratch)) == "usage.length");
    CHECK(code(explainer->mean_magnitudes({rows.data(), 2, 2}, out, scratch)) == "usage.length");
    CHECK(code(explainer->mean_magnitudes({rows.data(), 0, 2}, std::span(out).first(2), scratch)) == "usage.no_rows");
    tree_path path;
    CHECK(code(find_path(model, rows, path)) == "usage.length");
}

TEST_CASE("models of single leaves are their base") {
    tree_builder b;
    REQUIRE(b.begin({"a"}, 1));
    for (const double value : {1.0, 2.5}) {
        REQUIRE(b.begin_tree(1, 0));
        REQUIRE(b.leaf(0, value));
        REQUIRE(b.end_tree());
    }
    const auto model = b.finish();
    REQUIRE(model);
    const auto explainer = tree_explainer::compile(*model);
    REQUIRE(explainer);
    explain_workspace scratch;
    const std::array<float, 1> row{7};
    std::array<double, 2> out{-1, -1};
    REQUIRE(explainer->contributions({row.data(), 1, 1}, out, scratch));
    CHECK(out == std::array<double, 2>{0, 3.5});
}

TEST_CASE("tables of explanations have a limit") {
    // Paths about 2,048 features that ask about each of them a second time, with shares of their own in every tree.
    constexpr std::uint32_t distinct = 2'040;
    tree_builder b;
    std::vector<std::string> names;
    for (std::uint32_t f = 0; f < distinct; ++f) names.push_back(std::to_string(f));
    REQUIRE(b.begin(std::move(names), 1));
    for (std::uint32_t t = 0; t < 10; ++t) {
        REQUIRE(b.begin_tree(4 * distinct + 1, 0));
        for (std::uint32_t i = 0; i < 2 * distinct; ++i) {
            REQUIRE(b.split(2 * i, i % distinct, 0, missing_rule::none, false, 2 * i + 1, 2 * i + 2));
            REQUIRE(b.cover(2 * i, 4 * distinct - 2 * i + t));
            REQUIRE(b.leaf(2 * i + 1, 1));
            REQUIRE(b.cover(2 * i + 1, 1 + t));
        }
        REQUIRE(b.leaf(4 * distinct, 0));
        REQUIRE(b.cover(4 * distinct, t));
        REQUIRE(b.end_tree());
    }
    const auto model = b.finish();
    REQUIRE(model);
    const auto refused = tree_explainer::compile(*model);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "model.limit_explanation");
    CHECK(refused.error().kind == error_kind::limit);
}

TEST_CASE("a path ends in the leaves that the score adds up") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        INFO(seed);
        const std::size_t outputs = 1 + seed % 3;
        const tree_ensemble model = random_ensemble(seed, 5, outputs);
        std::mt19937_64 random(seed);
        const std::vector<double> row = random_row(random, 5);
        tree_path path;
        REQUIRE(find_path(model, row, path));
        REQUIRE(path.leaves.size() == model.trees());
        std::vector<double> sums(model.start().begin(), model.start().end()), scores(outputs);
        for (const path_leaf& leaf : path.leaves)
            for (std::size_t k = 0; k < leaf.values.size(); ++k) sums[leaf.output + k] += leaf.values[k];
        detail::finish_tree_sums(model, sums);
        REQUIRE(model.score_rows(std::span<const double>(row), 1, scores));
        CHECK(same_bits(sums, scores));
        for (const path_split& s : path.splits) {
            CHECK(std::memcmp(&s.value, &row[s.feature], sizeof s.value) == 0);
            if (!s.categorical && !std::isnan(s.value) && !s.by_default && s.value != 1e-36)
                CHECK(s.left == (s.value <= s.threshold || static_cast<double>(static_cast<float>(s.value)) <= s.threshold));
        }
    }
}

TEST_CASE("importance counts splits, covers and mean magnitudes") {
    const auto model = read_lightgbm(read_rank_fixture("forest.txt"));
    REQUIRE(model);
    const std::vector<double> counts = split_counts(*model);
    // The file's own feature_importances, which LightGBM wrote.
    CHECK(counts == read_rank_importances("forest", model->feature_names()));
    const auto covers = split_covers(*model);
    REQUIRE(covers);
    for (std::size_t f = 0; f < counts.size(); ++f) CHECK((counts[f] > 0) == ((*covers)[f] > 0));
    const auto explainer = tree_explainer::compile(*model);
    REQUIRE(explainer);
    const rank_rows rows = read_rank_rows("forest");
    explain_workspace scratch;
    std::vector<double> mean(rows.features), lines(rows.n * (rows.features + 1));
    REQUIRE(explainer->mean_magnitudes({rows.values.data(), rows.n, rows.features}, mean, scratch));
    REQUIRE(explainer->contributions({rows.values.data(), rows.n, rows.features}, lines, scratch));
    for (std::size_t f = 0; f < rows.features; ++f) {
        double sum = 0;
        for (std::size_t i = 0; i < rows.n; ++i) sum += std::fabs(lines[i * (rows.features + 1) + f]);
        CHECK(std::fabs(mean[f] - sum / static_cast<double>(rows.n)) < 1e-12);
    }
}
