/// \file
/// UTF-8 checks and the "did you mean" of every error message.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] OPSPILOT_API bool valid_utf8(std::string_view bytes) noexcept;

/// Offset of the first byte that is not part of well-formed UTF-8, or `bytes.size()`.
[[nodiscard]] OPSPILOT_API std::size_t utf8_error_offset(std::string_view bytes) noexcept;

/// Number of code points of well-formed UTF-8.
[[nodiscard]] OPSPILOT_API std::size_t code_points(std::string_view bytes) noexcept;

/// The candidate nearest to `word` by Damerau-Levenshtein distance (restricted edits), or "" when none is within a third
/// of the word's length (at least 1). Ties go to the earlier candidate. Words over 64 bytes are not compared.
[[nodiscard]] OPSPILOT_API std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "did you mean 'x'?" for the nearest candidate, or "" when none is near.
[[nodiscard]] OPSPILOT_API std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// The text shortened to at most `limit` bytes at a code point boundary, with "…" when cut, control characters escaped:
/// how untrusted text is quoted in a message.
[[nodiscard]] OPSPILOT_API std::string quote(std::string_view text, std::size_t limit = 80);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/text-inl.hpp"
#endif
