#include "opspilot/rank/tree_scorer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "allocation_count.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// What a random ensemble is made of.
struct shape {
    std::size_t features = 12, outputs = 1, trees = 30, leaves = 20;
    tree_arithmetic arithmetic = {};
    std::size_t thresholds = 40;  // distinct ones per feature, at most
    bool missing = false, zero = false, categories = false, vectors = false, average = false, finish = false, oblivious = false;
    bool chains = false;
    std::uint32_t set_words = 4;  // a category set has fewer than so many words of 32
};

class world {
public:
    explicit world(const shape& s, std::uint32_t seed) : s_(s), random_(seed) {
        for (std::size_t f = 0; f < s.features; ++f) {
            std::vector<double> list(s.thresholds);
            // Also thresholds that no float has, tiny ones, and both infinities.
            for (double& t : list) t = s.arithmetic.float_values ? static_cast<double>(static_cast<float>(number())) : number();
            if (s.thresholds > 20) {
                list[0] = inf;
                list[1] = 1e-36;
                list[2] = -1e-36;
                list[3] = 0;
                list[4] = std::numeric_limits<float>::max();
            }
            thresholds_.push_back(list);
        }
    }

    tree_ensemble make() {
        tree_builder b;
        std::vector<std::string> names;
        for (std::size_t f = 0; f < s_.features; ++f) names.push_back(std::string(1, 'f').append(std::to_string(f)));
        REQUIRE(b.begin(names, s_.outputs));
        b.arithmetic(s_.arithmetic);
        std::vector<double> per_output(s_.outputs);
        for (double& v : per_output) v = leaf_value();
        REQUIRE(b.start(per_output));
        if (s_.average) b.average();
        if (s_.finish) REQUIRE(b.scale_and_bias(0.37, per_output));
        for (std::size_t t = 0; t < s_.trees * s_.outputs; ++t) tree(b, t % s_.outputs, t);
        auto made = b.finish();
        REQUIRE(made);
        return std::move(*made);
    }

    double value(std::size_t feature) {
        switch (random_() % 16) {
            case 0: return s_.missing ? nan : 0.0;
            case 1: return 0;
            case 2: return -0.0;
            case 3: return inf;
            case 4: return -inf;
            case 5: return s_.categories ? static_cast<double>(random_() % (20 * s_.set_words)) - 3.5 : 1e-36;
            case 6: return static_cast<double>(random_() % (18 * s_.set_words));
            case 7: return static_cast<double>(random_() % (40 * s_.set_words));
            case 8:
            case 9: {  // on a threshold, or one step beside it
                const double t = thresholds_[feature][random_() % s_.thresholds];
                return random_() % 2 ? t : std::nextafter(t, random_() % 2 ? inf : -inf);
            }
            default: return number();
        }
    }
    std::mt19937& random() { return random_; }

private:
    double number() { return static_cast<double>(static_cast<std::int32_t>(random_() % 20001) - 10000) / 1237.0; }
    double leaf_value() {
        const double v = static_cast<double>(static_cast<std::int32_t>(random_() % 200001) - 100000) / 99991.0;
        return s_.arithmetic.float_sums ? static_cast<double>(static_cast<float>(v)) : v;
    }
    status leaf(tree_builder& b, std::uint32_t node, bool vector) {
        if (!vector) return b.leaf(node, leaf_value());
        std::vector<double> values(s_.outputs);
        for (double& v : values) v = leaf_value();
        return b.leaf(node, values);
    }
    status split(tree_builder& b, std::uint32_t node, std::uint32_t feature, double threshold, std::uint32_t rule,
                 std::uint32_t left, std::uint32_t right) {
        if (s_.categories && feature % 3 == 0) {
            std::vector<std::uint32_t> words(random_() % s_.set_words);
            const bool sparse = random_() % 2 == 0;  // as trainers make them: most words are empty
            for (std::uint32_t& w : words) w = sparse && random_() % 8 != 0 ? 0 : static_cast<std::uint32_t>(random_());
            return b.split_categories(node, feature, words, rule % 2 == 0, left, right);
        }
        missing_rule missing = missing_rule::none;
        if (s_.missing && rule % 3 != 0) missing = missing_rule::nan;
        if (s_.zero && rule % 3 == 2) missing = missing_rule::zero;
        return b.split(node, feature, threshold, missing, rule % 2 == 0, left, right);
    }
    void tree(tree_builder& b, std::size_t output, std::size_t t) {
        std::size_t leaves = t % 7 == 3 ? 1 + random_() % 3 : 1 + random_() % s_.leaves;
        std::size_t depth = 0;
        if (s_.oblivious) {
            depth = 3 + t % 4;
            leaves = std::size_t{1} << depth;
        }
        const std::size_t splits = leaves - 1;
        const auto nodes = static_cast<std::uint32_t>(splits + leaves);
        REQUIRE((s_.vectors ? b.begin_vector_tree(nodes) : b.begin_tree(nodes, output)));
        const auto feature = [&] { return static_cast<std::uint32_t>(random_() % s_.features); };
        if (s_.oblivious) {
            std::vector<std::uint32_t> features(depth), rules(depth);
            std::vector<double> cuts(depth);
            for (std::size_t d = 0; d < depth; ++d) {
                features[d] = feature();
                rules[d] = static_cast<std::uint32_t>(random_());
                cuts[d] = thresholds_[features[d]][random_() % s_.thresholds];
            }
            for (std::uint32_t i = 0; i < splits; ++i) {  // a heap: node i has the children 2i + 1 and 2i + 2
                std::size_t level = 0;
                while ((std::size_t{2} << level) - 1 <= i) ++level;
                REQUIRE(split(b, i, features[level], cuts[level], rules[level], 2 * i + 1, 2 * i + 2));
            }
            for (std::uint32_t i = 0; i < leaves; ++i) REQUIRE(leaf(b, static_cast<std::uint32_t>(splits) + i, s_.vectors));
        } else {
            // Splits 0 … splits-1, each new one takes the place of some leaf; a chain takes the newest.
            std::vector<std::pair<std::uint32_t, bool>> open{{0, true}};  // parent and side; the root's own
            std::vector<std::array<std::uint32_t, 2>> children(splits, {UINT32_MAX, UINT32_MAX});
            for (std::uint32_t i = 0; i < splits; ++i) {
                const std::size_t at = s_.chains ? open.size() - 1 : random_() % open.size();
                const auto [parent, side] = open[at];
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
                if (i > 0) children[parent][side ? 1 : 0] = i;
                open.emplace_back(i, false);
                open.emplace_back(i, true);
            }
            auto next = static_cast<std::uint32_t>(splits);
            for (auto& pair : children)
                for (std::uint32_t& child : pair)
                    if (child == UINT32_MAX) child = next++;
            for (std::uint32_t i = 0; i < splits; ++i) {
                const std::uint32_t f = feature();
                REQUIRE(split(b, i, f, thresholds_[f][random_() % s_.thresholds], static_cast<std::uint32_t>(random_()),
                              children[i][0], children[i][1]));
            }
            for (auto i = static_cast<std::uint32_t>(splits); i < nodes; ++i) REQUIRE(leaf(b, i, s_.vectors));
        }
        REQUIRE(b.end_tree());
    }

    shape s_;
    std::mt19937 random_;
    std::vector<std::vector<double>> thresholds_;
};

std::vector<float> as_floats(const std::vector<double>& values) {
    std::vector<float> out;
    for (const double v : values) out.push_back(static_cast<float>(v));
    return out;
}

/// Sorting everything: what `top_k` must agree with.
void check_best(const std::vector<double>& scores, const std::vector<std::int64_t>& index, const std::vector<double>& best) {
    std::vector<std::int64_t> order(scores.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const double x = scores[static_cast<std::size_t>(a)];
        const double y = scores[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
    });
    bool same = true;
    for (std::size_t i = 0; i < index.size(); ++i)
        same &= index[i] == order[i] && best[i] == scores[static_cast<std::size_t>(order[i])];
    CHECK(same);
}

/// Columns of which the first `t` are known to be constant, and some of the rows, in no order: what is scored keeps its bits.
void check_chosen(const tree_scorer& scorer, const std::vector<const float*>& columns, std::size_t rows, std::size_t t,
                  const std::vector<double>& expected, tree_workspace& scratch) {
    std::vector<std::uint8_t> constant(columns.size(), 0);
    std::fill_n(constant.begin(), t, std::uint8_t{1});
    std::vector<double> got(expected.size());
    REQUIRE(scorer.score({columns, rows, constant, {}}, got, scratch));
    CHECK(same_bits(got, expected));
    const std::size_t outputs = scorer.outputs();
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
        std::vector<std::uint32_t> chosen;
        std::vector<double> wanted;
        for (std::size_t i = 0; i < rows; i += step) {
            chosen.push_back(static_cast<std::uint32_t>(i * 7 % rows));
            const auto at = expected.begin() + static_cast<std::ptrdiff_t>(chosen.back() * outputs);
            wanted.insert(wanted.end(), at, at + static_cast<std::ptrdiff_t>(outputs));
        }
        got.resize(wanted.size());
        REQUIRE(scorer.score({columns, rows, constant, chosen}, got, scratch));
        CHECK(same_bits(got, wanted));
    }
    const std::vector<std::uint32_t> outside{static_cast<std::uint32_t>(rows)};
    got.resize(outputs);
    CHECK(scorer.score({columns, rows, constant, outside}, got, scratch).error().code == "usage.index");
    constant.push_back(0);
    CHECK(scorer.score({columns, rows, constant, {}}, got, scratch).error().code == "usage.length");
}

/// Every engine and every way of handing over rows against the reference.
void check_all(const shape& s, std::uint32_t seed, std::size_t rows) {
    world w(s, seed);
    const tree_ensemble model = w.make();
    // Rows of one task: its columns are the same all over; actions repeat.
    const std::size_t t = s.features / 3, a = s.features / 4, p = s.features - t - a;
    const std::size_t actions = std::max<std::size_t>(rows / 2, 1);
    std::vector<double> task, catalogue, pairs, joined;
    for (std::size_t f = 0; f < t; ++f) task.push_back(w.value(f));
    for (std::size_t i = 0; i < actions; ++i)
        for (std::size_t f = 0; f < a; ++f) catalogue.push_back(w.value(t + f));
    std::vector<std::int64_t> index(rows);
    for (std::size_t i = 0; i < rows; ++i) {
        index[i] = static_cast<std::int64_t>(w.random()() % actions);
        for (std::size_t f = 0; f < p; ++f) pairs.push_back(w.value(t + a + f));
    }
    for (std::size_t i = 0; i < rows; ++i) {
        joined.insert(joined.end(), task.begin(), task.end());
        const auto row = catalogue.begin() + index[i] * static_cast<std::ptrdiff_t>(a);
        joined.insert(joined.end(), row, row + static_cast<std::ptrdiff_t>(a));
        const auto pair = pairs.begin() + static_cast<std::ptrdiff_t>(i * p);
        joined.insert(joined.end(), pair, pair + static_cast<std::ptrdiff_t>(p));
    }
    const std::vector<float> float_rows = as_floats(joined), float_task = as_floats(task), float_actions = as_floats(catalogue),
                             float_pairs = as_floats(pairs);
    std::vector<float> columns(joined.size());
    std::vector<const float*> pointers;
    for (std::size_t f = 0; f < s.features; ++f) {
        for (std::size_t i = 0; i < rows; ++i) columns[f * rows + i] = float_rows[i * s.features + f];
        pointers.push_back(columns.data() + f * rows);
    }
    std::vector<double> expected(rows * s.outputs), float_expected(rows * s.outputs), got(rows * s.outputs);
    REQUIRE(model.score_rows(std::span<const double>(joined), rows, expected));
    REQUIRE(model.score_rows(std::span<const float>(float_rows), rows, float_expected));
    tree_workspace scratch;
    for (const std::string_view engine : tree_engines()) {
        CAPTURE(std::string(engine), seed, rows);
        auto scorer = tree_scorer::compile(model, engine);
        REQUIRE(scorer);
        REQUIRE(scorer->score_rows({joined.data(), rows, s.features}, got, scratch));
        CHECK(same_bits(got, expected));
        REQUIRE(scorer->score_rows({float_rows.data(), rows, s.features}, got, scratch));
        CHECK(same_bits(got, float_expected));
        REQUIRE(scorer->score(pointers, rows, got, scratch));
        CHECK(same_bits(got, float_expected));
        check_chosen(*scorer, pointers, rows, t, float_expected, scratch);
        task_candidates c;
        c.task = {task.data(), 1, t};
        c.actions = {catalogue.data(), actions, a};
        c.index = index;
        c.pairs = {pairs.data(), rows, p};
        REQUIRE(scorer->score_task(c, got, scratch));
        CHECK(same_bits(got, expected));
        const auto prepared = scorer->prepare_actions({float_actions.data(), actions, a}, t);
        REQUIRE(prepared);
        c.task = {float_task.data(), 1, t};
        c.catalogue = &*prepared;
        c.pairs = {float_pairs.data(), rows, p};
        REQUIRE(scorer->score_task(c, got, scratch));
        CHECK(same_bits(got, float_expected));
        if (s.outputs != 1) continue;
        for (const std::size_t k : {std::size_t{1}, std::size_t{10}, rows}) {
            if (k > rows) continue;
            std::vector<std::int64_t> best(k);
            std::vector<double> scores(k);
            REQUIRE(scorer->top_k(c, best, scores, scratch));
            check_best(float_expected, best, scores);
        }
    }
}

void check_shape(const shape& s) {
    for (const std::uint32_t rows : {1U, 5U, 63U, 64U, 300U, 1000U}) check_all(s, rows * 31 + 5, rows);
}

}  // namespace

TEST_CASE("plain ensembles, every engine and every door") { check_shape({}); }
TEST_CASE("missing values on either side") { check_shape({.arithmetic = {.zero_threshold = 1e-35F}, .missing = true}); }
TEST_CASE("zeros that mean missing") { check_shape({.arithmetic = {.zero_threshold = 1e-35F}, .missing = true, .zero = true}); }
TEST_CASE("categories") { check_shape({.missing = true, .categories = true}); }
TEST_CASE("many categories") {
    for (const std::uint32_t words : {20U, 127U, 200U})  // 3 chunks, all that are cut into chunks, more than that
        check_shape({.missing = true, .categories = true, .set_words = words});
}
TEST_CASE("categories that fractions do not name") {
    check_shape({.arithmetic = {.float_values = true, .fractions_are_zero = false}, .missing = true, .categories = true});
}
TEST_CASE("values and sums in float32") {
    check_shape({.arithmetic = {.float_values = true, .float_sums = true}, .missing = true});
}
TEST_CASE("several outputs") { check_shape({.outputs = 3, .trees = 12, .missing = true}); }
TEST_CASE("leaves with a value for every output") { check_shape({.outputs = 4, .trees = 6, .vectors = true}); }
TEST_CASE("averages, a scale and a bias") { check_shape({.average = true, .finish = true}); }
TEST_CASE("more thresholds than a byte has ranks") {
    check_shape({.trees = 200, .leaves = 60, .thresholds = 1500, .missing = true});
}
TEST_CASE("trees that are walked, among trees that are not") { check_shape({.trees = 15, .leaves = 700}); }
TEST_CASE("oblivious trees") { check_shape({.missing = true, .oblivious = true}); }
TEST_CASE("chains") { check_shape({.trees = 5, .leaves = 255, .chains = true}); }
TEST_CASE("chains a thousand deep") { check_shape({.trees = 3, .leaves = 1001, .chains = true}); }
TEST_CASE("enough trees for coarse sums to wrap") { check_shape({.trees = 700, .leaves = 30}); }

TEST_CASE("what does not fit is refused by name") {
    world w({}, 1);
    const tree_ensemble model = w.make();
    const auto scorer = tree_scorer::compile(model);
    REQUIRE(scorer);
    tree_workspace scratch;
    std::vector<float> values(24);
    std::vector<double> out(2);
    CHECK(scorer->score_rows({values.data(), 2, 11}, out, scratch).error().code == "usage.length");
    CHECK(scorer->score_rows({values.data(), 1, 12}, out, scratch).error().code == "usage.length");
    CHECK(scorer->prepare_actions({values.data(), 2, 12}, 1).error().code == "usage.length");
    const auto prepared = scorer->prepare_actions({values.data(), 2, 4}, 4);
    REQUIRE(prepared);
    const std::vector<std::int64_t> index{0, 2};
    task_candidates c;
    c.task = {values.data(), 1, 4};
    c.catalogue = &*prepared;
    c.index = index;
    c.pairs = {values.data(), 2, 4};
    CHECK(scorer->score_task(c, out, scratch).error().code == "usage.index");
    c.index = {};
    CHECK(scorer->score_task(c, out, scratch));
    const auto other = tree_scorer::compile(model);
    CHECK(other->score_task(c, out, scratch).error().code == "usage.catalogue");
    c.pairs = {values.data(), 3, 4};
    CHECK(scorer->score_task(c, out, scratch).error().code == "usage.length");
    c.pairs = {values.data(), 2, 3};
    CHECK(scorer->score_task(c, out, scratch).error().code == "usage.length");
}

TEST_CASE("a warm call allocates nothing, whichever way it goes") {
    world w({.trees = 100, .missing = true}, 3);
    const tree_ensemble model = w.make();
    const auto scorer = tree_scorer::compile(model);
    REQUIRE(scorer);
    tree_workspace scratch;
    const auto call = [&](std::size_t rows) {
        std::vector<double> values(rows * 12), out(rows), best_scores(3);
        std::vector<std::int64_t> best(3);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = w.value(i % 12);
        task_candidates c;
        c.task = {values.data(), 1, 4};
        c.actions = {values.data(), rows, 3};
        c.pairs = {values.data(), rows, 5};
        std::size_t during = 0;
        for (const bool warm : {false, true}) {
            const std::size_t before = allocations_so_far();
            bool fine = scorer->score_rows({values.data(), rows, 12}, out, scratch).ok();
            fine &= scorer->score_task(c, out, scratch).ok();
            if (rows >= 3) fine &= scorer->top_k(c, best, best_scores, scratch).ok();
            if (warm) during = allocations_so_far() - before;
            CHECK(fine);
        }
        return during;
    };
    for (const std::size_t rows : {std::size_t{1}, std::size_t{40}, std::size_t{900}}) CHECK(call(rows) == 0);
    if constexpr (counts_allocations) {
        const std::size_t before = allocations_so_far();
        CHECK(tree_scorer::compile(model).ok());
        CHECK(allocations_so_far() > before);  // the counter counts
    }
}
