#include "opspilot/rank/xgboost.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "allocation_count.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

// As make_xgboost_fixtures.py writes them.
constexpr std::array<const char*, 29> models{"regression.json",
                                             "binary.ubj",
                                             "partition.json",
                                             "partition_ubj.ubj",
                                             "one_hot.json",
                                             "classes.json",
                                             "dart.json",
                                             "vectors.ubj",
                                             "vectors_json.json",
                                             "targets.json",
                                             "pruned.json",
                                             "one_leaf.json",
                                             "rank.json",
                                             "aft.ubj",
                                             "quantiles.json",
                                             "all_zero.json",
                                             "names.json",
                                             "tiny.json",
                                             "tiny_ubj.ubj",
                                             "tiny_classes.json",
                                             "tiny_dart.json",
                                             "tiny_vectors.json",
                                             "tiny_pruned.json",
                                             "old_1.2.1_binary.json",
                                             "old_1.2.1_pruned_dart.json",
                                             "old_1.7.6_binary.json",
                                             "old_1.7.6_pruned_dart.json",
                                             "old_2.1.4_classes.json",
                                             "old_2.1.4_vectors.json"};

std::string fixture(const std::string& file) { return read_rank_fixture("xgboost/" + file); }

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), by);
}

std::string code_of(std::string_view bytes, const tree_limits& limits = {}) {
    const auto read = read_xgboost(bytes, limits);
    if (read) return "ok";
    CHECK_FALSE(read.error().message.empty());
    return std::string(read.error().code);
}

// Scores of a row of equal values, one float per output.
std::vector<double> score(const tree_ensemble& model, double value) {
    const std::vector<double> row(model.features(), value);
    std::vector<double> out(model.outputs());
    REQUIRE(model.score_rows(std::span<const double>(row), 1, out));
    return out;
}

// Accepted bytes may be another model, but one that scores within its own arrays.
void score_if_read(std::string_view bytes, std::size_t& accepted) {
    const auto read = read_xgboost(bytes);
    if (!read) return;
    ++accepted;
    static_cast<void>(score(*read, 1e9));
    static_cast<void>(score(*read, 3.0));
}

// One split of feature 0 with leaves 1 (left) and 2 (right) and no base score.
tree_ensemble one_split(const std::string& condition, bool default_left = false, const std::string& categories = "") {
    const std::string sets =
        categories.empty() ? ""
                           : R"("split_type":[1,0,0],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[)" +
                                 std::to_string(1 + std::count(categories.begin(), categories.end(), ',')) +
                                 R"(],"categories":[)" + categories + "],";
    const auto read = read_xgboost(
        R"({"version":[3,2,0],"learner":{"attributes":{},"objective":{"name":"reg:squarederror"},"learner_model_param":)"
        R"({"base_score":"0E0","num_feature":"1","num_class":"0"},"gradient_booster":{"name":"gbtree","model":{)"
        R"("gbtree_model_param":{"num_trees":"1"},"tree_info":[0],"trees":[{"id":0,"tree_param":{"num_nodes":"3",)"
        R"("num_feature":"1","size_leaf_vector":"0"},)" +
        sets + R"("left_children":[1,-1,-1],"right_children":[2,-1,-1],"parents":[2147483647,0,0],"split_indices":[0,0,0],)" +
        R"("default_left":[)" + (default_left ? "1" : "0") + R"(,0,0],"split_conditions":[)" + condition +
        R"(,1,2],"base_weights":[0,0,0]}]}}}})");
    INFO((read ? "" : read.error().text()));
    REQUIRE(read);
    return *read;
}

double side(const tree_ensemble& model, double value) { return score(model, value)[0]; }

}  // namespace

TEST_CASE("scores are XGBoost's, bit for bit") {
    for (const std::string file : models) {
        INFO(file);
        const auto model = read_xgboost(fixture(file));
        INFO((model ? "" : model.error().text()));
        REQUIRE(model);
        const rank_rows rows = read_rank_rows("xgboost/" + file.substr(0, file.rfind('.')));
        REQUIRE(model->features() == rows.features);
        REQUIRE(model->outputs() == rows.outputs);
        std::vector<double> scores(rows.n * rows.outputs, -1);
        REQUIRE(model->score_rows(std::span<const double>(rows.values), rows.n, scores));
        CHECK(same_bits(scores, rows.scores));
        // XGBoost rounds to float before all else.
        std::vector<float> floats;
        for (const double value : rows.values) floats.push_back(static_cast<float>(value));
        std::fill(scores.begin(), scores.end(), -1.0);
        REQUIRE(model->score_rows(std::span<const float>(floats), rows.n, scores));
        CHECK(same_bits(scores, rows.scores));
    }
}

TEST_CASE("what XGBoost's file says about itself is kept") {
    const auto model = read_xgboost(fixture("names.json"));
    REQUIRE(model);
    const std::vector<std::string> names{"a \"b\"", "ä/ö", "c\\d", "tab\there", "~", "x y"};
    CHECK(std::equal(names.begin(), names.end(), model->feature_names().begin(), model->feature_names().end()));
    CHECK(model->objective() == "reg:squarederror");
    CHECK(model->arithmetic().float_sums);
    CHECK(model->arithmetic().float_values);
    CHECK(model->has_covers());
    CHECK(model->tree(0).split_covers[0] == 400);
    CHECK(read_xgboost(fixture("regression.json"))->feature_names()[3] == "f3");
    const auto classes = read_xgboost(fixture("classes.json"));
    REQUIRE(classes);
    CHECK(classes->objective() == "multi:softmax");
    CHECK(classes->outputs() == 3);
    CHECK(classes->trees() == 18);
    CHECK(read_xgboost(fixture("partition.json"))->category_sets() > 0);
    CHECK(read_xgboost(fixture("tiny_vectors.json"))->tree(0).width == 3);
    CHECK(read_xgboost(fixture("old_1.7.6_binary.json"))->start()[0] == static_cast<double>(-std::log(1 / 0.3F - 1)));
    // Pruned nodes are gone: 22 of 41 nodes were deleted, a binary tree has one leaf more than splits.
    const auto pruned = read_xgboost(fixture("tiny_pruned.json"));
    REQUIRE(pruned);
    CHECK(fixture("tiny_pruned.json").find("\"num_deleted\":\"0\"") == std::string::npos);
    CHECK(pruned->tree(0).leaves.size() == pruned->splits() + 1);
}

TEST_CASE("both notations give one model") {
    const auto a = read_xgboost(fixture("partition.json"));
    const auto b = read_xgboost(fixture("partition_ubj.ubj"));
    REQUIRE(a);
    REQUIRE(b);
    REQUIRE(a->splits() == b->splits());
    for (std::size_t t = 0; t < a->trees(); ++t) {
        const tree_view x = a->tree(t);
        const tree_view y = b->tree(t);
        CHECK(std::equal(x.leaves.begin(), x.leaves.end(), y.leaves.begin(), y.leaves.end()));
        CHECK(std::equal(x.split_covers.begin(), x.split_covers.end(), y.split_covers.begin(), y.split_covers.end()));
        for (std::size_t i = 0; i < x.splits.size(); ++i) {
            CHECK(x.splits[i].threshold == y.splits[i].threshold);
            CHECK(x.splits[i].left == y.splits[i].left);
        }
    }
}

TEST_CASE("below the condition goes left, as floats") {
    const float tiny = std::numeric_limits<float>::denorm_min();
    const float most = std::numeric_limits<float>::max();
    struct row {
        const char* text;
        float condition;
    };
    for (const auto& [text, condition] :
         {row{"0E0", 0.0F}, row{"-0E0", -0.0F}, row{"1E-45", tiny}, row{"-1E-45", -tiny}, row{"1E0", 1.0F},
          row{"1.1754944E-38", 1.1754944E-38F}, row{"3.4028235E38", most}, row{"-3.4028235E38", -most}, row{"Infinity", inf},
          row{"-Infinity", -inf}, row{"1.6777216E7", 16777216.0F}, row{"7", 7.0F}}) {
        INFO(text);
        for (const bool default_left : {false, true}) {
            const tree_ensemble model = one_split(text, default_left);
            for (const float value : {0.0F, -0.0F, tiny, -tiny, 1.0F, -1.0F, 1.1754944E-38F, most, -most, inf, -inf, 16777215.0F,
                                      16777216.0F, 7.0F, std::nextafter(7.0F, 0.0F), std::nextafter(1.0F, 0.0F)}) {
                INFO(value);
                CHECK(side(model, static_cast<double>(value)) == (value < condition ? 1 : 2));
            }
            CHECK(side(model, static_cast<double>(nan_value)) == (default_left ? 1 : 2));
        }
    }
    // A double is rounded first: this one is below 1, its float is not.
    CHECK(side(one_split("1E0"), std::nextafter(1.0, 0.0)) == 2);
    CHECK(side(one_split("Infinity"), 1e300) == 2);
}

TEST_CASE("categories of the set go right, all others left") {
    for (const bool default_left : {false, true}) {
        const tree_ensemble model = one_split("1E-45", default_left, "0,3,40");
        for (const double right : {0.0, -0.0, 0.99, 3.0, 3.99, 40.0}) CHECK(side(model, right) == 2);
        for (const double left : {1.0, 2.0, 4.0, 39.0, 41.0, 1e6, 16777216.0, 3e9, 1e38, -0.01, -1.0, -1e38}) {
            INFO(left);
            CHECK(side(model, left) == 1);
        }
        CHECK(side(model, static_cast<double>(inf)) == 1);
        CHECK(side(model, static_cast<double>(-inf)) == 1);
        CHECK(side(model, static_cast<double>(nan_value)) == (default_left ? 1 : 2));
    }
    const tree_ensemble largest = one_split("1E-45", false, "16777215");
    CHECK(side(largest, 16777215.0) == 2);
    CHECK(side(largest, 16777216.0) == 1);
    CHECK(side(largest, 16777215.4) == 2);  // rounded to 16777215
    CHECK(side(largest, 16777215.6) == 1);  // rounded to 2^24
}

TEST_CASE("every mutant is refused by its own code") {
    const std::string folder = std::string(OPSPILOT_TEST_DATA) + "/rank/mutants/xgboost/";
    std::ifstream index(folder + "index.txt");
    REQUIRE(index.good());
    std::string file;
    std::string code;
    std::size_t mutants = 0;
    while (index >> file >> code) {
        INFO(file);
        std::ifstream in(folder + file, std::ios::binary);
        REQUIRE(in.good());
        const std::string bytes{std::istreambuf_iterator<char>(in), {}};
        const auto read = read_xgboost(bytes);
        CHECK((read ? "ok" : read.error().code) == code);
        if (read) {
            static_cast<void>(score(*read, 2.0));
        } else {
            CHECK_FALSE(read.error().message.empty());
            CHECK((read.error().kind == error_kind::limit) == code.starts_with("model.limit_"));
        }
        ++mutants;
    }
    CHECK(mutants >= 180);
}

TEST_CASE("real files that are refused") {
    CHECK(code_of(fixture("refused_linear.json")) == "model.linear_booster");
    CHECK(code_of(fixture("refused_linear.ubj")) == "model.linear_booster");
    CHECK(code_of(fixture("refused_base_score.json")) == "model.base_score");
    CHECK(code_of(fixture("refused_snapshot.ubj")) == "model.snapshot");
    CHECK(code_of(fixture("refused_no_trees.json")) == "model.no_trees");
    CHECK(code_of(fixture("refused_binary.model")) == "model.not_xgboost");
    const auto old = read_xgboost(fixture("refused_binary.model"));
    REQUIRE_FALSE(old);
    CHECK(old.error().message == "the binary format of XGBoost before 2");
}

TEST_CASE("places and cures of XGBoost's files are named") {
    const std::string tiny = fixture("tiny.json");
    const auto error_of = [](const std::string& text) {
        auto read = read_xgboost(text);
        REQUIRE_FALSE(read);
        return read.error();
    };
    const error number = error_of(replaced(tiny, "\"parents\":[2147483647,0,0", "\"parents\":[2147483647,0,x"));
    CHECK(number.where ==
          "/learner/gradient_booster/model/trees/0/parents/2 (byte " + std::to_string(tiny.find("\"parents\"") + 24) + ")");
    const error objective = error_of(replaced(tiny, "reg:squarederror", "reg:squarederr"));
    CHECK(objective.hint == "did you mean 'reg:squarederror'?");
    CHECK(objective.where == "/learner/objective/name (byte " + std::to_string(tiny.find("reg:squared") - 1) + ")");
    const error key = error_of(replaced(tiny, "\"parents\"", "\"parent/~\""));
    CHECK(key.where.starts_with("/learner/gradient_booster/model/trees/0/parent~1~0 (byte "));
    CHECK(key.hint == "did you mean 'parents'?");
    const error builder = error_of(replaced(tiny, "\"split_indices\":[5,4", "\"split_indices\":[5,6"));
    CHECK(builder.where.starts_with("tree 0 node 1 (/learner/gradient_booster/model/trees/0 (byte "));
}

TEST_CASE("an XGBoost file cut anywhere is refused") {
    for (const char* name : {"tiny.json", "tiny_ubj.ubj", "tiny_dart.json", "tiny_vectors.json"}) {
        INFO(name);
        const std::string whole = fixture(name);
        REQUIRE(code_of(whole) == "ok");
        for (std::size_t size = 0; size < whole.size(); ++size) {
            INFO(size);
            const auto read = read_xgboost(std::string_view(whole).substr(0, size));
            REQUIRE_FALSE(read);
            CHECK(read.error().code == (size < 2                                    ? "model.not_xgboost"
                                        : read.error().code == "model.array_length" ? "model.array_length"
                                                                                    : "model.truncated"));
        }
    }
}

TEST_CASE("no single byte of an XGBoost file makes the reader misbehave") {
    std::size_t accepted = 0;
    std::size_t tried = 0;
    for (const char* name : {"tiny.json", "tiny_ubj.ubj", "tiny_vectors.json"}) {
        const std::string whole = fixture(name);
        std::string mutant = whole;
        for (std::size_t at = 0; at < whole.size(); ++at) {
            for (const int mask : {0x01, 0x04, 0x10, 0x80, 0xFF}) {
                mutant[at] = static_cast<char>(whole[at] ^ static_cast<char>(mask));
                score_if_read(mutant, accepted);
                ++tried;
            }
            mutant[at] = whole[at];
        }
    }
    CHECK(accepted > 0);
    CHECK(accepted < tried / 2);
}

TEST_CASE("numbers of XGBoost's limits") {
    const std::string whole = fixture("regression.json");
    tree_limits limits;
    limits.bytes = 100;
    CHECK(code_of(whole, limits) == "model.limit_bytes");
    limits = {};
    limits.trees = 5;
    CHECK(code_of(whole, limits) == "model.limit_trees");
    limits = {};
    limits.nodes = 40;
    CHECK(code_of(whole, limits) == "model.limit_nodes");
    limits.nodes = 4;
    CHECK(code_of(whole, limits) == "model.limit_items");
    limits = {};
    limits.depth = 2;
    CHECK(code_of(whole, limits) == "model.limit_depth");
    limits = {};
    limits.features = 5;
    CHECK(code_of(whole, limits) == "model.limit_features");
    limits = {};
    limits.outputs = 2;
    CHECK(code_of(fixture("classes.json"), limits) == "model.limit_outputs");
    limits = {};
    limits.category_words = 1;
    CHECK(code_of(fixture("partition.json"), limits) == "model.limit_categories");
}

namespace {

// Files of nothing but brackets, quotes or counts, of `size` bytes, are refused with hardly any memory.
void refuse_brackets(std::size_t size) {
    tree_limits limits;
    limits.bytes = size + (std::size_t{1} << 17);
    const auto ubj = [](const std::string& text) {
        std::string out("L\0\0\0\0\0\0\0", 8);
        out += static_cast<char>(text.size());
        out += text;
        return out;
    };
    const std::string way = R"({"learner":{"gradient_booster":{"model":{)";
    std::string ubj_way;
    for (const char* key : {"learner", "gradient_booster", "model"}) ubj_way.append("{").append(ubj(key));
    ubj_way += '{';
    struct bomb {
        std::string begin, repeated;
        const char* code;
    };
    for (const auto& [begin, repeated, code] :
         {bomb{"", "[", "model.not_xgboost"}, bomb{"", "{", "model.not_xgboost"}, bomb{"{\"learner\":", "[", "model.wrong_kind"},
          bomb{way + "\"cats\":", "[", "model.limit_nesting"}, bomb{way + "\"cats\":[", "[],", "model.truncated"},
          bomb{way + "\"cats\":", "{\"a\":", "model.limit_nesting"}, bomb{way + "\"cats\":[", "{\"a\":1},", "model.truncated"},
          bomb{way + "\"trees\":", "[", "model.limit_nesting"}, bomb{way + "\"trees\":[", "[],", "model.truncated"},
          bomb{way + "\"trees\":[\"", "a", "model.truncated"}, bomb{way + "\"tree_info\":[", "0,", "model.limit_items"},
          bomb{way + "\"tree_info\":[", "   ", "model.truncated"}, bomb{ubj_way + ubj("cats"), "[", "model.limit_nesting"},
          bomb{ubj_way + ubj("cats") + "[", "[]", "model.truncated"}, bomb{ubj_way + ubj("trees"), "[", "model.limit_nesting"},
          bomb{ubj_way + ubj("tree_info") + "[", "i\1", "model.limit_items"}}) {
        INFO(begin << " " << repeated);
        std::string piece;
        while (piece.size() < (std::size_t{1} << 16)) piece += repeated;
        std::string file = begin;
        file.reserve(size + piece.size());
        while (file.size() < size) file += piece;
        const std::size_t before = allocated_bytes_so_far();
        const auto read = read_xgboost(file, limits);
        const std::size_t taken = allocated_bytes_so_far() - before;
        REQUIRE_FALSE(read);
        CHECK(read.error().code == code);
        // tree_info may have 100'000 trees of 4 bytes, and its vector doubles.
        CHECK(taken < 2'000'000);
    }
}

}  // namespace

TEST_CASE("brackets are refused in bounded memory") { refuse_brackets(std::size_t{4} << 20); }
TEST_CASE("a gibibyte of brackets is refused in bounded memory", "[.][nightly]") { refuse_brackets(std::size_t{1} << 30); }

TEST_CASE("tree formats are told apart by their first bytes") {
    CHECK(find_xgboost_format("{\"") == xgboost_format::json);
    CHECK(find_xgboost_format("{\n ") == xgboost_format::json);
    CHECK(find_xgboost_format("{}") == xgboost_format::json);
    CHECK(find_xgboost_format("{L") == xgboost_format::ubj);
    CHECK(find_xgboost_format("{") == xgboost_format::neither);
    CHECK(find_xgboost_format("{a") == xgboost_format::neither);
    CHECK(find_xgboost_format("") == xgboost_format::neither);
    for (const char* file : {"xgboost/tiny.json", "xgboost/tiny_ubj.ubj", "lambdarank.txt"}) {
        const auto read = read_trees(read_rank_fixture(file));
        REQUIRE(read);
        CHECK(read->arithmetic().float_sums == (file[0] == 'x'));
    }
    CHECK(read_trees("").error().code == "model.unknown_format");
    CHECK(read_trees("OPSPILOT").error().code == "model.unknown_format");
    CHECK(name(tree_format::lightgbm) == "lightgbm");
    CHECK(name(*find_tree_format("{L")) == "xgboost");
}
