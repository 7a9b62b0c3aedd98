#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/document_tables.hpp"
#include "opspilot/rank/detail/little_endian.hpp"
#include "opspilot/rank/detail/weight_file.hpp"

namespace opspilot::detail {

inline constexpr std::string_view weight_magic = "OPSPW";
inline constexpr char weight_version = 1;
inline constexpr std::size_t weight_preamble = 12;  // magic, version, padding, header length

inline error weight_problem(std::string_view code, std::string message, std::string where) {
    return {error_kind::model, code, std::move(message), std::move(where),
            "the model file is damaged or was not written by this library"};
}

/// Takes `count` floats off the front of `bytes`.
inline result<std::vector<float>> take_floats(std::string_view& bytes, std::size_t whole, std::size_t count,
                                              std::string_view what) {
    const std::size_t at = whole - bytes.size();
    if (count > bytes.size() / sizeof(float))
        return weight_problem("model.truncated", fmt::format("{} needs {} floats, {} bytes are left", what, count, bytes.size()),
                              fmt::format("byte {}", at));
    std::vector<float> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = load_f32(bytes.data() + i * sizeof(float));
        if (!std::isfinite(out[i]))
            return weight_problem("model.not_finite", fmt::format("{} {} is not a finite number", what, i),
                                  fmt::format("byte {}", at + i * sizeof(float)));
    }
    bytes.remove_prefix(count * sizeof(float));
    return out;
}

inline result<std::size_t> count_of(const json& header, std::string_view key) {
    const json& node = header.at(std::string(key));
    if (!node.is_number_unsigned())
        return weight_problem("model.header", fmt::format("{} must be a count", key), pointer("", key));
    return node.get<std::size_t>();
}

inline result<std::vector<sparse_block>> read_blocks(const json& list) {
    std::vector<sparse_block> blocks;
    std::vector<std::string> names;
    std::size_t buckets = 0;
    if (list.size() > most_blocks)
        return error{error_kind::limit, "limit.blocks", fmt::format("{} sparse blocks, at most {}", list.size(), most_blocks),
                     "/blocks", ""};
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string where = pointer("/blocks", i);
        OPSPILOT_CHECK(check_object(list[i], weight_block_fields, where, error_kind::model));
        const json& dimension = list[i].at("dimension");
        if (!dimension.is_number_unsigned() || dimension.get<std::uint64_t>() > most_buckets - buckets)
            return error{error_kind::limit, "limit.buckets", fmt::format("more than {} buckets", most_buckets),
                         where + "/dimension", ""};
        buckets += dimension.get<std::size_t>();
        names.push_back(list[i].at("name").get<std::string>());
        blocks.push_back({names.back(), dimension.get<std::uint32_t>()});
    }
    OPSPILOT_CHECK(check_names(names, "/blocks"));
    return blocks;
}

OPSPILOT_INLINE status check_names(std::span<const std::string> names, std::string_view where) {
    std::vector<std::string_view> sorted(names.begin(), names.end());
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].empty() || !valid_utf8(names[i]))
            return error{error_kind::model, "model.names", names[i].empty() ? "an empty name" : "a name is not valid UTF-8",
                         pointer(where, i), ""};
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end())
        return error{error_kind::model, "model.names", fmt::format("\"{}\" is there twice", quote(*twice)), std::string(where),
                     ""};
    return {};
}

OPSPILOT_INLINE result<std::vector<std::string>> read_names(const json& list, std::string_view where) {
    std::vector<std::string> names;
    names.reserve(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (!list[i].is_string())
            return error{error_kind::model, "model.names", fmt::format("a name must be a string, not {}", kind_name(list[i])),
                         pointer(where, i), ""};
        names.push_back(list[i].get<std::string>());
    }
    OPSPILOT_CHECK(check_names(names, where));
    return names;
}

OPSPILOT_INLINE weight_tables weight_document_tables() noexcept {
    return {weight_common_fields, weight_block_fields, classifier_fields, choice_fields, choice_key_fields};
}

OPSPILOT_INLINE std::string write_weight_file(json header, const weight_file& file) {
    json blocks = json::array();
    for (const sparse_block& b : file.blocks) blocks.push_back({{"name", b.name}, {"dimension", b.dimension}});
    header["blocks"] = std::move(blocks);
    header["columns"] = file.columns;
    header["rows"] = file.table.rows();
    header["entries"] = file.table.entries();
    header["fingerprint"] = file.fingerprint;
    header["training"] = json::parse(file.training, nullptr, false);
    const std::string text = header.dump();
    std::string out(weight_magic);
    out += weight_version;
    out.append(2, '\0');
    store_u32(out, static_cast<std::uint32_t>(text.size()));
    out += text;
    for (const auto* values : {&file.bias, &file.centre, &file.column_weights})
        for (const float v : *values) store_f32(out, v);
    file.table.write(out);
    return out;
}

OPSPILOT_INLINE result<weight_file> read_weight_file(std::string_view bytes, std::string_view kind,
                                                     std::span<const document_field> fields,
                                                     const std::function<result<weight_shape>(const json&)>& shape) {
    const std::size_t whole = bytes.size();
    if (whole < weight_preamble || bytes.substr(0, weight_magic.size()) != weight_magic)
        return weight_problem("model.magic", "not a model file: it does not begin with \"OPSPW\"", "byte 0");
    if (bytes[5] != weight_version || bytes[6] != 0 || bytes[7] != 0)
        return error{error_kind::model, "model.version",
                     fmt::format("model file of version {}, this library reads version 1",
                                 static_cast<int>(static_cast<unsigned char>(bytes[5]))),
                     "byte 5", "load it with the library that wrote it, or train again"};
    const std::size_t header_size = load_u32(bytes.data() + 8);
    bytes.remove_prefix(weight_preamble);
    if (header_size > bytes.size())
        return weight_problem("model.truncated", fmt::format("a header of {} bytes, {} are left", header_size, bytes.size()),
                              "byte 8");
    OPSPILOT_TRY(const json header, parse_json(bytes.substr(0, header_size), error_kind::model));
    bytes.remove_prefix(header_size);

    std::vector<document_field> table(weight_common_fields.begin(), weight_common_fields.end());
    table.insert(table.end(), fields.begin(), fields.end());
    OPSPILOT_CHECK(check_object(header, table, "", error_kind::model));
    if (header.at("kind").get_ref<const std::string&>() != kind)
        return error{error_kind::model, "model.kind",
                     fmt::format("a model of kind \"{}\" where \"{}\" is wanted",
                                 quote(header.at("kind").get_ref<const std::string&>()), kind),
                     "/kind", ""};

    weight_file out;
    OPSPILOT_TRY(out.blocks, read_blocks(header.at("blocks")));
    OPSPILOT_TRY(out.columns, read_names(header.at("columns"), "/columns"));
    OPSPILOT_TRY(const std::size_t rows, count_of(header, "rows"));
    OPSPILOT_TRY(const std::size_t entries, count_of(header, "entries"));
    out.fingerprint = header.at("fingerprint").get<std::string>();
    out.training = header.at("training").dump();
    OPSPILOT_TRY(const weight_shape s, shape(header));
    if (s.outputs > most_outputs)
        return error{error_kind::limit, "limit.outputs", fmt::format("{} outputs, at most {}", s.outputs, most_outputs), "", ""};
    const std::size_t width = s.column_width == 0 ? s.outputs : s.column_width;
    OPSPILOT_TRY(out.bias, take_floats(bytes, whole, s.outputs, "bias"));
    OPSPILOT_TRY(out.centre, take_floats(bytes, whole, out.columns.size(), "centre"));
    OPSPILOT_TRY(out.column_weights, take_floats(bytes, whole, out.columns.size() * width, "column weight"));
    OPSPILOT_TRY(out.table, sparse_weights::read(bytes, whole - bytes.size(), out.blocks, s.outputs, rows, entries));
    if (!bytes.empty())
        return weight_problem("model.trailing", fmt::format("{} bytes after the end of the model", bytes.size()),
                              fmt::format("byte {}", whole - bytes.size()));
    return out;
}

OPSPILOT_INLINE status fill_weight_file(std::size_t outputs, std::size_t column_width, const sparse_weights::float_rows& rows,
                                        std::string_view training, weight_file& out) {
    const auto misshaped = [](std::string_view what, std::size_t is, std::size_t should) {
        return error{error_kind::model, "model.shape", fmt::format("{} has {} values, {} are needed", what, is, should), "", ""};
    };
    if (outputs > most_outputs)
        return error{error_kind::limit, "limit.outputs", fmt::format("{} outputs, at most {}", outputs, most_outputs), "", ""};
    if (out.bias.size() != outputs) return misshaped("bias", out.bias.size(), outputs);
    if (out.centre.size() != out.columns.size()) return misshaped("centre", out.centre.size(), out.columns.size());
    if (out.column_weights.size() != out.columns.size() * column_width)
        return misshaped("column_weights", out.column_weights.size(), out.columns.size() * column_width);
    for (const auto* values : {&out.bias, &out.centre, &out.column_weights})
        for (const float v : *values)
            if (!std::isfinite(v)) return error{error_kind::model, "model.not_finite", "a weight is not a finite number", "", ""};
    OPSPILOT_CHECK(check_names(out.columns, "/columns"));
    std::vector<std::string> names;
    for (const sparse_block& b : out.blocks) names.push_back(b.name);
    OPSPILOT_CHECK(check_names(names, "/blocks"));
    if (!valid_utf8(out.fingerprint))
        return error{error_kind::model, "model.names", "the fingerprint is not valid UTF-8", "/fingerprint", ""};
    OPSPILOT_TRY(const json notes, parse_json(training.empty() ? "{}" : training, error_kind::model));
    if (!notes.is_object())
        return error{error_kind::model, "model.header", fmt::format("training must be an object, not {}", kind_name(notes)),
                     "/training", ""};
    out.training = notes.dump();
    OPSPILOT_TRY(out.table, sparse_weights::quantise(out.blocks, outputs, rows));
    return {};
}

}  // namespace opspilot::detail
