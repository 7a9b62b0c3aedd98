#pragma once

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "opspilot/base/text.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::size_t longest_compared_word = 64;

/// Length of the well-formed sequence at `at`, or 0.
inline std::size_t utf8_sequence(std::string_view s, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(s[i]); };
    const auto tail = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xBF) {
        return i < s.size() && byte(i) >= low && byte(i) <= high;
    };
    const std::uint8_t lead = byte(at);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return tail(at + 1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const std::uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
        const std::uint8_t high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
        return tail(at + 1, low, high) && tail(at + 2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const std::uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
        const std::uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;  // not above U+10FFFF
        return tail(at + 1, low, high) && tail(at + 2) && tail(at + 3) ? 4 : 0;
    }
    return 0;
}

/// Optimal string alignment distance of two words of at most `longest_compared_word` bytes.
inline std::size_t edit_distance(std::string_view a, std::string_view b) noexcept {
    using row = std::array<std::size_t, longest_compared_word + 1>;
    row before{};
    row previous{};
    row current{};
    for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before = previous;
        previous = current;
    }
    return previous[b.size()];
}

}  // namespace detail

OPSPILOT_INLINE bool valid_utf8(std::string_view bytes) noexcept { return simdjson::validate_utf8(bytes.data(), bytes.size()); }

OPSPILOT_INLINE std::size_t utf8_error_offset(std::string_view bytes) noexcept {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const std::size_t length = detail::utf8_sequence(bytes, at);
        if (length == 0) return at;
        at += length;
    }
    return bytes.size();
}

OPSPILOT_INLINE std::size_t code_points(std::string_view bytes) noexcept {
    return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
        return (static_cast<std::uint8_t>(c) & 0xC0U) != 0x80U;  // every byte that does not continue a sequence
    }));
}

OPSPILOT_INLINE std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    if (word.empty() || word.size() > detail::longest_compared_word) return {};
    std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
    std::string_view found;
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > detail::longest_compared_word) continue;
        const std::size_t distance = detail::edit_distance(word, candidate);
        if (distance < best) {
            best = distance;
            found = candidate;
        }
    }
    return found;
}

OPSPILOT_INLINE std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
    const std::string_view found = nearest(word, candidates);
    return found.empty() ? std::string{} : "did you mean '" + std::string(found) + "'?";
}

OPSPILOT_INLINE std::string quote(std::string_view text, std::size_t limit) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out = "'";
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t length = detail::utf8_sequence(text, at);
        if (at + std::max<std::size_t>(length, 1) > limit) {
            out += "…";
            break;
        }
        const auto byte = static_cast<std::uint8_t>(text[at]);
        if (length == 0 || byte < 0x20 || byte == 0x7F) {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 15];
            ++at;
        } else {
            out.append(text, at, length);
            at += length;
        }
    }
    out += "'";
    return out;
}

}  // namespace opspilot
