/// \file
/// Internal: the field tables of a policy document, for whoever writes or describes one.
#pragma once

#include <span>

#include "opspilot/base/document.hpp"

namespace opspilot::detail {

struct policy_tables {
    std::span<const document_field> document, rule, invariant, test, expect;
};
/// The tables that the reader uses.
[[nodiscard]] policy_tables document_tables() noexcept;

/// The same of a table of constants.
[[nodiscard]] std::span<const document_field> lookup_table_fields() noexcept;

}  // namespace opspilot::detail
