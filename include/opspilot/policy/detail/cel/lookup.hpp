/// \file
/// Internal: tables of constants as maps of CEL.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/policy/cel/value.hpp"
#include "opspilot/policy/detail/cel/types.hpp"

namespace opspilot::cel::detail {

/// One table. Its values live in `lookup_set::memory`.
struct lookup_table {
    std::string name, version, sha256;
    kind key = kind::text;           ///< text, integer or boolean
    kind item = kind::text;          ///< text, integer, number, boolean; list: of texts
    value rows = make_map({});       ///< by key
    value otherwise;                 ///< what other keys give; unbound: nothing
    std::int64_t low = 0, high = 0;  ///< of whole numbers: the least and the greatest item, `otherwise` too
    double from = 0, to = 0;         ///< the same of doubles

    [[nodiscard]] type_id key_type() const noexcept { return type_of_kind(key); }
    [[nodiscard]] type_id item_type(type_pool& pool) const {
        return item == kind::list ? pool.list_of(types::text) : type_of_kind(item);
    }
    /// What the table gives for a key of its type; null when it has nothing to give.
    [[nodiscard]] const value* find(const value& wanted) const noexcept {
        const value* const found = find_key(rows, wanted);
        return found != nullptr || otherwise.is(kind::unbound) ? found : &otherwise;
    }
};

/// Tables in order of their names.
struct lookup_set {
    std::vector<lookup_table> tables;
    arena memory{std::size_t{512} << 20};

    [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const noexcept {
        const auto at = std::lower_bound(tables.begin(), tables.end(), name,
                                         [](const lookup_table& t, std::string_view wanted) { return t.name < wanted; });
        if (at == tables.end() || at->name != name) return {};
        return static_cast<std::uint32_t>(at - tables.begin());
    }
};

}  // namespace opspilot::cel::detail
