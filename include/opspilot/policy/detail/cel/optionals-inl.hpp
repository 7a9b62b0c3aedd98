#pragma once

#include <array>

#include "opspilot/policy/detail/cel/libraries.hpp"
#include "opspilot/policy/detail/cel/optionals.hpp"

namespace opspilot::cel::detail {

OPSPILOT_INLINE value some(const value& inside, const call_context& context) {
    const std::uint32_t depth = inside.depth + 1U;
    if (depth > deepest_value) return context.fail(fault::too_deep);
    value* const kept = context.memory.array<value>(1);
    if (kept == nullptr) return context.fail(fault::memory_limit);
    *kept = inside;
    value v = make_optional(kept);
    v.depth = static_cast<std::uint16_t>(depth);
    return v;
}

/// The value that a kind starts with: 0, false, "", empty, null, 1970, none.
inline bool is_zero(const value& v) noexcept {
    switch (v.what) {
        case kind::null: return true;
        case kind::boolean: return !v.boolean;
        case kind::integer: return v.integer == 0;
        case kind::uinteger: return v.uinteger == 0;
        case kind::number: return v.number == 0;
        case kind::timestamp:
        case kind::duration: return v.integer == 0 && v.size == 0;
        case kind::text:
        case kind::bytes:
        case kind::list:
        case kind::map:
        case kind::optional: return v.size == 0;
        default: return false;
    }
}

inline value optional_none(std::span<const value>, const call_context&) { return make_optional(nullptr); }
inline value optional_some(std::span<const value> a, const call_context& c) { return some(a[0], c); }
inline value optional_non_zero(std::span<const value> a, const call_context& c) {
    return is_zero(a[0]) ? make_optional(nullptr) : some(a[0], c);
}
inline value optional_has_value(std::span<const value> a, const call_context& c) {
    return a[0].is(kind::optional) ? make_boolean(a[0].size > 0) : c.no_overload();
}
inline value optional_value(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::optional)) return c.no_overload();
    return a[0].size > 0 ? *a[0].items : c.fail(fault::no_value);
}
inline value optional_or(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::optional) || !a[1].is(kind::optional)) return c.no_overload();
    return a[0].size > 0 ? a[0] : a[1];
}
inline value optional_or_value(std::span<const value> a, const call_context& c) {
    if (!a[0].is(kind::optional)) return c.no_overload();
    return a[0].size > 0 ? *a[0].items : a[1];
}

inline constexpr std::array optional_table{
    overload{"optional.none", false, "", "?A", builtin::library, optional_none},
    overload{"optional.of", false, "A", "?A", builtin::library, optional_some},
    overload{"optional.ofNonZeroValue", false, "A", "?A", builtin::library, optional_non_zero},
    overload{"hasValue", true, "?*", "b", builtin::library, optional_has_value},
    overload{"value", true, "?A", "A", builtin::library, optional_value},
    overload{"or", true, "?A?A", "?A", builtin::library, optional_or},
    overload{"orValue", true, "?AA", "A", builtin::library, optional_or_value},
};

OPSPILOT_INLINE std::span<const overload> optional_functions() noexcept { return optional_table; }

}  // namespace opspilot::cel::detail
