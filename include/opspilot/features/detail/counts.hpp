/// \file
/// Internal: counts per 64-bit hash, and their compact text in a feature document.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace opspilot::detail {

/// Mixes two hashes into one; the order of the two matters. The multiply-and-fold step of wyhash
/// (https://github.com/wangyi-fudan/wyhash): both halves of a 128-bit product.
[[nodiscard]] inline std::uint64_t mix_hashes(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using wide = unsigned __int128;
    const wide product = static_cast<wide>(a ^ 0xA0761D6478BD642FULL) * (b ^ 0xE7037ED1A0B428DBULL);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Open-addressing index of distinct 64-bit keys that are hashes already.
class count_index {
public:
    [[nodiscard]] std::uint32_t find(std::uint64_t key, const std::vector<std::uint64_t>& keys) const noexcept {
        if (slots_.empty()) return none;
        const std::size_t mask = slots_.size() - 1;
        for (std::size_t at = place(key) & mask;; at = (at + 1) & mask) {
            const std::uint32_t entry = slots_[at];
            if (entry == none || keys[entry] == key) return entry;
        }
    }
    /// Enters `keys.back()`, which must be new.
    void add_last(const std::vector<std::uint64_t>& keys) {
        if (2 * keys.size() > slots_.size())
            rebuild(keys, std::max<std::size_t>(16, 2 * slots_.size()));
        else
            enter(keys, static_cast<std::uint32_t>(keys.size() - 1));
    }
    void rebuild(const std::vector<std::uint64_t>& keys, std::size_t least = 16) {
        std::size_t size = 16;
        while (size < least || size < 2 * keys.size()) size *= 2;
        slots_.assign(size, none);
        for (std::uint32_t i = 0; i < keys.size(); ++i) enter(keys, i);
    }
    void clear() noexcept { std::fill(slots_.begin(), slots_.end(), none); }

    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

private:
    static std::size_t place(std::uint64_t key) noexcept { return static_cast<std::size_t>(key ^ (key >> 29)); }
    void enter(const std::vector<std::uint64_t>& keys, std::uint32_t entry) noexcept {
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = place(keys[entry]) & mask;
        while (slots_[at] != none) at = (at + 1) & mask;
        slots_[at] = entry;
    }
    std::vector<std::uint32_t> slots_;
};

/// Two counts per key: how often it was seen, and how often with a choice.
struct count_table {
    /// Keys are cut to 48 bits, which a document stores in fewer bytes: among 2^20 keys, an unknown one is taken for a known
    /// one once in 2.7e8 look-ups.
    static constexpr std::uint64_t key_mask = (std::uint64_t{1} << 48) - 1;

    std::vector<std::uint64_t> keys;
    std::vector<std::uint32_t> seen, chosen;
    count_index index;

    [[nodiscard]] std::uint32_t find(std::uint64_t key) const noexcept { return index.find(key & key_mask, keys); }
    [[nodiscard]] std::uint64_t seen_of(std::uint64_t key) const noexcept {
        const std::uint32_t at = find(key);
        return at == count_index::none ? 0 : seen[at];
    }
    void add(std::uint64_t key, bool with_choice) {
        key &= key_mask;
        std::uint32_t at = index.find(key, keys);
        if (at == count_index::none) {
            at = static_cast<std::uint32_t>(keys.size());
            keys.push_back(key);
            seen.push_back(0);
            chosen.push_back(0);
            index.add_last(keys);
        }
        ++seen[at];
        if (with_choice) ++chosen[at];
    }
};

[[nodiscard]] inline std::string base64_encode(std::string_view bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t j) { return j < bytes.size() ? static_cast<std::uint8_t>(bytes[j]) : 0U; };
        const std::uint32_t word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        out += digits[word >> 18];
        out += digits[word >> 12 & 63];
        out += i + 1 < bytes.size() ? digits[word >> 6 & 63] : '=';
        out += i + 2 < bytes.size() ? digits[word & 63] : '=';
    }
    return out;
}

/// Strict: full groups of four, padding only at the end, no other characters.
[[nodiscard]] inline std::optional<std::string> base64_decode(std::string_view text) {
    static constexpr std::uint32_t wrong = 1U << 31;
    static constexpr auto digits = [] {  // what a character stands for at each place of its group
        std::array<std::array<std::uint32_t, 256>, 4> out{};
        for (auto& of_place : out) of_place.fill(wrong);
        std::uint32_t value = 0;
        for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")) {
            for (unsigned place = 0; place < 4; ++place) out[place][static_cast<std::uint8_t>(c)] = value << (18 - 6 * place);
            ++value;
        }
        return out;
    }();
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
    std::string out(text.size() / 4 * 3, '\0');
    std::uint32_t all = 0;
    for (std::size_t i = 0, o = 0; i < text.size(); i += 4, o += 3) {
        std::array<char, 4> group{text[i], text[i + 1], text[i + 2], text[i + 3]};
        if (i + 4 == text.size()) std::fill(group.end() - static_cast<std::ptrdiff_t>(padding), group.end(), 'A');
        std::uint32_t word = 0;
        for (std::size_t j = 0; j < 4; ++j) word |= digits[j][static_cast<std::uint8_t>(group[j])];
        all |= word;
        out[o] = static_cast<char>(word >> 16 & 255);
        out[o + 1] = static_cast<char>(word >> 8 & 255);
        out[o + 2] = static_cast<char>(word & 255);
    }
    if ((all & wrong) != 0) return std::nullopt;
    out.resize(out.size() - padding);
    return out;
}

/// Appends an unsigned number in 7-bit groups, least significant first (LEB128).
inline void put_varint(std::string& out, std::uint64_t value) {
    while (value >= 128) {
        out += static_cast<char>(value | 128);
        value >>= 7;
    }
    out += static_cast<char>(value);
}

/// Reads such a number and moves on; false when the bytes end or the number exceeds 64 bits.
[[nodiscard]] inline bool take_varint(std::string_view& bytes, std::uint64_t& value) noexcept {
    if (!bytes.empty() && static_cast<std::uint8_t>(bytes.front()) < 128) {
        value = static_cast<std::uint8_t>(bytes.front());
        bytes.remove_prefix(1);
        return true;
    }
    if constexpr (std::endian::native == std::endian::little) {
        // Up to 8 groups at once: the bytes up to the first that ends a number, pushed together pairwise.
        std::uint64_t word = 0;
        if (bytes.size() >= sizeof word) {
            std::memcpy(&word, bytes.data(), sizeof word);
            const std::uint64_t ends = ~word & 0x8080808080808080ULL;
            if (ends != 0) {
                bytes.remove_prefix((static_cast<std::size_t>(std::countr_zero(ends)) + 1) / 8);
                word &= ends ^ (ends - 1);
                word = (word & 0x007F007F007F007FULL) | (word & 0x7F007F007F007F00ULL) >> 1;
                word = (word & 0x00003FFF00003FFFULL) | (word & 0x3FFF00003FFF0000ULL) >> 2;
                value = (word & 0x000000000FFFFFFFULL) | (word & 0x0FFFFFFF00000000ULL) >> 4;
                return true;
            }
        }
    }
    value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
        const auto byte = static_cast<std::uint8_t>(bytes.front());
        bytes.remove_prefix(1);
        if (shift == 63 && byte > 1) return false;
        value |= std::uint64_t{byte & 127U} << shift;
        if (byte < 128) return true;
    }
    return false;
}

/// The table as base64 text of varints: per key in ascending order its distance from the one before, `seen`, and (with
/// `choices`) `chosen`. Entries seen less than `least` times are left out.
[[nodiscard]] inline std::string pack_counts(const count_table& table, bool choices, std::uint32_t least) {
    std::vector<std::uint32_t> order(table.keys.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return table.keys[a] < table.keys[b]; });
    std::string bytes;
    std::uint64_t before = 0;
    for (const std::uint32_t i : order) {
        if (table.seen[i] < least) continue;
        put_varint(bytes, table.keys[i] - before);
        put_varint(bytes, table.seen[i]);
        if (choices) put_varint(bytes, table.chosen[i]);
        before = table.keys[i];
    }
    return base64_encode(bytes);
}

/// What `pack_counts` wrote, in the order of the keys and without an index: not every reader looks keys up.
[[nodiscard]] inline std::optional<count_table> unpack_counts(std::string_view text, bool choices) {
    const auto packed = base64_decode(text);
    if (!packed) return std::nullopt;
    count_table out;
    std::string_view bytes = *packed;
    // Every number ends in one byte below 128, so their count is known before they are read; a remainder shows at the last entry.
    const auto numbers = static_cast<std::size_t>(
        std::count_if(bytes.begin(), bytes.end(), [](char c) { return static_cast<std::uint8_t>(c) < 128; }));
    const std::size_t entries = numbers / (choices ? 3 : 2);
    out.keys.resize(entries);
    out.seen.resize(entries);
    out.chosen.resize(entries);
    std::uint64_t key = 0;
    for (std::size_t i = 0; i < entries; ++i) {
        std::uint64_t distance = 0;
        std::uint64_t seen = 0;
        std::uint64_t chosen = 0;
        if (!take_varint(bytes, distance) || !take_varint(bytes, seen)) return std::nullopt;
        if (choices && !take_varint(bytes, chosen)) return std::nullopt;
        if (distance > count_table::key_mask || (distance == 0 && i > 0)) return std::nullopt;
        key += distance;
        if (key > count_table::key_mask || seen == 0 || seen > 0xFFFFFFFFU || chosen > seen) return std::nullopt;
        out.keys[i] = key;
        out.seen[i] = static_cast<std::uint32_t>(seen);
        out.chosen[i] = static_cast<std::uint32_t>(chosen);
    }
    if (!bytes.empty()) return std::nullopt;
    return out;
}

}  // namespace opspilot::detail
