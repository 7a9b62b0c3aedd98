/// \file
/// Errors as values: `error` says what went wrong, where, and what to do about it; `result<T>` is a value or an error.
/// Nothing in the core throws on bad input; only exhausted memory surfaces as `std::bad_alloc`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// The family an error belongs to: the status of the C surface and the exception class of the Python package.
enum class error_kind : std::uint8_t {
    usage = 1,    ///< the caller broke the contract of a function (length mismatch, unknown engine name, …)
    schema,       ///< a record, a table or a schema document
    features,     ///< a transform, or a fingerprint that does not fit
    model,        ///< a ranker or classifier file
    policy,       ///< a policy document or an expression in it
    calibration,  ///< calibrators, thresholds, certificates
    bundle,       ///< a bundle as a whole: parts missing, hashes, golden rows
    audit,        ///< a decision record or a log
    limit,        ///< a stated limit was exceeded (size, depth, count)
    internal,     ///< a promise of the library itself was broken; please report
};

/// Stable lower-case name of a kind, e.g. "schema".
[[nodiscard]] OPSPILOT_API std::string_view name(error_kind kind) noexcept;

/// One error with its place and its cure.
struct error {
    error_kind kind = error_kind::internal;
    std::string_view code;  ///< stable dotted name with static lifetime, e.g. "schema.unknown_field"
    std::string message;    ///< what is wrong, with the offending value
    std::string where;      ///< JSON pointer, "byte 17", or "line 3 column 18"; may be empty
    std::string hint;       ///< what to do about it; may be empty

    /// "WHERE: MESSAGE; HINT", one line, for people.
    [[nodiscard]] OPSPILOT_API std::string text() const;
};

/// A value of type T, or the error that prevented it. Never empty.
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(opspilot::error problem) : state_(std::in_place_index<1>, std::move(problem)) {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    /// The value; only after `ok()`.
    [[nodiscard]] T& value() & noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] const T& value() const& noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T& operator*() & noexcept { return value(); }
    const T& operator*() const& noexcept { return value(); }
    T&& operator*() && noexcept { return std::move(*this).value(); }
    T* operator->() noexcept { return std::get_if<0>(&state_); }
    const T* operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The error; only after `!ok()`.
    [[nodiscard]] opspilot::error& error() & noexcept { return *std::get_if<1>(&state_); }
    [[nodiscard]] const opspilot::error& error() const& noexcept { return *std::get_if<1>(&state_); }
    [[nodiscard]] opspilot::error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

private:
    std::variant<T, opspilot::error> state_;
};

/// Success, or an error.
template <>
class [[nodiscard]] result<void> {
public:
    result() noexcept = default;
    result(opspilot::error problem) : problem_(std::move(problem)) {}

    [[nodiscard]] bool ok() const noexcept { return !problem_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] opspilot::error& error() & noexcept { return *problem_; }
    [[nodiscard]] const opspilot::error& error() const& noexcept { return *problem_; }
    [[nodiscard]] opspilot::error&& error() && noexcept { return std::move(*problem_); }

private:
    std::optional<opspilot::error> problem_;
};

using status = result<void>;

}  // namespace opspilot

/// Returns the error of `expression` from the enclosing function, or goes on.
#define OPSPILOT_CHECK(expression)                                                                               \
    do {                                                                                                         \
        if (auto opspilot_status_ = (expression); !opspilot_status_) return std::move(opspilot_status_).error(); \
    } while (false)

#define OPSPILOT_DETAIL_JOIN2(a, b) a##b
#define OPSPILOT_DETAIL_JOIN(a, b) OPSPILOT_DETAIL_JOIN2(a, b)
#define OPSPILOT_DETAIL_TRY(temporary, declaration, expression) \
    auto temporary = (expression);                              \
    if (!temporary) return std::move(temporary).error();        \
    declaration = std::move(temporary).value()

/// `OPSPILOT_TRY(auto x, f())`: declares x from f()'s value, or returns f()'s error.
#define OPSPILOT_TRY(declaration, expression) \
    OPSPILOT_DETAIL_TRY(OPSPILOT_DETAIL_JOIN(opspilot_result_, __LINE__), declaration, expression)

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/result-inl.hpp"
#endif
