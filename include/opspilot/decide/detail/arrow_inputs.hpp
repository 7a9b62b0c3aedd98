/// \file
/// Internal: a table of candidates in Arrow form, taken apart into action fields, candidate fields and the task each row is for.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot::detail {

inline constexpr const char* task_index_column = "task_index";

/// A struct array with some of the children of another; borrows everything.
struct arrow_columns {
    std::vector<ArrowSchema*> schemas;
    std::vector<ArrowArray*> arrays;
    ArrowSchema schema{};
    ArrowArray array{};

    arrow_columns(const ArrowSchema& from_schema, const ArrowArray& from) : schema(from_schema), array(from) {}
    void seal() {
        schema.children = schemas.data();
        array.children = arrays.data();
        schema.n_children = array.n_children = static_cast<std::int64_t>(schemas.size());
    }
};

inline error arrow_error(std::string_view code, std::string message, std::string where, std::string hint = {}) {
    return error{error_kind::schema, code, std::move(message), std::move(where), std::move(hint)};
}

inline status check_arrow_struct(const ArrowSchema& schema, const ArrowArray& array) {
    if (schema.format == nullptr || std::strcmp(schema.format, "+s") != 0)
        return arrow_error("schema.arrow_layout", "a table must be a struct array", "", "pass a record batch or a table");
    if (schema.n_children < 0 || schema.n_children != array.n_children || (schema.n_children > 0 && (schema.children == nullptr || array.children == nullptr)))
        return arrow_error("schema.arrow_layout", fmt::format("{} columns declared, {} given", schema.n_children, array.n_children), "");
    for (std::int64_t i = 0; i < schema.n_children; ++i)
        if (schema.children[i] == nullptr || array.children[i] == nullptr || schema.children[i]->name == nullptr)
            return arrow_error("schema.arrow_layout", fmt::format("column {} has no data or no name", i), "");
    return {};
}

/// Appends candidate rows: columns of `actions`' schema go there, columns of `pairs`' schema there; `task_index` is skipped.
inline status append_arrow_candidates(const ArrowSchema& schema, const ArrowArray& array, table& actions, table* pairs, interner& strings,
                                      std::int64_t now_us) {
    OPSPILOT_CHECK(check_arrow_struct(schema, array));
    arrow_columns of_actions(schema, array);
    arrow_columns of_pairs(schema, array);
    for (std::int64_t i = 0; i < schema.n_children; ++i) {
        const std::string_view name = schema.children[i]->name;
        if (name == task_index_column) continue;
        const bool action = actions.schema_of().find(role::action, name).has_value();
        const bool pair = pairs != nullptr && pairs->schema_of().find(role::candidate, name).has_value();
        arrow_columns& side = pair ? of_pairs : of_actions;
        if (!action && !pair) {
            std::vector<std::string_view> known;
            for (const field& f : actions.schema_of().fields(role::action)) known.push_back(f.name);
            if (pairs != nullptr)
                for (const field& f : pairs->schema_of().fields(role::candidate)) known.push_back(f.name);
            return arrow_error("schema.unknown_field", fmt::format("unknown field {} on candidate", quote(name)),
                               fmt::format("column {}", quote(name)), did_you_mean(name, known));
        }
        side.schemas.push_back(schema.children[i]);
        side.arrays.push_back(array.children[i]);
    }
    of_actions.seal();
    of_pairs.seal();
    OPSPILOT_CHECK(append_arrow(actions, of_actions.schema, of_actions.array, strings, now_us));
    if (pairs != nullptr) OPSPILOT_CHECK(append_arrow(*pairs, of_pairs.schema, of_pairs.array, strings, now_us));
    return {};
}

/// Appends the task of every candidate row, from the integer column `task_index` without nulls.
inline status append_task_index(const ArrowSchema& schema, const ArrowArray& array, std::vector<std::uint32_t>& out) {
    const ArrowArray* column = nullptr;
    char format = 0;
    for (std::int64_t i = 0; i < schema.n_children; ++i)
        if (std::strcmp(schema.children[i]->name, task_index_column) == 0) {
            column = array.children[i];
            if (schema.children[i]->format != nullptr && std::strlen(schema.children[i]->format) == 1) format = schema.children[i]->format[0];
        }
    const std::string where = " column 'task_index'";
    if (column == nullptr)
        return arrow_error("schema.missing_field", "candidates of a batch need an integer column 'task_index'", where,
                           "it says which task a row is for");
    const std::size_t width = format == 'i' || format == 'I' ? 4 : format == 'l' || format == 'L' ? 8 : 0;
    if (width == 0) return arrow_error("schema.wrong_type", "'task_index' must be int32, uint32, int64 or uint64", where);
    // The children of a sliced struct keep their own length; the struct's offset applies on top of theirs.
    if (column->n_buffers != 2 || column->buffers == nullptr || column->offset < 0 || array.offset < 0 || array.length < 0 ||
        column->length < array.offset + array.length || (array.length > 0 && column->buffers[1] == nullptr))
        return arrow_error("schema.arrow_layout", "'task_index' is not a primitive array of the table's length", where);
    if (column->null_count > 0) return arrow_error("schema.missing_field", "'task_index' has nulls", where);
    const auto first = static_cast<std::size_t>(column->offset + array.offset);
    const auto* bytes = static_cast<const char*>(column->buffers[1]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(array.length); ++i) {
        std::uint64_t task = 0;
        if (width == 4) {
            std::uint32_t narrow = 0;
            std::memcpy(&narrow, bytes + (first + i) * 4, 4);
            task = narrow;  // a negative one becomes too large, which the caller refuses
        } else {
            std::memcpy(&task, bytes + (first + i) * 8, 8);
        }
        out.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(task, UINT32_MAX)));
    }
    return {};
}

}  // namespace opspilot::detail
