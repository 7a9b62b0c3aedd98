/// \file
/// Internal: text to words. ASCII takes a table; everything else goes through utf8proc code point by code point.
#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/features/text.hpp"

namespace opspilot::detail {

/// What to do with each ASCII byte: 0 = between words, 1 = a word of its own, otherwise the character it becomes.
using ascii_table = std::array<std::uint8_t, 256>;

inline constexpr ascii_table make_ascii_table(bool casefold) {
    ascii_table table{};
    for (std::size_t c = 0; c < 128; ++c) {
        const bool upper = c >= 'A' && c <= 'Z';
        const bool word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (word) table[c] = static_cast<std::uint8_t>(upper && casefold ? c + 32 : c);
    }
    return table;
}

inline ascii_table table_of(const text_options& options) noexcept {
    static constexpr ascii_table folded = make_ascii_table(true);
    static constexpr ascii_table plain = make_ascii_table(false);
    ascii_table table = options.casefold ? folded : plain;
    for (const char c : options.symbols) table[static_cast<std::uint8_t>(c)] = 1;
    return table;
}

[[nodiscard]] inline bool is_ascii(std::string_view text) noexcept {
    std::uint64_t high = 0;
    std::size_t i = 0;
    for (; i + 8 <= text.size(); i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + i, 8);
        high |= word;
    }
    for (; i < text.size(); ++i) high |= static_cast<std::uint8_t>(text[i]);
    return (high & 0x8080808080808080ULL) == 0;
}

/// Eight ASCII characters at once: which of them belong to words, as bits from the first on, and what they become.
struct eight_characters {
    std::uint64_t words;
    std::uint64_t folded;
};
[[nodiscard]] inline eight_characters fold_eight(std::uint64_t c, bool casefold) noexcept {
    constexpr auto each = [](std::uint64_t byte) { return byte * 0x0101010101010101ULL; };
    // Below 128, a byte is at least x where adding 128 - x sets its top bit; no byte carries into the next.
    const auto within = [&](std::uint64_t bytes, char low, char high) {
        return (bytes + each(128U - static_cast<unsigned>(low))) & ~(bytes + each(127U - static_cast<unsigned>(high)));
    };
    constexpr std::uint64_t top = each(0x80);
    const std::uint64_t letters = within(c | each(0x20), 'a', 'z') & top;
    const std::uint64_t words = (letters | within(c, '0', '9') | within(c, '_', '_')) & top;
    const std::uint64_t capitals = casefold ? letters & ~(c << 2) : 0;
    // The product brings the top bits of all bytes together in its highest byte.
    return {(words >> 7) * 0x0102040810204080ULL >> 56, c | capitals >> 2};
}

/// Where words begin and end in ASCII text without symbols, in turn; `folded` gets their characters. Returns how many places.
inline std::size_t find_words(std::string_view text, bool casefold, char* folded, std::uint32_t* edges) noexcept {
    std::size_t found = 0;
    std::uint64_t before = 0;  // 1 inside a word
    for (std::size_t first = 0; first <= text.size(); first += 64) {
        std::array<std::uint64_t, 8> block{};  // zeros are between words, so the last word ends
        std::memcpy(block.data(), text.data() + first, std::min<std::size_t>(64, text.size() - first));
        std::uint64_t words = 0;
        for (unsigned i = 0; i < 8; ++i) {
            const eight_characters eight = fold_eight(block[i], casefold);
            words |= eight.words << 8 * i;
            block[i] = eight.folded;
        }
        std::memcpy(folded + first, block.data(), 64);
        std::uint64_t changes = words ^ (words << 1 | before);
        before = words >> 63;
        for (; changes != 0; changes &= changes - 1)
            edges[found++] = static_cast<std::uint32_t>(first + static_cast<unsigned>(std::countr_zero(changes)));
    }
    return found;
}

/// ASCII text without symbols to words: eight characters at a time, no branch per word but for long ones.
inline void split_plain(std::string_view text, bool casefold, std::string& folded, word_text& out) {
    constexpr std::size_t chunk = 16;  // bytes of a word copied at once, beyond its end as well
    folded.resize((text.size() / 64 + 1) * 64 + chunk);
    out.bytes.resize(text.size() + 2 + chunk);
    out.begin.resize(text.size() + 1);  // a word and its end take two bytes
    out.end.resize(text.size() / 2 + 1);
    out.ascii = true;
    std::uint32_t* const edges = out.begin.data();
    const std::size_t words = find_words(text, casefold, folded.data(), edges) / 2;
    char* to = out.bytes.data();
    *to++ = ' ';
    for (std::size_t i = 0; i < words; ++i) {
        const char* const word = folded.data() + edges[2 * i];
        const std::size_t size = edges[2 * i + 1] - edges[2 * i];
        std::memcpy(to, word, chunk);
        for (std::size_t k = chunk; k < size; k += chunk) std::memcpy(to + k, word + k, chunk);
        edges[i] = static_cast<std::uint32_t>(to - out.bytes.data());
        to += size;
        out.end[i] = static_cast<std::uint32_t>(to - out.bytes.data());
        *to++ = ' ';
    }
    out.bytes.resize(static_cast<std::size_t>(to - out.bytes.data()));
    out.begin.resize(words);
    out.end.resize(words);
}

/// ASCII text to words, no branch per character of a word but its end.
inline void split_ascii(std::string_view text, const ascii_table& table, word_text& out) {
    // A symbol takes two bytes (itself and a space), so twice the text is always enough.
    out.bytes.resize(2 * text.size() + 2);
    out.begin.clear();
    out.end.clear();
    out.ascii = true;
    char* const start = out.bytes.data();
    char* to = start;
    *to++ = ' ';
    const char* from = text.data();
    const char* const stop = from + text.size();
    const auto place = [&] { return static_cast<std::uint32_t>(to - start); };
    while (from != stop) {
        std::uint8_t c = table[static_cast<std::uint8_t>(*from)];
        if (c == 0) {
            ++from;
            continue;
        }
        out.begin.push_back(place());
        if (c == 1) {
            *to++ = *from++;
        } else {
            do {
                *to++ = static_cast<char>(c);
                if (++from == stop) break;
                c = table[static_cast<std::uint8_t>(*from)];
            } while (c > 1);
        }
        out.end.push_back(place());
        *to++ = ' ';
    }
    out.bytes.resize(place());
}

/// Builds words from normalised code points.
class word_builder {
public:
    word_builder(const ascii_table& table, word_text& out) noexcept : table_(table), out_(out) {
        out.bytes.assign(1, ' ');
        out.begin.clear();
        out.end.clear();
        out.ascii = true;
    }
    void put(std::int32_t point) {
        const bool ascii = point < 128;
        const std::uint8_t known = ascii ? table_[static_cast<std::size_t>(point)] : std::uint8_t{0};
        if (known == 1) {
            close();
            open();
            out_.bytes += static_cast<char>(point);
            close();
            return;
        }
        // Letters, marks, numbers and connectors are the categories 1 to 12 of utf8proc.
        const bool word =
            ascii ? known != 0
                  : utf8proc_category(point) >= UTF8PROC_CATEGORY_LU && utf8proc_category(point) <= UTF8PROC_CATEGORY_PC;
        if (!word) {
            close();
            return;
        }
        if (!open_) open();
        if (ascii) {
            out_.bytes += static_cast<char>(known);
            return;
        }
        out_.ascii = false;
        std::array<utf8proc_uint8_t, 4> encoded{};
        const auto size = utf8proc_encode_char(point, encoded.data());
        out_.bytes.append(reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(size));
    }
    void close() {
        if (!open_) return;
        open_ = false;
        out_.end.push_back(static_cast<std::uint32_t>(out_.bytes.size()));
        out_.bytes += ' ';
    }

private:
    void open() {
        open_ = true;
        out_.begin.push_back(static_cast<std::uint32_t>(out_.bytes.size()));
    }
    const ascii_table& table_;
    word_text& out_;
    bool open_ = false;
};

/// Puts combining marks in canonical order (UAX 15, D109) and composes; then hands the code points on.
inline void flush_points(std::vector<std::int32_t>& points, word_builder& to) {
    if (points.empty()) return;
    const auto combining = [](std::int32_t point) { return utf8proc_get_property(point)->combining_class; };
    for (std::size_t i = 1; i < points.size(); ++i) {
        const auto rank = combining(points[i]);
        if (rank == 0) continue;
        const std::int32_t point = points[i];
        std::size_t j = i;
        for (; j > 0 && combining(points[j - 1]) > rank; --j) points[j] = points[j - 1];
        points[j] = point;
    }
    const auto size = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    for (utf8proc_ssize_t i = 0; i < size; ++i) to.put(points[static_cast<std::size_t>(i)]);
    points.clear();
}

/// Well-formed UTF-8 to words. Nothing composes with a following ASCII character, so text is normalised in stretches that
/// begin at one; a stretch also ends after `longest_run` marks, which keeps sorting them linear on hostile text.
inline void split_unicode(std::string_view text, const text_options& options, const ascii_table& table,
                          std::vector<std::int32_t>& points, word_text& out) {
    constexpr std::size_t longest_run = 30;
    constexpr std::size_t longest_stretch = 4096;
    constexpr std::size_t longest_decomposition = 64;
    int flags = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE;
    if (options.casefold) flags |= UTF8PROC_CASEFOLD;
    if (options.strip_accents) flags |= UTF8PROC_STRIPMARK;
    word_builder to(table, out);
    points.clear();
    std::size_t run = 0;
    const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    auto left = static_cast<utf8proc_ssize_t>(text.size());
    while (left > 0) {
        utf8proc_int32_t point = -1;
        const utf8proc_ssize_t size = utf8proc_iterate(at, left, &point);
        if (size <= 0) break;  // checked by the caller
        at += size;
        left -= size;
        if (point < 128 || run >= longest_run || points.size() >= longest_stretch) {
            flush_points(points, to);
            run = 0;
        }
        if (point < 128 && (left == 0 || *at < 128)) {  // between ASCII neighbours there is nothing to normalise
            to.put(point);
            continue;
        }
        std::array<utf8proc_int32_t, longest_decomposition> pieces{};
        int boundary = 0;
        const utf8proc_ssize_t count = utf8proc_decompose_char(point, pieces.data(), longest_decomposition,
                                                               static_cast<utf8proc_option_t>(flags), &boundary);
        for (utf8proc_ssize_t i = 0; i < count && i < static_cast<utf8proc_ssize_t>(longest_decomposition); ++i) {
            const std::int32_t piece = pieces[static_cast<std::size_t>(i)];
            points.push_back(piece);
            run = utf8proc_get_property(piece)->combining_class > 0 ? run + 1 : 0;
        }
    }
    flush_points(points, to);
    to.close();
}

}  // namespace opspilot::detail
