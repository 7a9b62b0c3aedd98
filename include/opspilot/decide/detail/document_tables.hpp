/// \file
/// Internal: the field tables of bundle.json, rollout.json and golden.jsonl, for whoever describes them.
#pragma once

#include <span>

#include "opspilot/base/document.hpp"

namespace opspilot::detail {

struct bundle_tables {
    std::span<const document_field> document, limits, rollout;
};
[[nodiscard]] bundle_tables bundle_document_tables() noexcept;
[[nodiscard]] std::span<const document_field> golden_table() noexcept;

}  // namespace opspilot::detail
