#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/analysis/analysis.hpp"

namespace opspilot::detail::analysis {

/// The number after a word, or 0.
inline std::size_t number_after(std::string_view text, std::string_view word) noexcept {
    const std::size_t at = text.rfind(word);
    std::size_t number = 0;
    if (at == std::string_view::npos) return 0;
    std::from_chars(text.data() + at + word.size(), text.data() + text.size(), number);
    return number;
}

/// The line with the column marked, cut to what a terminal shows.
inline std::string excerpt_of(std::string_view text, std::size_t line, std::size_t column) {
    std::size_t begin = 0;
    for (std::size_t i = 1; i < line; ++i) {
        begin = text.find('\n', begin);
        if (begin == std::string_view::npos) return {};
        ++begin;
    }
    std::string_view all = text.substr(begin, text.find('\n', begin) - begin);
    if (!all.empty() && all.back() == '\r') all.remove_suffix(1);
    // Columns count code points: find the bytes.
    const auto starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
    std::size_t at = 0;
    for (std::size_t seen = 0; at < all.size(); ++at)
        if (starts(all[at]) && ++seen == column) break;
    constexpr std::size_t around = 60;
    std::size_t from = at > around ? at - around : 0;
    while (from > 0 && !starts(all[from])) --from;
    if (from == 0) {
        while (from < at && (all[from] == ' ' || all[from] == '\t')) ++from;  // the indentation says nothing
    }
    std::size_t to = std::min(all.size(), at + around);
    while (to < all.size() && !starts(all[to])) ++to;
    std::size_t end = at;
    const auto word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               (c & '\x80') != 0;
    };
    while (end < to && word(all[end])) ++end;
    std::string shown, marks;
    if (from > 0 && all[from - 1] != ' ' && all[from - 1] != '\t') {
        shown.append("…");
        marks.append(" ");
    }
    for (std::size_t i = from; i < to; ++i) {
        const bool control = static_cast<unsigned char>(all[i]) < 0x20;
        shown += control ? ' ' : all[i];
        if (starts(all[i])) marks += i < at ? ' ' : i == at ? '^' : i < end ? '~' : ' ';
    }
    if (at >= to) marks += '^';
    if (to < all.size()) shown += "…";
    marks.erase(marks.find_last_not_of(' ') + 1);
    return fmt::format("{}\n{}", shown, marks);
}

OPSPILOT_INLINE void add_excerpts(std::span<policy_finding> findings, std::string_view text) {
    for (policy_finding& f : findings) {
        const std::size_t line = number_after(f.where, " line "), column = number_after(f.where, " column ");
        if (f.excerpt.empty() && line > 0 && column > 0) f.excerpt = excerpt_of(text, line, column);
    }
}

}  // namespace opspilot::detail::analysis
