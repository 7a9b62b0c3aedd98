#include <array>
#include <random>

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
    using namespace std::string_view_literals;
    for (const std::string_view text : {"{\"a\":1}\0junk"sv, "{\"a\":1}\0"sv, "\0"sv, "[1,\0 2]"sv}) {
        const auto read = parse_json(text, error_kind::schema);
        REQUIRE_FALSE(read.ok());
        CHECK(read.error().code == "schema.json_syntax");
        CHECK(read.error().where == "byte " + std::to_string(text.find('\0')));
    }
}

TEST_CASE("a document is read as nlohmann/json reads it, or refused as it refuses") {
    const std::vector<std::string> documents{
        R"({"a": [1, -2, 3.5, 1e5, true, false, null, "x\n\u00e9\\"], "b": {"c": {"d": [[], {}]}}, "z": -0.0})",
        R"([0, 9007199254740993, 9223372036854775807, 18446744073709551615, -9223372036854775808, 18446744073709551616, 0.1, 5e-324])",
        R"(["\ud83d\ude00", "\uD83D\uDE00", "\ud7ff", "é", "\u0000"])",
        R"(["\ud800\u0041", "\udc00"])",
        "[1E400]",
        " 12 ",
        "\"text\"",
        "\xEF\xBB\xBF{}",
        ""};
    const auto agree = [](const std::string& text) {
        const nlohmann::json wanted = nlohmann::json::parse(text, nullptr, false);
        const auto read = parse_json(text, error_kind::bundle);
        if (read.ok() == wanted.is_discarded()) return !read.ok() && read.error().code == "bundle.json_duplicate_key";
        if (!read.ok()) return true;
        return *read == wanted && read->dump() == wanted.dump();
    };
    for (const std::string& text : documents) {
        INFO(text);
        CHECK(agree(text));
    }
    CHECK(parse_json(documents[1], error_kind::bundle).value()[0].is_number_unsigned());
    std::mt19937 random(3);
    constexpr std::string_view bytes = "{}[]\",:\\u0dDeE+-.0189 \n\x80\xC3";
    for (int i = 0; i < 20000; ++i) {
        std::string text = documents[random() % 4];
        for (std::size_t changes = random() % 4; changes > 0; --changes) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = bytes[random() % bytes.size()]; break;
                case 1: text.erase(at, 1 + random() % 3); break;
                default: text.insert(at, 1, bytes[random() % bytes.size()]);
            }
        }
        INFO(text);
        REQUIRE(agree(text));
    }
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    CHECK(parse_json(nested(64), error_kind::bundle).ok());
    CHECK(parse_json(nested(65), error_kind::bundle).error().code == "bundle.json_depth");
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
