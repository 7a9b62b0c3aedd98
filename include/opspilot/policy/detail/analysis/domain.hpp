/// \file
/// Internal: the values of one field cut into cells, so that every test of a question is alike on a whole cell, or says that
/// it is not.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/policy/detail/analysis/tests.hpp"

namespace opspilot::detail::analysis {

inline constexpr std::size_t most_cells = 256;  ///< of one field, and positions of one unknown

/// A set of states of a field: missing, one value, or many.
struct cell_set {
    enum class kind : std::uint8_t { missing, single, range, texts, lists };
    kind what = kind::missing;
    cel::value low, high;    ///< range: its ends, which belong to it; single: the value, twice
    cel::value sample;       ///< one of the values; not for missing and lists
    std::string_view start;  ///< texts: all that start with this and with no longer prefix of the domain, but for its constants
    [[nodiscard]] bool fixed() const noexcept { return what == kind::missing || what == kind::single; }
};

/// One field's cells, which together are all its states.
struct domain {
    field_id field = 0;
    field_type type = field_type::text;
    std::vector<cell_set> cells;                      ///< values before missing
    std::vector<std::string_view> constants, starts;  ///< of free texts
};

/// Owns texts that values point at.
class text_pool {
public:
    std::string_view keep(std::string_view text) { return texts_.emplace_back(text); }

private:
    std::deque<std::string> texts_;
};

/// What the tests of a question say about one field.
struct field_use {
    field_id field = 0;
    std::vector<const test*> tests;  ///< of one field, this one
};

/// Cuts a field. `shared_constants` and `shared_starts`: of all free texts of the question, where texts are compared with each
/// other. False when there would be too many cells.
[[nodiscard]] bool cut(const field_use& use, const test_library& library, std::span<const std::string> constants,
                       std::span<const std::string> starts, text_pool& texts, domain& out);

/// Order-preserving numbers for the values of an ordered field, and back.
[[nodiscard]] std::uint64_t rank_of(const cel::value& v) noexcept;
[[nodiscard]] cel::value value_at(std::uint64_t rank, field_type type) noexcept;

/// Whether a text lies in a cell of free texts.
[[nodiscard]] bool contains_text(const domain& d, const cell_set& cell, std::string_view text);

}  // namespace opspilot::detail::analysis

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/analysis/domain-inl.hpp"
#endif
