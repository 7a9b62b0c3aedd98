/// \file
/// Internal: the extension libraries of CEL (https://github.com/google/cel-go/tree/master/ext), a part of the table each.
#pragma once

#include <span>

#include "opspilot/policy/detail/cel/functions.hpp"

namespace opspilot::cel::detail {

/// charAt, indexOf, substring, split, join, …; positions are code points.
[[nodiscard]] std::span<const overload> string_functions() noexcept;
/// "…".format([…]) and strings.quote.
[[nodiscard]] std::span<const overload> format_functions() noexcept;
/// math.least, math.round, math.bitAnd, …
[[nodiscard]] std::span<const overload> math_functions() noexcept;
/// optional.of, hasValue, orValue, …
[[nodiscard]] std::span<const overload> optional_functions() noexcept;
/// base64.encode and base64.decode.
[[nodiscard]] std::span<const overload> encoder_functions() noexcept;
/// text.mentions(words), of our own: words and phrases in any language, for rules about what people write.
[[nodiscard]] std::span<const overload> word_functions() noexcept;

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/encoders-inl.hpp"
#include "opspilot/policy/detail/cel/format-inl.hpp"
#include "opspilot/policy/detail/cel/math-inl.hpp"
#include "opspilot/policy/detail/cel/optionals-inl.hpp"
#include "opspilot/policy/detail/cel/strings-inl.hpp"
#include "opspilot/policy/detail/cel/words-inl.hpp"
#endif
