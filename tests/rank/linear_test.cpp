#include "opspilot/rank/linear.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "catch.hpp"

using namespace opspilot;

namespace {

// A small generator of our own: the same numbers with every standard library.
struct numbers {
    std::uint64_t state = 88172645463325252ULL;
    double next() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<double>(state >> 11) * 0x1p-53 * 2 - 1;
    }
};

linear_ranker ranker(std::size_t features, numbers& random, std::string_view kernel = {}) {
    linear_ranker::parts p;
    for (std::size_t j = 0; j < features; ++j) {
        p.features.push_back(std::string("f").append(std::to_string(j)));
        p.weights.push_back(random.next() * std::exp(3 * random.next()));
    }
    p.intercept = random.next();
    auto built = linear_ranker::build(p, kernel);
    REQUIRE(built);
    return std::move(built).value();
}

// The contract of linear_kernel, spelled out once more.
float by_definition(const linear_ranker& r, const float* row) {
    float p[8] = {};
    for (std::size_t j = 0; j < r.weights().size(); ++j) {
        const volatile float product = row[j] * static_cast<float>(r.weights()[j]);
        p[j % 8] += product;
    }
    return (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) + static_cast<float>(r.intercept());
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

std::string refusal(std::string_view json) {
    const auto read = linear_ranker::parse(json);
    return read ? "" : std::string(read.error().code) + " " + read.error().where;
}

}  // namespace

TEST_CASE("all kernels give the bits of the definition, in rows and in columns") {
    CHECK(linear_kernels().back()->name == "scalar");
    numbers random;
    for (const std::size_t features : std::array<std::size_t, 9>{1, 3, 7, 8, 9, 16, 23, 96, 101})
        for (const std::size_t n : std::array<std::size_t, 10>{0, 1, 2, 5, 8, 15, 16, 31, 33, 67}) {
            const numbers before = random;
            const linear_ranker reference = ranker(features, random);
            std::vector<float> rows(n * features);
            for (float& v : rows) {
                v = static_cast<float>(random.next() * std::exp(10 * random.next()));
                const double special = random.next();
                if (special > 0.97) v = 0.0F;
                if (special < -0.97) v = -0.0F;
                if (special > 0.998) v = std::numeric_limits<float>::infinity();
                if (special < -0.998) v = std::numeric_limits<float>::quiet_NaN();
            }
            std::vector<float> columns(n * features);
            std::vector<const float*> pointers;
            for (std::size_t j = 0; j < features; ++j) {
                for (std::size_t i = 0; i < n; ++i) columns[j * n + i] = rows[i * features + j];
                pointers.push_back(columns.data() + j * n);
            }
            std::vector<float> expected(n);
            for (std::size_t i = 0; i < n; ++i) {
                expected[i] = by_definition(reference, rows.data() + i * features);
                if (std::isnan(expected[i])) expected[i] = std::numeric_limits<float>::quiet_NaN();
            }
            for (const linear_kernel* kernel : linear_kernels()) {
                INFO(kernel->name << " " << n << " x " << features);
                numbers again = before;
                const linear_ranker r = ranker(features, again, kernel->name);
                CHECK(r.kernel() == kernel->name);
                std::vector<float> by_row(n, -1.0F);
                std::vector<float> by_column(n, -1.0F);
                REQUIRE(r.score_rows(std::span<const float>(rows), n, by_row));
                REQUIRE(r.score_columns(pointers, n, by_column));
                CHECK(same(by_row, expected));
                // Adding "no sparse part" turns -0 into +0 and nothing else.
                for (float& v : expected) v = v + 0.0F;
                CHECK(same(by_column, expected));
            }
        }
}

TEST_CASE("doubles are scored in doubles") {
    numbers random;
    const linear_ranker r = ranker(13, random);
    std::vector<double> rows(13 * 4);
    for (double& v : rows) v = random.next();
    std::vector<double> out(4);
    REQUIRE(r.score_rows(std::span<const double>(rows), 4, out));
    for (std::size_t i = 0; i < 4; ++i) {
        long double sum = r.intercept();
        for (std::size_t j = 0; j < 13; ++j) sum += static_cast<long double>(rows[i * 13 + j]) * r.weights()[j];
        CHECK(out[i] == Approx(static_cast<double>(sum)).epsilon(1e-14));
    }
}

TEST_CASE("hashed weights meet sparse vectors") {
    const auto r = linear_ranker::parse(
        R"({"version":1,"features":["a"],"weights":[2],"intercept":0.5,
            "sparse":[{"block":"words","dimension":100,"index":[3,50,99],"weights":[1,-2,4]}]})");
    REQUIRE(r);
    const std::vector<std::uint32_t> index{2, 3, 99, 4'000'000'000U};
    const std::vector<float> value{9.0F, 0.5F, 0.25F, 7.0F};
    const std::array<sparse_view, 1> views{{{index, value}}};
    float sparse = -1;
    REQUIRE(r->sparse_score(views, sparse));
    CHECK(sparse == 1.5F);
    const std::array<float, 2> a{1.0F, -1.0F};
    const std::array<const float*, 1> columns{a.data()};
    std::vector<float> out(2);
    REQUIRE(r->score_columns(columns, 2, out, sparse));
    CHECK(out == std::vector<float>{4.0F, 0.0F});
    CHECK(r->sparse_score({}, sparse).error().code == "usage.length");
    const auto again = linear_ranker::parse(r->to_json());
    REQUIRE(again);
    CHECK(again->to_json() == r->to_json());
}

TEST_CASE("a malformed ranker is refused with its place") {
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":[1]})").empty());
    CHECK(refusal(R"({"version":2,"features":["a"],"weights":[1]})") == "model.version /version");
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":[1,2]})") == "model.shape /weights");
    CHECK(refusal(R"({"version":1,"features":["a","a"],"weights":[1,2]})") == "model.feature_name_twice /features");
    CHECK(refusal(R"({"version":1,"features":["a",3],"weights":[1,2]})") == "model.wrong_kind /features/1");
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":["1"]})") == "model.wrong_kind /weights/0");
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":[1e39]})") == "model.not_finite /weights/0");
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":[1],"intercept":-1e39})") == "model.not_finite /intercept");
    CHECK(refusal(R"({"version":1,"features":[],"weights":[]})") == "model.linear_empty ");
    CHECK(refusal(R"({"version":1,"features":["a"],"weights":[1],"wieghts":[1]})") == "model.unknown_field /wieghts");
    const auto sparse = [](const std::string& block) {
        return refusal(R"({"version":1,"features":[],"weights":[],"sparse":[)" + block + "]}");
    };
    CHECK(sparse(R"({"block":"w","dimension":4,"index":[0,3],"weights":[1,2]})").empty());
    CHECK(sparse(R"({"block":"w","dimension":4,"index":[0,4],"weights":[1,2]})") == "model.hashed_index /sparse/0/index/1");
    CHECK(sparse(R"({"block":"w","dimension":4,"index":[3,3],"weights":[1,2]})") == "model.hashed_index /sparse/0/index/1");
    CHECK(sparse(R"({"block":"w","dimension":4,"index":[-1],"weights":[1]})") == "model.hashed_index /sparse/0/index/0");
    CHECK(sparse(R"({"block":"w","dimension":4,"index":[1],"weights":[]})") == "model.shape /sparse/0");
    CHECK(sparse(R"({"block":"w","dimension":0,"index":[],"weights":[]})") == "model.limit_dimension /sparse/0/dimension");
    CHECK(sparse(R"({"block":"w","dimension":4000000000,"index":[],"weights":[]})") ==
          "model.limit_dimension /sparse/0/dimension");
    CHECK(linear_ranker::build({{"a"}, {1}, 0, {}, ""}, "warp").error().code == "usage.unknown_engine");
}

TEST_CASE("lengths are checked") {
    numbers random;
    const linear_ranker r = ranker(3, random);
    std::vector<float> rows(6);
    std::vector<float> out(2);
    CHECK(r.score_rows(std::span<const float>(rows), 2, out));
    CHECK(r.score_rows(std::span<const float>(rows), 3, out).error().code == "usage.length");
    CHECK(r.score_columns({}, 2, out).error().code == "usage.length");
}
