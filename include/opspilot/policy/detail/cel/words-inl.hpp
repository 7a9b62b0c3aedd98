#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "opspilot/policy/detail/cel/libraries.hpp"

namespace opspilot::cel::detail {

/// Words of a text, compared without regard to case, width, accents and invisible characters (Unicode's NFKC case folding without
/// marks). A word is a run of letters, digits and underscores; where a script puts no spaces between words, each character is
/// one.
struct folded_words {
    const std::int32_t* points = nullptr;
    const std::uint32_t* begin = nullptr;  ///< of word i in `points`; one more than there are words
    const std::uint32_t* hash = nullptr;
    std::size_t count = 0;
    bool ok = false;  ///< false: the arena had no room

    [[nodiscard]] std::span<const std::int32_t> word(std::size_t i) const noexcept {
        return {points + begin[i], begin[i + 1] - begin[i]};
    }
};

/// Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar: no spaces between words; and the letters of Hangul, where particles follow
/// a word without one.
inline bool stands_alone(std::int32_t point) noexcept {
    return (point >= 0x3040 && point <= 0x30FF) || (point >= 0x3400 && point <= 0x9FFF) || (point >= 0xF900 && point <= 0xFAFF) ||
           (point >= 0x20000 && point <= 0x3FFFF) || (point >= 0x0E00 && point <= 0x0EFF) ||
           (point >= 0x1000 && point <= 0x109F) || (point >= 0x1100 && point <= 0x11FF) || (point >= 0x1780 && point <= 0x17FF);
}

inline bool belongs_to_word(std::int32_t point) noexcept {
    if (point < 128)
        return (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') || (point >= 'A' && point <= 'Z') || point == '_';
    const auto category = utf8proc_category(point);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;  // letters, marks, numbers
}

/// The folded code points of a text, into the arena; ASCII without the detour.
inline std::span<std::int32_t> fold(std::string_view text, arena& memory, bool& ok) {
    const bool ascii = std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 128; });
    std::size_t room = ascii ? text.size() : text.size() + 16;
    for (int attempt = 0; attempt < 2; ++attempt) {
        auto* const points = memory.array<std::int32_t>(room + 1);
        ok = points != nullptr;
        if (!ok) return {};
        if (ascii) {
            std::transform(text.begin(), text.end(), points, [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
            return {points, text.size()};
        }
        constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                                                UTF8PROC_IGNORE | UTF8PROC_STRIPMARK | UTF8PROC_STABLE);
        const utf8proc_ssize_t made =
            utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                               points, static_cast<utf8proc_ssize_t>(room), options);
        if (made < 0) return {};  // no UTF-8: no words
        if (static_cast<std::size_t>(made) <= room) return {points, static_cast<std::size_t>(made)};
        room = static_cast<std::size_t>(made);
    }
    return {};
}

inline folded_words words_of(std::string_view text, const call_context& c) {
    folded_words out;
    const std::span<std::int32_t> points = fold(text, c.memory, out.ok);
    if (!out.ok) return out;
    auto* const begin = c.memory.array<std::uint32_t>(points.size() + 1);
    auto* const hash = c.memory.array<std::uint32_t>(points.size() + 1);
    out.ok = begin != nullptr && hash != nullptr;
    if (!out.ok) return out;
    // Words move together, so that each ends where the next begins.
    std::size_t to = 0;
    bool inside = false;
    for (const std::int32_t point : points) {
        if (!belongs_to_word(point)) {
            inside = false;
            continue;
        }
        const bool alone = stands_alone(point);
        if (!inside || alone) {
            begin[out.count] = static_cast<std::uint32_t>(to);
            hash[out.count++] = 2166136261U;
        }
        inside = !alone;
        points[to++] = point;
        hash[out.count - 1] = (hash[out.count - 1] ^ static_cast<std::uint32_t>(point)) * 16777619U;  // FNV-1a
    }
    begin[out.count] = static_cast<std::uint32_t>(to);
    out.points = points.data();
    out.begin = begin;
    out.hash = hash;
    return out;
}

/// Whether the words of `phrase` stand in `text` one after the other.
inline bool holds_phrase(const folded_words& text, const folded_words& phrase) noexcept {
    if (phrase.count == 0) return false;
    for (std::size_t i = 0; i + phrase.count <= text.count; ++i) {
        std::size_t k = 0;
        while (k < phrase.count && text.hash[i + k] == phrase.hash[k] && std::ranges::equal(text.word(i + k), phrase.word(k)))
            ++k;
        if (k == phrase.count) return true;
    }
    return false;
}

/// text.mentions(['agent', 'human being']): whether one of the phrases stands in the text, word for word.
inline value text_mentions(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text) || !a[1].is(kind::list)) return c.no_overload();
    constexpr std::uint64_t most_comparisons = 50'000'000;
    c.charge(a[0].size * 4);
    const folded_words text = words_of(a[0].view(), c);
    if (!text.ok) return c.fail(fault::memory_limit);
    std::uint64_t comparisons = 0;
    for (std::uint64_t i = 0; i < a[1].size; ++i) {
        std::string_view phrase;
        if (a[1].coded)
            phrase = c.strings->text(a[1].codes[i]);
        else if (a[1].items[i].is(kind::text))
            phrase = a[1].items[i].view();
        else
            return c.no_overload();
        c.charge(phrase.size() * 4);
        const folded_words wanted = words_of(phrase, c);
        if (!wanted.ok) return c.fail(fault::memory_limit);
        comparisons += text.count * std::max<std::size_t>(wanted.count, 1);
        if (comparisons > most_comparisons) return c.fail(fault::cost_limit);
        c.charge(text.count);
        if (holds_phrase(text, wanted)) return make_boolean(true);
    }
    return make_boolean(false);
}

inline constexpr std::array word_table{
    overload{"mentions", true, "s[s", "b", builtin::library, text_mentions},
};

OPSPILOT_INLINE std::span<const overload> word_functions() noexcept { return word_table; }

}  // namespace opspilot::cel::detail
