#include "opspilot/rank/lightgbm.hpp"

#include <functional>
#include <limits>
#include <set>

#include "opspilot/rank/tree_scorer.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), by);
}

// The smallest model: one split, two leaves; the size line is filled in.
std::string tiny_model(const std::string& body) {
    const std::string tree = "Tree=0\n" + body + "\n\n";
    return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nfeature_names=a b\n"
           "feature_infos=[0:1] [0:1]\ntree_sizes=" +
           std::to_string(tree.size()) + "\n\n" + tree + "end of trees\n\nfeature_importances:\na=1\n";
}

const char* const tiny_body =
    "num_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=0.5 1.5\ndecision_type=2 2\nleft_child=1 -1\nright_child=-3 -2\n"
    "leaf_value=1 2 3\nis_linear=0\nshrinkage=1\n";

std::string tiny(const std::string& what, const std::string& by) { return tiny_model(replaced(tiny_body, what, by)); }

std::string refusal(const std::string& text) {
    const auto read = read_lightgbm(text);
    if (read) return "";
    CHECK_FALSE(read.error().message.empty());
    CHECK_FALSE(read.error().where.empty());
    return std::string(read.error().code);
}

}  // namespace

TEST_CASE("scores are LightGBM's, bit for bit") {
    for (const char* name : rank_fixture_names) {
        INFO(name);
        const auto model = read_lightgbm(read_rank_fixture(std::string(name) + ".txt"));
        REQUIRE(model);
        const rank_rows rows = read_rank_rows(name);
        REQUIRE(model->features() == rows.features);
        REQUIRE(model->outputs() == rows.outputs);
        std::vector<double> scores(rows.n * rows.outputs, -1);
        REQUIRE(model->score_rows(std::span<const double>(rows.values), rows.n, scores));
        CHECK(same_bits(scores, rows.scores));
    }
}

TEST_CASE("columns of floats score like rows of floats") {
    for (const char* name : rank_fixture_names) {
        INFO(name);
        const auto model = read_lightgbm(read_rank_fixture(std::string(name) + ".txt"));
        REQUIRE(model);
        const rank_rows source = read_rank_rows(name);
        // Not a multiple of the group or the block, and more than one block.
        const std::size_t n = 3 * source.n - 1;
        std::vector<float> rows(n * source.features);
        std::vector<float> columns(n * source.features);
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < source.features; ++j) {
                const double value = source.values[(i % source.n) * source.features + j];
                // 1e300 has no float; the rule for those is that the caller clips.
                rows[i * source.features + j] = value > 3e38 && !(value > 1e308) ? 3e38F : static_cast<float>(value);
                columns[j * n + i] = rows[i * source.features + j];
            }
        std::vector<double> expected(n * source.outputs);
        REQUIRE(model->score_rows(std::span<const float>(rows), n, expected));
        std::vector<const float*> pointers;
        for (std::size_t j = 0; j < source.features; ++j) pointers.push_back(columns.data() + j * n);
        for (const std::string_view engine : tree_engines()) {
            const auto scorer = tree_scorer::compile(*model, engine);
            REQUIRE(scorer);
            CHECK(scorer->engine() == engine);
            std::vector<double> scores(n * source.outputs, -1);
            tree_workspace scratch;
            REQUIRE(scorer->score(pointers, n, scores, scratch));
            CHECK(same_bits(scores, expected));
        }
    }
}

TEST_CASE("what the file says about itself is kept") {
    const auto model = read_lightgbm(read_rank_fixture("multiclass_categories.txt"));
    REQUIRE(model);
    CHECK(model->objective() == "multiclass num_class:3");
    CHECK(model->trees() == 12);
    CHECK(model->feature_names()[2] == "ratio=x");
    CHECK(model->category_sets() > 0);
    const auto forest = read_lightgbm(read_rank_fixture("forest.txt"));
    REQUIRE(forest);
    CHECK(forest->divisor() == 6);
    CHECK(forest->objective() == "regression");
}

TEST_CASE("a split follows LightGBM's rules for missing values, zeros and thresholds") {
    const auto score = [](const std::string& text, double a, double b) {
        const auto model = read_lightgbm(text);
        REQUIRE(model);
        const std::array<double, 2> row{a, b};
        std::array<double, 1> out{};
        REQUIRE(model->score_rows(std::span<const double>(row), 1, out));
        return out[0];
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::string plain = tiny_model(tiny_body);
    CHECK(score(plain, 0.5, 1.5) == 1);
    CHECK(score(plain, 0.5, 1.6) == 2);
    CHECK(score(plain, 0.6, 0) == 3);
    CHECK(score(plain, nan, 2) == 2);                                            // missing type none: NaN is 0
    CHECK(score(tiny("decision_type=2 2", "decision_type=8 2"), nan, 0) == 3);   // missing NaN goes right
    CHECK(score(tiny("decision_type=2 2", "decision_type=10 2"), nan, 0) == 1);  // … left
    CHECK(score(tiny("decision_type=2 2", "decision_type=4 2"), 0, 0) == 3);     // missing zero goes right
    CHECK(score(tiny("decision_type=2 2", "decision_type=4 2"), 1e-36, 0) == 3);
    CHECK(score(tiny("decision_type=2 2", "decision_type=4 2"), nan, 0) == 3);
    CHECK(score(tiny("decision_type=2 2", "decision_type=4 2"), 1e-34, 0) == 1);
    CHECK(score(tiny("threshold=0.5", "threshold=-1e-36"), -5e-36, 0) == 3);  // within 1e-35 a value is 0
    CHECK(score(tiny("threshold=0.5", "threshold=inf"), 1e300, 0) == 1);
}

TEST_CASE("thresholds keep their meaning as floats") {
    for (const char* threshold : {"0.1", "-0.1", "1e-36", "-1e-36", "0", "1.0000000180025095e-35", "-1.0000000180025095e-35",
                                  "1e-35", "1e300", "-1e300", "1e39", "3.5e38", "inf", "-inf", "16777217", "5e-324"}) {
        INFO(threshold);
        for (const char* rule : {"0", "2", "4", "6", "8", "10"}) {
            const auto model =
                read_lightgbm(tiny_model(replaced(replaced(tiny_body, "threshold=0.5", std::string("threshold=") + threshold),
                                                  "decision_type=2", std::string("decision_type=") + rule)));
            REQUIRE(model);
            const float z = 1e-35F;
            const float inf = std::numeric_limits<float>::infinity();
            std::vector<float> a{0.0F,
                                 -0.0F,
                                 0.1F,
                                 std::nextafter(0.1F, 0.0F),
                                 -0.1F,
                                 z,
                                 -z,
                                 std::nextafter(z, 0.0F),
                                 std::nextafter(z, 1.0F),
                                 std::nextafter(-z, 0.0F),
                                 std::nextafter(-z, -1.0F),
                                 1e-36F,
                                 -1e-36F,
                                 inf,
                                 -inf,
                                 std::numeric_limits<float>::quiet_NaN(),
                                 std::numeric_limits<float>::max(),
                                 16777216.0F,
                                 16777218.0F,
                                 std::numeric_limits<float>::lowest(),
                                 std::numeric_limits<float>::denorm_min()};
            std::vector<float> b(a.size(), 1.0F);
            std::vector<float> rows;
            for (const float v : a) rows.insert(rows.end(), {v, 1.0F});
            std::vector<double> expected(a.size());
            std::vector<double> scores(a.size());
            REQUIRE(model->score_rows(std::span<const float>(rows), a.size(), expected));
            const auto scorer = tree_scorer::compile(*model);
            REQUIRE(scorer);
            const std::array<const float*, 2> columns{a.data(), b.data()};
            tree_workspace scratch;
            REQUIRE(scorer->score(columns, a.size(), scores, scratch));
            CHECK(same_bits(scores, expected));
        }
    }
}

TEST_CASE("places and cures are named") {
    const auto misspelt = read_lightgbm(replaced(tiny_model(tiny_body), "label_index", "label_indx"));
    REQUIRE_FALSE(misspelt);
    CHECK(misspelt.error().where == "byte 53");
    CHECK(misspelt.error().hint == "did you mean 'label_index'?");
    const auto node = read_lightgbm(tiny("split_feature=0 1", "split_feature=0 7"));
    REQUIRE_FALSE(node);
    CHECK(node.error().where.starts_with("tree 0 node 1 (byte "));
}

TEST_CASE("a file cut anywhere before its last line is refused") {
    const std::string text = tiny_model(tiny_body) + "\nparameters:\n[boosting: gbdt]\n\nend of parameters\n";
    REQUIRE(read_lightgbm(text));
    const std::size_t trees_end = text.find("feature_importances:\n") + std::string("feature_importances:\n").size();
    const std::size_t parameters = text.find("parameters:");
    for (std::size_t size = 0; size < text.size(); ++size) {
        const auto read = read_lightgbm(std::string_view(text).substr(0, size));
        if (!read) continue;
        // The importances and parameters decide no score; a file may end after a whole line of the first or before the second.
        INFO(size);
        CHECK(size >= trees_end);
        CHECK(size <= parameters);
        CHECK(text[size - 1] == '\n');
    }
}

TEST_CASE("no single byte makes the reader misbehave") {
    const std::string whole = read_rank_fixture("multiclass_categories.txt");
    const std::string text = whole.substr(0, whole.find("\nparameters:"));
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < text.size(); at += 3)
        for (const char c : {'\0', '\n', '-', '9', '='}) {
            std::string mutant = text;
            if (mutant[at] == c) continue;
            mutant[at] = c;
            const auto read = read_lightgbm(mutant);
            if (!read) continue;
            ++accepted;  // another number is another model; it must still be scored in bounds
            std::vector<double> row(read->features(), 1e9);
            std::vector<double> out(read->outputs());
            REQUIRE(read->score_rows(std::span<const double>(row), 1, out));
        }
    CHECK(accepted > 0);
}

TEST_CASE("limits are kept before memory is taken") {
    tree_limits limits;
    limits.trees = 2;
    const auto many = read_lightgbm(read_rank_fixture("lambdarank.txt"), limits);
    REQUIRE_FALSE(many);
    CHECK(many.error().kind == error_kind::limit);
    CHECK(many.error().code == "model.limit_trees");
    limits = {};
    limits.bytes = 100;
    CHECK(read_lightgbm(read_rank_fixture("lambdarank.txt"), limits).error().code == "model.limit_bytes");
    limits = {};
    limits.depth = 2;
    CHECK(read_lightgbm(read_rank_fixture("lambdarank.txt"), limits).error().code == "model.limit_depth");
    limits = {};
    limits.nodes = 40;
    CHECK(read_lightgbm(read_rank_fixture("lambdarank.txt"), limits).error().code == "model.limit_nodes");
    limits = {};
    limits.features = 5;
    CHECK(read_lightgbm(read_rank_fixture("lambdarank.txt"), limits).error().code == "model.limit_features");
    limits = {};
    limits.outputs = 2;
    CHECK(read_lightgbm(read_rank_fixture("multiclass_categories.txt"), limits).error().code == "model.limit_outputs");
    limits = {};
    limits.category_words = 2;
    CHECK(read_lightgbm(read_rank_fixture("multiclass_categories.txt"), limits).error().code == "model.limit_categories");
    // Counts that nothing backs.
    CHECK(refusal(tiny("num_leaves=3", "num_leaves=4000000000")) == "model.count");
}

TEST_CASE("names that LightGBM does not allow are escaped") {
    CHECK(lightgbm_feature_name("amount") == "amount");
    CHECK(lightgbm_feature_name("queue=billing team") == "queue=billing%20team");
    CHECK(lightgbm_feature_name("a,b:[c]{d}\"%") == "a%2Cb%3A%5Bc%5D%7Bd%7D%22%25");
    CHECK(lightgbm_feature_name("größe") == "größe");
}
