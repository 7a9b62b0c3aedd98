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

TEST_CASE("SHA-256 at once, by the machine's instructions where it has them, is SHA-256 piece by piece, by libsodium") {
    std::string bytes;
    for (std::uint32_t i = 0; i < 1000; ++i) bytes += static_cast<char>((i * 2654435761U) >> 24);
    for (std::size_t length = 0; length <= bytes.size(); ++length) {
        const std::string_view text = std::string_view(bytes).substr(0, length);
        sha256_stream stream;
        stream.update(text.substr(0, length / 3));
        stream.update(text.substr(length / 3));
        REQUIRE(sha256(text) == stream.finish());
    }
    CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("XXH3 gives the specification's values") {
    CHECK(xxh3("") == 0x2D06800538D394C2ULL);
    CHECK(xxh3("", 1) != xxh3(""));
}
