#include "opspilot/base/hash.hpp"

#include <string>
#include <string_view>

#include "catch.hpp"

using namespace opspilot;

TEST_CASE("SHA-256 gives the examples of FIPS 180-4") {
    CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_stream stream;
    stream.update("a");
    stream.update("bc");
    CHECK(hex(stream.finish()) == sha256_hex("abc"));
}

TEST_CASE("SHA-256 of a long text is the same in one piece and in many, by whichever library") {
    // FIPS 180-4's third example: a million times "a".
    const std::string million(1'000'000, 'a');
    CHECK(sha256_hex(million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (const std::size_t size : {std::size_t{16383}, std::size_t{16384}, std::size_t{16385}, std::size_t{65599}}) {
        sha256_stream pieces;
        std::string text;
        for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i * i);
        text.resize(size);
        for (std::size_t at = 0; at < size; at += 1000) pieces.update(std::string_view(text).substr(at, 1000));
        CHECK(hex(pieces.finish()) == sha256_hex(text));
    }
}

TEST_CASE("XXH3 gives the specification's values") {
    CHECK(xxh3("") == 0x2D06800538D394C2ULL);
    CHECK(xxh3("", 1) != xxh3(""));
}
