#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/json_places.hpp"

namespace opspilot::detail {

/// Length of the string literal that starts with a quote at `at`, quotes included.
inline std::size_t json_string_length(std::string_view text, std::size_t at) noexcept {
    std::size_t i = at + 1;
    while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? std::size_t{2} : std::size_t{1};
    return std::min(i + 1, text.size()) - at;
}

/// One character of a string literal: how many bytes of text it takes and how many bytes it decodes to.
struct json_character {
    std::size_t raw = 1, decoded = 1;
};
inline json_character json_character_at(std::string_view text, std::size_t at) noexcept {
    if (text[at] != '\\') return {1, 1};
    if (at + 1 >= text.size() || text[at + 1] != 'u') return {2, 1};
    unsigned point = 0;
    const std::size_t end = std::min(at + 6, text.size());
    std::from_chars(text.data() + at + 2, text.data() + end, point, 16);
    if (point >= 0xD800 && point <= 0xDFFF) return {12, 4};  // a pair
    return {6, point < 0x80 ? std::size_t{1} : point < 0x800 ? std::size_t{2} : std::size_t{3}};
}

/// The text a key stands for, as it appears in a JSON pointer.
inline std::string pointer_token(std::string_view literal) {
    std::string out;
    for (std::size_t i = 1; i + 1 < literal.size();) {
        const json_character c = json_character_at(literal, i);
        // Keys with escapes have no fields of ours; only their extent matters.
        if (c.raw == 1 && literal[i] == '~')
            out += "~0";
        else if (c.raw == 1 && literal[i] == '/')
            out += "~1";
        else
            out += literal.substr(i, c.raw);
        i += c.raw;
    }
    return out;
}

OPSPILOT_INLINE json_places::json_places(std::string_view text) : text_(text) { scan(); }

OPSPILOT_INLINE void json_places::scan() {
    struct level {
        bool object = false;
        std::size_t items = 0;
        std::string pointer;
    };
    std::vector<level> open;
    std::string pending_key;  // of the object on top
    std::size_t key_offset = 0;
    bool have_key = false;
    const auto here = [&](std::size_t at) {
        if (open.empty()) {
            places_[""] = {at, at};
            return std::string{};
        }
        level& top = open.back();
        std::string pointer = top.pointer + "/" + (top.object ? pending_key : fmt::format("{}", top.items));
        ++top.items;
        places_[pointer] = {top.object ? key_offset : at, at};
        have_key = false;
        return pointer;
    };
    for (std::size_t at = 0; at < text_.size();) {
        const char c = text_[at];
        if (c == '{' || c == '[') {
            open.push_back({c == '{', 0, here(at)});
            ++at;
        } else if (c == '}' || c == ']') {
            if (!open.empty()) open.pop_back();
            ++at;
        } else if (c == '"') {
            const std::size_t length = json_string_length(text_, at);
            if (!open.empty() && open.back().object && !have_key) {
                pending_key = pointer_token(text_.substr(at, length));
                key_offset = at;
                have_key = true;
            } else {
                here(at);
            }
            at += length;
        } else if (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            ++at;
        } else {
            here(at);
            while (at < text_.size() && std::string_view(",:]} \t\r\n").find(text_[at]) == std::string_view::npos) ++at;
        }
    }
}

OPSPILOT_INLINE json_places::place json_places::find(std::string_view pointer) const {
    std::string wanted(pointer);
    while (true) {
        if (const auto known = places_.find(wanted); known != places_.end()) return known->second;
        const std::size_t slash = wanted.rfind('/');
        if (slash == std::string::npos) return {};
        wanted.resize(slash);
    }
}

OPSPILOT_INLINE std::size_t json_places::value(std::string_view pointer) const { return find(pointer).value; }
OPSPILOT_INLINE std::size_t json_places::key(std::string_view pointer) const { return find(pointer).key; }

OPSPILOT_INLINE std::size_t json_places::inside(std::string_view pointer, std::size_t offset) const {
    std::size_t at = find(pointer).value;
    if (at >= text_.size() || text_[at] != '"') return at;
    ++at;
    for (std::size_t decoded = 0; at < text_.size() && text_[at] != '"';) {
        const json_character c = json_character_at(text_, at);
        if (decoded + c.decoded > offset) break;
        decoded += c.decoded;
        at += c.raw;
    }
    return std::min(at, text_.size());
}

OPSPILOT_INLINE std::string json_places::line_and_column(std::size_t offset) const {
    const std::string_view before = text_.substr(0, std::min(offset, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t start = before.rfind('\n');
    const std::string_view same_line = start == std::string_view::npos ? before : before.substr(start + 1);
    return fmt::format("line {} column {}", line, 1 + code_points(same_line));
}

}  // namespace opspilot::detail
