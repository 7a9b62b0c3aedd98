/// \file
/// Internal: golden rows, the proof that a bundle decides on this machine as it did where it was built.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/decide/bundle.hpp"

namespace opspilot::detail {

inline constexpr std::size_t fewest_golden_rows = 64;

/// Decides every line's task and writes the lines with their answers. Errors: bundle.golden_rows when there are too few lines
/// or a verdict that the bundle can reach is never proposed.
[[nodiscard]] result<std::string> make_golden(const std::shared_ptr<const bundle>& b, std::string_view lines);

/// Decides every line again and compares every bit; returns the number of lines. Errors: bundle.golden_mismatch with the line.
[[nodiscard]] result<std::size_t> check_golden(const std::shared_ptr<const bundle>& b, std::string_view lines);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/detail/golden-inl.hpp"
#endif
