/// \file
/// Internal: the functions an expression may call, what they take and give, and what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
    library,  ///< a function of a library: `overload::run`
};

/// What a function may use besides its arguments.
struct call_context {
    arena& memory;
    const interner* strings = nullptr;
    std::size_t offset = 0;  ///< of the call in the source, for errors
    std::uint64_t* steps = nullptr;

    /// Counts work that grows with the size of texts and lists.
    void charge(std::uint64_t bytes) const noexcept {
        if (steps != nullptr) *steps += bytes / 16;
    }
    [[nodiscard]] value fail(fault f, std::string_view subject = {}) const noexcept { return make_error(f, offset, subject); }
    [[nodiscard]] value no_overload() const noexcept { return fail(fault::no_overload); }
    /// The text copied into the arena.
    [[nodiscard]] value keep(std::string_view made) const {
        charge(made.size());
        const std::string_view kept = memory.copy(made);
        return kept.data() == nullptr ? fail(fault::memory_limit) : make_text(kept);
    }
};

/// Arguments are no errors, as many as the form has; their kinds are for the function to look at.
using implementation = value (*)(std::span<const value> arguments, const call_context& context);

/// One form of a function. `arguments` and `result` use a letter per type: b bool, i int, u uint, d double, s string, y bytes,
/// t timestamp, D duration, l list, m map, T type, n any number, A the same type wherever it stands, * any; "[x" is a list and
/// "?x" an optional of x; a '+' at the end: the last argument once or more. For member forms the first is the receiver.
struct overload {
    std::string_view name;
    bool member = false;
    std::string_view arguments;
    std::string_view result = "*";
    builtin function = builtin::library;
    implementation run = nullptr;

    [[nodiscard]] bool takes(std::size_t count) const noexcept;
};

/// The one table of all functions, in the order of their libraries.
[[nodiscard]] std::span<const overload> overloads() noexcept;

/// Whether a function that is no member has the name, such as "math.abs".
[[nodiscard]] bool is_function(std::string_view name) noexcept;

/// The type a call gives by this form, or nothing when it does not take arguments of those types.
[[nodiscard]] std::optional<type_id> result_of(const overload& form, std::span<const type_id> arguments, type_pool& pool);

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
#include "opspilot/policy/detail/cel/signature-inl.hpp"
#endif
