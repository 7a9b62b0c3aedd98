/// \file
/// The two hashes of the library: XXH3 for buckets and tables, SHA-256 for identity.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// XXH3-64 of the bytes with the given seed: feature hashing, dictionaries, rollout buckets.
/// Stable across platforms and releases (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
[[nodiscard]] OPSPILOT_API std::uint64_t xxh3(std::string_view bytes, std::uint64_t seed = 0) noexcept;

using sha256_digest = std::array<std::uint8_t, 32>;

/// SHA-256 (FIPS 180-4) of the bytes.
[[nodiscard]] OPSPILOT_API sha256_digest sha256(std::string_view bytes) noexcept;

/// SHA-256 over several pieces as if they were one string.
class OPSPILOT_API sha256_stream {
public:
    sha256_stream() noexcept;
    void update(std::string_view bytes) noexcept;
    [[nodiscard]] sha256_digest finish() noexcept;

private:
    alignas(16) std::array<std::byte, 128> state_{};  // room for the provider's state, checked where it is used
};

/// 64 lower-case hexadecimal digits.
[[nodiscard]] OPSPILOT_API std::string hex(const sha256_digest& digest);

/// `hex(sha256(bytes))`.
[[nodiscard]] OPSPILOT_API std::string sha256_hex(std::string_view bytes);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/hash-inl.hpp"
#endif
