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
                         timestamp = 8, duration = 9, type = 10, list = 11, map = 12, optional = 13, task = 14, action = 15,
                         candidate = 16;
/// Inside of a list, map or optional that has nothing in it: any type would do.
inline constexpr type_id open = 17, empty_list = 18, empty_map = 19, empty_optional = 20;
}  // namespace types

class type_pool {
public:
    type_pool();

    [[nodiscard]] type_id list_of(type_id item) { return intern({shape::list, item, 0}); }
    [[nodiscard]] type_id map_of(type_id key, type_id item) { return intern({shape::map, key, item}); }
    [[nodiscard]] type_id type_of(type_id named) { return intern({shape::type, named, 0}); }
    [[nodiscard]] type_id optional_of(type_id inside) { return intern({shape::optional, inside, 0}); }

    [[nodiscard]] bool is_list(type_id t) const noexcept { return entries_[t].form == shape::list; }
    [[nodiscard]] bool is_map(type_id t) const noexcept { return entries_[t].form == shape::map; }
    [[nodiscard]] bool is_type(type_id t) const noexcept { return entries_[t].form == shape::type; }
    [[nodiscard]] bool is_optional(type_id t) const noexcept { return entries_[t].form == shape::optional; }
    /// Item of a list, key of a map, the named type of a type, what is in an optional.
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
    /// The type that values of both have: what is open in one is taken from the other, null goes with times and optionals.
    [[nodiscard]] std::optional<type_id> unify(type_id a, type_id b);
    /// The type of a value that is one or the other; dyn when they differ.
    [[nodiscard]] type_id join(type_id a, type_id b);

private:
    enum class shape : std::uint8_t { plain, list, map, type, optional };
    struct entry {
        shape form = shape::plain;
        type_id first = 0, second = 0;
        std::uint32_t depth = 0;  ///< of types in each other, so that no type needs deep recursion
        bool operator==(const entry&) const = default;
    };
    static constexpr std::uint32_t deepest = 128;  ///< what is inside of deeper ones is dyn
    type_id intern(entry e);
    std::optional<type_id> parse_at(std::string_view text, std::size_t& at, int depth);

    std::vector<entry> entries_;
};

/// Nothing is known of it.
[[nodiscard]] constexpr bool unknown(type_id t) noexcept { return t == types::dyn || t == types::open; }

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
