#pragma once

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/signature.hpp"
#include "opspilot/base/text.hpp"

namespace opspilot {

namespace detail {

/// libsodium has to be told once; later calls do nothing.
inline void wake_sodium() noexcept { [[maybe_unused]] static const int ready = sodium_init(); }

inline std::string_view view_of(std::span<const std::uint8_t> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::string hex_of(std::span<const std::uint8_t> bytes) {
    std::string out;
    for (const std::uint8_t b : bytes) out += fmt::format("{:02x}", b);
    return out;
}

inline std::string base64(std::string_view bytes) {
    std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    out.pop_back();  // the zero byte
    return out;
}

/// False when the text is not base64 with padding.
inline bool from_base64(std::string_view text, std::string& out) {
    out.resize(text.size() / 4 * 3 + 3);
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr, &size,
                          &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text.data() + text.size())
        return false;
    out.resize(size);
    return true;
}

/// What is signed: DSSE's pre-authentication encoding, which keeps type and payload apart.
inline std::string authenticated(std::string_view payload_type, std::string_view payload) {
    return fmt::format("DSSEv1 {} {} {} {}", payload_type.size(), payload_type, payload.size(), payload);
}

inline constexpr std::array<document_field, 3> envelope_fields{{{"payloadType", json_kind::text, true, "what the payload is"},
                                                                {"payload", json_kind::text, true, "what is signed, in base64"},
                                                                {"signatures", json_kind::array, true, "who signed it"}}};
inline constexpr std::array<document_field, 2> signature_fields{
    {{"keyid", json_kind::text, false, "which key signed; a hint"}, {"sig", json_kind::text, true, "Ed25519 in base64"}}};

inline bool verifies(std::string_view message, std::string_view signature, const public_key& key) noexcept {
    return signature.size() == crypto_sign_BYTES &&
           crypto_sign_verify_detached(reinterpret_cast<const unsigned char*>(signature.data()),
                                       reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                                       key.bytes.data()) == 0;
}

}  // namespace detail

OPSPILOT_INLINE std::string public_key::id() const { return sha256_hex(detail::view_of(bytes)).substr(0, 16); }
OPSPILOT_INLINE std::string public_key::hex() const { return detail::hex_of(bytes); }

OPSPILOT_INLINE result<public_key> public_key::from_hex(std::string_view text) {
    public_key out;
    std::size_t size = 0;
    const char* end = nullptr;
    if (text.size() != 64 ||
        sodium_hex2bin(out.bytes.data(), out.bytes.size(), text.data(), text.size(), nullptr, &size, &end) != 0 || size != 32)
        return error{error_kind::usage, "signature.bad_key", "a public key is 64 hex digits", "", "give it as keygen prints it"};
    return out;
}

OPSPILOT_INLINE signing_key signing_key::make() {
    detail::wake_sodium();
    signing_key out;
    randombytes_buf(out.seed.data(), out.seed.size());
    return out;
}

OPSPILOT_INLINE public_key signing_key::public_half() const {
    public_key out;
    std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret{};
    crypto_sign_seed_keypair(out.bytes.data(), secret.data(), seed.data());
    sodium_memzero(secret.data(), secret.size());
    return out;
}

OPSPILOT_INLINE std::string seal(std::string_view payload_type, std::string_view payload, const signing_key& key) {
    detail::wake_sodium();
    public_key own;
    std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret{};
    crypto_sign_seed_keypair(own.bytes.data(), secret.data(), key.seed.data());
    const std::string message = detail::authenticated(payload_type, payload);
    std::array<std::uint8_t, crypto_sign_BYTES> signature{};
    crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                         secret.data());
    sodium_memzero(secret.data(), secret.size());
    const detail::json out{{"payloadType", payload_type},
                           {"payload", detail::base64(payload)},
                           {"signatures", {{{"keyid", own.id()}, {"sig", detail::base64(detail::view_of(signature))}}}}};
    return out.dump() + "\n";
}

OPSPILOT_INLINE result<opened_envelope> open_envelope(std::string_view envelope, std::string_view payload_type,
                                                      std::span<const public_key> trusted, error_kind kind) {
    using namespace detail;
    wake_sodium();
    constexpr std::size_t most_signatures = 16;
    const auto malformed = [&](std::string message, std::string where) {
        return error{kind, "signature.envelope", std::move(message), std::move(where), "sign it again"};
    };
    OPSPILOT_TRY(const json document, parse_json(envelope, kind));
    OPSPILOT_CHECK(check_object(document, envelope_fields, "", kind));
    if (const std::string type = text_or(document, "payloadType", ""); type != payload_type)
        return error{kind, "signature.payload_type",
                     fmt::format("the envelope holds {}, not {}", quote(type), quote(payload_type)), "/payloadType",
                     "an envelope of one kind is none of another"};
    opened_envelope out;
    if (!from_base64(text_or(document, "payload", ""), out.payload)) return malformed("the payload is not base64", "/payload");
    const json& signatures = document["signatures"];
    if (signatures.empty() || signatures.size() > most_signatures)
        return malformed(fmt::format("{} signatures; 1 to {} are read", signatures.size(), most_signatures), "/signatures");
    const std::string message = authenticated(payload_type, out.payload);
    for (std::size_t i = 0; i < signatures.size(); ++i) {
        const std::string where = fmt::format("/signatures/{}", i);
        OPSPILOT_CHECK(check_object(signatures[i], signature_fields, where, kind));
        std::string signature;
        if (!from_base64(text_or(signatures[i], "sig", ""), signature))
            return malformed("the signature is not base64", where + "/sig");
        for (const public_key& key : trusted)
            if (verifies(message, signature, key)) {
                out.signer = key;
                return out;
            }
    }
    return error{kind, "signature.not_trusted", "no signature is by a trusted key and fits what is signed", "/signatures",
                 "sign it with a trusted key, or trust the key it was signed with"};
}

}  // namespace opspilot
