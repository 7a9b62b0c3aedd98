#pragma once

#include <array>

#include "opspilot/policy/detail/cel/libraries.hpp"

namespace opspilot::cel::detail {

inline constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline value base64_encode(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::bytes)) return c.no_overload();
    const std::string_view in = a[0].view();
    const std::size_t size = (in.size() + 2) / 3 * 4;
    c.charge(size);
    if (size == 0) return make_text("");
    char* const out = static_cast<char*>(c.memory.allocate(size));
    if (out == nullptr) return c.fail(fault::memory_limit);
    const auto byte = [&](std::size_t i) -> std::uint32_t { return i < in.size() ? static_cast<unsigned char>(in[i]) : 0; };
    char* next = out;
    for (std::size_t i = 0; i < in.size(); i += 3) {
        const std::uint32_t bits = (byte(i) << 16) | (byte(i + 1) << 8) | byte(i + 2);
        *next++ = base64_digits[bits >> 18];
        *next++ = base64_digits[(bits >> 12) & 63];
        *next++ = i + 1 < in.size() ? base64_digits[(bits >> 6) & 63] : '=';
        *next++ = i + 2 < in.size() ? base64_digits[bits & 63] : '=';
    }
    return make_text({out, size});
}

/// With padding or without.
inline value base64_decode(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::text)) return c.no_overload();
    std::string_view in = a[0].view();
    if (in.size() % 4 == 0 && in.ends_with('=')) in.remove_suffix(in.ends_with("==") ? 2 : 1);
    if (in.size() % 4 == 1) return c.fail(fault::bad_conversion);
    c.charge(in.size());
    const std::size_t size = in.size() * 3 / 4;
    if (size == 0) return make_bytes("");
    char* const out = static_cast<char*>(c.memory.allocate(size));
    if (out == nullptr) return c.fail(fault::memory_limit);
    std::uint32_t bits = 0;
    std::size_t made = 0;
    int held = 0;
    for (const char digit : in) {
        const std::size_t at = base64_digits.find(digit);
        if (at == std::string_view::npos) return c.fail(fault::bad_conversion);
        bits = (bits << 6) | static_cast<std::uint32_t>(at);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out[made++] = static_cast<char>(static_cast<unsigned char>((bits >> held) & 0xFFU));
    }
    return make_bytes({out, size});
}

inline constexpr std::array encoder_table{
    overload{"base64.encode", false, "y", "s", builtin::library, base64_encode},
    overload{"base64.decode", false, "s", "y", builtin::library, base64_decode},
};

OPSPILOT_INLINE std::span<const overload> encoder_functions() noexcept { return encoder_table; }

}  // namespace opspilot::cel::detail
