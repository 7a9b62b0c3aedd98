#include <array>
#include <limits>

#include "catch.hpp"
#include "opspilot/rank/detail/json_pull.hpp"
#include "opspilot/rank/detail/ubj_pull.hpp"

using namespace opspilot;
using namespace opspilot::detail;

namespace {

std::string skipped(std::string_view text) {
    json_pull in(text);
    if (auto passed = in.skip(); !passed) return std::string(passed.error().code);
    if (auto ended = in.end(); !ended) return std::string(ended.error().code);
    return "ok";
}

std::string text_or_code(std::string_view json) {
    json_pull in(json);
    auto value = in.text();
    return value ? std::string(*value) : std::string(value.error().code);
}

}  // namespace

TEST_CASE("the JSON that is passed over is the JSON of RFC 8259, and three words") {
    for (const char* good : {"0", "-0", "1.5", "-1.5e+10", "1E-45", "NaN", "Infinity", "-Infinity", "\"\"", "null", "true",
                             "false", "[]", "{}", "[[],{},[1,\"a\"]]", "{\"a\":{\"a\":[]},\"b\":null}", " [ 1 , 2 ] \n\t\r"}) {
        INFO(good);
        CHECK(skipped(good) == "ok");
    }
    for (const auto& [bad, code] : std::vector<std::pair<const char*, const char*>>{{"", "model.truncated"},
                                                                                    {"[", "model.truncated"},
                                                                                    {"[1", "model.truncated"},
                                                                                    {"{\"a\"", "model.truncated"},
                                                                                    {"\"a", "model.truncated"},
                                                                                    {"tru", "model.truncated"},
                                                                                    {"[1,", "model.truncated"},
                                                                                    {"[1,]", "model.json_syntax"},
                                                                                    {"[,1]", "model.json_syntax"},
                                                                                    {"[1 2]", "model.json_syntax"},
                                                                                    {"{\"a\" 1}", "model.json_syntax"},
                                                                                    {"{a:1}", "model.json_syntax"},
                                                                                    {"{\"a\":1,}", "model.json_syntax"},
                                                                                    {"[01 ]", "model.bad_number"},
                                                                                    {"[.5 ]", "model.bad_number"},
                                                                                    {"[1. ]", "model.bad_number"},
                                                                                    {"[1e ]", "model.bad_number"},
                                                                                    {"[+1 ]", "model.bad_number"},
                                                                                    {"[-NaN ]", "model.bad_number"},
                                                                                    {"[nan ]", "model.json_syntax"},
                                                                                    {"[inf ]", "model.bad_number"},
                                                                                    {"[0x10 ]", "model.bad_number"},
                                                                                    {"[- ]", "model.bad_number"},
                                                                                    {"[troe]", "model.json_syntax"},
                                                                                    {"{} {}", "model.trailing_data"},
                                                                                    {"{\"a\":1,\"a\":2}", "model.key_twice"},
                                                                                    {"[{\"\":1,\"\":2}]", "model.key_twice"},
                                                                                    {"[\"\\x\"]", "model.json_syntax"},
                                                                                    {"[\"\n\"]", "model.json_syntax"},
                                                                                    {"[\"\xC0\x80\"]", "model.utf8"},
                                                                                    {"]", "model.json_syntax"},
                                                                                    {"[}", "model.json_syntax"},
                                                                                    {"{]", "model.json_syntax"}}) {
        INFO(bad);
        CHECK(skipped(bad) == code);
    }
    CHECK(skipped(std::string(32, '[') + std::string(32, ']')) == "ok");
    CHECK(skipped(std::string(33, '[') + std::string(33, ']')) == "model.limit_nesting");
}

TEST_CASE("escapes of JSON strings") {
    CHECK(text_or_code(R"("a\"\\\/\b\f\n\r\tz")") == "a\"\\/\b\f\n\r\tz");
    CHECK(text_or_code(R"("\u0041\u00e4\u20AC\ud83d\ude00")") == "Aä€😀");
    CHECK(text_or_code("\"ä€😀\"") == "ä€😀");
    for (const char* bad : {R"("\u12")", R"("\u12g4")", R"("\ud83d")", R"("\ud83dxx")", R"("\ud83d\u0041")", R"("\U0041")"})
        CHECK(text_or_code(bad) == "model.json_syntax");
    CHECK(text_or_code(R"("\ude00")") == "model.utf8");
    CHECK(text_or_code("\"\\") == "model.truncated");
    CHECK(text_or_code("7") == "model.wrong_kind");
}

TEST_CASE("numbers are read as the nearest float, whatever their notation") {
    std::vector<float> values;
    json_pull in("[1.17549431e-38, 1e-45, 16777217, 3.4028235e38, 0.1, -0.0, NaN, -Infinity, 7]");
    REQUIRE(in.floats(values, 9));
    CHECK(values[0] == 1.17549431e-38F);
    CHECK(values[1] == std::numeric_limits<float>::denorm_min());
    CHECK(values[2] == 16777216.0F);
    CHECK(values[3] == std::numeric_limits<float>::max());
    CHECK(values[4] == 0.1F);
    CHECK(std::signbit(values[5]));
    CHECK(std::isnan(values[6]));
    CHECK(values[7] == -std::numeric_limits<float>::infinity());
    CHECK(values[8] == 7.0F);
    // No trainer writes what is not a float.
    for (const char* beyond : {"[7.0e-46]", "[3.5e38]", "[-1e999]"})
        CHECK(json_pull(beyond).floats(values, 1).error().code == "model.number_range");
    json_pull longer("[1,2,3]");
    CHECK(longer.floats(values, 2).error().code == "model.limit_items");
}

TEST_CASE("arrays of UBJ in all their shapes") {
    const std::string two("L\0\0\0\0\0\0\0\2", 9);
    const auto integers = [](const std::string& bytes) -> std::vector<std::int32_t> {
        ubj_pull in(bytes);
        std::vector<std::int32_t> out;
        const auto read = in.integers(out, 10, true);
        INFO((read ? "" : read.error().text()));
        REQUIRE(read);
        CHECK(in.end());
        return out;
    };
    const std::vector<std::int32_t> expected{-2, 5};
    CHECK(integers("[$i#" + two + std::string("\xFE\5", 2)) == expected);
    CHECK(integers("[$I#" + two + std::string("\xFF\xFE\0\5", 4)) == expected);
    CHECK(integers("[$l#" + two + std::string("\xFF\xFF\xFF\xFE\0\0\0\5", 8)) == expected);
    CHECK(integers("[$L#" + two + std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE\0\0\0\0\0\0\0\5", 16)) == expected);
    CHECK(integers("[$U#" + two + std::string("\xFE\5", 2)) == std::vector<std::int32_t>{254, 5});
    CHECK(integers("[#" + two + std::string("i\xFEU\5", 4)) == expected);
    CHECK(integers(std::string("[i\xFEl\0\0\0\5]", 9)) == expected);
    CHECK(integers("[TF]") == std::vector<std::int32_t>{1, 0});
    const std::string two_floats = "[$d#" + two + std::string("\x3F\x80\0\0\x80\0\0\0", 8);
    ubj_pull floats(two_floats);
    std::vector<float> values;
    REQUIRE(floats.floats(values, 2));
    CHECK(values[0] == 1.0F);
    CHECK(std::signbit(values[1]));
    // A skipped value may hold what no model has.
    const std::string mixed = "{" + two + std::string("ab[D\0\0\0\0\0\0\0\0ZTS", 15) + two + "xy[$U#" + two + "ab]}";
    ubj_pull other(mixed);
    CHECK(other.skip());
    CHECK(other.end());
    const std::string announced = "[$L#" + two;
    ubj_pull longer(announced);
    CHECK(longer.skip().error().code == "model.array_length");
}
