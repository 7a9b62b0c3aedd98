#include "opspilot/data/dictionary.hpp"

#include <string>

#include "catch.hpp"

using namespace opspilot;

TEST_CASE("codes are dense, in order of insertion, and found again after growth") {
    dictionary d;
    CHECK(d.find("x") == no_code);
    for (std::uint32_t i = 0; i < 10000; ++i) REQUIRE(d.insert("text " + std::to_string(i)) == i);
    CHECK(d.size() == 10000);
    CHECK(d.insert("text 77") == 77);
    CHECK(d.find("text 9999") == 9999);
    CHECK(d.find("text 10000") == no_code);
    CHECK(d.text(1234) == "text 1234");
    CHECK(d.insert("") == 10000);
    CHECK(d.text(10000).empty());
}

TEST_CASE("a cleared dictionary knows nothing, whether it was full or nearly empty") {
    dictionary d;
    for (const int count : {1000, 3, 1000, 1, 90}) {
        for (int i = 0; i < count; ++i) REQUIRE(d.insert(std::to_string(i)) == static_cast<std::uint32_t>(i));
        for (int i = 0; i < count; ++i) REQUIRE(d.find(std::to_string(i)) == static_cast<std::uint32_t>(i));
        d.clear();
        CHECK(d.size() == 0);
        for (int i = 0; i < count; ++i) REQUIRE(d.find(std::to_string(i)) == no_code);
    }
}

TEST_CASE("an interner extends the frozen dictionary until it is reset") {
    dictionary frozen;
    frozen.insert("refund");
    interner strings(frozen);
    CHECK(strings.code("refund") == 0);
    CHECK(strings.code("new") == 1);
    CHECK(strings.find("new") == 1);
    CHECK(strings.find("other") == no_code);
    CHECK(strings.text(1) == "new");
    CHECK(strings.text(0) == "refund");
    CHECK(strings.text(no_code).empty());
    CHECK(frozen.size() == 1);
    strings.reset();
    CHECK(strings.find("new") == no_code);
    CHECK(strings.code("later") == 1);
}

TEST_CASE("a growing interner fills the dictionary of a bundle being compiled") {
    dictionary bundle;
    interner strings = interner::growing(bundle);
    CHECK(strings.code("a") == 0);
    CHECK(strings.code("b") == 1);
    strings.reset();
    CHECK(strings.code("a") == 0);
    CHECK(bundle.size() == 2);
    CHECK(bundle.find("b") == 1);
    CHECK(strings.text(1) == "b");
}
