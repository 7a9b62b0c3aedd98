/// \file
/// Internal: the functions an expression may call, what they take and give, and what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/policy/cel/value.hpp"
#include "opspilot/policy/detail/cel/types.hpp"

namespace opspilot::cel::detail {

enum class builtin : std::uint8_t {
    size,
    contains,
    starts_with,
    ends_with,
    matches,
    to_bool,
    to_int,
    to_uint,
    to_double,
    to_string,
    to_bytes,
    to_timestamp,
    to_duration,
    to_dyn,
    to_type,
    get_full_year,
    get_month,
    get_date,
    get_day_of_month,
    get_day_of_week,
    get_day_of_year,
    get_hours,
    get_minutes,
    get_seconds,
    get_milliseconds,
};

/// One form of a function. `arguments` and `result` use a letter per type: b bool, i int, u uint, d double, s string, y bytes,
/// t timestamp, D duration, l list, m map, T type, * any. For member forms the first letter is the receiver.
struct overload {
    std::string_view name;
    bool member = false;
    std::string_view arguments;
    char result = '*';
    builtin function = builtin::size;
};

[[nodiscard]] std::span<const overload> overloads() noexcept;
[[nodiscard]] type_id type_of_letter(char letter) noexcept;

inline constexpr std::size_t most_arguments = 2;

/// What a function may use besides its arguments.
struct call_context {
    arena& memory;
    const interner* strings = nullptr;
    std::size_t offset = 0;  ///< of the call in the source, for errors
    std::uint64_t* steps = nullptr;
};

/// Applies a function to arguments that are no errors; a wrong kind gives the error `no_overload`.
[[nodiscard]] value apply(builtin function, std::span<const value> arguments, const call_context& context);

/// A compiled regular expression of RE2 (https://github.com/google/re2/wiki/Syntax): linear time, bounded memory.
class regex {
public:
    /// Errors: policy.bad_regex with RE2's reason.
    [[nodiscard]] static result<std::shared_ptr<const regex>> compile(std::string_view pattern);
    [[nodiscard]] bool search(std::string_view text) const;
    virtual ~regex() = default;

protected:
    regex() = default;
};

/// The simpler function a pattern amounts to ("startsWith('abc')"), or "" when it needs to be a pattern.
[[nodiscard]] std::string simpler_than_regex(std::string_view pattern);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/functions-inl.hpp"
#endif
