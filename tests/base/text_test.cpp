#include "opspilot/base/text.hpp"

#include <array>

#include "catch.hpp"

using namespace opspilot;

TEST_CASE("the nearest name is the one within a third of the word") {
    constexpr std::array<std::string_view, 4> names{"amount", "account", "currency", "id"};
    CHECK(nearest("amout", names) == "amount");
    CHECK(nearest("accont", names) == "account");
    CHECK(nearest("curency", names) == "currency");
    CHECK(nearest("zebra", names).empty());
    CHECK(nearest("di", names) == "id");  // a swap is one edit
    CHECK(did_you_mean("amout", names) == "did you mean 'amount'?");
    CHECK(nearest(std::string(65, 'a'), names).empty());
}

TEST_CASE("UTF-8 is checked by the rules of RFC 3629") {
    CHECK(valid_utf8("Grüße, 世界 🌍"));
    CHECK_FALSE(valid_utf8("\xC0\xAF"));      // overlong
    CHECK_FALSE(valid_utf8("\xED\xA0\x80"));  // surrogate
    CHECK_FALSE(valid_utf8("\xF5\x80\x80\x80"));
    CHECK(utf8_error_offset("ab\xFFz") == 2);
    CHECK(utf8_error_offset("ab\xE4\xB8") == 2);
    CHECK(utf8_error_offset("é") == 2);
    CHECK(code_points("é世🌍a") == 4);
}

TEST_CASE("the two UTF-8 checks agree on every three-byte string of interesting bytes") {
    constexpr std::array<char, 14> bytes{'a',    '\x7F', '\x80', '\x8F', '\x90', '\x9F', '\xA0',
                                         '\xBF', '\xC1', '\xC2', '\xE0', '\xED', '\xF0', '\xF4'};
    for (const char a : bytes)
        for (const char b : bytes)
            for (const char c : bytes)
                for (const char d : bytes) {
                    const std::string text{a, b, c, d};
                    REQUIRE(valid_utf8(text) == (utf8_error_offset(text) == text.size()));
                }
}

TEST_CASE("untrusted text is quoted without control bytes and cut at a code point") {
    CHECK(quote("a\nb") == "'a\\x0ab'");
    CHECK(quote("\xFF") == "'\\xff'");
    CHECK(quote("ééé", 4) == "'éé…'");
}
