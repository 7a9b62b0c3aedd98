/// \file
/// Values of CEL expressions: small, trivially copyable, their texts, lists and maps owned by an arena or by the caller.
/// Semantics: https://github.com/google/cel-spec/blob/master/doc/langdef.md.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/config.hpp"
#include "opspilot/data/dictionary.hpp"

namespace opspilot::cel {

/// What a value is. `unbound` is a variable without a value; it never comes out of an evaluation.
enum class kind : std::uint8_t {
    unbound,
    error,
    null,
    boolean,
    integer,
    uinteger,
    number,
    text,
    bytes,
    list,
    map,
    type,
    timestamp,
    duration,
    optional,
};

/// CEL's name of a kind's type: "int", "null_type", "google.protobuf.Timestamp", …
[[nodiscard]] OPSPILOT_API std::string_view type_name(kind k) noexcept;

/// Why an evaluation failed.
enum class fault : std::uint32_t {
    none,
    unknown_variable,
    unknown_function,
    no_overload,
    no_field,
    no_key,
    missing_field,
    index_out_of_range,
    division_by_zero,
    overflow,
    out_of_range,
    bad_conversion,
    bad_utf8,
    bad_key,
    repeated_key,
    bad_regex,
    cost_limit,
    memory_limit,
    too_deep,
    no_value,
    bad_format,
    named_zone,
    not_in_table,
};

/// One line for people: "division by zero", …
[[nodiscard]] OPSPILOT_API std::string_view text_of(fault f) noexcept;

struct map_entry;

/// One value. Views inside stay valid while their owner (arena, frame, program) does.
struct value {
    kind what = kind::unbound;
    bool coded = false;            ///< list: `codes` holds dictionary codes of texts instead of `items`
    std::uint16_t depth = 0;       ///< list, map, optional made by an evaluation: how deep its values nest
    std::uint32_t code = no_code;  ///< text: its dictionary code where known; error: the fault; type: the kind it names
    union {
        std::int64_t integer = 0;  ///< integer; seconds of a timestamp or duration
        std::uint64_t uinteger;
        double number;
        bool boolean;
        const char* data;    ///< text and bytes; of an error: the field, function or key it is about, may be null
        const value* items;  ///< of an optional: the value inside
        const std::uint32_t* codes;
        const map_entry* entries;  ///< sorted by key, see `sort_entries`
    };
    std::uint64_t size = 0;  ///< bytes of texts, count of items (an optional has 0 or 1); nanoseconds of a timestamp or duration;
                             ///< of an error: the byte of the source it arose at (low half) and the length of `data` (high half)

    [[nodiscard]] bool is(kind k) const noexcept { return what == k; }
    [[nodiscard]] bool failed() const noexcept { return what == kind::error; }
    [[nodiscard]] bool is_true() const noexcept { return what == kind::boolean && boolean; }
    [[nodiscard]] bool is_false() const noexcept { return what == kind::boolean && !boolean; }
    [[nodiscard]] bool is_numeric() const noexcept {
        return what == kind::integer || what == kind::uinteger || what == kind::number;
    }
    /// Text or bytes; only for those.
    [[nodiscard]] std::string_view view() const noexcept { return {data, static_cast<std::size_t>(size)}; }
    [[nodiscard]] fault why() const noexcept { return static_cast<fault>(code); }
    [[nodiscard]] std::size_t error_offset() const noexcept { return static_cast<std::size_t>(size & 0xFFFFFFFFU); }
    [[nodiscard]] std::string_view error_subject() const noexcept {
        return data == nullptr ? std::string_view{} : std::string_view{data, static_cast<std::size_t>(size >> 32)};
    }
};

struct map_entry {
    value key;
    value item;
};

[[nodiscard]] inline value make_null() noexcept {
    value v;
    v.what = kind::null;
    return v;
}
[[nodiscard]] inline value make_boolean(bool b) noexcept {
    value v;
    v.what = kind::boolean;
    v.boolean = b;
    return v;
}
[[nodiscard]] inline value make_integer(std::int64_t i) noexcept {
    value v;
    v.what = kind::integer;
    v.integer = i;
    return v;
}
[[nodiscard]] inline value make_uinteger(std::uint64_t u) noexcept {
    value v;
    v.what = kind::uinteger;
    v.uinteger = u;
    return v;
}
[[nodiscard]] inline value make_number(double d) noexcept {
    value v;
    v.what = kind::number;
    v.number = d;
    return v;
}
/// The view must outlive the value. `code`: the text's code in the dictionary in use, if known.
[[nodiscard]] inline value make_text(std::string_view s, std::uint32_t code = no_code) noexcept {
    value v;
    v.what = kind::text;
    v.code = code;
    v.data = s.data();
    v.size = s.size();
    return v;
}
[[nodiscard]] inline value make_bytes(std::string_view s) noexcept {
    value v = make_text(s);
    v.what = kind::bytes;
    return v;
}
[[nodiscard]] inline value make_type(kind k) noexcept {
    value v;
    v.what = kind::type;
    v.code = static_cast<std::uint32_t>(k);
    return v;
}
/// Seconds since 1970 UTC and nanoseconds 0..999,999,999.
[[nodiscard]] inline value make_timestamp(std::int64_t seconds, std::uint32_t nanos) noexcept {
    value v;
    v.what = kind::timestamp;
    v.integer = seconds;
    v.size = nanos;
    return v;
}
/// Seconds rounded down and nanoseconds 0..999,999,999, so that -1.5 s is (-2, 500,000,000).
[[nodiscard]] inline value make_duration(std::int64_t seconds, std::uint32_t nanos) noexcept {
    value v = make_timestamp(seconds, nanos);
    v.what = kind::duration;
    return v;
}
[[nodiscard]] inline value make_list(std::span<const value> items) noexcept {
    value v;
    v.what = kind::list;
    v.items = items.data();
    v.size = items.size();
    return v;
}
/// A list of texts given by their dictionary codes.
[[nodiscard]] inline value make_coded_list(std::span<const std::uint32_t> codes) noexcept {
    value v;
    v.what = kind::list;
    v.coded = true;
    v.codes = codes.data();
    v.size = codes.size();
    return v;
}
/// An optional with the value inside, which must stay alive, or without one (null).
[[nodiscard]] inline value make_optional(const value* inside) noexcept {
    value v;
    v.what = kind::optional;
    v.items = inside;
    v.size = inside == nullptr ? 0 : 1;
    return v;
}
/// Entries must be sorted by `sort_entries` and stay alive.
[[nodiscard]] inline value make_map(std::span<const map_entry> entries) noexcept {
    value v;
    v.what = kind::map;
    v.entries = entries.data();
    v.size = entries.size();
    return v;
}
[[nodiscard]] inline value make_error(fault f, std::size_t offset = 0, std::string_view subject = {}) noexcept {
    value v;
    v.what = kind::error;
    v.code = static_cast<std::uint32_t>(f);
    v.data = subject.empty() ? nullptr : subject.data();
    v.size = static_cast<std::uint64_t>(offset & 0xFFFFFFFFU) | (static_cast<std::uint64_t>(subject.size() & 0xFFFFFFFFU) << 32);
    return v;
}

/// Sorts the entries of a map by key. False when a key repeats (1, 1u are one key) or is not a bool, int, uint or text.
[[nodiscard]] OPSPILOT_API bool sort_entries(std::span<map_entry> entries) noexcept;

/// The item of a key, or null. Numbers of any kind find each other; keys of kinds no map can have are just not found.
[[nodiscard]] OPSPILOT_API const value* find_key(const value& map, const value& key) noexcept;

/// Item `i` of a list; `strings` is only asked for coded lists.
[[nodiscard]] OPSPILOT_API value item_at(const value& list, std::size_t i, const interner* strings) noexcept;

/// CEL equality of two values that are no errors: numbers by their mathematical value whatever their kinds, NaN equals
/// nothing, other kinds never equal each other, lists in order, maps unordered. Lists that share their items may stand for
/// more than any memory holds: `left` bounds how many values are compared; at 0 the answer is false and means nothing.
[[nodiscard]] OPSPILOT_API bool equal(const value& a, const value& b, const interner* strings, std::uint64_t& left) noexcept;
[[nodiscard]] OPSPILOT_API bool equal(const value& a, const value& b, const interner* strings = nullptr) noexcept;

/// Order of two values: exact across numeric kinds, code points for texts, bytes, false < true, time.
enum class ordering : std::uint8_t { less, equal, greater, unordered, incomparable };
[[nodiscard]] OPSPILOT_API ordering compare(const value& a, const value& b) noexcept;

/// Memory of one evaluation: bump allocation, freed all at once. Keeps its blocks, so a warm arena allocates nothing.
/// Not thread-safe.
class OPSPILOT_API arena {
public:
    explicit arena(std::size_t limit = std::size_t{64} << 20) noexcept : limit_(limit) {}

    /// Null when the limit would be exceeded.
    [[nodiscard]] void* allocate(std::size_t bytes);
    template <class T>
    [[nodiscard]] T* array(std::size_t count) {
        static_assert(alignof(T) <= 16);
        if (count > limit_ / sizeof(T)) return nullptr;
        T* const first = static_cast<T*>(allocate(count * sizeof(T)));
        if (first != nullptr) std::uninitialized_default_construct_n(first, count);
        return first;
    }
    /// A copy of the bytes, or a view with null data when over the limit (an empty text is never null).
    [[nodiscard]] std::string_view copy(std::string_view bytes);

    /// Bytes that may still be asked for.
    [[nodiscard]] std::size_t left() const noexcept { return limit_ - std::min(limit_, total_); }

    struct mark {
        std::size_t block = 0, used = 0, total = 0;
    };
    [[nodiscard]] mark here() const noexcept { return {block_, used_, total_}; }
    void rewind(mark m) noexcept {
        block_ = m.block;
        used_ = m.used;
        total_ = m.total;
    }
    void reset() noexcept { rewind({}); }

private:
    struct block {
        std::unique_ptr<std::byte[]> bytes;
        std::size_t size = 0;
    };
    std::vector<block> blocks_;
    std::size_t block_ = 0, used_ = 0, total_ = 0, limit_;
};

/// CEL-like text of a value, for messages and `repr`: at most about `limit` bytes.
[[nodiscard]] OPSPILOT_API std::string to_text(const value& v, const interner* strings = nullptr, std::size_t limit = 200);

}  // namespace opspilot::cel

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/cel/value-inl.hpp"
#endif
