/// \file
/// Internal: n-grams of words and characters as hashes, and their weights.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "opspilot/base/math.hpp"
#include "opspilot/features/detail/buckets.hpp"
#include "opspilot/features/detail/counts.hpp"
#include "opspilot/features/text.hpp"

namespace opspilot::detail {

inline constexpr std::uint64_t word_seed = 0;
inline constexpr std::uint64_t char_seed = 0x72616863;  // "char": characters and words of the same bytes differ

[[nodiscard]] inline std::uint64_t term_hash(const char* bytes, std::size_t size, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(bytes, size, seed);
}
[[nodiscard]] inline std::uint64_t term_hash(std::string_view text) noexcept {
    return term_hash(text.data(), text.size(), word_seed);
}

/// The bucket of a term: the top bits of its hash after the name of its source is mixed in.
[[nodiscard]] inline std::uint32_t bucket_of(std::uint64_t hash, std::uint64_t seed, unsigned bits) noexcept {
    return static_cast<std::uint32_t>(mix_hashes(hash, seed) >> (64 - bits));
}

/// Numbers of n-grams that the functions below write at most.
[[nodiscard]] inline std::size_t most_word_ngrams(const word_text& text, std::size_t low, std::size_t high,
                                                  std::size_t limit) noexcept {
    return std::min(limit, text.words() * (high - low + 1));
}
[[nodiscard]] inline std::size_t most_char_ngrams(const word_text& text, std::size_t low, std::size_t high,
                                                  std::size_t limit) noexcept {
    return std::min(limit, (text.bytes.size() + text.words()) * (high - low + 1));  // within words, each adds its own space
}

/// Writes `make(hash)` of every n-gram of the words [first, last), at most `limit` of them, and returns where they end.
template <class Out, class Make>
[[nodiscard]] inline Out* word_ngrams(const word_text& text, std::size_t first, std::size_t last, std::size_t low,
                                      std::size_t high, std::size_t limit, Out* to, Make make) {
    const char* const bytes = text.bytes.data();
    const std::uint32_t* const begin = text.begin.data();
    const std::uint32_t* const end = text.end.data();
    for (std::size_t i = first; i < last; ++i)
        for (std::size_t n = low; n <= high && i + n <= last; ++n) {
            if (limit-- == 0) return to;
            *to++ =
                make(term_hash(bytes + begin[i], end[i + n - 1] - begin[i], word_seed));  // one space between words, so a slice
        }
    return to;
}

/// A character n-gram of ASCII text; short lengths are spelled out so that the compiler specialises the hash.
[[nodiscard]] inline std::uint64_t short_hash(const char* bytes, std::size_t size) noexcept {
    switch (size) {
        case 1: return XXH3_64bits_withSeed(bytes, 1, char_seed);
        case 2: return XXH3_64bits_withSeed(bytes, 2, char_seed);
        case 3: return XXH3_64bits_withSeed(bytes, 3, char_seed);
        case 4: return XXH3_64bits_withSeed(bytes, 4, char_seed);
        case 5: return XXH3_64bits_withSeed(bytes, 5, char_seed);
        case 6: return XXH3_64bits_withSeed(bytes, 6, char_seed);
        default: return XXH3_64bits_withSeed(bytes, size, char_seed);
    }
}

/// n-grams of the characters of bytes [from, end). `starts` is scratch for texts that are not ASCII.
template <class Out, class Make>
[[nodiscard]] inline Out* slice_ngrams(const word_text& text, std::size_t from, std::size_t end, std::size_t low,
                                       std::size_t high, std::vector<std::uint32_t>& starts, std::size_t& limit, Out* to,
                                       Make make) {
    const char* const bytes = text.bytes.data();
    if (text.ascii) {
        for (std::size_t n = low; n <= high && from + n <= end; ++n) {
            const std::size_t count = std::min(end - from - n + 1, limit);
            limit -= count;
            const auto all = [&](auto size) {
                const char* const grams = bytes + from;
                for (std::size_t i = 0; i < count; ++i) to[i] = make(short_hash(grams + i, size));
            };
            switch (n) {
                case 3: all(std::integral_constant<std::size_t, 3>{}); break;
                case 4: all(std::integral_constant<std::size_t, 4>{}); break;
                case 5: all(std::integral_constant<std::size_t, 5>{}); break;
                default: all(n);
            }
            to += count;
        }
        return to;
    }
    starts.clear();
    for (std::size_t i = from; i < end; ++i)
        if ((static_cast<std::uint8_t>(bytes[i]) & 0xC0U) != 0x80U) starts.push_back(static_cast<std::uint32_t>(i));
    const std::size_t characters = starts.size();
    starts.push_back(static_cast<std::uint32_t>(end));
    for (std::size_t n = low; n <= high; ++n)
        for (std::size_t i = 0; i + n <= characters; ++i) {
            if (limit == 0) return to;
            --limit;
            *to++ = make(short_hash(bytes + starts[i], starts[i + n] - starts[i]));
        }
    return to;
}

/// The same for character n-grams of the words [first, last): across words, or of each word between two spaces.
template <class Out, class Make>
[[nodiscard]] inline Out* char_ngrams(const word_text& text, std::size_t first, std::size_t last, std::size_t low,
                                      std::size_t high, bool within_words, std::vector<std::uint32_t>& starts, std::size_t limit,
                                      Out* to, Make make) {
    if (first >= last) return to;
    if (!within_words)
        return slice_ngrams(text, text.begin[first] - 1U, text.end[last - 1] + 1U, low, high, starts, limit, to, make);
    for (std::size_t i = first; i < last && limit > 0; ++i)
        to = slice_ngrams(text, text.begin[i] - 1U, text.end[i] + 1U, low, high, starts, limit, to, make);
    return to;
}

[[nodiscard]] inline double term_weight(std::size_t count, term_frequency tf) noexcept {
    if (tf == term_frequency::binary || count == 1) return 1.0;
    return tf == term_frequency::count ? static_cast<double>(count) : 1.0 + portable_log(static_cast<double>(count));
}

/// Weights of counted terms, scaled to Euclidean length 1 when asked. `scratch` is for weights that are not whole numbers.
inline void weigh(const bucket_counter& counted, term_frequency tf, bool l2, std::vector<double>& scratch,
                  std::vector<float>& out) {
    const std::size_t n = counted.size();
    out.resize(n);
    const auto divide = [&](double squares, auto weight) {
        const double length = l2 && squares > 0 ? std::sqrt(squares) : 1.0;
        for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(weight(i) / length);
    };
    if (tf == term_frequency::log) {
        scratch.resize(n);
        double squares = 0;
        for (std::size_t i = 0; i < n; ++i) {
            scratch[i] = term_weight(counted.count_of(i), tf);
            squares += scratch[i] * scratch[i];
        }
        divide(squares, [&](std::size_t i) { return scratch[i]; });
    } else if (tf == term_frequency::binary) {
        divide(static_cast<double>(n), [](std::size_t) { return 1.0; });
    } else {
        const std::int32_t* const ends = counted.ends();
        std::uint64_t squares = 0;  // of whole numbers: exact in any order
        for (std::size_t i = 0; i < n; ++i) {
            const auto count = static_cast<std::uint32_t>(ends[i + 1] - ends[i]);
            squares += std::uint64_t{count} * count;
        }
        divide(static_cast<double>(squares), [ends](std::size_t i) { return static_cast<double>(ends[i + 1] - ends[i]); });
    }
}

}  // namespace opspilot::detail
