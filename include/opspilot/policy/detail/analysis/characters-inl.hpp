#pragma once

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "opspilot/policy/detail/analysis/analysis.hpp"

namespace opspilot::detail::analysis {

/// Letters that look like a Latin one, by the table of confusables of Unicode Technical Standard 39 (letters of Greek, Cyrillic
/// and Armenian alone, where one letter stands for one).
struct lookalike {
    std::int32_t point;
    char latin;
};
inline constexpr std::array<lookalike, 66> lookalikes{
    {{0x391, 'A'}, {0x392, 'B'}, {0x395, 'E'}, {0x396, 'Z'}, {0x397, 'H'}, {0x399, 'l'}, {0x39A, 'K'}, {0x39C, 'M'}, {0x39D, 'N'},
     {0x39F, 'O'}, {0x3A1, 'P'}, {0x3A4, 'T'}, {0x3A5, 'Y'}, {0x3A7, 'X'}, {0x3B1, 'a'}, {0x3B3, 'y'}, {0x3B9, 'i'}, {0x3BD, 'v'},
     {0x3BF, 'o'}, {0x3C1, 'p'}, {0x3C3, 'o'}, {0x3C5, 'u'}, {0x3F2, 'c'}, {0x3F3, 'j'}, {0x3F9, 'C'}, {0x405, 'S'}, {0x406, 'l'},
     {0x408, 'J'}, {0x410, 'A'}, {0x412, 'B'}, {0x415, 'E'}, {0x41A, 'K'}, {0x41C, 'M'}, {0x41D, 'H'}, {0x41E, 'O'}, {0x420, 'P'},
     {0x421, 'C'}, {0x422, 'T'}, {0x423, 'Y'}, {0x425, 'X'}, {0x430, 'a'}, {0x433, 'r'}, {0x435, 'e'}, {0x43E, 'o'}, {0x440, 'p'},
     {0x441, 'c'}, {0x443, 'y'}, {0x445, 'x'}, {0x455, 's'}, {0x456, 'i'}, {0x458, 'j'}, {0x461, 'w'}, {0x4AE, 'Y'}, {0x4AF, 'y'},
     {0x4BB, 'h'}, {0x4C0, 'l'}, {0x4CF, 'i'}, {0x501, 'd'}, {0x51B, 'q'}, {0x51D, 'w'}, {0x54D, 'U'}, {0x555, 'O'}, {0x570, 'h'},
     {0x578, 'n'}, {0x57D, 'u'}, {0x585, 'o'}}};

inline std::int32_t next_point(std::string_view& text) noexcept {
    utf8proc_int32_t point = -1;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &point);
    text.remove_prefix(size > 0 ? static_cast<std::size_t>(size) : 1);
    return size > 0 ? point : 0xFFFD;
}

/// The scripts that are mistaken for each other; 0 for everything else.
inline int script_of(std::int32_t p) noexcept {
    if ((p >= 'a' && p <= 'z') || (p >= 'A' && p <= 'Z') || (p >= 0xC0 && p <= 0x24F && p != 0xD7 && p != 0xF7)) return 1;
    if ((p >= 0x370 && p <= 0x3FF) || (p >= 0x1F00 && p <= 0x1FFF)) return 2;
    if (p >= 0x400 && p <= 0x52F) return 3;
    if (p >= 0x531 && p <= 0x587) return 4;
    if (p >= 0x13A0 && p <= 0x13FF) return 5;
    return 0;
}

OPSPILOT_INLINE std::string odd_characters(std::string_view text) {
    constexpr std::array<std::string_view, 6> scripts{"", "Latin", "Greek", "Cyrillic", "Armenian", "Cherokee"};
    int script = 0;
    while (!text.empty()) {
        const std::int32_t p = next_point(text);
        const bool turns =
            (p >= 0x202A && p <= 0x202E) || (p >= 0x2066 && p <= 0x2069) || p == 0x200E || p == 0x200F || p == 0x61C;
        if (turns) return fmt::format("holds the control character U+{:04X}, which turns the direction of writing", p);
        // Joiners of scripts that need them stand between letters of those; between Latin ones nobody sees them.
        const bool unseen = p == 0xAD || p == 0x200B || p == 0x2060 || p == 0xFEFF || p == 0x180E || p == 0x3164 || p == 0x115F ||
                            (p >= 0xE0000 && p <= 0xE007F) || ((p == 0x200C || p == 0x200D) && script != 0);
        if (unseen) return fmt::format("holds the character U+{:04X}, which nobody sees", p);
        if (p < 0x20 && p != '\t' && p != '\n' && p != '\r') return fmt::format("holds the control character U+{:04X}", p);
        const int next = script_of(p);
        // Within a word: between words two scripts are two words.
        const auto category = utf8proc_category(p);
        if (category < UTF8PROC_CATEGORY_LU || category > UTF8PROC_CATEGORY_ME) {
            script = 0;
        } else if (next != 0) {
            if (script != 0 && script != next)
                return fmt::format("mixes {} and {} letters in one word", scripts[static_cast<std::size_t>(script)],
                                   scripts[static_cast<std::size_t>(next)]);
            script = next;
        }
    }
    return {};
}

OPSPILOT_INLINE std::string appearance(std::string_view text) {
    // Compatibility forms first: full-width letters and ligatures look like the plain ones.
    utf8proc_uint8_t* mapped = nullptr;
    const auto size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_IGNORE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
    if (size < 0) return std::string(text);
    std::string_view rest(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
    std::string out;
    while (!rest.empty()) {
        const std::string_view before = rest;
        const std::int32_t p = next_point(rest);
        const auto known = std::find_if(lookalikes.begin(), lookalikes.end(), [&](const lookalike& l) { return l.point == p; });
        if (known != lookalikes.end())
            out += known->latin;
        else
            out += before.substr(0, before.size() - rest.size());
    }
    return out;
}

}  // namespace opspilot::detail::analysis
