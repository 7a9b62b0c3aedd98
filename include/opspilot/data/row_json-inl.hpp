#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "opspilot/data/detail/table_access.hpp"
#include "opspilot/data/row_json.hpp"

namespace opspilot {

struct json_reader::impl {
    simdjson::dom::parser parser{json_limit};
    simdjson::dom::document document;
    std::vector<char> padded;  // the parser reads in whole registers, past the end of the text

    /// Grows by powers of two, so that texts of varying length soon stop allocating.
    simdjson::error_code reserve(std::size_t bytes) {
        if (padded.size() >= bytes + simdjson::SIMDJSON_PADDING) return simdjson::SUCCESS;
        const std::size_t room = std::min(std::bit_ceil(std::max<std::size_t>(bytes, 1024)), json_limit);
        // Rows are two levels deep and lists of texts three; a few more name the real mistake instead of the depth.
        constexpr std::size_t depth = 16;
        padded.clear();  // stays so when an allocation below fails
        if (const auto problem = parser.allocate(room, depth)) return problem;
        if (const auto problem = document.allocate(room)) return problem;
        padded.resize(room + simdjson::SIMDJSON_PADDING);
        return simdjson::SUCCESS;
    }
};

OPSPILOT_INLINE json_reader::json_reader() : impl_(std::make_unique<impl>()) {}
OPSPILOT_INLINE json_reader::~json_reader() = default;
OPSPILOT_INLINE json_reader::json_reader(json_reader&&) noexcept = default;
OPSPILOT_INLINE json_reader& json_reader::operator=(json_reader&&) noexcept = default;

namespace detail {

/// Finds the byte at which a text stops being JSON; only run on texts that were refused.
struct json_error_finder final : nlohmann::json_sax<nlohmann::json> {
    std::size_t position = 0;
    std::string reason;
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override { return true; }
    bool start_array(std::size_t) override { return true; }
    bool end_object() override { return true; }
    bool end_array() override { return true; }
    bool key(string_t&) override { return true; }
    bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception& problem) override {
        position = at > 0 ? at - 1 : 0;
        reason = problem.what();
        if (const auto last = reason.rfind("; "); last != std::string::npos) reason.erase(0, last + 2);
        return false;
    }
};

inline error json_refusal(std::string_view text, simdjson::error_code code) {
    if (code == simdjson::CAPACITY || code == simdjson::MEMALLOC)
        return {error_kind::limit, "limit.json_size", fmt::format("JSON of {} bytes; the limit is {}", text.size(), json_limit),
                "", "send the rows in several pieces"};
    if (code == simdjson::DEPTH_ERROR)
        return schema_error("schema.json_depth", "rows are nested deeper than any field's type", "", "flatten the rows");
    if (const std::size_t bad = utf8_error_offset(text); bad < text.size())
        return schema_error("schema.utf8", "not valid UTF-8", fmt::format("byte {}", bad), "encode the text as UTF-8");
    json_error_finder finder;
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &finder))
        return schema_error("schema.json_syntax", fmt::format("not JSON: {}", quote(finder.reason, 120)),
                            fmt::format("byte {}", finder.position));
    return schema_error("schema.json_syntax", fmt::format("not JSON: {}", simdjson::error_message(code)), "");
}

inline std::string_view found_name(simdjson::dom::element_type type) noexcept {
    switch (type) {
        case simdjson::dom::element_type::ARRAY: return "an array";
        case simdjson::dom::element_type::OBJECT: return "an object";
        case simdjson::dom::element_type::INT64:
        case simdjson::dom::element_type::UINT64: return "an integer";
        case simdjson::dom::element_type::DOUBLE: return "a number";
        case simdjson::dom::element_type::STRING: return "a string";
        case simdjson::dom::element_type::BOOL: return "a boolean";
        case simdjson::dom::element_type::NULL_VALUE: return "null";
    }
    return "nothing";
}

}  // namespace detail

/// Fills one or two tables row by row from a parsed text.
struct row_json {
    using element = simdjson::dom::element;
    using kind = simdjson::dom::element_type;

    std::array<table*, 2> tables{};
    std::size_t count = 0;
    std::vector<std::uint32_t>* task_index = nullptr;
    interner& strings;
    std::int64_t now_us;
    bool escaped = false;  // the text holds \u escapes, which can spell what is not Unicode

    status read(std::string_view text, json_reader& reader, std::size_t row_limit) {
        clear();
        status done = read_rows(text, reader, row_limit);
        if (!done) clear();
        return done;
    }

private:
    void clear() noexcept {
        for (std::size_t t = 0; t < count; ++t) tables[t]->clear();
        if (task_index) task_index->clear();
    }

    status read_rows(std::string_view text, json_reader& reader, std::size_t row_limit) {
        json_reader::impl& scratch = *reader.impl_;
        if (text.size() > json_limit) return detail::json_refusal(text, simdjson::CAPACITY);
        if (const auto problem = scratch.reserve(text.size())) return detail::json_refusal(text, problem);
        if (!text.empty()) std::memcpy(scratch.padded.data(), text.data(), text.size());
        std::memset(scratch.padded.data() + text.size(), 0, simdjson::SIMDJSON_PADDING);
        element root;
        if (const auto problem =
                scratch.parser.parse_into_document(scratch.document, scratch.padded.data(), text.size(), false).get(root))
            return detail::json_refusal(text, problem);
        escaped = text.find("\\u") != std::string_view::npos;
        if (root.is_object()) return read_row(root, true);
        simdjson::dom::array rows;
        if (root.get(rows))
            return detail::schema_error(
                "schema.wrong_kind",
                fmt::format("expected an object or an array of objects, found {}", detail::found_name(root.type())), "/");
        std::size_t row = 0;
        for (const element node : rows) {
            if (row++ >= row_limit)
                return error{error_kind::limit, "limit.rows", fmt::format("more than {} rows", row_limit), "",
                             "send the rows in several pieces"};
            OPSPILOT_CHECK(read_row(node, false));
        }
        return {};
    }

    status read_row(const element& node, bool lone) {
        status done = read_fields(node);
        if (!done && lone) {  // a lone object has no row in its pointers
            std::string& where = done.error().where;
            if (where.starts_with("/0")) where.erase(0, 2);
            if (where.empty()) where = "/";
        }
        return done;
    }

    status read_fields(const element& node) {
        simdjson::dom::object fields;
        if (node.get(fields))
            return detail::schema_error("schema.wrong_kind",
                                        fmt::format("expected an object, found {}", detail::found_name(node.type())),
                                        fmt::format("/{}", tables[0]->rows()));
        std::array<std::uint32_t, 2> next{};  // most texts keep the declared order, and then no name is searched for
        bool indexed = false;
        for (std::size_t t = 0; t < count; ++t) tables[t]->begin_row();
        for (const auto [key, value] : fields) {
            bool known = false;
            for (std::size_t t = 0; t < count; ++t) {
                const std::span<const field> declared = tables[t]->schema_of().fields(tables[t]->role_of());
                std::uint32_t& index = next[t];
                if (index >= declared.size() || declared[index].name != key) {
                    const auto found = tables[t]->schema_of().find(tables[t]->role_of(), key);
                    if (!found) continue;
                    index = *found;
                }
                known = true;
                OPSPILOT_CHECK(read_value(*tables[t], index, value));
                ++index;
            }
            if (known) continue;
            if (!task_index || key != "task_index") return unknown(key);
            std::uint64_t number = 0;
            if (indexed || value.get(number) || number > std::numeric_limits<std::uint32_t>::max())
                return detail::schema_error(indexed ? "schema.duplicate_field" : "schema.wrong_type",
                                            indexed ? "field 'task_index' is given twice"
                                                    : "field 'task_index' must be a row of the tasks, counted from 0",
                                            place("task_index"));
            indexed = true;
            task_index->push_back(static_cast<std::uint32_t>(number));
        }
        if (task_index && !indexed)
            return detail::schema_error("schema.missing_field", "field 'task_index' is missing", place("task_index"),
                                        "say which row of the tasks the candidate belongs to");
        for (std::size_t t = 0; t < count; ++t) OPSPILOT_CHECK(tables[t]->end_row(strings, now_us));
        return {};
    }

    status read_value(table& t, std::uint32_t field, const element& value) {
        switch (value.type()) {
            case kind::NULL_VALUE: return t.set_missing(field);
            case kind::BOOL: return t.set_boolean(field, value.get_bool().value_unsafe());
            case kind::INT64: return t.set_integer(field, value.get_int64().value_unsafe());
            case kind::UINT64: return read_unsigned(t, field, value.get_uint64().value_unsafe());
            case kind::DOUBLE: return t.set_number(field, value.get_double().value_unsafe());
            case kind::STRING: return read_text(t, field, value.get_string().value_unsafe());
            case kind::ARRAY: return read_list(t, field, value.get_array().value_unsafe());
            case kind::OBJECT: break;
        }
        OPSPILOT_CHECK(table_access::claim(t, field, given::value));
        return table_access::retyped(t, field, "an object");
    }

    /// Whole numbers from 2^63 up: only a double can take them, and only those it can hold.
    status read_unsigned(table& t, std::uint32_t field, std::uint64_t value) {
        const field_type type = table_access::declared(t, field).type;
        const auto number = static_cast<double>(value);
        const bool exact = number < 18446744073709551616.0 && static_cast<std::uint64_t>(number) == value;
        if (type == field_type::number && exact) return t.set_number(field, number);
        OPSPILOT_CHECK(table_access::claim(t, field, given::value));
        const std::string text = table_access::shown(t, field, fmt::to_string(value));
        if (type == field_type::number)
            return table_access::fail(t, field, "schema.inexact", fmt::format("is double, which cannot hold {} exactly", text));
        if (type == field_type::integer || type == field_type::timestamp)
            return table_access::fail(t, field, "schema.out_of_range",
                                      fmt::format("must fit 64 bits with a sign, found {}", text));
        return table_access::retyped(t, field, "an integer");
    }

    /// The parser has checked the text's bytes; only \u escapes can still spell a lone surrogate.
    status read_text(table& t, std::uint32_t field, std::string_view text) {
        if (escaped || table_access::declared(t, field).type != field_type::text) return t.set_text(field, text, strings);
        OPSPILOT_CHECK(table_access::claim(t, field, given::value));
        OPSPILOT_CHECK(table_access::check_text(t, field, text));
        table_access::store_code(table_access::at(t, field), strings.code(text));
        return {};
    }

    status read_list(table& t, std::uint32_t field, simdjson::dom::array items) {
        OPSPILOT_CHECK(table_access::claim(t, field, given::value));
        if (table_access::declared(t, field).type != field_type::text_list) return table_access::retyped(t, field, "an array");
        column& c = table_access::at(t, field);
        std::size_t at = 0;
        for (const element item : items) {
            std::string_view text;
            status done;
            if (item.get(text)) {
                done = table_access::retyped(t, field, fmt::format("{} in it", detail::found_name(item.type())));
            } else {
                done = table_access::check_text(t, field, text);
                if (done && escaped) done = table_access::check_utf8(t, field, text);
            }
            if (!done) {
                done.error().where += fmt::format("/{}", at);
                return done;
            }
            table_access::push_item(c, strings.code(text));
            ++at;
        }
        c.valued.back() = 1;
        return {};
    }

    [[nodiscard]] std::string place(std::string_view key) const {
        return fmt::format("/{}/{}", tables[0]->rows(), quote(key).substr(1, quote(key).size() - 2));
    }

    [[nodiscard]] error unknown(std::string_view key) const {
        return detail::unknown_field(std::span<const table* const>(tables.data(), count), key, place(key));
    }
};

OPSPILOT_INLINE status table::read_json(std::string_view json, interner& strings, std::int64_t now_us, json_reader& reader,
                                        std::size_t row_limit) {
    row_json rows{.tables = {this, nullptr}, .count = 1, .strings = strings, .now_us = now_us};
    return rows.read(json, reader, row_limit);
}

OPSPILOT_INLINE status table::read_json(std::string_view json, interner& strings, std::int64_t now_us, std::size_t row_limit) {
    json_reader reader;
    return read_json(json, strings, now_us, reader, row_limit);
}

OPSPILOT_INLINE status read_candidates_json(std::string_view json, const candidate_tables& out, interner& strings,
                                            std::int64_t now_us, json_reader& reader, std::size_t row_limit) {
    row_json rows{.tables = {out.actions, out.pairs},
                  .count = out.pairs ? std::size_t{2} : std::size_t{1},
                  .task_index = out.task_index,
                  .strings = strings,
                  .now_us = now_us};
    return rows.read(json, reader, row_limit);
}

OPSPILOT_INLINE void append_json_text(std::string& out, std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    out += '"';
    std::size_t from = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        out.append(text, from, at - from);
        from = at + 1;
        out += '\\';
        switch (byte) {
            case '"':
            case '\\': out += text[at]; break;
            case '\n': out += 'n'; break;
            case '\r': out += 'r'; break;
            case '\t': out += 't'; break;
            default:
                out += "u00";
                out += digits[byte >> 4];
                out += digits[byte & 15];
        }
    }
    out.append(text, from);
    out += '"';
}

OPSPILOT_INLINE void append_json_integer(std::string& out, std::int64_t value) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out.append(digits.data(), end);
}

OPSPILOT_INLINE void append_json_number(std::string& out, double value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    if (value == 0 && std::signbit(value)) {  // "-0" would read back as the integer 0
        out += "-0.0";
        return;
    }
    std::array<char, 32> digits;
    // Shortest digits written out in full can spell an integer that is not the double; an exponent keeps them a double.
    const auto end = std::abs(value) < 9007199254740992.0
                         ? std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr
                         : std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::scientific).ptr;
    out.append(digits.data(), end);
}

OPSPILOT_INLINE void write_row_json(const table& rows, std::size_t row, const interner& strings, std::string& out,
                                    pii_class widest, std::span<const std::uint32_t> left_out) {
    const std::span<const field> fields = rows.schema_of().fields(rows.role_of());
    const auto dated = [&](std::uint32_t i) {
        const std::uint32_t date = rows.schema_of().dated_by(rows.role_of(), i);
        return date != no_field && rows.get(date, row).has_value();
    };
    out += '{';
    bool first = true;
    for (std::uint32_t i = 0; i < fields.size(); ++i) {
        if (fields[i].pii > widest || std::find(left_out.begin(), left_out.end(), i) != left_out.end()) continue;
        const cell value = rows.get(i, row);
        if (!value.has_value() || value.state == cell_state::defaulted) continue;
        if (value.state == cell_state::stale && dated(i)) continue;
        if (!first) out += ',';
        first = false;
        out += '"';  // field names are identifiers and need no escapes
        out += fields[i].name;
        out += "\":";
        switch (value.type) {
            case field_type::boolean: out += value.integer != 0 ? "true" : "false"; break;
            case field_type::integer:
            case field_type::timestamp: append_json_integer(out, value.integer); break;
            case field_type::number: append_json_number(out, value.number); break;
            case field_type::text: append_json_text(out, strings.text(value.code)); break;
            case field_type::text_list:
                out += '[';
                for (std::size_t k = 0; k < value.codes.size(); ++k) {
                    if (k > 0) out += ',';
                    append_json_text(out, strings.text(value.codes[k]));
                }
                out += ']';
                break;
        }
    }
    out += '}';
}

}  // namespace opspilot
