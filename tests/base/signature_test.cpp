// Envelopes: what RFC 8032 says of keys, what is refused, and that nothing in an envelope can be changed.
#include "opspilot/base/signature.hpp"

#include <string>
#include <vector>

#include "catch.hpp"

using namespace opspilot;

namespace {

signing_key from_hex(std::string_view text) {
    signing_key out;
    const auto bytes = public_key::from_hex(text).value().bytes;
    out.seed = bytes;
    return out;
}

std::string code(const std::string& envelope, const std::vector<public_key>& keys, std::string_view type = "t") {
    const auto opened = open_envelope(envelope, type, keys, error_kind::policy);
    return opened ? std::string() : std::string(opened.error().code);
}

}  // namespace

TEST_CASE("public halves are those of RFC 8032, section 7.1") {
    CHECK(from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").public_half().hex() ==
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    CHECK(from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").public_half().hex() ==
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    CHECK(public_key::from_hex("d75a").error().code == "signature.bad_key");
    CHECK(public_key::from_hex(std::string(64, 'g')).error().code == "signature.bad_key");
}

TEST_CASE("an envelope opens with the key that sealed it, among others") {
    const signing_key key = signing_key::make(), other = signing_key::make();
    CHECK(key.seed != other.seed);
    const std::string payload("any bytes \0\xFF at all", 20);
    const std::string envelope = seal("t", payload, key);
    const auto opened = open_envelope(envelope, "t", std::vector{other.public_half(), key.public_half()}, error_kind::policy);
    REQUIRE(opened.ok());
    CHECK(opened->payload == payload);
    CHECK(opened->signer == key.public_half());
    CHECK(open_envelope(seal("t", "", key), "t", std::vector{key.public_half()}, error_kind::policy)->payload.empty());

    CHECK(code(envelope, {other.public_half()}) == "signature.not_trusted");
    CHECK(code(envelope, {}) == "signature.not_trusted");
    CHECK(code(envelope, {key.public_half()}, "u") == "signature.payload_type");
}

TEST_CASE("the signature is the one DSSE prescribes") {
    // By `openssl pkeyutl -sign -rawin` with the same key over "DSSEv1 29 http://example.com/HelloWorld 11 hello world".
    const signing_key key = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    const std::string envelope = seal("http://example.com/HelloWorld", "hello world", key);
    CHECK(envelope.find("\"payload\":\"aGVsbG8gd29ybGQ=\"") != std::string::npos);
    CHECK(envelope.find("\"payloadType\":\"http://example.com/HelloWorld\"") != std::string::npos);
    CHECK(envelope.find("4DHX3Zn4qpBKvEj7maE8O9u9bjXEnPLLnyXVUJ2PXJR8DSLcL3QDpFvfJOj3pB/SPHsl6Jg4boxsMb6KvuYABw==") !=
          std::string::npos);
    CHECK(envelope.find("\"keyid\":\"" + key.public_half().id() + "\"") != std::string::npos);
}

TEST_CASE("whatever is changed in an envelope, it opens to the same payload or not at all") {
    const signing_key key = signing_key::make();
    const std::vector<public_key> keys{key.public_half()};
    const std::string envelope = seal("t", "the payload of this envelope", key);
    std::size_t refused = 0;
    for (std::size_t i = 0; i < envelope.size(); ++i)
        for (const char flip : {'\1', '\4', ' '}) {
            std::string changed = envelope;
            changed[i] = static_cast<char>(changed[i] ^ flip);
            const auto opened = open_envelope(changed, "t", keys, error_kind::policy);
            if (!opened) {
                CHECK_FALSE(opened.error().code.empty());
                ++refused;
            } else {
                CHECK(opened->payload == "the payload of this envelope");
            }
        }
    CHECK(refused > envelope.size() * 2);
    for (std::size_t cut = 0; cut < envelope.size() - 1; ++cut)
        CHECK_FALSE(open_envelope(envelope.substr(0, cut), "t", keys, error_kind::policy).ok());

    // Signatures taken away, too many of them, one of another payload.
    CHECK(code(R"({"payloadType": "t", "payload": "aGk=", "signatures": []})", keys) == "signature.envelope");
    std::string many = R"({"payloadType": "t", "payload": "aGk=", "signatures": [{"sig": ""})";
    for (int i = 0; i < 16; ++i) many += R"(, {"sig": ""})";
    CHECK(code(many + "]}", keys) == "signature.envelope");
    CHECK(code(R"({"payloadType": "t", "payload": "aGk=", "signatures": [{"sig": "AAAA"}]})", keys) == "signature.not_trusted");
    CHECK(code(R"({"payloadType": "t", "payload": "a?", "signatures": [{"sig": "AAAA"}]})", keys) == "signature.envelope");
    CHECK(code(R"({"payloadType": "t", "payload": "aGk=", "signatures": [{"sig": "AAAA", "alg": "none"}]})", keys) ==
          "policy.unknown_field");
}
