/// \file
/// Tables of constants beside a policy: what `lookup("limits", task.product)` in its conditions gives.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

namespace cel::detail {
struct lookup_set;
}

/// Rows of all tables together.
inline constexpr std::size_t most_table_rows = 1'000'000;

/// Tables by name, read and checked. Immutable; copies share their rows. A document:
///
///     { "version": "3", "key": "string", "value": "double", "default": 100.0,
///       "rows": { "returns": 250.0, "repairs": 80.0 } }
///
/// `key` is string, int or bool, `value` string, int, double, bool or list<string>; `rows` is a list of [key, value], or, with
/// keys that are strings, an object. `default` is what every other key gives; without one such a lookup is an error of the
/// evaluation, unless it names what to give itself: lookup("limits", task.product, 0.0).
class OPSPILOT_API lookup_tables {
public:
    struct document {
        std::string name;  ///< by which lookup() calls it
        std::string_view text;
    };
    /// Errors (kind policy, place "table 'limits' line 3 column 18"): policy.json_… and the structure's; policy.table_name for a
    /// name that is not made of letters, digits and "_-.", policy.duplicate_table, policy.table_row, policy.table_key,
    /// policy.table_value, policy.duplicate_key; kind limit: policy.too_many_rows, policy.table_bytes.
    [[nodiscard]] static result<lookup_tables> read(std::span<const document> documents);

    struct info {
        std::string_view name, version, key, value;
        std::string_view sha256;  ///< hex, of its text
        std::size_t rows = 0;
        bool has_default = false;
    };
    /// In order of names; views live as long as the tables.
    [[nodiscard]] std::vector<info> list() const;

    std::shared_ptr<const cel::detail::lookup_set> state;  ///< null: no tables
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/tables-inl.hpp"
#endif
