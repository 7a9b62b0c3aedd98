/// \file
/// Internal: one Arrow column as checked, typed access. https://arrow.apache.org/docs/format/Columnar.html
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "opspilot/base/text.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/detail/field_checks.hpp"

namespace opspilot::detail {

/// How the values of a column are laid out.
enum class arrow_layout : std::uint8_t {
    none,  // format 'n': every value is null
    boolean,
    int8,
    uint8,
    int16,
    uint16,
    int32,
    uint32,
    int64,
    uint64,
    float16,
    float32,
    float64,
    utf8,
    large_utf8,
    string_view,
    list,
    large_list
};

/// What the values mean beyond their layout.
enum class arrow_meaning : std::uint8_t { plain, seconds, milliseconds, microseconds, nanoseconds, days };

struct arrow_format {
    arrow_layout layout = arrow_layout::none;
    arrow_meaning meaning = arrow_meaning::plain;
};

/// False when the format is none of those that rows can be read from.
inline bool read_arrow_format(std::string_view text, arrow_format& out) noexcept {
    struct entry {
        std::string_view text;
        arrow_format format;
    };
    using layout = arrow_layout;
    static constexpr entry entries[] = {{"n", {layout::none, {}}},
                                        {"b", {layout::boolean, {}}},
                                        {"c", {layout::int8, {}}},
                                        {"C", {layout::uint8, {}}},
                                        {"s", {layout::int16, {}}},
                                        {"S", {layout::uint16, {}}},
                                        {"i", {layout::int32, {}}},
                                        {"I", {layout::uint32, {}}},
                                        {"l", {layout::int64, {}}},
                                        {"L", {layout::uint64, {}}},
                                        {"e", {layout::float16, {}}},
                                        {"f", {layout::float32, {}}},
                                        {"g", {layout::float64, {}}},
                                        {"u", {layout::utf8, {}}},
                                        {"U", {layout::large_utf8, {}}},
                                        {"vu", {layout::string_view, {}}},
                                        {"+l", {layout::list, {}}},
                                        {"+L", {layout::large_list, {}}},
                                        {"tdD", {layout::int32, arrow_meaning::days}},
                                        {"tdm", {layout::int64, arrow_meaning::milliseconds}}};
    for (const entry& known : entries) {
        if (known.text != text) continue;
        out = known.format;
        return true;
    }
    // Timestamps carry a time zone behind the colon; their values are UTC with or without one.
    if (text.size() < 4 || !text.starts_with("ts") || text[3] != ':') return false;
    out.layout = layout::int64;
    switch (text[2]) {
        case 's': out.meaning = arrow_meaning::seconds; return true;
        case 'm': out.meaning = arrow_meaning::milliseconds; return true;
        case 'u': out.meaning = arrow_meaning::microseconds; return true;
        case 'n': out.meaning = arrow_meaning::nanoseconds; return true;
        default: return false;
    }
}

inline bool is_integer(arrow_layout l) noexcept { return l >= arrow_layout::int8 && l <= arrow_layout::uint64; }
inline bool is_float(arrow_layout l) noexcept { return l >= arrow_layout::float16 && l <= arrow_layout::float64; }
inline bool is_text(arrow_layout l) noexcept { return l >= arrow_layout::utf8 && l <= arrow_layout::string_view; }
inline bool is_list(arrow_layout l) noexcept { return l == arrow_layout::list || l == arrow_layout::large_list; }

/// Buffers need not be aligned to their type.
template <class T>
inline T load(const void* buffer, std::int64_t index) noexcept {
    T value;
    std::memcpy(&value, static_cast<const char*>(buffer) + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
    return value;
}
inline bool bit(const void* buffer, std::int64_t index) noexcept {
    return (static_cast<const std::uint8_t*>(buffer)[index >> 3] >> (index & 7) & 1) != 0;
}

/// IEEE 754 half precision; exact.
inline double half_to_double(std::uint16_t half) noexcept {
    const int exponent = half >> 10 & 31;
    const int fraction = half & 1023;
    double value = 0;
    if (exponent == 31)
        value = fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    else
        value = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
    return (half & 0x8000) != 0 ? -value : value;
}

inline error malformed_arrow(std::string_view why, std::string where = {}) {
    return schema_error("schema.arrow_malformed", fmt::format("malformed Arrow data: {}", why), std::move(where),
                        "the producer of the table is at fault");
}

/// Typed access to one array of a known format. Indexes are logical: the array's own offset is added here.
struct arrow_view {
    arrow_format format;
    std::int64_t length = 0;
    std::int64_t offset = 0;
    const void* validity = nullptr;       // null: every value is valid
    const void* values = nullptr;         // fixed-width values, offsets, or views
    const char* bytes = nullptr;          // utf8, large_utf8
    const void* const* blocks = nullptr;  // string_view: the variadic buffers
    const void* block_sizes = nullptr;
    std::int64_t block_count = 0;

    [[nodiscard]] bool valid(std::int64_t i) const noexcept {
        return format.layout != arrow_layout::none && (validity == nullptr || bit(validity, offset + i));
    }

    /// Value of an integer layout; false when it does not fit 64 bits with a sign.
    [[nodiscard]] bool integer(std::int64_t i, std::int64_t& out) const noexcept {
        const std::int64_t at = offset + i;
        switch (format.layout) {
            case arrow_layout::int8: out = load<std::int8_t>(values, at); return true;
            case arrow_layout::uint8: out = load<std::uint8_t>(values, at); return true;
            case arrow_layout::int16: out = load<std::int16_t>(values, at); return true;
            case arrow_layout::uint16: out = load<std::uint16_t>(values, at); return true;
            case arrow_layout::int32: out = load<std::int32_t>(values, at); return true;
            case arrow_layout::uint32: out = load<std::uint32_t>(values, at); return true;
            case arrow_layout::int64: out = load<std::int64_t>(values, at); return true;
            case arrow_layout::uint64: out = static_cast<std::int64_t>(load<std::uint64_t>(values, at)); return out >= 0;
            default: return false;
        }
    }
    [[nodiscard]] double real(std::int64_t i) const noexcept {
        const std::int64_t at = offset + i;
        if (format.layout == arrow_layout::float64) return load<double>(values, at);
        if (format.layout == arrow_layout::float32) return static_cast<double>(load<float>(values, at));
        return half_to_double(load<std::uint16_t>(values, at));
    }
    /// An instant or a date; false when it does not fit 64 bits of microseconds.
    [[nodiscard]] bool microseconds(std::int64_t i, std::int64_t& out) const noexcept {
        std::int64_t value = 0;
        if (!integer(i, value)) return false;
        std::int64_t scale = 1;
        switch (format.meaning) {
            case arrow_meaning::plain:
            case arrow_meaning::microseconds: break;
            case arrow_meaning::seconds: scale = 1'000'000; break;
            case arrow_meaning::milliseconds: scale = 1'000; break;
            case arrow_meaning::days: scale = 86'400'000'000; break;
            case arrow_meaning::nanoseconds:  // down, also before 1970
                out = value / 1'000 - (value % 1'000 < 0 ? 1 : 0);
                return true;
        }
        if (value > std::numeric_limits<std::int64_t>::max() / scale || value < std::numeric_limits<std::int64_t>::min() / scale)
            return false;
        out = value * scale;
        return true;
    }
    /// Begin and end of entry i in what the offsets point to.
    void range(std::int64_t i, std::int64_t& begin, std::int64_t& end) const noexcept {
        const std::int64_t at = offset + i;
        if (format.layout == arrow_layout::utf8 || format.layout == arrow_layout::list) {
            begin = load<std::int32_t>(values, at);
            end = load<std::int32_t>(values, at + 1);
        } else {
            begin = load<std::int64_t>(values, at);
            end = load<std::int64_t>(values, at + 1);
        }
    }
    [[nodiscard]] std::string_view text(std::int64_t i) const noexcept {
        if (format.layout == arrow_layout::string_view) {
            const char* view = static_cast<const char*>(values) + static_cast<std::size_t>(offset + i) * 16;
            const auto size = static_cast<std::size_t>(load<std::int32_t>(view, 0));
            if (size <= 12) return {view + 4, size};
            return {static_cast<const char*>(blocks[load<std::int32_t>(view, 2)]) + load<std::int32_t>(view, 3), size};
        }
        std::int64_t begin = 0;
        std::int64_t end = 0;
        range(i, begin, end);
        return begin == end ? std::string_view{} : std::string_view(bytes + begin, static_cast<std::size_t>(end - begin));
    }

    /// Offsets and views of all entries of [from, from + count): what `range` and `text` then rely on.
    [[nodiscard]] status check_entries(std::int64_t from, std::int64_t count, std::int64_t limit) const {
        if (count == 0) return {};
        if (format.layout == arrow_layout::string_view) return check_views(from, count);
        std::int64_t begin = 0;
        std::int64_t end = 0;
        for (std::int64_t i = from; i < from + count; ++i) {
            range(i, begin, end);
            if (begin < 0 || end < begin) return malformed_arrow(fmt::format("offsets {} and {} do not ascend", begin, end));
        }
        if (end > limit) return malformed_arrow(fmt::format("offset {} lies behind the last of {} values", end, limit));
        if (is_text(format.layout) && end > 0 && bytes == nullptr) return malformed_arrow("a text column has no bytes");
        return {};
    }

private:
    [[nodiscard]] status check_views(std::int64_t from, std::int64_t count) const {
        for (std::int64_t i = from; i < from + count; ++i) {
            if (!valid(i)) continue;  // views of null entries may hold anything
            const char* view = static_cast<const char*>(values) + static_cast<std::size_t>(offset + i) * 16;
            const auto size = load<std::int32_t>(view, 0);
            if (size < 0) return malformed_arrow("a text view has a negative length");
            if (size <= 12) continue;
            const auto block = load<std::int32_t>(view, 2);
            const auto start = load<std::int32_t>(view, 3);
            if (block < 0 || block >= block_count)
                return malformed_arrow(fmt::format("a text view names buffer {} of {}", block, block_count));
            if (start < 0 || std::int64_t{start} + size > load<std::int64_t>(block_sizes, block) || blocks[block] == nullptr)
                return malformed_arrow("a text view reaches behind its buffer");
        }
        return {};
    }
};

/// Checks lengths, counts and presence of the buffers and opens the array. `needed`: entries that will be read.
inline result<arrow_view> open_arrow(const arrow_format& format, const ArrowArray& array, std::int64_t needed) {
    constexpr std::int64_t most = std::int64_t{1} << 48;  // sums and products below stay far from overflow
    if (array.release == nullptr) return malformed_arrow("the array was released");
    if (array.length < 0 || array.length > most || array.offset < 0 || array.offset > most)
        return malformed_arrow(fmt::format("length {} at offset {}", array.length, array.offset));
    if (array.length < needed) return malformed_arrow(fmt::format("length {} where {} values are needed", array.length, needed));
    if (array.null_count < -1 || array.null_count > array.length)
        return malformed_arrow(fmt::format("{} nulls among {} values", array.null_count, array.length));
    const bool list = is_list(format.layout);
    if (array.n_children != (list ? 1 : 0)) return malformed_arrow(fmt::format("{} children", array.n_children));
    arrow_view view;
    view.format = format;
    view.length = array.length;
    view.offset = array.offset;
    if (format.layout == arrow_layout::none) {
        if (array.n_buffers != 0) return malformed_arrow(fmt::format("{} buffers in a column of nulls", array.n_buffers));
        return view;
    }
    const bool text_views = format.layout == arrow_layout::string_view;
    const std::int64_t expected = is_text(format.layout) ? 3 : 2;
    if (text_views ? array.n_buffers < expected || array.n_buffers > std::numeric_limits<std::int32_t>::max()
                   : array.n_buffers != expected)
        return malformed_arrow(fmt::format("{} buffers where {} are needed", array.n_buffers, expected));
    if (array.buffers == nullptr) return malformed_arrow("no buffers");
    if (array.null_count != 0) {
        view.validity = array.buffers[0];
        if (view.validity == nullptr && array.null_count > 0) return malformed_arrow("nulls without a validity bitmap");
    }
    view.values = array.buffers[1];
    if (view.values == nullptr && array.length > 0) return malformed_arrow("a column has no values");
    if (text_views) {
        view.block_count = array.n_buffers - 3;
        view.blocks = array.buffers + 2;
        view.block_sizes = array.buffers[array.n_buffers - 1];
        if (view.block_count > 0 && view.block_sizes == nullptr) return malformed_arrow("text buffers without sizes");
    } else if (is_text(format.layout)) {
        view.bytes = static_cast<const char*>(array.buffers[2]);
    }
    return view;
}

}  // namespace opspilot::detail
