#pragma once

#include <fmt/format.h>

#include "opspilot/base/text.hpp"
#include "opspilot/features/detail/normalise.hpp"
#include "opspilot/features/detail/terms.hpp"
#include "opspilot/features/text.hpp"

namespace opspilot {

struct text_workspace::impl {
    std::vector<std::int32_t> points;
    std::vector<std::uint32_t> starts;
    std::vector<std::uint32_t> buckets;
    std::vector<std::uint32_t> sorting;
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
    const unsigned bits = options_.bits;
    const std::size_t words = s.words.words();
    s.buckets.clear();
    const auto take = [&](std::uint64_t hash) { s.buckets.push_back(detail::bucket_of(hash, 0, bits)); };
    if (options_.word_max > 0) detail::word_ngrams(s.words, 0, words, options_.word_min, options_.word_max, limit, take);
    if (options_.char_max > 0)
        detail::char_ngrams(s.words, 0, words, options_.char_min, options_.char_max, options_.within_words, s.starts, limit,
                            take);
    detail::sort_by_bucket(s.buckets, s.sorting, bits, [](std::uint32_t b) { return b; });
    index.clear();
    s.weights.clear();
    double squares = 0;
    for (std::size_t i = 0; i < s.buckets.size();) {
        std::size_t j = i + 1;
        while (j < s.buckets.size() && s.buckets[j] == s.buckets[i]) ++j;
        const double weight = detail::term_weight(j - i, options_.tf);
        index.push_back(s.buckets[i]);
        s.weights.push_back(weight);
        squares += weight * weight;
        i = j;
    }
    const double length = options_.l2 && squares > 0 ? std::sqrt(squares) : 1.0;
    value.resize(index.size());
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<float>(s.weights[i] / length);
    return {};
}

}  // namespace opspilot
