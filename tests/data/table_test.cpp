#include "opspilot/data/table.hpp"

#include <cmath>
#include <limits>

#include "catch.hpp"
#include "opspilot/data/frame.hpp"

using namespace opspilot;

namespace {
constexpr std::int64_t now = 1'700'000'000'000'000;
constexpr std::int64_t minute = 60'000'000;

const schema& example() {
    static const schema made = schema::parse(R"({"task": [
        {"name": "id", "type": "string"},
        {"name": "client", "type": "string", "optional": true},
        {"name": "amount", "type": "double", "min": 0, "max": 1000},
        {"name": "count", "type": "int", "optional": true, "min": -2, "max": 9},
        {"name": "paid", "type": "bool", "default": true},
        {"name": "opened", "type": "timestamp", "optional": true},
        {"name": "balance", "type": "double", "optional": true, "max_age": "15m", "as_of": "opened", "default": 7},
        {"name": "mood", "type": "string", "max_age": "15m", "as_of": "opened"},
        {"name": "tags", "type": "list<string>", "optional": true, "values": ["vip", "new"]},
        {"name": "secret", "type": "string", "optional": true, "pii": "sensitive", "values": ["a"]}]})")
                                   .value();
    return made;
}
std::uint32_t at(std::string_view name) { return example().require(role::task, name).value(); }

struct filled {
    dictionary frozen;
    interner strings{frozen};
    table rows{example(), role::task};

    void begin() {
        rows.begin_row();
        REQUIRE(rows.set_text(at("id"), "t", strings).ok());
        REQUIRE(rows.set_number(at("amount"), 1).ok());
    }
    cell get(std::string_view name) { return rows.get(at(name), rows.rows() - 1); }
};
}  // namespace

TEST_CASE("cells come back as they were set") {
    filled t;
    t.begin();
    REQUIRE(t.rows.set_integer(at("count"), 9).ok());
    REQUIRE(t.rows.set_boolean(at("paid"), false).ok());
    REQUIRE(t.rows.set_text(at("opened"), "2023-11-14T22:13:20Z", t.strings).ok());
    REQUIRE(t.rows.set_number(at("balance"), 2.5).ok());
    REQUIRE(t.rows.set_text(at("mood"), "calm", t.strings).ok());
    const std::array<std::string_view, 2> tags{"vip", "new"};
    REQUIRE(t.rows.set_list(at("tags"), tags, t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    REQUIRE(t.rows.rows() == 1);
    CHECK(t.strings.text(t.get("id").code) == "t");
    CHECK(t.get("amount").number == 1);
    CHECK(t.get("count").integer == 9);
    CHECK(t.get("count").number == 9);
    CHECK(t.get("count").state == cell_state::present);
    CHECK(t.get("paid").integer == 0);
    CHECK(t.get("opened").integer == now);
    CHECK(t.get("balance").number == 2.5);
    CHECK(t.get("client").state == cell_state::missing);
    CHECK_FALSE(t.get("client").has_value());
    CHECK(t.get("client").code == no_code);
    REQUIRE(t.get("tags").codes.size() == 2);
    CHECK(t.strings.text(t.get("tags").codes[1]) == "new");
}

TEST_CASE("defaults stand in for what is missing, NaN included") {
    filled t;
    t.begin();
    REQUIRE(t.rows.set_number(at("balance"), std::nan("")).ok());
    REQUIRE(t.rows.set_integer(at("opened"), now).ok());
    REQUIRE(t.rows.set_text(at("mood"), "calm", t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    CHECK(t.get("paid").state == cell_state::defaulted);
    CHECK(t.get("paid").integer == 1);
    CHECK(t.get("balance").state == cell_state::defaulted);
    CHECK(t.get("balance").number == 7);
    CHECK(t.get("tags").codes.empty());
    CHECK_FALSE(t.get("tags").has_value());

    t.rows.begin_row();
    REQUIRE(t.rows.set_text(at("id"), "t", t.strings).ok());
    REQUIRE(t.rows.set_number(at("amount"), std::nan("")).ok());
    const auto refused = t.rows.end_row(t.strings, now);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().text() ==
          "/1/amount: field 'amount' on task is NaN, which counts as missing; give a value, or declare the field optional or "
          "with a default");
    CHECK(t.rows.rows() == 1);
}

TEST_CASE("values older than their maximum age are stale") {
    struct example_age {
        std::int64_t opened;
        cell_state state;
    };
    for (const auto [opened, state] :
         {example_age{now - 15 * minute, cell_state::present}, example_age{now - 15 * minute - 1, cell_state::stale},
          example_age{now + 99 * minute, cell_state::present},
          example_age{std::numeric_limits<std::int64_t>::min(), cell_state::stale},
          example_age{std::numeric_limits<std::int64_t>::max(), cell_state::present}}) {
        INFO(opened);
        filled t;
        t.begin();
        REQUIRE(t.rows.set_integer(at("opened"), opened).ok());
        REQUIRE(t.rows.set_number(at("balance"), 2.5).ok());
        REQUIRE(t.rows.set_text(at("mood"), "calm", t.strings).ok());
        REQUIRE(t.rows.end_row(t.strings, now).ok());
        CHECK(t.get("balance").state == state);
        CHECK(t.get("balance").number == (state == cell_state::stale ? 7 : 2.5));
        CHECK(t.get("balance").has_value());
        CHECK(t.get("mood").state == state);
        CHECK(t.get("mood").has_value() == (state == cell_state::present));
        CHECK((t.get("mood").code == no_code) == (state == cell_state::stale));
    }
    // Nothing dates the values.
    filled t;
    t.begin();
    REQUIRE(t.rows.set_text(at("mood"), "calm", t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    CHECK(t.get("mood").state == cell_state::stale);
    CHECK(t.get("balance").state == cell_state::defaulted);
    // Required, not given, and not even old.
    t.begin();
    REQUIRE(t.rows.set_integer(at("opened"), now).ok());
    CHECK(t.rows.end_row(t.strings, now).error().where == "/1/mood");
}

TEST_CASE("wrong values are refused with field, type and cure") {
    filled t;
    const auto refusal = [&](auto&& set) {
        t.rows.begin_row();
        const status refused = set();
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().kind == error_kind::schema);
        return refused.error();
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    CHECK(refusal([&] { return t.rows.set_text(at("amount"), "1", t.strings); }).text() ==
          "/0/amount: field 'amount' on task must be double, found a string");
    CHECK(refusal([&] { return t.rows.set_number(at("count"), 3); }).text() ==
          "/0/count: field 'count' on task must be int, found a number; write it without a fraction or exponent");
    CHECK(refusal([&] { return t.rows.set_number(at("amount"), -1); }).message ==
          "field 'amount' on task must be from 0 to 1000, found -1");
    CHECK(refusal([&] { return t.rows.set_integer(at("amount"), 1001); }).code == "schema.out_of_range");
    CHECK(refusal([&] { return t.rows.set_integer(at("count"), 10); }).code == "schema.out_of_range");
    CHECK(refusal([&] { return t.rows.set_number(at("amount"), infinity); }).code == "schema.not_finite");
    CHECK(refusal([&] { return t.rows.set_number(at("balance"), -infinity); }).code == "schema.not_finite");
    CHECK(refusal([&] { return t.rows.set_integer(at("balance"), (std::int64_t{1} << 53) + 1); }).code == "schema.inexact");
    CHECK(refusal([&] { return t.rows.set_integer(at("balance"), std::numeric_limits<std::int64_t>::max()); }).code ==
          "schema.inexact");
    CHECK(refusal([&] { return t.rows.set_boolean(at("id"), true); }).code == "schema.wrong_type");
    CHECK(refusal([&] { return t.rows.set_text(at("opened"), "yesterday", t.strings); }).code == "schema.bad_timestamp");
    CHECK(refusal([&] { return t.rows.set_text(at("id"), "\xC3(", t.strings); }).message ==
          "field 'id' on task is not valid UTF-8 at byte 0");
    CHECK(refusal([&] { return t.rows.set_text(at("id"), std::string(text_limit + 1, 'x'), t.strings); }).code ==
          "schema.text_too_long");
    const std::array<std::string_view, 2> tags{"new", "vpi"};
    CHECK(refusal([&] { return t.rows.set_list(at("tags"), tags, t.strings); }).text() ==
          "/0/tags: field 'tags' on task cannot be 'vpi'; did you mean 'vip'?");
    const auto secret = refusal([&] { return t.rows.set_text(at("secret"), "my illness", t.strings); });
    CHECK(secret.text().find("illness") == std::string::npos);
    CHECK(secret.text().find("a sensitive value") != std::string::npos);
    CHECK(t.rows.rows() == 0);
}

TEST_CASE("a refused or abandoned row leaves the rows before it") {
    filled t;
    t.begin();
    const std::array<std::string_view, 1> tags{"vip"};
    REQUIRE(t.rows.set_list(at("tags"), tags, t.strings).ok());
    REQUIRE(t.rows.set_text(at("mood"), "x", t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    t.begin();
    CHECK(t.rows.set_number(at("amount"), 2).error().code == "schema.duplicate_field");
    REQUIRE(t.rows.set_list(at("tags"), tags, t.strings).ok());
    t.begin();  // drops the one before
    t.rows.drop_row();
    REQUIRE(t.rows.rows() == 1);
    CHECK(t.get("amount").number == 1);
    CHECK(t.get("tags").codes.size() == 1);
    for (std::uint32_t i = 0; i < example().fields(role::task).size(); ++i) CHECK(t.rows.at(i).state.size() == 1);
    CHECK(t.rows.at(at("tags")).offsets == std::vector<std::uint32_t>{0, 1});
    CHECK(t.rows.at(at("tags")).codes.size() == 1);
    CHECK(t.rows.set_number(at("amount"), 1).error().code == "usage.no_row");
    CHECK(t.rows.end_row(t.strings, now).error().code == "usage.no_row");
    t.rows.begin_row();
    CHECK(t.rows.set_number(99, 1).error().code == "usage.bad_field");
    t.rows.clear();
    CHECK(t.rows.rows() == 0);
    CHECK(t.rows.set_number(at("amount"), 1).error().code == "usage.no_row");
}

TEST_CASE("a table can be given another shape") {
    filled t;
    t.begin();
    REQUIRE(t.rows.set_text(at("mood"), "x", t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    const schema other = schema::parse(R"({"candidate": [{"name": "tags", "type": "list<string>"}]})").value();
    t.rows.reset(other, role::candidate);
    CHECK(t.rows.rows() == 0);
    t.rows.begin_row();
    const std::array<std::string_view, 3> items{"a", "b", "a"};
    REQUIRE(t.rows.set_list(0, items, t.strings).ok());
    REQUIRE(t.rows.end_row(t.strings, now).ok());
    const auto codes = t.rows.get(0, 0).codes;
    REQUIRE(codes.size() == 3);
    CHECK(codes[0] == codes[2]);
    CHECK(codes[0] != codes[1]);
    t.rows.reset(other, role::task);
    CHECK(t.rows.rows() == 0);
}

TEST_CASE("a frame reads task, action and pair alike") {
    const schema s = schema::parse(R"({"candidate": [{"name": "seen", "type": "bool"}]})").value();
    dictionary frozen;
    interner strings(frozen);
    table task(s, role::task), actions(s, role::action), pairs(s, role::candidate);
    task.begin_row();
    REQUIRE(task.set_text(0, "t1", strings).ok());
    REQUIRE(task.end_row(strings, now).ok());
    for (const char* id : {"a", "b"}) {
        actions.begin_row();
        REQUIRE(actions.set_text(0, id, strings).ok());
        REQUIRE(actions.end_row(strings, now).ok());
        pairs.begin_row();
        REQUIRE(pairs.set_boolean(0, *id == 'b').ok());
        REQUIRE(pairs.end_row(strings, now).ok());
    }
    const std::array<std::uint32_t, 1> rows{1};
    const frame f{.task = &task, .actions = &actions, .action_rows = rows, .pairs = &pairs, .pair_begin = 1, .strings = &strings};
    CHECK(f.size() == 1);
    CHECK(strings.text(f.get(s.resolve("task.id").value(), 0).code) == "t1");
    CHECK(strings.text(f.get(s.resolve("action.id").value(), 0).code) == "b");
    CHECK(f.get(s.resolve("candidate.seen").value(), 0).integer == 1);
}
