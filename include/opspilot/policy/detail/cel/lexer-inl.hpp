#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/lexer.hpp"

namespace opspilot::cel::detail {

inline bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
inline bool is_hex_digit(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
inline bool starts_word(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// One pass over the source.
class scanner {
public:
    scanner(std::string_view source, std::vector<token>& out) : source_(source), out_(out) {}

    std::optional<problem> run() {
        while (true) {
            skip_blanks();
            if (at_ >= source_.size()) break;
            if (auto wrong = next()) return wrong;
        }
        put(token_kind::end, at_, 0);
        return {};
    }

private:
    [[nodiscard]] char peek(std::size_t ahead = 0) const noexcept {
        return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
    }
    void put(token_kind kind, std::size_t offset, std::size_t length) {
        out_.push_back({kind, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length)});
    }
    problem fail(std::string_view code, std::string message, std::size_t offset, std::string hint = {}) const {
        return {code, std::move(message), std::move(hint), static_cast<std::uint32_t>(offset), 1};
    }

    void skip_blanks() noexcept {
        while (at_ < source_.size()) {
            const char c = source_[at_];
            if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
                ++at_;
            } else if (c == '/' && peek(1) == '/') {
                while (at_ < source_.size() && source_[at_] != '\n') ++at_;
            } else {
                return;
            }
        }
    }

    std::optional<problem> next() {
        const char c = peek();
        if (const std::size_t prefix = literal_prefix(); prefix != none) return quoted(prefix);
        if (starts_word(c)) return word();
        if (c == '`') return quoted_name();
        if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return digits();
        return symbol(c);
    }

    /// Length of the r, b or br before a quote, or `none` when no literal starts here.
    [[nodiscard]] std::size_t literal_prefix() const noexcept {
        std::size_t n = 0;
        if (peek(n) == 'b' || peek(n) == 'B') ++n;
        if (peek(n) == 'r' || peek(n) == 'R') ++n;
        return peek(n) == '\'' || peek(n) == '"' ? n : none;
    }

    std::optional<problem> quoted(std::size_t prefix) {
        const std::size_t start = at_;
        const bool bytes = prefix > 0 && (peek() == 'b' || peek() == 'B');
        const char last = prefix > 0 ? peek(prefix - 1) : '\0';
        const bool raw = last == 'r' || last == 'R';
        at_ += prefix;
        const char quote = peek();
        const bool triple = peek(1) == quote && peek(2) == quote;
        at_ += triple ? std::size_t{3} : std::size_t{1};
        while (at_ < source_.size()) {
            const char c = source_[at_];
            if (c == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
                at_ += triple ? std::size_t{3} : std::size_t{1};
                put(bytes ? token_kind::bytes : token_kind::text, start, at_ - start);
                return {};
            }
            if ((c == '\n' || c == '\r') && !triple) break;
            at_ += c == '\\' && !raw && at_ + 1 < source_.size() ? std::size_t{2} : std::size_t{1};
        }
        return fail("policy.unterminated_literal", "the string that starts here has no end", start,
                    triple ? "close it with three quotes" : "close it with the same quote on the same line");
    }

    std::optional<problem> word() {
        const std::size_t start = at_;
        while (starts_word(peek()) || is_digit(peek())) ++at_;
        put(source_.substr(start, at_ - start) == "in" ? token_kind::in : token_kind::identifier, start, at_ - start);
        return {};
    }

    /// A field whose name is no word: letters, digits and _ . - / space.
    std::optional<problem> quoted_name() {
        const std::size_t start = at_++;
        const auto allowed = [](char c) { return starts_word(c) || is_digit(c) || c == '.' || c == '-' || c == '/' || c == ' '; };
        while (allowed(peek())) ++at_;
        if (peek() != '`' || at_ == start + 1)
            return fail("policy.bad_name", "a name in back quotes has letters, digits and the characters _ . - / and space",
                        start, "use ['…'] for other keys");
        ++at_;
        put(token_kind::quoted_name, start, at_ - start);
        return {};
    }

    std::optional<problem> digits() {
        const std::size_t start = at_;
        token_kind kind = token_kind::integer;
        if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X') && is_hex_digit(peek(2))) {
            at_ += 2;
            while (is_hex_digit(peek())) ++at_;
        } else {
            while (is_digit(peek())) ++at_;
            if (peek() == '.' && is_digit(peek(1))) {
                kind = token_kind::number;
                ++at_;
                while (is_digit(peek())) ++at_;
            }
            const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
            if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
                kind = token_kind::number;
                at_ += 1 + sign;
                while (is_digit(peek())) ++at_;
            }
        }
        if (kind == token_kind::integer && (peek() == 'u' || peek() == 'U')) {
            kind = token_kind::uinteger;
            ++at_;
        }
        if (starts_word(peek()) || is_digit(peek()))
            return fail("policy.bad_number", fmt::format("{} runs into a number", quote_char()), at_, "put a space between them");
        put(kind, start, at_ - start);
        return {};
    }

    [[nodiscard]] std::string quote_char() const {
        std::size_t length = 1;
        while (at_ + length < source_.size() && (static_cast<unsigned char>(source_[at_ + length]) & 0xC0U) == 0x80U) ++length;
        return opspilot::quote(source_.substr(at_, length));
    }

    std::optional<problem> symbol(char c) {
        const char after = peek(1);
        const auto one = [&](token_kind kind) {
            put(kind, at_, 1);
            ++at_;
            return std::optional<problem>{};
        };
        const auto two = [&](token_kind kind) {
            put(kind, at_, 2);
            at_ += 2;
            return std::optional<problem>{};
        };
        switch (c) {
            case '+': return one(token_kind::plus);
            case '-': return one(token_kind::minus);
            case '*': return one(token_kind::star);
            case '/': return one(token_kind::slash);
            case '%': return one(token_kind::percent);
            case '?': return one(token_kind::question);
            case ':': return one(token_kind::colon);
            case ',': return one(token_kind::comma);
            case '.': return one(token_kind::dot);
            case '(': return one(token_kind::open_round);
            case ')': return one(token_kind::close_round);
            case '[': return one(token_kind::open_square);
            case ']': return one(token_kind::close_square);
            case '{': return one(token_kind::open_curly);
            case '}': return one(token_kind::close_curly);
            case '!': return after == '=' ? two(token_kind::not_equal) : one(token_kind::not_);
            case '<': return after == '=' ? two(token_kind::less_equal) : one(token_kind::less);
            case '>': return after == '=' ? two(token_kind::greater_equal) : one(token_kind::greater);
            case '=':
                if (after == '=') return two(token_kind::equal);
                return fail("policy.syntax", "'=' is no operator", at_, "compare with '=='");
            case '&':
                if (after == '&') return two(token_kind::and_);
                return fail("policy.syntax", "'&' is no operator", at_, "write '&&'");
            case '|':
                if (after == '|') return two(token_kind::or_);
                return fail("policy.syntax", "'|' is no operator", at_, "write '||'");
            default: return fail("policy.syntax", fmt::format("unexpected character {}", quote_char()), at_);
        }
    }

    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
    std::string_view source_;
    std::vector<token>& out_;
    std::size_t at_ = 0;
};

OPSPILOT_INLINE std::optional<problem> tokenize(std::string_view source, std::vector<token>& out) {
    if (const std::size_t bad = utf8_error_offset(source); bad < source.size())
        return problem{"policy.utf8", "the expression is not UTF-8", "save the file as UTF-8", static_cast<std::uint32_t>(bad),
                       1};
    return scanner(source, out).run();
}

/// Value of `count` digits of a base, or nothing.
inline std::optional<std::uint32_t> escape_digits(std::string_view s, std::size_t count, int base) noexcept {
    if (s.size() < count) return {};
    std::uint32_t v = 0;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + count, v, base);
    if (ec != std::errc{} || end != s.data() + count) return {};
    return v;
}

/// One escape after its backslash: appends what it stands for, returns its length, 0 when there is none such.
inline std::size_t decode_escape(std::string_view s, bool bytes, std::string& out) {
    constexpr std::string_view plain = "abfnrtv\\?\"'`";
    constexpr std::string_view meaning = "\a\b\f\n\r\t\v\\?\"'`";
    if (s.empty()) return 0;
    if (const std::size_t at = plain.find(s[0]); at != std::string_view::npos) {
        out += meaning[at];
        return 1;
    }
    const auto put = [&](std::uint32_t point) {
        if (!bytes) return append_code_point(out, point);
        out += static_cast<char>(static_cast<unsigned char>(point));
        return true;
    };
    if (s[0] >= '0' && s[0] <= '3') {
        const auto point = escape_digits(s, 3, 8);
        return point && put(*point) ? 3 : 0;
    }
    if (s[0] == 'x' || s[0] == 'X') {
        const auto point = escape_digits(s.substr(1), 2, 16);
        return point && put(*point) ? 3 : 0;
    }
    if (bytes || (s[0] != 'u' && s[0] != 'U')) return 0;
    const std::size_t count = s[0] == 'u' ? 4 : 8;
    const auto point = escape_digits(s.substr(1), count, 16);
    return point && append_code_point(out, *point) ? 1 + count : 0;
}

OPSPILOT_INLINE std::optional<problem> decode_literal(std::string_view source, const token& literal, std::string& out) {
    std::string_view s = source.substr(literal.offset, literal.length);
    bool raw = false;
    while (s[0] != '\'' && s[0] != '"') {
        raw = raw || s[0] == 'r' || s[0] == 'R';
        s.remove_prefix(1);
    }
    const std::size_t quotes = s.size() >= 6 && s[1] == s[0] && s[2] == s[0] ? 3 : 1;
    s = s.substr(quotes, s.size() - 2 * quotes);
    out.clear();
    if (raw) {
        out = s;
        return {};
    }
    const auto offset_of = [&](std::size_t i) { return static_cast<std::uint32_t>(s.data() + i - source.data()); };
    for (std::size_t i = 0; i < s.size();) {
        if (s[i] != '\\') {
            out += s[i++];
            continue;
        }
        const std::size_t length = decode_escape(s.substr(i + 1), literal.kind == token_kind::bytes, out);
        if (length == 0)
            return problem{"policy.bad_escape", fmt::format("bad escape {}", opspilot::quote(s.substr(i, 2))),
                           "write '\\\\' for a backslash, or a raw string r'…'", offset_of(i), 2};
        i += 1 + length;
    }
    return {};
}

OPSPILOT_INLINE std::optional<std::uint64_t> parse_magnitude(std::string_view digits) noexcept {
    int base = 10;
    if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
        base = 16;
        digits.remove_prefix(2);
    }
    std::uint64_t v = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), v, base);
    if (ec != std::errc{} || end != digits.data() + digits.size() || digits.empty()) return {};
    return v;
}

/// Whether a well-formed decimal number out of the range of double is too small (and not too large).
inline bool is_tiny(std::string_view text) noexcept {
    const std::size_t e = text.find_first_of("eE");
    const std::string_view mantissa = text.substr(0, e);
    long exponent = 0;
    if (e != std::string_view::npos) {
        std::string_view s = text.substr(e + 1);
        if (!s.empty() && s[0] == '+') s.remove_prefix(1);
        const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), exponent);
        if (ec == std::errc::result_out_of_range) return !s.empty() && s[0] == '-';
    }
    const std::size_t first = mantissa.find_first_of("123456789");
    if (first == std::string_view::npos) return true;
    const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
    return exponent + static_cast<long>(point) - static_cast<long>(first) < 0;
}

OPSPILOT_INLINE std::optional<double> parse_double(std::string_view text, bool special) noexcept {
    std::string_view s = text;
    if (!s.empty() && s[0] == '+') s.remove_prefix(1);
    const bool negative = !s.empty() && s[0] == '-';
    if (negative) s.remove_prefix(1);
    if (special) {
        if (s == "NaN" || s == "nan") return std::numeric_limits<double>::quiet_NaN();
        if (s == "Inf" || s == "inf" || s == "Infinity" || s == "infinity")
            return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    }
    if (s.empty() || !(is_digit(s[0]) || s[0] == '.')) return {};
    double v = 0;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (end != s.data() + s.size()) return {};
    if (ec == std::errc::result_out_of_range) {
        if (!is_tiny(s)) return {};
        v = 0;
    } else if (ec != std::errc{}) {
        return {};
    }
    return negative ? -v : v;
}

OPSPILOT_INLINE bool is_reserved(std::string_view word) noexcept {
    constexpr std::array<std::string_view, 21> words{"as",        "break", "const",  "continue", "else", "false", "for",
                                                     "function",  "if",    "import", "in",       "let",  "loop",  "package",
                                                     "namespace", "null",  "return", "true",     "var",  "void",  "while"};
    return std::find(words.begin(), words.end(), word) != words.end();
}

OPSPILOT_INLINE bool append_code_point(std::string& out, std::uint32_t point) {
    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xC0 | (point >> 6));
        put(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        put(0xE0 | (point >> 12));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    } else {
        put(0xF0 | (point >> 18));
        put(0x80 | ((point >> 12) & 0x3F));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    }
    return true;
}

OPSPILOT_INLINE std::string line_and_column(std::string_view source, std::size_t offset) {
    const std::string_view before = source.substr(0, std::min(offset, source.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t start = before.rfind('\n');
    const std::string_view same_line = start == std::string_view::npos ? before : before.substr(start + 1);
    return fmt::format("line {} column {}", line, 1 + code_points(same_line));
}

}  // namespace opspilot::cel::detail
