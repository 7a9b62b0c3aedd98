#pragma once

#include <fmt/format.h>

#include "opspilot/base/text.hpp"
#include "opspilot/features/detail/normalise.hpp"
#include "opspilot/features/detail/terms.hpp"
#include "opspilot/features/text.hpp"

namespace opspilot {

struct text_workspace::impl {
    std::string folded;
    std::vector<std::int32_t> points;
    std::vector<std::uint32_t> starts;
    detail::bucket_counter counted;
    std::vector<double> weights;
    word_text words;
};

OPSPILOT_INLINE text_workspace::text_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE text_workspace::~text_workspace() = default;
OPSPILOT_INLINE text_workspace::text_workspace(text_workspace&&) noexcept = default;
OPSPILOT_INLINE text_workspace& text_workspace::operator=(text_workspace&&) noexcept = default;

OPSPILOT_INLINE status split_words(std::string_view text, const text_options& options, text_workspace& scratch, word_text& out) {
    constexpr std::size_t longest = std::size_t{1} << 31;
    if (text.size() > longest / 2)
        return error{error_kind::limit, "limit.text", fmt::format("text of {} bytes, at most {}", text.size(), longest / 2), "",
                     ""};
    const detail::ascii_table table = detail::table_of(options);
    if (detail::is_ascii(text)) {
        if (options.symbols.empty())
            detail::split_plain(text, options.casefold, scratch.state->folded, out);
        else
            detail::split_ascii(text, table, out);
        return {};
    }
    if (!valid_utf8(text))
        return error{error_kind::features, "features.utf8", "text is not valid UTF-8",
                     fmt::format("byte {}", utf8_error_offset(text)), "decode the text where it enters"};
    detail::split_unicode(text, options, table, scratch.state->points, out);
    return {};
}

OPSPILOT_INLINE result<text_hasher> text_hasher::make(const text_hash_options& options) {
    const auto bad = [](std::string message) {
        return error{error_kind::features, "features.bad_value", std::move(message), "", ""};
    };
    if (options.bits < 1 || options.bits > 24) return bad(fmt::format("bits = {}; 1 to 24", options.bits));
    if (options.word_max > 8 || (options.word_max > 0 && (options.word_min < 1 || options.word_min > options.word_max)))
        return bad(fmt::format("words [{}, {}]; 1 <= min <= max <= 8, or max 0", options.word_min, options.word_max));
    if (options.char_max > 16 || (options.char_max > 0 && (options.char_min < 1 || options.char_min > options.char_max)))
        return bad(fmt::format("characters [{}, {}]; 1 <= min <= max <= 16, or max 0", options.char_min, options.char_max));
    if (options.word_max == 0 && options.char_max == 0) return bad("neither words nor characters are asked for");
    for (const char c : options.text.symbols)
        if (static_cast<std::uint8_t>(c) >= 128) return bad(fmt::format("symbols {}; ASCII only", quote(options.text.symbols)));
    text_hasher out;
    out.options_ = options;
    return out;
}

OPSPILOT_INLINE status text_hasher::transform(std::string_view text, text_workspace& scratch, std::vector<std::uint32_t>& index,
                                              std::vector<float>& value) const {
    text_workspace::impl& s = *scratch.state;
    OPSPILOT_CHECK(split_words(text, options_.text, scratch, s.words));
    constexpr std::size_t limit = std::size_t{1} << 20;
    const text_hash_options& o = options_;
    const std::size_t words = s.words.words();
    const std::size_t most_words = o.word_max > 0 ? detail::most_word_ngrams(s.words, o.word_min, o.word_max, limit) : 0;
    const std::size_t most_chars = o.char_max > 0 ? detail::most_char_ngrams(s.words, o.char_min, o.char_max, limit) : 0;
    std::uint32_t* to = s.counted.start(most_words + most_chars);
    const auto bucket = [bits = o.bits](std::uint64_t hash) { return detail::bucket_of(hash, 0, bits); };
    if (o.word_max > 0) to = detail::word_ngrams(s.words, 0, words, o.word_min, o.word_max, limit, to, bucket);
    if (o.char_max > 0)
        to = detail::char_ngrams(s.words, 0, words, o.char_min, o.char_max, o.within_words, s.starts, limit, to, bucket);
    s.counted.count(to, o.bits);
    index.assign(s.counted.buckets(), s.counted.buckets() + s.counted.size());
    detail::weigh(s.counted, o.tf, o.l2, s.weights, value);
    return {};
}

}  // namespace opspilot
