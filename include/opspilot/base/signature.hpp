/// \file
/// Signed documents: Ed25519 (RFC 8032) in envelopes of the form DSSE 1.0 (https://github.com/secure-systems-lab/dsse).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// A key that verifies, 32 bytes.
struct public_key {
    std::array<std::uint8_t, 32> bytes{};

    /// The name by which envelopes refer to a key: the first 16 hex digits of its SHA-256.
    [[nodiscard]] OPSPILOT_API std::string id() const;
    [[nodiscard]] OPSPILOT_API std::string hex() const;
    /// Errors: signature.bad_key unless the text is 64 hex digits.
    [[nodiscard]] OPSPILOT_API static result<public_key> from_hex(std::string_view text);
    friend bool operator==(const public_key&, const public_key&) = default;
};

/// A key that signs: the 32 bytes it is made from. Whoever has them signs; keep them out of bundles and repositories.
struct signing_key {
    std::array<std::uint8_t, 32> seed{};

    /// From the system's random source.
    [[nodiscard]] OPSPILOT_API static signing_key make();
    [[nodiscard]] OPSPILOT_API public_key public_half() const;
};

/// The payload in a signed envelope, as one line of JSON. `payload_type` is signed, too: an envelope of one kind is none of
/// another.
[[nodiscard]] OPSPILOT_API std::string seal(std::string_view payload_type, std::string_view payload, const signing_key& key);

/// What an envelope that verifies holds.
struct opened_envelope {
    std::string payload;
    public_key signer;  ///< one of the trusted keys
};

/// Checks an envelope of untrusted bytes: JSON of at most 16 signatures, of which one at least is by a trusted key. The key id in
/// the envelope is not trusted, so nothing is gained by changing it or taking it away.
/// Errors, of the given kind: signature.envelope, signature.payload_type, signature.not_trusted, and those of the JSON.
[[nodiscard]] OPSPILOT_API result<opened_envelope> open_envelope(std::string_view envelope, std::string_view payload_type,
                                                                 std::span<const public_key> trusted, error_kind kind);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/signature-inl.hpp"
#endif
