/// \file
/// Internal: the JSON front end of `pull_reader`. RFC 8259, and the words NaN, Infinity and -Infinity for numbers, which trainers
/// write. simdjson refuses those words and indexes a whole document in memory before it looks at it, see docs/decisions/0009.
#pragma once

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "opspilot/rank/detail/pull_reader.hpp"

namespace opspilot::detail {

class json_pull final : public pull_reader {
public:
    explicit json_pull(std::string_view bytes) : pull_reader(bytes) { blanks(); }

    [[nodiscard]] result<pull_kind> peek() override {
        if (ended()) return truncated();
        switch (bytes_[at_]) {
            case '{': return pull_kind::object;
            case '[': return pull_kind::array;
            case '"': return pull_kind::text;
            case 't':
            case 'f': return pull_kind::boolean;
            case 'n': return pull_kind::null;
            default: return pull_kind::number;
        }
    }

    [[nodiscard]] result<bool> next() override {
        const bool array = top().array;
        const char close = array ? ']' : '}';
        if (ended()) return truncated();
        if (bytes_[at_] == close && (top().fresh || !after_comma_)) {
            ++at_;
            leave();
            after_value();
            return false;
        }
        if (!top().fresh && !after_comma_) return syntax(fmt::format("a comma or '{}' is expected", close));
        after_comma_ = false;
        if (array) {
            if (!top().fresh) ++top().index;
            top().fresh = false;
            return true;
        }
        top().fresh = false;
        const std::size_t at = at_;
        if (bytes_[at_] != '"') return syntax("a key in quotes is expected");
        OPSPILOT_TRY(const std::string_view name, literal());
        OPSPILOT_CHECK(take_key(name, at));
        blanks();
        if (ended()) return truncated();
        if (bytes_[at_] != ':') return syntax("a colon is expected");
        ++at_;
        blanks();
        return true;
    }

    [[nodiscard]] result<std::string_view> text() override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != pull_kind::text) return wrong_kind(name(kind), "a string");
        OPSPILOT_TRY(const std::string_view value, literal());
        after_value();
        return value;
    }

    [[nodiscard]] result<std::int32_t> integer() override {
        OPSPILOT_TRY(const std::int32_t value, one_integer(false));
        after_value();
        return value;
    }

    [[nodiscard]] status integers(std::vector<std::int32_t>& out, std::size_t most, bool booleans) override {
        return each(out, most, [&] { return one_integer(booleans); });
    }

    [[nodiscard]] status floats(std::vector<float>& out, std::size_t most) override {
        return each(out, most, [&] { return one_float(); });
    }

    [[nodiscard]] status leap() override {
        std::size_t open = 0;
        do {
            if (ended()) return truncated();
            const char c = bytes_[at_++];
            if (c == '"') {
                for (;;) {
                    const std::size_t stop = bytes_.find_first_of("\"\\", at_);
                    if (stop == std::string_view::npos || stop + 1 >= bytes_.size()) return truncated();
                    at_ = stop + (bytes_[stop] == '"' ? 1U : 2U);
                    if (bytes_[stop] == '"') break;
                }
            } else if (c == '{' || c == '[') {
                if (depth_ + ++open > most_nesting) return too_deep();
            } else if (c == '}' || c == ']') {
                if (open == 0) return syntax("nothing is open here");
                --open;
            }
        } while (open > 0);
        after_value();
        return {};
    }

    [[nodiscard]] status end() override {
        blanks();
        if (!ended()) return problem("model.trailing_data", at_, "something follows the model's end");
        return {};
    }

protected:
    [[nodiscard]] status open(pull_kind wanted) override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != wanted) return wrong_kind(name(kind), name(wanted));
        OPSPILOT_CHECK(enter(kind == pull_kind::array));
        ++at_;
        blanks();
        after_comma_ = false;
        return {};
    }

    [[nodiscard]] status skip_scalar() override {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind == pull_kind::text) {
            auto value = text();
            return value ? status{} : std::move(value).error();
        }
        if (kind == pull_kind::number) {
            const std::string_view token = number_token();
            if (!is_number(token) && !is_word(token)) return not_a_number(token);
            at_ += token.size();
        } else {
            OPSPILOT_CHECK(word(bytes_[at_] == 't' ? "true" : bytes_[at_] == 'f' ? "false" : "null"));
        }
        after_value();
        return {};
    }

private:
    [[nodiscard]] opspilot::error syntax(std::string message) const {
        return problem("model.json_syntax", at_, std::move(message));
    }

    void blanks() noexcept {
        while (at_ < bytes_.size() && (bytes_[at_] == ' ' || bytes_[at_] == '\n' || bytes_[at_] == '\r' || bytes_[at_] == '\t'))
            ++at_;
    }
    /// Blanks, one comma, blanks.
    void after_value() noexcept {
        blanks();
        after_comma_ = depth_ > 0 && !ended() && bytes_[at_] == ',';
        if (!after_comma_) return;
        ++at_;
        blanks();
    }

    [[nodiscard]] status word(std::string_view expected) {
        const std::string_view got = bytes_.substr(at_, expected.size());
        if (got != expected) return ended() || expected.starts_with(got) ? truncated() : syntax("an unknown word");
        at_ += expected.size();
        return {};
    }

    [[nodiscard]] std::string_view number_token() const noexcept {
        std::size_t stop = at_;
        while (stop < bytes_.size() &&
               (std::string_view("+-.").find(bytes_[stop]) != std::string_view::npos ||
                (bytes_[stop] >= '0' && bytes_[stop] <= '9') || (bytes_[stop] >= 'a' && bytes_[stop] <= 'z') ||
                (bytes_[stop] >= 'A' && bytes_[stop] <= 'Z')))
            ++stop;
        return bytes_.substr(at_, stop - at_);
    }
    [[nodiscard]] static bool is_word(std::string_view token) noexcept {
        return token == "NaN" || token == "Infinity" || token == "-Infinity";
    }
    /// RFC 8259's grammar, which std::from_chars is wider than.
    [[nodiscard]] static bool is_number(std::string_view token) noexcept {
        std::size_t i = 0;
        const auto digits = [&] {
            const std::size_t begin = i;
            while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
            return i - begin;
        };
        if (i < token.size() && token[i] == '-') ++i;
        const bool zero = i < token.size() && token[i] == '0';
        const std::size_t whole = digits();
        if (whole == 0 || (zero && whole > 1)) return false;
        if (i < token.size() && token[i] == '.') {
            ++i;
            if (digits() == 0) return false;
        }
        if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
            ++i;
            if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
            if (digits() == 0) return false;
        }
        return i == token.size();
    }
    [[nodiscard]] opspilot::error not_a_number(std::string_view token) const {
        if (token.empty() && ended()) return truncated();
        if (token.empty()) return syntax("no value begins here");
        if (at_ + token.size() == bytes_.size()) return truncated();
        return problem("model.bad_number", at_, fmt::format("{} is not a number of its kind", quote(token)));
    }
    template <class T>
    [[nodiscard]] result<T> parse(std::string_view token) {
        T value{};
        const auto [stop, code] = std::from_chars(token.data(), token.data() + token.size(), value);
        if (code == std::errc::result_out_of_range)
            return problem("model.number_range", at_, fmt::format("{} is out of range", quote(token)));
        if (code != std::errc{} || stop != token.data() + token.size()) return not_a_number(token);
        at_ += token.size();
        return value;
    }

    [[nodiscard]] result<std::int32_t> one_integer(bool booleans) {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (booleans && kind == pull_kind::boolean) {
            const bool yes = bytes_[at_] == 't';
            OPSPILOT_CHECK(word(yes ? "true" : "false"));
            return yes ? 1 : 0;
        }
        if (kind != pull_kind::number) return wrong_kind(name(kind), "a whole number");
        const std::string_view token = number_token();
        if (!is_number(token)) return not_a_number(token);
        return parse<std::int32_t>(token);
    }

    [[nodiscard]] result<float> one_float() {
        OPSPILOT_TRY(const pull_kind kind, peek());
        if (kind != pull_kind::number) return wrong_kind(name(kind), "a number");
        const std::string_view token = number_token();
        if (is_word(token)) {
            at_ += token.size();
            if (token == "NaN") return std::numeric_limits<float>::quiet_NaN();
            return token[0] == '-' ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
        }
        if (!is_number(token)) return not_a_number(token);
        return parse<float>(token);
    }

    template <class T, class F>
    [[nodiscard]] status each(std::vector<T>& out, std::size_t most, const F& one) {
        out.clear();
        OPSPILOT_CHECK(open_array());
        for (;;) {
            OPSPILOT_TRY(const bool more, next());
            if (!more) return {};
            if (out.size() == most) return too_many(most);
            OPSPILOT_TRY(const T value, one());
            out.push_back(value);
            after_value();
        }
    }

    /// The string literal at hand, without its quotes and escapes.
    [[nodiscard]] result<std::string_view> literal() {
        const std::size_t begin = at_ + 1;
        std::size_t stop = begin;
        while (stop < bytes_.size() && bytes_[stop] != '"' && bytes_[stop] != '\\' &&
               static_cast<unsigned char>(bytes_[stop]) >= 0x20)
            ++stop;
        if (stop < bytes_.size() && bytes_[stop] == '"') {
            at_ = stop + 1;
            return checked(bytes_.substr(begin, stop - begin), begin);
        }
        plain_.assign(bytes_.substr(begin, stop - begin));
        for (at_ = stop;;) {
            if (ended()) return truncated();
            const char c = bytes_[at_];
            if (c == '"') break;
            if (static_cast<unsigned char>(c) < 0x20) return syntax("a control character in a string");
            ++at_;
            if (c == '\\')
                OPSPILOT_CHECK(escape());
            else
                plain_ += c;
        }
        ++at_;
        return checked(plain_, begin);
    }
    [[nodiscard]] result<std::string_view> checked(std::string_view value, std::size_t begin) const {
        if (!valid_utf8(value)) return problem("model.utf8", begin, "a string that is not UTF-8");
        return value;
    }

    /// What follows a backslash.
    [[nodiscard]] status escape() {
        if (ended()) return truncated();
        constexpr std::string_view letters = "\"\\/bfnrt";
        constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
        if (const std::size_t k = letters.find(bytes_[at_]); k != std::string_view::npos) {
            plain_ += meanings[k];
            ++at_;
            return {};
        }
        if (bytes_[at_] != 'u') return syntax("an unknown escape");
        OPSPILOT_TRY(std::uint32_t code, four_digits());
        if (code >= 0xD800 && code < 0xDC00) {
            if (bytes_.substr(at_, 2) != "\\u") return syntax("half a surrogate pair");
            ++at_;
            OPSPILOT_TRY(const std::uint32_t low, four_digits());
            if (low < 0xDC00 || low > 0xDFFF) return syntax("half a surrogate pair");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        // A lone low surrogate becomes bytes that are not UTF-8, which `checked` refuses.
        const auto put = [&](std::uint32_t byte) { plain_ += static_cast<char>(static_cast<unsigned char>(byte)); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xC0 | code >> 6);
            put(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            put(0xE0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3F));
            put(0x80 | (code & 0x3F));
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3F));
            put(0x80 | (code >> 6 & 0x3F));
            put(0x80 | (code & 0x3F));
        }
        return {};
    }
    /// 'u' and four hexadecimal digits.
    [[nodiscard]] result<std::uint32_t> four_digits() {
        const std::string_view digits = bytes_.substr(at_ + 1, 4);
        std::uint32_t code = 0;
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() != 4 || error != std::errc{} || stop != digits.data() + 4) return syntax("an unknown escape");
        at_ += 5;
        return code;
    }

    bool after_comma_ = false;
    std::string plain_;  // of the last string that had escapes
};

}  // namespace opspilot::detail
