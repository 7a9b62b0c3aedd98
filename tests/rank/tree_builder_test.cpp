#include "opspilot/rank/tree_builder.hpp"

#include <limits>

#include "opspilot/rank/tree_scorer.hpp"

#include "catch.hpp"

using namespace opspilot;

namespace {

// A builder inside a tree of n nodes over features a, b.
tree_builder in_tree(std::size_t nodes, const tree_limits& limits = {}, std::size_t outputs = 1) {
    tree_builder b(limits);
    REQUIRE(b.begin({"a", "b"}, outputs));
    REQUIRE(b.begin_tree(nodes, 0));
    return b;
}

std::string code(const status& s) { return s ? "" : std::string(s.error().code); }

status split(tree_builder& b, std::uint32_t node, std::uint32_t left, std::uint32_t right) {
    return b.split(node, 0, 0.5, missing_rule::none, false, left, right);
}

}  // namespace

TEST_CASE("nodes in any order become trees whose children follow their parents") {
    tree_builder b = in_tree(5);
    // 4 is no root here: the root is 0, and numbers do not follow the tree's order.
    REQUIRE(b.leaf(1, 10));
    REQUIRE(split(b, 4, 1, 3));
    REQUIRE(b.leaf(2, 30));
    REQUIRE(b.leaf(3, 20));
    REQUIRE(b.split(0, 1, 1.5, missing_rule::nan, true, 4, 2));
    REQUIRE(b.end_tree());
    auto built = b.finish();
    REQUIRE(built);
    const tree_view tree = built->tree(0);
    REQUIRE(tree.splits.size() == 2);
    CHECK(tree.depth == 2);
    CHECK(tree.splits[0].feature == 1);
    CHECK(tree.splits[0].left == 1);
    CHECK(tree.splits[0].right == ~2);
    CHECK(tree.splits[1].left == ~0);
    CHECK(tree.splits[1].right == ~1);
    CHECK(std::vector<double>(tree.leaves.begin(), tree.leaves.end()) == std::vector<double>{10, 20, 30});
    std::vector<double> out(1);
    REQUIRE(built->score_rows(std::span<const double>(std::vector<double>{0.6, 1.0}), 1, out));
    CHECK(out[0] == 20);
}

TEST_CASE("a root other than node 0") {
    tree_builder b;
    REQUIRE(b.begin({"a"}, 1));
    REQUIRE(b.begin_tree(3, 0, 2));
    REQUIRE(b.leaf(0, 1));
    REQUIRE(b.leaf(1, 2));
    REQUIRE(split(b, 2, 0, 1));
    REQUIRE(b.end_tree());
    CHECK(b.finish());
}

TEST_CASE("what is no tree is refused, each fault by its name") {
    tree_builder b;
    CHECK(code(b.begin({}, 1)) == "model.no_features");
    CHECK(code(b.begin({"a", "a"}, 1)) == "model.feature_name_twice");
    CHECK(code(b.begin({"a"}, 0)) == "model.no_outputs");
    REQUIRE(b.begin({"a"}, 1));
    CHECK(code(b.begin_tree(0, 0)) == "model.tree_empty");
    CHECK(code(b.begin_tree(1, 1)) == "model.output_range");
    CHECK(code(b.begin_tree(1, 0, 1)) == "model.root_range");

    b = in_tree(3);
    CHECK(code(b.leaf(3, 1)) == "model.node_range");
    REQUIRE(b.leaf(1, 1));
    CHECK(code(b.leaf(1, 1)) == "model.node_twice");
    CHECK(code(b.leaf(2, std::numeric_limits<double>::quiet_NaN())) == "model.leaf_not_finite");
    CHECK(code(b.split(0, 2, 0, missing_rule::none, false, 1, 2)) == "model.feature_range");
    CHECK(code(b.split(0, 0, std::numeric_limits<double>::quiet_NaN(), missing_rule::none, false, 1, 2)) ==
          "model.threshold_nan");
    CHECK(code(split(b, 0, 1, 3)) == "model.child_range");

    b = in_tree(3);
    CHECK(code(split(b, 1, 0, 2)) == "model.root_has_parent");
    b = in_tree(3);
    CHECK(code(split(b, 0, 1, 1)) == "model.node_two_parents");
    b = in_tree(3);
    REQUIRE(split(b, 0, 1, 2));
    REQUIRE(b.leaf(1, 1));
    CHECK(code(b.end_tree()) == "model.node_undefined");

    b = in_tree(2);
    REQUIRE(b.leaf(0, 1));
    REQUIRE(b.leaf(1, 1));
    CHECK(code(b.end_tree()) == "model.node_unreachable");

    // 0 stands alone; 1 and 2 are each other's parents.
    b = in_tree(5);
    REQUIRE(b.leaf(0, 1));
    REQUIRE(split(b, 1, 2, 3));
    REQUIRE(split(b, 2, 1, 4));
    REQUIRE(b.leaf(3, 1));
    REQUIRE(b.leaf(4, 1));
    const status cycle = b.end_tree();
    CHECK(code(cycle) == "model.node_unreachable");
    CHECK(cycle.error().message == "the node is part of a cycle");
    CHECK(cycle.error().where == "tree 0 node 1");

    b = in_tree(3);
    CHECK(code(split(b, 0, 0, 1)) == "model.root_has_parent");

    tree_builder none;
    REQUIRE(none.begin({"a"}, 1));
    CHECK(none.finish().error().code == "model.no_trees");
}

TEST_CASE("sums that could reach infinity and averages of unequal counts are refused") {
    tree_builder b = in_tree(1);
    REQUIRE(b.leaf(0, 1.7e308));
    REQUIRE(b.end_tree());
    REQUIRE(b.begin_tree(1, 0));
    REQUIRE(b.leaf(0, 1.7e308));
    REQUIRE(b.end_tree());
    CHECK(b.finish().error().code == "model.score_overflow");

    b = in_tree(1, {}, 2);
    b.average();
    REQUIRE(b.leaf(0, 1));
    REQUIRE(b.end_tree());
    CHECK(b.finish().error().code == "model.trees_per_output");
}

TEST_CASE("a long chain neither overflows the stack nor passes the depth limit") {
    constexpr std::uint32_t depth = 200'000;
    const auto chain = [](const tree_limits& limits) {
        tree_builder b = in_tree(2 * depth + 1, limits);
        for (std::uint32_t i = 0; i < depth; ++i) {
            REQUIRE(split(b, i, i + 1, depth + 1 + i));
            REQUIRE(b.leaf(depth + 1 + i, i));
        }
        REQUIRE(b.leaf(depth, -1));
        return b.end_tree();
    };
    tree_limits limits;
    CHECK(code(chain(limits)) == "model.limit_depth");
    limits.depth = depth;
    CHECK(chain(limits));
}

TEST_CASE("category sets are shared when equal, and truncate values like LightGBM") {
    tree_builder b = in_tree(5);
    const std::vector<std::uint32_t> set{0b101, 0, 1};  // 0, 2, 64
    const std::vector<std::uint32_t> same{0b101, 0, 1, 0, 0};
    REQUIRE(b.split_categories(0, 0, set, false, 1, 2));
    REQUIRE(b.split_categories(1, 1, same, false, 3, 4));
    REQUIRE(b.leaf(2, 1));
    REQUIRE(b.leaf(3, 2));
    REQUIRE(b.leaf(4, 3));
    REQUIRE(b.end_tree());
    auto built = b.finish();
    REQUIRE(built);
    CHECK(built->category_sets() == 1);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> left{0, 2, 64, 2.9, -0.9, 0.3};
    const std::vector<double> right{1, 3, 65, 96, -1, -5, nan, inf, -inf, 1e12};
    std::vector<double> out(1);
    for (const double v : left) {
        REQUIRE(built->score_rows(std::span<const double>(std::vector<double>{v, 1}), 1, out));
        CHECK(out[0] == 3);
    }
    for (const double v : right) {
        REQUIRE(built->score_rows(std::span<const double>(std::vector<double>{v, 0}), 1, out));
        CHECK(out[0] == 1);
    }
}

TEST_CASE("lengths and engines are checked") {
    tree_builder b = in_tree(1);
    REQUIRE(b.leaf(0, 1));
    REQUIRE(b.end_tree());
    auto built = b.finish();
    REQUIRE(built);
    std::vector<double> out(2);
    CHECK(code(built->score_rows(std::span<const double>(std::vector<double>{1, 2, 3}), 2, out)) == "usage.length");
    CHECK(code(built->score_rows(std::span<const double>(std::vector<double>{1, 2}), 1, out)) == "usage.length");
    CHECK(tree_scorer::compile(*built, "warp").error().code == "usage.unknown_engine");
    CHECK(tree_engines().back() == "scalar");
}
