#pragma once

#include <sodium/crypto_hash_sha256.h>
#if defined(OPSPILOT_LIBCRYPTO)
#include <openssl/evp.h>
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <new>

#include "opspilot/base/hash.hpp"

namespace opspilot {

namespace detail {
static_assert(sizeof(crypto_hash_sha256_state) <= 128, "sha256_stream reserves 128 bytes for libsodium's state");

/// From here on libcrypto's SHA-256 is the faster one, where it is at hand.
inline constexpr std::size_t long_input = 1 << 14;

inline crypto_hash_sha256_state* sodium_state(std::byte* bytes) noexcept {
    return std::launder(reinterpret_cast<crypto_hash_sha256_state*>(bytes));
}
inline const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}
}  // namespace detail

OPSPILOT_INLINE std::uint64_t xxh3(std::string_view bytes, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

OPSPILOT_INLINE sha256_digest sha256(std::string_view bytes) noexcept {
    sha256_digest digest;
#if defined(OPSPILOT_LIBCRYPTO)
    // It looks its algorithm up and allocates at every call, about a microsecond: not for short texts, nor inside a decision.
    if (bytes.size() >= detail::long_input &&
        EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1)
        return digest;
#endif
    crypto_hash_sha256(digest.data(), detail::bytes_of(bytes), bytes.size());
    return digest;
}

OPSPILOT_INLINE sha256_stream::sha256_stream() noexcept { crypto_hash_sha256_init(new (state_.data()) crypto_hash_sha256_state); }

OPSPILOT_INLINE void sha256_stream::update(std::string_view bytes) noexcept {
    crypto_hash_sha256_update(detail::sodium_state(state_.data()), detail::bytes_of(bytes), bytes.size());
}

OPSPILOT_INLINE sha256_digest sha256_stream::finish() noexcept {
    sha256_digest digest;
    crypto_hash_sha256_final(detail::sodium_state(state_.data()), digest.data());
    return digest;
}

OPSPILOT_INLINE std::string hex(const sha256_digest& digest) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(2 * digest.size());
    for (const std::uint8_t byte : digest) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

OPSPILOT_INLINE std::string sha256_hex(std::string_view bytes) { return hex(sha256(bytes)); }

}  // namespace opspilot
