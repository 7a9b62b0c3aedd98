#pragma once

#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/arrow_view.hpp"
#include "opspilot/policy/cel/arrow_values.hpp"
#include "opspilot/policy/detail/cel/time.hpp"

namespace opspilot::cel {

namespace detail {

/// What an array's values are here.
enum class arrow_content : std::uint8_t { null, boolean, integer, number, text, bytes, moment, span, list };

inline constexpr int deepest_arrow_list = 8;

inline error unreadable_arrow(std::string_view format) {
    return opspilot::detail::schema_error("schema.arrow_type",
                                          fmt::format("values of Arrow format {} cannot be read", quote(format)), "",
                                          "cast the column, or give the rows as dicts");
}

inline bool read_arrow_content(std::string_view text, arrow_content& what, opspilot::detail::arrow_format& format) noexcept {
    using opspilot::detail::arrow_layout;
    using opspilot::detail::arrow_meaning;
    if (text == "z" || text == "Z" || text == "vz") {
        what = arrow_content::bytes;
        format.layout = text == "z" ? arrow_layout::utf8 : text == "Z" ? arrow_layout::large_utf8 : arrow_layout::string_view;
        return true;
    }
    if (text.size() == 3 && text.starts_with("tD")) {
        what = arrow_content::span;
        format.layout = arrow_layout::int64;
        switch (text[2]) {
            case 's': format.meaning = arrow_meaning::seconds; return true;
            case 'm': format.meaning = arrow_meaning::milliseconds; return true;
            case 'u': format.meaning = arrow_meaning::microseconds; return true;
            case 'n': format.meaning = arrow_meaning::nanoseconds; return true;
            default: return false;
        }
    }
    if (!opspilot::detail::read_arrow_format(text, format)) return false;
    const arrow_layout l = format.layout;
    if (l == arrow_layout::none)
        what = arrow_content::null;
    else if (l == arrow_layout::boolean)
        what = arrow_content::boolean;
    else if (format.meaning != arrow_meaning::plain)
        what = arrow_content::moment;
    else if (opspilot::detail::is_integer(l))
        what = arrow_content::integer;
    else if (opspilot::detail::is_float(l))
        what = arrow_content::number;
    else
        what = opspilot::detail::is_text(l) ? arrow_content::text : arrow_content::list;
    return true;
}

/// Values per second; a day is less than one.
inline std::int64_t arrow_units(opspilot::detail::arrow_meaning m) noexcept {
    switch (m) {
        case opspilot::detail::arrow_meaning::seconds: return 1;
        case opspilot::detail::arrow_meaning::milliseconds: return 1'000;
        case opspilot::detail::arrow_meaning::nanoseconds: return 1'000'000'000;
        default: return 1'000'000;
    }
}

}  // namespace detail

struct arrow_values::impl {
    detail::arrow_content what = detail::arrow_content::null;
    opspilot::detail::arrow_view view, entries;
    bool coded = false, as_unsigned = false;
    std::shared_ptr<const impl> items;

    static result<std::shared_ptr<const impl>> open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from,
                                                    std::int64_t count, bool as_unsigned, int depth);
    status open_entries(const ArrowSchema& schema, const ArrowArray& array);
    [[nodiscard]] result<value> at(std::int64_t i, arena& memory) const;
    [[nodiscard]] result<value> time(std::int64_t given) const;
    [[nodiscard]] static result<value> text(std::string_view s);
};

OPSPILOT_INLINE result<std::shared_ptr<const arrow_values::impl>> arrow_values::impl::open(const ArrowSchema& schema,
                                                                                           const ArrowArray& array,
                                                                                           std::int64_t from, std::int64_t count,
                                                                                           bool as_unsigned, int depth) {
    auto made = std::make_shared<impl>();
    made->as_unsigned = as_unsigned;
    opspilot::detail::arrow_format format;
    const std::string_view text = schema.format == nullptr ? "" : schema.format;
    if (!detail::read_arrow_content(text, made->what, format)) return detail::unreadable_arrow(text);
    OPSPILOT_TRY(made->view, opspilot::detail::open_arrow(format, array, from + count));
    if (opspilot::detail::is_text(format.layout))
        OPSPILOT_CHECK(made->view.check_entries(from, count, std::numeric_limits<std::int64_t>::max()));
    if (schema.dictionary != nullptr) {
        OPSPILOT_CHECK(made->open_entries(schema, array));
    } else if (made->what == detail::arrow_content::list) {
        if (depth == detail::deepest_arrow_list) return detail::unreadable_arrow(text);
        if (schema.n_children != 1 || schema.children == nullptr || schema.children[0] == nullptr || array.children == nullptr ||
            array.children[0] == nullptr)
            return opspilot::detail::malformed_arrow("a list without items");
        const ArrowArray& items = *array.children[0];
        OPSPILOT_CHECK(made->view.check_entries(from, count, items.length));
        std::int64_t begin = 0, end = 0, ignored = 0;
        if (count > 0) {
            made->view.range(from, begin, ignored);
            made->view.range(from + count - 1, ignored, end);
        }
        OPSPILOT_TRY(made->items, open(*schema.children[0], items, begin, end - begin, as_unsigned, depth + 1));
    }
    return std::shared_ptr<const impl>(std::move(made));
}

OPSPILOT_INLINE status arrow_values::impl::open_entries(const ArrowSchema& schema, const ArrowArray& array) {
    detail::arrow_content content = detail::arrow_content::null;
    opspilot::detail::arrow_format format;
    const std::string_view text = schema.dictionary->format == nullptr ? "" : schema.dictionary->format;
    if (what != detail::arrow_content::integer || array.dictionary == nullptr ||
        !detail::read_arrow_content(text, content, format) || content != detail::arrow_content::text)
        return detail::unreadable_arrow(text);
    OPSPILOT_TRY(entries, opspilot::detail::open_arrow(format, *array.dictionary, 0));
    OPSPILOT_CHECK(entries.check_entries(0, entries.length, std::numeric_limits<std::int64_t>::max()));
    coded = true;
    return {};
}

OPSPILOT_INLINE result<value> arrow_values::impl::text(std::string_view s) {
    if (valid_utf8(s)) return make_text(s.empty() ? std::string_view("") : s);
    return opspilot::detail::schema_error("schema.utf8", fmt::format("not valid UTF-8 at byte {}", utf8_error_offset(s)), "",
                                          "decode it with its real encoding first");
}

OPSPILOT_INLINE result<value> arrow_values::impl::time(std::int64_t given) const {
    const auto refused = [] {
        return opspilot::detail::schema_error("schema.out_of_range", "a time outside of what CEL knows", "",
                                              "timestamps are of the years 1 to 9999, durations of 10,000 years at most");
    };
    std::int64_t seconds = 0, nanos = 0;
    if (view.format.meaning == opspilot::detail::arrow_meaning::days) {
        seconds = given * 86'400;  // of 32 bits
    } else {
        const std::int64_t unit = detail::arrow_units(view.format.meaning), rest = (given % unit + unit) % unit;
        nanos = rest * (1'000'000'000 / unit);
        seconds = given / unit - (given % unit < 0 ? 1 : 0);
    }
    if (what == detail::arrow_content::span) {
        const auto v = detail::span_in_range(seconds, nanos);
        return v ? result<value>(*v) : result<value>(refused());
    }
    if (!detail::time_in_range(seconds)) return refused();
    return make_timestamp(seconds, static_cast<std::uint32_t>(nanos));
}

OPSPILOT_INLINE result<value> arrow_values::impl::at(std::int64_t i, arena& memory) const {
    using detail::arrow_content;
    if (!view.valid(i)) return make_null();
    std::int64_t whole = 0;
    switch (what) {
        case arrow_content::null: return make_null();
        case arrow_content::boolean: return make_boolean(opspilot::detail::bit(view.values, view.offset + i));
        case arrow_content::integer: {
            const bool fits = view.integer(i, whole);
            if (!coded) {
                if (!fits || (as_unsigned && whole >= 0)) return make_uinteger(static_cast<std::uint64_t>(whole));
                return make_integer(whole);
            }
            if (!fits || whole < 0 || whole >= entries.length)
                return opspilot::detail::malformed_arrow(fmt::format("index {} into a dictionary of {}", whole, entries.length));
            return entries.valid(whole) ? text(entries.text(whole)) : result<value>(make_null());
        }
        case arrow_content::number: return make_number(view.real(i));
        case arrow_content::text: return text(view.text(i));
        case arrow_content::bytes: return make_bytes(view.text(i).empty() ? std::string_view("") : view.text(i));
        case arrow_content::moment:
        case arrow_content::span: (void)view.integer(i, whole); return time(whole);
        case arrow_content::list: break;
    }
    std::int64_t begin = 0, end = 0;
    view.range(i, begin, end);
    value* const made = memory.array<value>(static_cast<std::size_t>(end - begin));
    if (made == nullptr)
        return error{error_kind::limit, "limit.cel_memory", "the lists need more memory than an evaluation may use", "",
                     "give smaller values"};
    for (std::int64_t k = begin; k < end; ++k) {
        OPSPILOT_TRY(made[k - begin], items->at(k, memory));
    }
    return make_list({made, static_cast<std::size_t>(end - begin)});
}

OPSPILOT_INLINE result<arrow_values> arrow_values::open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from,
                                                        std::int64_t count, bool unsigned_values) {
    arrow_values made;
    OPSPILOT_TRY(made.state, impl::open(schema, array, from, count, unsigned_values, 0));
    return made;
}

OPSPILOT_INLINE result<value> arrow_values::at(std::int64_t i, arena& memory) const { return state->at(i, memory); }

}  // namespace opspilot::cel
