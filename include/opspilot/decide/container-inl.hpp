#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/decide/container.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::string_view container_magic = "OPSPILOT";
inline constexpr std::uint32_t container_version = 1;
inline constexpr std::size_t longest_part_name = 255;

template <class Integer>
inline void append_little_endian(std::string& out, Integer value) {
    for (std::size_t i = 0; i < sizeof(Integer); ++i) out += static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// Reads forward through untrusted bytes; every read says whether enough was left.
class byte_reader {
public:
    explicit byte_reader(std::string_view bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] bool take(std::size_t count, std::string_view& out) noexcept {
        if (count > bytes_.size() - at_) return false;
        out = bytes_.substr(at_, count);
        at_ += count;
        return true;
    }
    template <class Integer>
    [[nodiscard]] bool take_integer(Integer& out) noexcept {
        std::string_view raw;
        if (!take(sizeof(Integer), raw)) return false;
        out = 0;
        for (std::size_t i = 0; i < sizeof(Integer); ++i)
            out = static_cast<Integer>(out |
                                       static_cast<Integer>(static_cast<Integer>(static_cast<std::uint8_t>(raw[i])) << (8 * i)));
        return true;
    }
    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

private:
    std::string_view bytes_;
    std::size_t at_ = 0;
};

/// A relative path that stays inside its folder on every system.
inline bool sound_part_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > longest_part_name || !valid_utf8(name)) return false;
    std::size_t start = 0;
    while (start <= name.size()) {
        const std::size_t end = std::min(name.find('/', start), name.size());
        const std::string_view step = name.substr(start, end - start);
        if (step.empty() || step == "." || step == ".." || step.find_first_of("\\:\0", 0, 3) != std::string_view::npos)
            return false;
        start = end + 1;
    }
    return true;
}

inline error container_error(std::string_view code, std::string message, std::string where, std::string hint = {}) {
    return error{error_kind::bundle, code, std::move(message), std::move(where), std::move(hint)};
}

inline result<std::string> container_directory(const part_map& parts) {
    std::string out(container_magic);
    append_little_endian(out, container_version);
    append_little_endian(out, static_cast<std::uint32_t>(parts.size()));
    for (const auto& [name, content] : parts) {
        if (!sound_part_name(name))
            return container_error("bundle.part_name", fmt::format("{} cannot name a part", quote(name)), "",
                                   "use a relative path with forward slashes, at most 255 bytes");
        append_little_endian(out, static_cast<std::uint16_t>(name.size()));
        out += name;
        append_little_endian(out, static_cast<std::uint64_t>(content.size()));
        const sha256_digest digest = sha256(content);
        out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
    }
    return out;
}

}  // namespace detail

OPSPILOT_INLINE result<std::string> pack_container(const part_map& parts) {
    OPSPILOT_TRY(std::string out, detail::container_directory(parts));
    const sha256_digest identity = sha256(out);
    out.append(reinterpret_cast<const char*>(identity.data()), identity.size());
    for (const auto& [name, content] : parts) out += content;
    return out;
}

OPSPILOT_INLINE result<sha256_digest> container_fingerprint(const part_map& parts) {
    OPSPILOT_TRY(const std::string directory, detail::container_directory(parts));
    return sha256(directory);
}

OPSPILOT_INLINE result<container> open_container(std::string_view bytes, const container_limits& limits) {
    using detail::container_error;
    constexpr const char* cut_cure = "copy the file again; it ends too early";
    if (bytes.size() > limits.bytes)
        return error{error_kind::limit, "bundle.too_large", fmt::format("{} bytes; the limit is {}", bytes.size(), limits.bytes),
                     "", "raise the limit if the file is yours"};
    detail::byte_reader in(bytes);
    std::string_view magic;
    if (!in.take(detail::container_magic.size(), magic) || magic != detail::container_magic)
        return container_error("bundle.not_a_bundle", "the bytes do not start with OPSPILOT", "byte 0",
                               "give a packed bundle, or pack a folder with Bundle.build");
    std::uint32_t version = 0;
    std::uint32_t count = 0;
    if (!in.take_integer(version) || !in.take_integer(count))
        return container_error("bundle.truncated", "the header is cut off", fmt::format("byte {}", bytes.size()), cut_cure);
    if (version != detail::container_version)
        return container_error("bundle.version",
                               fmt::format("format version {}; this library reads {}", version, detail::container_version),
                               "byte 8", "build the bundle with this release, or update the library");
    if (count > limits.parts)
        return error{error_kind::limit, "bundle.too_many_parts", fmt::format("{} parts; the limit is {}", count, limits.parts),
                     "byte 12", ""};

    struct entry {
        std::string_view name;
        std::uint64_t size = 0;
        sha256_digest digest{};
    };
    std::vector<entry> entries;
    std::uint64_t total = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        entry e;
        std::uint16_t length = 0;
        std::string_view digest;
        const std::size_t at = in.at();
        if (!in.take_integer(length) || !in.take(length, e.name) || !in.take_integer(e.size) || !in.take(e.digest.size(), digest))
            return container_error("bundle.truncated", "the directory is cut off", fmt::format("byte {}", bytes.size()),
                                   cut_cure);
        if (!detail::sound_part_name(e.name))
            return container_error("bundle.part_name", fmt::format("{} cannot name a part", quote(e.name)),
                                   fmt::format("byte {}", at));
        if (!entries.empty() && entries.back().name >= e.name)
            return container_error("bundle.part_order",
                                   fmt::format("part {} stands after {}", quote(e.name), quote(entries.back().name)),
                                   fmt::format("byte {}", at), "names must ascend, each once");
        if (e.size > bytes.size() - total)
            return container_error("bundle.truncated",
                                   fmt::format("part {} of {} bytes does not fit the file", quote(e.name), e.size),
                                   fmt::format("byte {}", at), cut_cure);
        total += e.size;
        std::memcpy(e.digest.data(), digest.data(), digest.size());
        entries.push_back(e);
    }
    container out;
    const std::string_view directory = bytes.substr(0, in.at());
    std::string_view stored;
    if (!in.take(out.fingerprint.size(), stored))
        return container_error("bundle.truncated", "the fingerprint is cut off", fmt::format("byte {}", bytes.size()), cut_cure);
    out.fingerprint = sha256(directory);
    if (std::memcmp(stored.data(), out.fingerprint.data(), stored.size()) != 0)
        return container_error("bundle.fingerprint", "the directory does not match its fingerprint",
                               fmt::format("byte {}", directory.size()),
                               "the file was changed after it was built; copy it again");
    if (in.left() < total)
        return container_error("bundle.truncated", fmt::format("{} bytes of content announced, {} present", total, in.left()),
                               fmt::format("byte {}", bytes.size()), cut_cure);
    if (in.left() > total)
        return container_error("bundle.trailing_bytes", fmt::format("{} bytes after the last part", in.left() - total),
                               fmt::format("byte {}", bytes.size() - (in.left() - total)));
    for (const entry& e : entries) {
        const std::size_t at = in.at();
        part_view part{.content = {}, .digest = e.digest};
        if (!in.take(static_cast<std::size_t>(e.size), part.content))
            return container_error("bundle.truncated", "content is cut off", "", cut_cure);
        if (sha256(part.content) != e.digest)
            return container_error("bundle.part_hash", fmt::format("part {} does not match its hash", quote(e.name)),
                                   fmt::format("byte {}", at), "the file was changed after it was built; copy it again");
        out.parts.emplace(e.name, part);
    }
    return out;
}

}  // namespace opspilot
