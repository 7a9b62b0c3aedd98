/// \file
/// JSON Schemas of a bundle's documents and of the lines of a log, made of the field tables that their readers use.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// Names of the documents: "bundle", "schema", "catalogue", "candidates", "features", "stages", "linear", "text_classifier" and
/// "choice_model" (the JSON headers of those files), "policy", "table", "calibration", "rollout", "baseline", "golden" (a line),
/// "decision" and "outcome" (lines of a log), "criteria" (of a launch).
[[nodiscard]] OPSPILOT_API std::span<const std::string_view> document_names() noexcept;

/// The JSON Schema (2020-12) of a document. What it refuses, the reader refuses; what the reader refuses for its structure, which
/// are unknown and missing keys, wrong kinds and texts outside the choices, the schema refuses, but for three things that JSON
/// Schema cannot say: a whole number written 1.0, a key that stands twice, and integers that depend on others. What depends on
/// other documents (names of fields, of stages, of actions) is the reader's alone. Errors: usage.document.
[[nodiscard]] OPSPILOT_API result<std::string> document_schema(std::string_view name);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/documents-inl.hpp"
#endif
