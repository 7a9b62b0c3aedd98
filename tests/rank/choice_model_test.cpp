#include "opspilot/rank/choice_model.hpp"

#include <cmath>
#include <limits>

#include "catch.hpp"

using namespace opspilot;

namespace {

choice_model::parts small_choice() {
    choice_model::parts p;
    p.columns = {"price", "same_kind"};
    p.centre = {10.0F, 0.0F};
    p.column_weights = {-0.5F, 2.0F};
    p.keys = {{"id", {"refund", "close"}}, {"tags", {"fast", "safe"}}};
    p.outside = true;
    p.blocks = {{"words", 16}};
    p.bias = {0.25F, 0.0F, 0.5F, -0.5F, 1.0F};
    p.rows.bucket = {3, 5};
    p.rows.start = {0, 2, 5};
    p.rows.output = {0, 4, 1, 2, 3};
    p.rows.weight = {1.0F, -1.0F, 1.0F, 1.0F, 1.0F};
    return p;
}

schema small_schema() {
    const auto s = schema::parse(R"({"task": [], "action": [{"name": "tags", "type": "list<string>", "optional": true},
        {"name": "price", "type": "double", "optional": true}], "candidate": []})");
    REQUIRE(s.ok());
    return *s;
}

}  // namespace

TEST_CASE("utilities gather what the task's text says about ids and tags") {
    const auto model = choice_model::build(small_choice());
    REQUIRE(model.ok());
    const schema s = small_schema();
    dictionary strings;
    const std::vector<std::string> columns{"same_kind", "price"};
    const std::vector<scope> scopes{scope::pair, scope::action};
    const std::vector<sparse_block> blocks{{"words", 16}};
    const auto bound = model->bound_to({columns, scopes, blocks, ""}, s, strings);
    REQUIRE(bound.ok());

    interner codes(strings);
    table actions(s, role::action);
    REQUIRE(actions
                .read_json(R"([{"id": "refund", "tags": ["fast", "safe"]}, {"id": "close", "tags": ["safe"]},
                               {"id": "never seen", "tags": []}, {"id": "close"}])",
                           codes, 0)
                .ok());
    const std::vector<std::uint32_t> rows{0, 1, 2, 3, 1};
    frame f;
    f.actions = &actions;
    f.action_rows = rows;
    f.strings = &codes;
    feature_matrix features;
    features.resize(rows.size(), scopes, 1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        features.column(0)[i] = i == 1 ? 1.0F : 0.0F;
        features.column(1)[i] = i == 2 ? NAN : 12.0F;
    }
    features.sparse_for_writing(0) = {{3, 4, 5}, {1.0F, 1.0F, 2.0F}};
    choice_scratch scratch;
    std::vector<double> out(rows.size());
    REQUIRE(bound->utilities(f, features, out, scratch).ok());
    // Sums of slots: refund .25 + 1, close 2, fast .5 + 2, safe -.5 + 2, outside 1 - 1; a price of 12 costs 1.
    CHECK(out[0] == Approx(-1 + 1.25 + 2.5 + 1.5).margin(0.03));
    CHECK(out[1] == Approx(2 - 1 + 2 + 1.5).margin(0.03));
    CHECK(out[2] == 0.0);
    CHECK(out[3] == Approx(-1 + 2.0).margin(0.03));
    CHECK(out[4] == Approx(out[1] - 2).epsilon(1e-14));
    CHECK(bound->outside_utility(scratch) == Approx(0.0).margin(0.01));

    // The way of training data gives the same bits.
    const std::vector<float> price(features.column(1), features.column(1) + rows.size()),
        same(features.column(0), features.column(0) + rows.size());
    const std::vector<const float*> arrays{price.data(), same.data()};
    const sparse_view views[] = {features.sparse(0)};
    const auto one_tag = [](std::uint32_t id, std::uint32_t tag) { return std::vector<std::uint32_t>{id, tag}; };
    std::vector<std::uint32_t> slots;
    for (const auto& pair : {one_tag(0, 2), one_tag(1, 3), one_tag(choice_model::no_slot, choice_model::no_slot),
                             one_tag(1, choice_model::no_slot), one_tag(1, 3)})
        slots.insert(slots.end(), pair.begin(), pair.end());
    std::vector<double> direct(rows.size());
    REQUIRE(bound->utilities(arrays, slots, views, direct, scratch).ok());
    for (std::size_t i = 1; i < rows.size(); ++i) CHECK(direct[i] == out[i]);

    // 0 candidates, wrong lengths, no binding.
    frame nobody = f;
    nobody.action_rows = {};
    features.resize(0, scopes, 1);
    CHECK(bound->utilities(nobody, features, {}, scratch).ok());
    CHECK(bound->utilities(f, features, out, scratch).error().code == "usage.length");
    CHECK(model->utilities(nobody, features, {}, scratch).error().code == "usage.unbound");
}

TEST_CASE("keys that are no texts of actions are refused by name") {
    dictionary strings;
    const std::vector<std::string> columns{"price", "same_kind"};
    const std::vector<scope> scopes{scope::action, scope::pair};
    const std::vector<sparse_block> blocks{{"words", 16}};
    auto parts = small_choice();
    parts.keys[1].field = "tag";
    auto model = choice_model::build(parts);
    REQUIRE(model.ok());
    const auto unknown = model->bound_to({columns, scopes, blocks, ""}, small_schema(), strings);
    REQUIRE_FALSE(unknown.ok());
    CHECK(unknown.error().kind == error_kind::schema);
    CHECK(unknown.error().where == "/keys/1/field");
    parts.keys[1].field = "price";
    model = choice_model::build(parts);
    REQUIRE(model.ok());
    CHECK(model->bound_to({columns, scopes, blocks, ""}, small_schema(), strings).error().code == "schema.type");
}

TEST_CASE("a choice model file is the model, and every cut or flipped byte is survived") {
    const auto model = choice_model::build(small_choice());
    REQUIRE(model.ok());
    const std::string bytes = model->to_bytes();
    const auto read = choice_model::parse(bytes);
    REQUIRE(read.ok());
    CHECK(read->to_bytes() == bytes);
    CHECK(read->slots() == 5);
    CHECK(read->has_outside());
    for (std::size_t n = 0; n < bytes.size(); ++n) REQUIRE_FALSE(choice_model::parse(std::string_view(bytes).substr(0, n)).ok());
    choice_scratch scratch;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const unsigned flip : {1U, 16U, 255U}) {
            std::string changed = bytes;
            changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ flip);
            const auto flipped = choice_model::parse(changed);
            if (!flipped.ok()) continue;
            const std::vector<const float*> columns(flipped->columns().size());
            const std::vector<sparse_view> views(flipped->blocks().size());
            (void)flipped->utilities(columns, {}, views, {}, scratch).ok();
        }
    auto parts = small_choice();
    parts.keys[0].values = {"refund", "refund"};
    CHECK(choice_model::build(parts).error().code == "model.names");
    parts = small_choice();
    parts.bias.pop_back();
    CHECK(choice_model::build(parts).error().code == "model.shape");
}

TEST_CASE("log_softmax is exact for one, stable for large and honest about none") {
    std::vector<double> u{1000.0, 1001.0, 998.0};
    const double none = log_softmax(u, 1000.5);
    double sum = std::exp(none);
    for (const double v : u) sum += std::exp(v);
    CHECK(sum == Approx(1.0).epsilon(1e-13));
    CHECK(u[1] - u[0] == Approx(1.0).epsilon(1e-12));
    std::vector<double> alone{-1e300};
    CHECK(log_softmax(alone) == -std::numeric_limits<double>::infinity());
    CHECK(alone[0] == 0.0);
    CHECK(log_softmax({}, 3.0) == 0.0);
}
