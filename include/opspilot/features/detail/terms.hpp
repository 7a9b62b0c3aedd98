/// \file
/// Internal: n-grams of words and characters as hashes, and hashes as sorted sparse vectors.
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

/// Calls `take(hash)` for every n-gram of the words [first, last), at most `limit` times.
template <class F>
inline void word_ngrams(const word_text& text, std::size_t first, std::size_t last, std::size_t low, std::size_t high,
                        std::size_t limit, F&& take) {
    const char* const bytes = text.bytes.data();
    const std::uint32_t* const begin = text.begin.data();
    const std::uint32_t* const end = text.end.data();
    for (std::size_t i = first; i < last; ++i)
        for (std::size_t n = low; n <= high && i + n <= last; ++n) {
            if (limit-- == 0) return;
            take(term_hash(bytes + begin[i], end[i + n - 1] - begin[i], word_seed));  // one space between words, so a slice
        }
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

/// n-grams of the characters of bytes [from, to). `starts` is scratch for texts that are not ASCII.
template <class F>
inline void slice_ngrams(const word_text& text, std::size_t from, std::size_t to, std::size_t low, std::size_t high,
                         std::vector<std::uint32_t>& starts, std::size_t& limit, F&& take) {
    const char* const bytes = text.bytes.data();
    if (text.ascii) {
        for (std::size_t n = low; n <= high && from + n <= to; ++n) {
            const std::size_t count = std::min(to - from - n + 1, limit);
            limit -= count;
            const auto all = [&](auto size) {
                for (std::size_t i = 0; i < count; ++i) take(short_hash(bytes + from + i, size));
            };
            switch (n) {
                case 3: all(std::integral_constant<std::size_t, 3>{}); break;
                case 4: all(std::integral_constant<std::size_t, 4>{}); break;
                case 5: all(std::integral_constant<std::size_t, 5>{}); break;
                default: all(n);
            }
        }
        return;
    }
    starts.clear();
    for (std::size_t i = from; i < to; ++i)
        if ((static_cast<std::uint8_t>(bytes[i]) & 0xC0U) != 0x80U) starts.push_back(static_cast<std::uint32_t>(i));
    const std::size_t characters = starts.size();
    starts.push_back(static_cast<std::uint32_t>(to));
    for (std::size_t n = low; n <= high; ++n)
        for (std::size_t i = 0; i + n <= characters; ++i) {
            if (limit == 0) return;
            --limit;
            take(short_hash(bytes + starts[i], starts[i + n] - starts[i]));
        }
}

/// Character n-grams of the words [first, last): across words, or of each word between two spaces.
template <class F>
inline void char_ngrams(const word_text& text, std::size_t first, std::size_t last, std::size_t low, std::size_t high,
                        bool within_words, std::vector<std::uint32_t>& starts, std::size_t limit, F&& take) {
    if (first >= last) return;
    if (!within_words) {
        slice_ngrams(text, text.begin[first] - 1U, text.end[last - 1] + 1U, low, high, starts, limit, take);
        return;
    }
    for (std::size_t i = first; i < last && limit > 0; ++i)
        slice_ngrams(text, text.begin[i] - 1U, text.end[i] + 1U, low, high, starts, limit, take);
}

/// Sorts by the lowest `bits` bits of `key(x)`, stable: two counting passes, or a comparison sort for a few.
template <class T, class Key>
inline void sort_by_bucket(std::vector<T>& items, std::vector<T>& scratch, unsigned bits, Key key) {
    const std::size_t n = items.size();
    if (n < 96) {
        for (std::size_t i = 1; i < n; ++i) {  // insertion: stable, and these are few
            const T item = items[i];
            const auto k = key(item);
            std::size_t j = i;
            for (; j > 0 && key(items[j - 1]) > k; --j) items[j] = items[j - 1];
            items[j] = item;
        }
        return;
    }
    const unsigned low = (bits + 1) / 2;
    const std::uint32_t low_mask = (1U << low) - 1;
    const std::size_t digits = std::size_t{1} << low;
    std::array<std::uint32_t, 4096> first;
    std::array<std::uint32_t, 4096> second;
    std::fill_n(first.begin(), digits, 0U);
    std::fill_n(second.begin(), digits, 0U);
    if (scratch.size() < n) scratch.resize(n);
    for (const T& item : items) {
        const std::uint32_t k = key(item);
        ++first[k & low_mask];
        ++second[k >> low];
    }
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        a += std::exchange(first[i], a);
        b += std::exchange(second[i], b);
    }
    for (const T& item : items) scratch[first[key(item) & low_mask]++] = item;
    for (std::size_t i = 0; i < n; ++i) items[second[key(scratch[i]) >> low]++] = scratch[i];
}

[[nodiscard]] inline double term_weight(std::size_t count, term_frequency tf) noexcept {
    if (tf == term_frequency::binary || count == 1) return 1.0;
    return tf == term_frequency::count ? static_cast<double>(count) : 1.0 + portable_log(static_cast<double>(count));
}

}  // namespace opspilot::detail
