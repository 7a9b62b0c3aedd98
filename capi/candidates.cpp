#include "candidates.hpp"

#include <algorithm>
#include <limits>

namespace opspilot::c_surface {

namespace {

constexpr std::size_t row_limit = std::size_t{1} << 20;

error column_usage(std::string_view code, std::string message, std::string where, std::string hint = {}) {
    return {error_kind::usage, code, std::move(message), std::move(where), std::move(hint)};
}

std::string place(std::string_view name) { return "column '" + std::string(name) + "'"; }

// A struct without a release function counts as released already; these views own nothing.
void keep_schema(ArrowSchema*) {}
void keep_array(ArrowArray*) {}

/// One byte per row to one bit per row.
void pack_bits(const std::uint8_t* bytes, std::size_t rows, std::vector<std::uint8_t>& out) {
    out.assign((rows + 7) / 8, 0);
    for (std::size_t i = 0; i < rows; ++i)
        if (bytes[i] != 0) out[i / 8] = static_cast<std::uint8_t>(out[i / 8] | (1U << (i % 8)));
}

}  // namespace

candidate_columns::candidate_columns() {
    own_schema_.format = "+s";
    own_schema_.name = "";
    own_schema_.release = keep_schema;
    own_array_.release = keep_array;
    own_array_.n_buffers = 1;
    own_array_.buffers = &no_validity_;
}

status candidate_columns::clear(std::size_t rows) {
    if (rows > row_limit)
        return error{error_kind::limit, "limit.rows", std::to_string(rows) + " rows; the limit is " + std::to_string(row_limit),
                     "", "decide in several batches"};
    rows_ = rows;
    used_ = 0;
    schemas_.clear();
    arrays_.clear();
    own_schema_.n_children = own_array_.n_children = 0;
    own_array_.length = static_cast<std::int64_t>(rows);
    schema_ = &own_schema_;
    array_ = &own_array_;
    return {};
}

void candidate_columns::set_arrow(const ArrowSchema* schema, const ArrowArray* array) noexcept {
    schema_ = schema;
    array_ = array;
}

result<candidate_columns::column*> candidate_columns::begin(std::string_view name, const char* format, const void* values,
                                                            const std::uint8_t* given) {
    if (schema_ != &own_schema_) return column_usage("usage.arrow_set", "an Arrow table is set", place(name), "clear it first");
    if (name.empty() || name.find('\0') != std::string_view::npos)
        return column_usage("usage.column_name", "a column name is empty or holds a zero byte", place(name));
    for (std::size_t i = 0; i < used_; ++i)
        if (columns_[i]->name == name)
            return column_usage("usage.column_name", "the column stands already", place(name), "add it once");
    if (values == nullptr && rows_ > 0)
        return column_usage("usage.null_argument", "no values for " + std::to_string(rows_) + " rows", place(name));
    if (used_ == columns_.size()) columns_.push_back(std::make_unique<column>());
    schemas_.reserve(used_ + 1);
    arrays_.reserve(used_ + 1);
    column& c = *columns_[used_];
    c.name = name;
    c.schema = {};
    c.array = {};
    c.buffers = {};
    c.schema.format = format;
    c.schema.name = c.name.c_str();
    c.schema.flags = ARROW_FLAG_NULLABLE;
    c.schema.release = keep_schema;
    c.array.release = keep_array;
    c.array.length = static_cast<std::int64_t>(rows_);
    c.buffers[1] = values;
    if (given != nullptr) {
        pack_bits(given, rows_, c.given);
        c.buffers[0] = c.given.data();
        c.array.null_count = -1;
    }
    return &c;
}

/// Makes the column one of the table's. Nothing can fail from here on: begin() made room.
void candidate_columns::finish(column& c, std::int64_t buffers) {
    c.array.n_buffers = buffers;
    c.array.buffers = c.buffers.data();
    schemas_.push_back(&c.schema);
    arrays_.push_back(&c.array);
    ++used_;
    own_schema_.children = schemas_.data();
    own_array_.children = arrays_.data();
    own_schema_.n_children = own_array_.n_children = static_cast<std::int64_t>(used_);
}

status candidate_columns::add_fixed(std::string_view name, const char* format, const void* values, const std::uint8_t* given) {
    OPSPILOT_TRY(column* const c, begin(name, format, values, given));
    finish(*c, 2);
    return {};
}

status candidate_columns::add_bool(std::string_view name, const std::uint8_t* values, const std::uint8_t* given) {
    OPSPILOT_TRY(column* const c, begin(name, "b", values, given));
    pack_bits(values, rows_, c->bits);
    c->buffers[1] = c->bits.data();
    finish(*c, 2);
    return {};
}

/// The interface carries no length of a text buffer, so what the offsets reach is checked here.
status candidate_columns::check_offsets(const text_values& values, std::size_t texts) {
    if (texts == 0) return {};
    if (values.offsets == nullptr) return column_usage("usage.null_argument", "argument 'offsets' is NULL", "");
    if (values.bytes == nullptr && values.size > 0) return column_usage("usage.null_argument", "argument 'bytes' is NULL", "");
    std::int64_t last = 0;
    for (std::size_t i = 0; i <= texts; ++i) {
        const std::int64_t offset = values.offsets[i];
        if (offset < last || static_cast<std::uint64_t>(offset) > values.size)
            return column_usage("usage.offsets",
                                "offset " + std::to_string(i) + " is " + std::to_string(offset) + " after " +
                                    std::to_string(last) + ", of " + std::to_string(values.size) + " bytes",
                                "");
        last = offset;
    }
    return {};
}

status candidate_columns::add_text(std::string_view name, const text_values& values, const std::uint8_t* given) {
    OPSPILOT_CHECK(check_offsets(values, rows_));
    OPSPILOT_TRY(column* const c, begin(name, "U", values.offsets, given));
    c->buffers[2] = values.bytes == nullptr ? "" : values.bytes;
    finish(*c, 3);
    return {};
}

status candidate_columns::add_codes(std::string_view name, const std::uint32_t* codes, const text_values& values,
                                    std::size_t texts, const std::uint8_t* given) {
    if (texts > row_limit)
        return error{error_kind::limit, "limit.rows", std::to_string(texts) + " texts; the limit is " + std::to_string(row_limit),
                     place(name), "add the column as text"};
    OPSPILOT_CHECK(check_offsets(values, texts));
    OPSPILOT_TRY(column* const c, begin(name, "I", codes, given));
    for (std::size_t i = 0; i < rows_; ++i)
        if ((given == nullptr || given[i] != 0) && codes[i] >= texts)
            return column_usage("usage.codes", "code " + std::to_string(codes[i]) + " of " + std::to_string(texts) + " texts",
                                place(name) + " row " + std::to_string(i));
    c->texts = {nullptr, values.offsets, values.bytes == nullptr ? "" : values.bytes};
    c->dictionary_schema = {};
    c->dictionary_schema.format = "U";
    c->dictionary_schema.name = "";
    c->dictionary_schema.release = keep_schema;
    c->dictionary = {};
    c->dictionary.release = keep_array;
    c->dictionary.length = static_cast<std::int64_t>(texts);
    c->dictionary.n_buffers = 3;
    c->dictionary.buffers = c->texts.data();
    c->schema.dictionary = &c->dictionary_schema;
    c->array.dictionary = &c->dictionary;
    finish(*c, 2);
    return {};
}

}  // namespace opspilot::c_surface
