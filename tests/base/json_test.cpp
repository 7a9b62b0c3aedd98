#include <array>

#include "catch.hpp"
#include "opspilot/base/detail/json.hpp"

using namespace opspilot;
using detail::parse_json;

TEST_CASE("documents are refused with the place") {
    CHECK(parse_json(R"({"a": 1})", error_kind::policy).ok());
    const auto twice = parse_json(R"({"a": 1, "a": 2})", error_kind::policy);
    REQUIRE_FALSE(twice.ok());
    CHECK(twice.error().code == "policy.json_duplicate_key");
    const auto cut = parse_json(R"({"a": )", error_kind::bundle);
    REQUIRE_FALSE(cut.ok());
    CHECK(cut.error().code == "bundle.json_syntax");
    CHECK(cut.error().where.starts_with("byte "));
    CHECK(parse_json("[1] x", error_kind::schema).error().code == "schema.json_syntax");
    CHECK(parse_json("\"\xFF\"", error_kind::schema).error().where == "byte 1");
    CHECK(parse_json("[NaN]", error_kind::schema).error().code == "schema.json_syntax");
    const std::string deep = std::string(100000, '[');
    CHECK(parse_json(deep, error_kind::schema).error().code == "schema.json_depth");
    CHECK(parse_json("[]", error_kind::schema, {.bytes = 1}).error().code == "schema.json_size");
}

TEST_CASE("field tables name the nearest key, the kind and the choices") {
    constexpr std::array<std::string_view, 2> colours{"red", "green"};
    const std::array<document_field, 2> table{
        {{"count", json_kind::integer, true, "how many"}, {"colour", json_kind::text, false, "of what", colours}}};
    const auto check = [&](std::string_view text) {
        return detail::check_object(parse_json(text, error_kind::features).value(), table, "/x", error_kind::features);
    };
    CHECK(check(R"({"count": 1, "colour": "red"})").ok());
    CHECK(check(R"({"count": 1, "color": "red"})").error().hint == "did you mean 'colour'?");
    CHECK(check(R"({"count": 1, "color": "red"})").error().where == "/x/color");
    CHECK(check(R"({"count": 1, "colour": "rd"})").error().hint == "did you mean 'red'?");
    CHECK(check(R"({"count": 1.5})").error().code == "features.wrong_kind");
    CHECK(check(R"({"count": 18446744073709551615})").error().code == "features.wrong_kind");
    CHECK(check("{}").error().code == "features.missing_field");
    CHECK(check("[]").error().code == "features.wrong_kind");
    const auto schema = detail::json_schema(table, "thing");
    CHECK(schema["required"] == nlohmann::json::array({"count"}));
    CHECK(schema["properties"]["colour"]["enum"].size() == 2);
}
