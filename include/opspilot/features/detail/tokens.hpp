/// \file
/// Internal: fields as token hashes: values, items, words, characters, their combinations, and keys made of them.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>

#include "opspilot/features/detail/lookups.hpp"
#include "opspilot/features/detail/run.hpp"
#include "opspilot/features/detail/terms.hpp"

namespace opspilot::detail {

/// Stands for "no token" in keys, where absence is a value of its own.
inline constexpr std::uint64_t absent_token = 0x5EED0FAB5E47A11EULL;

/// The text of a number: its bin, its integer digits, or the shortest decimal that reads back the same.
class number_text {
public:
    number_text(double x, const token_part& part) noexcept {
        char* const end = digits_.data() + digits_.size();
        constexpr double exact = 9007199254740992.0;
        if (part.binned)
            size_ = write(std::to_chars(digits_.data(), end,
                                        std::upper_bound(part.edges.begin(), part.edges.end(), x) - part.edges.begin()));
        else if (x >= -exact && x <= exact && x == static_cast<double>(static_cast<std::int64_t>(x)))
            size_ = write(std::to_chars(digits_.data(), end, static_cast<std::int64_t>(x)));
        else
            size_ = write(std::to_chars(digits_.data(), end, x));
    }
    [[nodiscard]] std::string_view view() const noexcept { return {digits_.data(), size_}; }

private:
    std::size_t write(std::to_chars_result r) const noexcept { return static_cast<std::size_t>(r.ptr - digits_.data()); }
    std::array<char, 40> digits_{};
    std::size_t size_ = 0;
};

/// What a part's field holds in one row.
struct part_value {
    bool present = false;
    bool is_number = false;
    double number = 0;
    std::uint32_t code = no_code;
    std::span<const std::uint32_t> items{};
    bool is_list = false;
};

[[nodiscard]] inline part_value read_part(const feature_run& run, const token_part& part, std::size_t i) noexcept {
    part_value out;
    if (part.from_slot) {
        out.number = run.number(part.slot).at(i);
        out.is_number = true;
        out.present = out.number == out.number;
        return out;
    }
    const field_rows r = run.rows(part.field);
    const std::size_t row = r.at(i);
    if (r.values->valued[row] == 0) return out;
    out.present = true;
    switch (part.field.type) {
        case field_type::text: out.code = r.values->codes[row]; break;
        case field_type::text_list:
            out.items = items_of(*r.values, row);
            out.is_list = true;
            break;
        case field_type::number:
            out.number = r.values->numbers[row];
            out.is_number = true;
            break;
        default: out.number = static_cast<double>(r.values->integers[row]); out.is_number = true;
    }
    if (part.last > 0) {
        out.present = out.items.size() >= part.last;
        if (out.present) out.code = out.items[out.items.size() - part.last];
        out.is_list = false;
    }
    return out;
}

/// First and last of `count` words or items that a part keeps.
[[nodiscard]] inline std::pair<std::size_t, std::size_t> kept_range(const token_part& part, std::size_t count) noexcept {
    std::size_t first = 0;
    std::size_t last = count;
    if (part.head > 0) last = std::min<std::size_t>(last, part.head);
    if (part.tail > 0 && last - first > part.tail) first = last - part.tail;
    return {first, last};
}

/// Appends the n-grams of one text.
inline void text_tokens(const feature_run& run, const token_part& part, const word_text& text, std::vector<std::uint64_t>& out) {
    const auto [first, last] = kept_range(part, text.words());
    const std::size_t room = most_tokens - std::min(most_tokens, out.size());
    if (part.how == token_part::kind::phrase) {
        if (first < last)
            out.push_back(
                term_hash(std::string_view(text.bytes).substr(text.begin[first], text.end[last - 1] - text.begin[first])));
        return;
    }
    const bool words = part.how == token_part::kind::words;
    const std::size_t before = out.size();
    out.resize(before +
               (words ? most_word_ngrams(text, part.low, part.high, room) : most_char_ngrams(text, part.low, part.high, room)));
    std::uint64_t* const to = out.data() + before;
    const auto hash = [](std::uint64_t h) { return h; };
    const std::uint64_t* const end = words ? word_ngrams(text, first, last, part.low, part.high, room, to, hash)
                                           : char_ngrams(text, first, last, part.low, part.high,
                                                         part.how == token_part::kind::word_chars, run.ws.starts, room, to, hash);
    out.resize(static_cast<std::size_t>(end - out.data()));
}

/// Appends the n-grams of a field's text or texts. Strings in tables are valid UTF-8, so splitting them cannot fail.
inline void field_text_tokens(const feature_run& run, const token_part& part, const part_value& value,
                              std::vector<std::uint64_t>& out) {
    if (!value.is_list) {
        const word_text* text = nullptr;
        if (part.cache != no_slot) {
            word_text& cached = run.ws.task_texts[part.cache];
            if (run.ws.text_ready[part.cache] == 0) {
                if (!split_words(run.strings.text(value.code), part.text, run.ws.text, cached)) return;
                run.ws.text_ready[part.cache] = 1;
            }
            text = &cached;
        } else {
            if (!split_words(run.strings.text(value.code), part.text, run.ws.text, run.ws.row_text)) return;
            text = &run.ws.row_text;
        }
        text_tokens(run, part, *text, out);
        return;
    }
    for (const std::uint32_t code : value.items) {
        if (!split_words(run.strings.text(code), part.text, run.ws.text, run.ws.row_text)) return;
        text_tokens(run, part, run.ws.row_text, out);
    }
}

/// Appends the items of a list; with `counts`, each distinct item once together with how often it occurs.
inline void item_tokens(const feature_run& run, const token_part& part, std::span<const std::uint32_t> items,
                        std::vector<std::uint64_t>& out) {
    auto [first, last] = kept_range(part, items.size());
    if (last - first > most_items) first = last - most_items;
    const std::size_t from = out.size();
    for (std::size_t i = first; i < last; ++i) out.push_back(term_hash(run.strings.text(items[i])));
    if (part.counts == 0) return;
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(from);
    std::sort(begin, out.end());
    std::size_t to = from;
    for (std::size_t i = from; i < out.size();) {
        std::size_t j = i;
        while (j < out.size() && out[j] == out[i]) ++j;
        out[to++] = mix_hashes(out[i], std::min<std::size_t>(j - i, part.counts));
        i = j;
    }
    out.resize(to);
}

/// One hash for the distinct items of a list, whatever their order.
[[nodiscard]] inline std::uint64_t set_token(const feature_run& run, const token_part& part,
                                             std::span<const std::uint32_t> items) {
    std::vector<std::uint64_t>& scratch = run.ws.one_part;
    scratch.clear();
    item_tokens(run, part, items, scratch);
    std::sort(scratch.begin(), scratch.end());
    std::uint64_t hash = 0x5E7;
    for (std::size_t i = 0; i < scratch.size(); ++i)
        if (i == 0 || scratch[i] != scratch[i - 1]) hash = mix_hashes(hash, scratch[i]);
    return hash;
}

/// Appends all tokens of a part in row i.
inline void part_tokens(const feature_run& run, const token_part& part, std::size_t i, std::vector<std::uint64_t>& out) {
    const std::size_t before = out.size();
    const part_value value = read_part(run, part, i);
    if (value.present) {
        if (value.is_number)
            out.push_back(term_hash(number_text(value.number, part).view()));
        else if (part.how == token_part::kind::set)
            out.push_back(set_token(run, part, value.items));
        else if (part.how == token_part::kind::items && value.is_list)
            item_tokens(run, part, value.items, out);
        else if (part.how == token_part::kind::value || part.how == token_part::kind::items)
            out.push_back(term_hash(run.strings.text(value.code)));
        else
            field_text_tokens(run, part, value, out);
    }
    if (out.size() == before && part.has_missing) out.push_back(term_hash(part.missing));
}

/// Tokens of a task part, computed once per decision.
[[nodiscard]] inline const std::vector<std::uint64_t>& task_part_tokens(const feature_run& run, std::uint32_t index) {
    std::vector<std::uint64_t>& tokens = run.ws.part_tokens[index];
    if (run.ws.part_ready[index] == 0) {
        tokens.clear();
        part_tokens(run, run.plan.parts[index], 0, tokens);
        run.ws.part_ready[index] = 1;
    }
    return tokens;
}

/// The texts of a part that is joined by a separator: values and items.
inline void part_texts(const feature_run& run, const token_part& part, std::size_t i, std::string& bytes,
                       std::vector<std::uint32_t>& ends) {
    bytes.clear();
    ends.clear();
    const auto put = [&](std::string_view text) {
        bytes.append(text);
        ends.push_back(static_cast<std::uint32_t>(bytes.size()));
    };
    const part_value value = read_part(run, part, i);
    if (value.present) {
        if (value.is_number) {
            put(number_text(value.number, part).view());
        } else if (value.is_list) {
            auto [first, last] = kept_range(part, value.items.size());
            if (last - first > most_items) first = last - most_items;
            for (std::size_t k = first; k < last; ++k) put(run.strings.text(value.items[k]));
        } else {
            put(run.strings.text(value.code));
        }
    }
    if (ends.empty() && part.has_missing) put(part.missing);
}

/// Tokens of a joined source: texts of the parts with the separator between, hashed like any other text.
inline void joined_tokens(const feature_run& run, const token_source& source, std::size_t i, std::vector<std::uint64_t>& out) {
    std::string* const bytes = run.ws.join_bytes;
    std::vector<std::uint32_t>* const ends = run.ws.join_ends;
    part_texts(run, run.plan.parts[source.parts[0]], i, bytes[0], ends[0]);
    for (std::size_t p = 1; p < source.parts.size(); ++p) {
        part_texts(run, run.plan.parts[source.parts[p]], i, bytes[1], ends[1]);
        bytes[2].clear();
        ends[2].clear();
        std::uint32_t from = 0;
        for (const std::uint32_t end : ends[0]) {
            std::uint32_t second_from = 0;
            for (const std::uint32_t second_end : ends[1]) {
                if (ends[2].size() >= most_items * most_items || bytes[2].size() > (std::size_t{1} << 26)) break;
                bytes[2].append(bytes[0], from, end - from).append(source.separator);
                bytes[2].append(bytes[1], second_from, second_end - second_from);
                ends[2].push_back(static_cast<std::uint32_t>(bytes[2].size()));
                second_from = second_end;
            }
            from = end;
        }
        std::swap(bytes[0], bytes[2]);
        std::swap(ends[0], ends[2]);
    }
    std::uint32_t from = 0;
    for (const std::uint32_t end : ends[0]) {
        out.push_back(term_hash(std::string_view(bytes[0]).substr(from, end - from)));
        from = end;
    }
}

/// Replaces `out` by the tokens of a source in row i, duplicates kept.
inline void source_tokens(const feature_run& run, const token_source& source, std::size_t i, std::vector<std::uint64_t>& out) {
    out.clear();
    if (source.joined) {
        joined_tokens(run, source, i, out);
        return;
    }
    const bool of_task = source.where == scope::task;
    for (std::size_t p = 0; p < source.parts.size(); ++p) {
        const token_part& part = run.plan.parts[source.parts[p]];
        if (p == 0 && !of_task) {
            part_tokens(run, part, i, out);
            continue;
        }
        const std::vector<std::uint64_t>* next = nullptr;
        if (of_task) {
            next = &task_part_tokens(run, source.parts[p]);
        } else {
            run.ws.next_part.clear();
            part_tokens(run, part, i, run.ws.next_part);
            next = &run.ws.next_part;
        }
        if (p == 0) {
            out.assign(next->begin(), next->end());
            continue;
        }
        std::vector<std::uint64_t>& crossed = run.ws.crossed;
        crossed.clear();
        for (const std::uint64_t a : out) {
            if (crossed.size() + next->size() > most_tokens) break;
            for (const std::uint64_t b : *next) crossed.push_back(mix_hashes(a, b));
        }
        out.swap(crossed);
    }
}

/// The same as a set: ascending, each once.
inline void source_set(const feature_run& run, const token_source& source, std::size_t i, std::vector<std::uint64_t>& out) {
    source_tokens(run, source, i, out);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
}

/// True when the fields of a source have a value in row i.
[[nodiscard]] inline bool source_present(const feature_run& run, const token_source& source, std::size_t i) noexcept {
    return std::all_of(source.parts.begin(), source.parts.end(), [&](std::uint32_t index) {
        const token_part& part = run.plan.parts[index];
        if (part.has_missing) return true;
        if (part.from_slot || part.last > 0) return read_part(run, part, i).present;
        const field_rows r = run.rows(part.field);
        return r.values->valued[r.at(i)] != 0;
    });
}

/// Folds one token of each part into a key.
[[nodiscard]] inline std::uint64_t key_of(const feature_run& run, std::span<const std::uint32_t> parts, std::size_t i) {
    std::uint64_t key = 0;
    std::vector<std::uint64_t>& token = run.ws.crossed;
    for (const std::uint32_t index : parts) {
        token.clear();
        part_tokens(run, run.plan.parts[index], i, token);
        key = mix_hashes(key, token.empty() ? absent_token : token.front());
    }
    return key;
}

}  // namespace opspilot::detail
