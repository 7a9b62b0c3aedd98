/// \file
/// The packed form of a bundle: named parts behind one identity, every byte covered by it.
///
///     offset  bytes  content (integers little-endian)
///     0       8      "OPSPILOT"
///     8       4      format version, 1
///     12      4      number of parts, n
///     16      …      n × { u16 name length, name (UTF-8), u64 size, 32 bytes SHA-256 of the content }, names ascending
///     …       32     SHA-256 of all bytes above: the bundle's fingerprint
///     …       …      the contents, one after the other, nothing after the last
///
/// A changed byte in the directory changes the fingerprint; one in a content disagrees with the directory; a byte too many
/// or too few disagrees with the sizes. So no byte is ignored, and each is hashed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot {

/// Parts by name ("schema.json", "rank/model.txt"), as a host reads them from a folder.
using part_map = std::map<std::string, std::string, std::less<>>;

/// One part of an opened container; `content` points into the caller's bytes.
struct part_view {
    std::string_view content;
    sha256_digest digest{};
};

/// An opened container: parts by name, and the identity of the whole.
struct container {
    std::map<std::string_view, part_view, std::less<>> parts;
    sha256_digest fingerprint{};
};

/// Limits of a container that is read.
struct container_limits {
    std::uint64_t bytes = std::uint64_t{1} << 30;
    std::uint32_t parts = 4096;
};

/// Writes the packed form. Part names are relative paths with forward slashes and without "." or ".." steps.
/// Errors: bundle.part_name.
[[nodiscard]] OPSPILOT_API result<std::string> pack_container(const part_map& parts);

/// Opens the packed form; every hash is checked. The bytes must outlive the result.
/// Errors (kind bundle, place "byte N" or "part 'x'"): bundle.not_a_bundle, .version, .truncated, .part_name, .part_order,
/// .trailing_bytes, .fingerprint, .part_hash; kind limit: bundle.too_large, .too_many_parts.
[[nodiscard]] OPSPILOT_API result<container> open_container(std::string_view bytes, const container_limits& limits = {});

/// The identity that `pack_container` would give these parts.
[[nodiscard]] OPSPILOT_API result<sha256_digest> container_fingerprint(const part_map& parts);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/container-inl.hpp"
#endif
