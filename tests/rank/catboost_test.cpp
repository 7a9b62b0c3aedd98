#include "opspilot/rank/catboost.hpp"

#include <cmath>
#include <limits>

#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

constexpr std::array<const char*, 9> models{"symmetric", "nan_max",   "no_missing",           "multiclass", "two_targets",
                                            "depthwise", "lossguide", "lossguide_multiclass", "no_splits"};

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), by);
}

// Two columns, a tree of two splits and one without.
const std::string tiny =
    R"({"features_info":{"float_features":[)"
    R"({"borders":[0.5,1.5],"feature_id":"a","feature_index":0,"flat_feature_index":0,"has_nans":true,"nan_value_treatment":"AsTrue"},)"
    R"({"borders":[-2],"feature_index":1,"flat_feature_index":1,"has_nans":false,"nan_value_treatment":"AsIs"}]},)"
    R"("oblivious_trees":[{"leaf_values":[1,2,4,8],"leaf_weights":[3,4,5,6],"splits":[)"
    R"({"border":1.5,"float_feature_index":0,"split_index":1,"split_type":"FloatFeature"},)"
    R"({"border":-2,"float_feature_index":1,"split_index":2,"split_type":"FloatFeature"}]},)"
    R"({"leaf_values":[16],"leaf_weights":[18],"splits":null}],"scale_and_bias":[2,[100]]})";

// The same as trees of nodes; the first one is not full.
const std::string tiny_nodes =
    tiny.substr(0, tiny.find("\"oblivious")) +
    R"("trees":[{"split":{"border":-2,"float_feature_index":1,"split_index":2,"split_type":"FloatFeature"},)"
    R"("left":{"value":1,"weight":7},"right":{"left":{"value":4,"weight":5},"right":{"value":8,"weight":6},)"
    R"("split":{"border":1.5,"float_feature_index":0,"split_index":1,"split_type":"FloatFeature"}}},)"
    R"({"value":16,"weight":18}],"scale_and_bias":[2,[100]]})";

error refusal(const std::string& text, const tree_limits& limits = {}) {
    auto read = read_catboost(text, limits);
    if (read) return {error_kind::internal, "", {}, {}, {}};
    CHECK_FALSE(read.error().message.empty());
    return std::move(read).error();
}
std::string code(const std::string& text, const tree_limits& limits = {}) { return std::string(refusal(text, limits).code); }

double score(const std::string& text, double a, double b) {
    const auto model = read_catboost(text);
    REQUIRE(model);
    const std::array<double, 2> row{a, b};
    std::array<double, 1> out{};
    REQUIRE(model->score_rows(std::span<const double>(row), 1, out));
    return out[0];
}

}  // namespace

TEST_CASE("scores are CatBoost's, bit for bit") {
    for (const std::string name : models) {
        INFO(name);
        const auto model = read_catboost(read_rank_fixture("catboost_" + name + ".json"));
        REQUIRE(model);
        const rank_rows rows = read_rank_rows("catboost_" + name);
        REQUIRE(model->features() == rows.features);
        REQUIRE(model->outputs() == rows.outputs);
        std::vector<double> scores(rows.n * rows.outputs, -1);
        REQUIRE(model->score_rows(std::span<const double>(rows.values), rows.n, scores));
        CHECK(same_bits(scores, rows.scores));
    }
}

TEST_CASE("what a CatBoost file says about itself is kept") {
    const auto model = read_catboost(read_rank_fixture("catboost_lossguide.json"));
    REQUIRE(model);
    CHECK(model->objective() == "Quantile alpha:0.3");
    CHECK(model->feature_names()[3] == "größe");
    CHECK(model->trees() == 4);
    REQUIRE(model->has_covers());
    CHECK(model->arithmetic().float_values);
    const auto several = read_catboost(read_rank_fixture("catboost_multiclass.json"));
    REQUIRE(several);
    CHECK(several->outputs() == 3);
    CHECK(several->objective() == "MultiClass");
    CHECK(several->feature_names()[4] == "4");
    CHECK(several->tree(0).width == 3);
}

TEST_CASE("a border is passed by greater values in float32; missing values go where the column says") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double inf = std::numeric_limits<double>::infinity();
    for (const std::string& text : {tiny, tiny_nodes}) {
        CHECK(score(text, 0, -1) == (4 + 16) * 2 + 100);
        CHECK(score(text, 1.5, -1) == (4 + 16) * 2 + 100);
        CHECK(score(text, 1.6, -1) == (8 + 16) * 2 + 100);
        CHECK(score(text, 1.5 + 1e-9, -1) == (4 + 16) * 2 + 100);  // is 1.5 in float32
        CHECK(score(text, 0, -2) == (1 + 16) * 2 + 100);
        CHECK(score(text, nan, 0) == (8 + 16) * 2 + 100);  // AsTrue
        CHECK(score(text, 0, nan) == (1 + 16) * 2 + 100);  // AsIs: no comparison holds
        CHECK(score(text, inf, inf) == (8 + 16) * 2 + 100);
        CHECK(score(text, -inf, -inf) == (1 + 16) * 2 + 100);
        CHECK(score(replaced(text, "AsTrue", "AsFalse"), nan, 0) == (4 + 16) * 2 + 100);
        CHECK(score(replaced(text, "AsTrue", "AsIs"), nan, 0) == (4 + 16) * 2 + 100);
        // The treatment counts only where training saw missing values.
        CHECK(score(replaced(text, "true", "false"), nan, 0) == (4 + 16) * 2 + 100);
    }
    CHECK(score(tiny, 1.6, -3) == (2 + 16) * 2 + 100);
    CHECK(score(replaced(tiny, ",\"scale_and_bias\":[2,[100]]", ""), 0, -1) == 20);
    CHECK(score(replaced(tiny, "[2,[100]]", "[2,null]"), 0, -1) == 40);
    CHECK(score(replaced(tiny, "[2,[100]]", "[2,[]]"), 0, -1) == 40);
}

TEST_CASE("leaf weights become covers of all nodes") {
    for (const std::string& text : {tiny, tiny_nodes}) {
        const auto model = read_catboost(text);
        REQUIRE(model);
        REQUIRE(model->has_covers());
        CHECK(model->tree(0).split_covers[0] == 18);
        CHECK(model->tree(0).leaf_covers.back() == 6);
        CHECK(model->tree(1).leaf_covers[0] == 18);
    }
    auto none = read_catboost(replaced(replaced(tiny, "\"leaf_weights\":[3,4,5,6],", ""), "\"leaf_weights\":[18],", ""));
    REQUIRE(none);
    CHECK_FALSE(none->has_covers());
    CHECK(code(replaced(tiny, "\"leaf_weights\":[3,4,5,6],", "")) == "model.cover_missing");
    CHECK(code(replaced(tiny_nodes, ",\"weight\":7", "")) == "model.cover_missing");
    CHECK(code(replaced(tiny_nodes, "\"weight\":7", "\"weight\":-7")) == "model.cover");
}

TEST_CASE("splits on categories are refused by name, columns of categories are not") {
    for (const char* name : {"catboost_one_hot.json", "catboost_counters.json"}) {
        const error e = refusal(read_rank_fixture(name));
        CHECK(e.code == "model.categorical_split");
        CHECK(e.where.starts_with("/oblivious_trees/0/splits/"));
    }
    const std::string with_category =
        replaced(replaced(tiny, "\"flat_feature_index\":1", "\"flat_feature_index\":2"), "{\"float_features\"",
                 R"({"categorical_features":[{"feature_id":"queue","feature_index":0,"flat_feature_index":1}],"float_features")");
    const auto model = read_catboost(with_category);
    REQUIRE(model);
    CHECK(model->feature_names()[1] == "queue");
    CHECK(model->tree(0).splits[0].feature == 2);
}

TEST_CASE("a CatBoost model is known by its first key") {
    for (const std::string name : models) CHECK(is_catboost(read_rank_fixture("catboost_" + name + ".json")));
    CHECK(is_catboost(tiny));
    CHECK(is_catboost(" \n{ \"trees\""));
    for (const char* other : {"", "{", "{}", "tree\nversion=v4", "{\"learner\":{}}", "[\"trees\"]", "{\"tree\":1}", "{\"trees"})
        CHECK(is_catboost(other) == (std::string(other) == "{\"trees"));
}

TEST_CASE("errors name the place") {
    const error syntax = refusal(tiny.substr(0, 40));
    CHECK(syntax.code == "model.json_syntax");
    CHECK(syntax.where.starts_with("byte "));
    const error unknown = refusal(replaced(tiny, "\"split_type\"", "\"splittype\""));
    CHECK(unknown.code == "model.unknown_field");
    CHECK(unknown.where == "/oblivious_trees/0/splits/0/splittype");
    CHECK(unknown.hint == "did you mean 'split_type'?");
    CHECK(refusal(replaced(tiny, "[1,2,4,8]", "[1,2,4,\"8\"]")).where == "/oblivious_trees/0/leaf_values/3");
    CHECK(refusal(replaced(tiny, "\"leaf_values\":[16],", "")).where == "/oblivious_trees/1");
    const error range = refusal(replaced(tiny_nodes, "[2,[100]]", "[2,[100,0]]"));
    CHECK(range.code == "model.outputs_length");
    const error index = refusal(replaced(tiny_nodes, "\"split_index\":1", "\"split_index\":0"));
    CHECK(index.code == "model.split_index");
    CHECK(index.where == "/trees/0, node 2");
    CHECK(refusal(replaced(tiny, "{", "{\"model_info\":{\"a\":1,\"a\":2},")).where == "/model_info/a");
}

TEST_CASE("nesting without end is refused at once, and limits say what they are") {
    CHECK(code(std::string(100'000, '[')) == "model.not_catboost");
    std::string deep = R"({"model_info":)";
    for (int i = 0; i < 100'000; ++i) deep += R"({"a":)";
    CHECK(code(deep) == "model.json_depth");
    CHECK(refusal(deep).where.size() < 200);
    std::string nodes = tiny_nodes.substr(0, tiny_nodes.find("\"trees\"")) + "\"trees\":[";
    for (int i = 0; i < 100'000; ++i) nodes += R"({"left":)";
    CHECK(code(nodes) == "model.json_depth");

    tree_limits limits;
    limits.depth = 1;
    CHECK(code(tiny, limits) == "model.limit_depth");
    CHECK(code(tiny_nodes, limits) == "model.limit_depth");
    limits = {};
    limits.bytes = 100;
    CHECK(refusal(tiny, limits).kind == error_kind::limit);
    CHECK(code(tiny, limits) == "model.limit_bytes");
    limits = {};
    limits.trees = 1;
    CHECK(code(tiny, limits) == "model.limit_trees");
    limits = {};
    limits.nodes = 7;
    CHECK(code(tiny, limits) == "model.limit_nodes");
    limits = {};
    limits.features = 1;
    CHECK(code(tiny, limits) == "model.limit_features");
    limits = {};
    limits.outputs = 2;
    CHECK(code(read_rank_fixture("catboost_multiclass.json"), limits) == "model.limit_outputs");
}

TEST_CASE("a chain as deep as the limit is read") {
    tree_limits limits;
    const std::size_t depth = limits.depth;
    std::string text = tiny_nodes.substr(0, tiny_nodes.find("\"trees\"")) + "\"trees\":[";
    const std::string split = R"({"split":{"border":-2,"float_feature_index":1,"split_index":2,"split_type":"FloatFeature"},)";
    for (std::size_t i = 0; i < depth; ++i) text += split + R"("left":{"value":1,"weight":1},"right":)";
    text += R"({"value":2,"weight":1})" + std::string(depth, '}') + "]}";
    const auto model = read_catboost(text);
    REQUIRE(model);
    CHECK(model->tree(0).depth == depth);
    CHECK(score(text, 0, 0) == 2);
    limits.depth = depth - 1;
    CHECK(code(text, limits) == "model.limit_depth");
}

TEST_CASE("a CatBoost file cut anywhere or with any byte changed is refused or scored") {
    for (const std::string& text : {tiny, tiny_nodes}) {
        for (std::size_t n = 0; n < text.size(); ++n) REQUIRE_FALSE(read_catboost(std::string_view(text).substr(0, n)));
        std::size_t accepted = 0;
        for (std::size_t i = 0; i < text.size(); ++i)
            for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
                std::string bad = text;
                bad[i] = static_cast<char>(bad[i] ^ flip);
                const auto model = read_catboost(bad);
                if (!model) continue;
                ++accepted;
                const std::vector<double> row(model->features(), 1.0);
                std::vector<double> out(model->outputs(), std::numeric_limits<double>::quiet_NaN());
                REQUIRE(model->score_rows(std::span<const double>(row), 1, out));
                for (const double v : out) REQUIRE(std::isfinite(v));
            }
        CHECK(accepted > 0);  // a digit of a leaf
    }
    CHECK(code(tiny + "x") == "model.json_syntax");
    CHECK(code(tiny + '\0') == "model.json_syntax");
    CHECK(read_catboost(tiny + " \n"));
}
