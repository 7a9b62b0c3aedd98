/// \file
/// Internal: the field tables of the documents in rank/ and of candidates.json, for whoever describes them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "opspilot/base/document.hpp"

namespace opspilot::detail {

/// A key of a stage that not every kind has: a bit per kind, in the order of their names.
struct stage_key {
    std::string_view key;
    std::uint32_t needed = 0, allowed = 0;
};

struct pipeline_tables {
    std::span<const document_field> document, stage, rerank;
    std::span<const std::string_view> kinds;
    std::span<const stage_key> keys;
};
[[nodiscard]] pipeline_tables pipeline_document_tables() noexcept;

struct linear_tables {
    std::span<const document_field> document, sparse;
};
[[nodiscard]] linear_tables linear_document_tables() noexcept;

/// Headers of the files of classifiers and choice models: `common` to both, and what each has beside.
struct weight_tables {
    std::span<const document_field> common, block, classifier, choice, choice_key;
};
[[nodiscard]] weight_tables weight_document_tables() noexcept;

struct generator_tables {
    std::span<const document_field> document, generator;
};
[[nodiscard]] generator_tables generator_document_tables() noexcept;

}  // namespace opspilot::detail
