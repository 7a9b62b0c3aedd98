#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"

namespace opspilot::detail {

/// The error codes of JSON reading, per family: codes have static lifetime, so they are spelled out once here.
struct json_codes {
    std::string_view syntax, duplicate_key, depth, size, utf8, unknown_field, missing_field, wrong_kind, bad_choice;
};

inline const json_codes& codes_of(error_kind kind) noexcept {
#define OPSPILOT_JSON_CODES(family)                                                                                    \
    {family ".json_syntax",   family ".json_duplicate_key", family ".json_depth", family ".json_size", family ".utf8", \
     family ".unknown_field", family ".missing_field",      family ".wrong_kind", family ".bad_choice"}
    static constexpr std::array<json_codes, 10> codes{{OPSPILOT_JSON_CODES("usage"), OPSPILOT_JSON_CODES("schema"),
                                                       OPSPILOT_JSON_CODES("features"), OPSPILOT_JSON_CODES("model"),
                                                       OPSPILOT_JSON_CODES("policy"), OPSPILOT_JSON_CODES("calibration"),
                                                       OPSPILOT_JSON_CODES("bundle"), OPSPILOT_JSON_CODES("audit"),
                                                       OPSPILOT_JSON_CODES("limit"), OPSPILOT_JSON_CODES("internal")}};
#undef OPSPILOT_JSON_CODES
    return codes[static_cast<std::size_t>(kind) - 1];
}

/// Builds the tree while it refuses what the default parser would let pass: repeated keys and deep nesting.
class checked_sax final : public nlohmann::json_sax<json> {
public:
    checked_sax(json& root, error_kind kind, std::size_t depth_limit) : root_(root), kind_(kind), depth_limit_(depth_limit) {}

    bool null() override { return put(nullptr) != nullptr; }
    bool boolean(bool value) override { return put(value) != nullptr; }
    bool number_integer(number_integer_t value) override { return put(value) != nullptr; }
    bool number_unsigned(number_unsigned_t value) override { return put(value) != nullptr; }
    bool number_float(number_float_t value, const string_t&) override { return put(value) != nullptr; }
    bool string(string_t& value) override { return put(std::move(value)) != nullptr; }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(json::object()); }
    bool start_array(std::size_t) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        json& object = *open_.back();
        if (object.contains(name)) {
            fail(codes_of(kind_).duplicate_key, fmt::format("key {} stands twice in one object", quote(name)),
                 "keep one of them");
            return false;
        }
        key_ = std::move(name);
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const json::exception& problem) override {
        std::string_view reason = problem.what();
        if (const auto at = reason.rfind("; "); at != std::string_view::npos) reason.remove_prefix(at + 2);
        if (!problem_) fail(codes_of(kind_).syntax, fmt::format("not JSON: {}", quote(reason, 120)), {});
        problem_->where = fmt::format("byte {}", position > 0 ? position - 1 : 0);
        return false;
    }

    [[nodiscard]] std::optional<error>& problem() noexcept { return problem_; }

private:
    json* put(json value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(value));
            return &parent.back();
        }
        return &(parent[key_] = std::move(value));
    }
    bool open(json container) {
        if (open_.size() >= depth_limit_) {
            fail(codes_of(kind_).depth, fmt::format("nested more than {} levels deep", depth_limit_), "flatten the document");
            return false;
        }
        open_.push_back(put(std::move(container)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }
    void fail(std::string_view code, std::string message, std::string hint) {
        problem_ = error{kind_, code, std::move(message), {}, std::move(hint)};
    }

    json& root_;
    error_kind kind_;
    std::size_t depth_limit_;
    std::vector<json*> open_;  // stays valid: a container is never moved while something inside it is open
    std::string key_;
    std::optional<error> problem_;
};

/// A container of the tree that is being filled, and what simdjson has left for it.
struct open_json {
    json* to;
    simdjson::dom::array::iterator item, last_item;
    simdjson::dom::object::iterator field, last_field;
};

/// Writes a value; a container is opened instead, for the loop in `parse_json_fast` to fill.
inline bool put_json(json& to, simdjson::dom::element from, std::vector<open_json>& open) {
    const auto scalar = [&]<class T>(T value) {
        if (from.get(value) != simdjson::SUCCESS) return false;
        to = value;
        return true;
    };
    switch (from.type()) {
        case simdjson::dom::element_type::NULL_VALUE: return true;
        case simdjson::dom::element_type::BOOL: return scalar(false);
        case simdjson::dom::element_type::UINT64: return scalar(std::uint64_t{0});
        case simdjson::dom::element_type::DOUBLE: return scalar(0.0);
        case simdjson::dom::element_type::STRING: return scalar(std::string_view{});
        case simdjson::dom::element_type::INT64: {
            std::int64_t value = 0;
            if (from.get(value) != simdjson::SUCCESS) return false;
            if (value < 0)
                to = value;
            else
                to = static_cast<std::uint64_t>(value);  // what the other reader makes of a number without a sign
            return true;
        }
        case simdjson::dom::element_type::ARRAY: {
            simdjson::dom::array array;
            if (from.get(array) != simdjson::SUCCESS) return false;
            to = json::array();
            to.get_ref<json::array_t&>().reserve(array.size());
            open.push_back({&to, array.begin(), array.end(), {}, {}});
            return true;
        }
        case simdjson::dom::element_type::OBJECT: {
            simdjson::dom::object object;
            if (from.get(object) != simdjson::SUCCESS) return false;
            to = json::object();
            open.push_back({&to, {}, {}, object.begin(), object.end()});
            return true;
        }
    }
    return false;
}

/// Reads a sound document ten times as fast as `checked_sax`, which has the last word on every other: what is wrong with it and
/// where, and what simdjson cannot hold (integers beyond 64 bits) or takes too easily (halves of surrogate pairs).
inline std::optional<json> parse_json_fast(std::string_view text, std::size_t depth_limit) {
    if (text.find("\\ud") != std::string_view::npos || text.find("\\uD") != std::string_view::npos) return std::nullopt;
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    if (parser.allocate(std::max<std::size_t>(text.size(), 1), depth_limit) != simdjson::SUCCESS) return std::nullopt;
    if (parser.parse(text.data(), text.size()).get(document) != simdjson::SUCCESS) return std::nullopt;
    json root;
    std::vector<open_json> open;
    if (!put_json(root, document, open)) return std::nullopt;
    while (!open.empty()) {
        open_json& last = open.back();
        json& to = *last.to;
        if (to.is_array() ? last.item == last.last_item : last.field == last.last_field) {
            open.pop_back();
            continue;
        }
        json* place = nullptr;
        simdjson::dom::element value;
        if (to.is_array()) {
            value = *last.item;
            ++last.item;
            place = &to.get_ref<json::array_t&>().emplace_back();
        } else {
            value = last.field.value();
            const auto [at, fresh] = to.get_ref<json::object_t&>().emplace(last.field.key(), nullptr);
            if (!fresh) return std::nullopt;
            ++last.field;
            place = &at->second;
        }
        if (!put_json(*place, value, open)) return std::nullopt;
    }
    return root;
}

OPSPILOT_INLINE result<json> parse_json(std::string_view text, error_kind kind, const document_limits& limits) {
    const json_codes& codes = codes_of(kind);
    if (text.size() > limits.bytes)
        return error{kind, codes.size, fmt::format("document of {} bytes; the limit is {}", text.size(), limits.bytes), "", ""};
    if (auto sound = parse_json_fast(text, limits.depth)) return *std::move(sound);
    if (!valid_utf8(text))
        return error{kind, codes.utf8, "not valid UTF-8", fmt::format("byte {}", utf8_error_offset(text)),
                     "save the document as UTF-8"};
    // To the parser a zero byte is the end of its input, and what follows it would be ignored.
    if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
        return error{kind, codes.syntax, "a zero byte, which JSON does not allow", fmt::format("byte {}", zero), ""};
    json root;
    checked_sax sax(root, kind, limits.depth);
    if (!json::sax_parse(text.begin(), text.end(), &sax)) {
        if (sax.problem()) return *std::move(sax.problem());
        return error{kind, codes.syntax, "not JSON", "", ""};
    }
    return root;
}

OPSPILOT_INLINE std::string pointer(std::string_view where, std::string_view key) {
    std::string out(where);
    out += '/';
    for (const char c : key) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

OPSPILOT_INLINE std::string pointer(std::string_view where, std::size_t index) { return fmt::format("{}/{}", where, index); }

OPSPILOT_INLINE std::string_view kind_name(const json& node) noexcept {
    switch (node.type()) {
        case json::value_t::null: return "null";
        case json::value_t::boolean: return "a boolean";
        case json::value_t::number_integer:
        case json::value_t::number_unsigned: return "an integer";
        case json::value_t::number_float: return "a number";
        case json::value_t::string: return "a string";
        case json::value_t::array: return "an array";
        case json::value_t::object: return "an object";
        default: return "nothing";
    }
}

inline bool is_kind(const json& node, json_kind kind) noexcept {
    switch (kind) {
        case json_kind::any: return true;
        case json_kind::boolean: return node.is_boolean();
        case json_kind::integer:
            return node.is_number_integer() && (!node.is_number_unsigned() || node.get<std::uint64_t>() <= INT64_MAX);
        case json_kind::number: return node.is_number();
        case json_kind::text: return node.is_string();
        case json_kind::array: return node.is_array();
        case json_kind::object: return node.is_object();
    }
    return false;
}

inline constexpr std::array<std::string_view, 7> json_kind_names{
    "any value", "a boolean", "an integer (64 bits)", "a number", "a string", "an array", "an object"};

OPSPILOT_INLINE status check_object(const json& node, std::span<const document_field> table, std::string_view where,
                                    error_kind kind) {
    const json_codes& codes = codes_of(kind);
    const std::string place = where.empty() ? "/" : std::string(where);
    if (!node.is_object())
        return error{kind, codes.wrong_kind, fmt::format("expected an object, found {}", kind_name(node)), place, ""};
    std::vector<std::string_view> names;
    for (const document_field& field : table) names.push_back(field.name);
    for (const auto& [key, value] : node.items()) {
        const auto field = std::find_if(table.begin(), table.end(), [&](const auto& f) { return f.name == key; });
        if (field == table.end()) {
            if (key == "$schema") continue;
            std::string hint = did_you_mean(key, names);
            if (hint.empty()) hint = fmt::format("known fields: {}", fmt::join(names, ", "));
            return error{kind, codes.unknown_field, fmt::format("unknown field {}", quote(key)), pointer(where, key), hint};
        }
        if (!is_kind(value, field->kind))
            return error{kind, codes.wrong_kind,
                         fmt::format("'{}' must be {}, found {}", key, json_kind_names[static_cast<std::size_t>(field->kind)],
                                     kind_name(value)),
                         pointer(where, key), std::string(field->doc)};
        if (!field->choices.empty() && value.is_string()) {
            const auto& given = value.get_ref<const std::string&>();
            if (std::find(field->choices.begin(), field->choices.end(), given) == field->choices.end()) {
                std::string hint = did_you_mean(given, field->choices);
                if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(field->choices, ", "));
                return error{kind, codes.bad_choice, fmt::format("'{}' cannot be {}", key, quote(given)), pointer(where, key),
                             hint};
            }
        }
    }
    for (const document_field& field : table)
        if (field.required && !node.contains(std::string(field.name)))
            return error{kind, codes.missing_field, fmt::format("field '{}' is missing", field.name), place,
                         std::string(field.doc)};
    return {};
}

OPSPILOT_INLINE json json_schema(std::span<const document_field> table, std::string_view title) {
    constexpr std::array<const char*, 7> types{nullptr, "boolean", "integer", "number", "string", "array", "object"};
    json properties = json::object();
    json required = json::array();
    for (const document_field& field : table) {
        json property = json::object();
        if (const char* type = types[static_cast<std::size_t>(field.kind)]) property["type"] = type;
        if (!field.doc.empty()) property["description"] = field.doc;
        if (!field.choices.empty()) property["enum"] = std::vector<std::string>(field.choices.begin(), field.choices.end());
        properties[std::string(field.name)] = std::move(property);
        if (field.required) required.push_back(field.name);
    }
    properties["$schema"] = {{"type", "string"}};
    return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
            {"title", title},
            {"type", "object"},
            {"additionalProperties", false},
            {"properties", std::move(properties)},
            {"required", std::move(required)}};
}

OPSPILOT_INLINE std::string text_or(const json& node, std::string_view key, std::string_view otherwise) {
    const auto found = node.find(key);
    return found != node.end() && found->is_string() ? found->get<std::string>() : std::string(otherwise);
}
OPSPILOT_INLINE double number_or(const json& node, std::string_view key, double otherwise) {
    const auto found = node.find(key);
    return found != node.end() && found->is_number() ? found->get<double>() : otherwise;
}
OPSPILOT_INLINE std::int64_t integer_or(const json& node, std::string_view key, std::int64_t otherwise) {
    const auto found = node.find(key);
    return found != node.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}
OPSPILOT_INLINE bool boolean_or(const json& node, std::string_view key, bool otherwise) {
    const auto found = node.find(key);
    return found != node.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

}  // namespace opspilot::detail
