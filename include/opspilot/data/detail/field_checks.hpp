/// \file
/// Internal: checks of single values against their declaration, shared by schema and readers.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "opspilot/data/schema.hpp"

namespace opspilot::detail {

inline error schema_error(std::string_view code, std::string message, std::string where, std::string hint = {}) {
    return {error_kind::schema, code, std::move(message), std::move(where), std::move(hint)};
}

/// What decides may not read what is declared for audit only.
inline error audit_only_error(error_kind kind, std::string_view code, role r, const field& f, std::string where) {
    return {kind, code, fmt::format("{}.{} is for audit only: nothing that decides may read it", name(r), f.name),
            std::move(where), "use another field, or take \"use\": \"audit\" out of its declaration"};
}

/// Exact: a 64-bit integer need not be representable as a double. -1, 0, 1; the double is not NaN.
inline int compare_exactly(std::int64_t a, double b) noexcept {
    if (b >= 9223372036854775808.0) return -1;
    if (b < -9223372036854775808.0) return 1;
    const double whole = std::floor(b);
    const auto integer = static_cast<std::int64_t>(whole);
    if (a != integer) return a < integer ? -1 : 1;
    return whole < b ? -1 : 0;
}

inline bool within_bounds(const field& f, std::int64_t value) noexcept {
    return !(f.min && compare_exactly(value, *f.min) < 0) && !(f.max && compare_exactly(value, *f.max) > 0);
}
inline bool within_bounds(const field& f, double value) noexcept {
    return !(f.min && value < *f.min) && !(f.max && value > *f.max);
}
inline std::string bounds_text(const field& f) {
    if (f.min && f.max) return fmt::format("from {} to {}", *f.min, *f.max);
    return f.min ? fmt::format("at least {}", *f.min) : fmt::format("at most {}", *f.max);
}

/// The double equal to the integer, if there is one.
inline bool exactly(std::int64_t value, double& out) noexcept {
    out = static_cast<double>(value);
    return out < 9223372036854775808.0 && static_cast<std::int64_t>(out) == value;
}

}  // namespace opspilot::detail
