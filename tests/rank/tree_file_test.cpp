#include "opspilot/rank/tree_file.hpp"

#include <cmath>
#include <limits>

#include "opspilot/base/hash.hpp"
#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

constexpr std::array<const char*, 4> catboost_names{"catboost_nan_max", "catboost_two_targets", "catboost_lossguide_multiclass",
                                                    "catboost_no_splits"};

std::string u32(std::uint32_t v) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(static_cast<unsigned char>(v >> (8 * i)));
    return out;
}

// The checksum made right again, so that what stands behind it is reached.
std::string sealed(std::string body) {
    const sha256_digest digest = sha256(body);
    return body.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}
std::string resealed(const std::string& bytes) { return sealed(bytes.substr(0, bytes.size() - 32)); }

// Every kind of thing that a file can hold.
tree_ensemble small_ensemble() {
    tree_builder b;
    REQUIRE(b.begin({"a", "größe"}, 2));
    b.objective("made up");
    b.arithmetic({.zero_threshold = 1e-35, .float_values = true, .float_sums = true, .fractions_are_zero = false});
    REQUIRE(b.start(std::vector<double>{0.25, -0.0}));
    REQUIRE(b.scale_and_bias(0.1, std::vector<double>{1e-300, 3}));
    b.average();
    REQUIRE(b.begin_vector_tree(5));
    const std::vector<std::uint32_t> first{0, 5}, second{9};
    REQUIRE(b.split_categories(0, 0, second, true, 1, 2));
    REQUIRE(b.split_categories(1, 0, first, false, 3, 4));
    for (const std::uint32_t leaf : {2U, 3U, 4U}) REQUIRE(b.leaf(leaf, std::vector<double>{leaf * 1.1, -1.0 * leaf}));
    for (const std::uint32_t node : {0U, 1U, 2U, 3U, 4U}) REQUIRE(b.cover(node, node + 0.5));
    REQUIRE(b.end_tree());
    REQUIRE(b.begin_vector_tree(1));
    REQUIRE(b.leaf(0, std::vector<double>{7, 8}));
    REQUIRE(b.end_tree());
    REQUIRE(b.begin_tree(3, 0));
    REQUIRE(b.split(0, 1, -std::numeric_limits<double>::infinity(), missing_rule::zero, true, 1, 2));
    REQUIRE(b.leaf(1, 1));
    REQUIRE(b.leaf(2, 2));
    for (const std::uint32_t node : {0U, 1U, 2U}) REQUIRE(b.cover(node, 1));
    REQUIRE(b.end_tree());
    REQUIRE(b.begin_tree(1, 1));
    REQUIRE(b.leaf(0, 5));
    REQUIRE(b.end_tree());
    auto built = b.finish();
    REQUIRE(built);
    return *std::move(built);
}

std::string code(const std::string& bytes, const tree_limits& limits = {}) {
    const auto read = read_tree_file(bytes, limits);
    if (read) return "";
    CHECK_FALSE(read.error().message.empty());
    return std::string(read.error().code);
}

void check_same(const tree_ensemble& a, const tree_ensemble& b) {
    CHECK(std::equal(a.feature_names().begin(), a.feature_names().end(), b.feature_names().begin(), b.feature_names().end()));
    CHECK(a.objective() == b.objective());
    CHECK(a.outputs() == b.outputs());
    CHECK(a.divisor() == b.divisor());
    CHECK(a.scale() == b.scale());
    CHECK(std::equal(a.start().begin(), a.start().end(), b.start().begin(), b.start().end()));
    CHECK(std::equal(a.bias().begin(), a.bias().end(), b.bias().begin(), b.bias().end()));
    CHECK(a.arithmetic().zero_threshold == b.arithmetic().zero_threshold);
    CHECK(a.arithmetic().float_values == b.arithmetic().float_values);
    CHECK(a.arithmetic().float_sums == b.arithmetic().float_sums);
    CHECK(a.arithmetic().fractions_are_zero == b.arithmetic().fractions_are_zero);
    CHECK(a.has_covers() == b.has_covers());
    CHECK(a.category_sets() == b.category_sets());
    REQUIRE(a.trees() == b.trees());
    for (std::size_t t = 0; t < a.trees(); ++t) {
        const tree_view x = a.tree(t), y = b.tree(t);
        CHECK(x.width == y.width);
        CHECK(x.output == y.output);
        CHECK(x.depth == y.depth);
        CHECK(std::equal(x.leaves.begin(), x.leaves.end(), y.leaves.begin(), y.leaves.end()));
        CHECK(std::equal(x.split_covers.begin(), x.split_covers.end(), y.split_covers.begin(), y.split_covers.end()));
        CHECK(std::equal(x.leaf_covers.begin(), x.leaf_covers.end(), y.leaf_covers.begin(), y.leaf_covers.end()));
        REQUIRE(x.splits.size() == y.splits.size());
        for (std::size_t i = 0; i < x.splits.size(); ++i) {
            const tree_split &s = x.splits[i], &r = y.splits[i];
            CHECK(s.threshold == r.threshold);
            CHECK(s.feature == r.feature);
            CHECK(s.left == r.left);
            CHECK(s.right == r.right);
            CHECK(s.missing == r.missing);
            CHECK(s.default_left == r.default_left);
            REQUIRE(s.categorical == r.categorical);
            if (!s.categorical) continue;
            const auto u = a.categories(s.categories), v = b.categories(r.categories);
            CHECK(std::equal(u.begin(), u.end(), v.begin(), v.end()));
        }
    }
}

}  // namespace

TEST_CASE("an ensemble written and read is the same, and so are its bytes") {
    const tree_ensemble small = small_ensemble();
    const std::string bytes = write_tree_file(small);
    CHECK(is_tree_file(bytes));
    const auto read = read_tree_file(bytes);
    REQUIRE(read);
    check_same(small, *read);
    CHECK(std::signbit(read->start()[1]));
    CHECK(write_tree_file(*read) == bytes);
}

TEST_CASE("models of other libraries keep their scores through the library's own file") {
    std::vector<std::string> names(rank_fixture_names.begin(), rank_fixture_names.end());
    names.insert(names.end(), catboost_names.begin(), catboost_names.end());
    for (const std::string& name : names) {
        INFO(name);
        const auto model = name.starts_with("catboost") ? read_catboost(read_rank_fixture(name + ".json"))
                                                        : read_lightgbm(read_rank_fixture(name + ".txt"));
        REQUIRE(model);
        const std::string bytes = write_tree_file(*model);
        const auto read = read_tree_file(bytes);
        REQUIRE(read);
        check_same(*model, *read);
        CHECK(write_tree_file(*read) == bytes);
        const rank_rows rows = read_rank_rows(name);
        std::vector<double> scores(rows.n * rows.outputs, -1);
        REQUIRE(read->score_rows(std::span<const double>(rows.values), rows.n, scores));
        CHECK(same_bits(scores, rows.scores));
    }
}

TEST_CASE("a tree file cut anywhere, with any byte changed, or with more behind it is refused") {
    const std::string bytes = write_tree_file(small_ensemble());
    for (std::size_t n = 0; n < bytes.size(); ++n) REQUIRE_FALSE(read_tree_file(std::string_view(bytes).substr(0, n)));
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const int flip : {1, 16, 128, 255}) {
            std::string bad = bytes;
            bad[i] = static_cast<char>(bad[i] ^ flip);
            REQUIRE_FALSE(read_tree_file(bad));
        }
    CHECK(code(bytes + "x") == "model.trailing");
    CHECK(code("tree\nversion=v4\n") == "model.magic");
    CHECK(code("") == "model.magic");
    std::string other = bytes;
    other[5] = 2;
    CHECK(code(other) == "model.version");
    CHECK(read_tree_file(other).error().message == "a file of version 2, this library reads version 1");
    other = bytes;
    other[bytes.size() - 1] = static_cast<char>(other[bytes.size() - 1] ^ 1);
    CHECK(code(other) == "model.checksum");
}

TEST_CASE("a changed tree file with a right checksum is refused or scored") {
    const std::string bytes = write_tree_file(small_ensemble());
    std::size_t accepted = 0;
    for (std::size_t i = 0; i + 32 < bytes.size(); ++i)
        for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
            std::string bad = bytes;
            bad[i] = static_cast<char>(bad[i] ^ flip);
            const auto model = read_tree_file(resealed(bad));
            if (!model) continue;
            ++accepted;
            const std::vector<double> row(model->features(), 5.0);
            std::vector<double> out(model->outputs(), std::numeric_limits<double>::quiet_NaN());
            REQUIRE(model->score_rows(std::span<const double>(row), 1, out));
            for (const double v : out) REQUIRE(std::isfinite(v));
        }
    CHECK(accepted > 100);
}

TEST_CASE("counts that nothing backs cost nothing") {
    const auto file = [](const std::string& header, const std::string& rest) {
        return sealed(std::string("OPSPT\1\0\0", 8) + u32(static_cast<std::uint32_t>(header.size())) + header + rest);
    };
    const std::string bytes = write_tree_file(small_ensemble());
    const std::string header = bytes.substr(12, bytes.find('}') - 11);
    const auto with = [&](const std::string& what, const std::string& by) {
        std::string changed = header;
        const std::size_t at = changed.find(what);
        REQUIRE(at != std::string::npos);
        return file(changed.replace(at, what.size(), by), bytes.substr(12 + header.size(), bytes.size() - 44 - header.size()));
    };
    CHECK(code(with("made up", "made up")) == "");
    CHECK(code(with("\"outputs\":2", "\"outputs\":4000000000")) == "model.truncated");
    CHECK(code(with("\"trees\":4", "\"trees\":4000000000")) == "model.truncated");
    CHECK(code(with("\"splits\":3", "\"splits\":4000000000")) == "model.count");
    CHECK(code(with("\"sets\":2", "\"sets\":4000000000")) == "model.truncated");
    CHECK(code(with("\"words\":3", "\"words\":4000000000")) == "model.count");
    CHECK(code(with("\"words\":3", "\"words\":99999999999999999999")) == "model.wrong_kind");
    CHECK(code(with("\"words\":3", "\"words\":-1")) == "model.count");
    // A tree of 2^32 - 1 splits whose leaves have two values each.
    const std::string start(32, '\0');
    CHECK(code(file(header, start + u32(UINT32_MAX) + u32(UINT32_MAX) + std::string(200, '\0'))) == "model.count");

    tree_limits limits;
    limits.bytes = 100;
    CHECK(code(bytes, limits) == "model.limit_bytes");
    limits = {};
    limits.trees = 3;
    CHECK(code(bytes, limits) == "model.limit_trees");
    limits = {};
    limits.category_words = 1;
    CHECK(code(bytes, limits) == "model.limit_categories");
}
