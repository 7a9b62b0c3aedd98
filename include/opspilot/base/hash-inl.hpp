#pragma once

#include <sodium/crypto_hash_sha256.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "opspilot/base/hash.hpp"

#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__SHA__) && defined(__SSE4_1__)  // without sources of its own it exists when the program is compiled for it
#include "opspilot/base/detail/sha256_x86.hpp"
#endif
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace opspilot {

namespace detail {
static_assert(sizeof(crypto_hash_sha256_state) <= 128, "sha256_stream reserves 128 bytes for libsodium's state");

inline crypto_hash_sha256_state* sodium_state(std::byte* bytes) noexcept {
    return std::launder(reinterpret_cast<crypto_hash_sha256_state*>(bytes));
}
inline const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// Takes whole blocks of 64 bytes into the state.
using sha256_kernel = void (*)(std::uint32_t* state, const unsigned char* bytes, std::size_t blocks) noexcept;

#if !defined(OPSPILOT_HEADER_ONLY) && defined(__x86_64__)
void sha256_kernel_x86(std::uint32_t* state, const unsigned char* bytes, std::size_t blocks) noexcept;
#endif

/// The instructions of this machine for SHA-256, or null: libsodium's portable code takes five times as long, which is half of
/// the time that a bundle of some megabytes needs to load.
inline sha256_kernel find_sha256_kernel() noexcept {
#if defined(OPSPILOT_HEADER_ONLY)
#if defined(__SHA__) && defined(__SSE4_1__)
    return &sha256_blocks_x86;
#endif
#elif defined(__x86_64__)
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_1) != 0 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
        (b & bit_SHA) != 0)
        return &sha256_kernel_x86;
#endif
    return nullptr;
}

/// FIPS 180-4 around a kernel: the first state, the padding, the digest in network order.
inline sha256_digest sha256_by(sha256_kernel kernel, std::string_view bytes) noexcept {
    std::array<std::uint32_t, 8> state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const std::size_t whole = bytes.size() / 64;
    const std::string_view rest = bytes.substr(whole * 64);
    kernel(state.data(), bytes_of(bytes), whole);
    std::array<unsigned char, 128> last{};
    std::copy(rest.begin(), rest.end(), last.begin());
    last[rest.size()] = 0x80;
    const std::size_t blocks = rest.size() < 56 ? 1 : 2;
    for (std::size_t i = 0; i < 8; ++i)
        last[blocks * 64 - 1 - i] = static_cast<unsigned char>(std::uint64_t{bytes.size()} * 8 >> (8 * i));
    kernel(state.data(), last.data(), blocks);
    sha256_digest digest;
    for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
    return digest;
}
}  // namespace detail

OPSPILOT_INLINE std::uint64_t xxh3(std::string_view bytes, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

OPSPILOT_INLINE sha256_digest sha256(std::string_view bytes) noexcept {
    static const detail::sha256_kernel kernel = detail::find_sha256_kernel();
    if (kernel != nullptr) return detail::sha256_by(kernel, bytes);
    sha256_digest digest;
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
