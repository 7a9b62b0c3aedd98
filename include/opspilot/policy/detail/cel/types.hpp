/// \file
/// Internal: static types of CEL as interned numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/schema.hpp"
#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel::detail {

using type_id = std::uint32_t;

/// Types that need no pool, in the order a pool starts with.
namespace types {
inline constexpr type_id dyn = 0, null = 1, boolean = 2, integer = 3, uinteger = 4, number = 5, text = 6, bytes = 7,
                         timestamp = 8, duration = 9, type = 10, list = 11, map = 12, task = 13, action = 14, candidate = 15;
}

class type_pool {
public:
    type_pool();

    [[nodiscard]] type_id list_of(type_id item) { return intern({shape::list, item, 0}); }
    [[nodiscard]] type_id map_of(type_id key, type_id item) { return intern({shape::map, key, item}); }
    [[nodiscard]] type_id type_of(type_id named) { return intern({shape::type, named, 0}); }

    [[nodiscard]] bool is_list(type_id t) const noexcept { return entries_[t].form == shape::list; }
    [[nodiscard]] bool is_map(type_id t) const noexcept { return entries_[t].form == shape::map; }
    [[nodiscard]] bool is_type(type_id t) const noexcept { return entries_[t].form == shape::type; }
    /// Item of a list, key of a map, the named type of a type.
    [[nodiscard]] type_id first(type_id t) const noexcept { return entries_[t].first; }
    /// Item of a map.
    [[nodiscard]] type_id second(type_id t) const noexcept { return entries_[t].second; }

    /// "list(int)", "map(string, dyn)", …
    [[nodiscard]] std::string text(type_id t) const;
    /// The reverse; nothing for unknown names.
    [[nodiscard]] std::optional<type_id> parse(std::string_view text);

    /// Whether values of the two types can be equal: the same type, both numbers, or one not known.
    [[nodiscard]] bool comparable(type_id a, type_id b) const noexcept;
    /// Whether a value of type `given` fits where `wanted` stands.
    [[nodiscard]] bool fits(type_id given, type_id wanted) const noexcept;
    /// The type of a value that is one or the other; dyn when they differ.
    [[nodiscard]] type_id join(type_id a, type_id b);

private:
    enum class shape : std::uint8_t { plain, list, map, type };
    struct entry {
        shape form = shape::plain;
        type_id first = 0, second = 0;
        bool operator==(const entry&) const = default;
    };
    type_id intern(entry e);
    std::optional<type_id> parse_at(std::string_view text, std::size_t& at, int depth);

    std::vector<entry> entries_;
};

[[nodiscard]] constexpr bool is_number(type_id t) noexcept {
    return t == types::integer || t == types::uinteger || t == types::number;
}

/// The static type of a declared field.
[[nodiscard]] type_id type_of_field(field_type t, type_pool& pool);

/// The static type of values of a kind.
[[nodiscard]] type_id type_of_kind(kind k) noexcept;

/// The kind a type name stands for in an expression ("int", "google.protobuf.Duration"), or nothing.
[[nodiscard]] std::optional<kind> named_kind(std::string_view name) noexcept;

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/cel/types-inl.hpp"
#endif
