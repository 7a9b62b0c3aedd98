/// \file
/// Internal: optional values (https://github.com/google/cel-spec/wiki/proposal-246).
#pragma once

#include "opspilot/policy/detail/cel/functions.hpp"

namespace opspilot::cel::detail {

/// How deep the lists, maps and optionals that an evaluation makes may nest: what walks over them recurses.
inline constexpr std::uint32_t deepest_value = 200;

/// An optional with the value inside, which goes into the arena.
[[nodiscard]] value some(const value& inside, const call_context& context);

}  // namespace opspilot::cel::detail
