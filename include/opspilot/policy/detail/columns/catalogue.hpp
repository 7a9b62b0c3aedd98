/// \file
/// Internal: computes what reads the action alone for all rows of a catalogue.
#pragma once

#include "opspilot/data/table.hpp"
#include "opspilot/policy/detail/columns/scratch.hpp"

namespace opspilot::cel::detail {

/// `actions` and `strings` as they are when decisions are made.
[[nodiscard]] prepared_catalogue prepare_catalogue(const graph& g, const table& actions, const interner& strings);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/columns/catalogue-inl.hpp"
#endif
