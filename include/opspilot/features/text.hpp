/// \file
/// Text as sparse vectors: Unicode normalisation, words and characters, n-grams, feature hashing with XXH3.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// How text becomes words. Text is normalised by NFKC (Unicode Standard Annex 15) first; a word is a longest run of letters,
/// marks, numbers and connectors such as "_".
struct text_options {
    bool casefold = true;        ///< Unicode case folding: "Straße" and "STRASSE" are equal
    bool strip_accents = false;  ///< "é" becomes "e"
    std::string symbols{};       ///< ASCII characters that are words of their own, e.g. "?!"
    friend bool operator==(const text_options&, const text_options&) = default;
};

/// A text after normalisation: words with one space between, before and after.
struct word_text {
    std::string bytes;                      ///< " how are you " (" " for no words)
    std::vector<std::uint32_t> begin, end;  ///< of each word in `bytes`
    bool ascii = true;                      ///< `bytes` is ASCII, so characters are bytes
    [[nodiscard]] std::size_t words() const noexcept { return begin.size(); }
    [[nodiscard]] std::string_view word(std::size_t i) const noexcept {
        return std::string_view(bytes).substr(begin[i], end[i] - begin[i]);
    }
};

/// Scratch of one thread for text. Keeps its memory.
class OPSPILOT_API text_workspace {
public:
    text_workspace();
    ~text_workspace();
    text_workspace(text_workspace&&) noexcept;
    text_workspace& operator=(text_workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// Normalises and splits a text. Linear in its length, whatever it contains (runs of more than 30 combining marks are cut,
/// as UAX 15's stream-safe format does). At most 2^31 bytes. Errors: features.utf8 with the byte.
[[nodiscard]] OPSPILOT_API status split_words(std::string_view text, const text_options& options, text_workspace& scratch,
                                              word_text& out);

/// Weight of a term that occurs n times: n, 1, or 1 + ln n.
enum class term_frequency : std::uint8_t { count, binary, log };

/// What a `text_hasher` counts.
struct text_hash_options {
    unsigned bits = 18;  ///< 2^bits buckets, 1 … 24
    text_options text{};
    unsigned word_min = 1, word_max = 2;  ///< words per n-gram; max 0 = no words
    unsigned char_min = 0, char_max = 0;  ///< characters (code points) per n-gram; max 0 = none
    bool within_words = false;            ///< characters do not cross words; each word is padded by one space on both sides
    term_frequency tf = term_frequency::count;
    bool l2 = true;  ///< scale to Euclidean length 1
};

/// Hashes texts to sparse vectors, as the feature `text_hash` does with one source of the same options. The bucket of a term
/// depends on its bytes and kind alone and never changes between versions (tests hold golden vectors).
/// Immutable, shared by any number of threads.
class OPSPILOT_API text_hasher {
public:
    /// Errors: features.bad_value when a range is empty or too wide (at most 8 words, 16 characters).
    [[nodiscard]] static result<text_hasher> make(const text_hash_options& options);

    [[nodiscard]] const text_hash_options& options() const noexcept { return options_; }
    [[nodiscard]] std::uint32_t dimension() const noexcept { return std::uint32_t{1} << options_.bits; }

    /// Replaces `index` (strictly ascending) and `value` by the vector of a text. Allocates nothing once warm.
    /// At most 2^20 terms of each kind are taken from one text, from its beginning. Errors: features.utf8.
    [[nodiscard]] status transform(std::string_view text, text_workspace& scratch, std::vector<std::uint32_t>& index,
                                   std::vector<float>& value) const;

private:
    text_hash_options options_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/features/text-inl.hpp"
#endif
