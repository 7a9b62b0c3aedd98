#include "opspilot/base/hash.hpp"

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

TEST_CASE("XXH3 gives the specification's values") {
    CHECK(xxh3("") == 0x2D06800538D394C2ULL);
    CHECK(xxh3("", 1) != xxh3(""));
}
