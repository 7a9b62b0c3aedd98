#include "opspilot/rank/text_classifier.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.hpp"
#include "opspilot/base/math.hpp"

using namespace opspilot;

namespace {

text_classifier::parts small_parts() {
    text_classifier::parts p;
    p.classes = {"refund", "close", "override"};
    p.blocks = {{"words", 8}, {"letters", 4}};
    p.columns = {"age"};
    p.centre = {2.0F};
    p.bias = {0.5F, -0.25F, 0.0F};
    p.column_weights = {1.0F, 0.0F, -1.0F};
    p.rows.bucket = {1, 7, 9};  // words 1 and 7, letters 1
    p.rows.start = {0, 3, 4, 6};
    p.rows.output = {0, 1, 2, 1, 0, 2};
    p.rows.weight = {1.27F, -0.5F, 0.01F, 2.0F, -1.0F, 1.0F};
    p.fingerprint = "f00d";
    p.training = R"({"l2": 1.5, "by": "hand"})";
    return p;
}

text_classifier small_model() {
    auto built = text_classifier::build(small_parts());
    REQUIRE(built.ok());
    return *built;
}

}  // namespace

TEST_CASE("log-probabilities are those of the written-out sum") {
    const text_classifier model = small_model();
    const std::vector<std::uint32_t> words{1, 3, 7}, letters{1};
    const std::vector<float> word_values{1.0F, 9.0F, 0.5F}, letter_values{2.0F};
    const std::vector<sparse_view> views{{words, word_values}, {letters, letter_values}};
    const float dense[] = {5.0F};
    std::vector<double> out(3);
    classifier_scratch scratch;
    REQUIRE(model.log_probabilities(views, dense, {}, out, scratch).ok());
    // int8 rows: within 1/127 of the largest weight of each row.
    const std::vector<double> logit{0.5 + 3 + 1.27 - 2, -0.25 - 0.5 + 1, -3 + 0.01 + 2};
    double sum = 0;
    for (const double z : logit) sum += std::exp(z);
    for (std::size_t k = 0; k < 3; ++k) CHECK(out[k] == Approx(logit[k] - std::log(sum)).margin(0.03));

    // One row of all blocks together gives the same bits.
    const std::vector<std::uint32_t> joined{1, 3, 7, 9};
    const std::vector<float> joined_values{1.0F, 9.0F, 0.5F, 2.0F};
    std::vector<double> again(3);
    REQUIRE(model.log_probabilities(sparse_view{joined, joined_values}, dense, {}, again, scratch).ok());
    CHECK(again == out);

    // Only some classes: the same odds among them, nothing for the others.
    const std::uint8_t allowed[] = {1, 0, 1};
    REQUIRE(model.log_probabilities(views, dense, allowed, again, scratch).ok());
    CHECK(again[1] == -std::numeric_limits<double>::infinity());
    CHECK(again[0] - again[2] == Approx(out[0] - out[2]).epsilon(1e-14));
    CHECK(std::exp(again[0]) + std::exp(again[2]) == Approx(1.0).epsilon(1e-15));

    // Missing counts as the centre; buckets without weights and beyond the block count nothing.
    const float missing[] = {NAN}, centre[] = {2.0F};
    REQUIRE(model.log_probabilities(views, missing, {}, out, scratch).ok());
    REQUIRE(model.log_probabilities(views, centre, {}, again, scratch).ok());
    CHECK(out == again);
    const std::vector<std::uint32_t> beyond{0, 8, 4000000000U};
    const std::vector<float> beyond_values{1.0F, 1.0F, 1.0F};
    const std::vector<sparse_view> strange{{beyond, beyond_values}, {}}, empty{{}, {}};
    REQUIRE(model.log_probabilities(strange, centre, {}, out, scratch).ok());
    REQUIRE(model.log_probabilities(empty, centre, {}, again, scratch).ok());
    CHECK(out == again);
}

TEST_CASE("a decision's features are found by name, and what disagrees is named") {
    const text_classifier model = small_model();
    const std::vector<std::string> columns{"price", "age"};
    const std::vector<scope> scopes{scope::pair, scope::task};
    const std::vector<sparse_block> blocks{{"letters", 4}, {"words", 8}};
    feature_names offered{columns, scopes, blocks, "f00d"};
    const auto bound = model.bound_to(offered);
    REQUIRE(bound.ok());

    feature_matrix features;
    features.resize(2, scopes, 2);
    for (std::size_t i = 0; i < 2; ++i) {
        features.column(0)[i] = 7.0F;
        features.column(1)[i] = 5.0F;
    }
    features.sparse_for_writing(0) = {{1}, {2.0F}};
    features.sparse_for_writing(1) = {{1, 7}, {1.0F, 0.5F}};
    std::vector<double> out(3), expected(3);
    classifier_scratch scratch;
    REQUIRE(bound->log_probabilities(features, {}, out, scratch).ok());
    const std::vector<std::uint32_t> joined{1, 7, 9};
    const std::vector<float> joined_values{1.0F, 0.5F, 2.0F};
    const float dense[] = {5.0F};
    REQUIRE(model.log_probabilities(sparse_view{joined, joined_values}, dense, {}, expected, scratch).ok());
    CHECK(out == expected);
    features.resize(0, scopes, 2);  // no candidates: task columns are missing
    CHECK(bound->log_probabilities(features, {}, out, scratch).ok());

    const auto code_of = [&](const feature_names& names) {
        const auto refused = model.bound_to(names);
        REQUIRE_FALSE(refused.ok());
        return refused.error();
    };
    offered.fingerprint = "beef";
    CHECK(code_of(offered).code == "features.fingerprint");
    offered.fingerprint = "";
    const std::vector<std::string> misspelt{"price", "aged"};
    offered.columns = misspelt;
    CHECK(code_of(offered).code == "features.unknown_column");
    CHECK(code_of(offered).hint == "did you mean 'aged'?");
    offered.columns = columns;
    const std::vector<scope> pairs{scope::pair, scope::pair};
    offered.scopes = pairs;
    CHECK(code_of(offered).code == "features.scope");
    offered.scopes = scopes;
    const std::vector<sparse_block> smaller{{"letters", 4}, {"words", 16}};
    offered.blocks = smaller;
    CHECK(code_of(offered).code == "features.dimension");
    const std::vector<sparse_block> renamed{{"letters", 4}, {"wrods", 8}};
    offered.blocks = renamed;
    CHECK(code_of(offered).code == "features.unknown_block");
    CHECK(model.log_probabilities(features, {}, out, scratch).error().code == "usage.unbound");
}

TEST_CASE("a model file is the model, and every cut or flipped byte is survived") {
    const text_classifier model = small_model();
    const std::string bytes = model.to_bytes();
    const auto read = text_classifier::parse(bytes);
    REQUIRE(read.ok());
    CHECK(read->to_bytes() == bytes);
    CHECK(std::equal(read->classes().begin(), read->classes().end(), model.classes().begin(), model.classes().end()));
    CHECK(read->fingerprint() == "f00d");
    CHECK(read->training() == R"({"by":"hand","l2":1.5})");
    CHECK(read->override_index() == 2U);
    CHECK(read->weights().entries() == 6);

    for (std::size_t n = 0; n < bytes.size(); ++n) {
        const auto cut = text_classifier::parse(std::string_view(bytes).substr(0, n));
        REQUIRE_FALSE(cut.ok());
        CHECK(cut.error().kind == error_kind::model);
    }
    std::string longer = bytes;
    longer.push_back('x');
    CHECK(text_classifier::parse(longer).error().code == "model.trailing");
    classifier_scratch scratch;
    std::vector<double> out;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const unsigned flip : {1U, 8U, 128U, 255U}) {
            std::string changed = bytes;
            changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ flip);
            const auto flipped = text_classifier::parse(changed);
            if (!flipped.ok()) continue;  // otherwise it is another model, and works
            out.resize(flipped->classes().size());
            const std::vector<float> dense(flipped->columns().size(), 1.0F);
            const std::vector<sparse_view> views(flipped->blocks().size());
            (void)flipped->log_probabilities(views, dense, {}, out, scratch).ok();
            CHECK(flipped->to_bytes().size() <= changed.size() + 8);
        }
}

TEST_CASE("counts beyond the bytes and numbers that are none are refused before anything is allocated") {
    const std::string bytes = small_model().to_bytes();
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string header = bytes.substr(12, static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]));
        const std::string rest = bytes.substr(12 + header.size());
        const std::size_t at = header.find(from);
        REQUIRE(at != std::string::npos);
        header.replace(at, from.size(), to);
        std::string out = bytes.substr(0, 8);
        for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<char>(static_cast<unsigned char>(header.size() >> (8 * i))));
        out.append(header);
        out.append(rest);
        const auto read = text_classifier::parse(out);
        REQUIRE_FALSE(read.ok());
        return std::string(read.error().code);
    };
    CHECK(with("\"rows\":3", "\"rows\":4000000000") == "model.truncated");
    CHECK(with("\"rows\":3", "\"rows\":9223372036854775807") == "model.truncated");
    CHECK(with("\"rows\":3", "\"rows\":-3") == "model.header");
    CHECK(with("\"entries\":6", "\"entries\":7") == "model.entries");
    CHECK(with("\"entries\":6", "\"entries\":5") == "model.entries");
    CHECK(with("\"dimension\":8", "\"dimension\":4000000000") == "limit.buckets");
    CHECK(with("\"dimension\":8", "\"dimension\":2") == "model.rows");
    CHECK(with("\"close\"", "\"refund\"") == "model.names");
    CHECK(with("\"kind\":\"text_classifier\"", "\"kind\":\"choice_model\"") == "model.kind");
    CHECK(with("\"columns\":", "\"colums\":") == "model.unknown_field");
    std::string later = bytes;
    later[5] = 2;
    CHECK(text_classifier::parse(later).error().code == "model.version");
    CHECK(text_classifier::parse("tree\nversion=v4").error().code == "model.magic");

    auto parts = small_parts();
    parts.rows.weight[2] = NAN;
    CHECK(text_classifier::build(parts).error().code == "model.not_finite");
    parts = small_parts();
    parts.bias[0] = INFINITY;
    CHECK(text_classifier::build(parts).error().code == "model.not_finite");
    parts = small_parts();
    std::swap(parts.rows.bucket[0], parts.rows.bucket[1]);
    CHECK(text_classifier::build(parts).error().code == "model.shape");
    parts = small_parts();
    parts.classes.clear();
    CHECK(text_classifier::build(parts).error().code == "model.shape");

    // Wrong lengths, nothing allowed, and numbers that overflow.
    const text_classifier model = small_model();
    classifier_scratch scratch;
    std::vector<double> out(3), two(2);
    const float dense[] = {1.0F};
    const std::uint8_t nothing[] = {0, 0, 0};
    CHECK(model.log_probabilities(sparse_view{}, dense, {}, two, scratch).error().code == "usage.length");
    CHECK(model.log_probabilities(sparse_view{}, {}, {}, out, scratch).error().code == "usage.length");
    CHECK(model.log_probabilities(sparse_view{}, dense, nothing, out, scratch).error().code == "usage.no_class");
    const std::vector<std::uint32_t> index{1};
    const std::vector<float> huge{3e38F};
    CHECK(model.log_probabilities(sparse_view{index, huge}, dense, {}, out, scratch).error().code == "model.overflow");
}

TEST_CASE("rows are read back whether outputs are listed or masked, few or many") {
    for (const std::size_t classes : {1U, 8U, 9U, 256U, 257U, 3000U}) {
        text_classifier::parts p;
        for (std::size_t k = 0; k < classes; ++k) p.classes.push_back(std::string("c").append(std::to_string(k)));
        p.blocks = {{"words", 1000}};
        p.bias.assign(classes, 0.0F);
        p.rows.start = {0};
        for (std::uint32_t r = 0; r < 40; ++r) {
            p.rows.bucket.push_back(r * r / 2 + r);
            for (std::size_t k = r % classes; k < classes; k += 1 + r * 5) {
                p.rows.output.push_back(static_cast<std::uint16_t>(k));
                p.rows.weight.push_back(static_cast<float>(k % 13) - 6.5F);
            }
            p.rows.start.push_back(p.rows.weight.size());
        }
        const auto built = text_classifier::build(p);
        REQUIRE(built.ok());
        const std::string bytes = built->to_bytes();
        const auto read = text_classifier::parse(bytes);
        REQUIRE(read.ok());
        CHECK(read->to_bytes() == bytes);
        classifier_scratch scratch;
        std::vector<double> a(classes), b(classes);
        for (std::uint32_t r = 0; r < 40; ++r) {
            const std::vector<std::uint32_t> index{p.rows.bucket[r]};
            const std::vector<float> value{1.0F};
            REQUIRE(built->log_probabilities(sparse_view{index, value}, {}, {}, a, scratch).ok());
            REQUIRE(read->log_probabilities(sparse_view{index, value}, {}, {}, b, scratch).ok());
            CHECK(a == b);
            for (std::size_t e = p.rows.start[r]; e < p.rows.start[r + 1]; ++e)
                CHECK(std::abs(scratch.sums[p.rows.output[e]] - p.rows.weight[e]) <= 6.5F / 126.0F / 2.0F);
        }
    }
}
