#include "arrow_values.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "opspilot/base/text.hpp"

namespace opspilot::python {

namespace {

using detail::arrow_format;
using detail::arrow_layout;
using detail::arrow_meaning;

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
constexpr int deepest_list = 8;

/// Values per second; a day is less than one.
std::int64_t per_second(arrow_meaning m) noexcept {
    switch (m) {
        case arrow_meaning::seconds: return 1;
        case arrow_meaning::milliseconds: return 1'000;
        case arrow_meaning::nanoseconds: return 1'000'000'000;
        default: return 1'000'000;
    }
}

error unreadable(std::string_view format) {
    return detail::schema_error("schema.arrow_type", fmt::format("values of Arrow format {} cannot be read", quote(format)), "",
                                "cast the column, or give the rows as dicts");
}

}  // namespace

bool arrow_values::read_format(std::string_view text, meaning& what, arrow_format& format) noexcept {
    if (text == "z" || text == "Z" || text == "vz") {
        what = meaning::bytes;
        format.layout = text == "z" ? arrow_layout::utf8 : text == "Z" ? arrow_layout::large_utf8 : arrow_layout::string_view;
        return true;
    }
    if (text.size() == 3 && text.starts_with("tD")) {
        what = meaning::span;
        format.layout = arrow_layout::int64;
        switch (text[2]) {
            case 's': format.meaning = arrow_meaning::seconds; return true;
            case 'm': format.meaning = arrow_meaning::milliseconds; return true;
            case 'u': format.meaning = arrow_meaning::microseconds; return true;
            case 'n': format.meaning = arrow_meaning::nanoseconds; return true;
            default: return false;
        }
    }
    if (!detail::read_arrow_format(text, format)) return false;
    const arrow_layout l = format.layout;
    if (l == arrow_layout::none)
        what = meaning::null;
    else if (l == arrow_layout::boolean)
        what = meaning::boolean;
    else if (format.meaning != arrow_meaning::plain)
        what = meaning::moment;
    else if (detail::is_integer(l))
        what = meaning::integer;
    else if (detail::is_float(l))
        what = meaning::number;
    else
        what = detail::is_text(l) ? meaning::text : meaning::list;
    return true;
}

result<arrow_values> arrow_values::open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from, std::int64_t count,
                                        bool unsigned_values, int depth) {
    arrow_values made;
    made.unsigned_ = unsigned_values;
    arrow_format format;
    const std::string_view text = schema.format == nullptr ? "" : schema.format;
    if (!read_format(text, made.what_, format)) return unreadable(text);
    OPSPILOT_TRY(made.view_, detail::open_arrow(format, array, from + count));
    if (detail::is_text(format.layout)) OPSPILOT_CHECK(made.view_.check_entries(from, count, any));
    if (schema.dictionary != nullptr) {
        arrow_format of_entries;
        meaning entries = meaning::null;
        const std::string_view entry_text = schema.dictionary->format == nullptr ? "" : schema.dictionary->format;
        if (made.what_ != meaning::integer || array.dictionary == nullptr || !read_format(entry_text, entries, of_entries) ||
            entries != meaning::text)
            return unreadable(entry_text);
        OPSPILOT_TRY(made.entries_, detail::open_arrow(of_entries, *array.dictionary, 0));
        OPSPILOT_CHECK(made.entries_.check_entries(0, made.entries_.length, any));
        made.coded_ = true;
    } else if (made.what_ == meaning::list) {
        if (depth == deepest_list) return unreadable(text);
        if (schema.n_children != 1 || array.n_children != 1 || schema.children[0] == nullptr || array.children[0] == nullptr)
            return detail::malformed_arrow("a list without items");
        const ArrowArray& items = *array.children[0];
        OPSPILOT_CHECK(made.view_.check_entries(from, count, items.length));
        std::int64_t begin = 0, end = 0, ignored = 0;
        if (count > 0) {
            made.view_.range(from, begin, ignored);
            made.view_.range(from + count - 1, ignored, end);
        }
        OPSPILOT_TRY(arrow_values inside, open(*schema.children[0], items, begin, end - begin, unsigned_values, depth + 1));
        made.items_ = std::make_unique<arrow_values>(std::move(inside));
    }
    return made;
}

cel::value arrow_values::time(std::int64_t value) const noexcept {
    if (view_.format.meaning == arrow_meaning::days) return cel::make_timestamp(value * 86'400, 0);
    const std::int64_t unit = per_second(view_.format.meaning);
    const std::int64_t rest = (value % unit + unit) % unit;
    const auto nanos = static_cast<std::uint32_t>(rest * (1'000'000'000 / unit));
    const std::int64_t seconds = (value - rest) / unit;
    return what_ == meaning::span ? cel::make_duration(seconds, nanos) : cel::make_timestamp(seconds, nanos);
}

result<cel::value> arrow_values::at(std::int64_t i, cel::arena& memory) const {
    if (!view_.valid(i)) return cel::make_null();
    const auto text_of = [](std::string_view s) -> result<cel::value> {
        if (valid_utf8(s)) return cel::make_text(s.empty() ? std::string_view("") : s);
        return detail::schema_error("schema.utf8", fmt::format("not valid UTF-8 at byte {}", utf8_error_offset(s)), "",
                                    "decode it with its real encoding first");
    };
    std::int64_t whole = 0;
    switch (what_) {
        case meaning::null: return cel::make_null();
        case meaning::boolean: return cel::make_boolean(detail::bit(view_.values, view_.offset + i));
        case meaning::integer: {
            const bool fits = view_.integer(i, whole);
            if (coded_) {
                if (!fits || whole < 0 || whole >= entries_.length)
                    return detail::malformed_arrow(fmt::format("index {} into a dictionary of {}", whole, entries_.length));
                return entries_.valid(whole) ? text_of(entries_.text(whole)) : result<cel::value>(cel::make_null());
            }
            if (!fits || (unsigned_ && whole >= 0)) return cel::make_uinteger(static_cast<std::uint64_t>(whole));
            return cel::make_integer(whole);
        }
        case meaning::number: return cel::make_number(view_.real(i));
        case meaning::text: return text_of(view_.text(i));
        case meaning::bytes: return cel::make_bytes(view_.text(i).empty() ? std::string_view("") : view_.text(i));
        case meaning::moment:
        case meaning::span: {
            (void)view_.integer(i, whole);
            const cel::value v = time(whole);
            const auto [low, high] = what_ == meaning::span
                                         ? std::pair<std::int64_t, std::int64_t>{-315'576'000'000, 315'576'000'000}
                                         : std::pair<std::int64_t, std::int64_t>{-62'135'596'800, 253'402'300'799};
            if (v.integer >= low && v.integer <= high) return v;
            return detail::schema_error("schema.out_of_range", "a time outside of what CEL knows", "",
                                        "timestamps are of the years 1 to 9999, durations of 10,000 years at most");
        }
        case meaning::list: break;
    }
    std::int64_t begin = 0, end = 0;
    view_.range(i, begin, end);
    cel::value* const items = memory.array<cel::value>(static_cast<std::size_t>(end - begin));
    if (items == nullptr) return error{error_kind::limit, "limit.cel_memory", "the lists need too much memory", "", ""};
    for (std::int64_t k = begin; k < end; ++k) {
        OPSPILOT_TRY(items[k - begin], items_->at(k, memory));
    }
    return cel::make_list({items, static_cast<std::size_t>(end - begin)});
}

}  // namespace opspilot::python
