/// \file
/// Internal: tokens of CEL source with their places, and the values of literals.
/// Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot::cel::detail {

enum class token_kind : std::uint8_t {
    end,
    identifier,   ///< also reserved words: they may name fields and functions
    quoted_name,  ///< `any-name` in back quotes
    integer,
    uinteger,
    number,
    text,
    bytes,
    plus,
    minus,
    star,
    slash,
    percent,
    not_,
    question,
    colon,
    comma,
    dot,
    open_round,
    close_round,
    open_square,
    close_square,
    open_curly,
    close_curly,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    and_,
    or_,
    in,
};

struct token {
    token_kind kind = token_kind::end;
    std::uint32_t offset = 0;  ///< byte in the source
    std::uint32_t length = 0;
};

/// Something wrong at a place of the source.
struct problem {
    std::string_view code;
    std::string message;
    std::string hint;
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
};

/// Splits source into tokens; the last one is `end`.
[[nodiscard]] std::optional<problem> tokenize(std::string_view source, std::vector<token>& out);

/// The bytes a string or bytes literal stands for, escapes resolved. `source` is the whole text.
[[nodiscard]] std::optional<problem> decode_literal(std::string_view source, const token& literal, std::string& out);

/// Decimal or 0x digits without sign and suffix; nothing when above 2^64 - 1.
[[nodiscard]] std::optional<std::uint64_t> parse_magnitude(std::string_view digits) noexcept;

/// A decimal floating-point number, correctly rounded; too small ones become 0, nothing for overflow and for other text.
/// `special`: also accept "NaN", "Inf", "Infinity" with a sign, as conversions from text do.
[[nodiscard]] std::optional<double> parse_double(std::string_view text, bool special = false) noexcept;

/// Words that cannot name a variable.
[[nodiscard]] bool is_reserved(std::string_view word) noexcept;

/// Appends a code point as UTF-8; false for surrogates and beyond U+10FFFF.
bool append_code_point(std::string& out, std::uint32_t point);

/// "line 3 column 18" (both from 1, columns in code points) of a byte offset.
[[nodiscard]] std::string line_and_column(std::string_view source, std::size_t offset);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/lexer-inl.hpp"
#endif
