/// \file
/// Internal: an Arrow column with its dictionary or list items, opened and checked.
#pragma once

#include <fmt/format.h>

#include "opspilot/data/detail/arrow_view.hpp"

namespace opspilot::detail {

struct arrow_source {
    arrow_view values;
    arrow_view items;     // of a list
    arrow_view entries;   // of a dictionary, the column's or its list items'
    bool coded = false;   // texts are indexes into entries
    bool cached = false;  // the reader remembers the codes of entries

    /// Opens a column and whatever it refers to, and checks the entries [from, from + count).
    static result<arrow_source> open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from, std::int64_t count) {
        arrow_source made;
        arrow_format format;
        if (!read_arrow_format(schema.format, format)) return unreadable(schema.format);
        OPSPILOT_TRY(made.values, open_arrow(format, array, from + count));
        if (is_text(format.layout))
            OPSPILOT_CHECK(made.values.check_entries(from, count, std::numeric_limits<std::int64_t>::max()));
        if (schema.dictionary != nullptr) {
            OPSPILOT_CHECK(made.open_dictionary(schema, array, made.values));
            OPSPILOT_CHECK(check_indexes(made.values, made.entries, from, count));
        } else if (is_list(format.layout)) {
            OPSPILOT_CHECK(made.open_items(schema, array, from, count));
        }
        return made;
    }

    /// Whether fields of the type are read from such a column.
    [[nodiscard]] bool fits(field_type type) const noexcept {
        const arrow_layout layout = values.format.layout;
        if (layout == arrow_layout::none) return true;
        const bool plain = values.format.meaning == arrow_meaning::plain;
        const bool text = coded ? !is_list(layout) : is_text(layout);
        const bool integer = is_integer(layout) && !coded;
        switch (type) {
            case field_type::boolean: return layout == arrow_layout::boolean;
            case field_type::integer: return integer && plain;
            case field_type::number: return (integer && plain) || is_float(layout);
            case field_type::text: return text;
            case field_type::timestamp: return integer || text;
            case field_type::text_list: return is_list(layout);
        }
        return false;
    }

    /// What the column holds, for messages.
    [[nodiscard]] std::string found_name(const char* text) const {
        using layout = arrow_layout;
        const layout l = values.format.layout;
        std::string_view name = "a number";
        if (is_list(l))
            name = "a list of strings";
        else if (coded || is_text(l))
            name = "a string";
        else if (values.format.meaning != arrow_meaning::plain)
            name = "a timestamp";
        else if (l == layout::boolean)
            name = "a boolean";
        else if (is_integer(l))
            name = "an integer";
        return fmt::format("{} (Arrow format {})", name, quote(text));
    }

private:
    static error unreadable(const char* format) {
        return schema_error("schema.arrow_type", fmt::format("values of Arrow format {} cannot be read", quote(format)), "",
                            "cast the column to a type of the field");
    }

    status open_dictionary(const ArrowSchema& schema, const ArrowArray& array, const arrow_view& indexes) {
        if (!is_integer(indexes.format.layout) || indexes.format.meaning != arrow_meaning::plain)
            return malformed_arrow("dictionary indexes that are not integers");
        const ArrowSchema& text_schema = *schema.dictionary;
        arrow_format format;
        if (array.dictionary == nullptr || text_schema.format == nullptr) return malformed_arrow("a dictionary is missing");
        if (!read_arrow_format(text_schema.format, format) || !is_text(format.layout) || text_schema.dictionary != nullptr)
            return unreadable(text_schema.format);
        OPSPILOT_TRY(entries, open_arrow(format, *array.dictionary, 0));
        OPSPILOT_CHECK(entries.check_entries(0, entries.length, std::numeric_limits<std::int64_t>::max()));
        coded = true;
        return {};
    }

    static status check_indexes(const arrow_view& indexes, const arrow_view& texts, std::int64_t from, std::int64_t number) {
        for (std::int64_t i = from; i < from + number; ++i) {
            std::int64_t index = 0;
            if (!indexes.valid(i)) continue;
            if (!indexes.integer(i, index) || index < 0 || index >= texts.length)
                return malformed_arrow(fmt::format("index {} into a dictionary of {}", index, texts.length));
        }
        return {};
    }

    status open_items(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from, std::int64_t count) {
        if (schema.n_children != 1 || schema.children == nullptr || schema.children[0] == nullptr ||
            schema.children[0]->format == nullptr || array.children == nullptr || array.children[0] == nullptr)
            return malformed_arrow("a list without items");
        const ArrowSchema& item_schema = *schema.children[0];
        const ArrowArray& item_array = *array.children[0];
        arrow_format format;
        const bool by_dictionary = item_schema.dictionary != nullptr;
        if (!read_arrow_format(item_schema.format, format) ||
            !(by_dictionary || is_text(format.layout) || format.layout == arrow_layout::none))
            return unreadable(item_schema.format);
        OPSPILOT_TRY(items, open_arrow(format, item_array, 0));
        OPSPILOT_CHECK(values.check_entries(from, count, items.length));
        std::int64_t begin = 0;
        std::int64_t end = 0;
        std::int64_t ignored = 0;
        if (count > 0) {
            values.range(from, begin, ignored);
            values.range(from + count - 1, ignored, end);
        }
        if (is_text(format.layout))
            OPSPILOT_CHECK(items.check_entries(begin, end - begin, std::numeric_limits<std::int64_t>::max()));
        if (by_dictionary) {
            OPSPILOT_CHECK(open_dictionary(item_schema, item_array, items));
            OPSPILOT_CHECK(check_indexes(items, entries, begin, end - begin));
        }
        return {};
    }
};

}  // namespace opspilot::detail
