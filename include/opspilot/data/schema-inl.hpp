#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/data/detail/time.hpp"
#include "opspilot/data/schema.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 6> field_type_names{"bool", "int", "double", "string", "timestamp", "list<string>"};
inline constexpr std::array<std::string_view, 3> role_names{"task", "action", "candidate"};
inline constexpr std::array<std::string_view, 4> pii_names{"none", "pseudonymous", "personal", "sensitive"};
inline constexpr std::array<std::string_view, 2> field_uses{"decide", "audit"};
inline constexpr std::size_t fields_per_role = 4096;

inline constexpr std::array<document_field, 3> schema_document{
    {{"task", json_kind::array, false, "fields of a task, in order"},
     {"action", json_kind::array, false, "fields of an action, in order"},
     {"candidate", json_kind::array, false, "fields of the pair of a task and an action, in order"}}};

inline constexpr std::array<document_field, 13> schema_field{
    {{"name", json_kind::text, true, "identifier: letters, digits, underscore; at most 64 bytes"},
     {"type", json_kind::text, true, "type of the value", field_type_names},
     {"optional", json_kind::boolean, false, "may be missing; default false"},
     {"pii", json_kind::text, false, "how personal the value is; default none", pii_names},
     {"unit", json_kind::text, false, "unit shown beside values, such as USD or ms"},
     {"max_age", json_kind::text, false, "values older than this at decision time are stale, such as 24h; needs as_of"},
     {"as_of", json_kind::text, false, "name of the timestamp field of the same record that dates the value"},
     {"default", json_kind::any, false, "takes the place of a missing or stale value; of the field's type"},
     {"values", json_kind::array, false, "allowed texts, for string and list<string>"},
     {"min", json_kind::number, false, "smallest allowed number, inclusive, for int and double"},
     {"max", json_kind::number, false, "largest allowed number, inclusive, for int and double"},
     {"use", json_kind::text, false,
      "audit: for judging decisions by group afterwards; features, stages and policies that read it are refused; default decide",
      field_uses},
     {"description", json_kind::text, false, "one line for people"}}};

inline bool is_field_name(std::string_view text) noexcept {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !text.empty() && text.size() <= 64 && letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

template <class Names>
inline std::vector<std::string_view> field_names(const Names& fields) {
    std::vector<std::string_view> names;
    for (const field& f : fields) names.push_back(f.name);
    return names;
}

/// The declared default as a value of the field's type.
inline result<field_value> read_default(const field& f, const json& node, const std::string& where) {
    const auto refuse = [&](std::string_view why) {
        return schema_error("schema.bad_default", fmt::format("default of '{}' {}", f.name, why), where);
    };
    const auto retyped = [&] {
        return refuse(fmt::format("must be {}, found {}", field_type_names[static_cast<std::size_t>(f.type)], kind_name(node)));
    };
    const bool whole = node.is_number_integer() && (!node.is_number_unsigned() || node.get<std::uint64_t>() <= INT64_MAX);
    const auto allowed = [&](const std::string& text) {
        return f.values.empty() || std::find(f.values.begin(), f.values.end(), text) != f.values.end();
    };
    switch (f.type) {
        case field_type::boolean:
            if (!node.is_boolean()) return retyped();
            return field_value{node.get<bool>()};
        case field_type::integer:
            if (!whole) return retyped();
            if (!within_bounds(f, node.get<std::int64_t>())) return refuse("must be " + bounds_text(f));
            return field_value{node.get<std::int64_t>()};
        case field_type::number:
            if (!node.is_number()) return retyped();
            if (!within_bounds(f, node.get<double>())) return refuse("must be " + bounds_text(f));
            return field_value{node.get<double>()};
        case field_type::timestamp: {
            if (whole) return field_value{node.get<std::int64_t>()};
            if (!node.is_string()) return retyped();
            OPSPILOT_TRY(const std::int64_t microseconds, parse_timestamp(node.get_ref<const std::string&>(), where));
            return field_value{microseconds};
        }
        case field_type::text: {
            if (!node.is_string()) return retyped();
            auto text = node.get<std::string>();
            if (!allowed(text)) return refuse("is not among its values");
            return field_value{std::move(text)};
        }
        case field_type::text_list: {
            if (!node.is_array()) return retyped();
            std::vector<std::string> texts;
            for (const json& item : node) {
                if (!item.is_string()) return retyped();
                texts.push_back(item.get<std::string>());
                if (!allowed(texts.back())) return refuse("holds a text that is not among its values");
            }
            return field_value{std::move(texts)};
        }
    }
    return retyped();
}

/// One entry of the document, without what refers to other fields.
inline result<field> read_field(const json& node, const std::string& where) {
    OPSPILOT_CHECK(check_object(node, schema_field, where, error_kind::schema));
    const auto choice = [&](const auto& names, std::string_view key, std::string_view otherwise) {
        const std::string text = text_or(node, key, otherwise);
        return static_cast<std::size_t>(std::find(names.begin(), names.end(), text) - names.begin());
    };
    field f;
    f.name = node["name"].get<std::string>();
    if (!is_field_name(f.name))
        return schema_error("schema.bad_name", fmt::format("{} cannot name a field", quote(f.name)), pointer(where, "name"),
                            std::string(schema_field[0].doc));
    f.type = static_cast<field_type>(choice(field_type_names, "type", ""));
    f.optional = boolean_or(node, "optional", false);
    f.pii = static_cast<pii_class>(choice(pii_names, "pii", "none"));
    f.unit = text_or(node, "unit", "");
    f.audit_only = text_or(node, "use", "decide") == "audit";
    f.as_of = text_or(node, "as_of", "");
    f.description = text_or(node, "description", "");
    const bool numeric = f.type == field_type::integer || f.type == field_type::number;
    const std::array<std::pair<const char*, std::optional<double>*>, 2> bounds{{{"min", &f.min}, {"max", &f.max}}};
    for (const auto& [key, bound] : bounds) {
        if (!node.contains(key)) continue;
        if (!numeric)
            return schema_error("schema.bad_bound", fmt::format("'{}' has no order: '{}' is for int and double", f.name, key),
                                pointer(where, key), "remove it");
        *bound = node[key].get<double>();
    }
    if (f.min && f.max && *f.min > *f.max)
        return schema_error("schema.bad_bound", fmt::format("no value of '{}' is {}", f.name, bounds_text(f)),
                            pointer(where, "min"), "swap min and max");
    if (node.contains("values")) {
        const std::string place = pointer(where, "values");
        if (f.type != field_type::text && f.type != field_type::text_list)
            return schema_error("schema.bad_values",
                                fmt::format("'{}' is not text: values are for string and list<string>", f.name), place,
                                "use min and max for numbers");
        std::set<std::string> seen;
        for (std::size_t i = 0; i < node["values"].size(); ++i) {
            const json& value = node["values"][i];
            if (!value.is_string())
                return schema_error("schema.bad_values", fmt::format("values must be strings, found {}", kind_name(value)),
                                    pointer(place, i));
            f.values.push_back(value.get<std::string>());
            if (!seen.insert(f.values.back()).second)
                return schema_error("schema.bad_values", fmt::format("value {} stands twice", quote(f.values.back())),
                                    pointer(place, i), "keep one of them");
        }
        if (f.values.empty()) return schema_error("schema.bad_values", "no value is allowed", place, "remove it to allow any");
    }
    if (node.contains("max_age")) {
        OPSPILOT_TRY(f.max_age_us, parse_duration(node["max_age"].get_ref<const std::string&>(), pointer(where, "max_age")));
        if (f.as_of.empty())
            return schema_error("schema.undated", fmt::format("'{}' has a max_age but nothing dates it", f.name), where,
                                "name a timestamp field in as_of");
    }
    if (node.contains("default")) {
        OPSPILOT_TRY(f.default_value, read_default(f, node["default"], pointer(where, "default")));
    }
    return f;
}

inline field implicit_field(std::string name, bool optional, pii_class pii, std::string description) {
    field f;
    f.name = std::move(name);
    f.optional = optional;
    f.pii = pii;
    f.description = std::move(description);
    return f;
}

}  // namespace detail

/// Puts the fields in place and derives what makes reading fast.
struct schema_builder {
    static void add_implicit(schema& s) {
        auto& task = s.fields_[static_cast<std::size_t>(role::task)];
        auto& action = s.fields_[static_cast<std::size_t>(role::action)];
        const auto lacks = [](const std::vector<field>& fields, std::string_view name) {
            return std::none_of(fields.begin(), fields.end(), [&](const field& f) { return f.name == name; });
        };
        if (lacks(task, "client"))
            task.insert(task.begin(), detail::implicit_field("client", true, pii_class::pseudonymous, "whose task this is"));
        if (lacks(task, "id"))
            task.insert(task.begin(), detail::implicit_field("id", true, pii_class::pseudonymous, "the host's name of the task"));
        if (lacks(action, "id"))
            action.insert(action.begin(), detail::implicit_field("id", false, pii_class::none, "the host's name of the action"));
    }

    static void index_fields(schema& s) {
        for (std::size_t r = 0; r < 3; ++r) {
            schema::lookup& made = s.indexes_[r];
            made = {};
            for (const field& f : s.fields_[r]) made.names.insert(f.name);
            for (const field& f : s.fields_[r]) {
                made.dated_by.push_back(f.as_of.empty() ? no_field : made.names.find(f.as_of));
                made.values.emplace_back();
                for (const std::string& value : f.values) made.values.back().insert(value);
            }
        }
    }

    static status read_role(schema& s, role r, const detail::json& nodes) {
        const std::string where = detail::pointer("", name(r));
        if (nodes.size() > detail::fields_per_role)
            return detail::schema_error("schema.too_many_fields",
                                        fmt::format("{} fields; at most {} per record", nodes.size(), detail::fields_per_role),
                                        where);
        auto& fields = s.fields_[static_cast<std::size_t>(r)];
        std::set<std::string> names;
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            OPSPILOT_TRY(field f, detail::read_field(nodes[i], detail::pointer(where, i)));
            if (!names.insert(f.name).second)
                return detail::schema_error("schema.duplicate_field",
                                            fmt::format("field '{}' is declared twice on {}", f.name, name(r)),
                                            detail::pointer(where, i), "rename or remove one of them");
            fields.push_back(std::move(f));
        }
        for (std::size_t i = 0; i < fields.size(); ++i) OPSPILOT_CHECK(check_field(r, fields, i, detail::pointer(where, i)));
        return {};
    }

private:
    static status check_field(role r, const std::vector<field>& fields, std::size_t i, const std::string& where) {
        const field& f = fields[i];
        const bool identity = f.name == "id" && r != role::candidate;
        if ((identity || (f.name == "client" && r == role::task)) && f.type != field_type::text)
            return detail::schema_error("schema.reserved_field", fmt::format("field '{}' on {} must be string", f.name, name(r)),
                                        detail::pointer(where, "type"), "rename it or make it a string");
        if (identity && r == role::action && (f.optional || f.default_value.index() != 0))
            return detail::schema_error("schema.reserved_field", "field 'id' on action must be required, without a default",
                                        where, "remove 'optional' and 'default'");
        if ((identity || (f.name == "client" && r == role::task) || (f.name == "kind" && r == role::action)) && f.audit_only)
            return detail::schema_error(
                "schema.reserved_field",
                fmt::format("field '{}' on {} cannot be for audit only: decisions read it", f.name, name(r)),
                detail::pointer(where, "use"), "remove 'use', or rename the field");
        if (f.as_of.empty()) return {};
        const auto found = std::find_if(fields.begin(), fields.end(), [&](const field& other) { return other.name == f.as_of; });
        if (found == fields.end())
            return detail::schema_error("schema.unknown_field", fmt::format("unknown field {} on {}", quote(f.as_of), name(r)),
                                        detail::pointer(where, "as_of"), did_you_mean(f.as_of, detail::field_names(fields)));
        if (found->type != field_type::timestamp || found->max_age_us != 0)
            return detail::schema_error("schema.undated", fmt::format("'{}' cannot date '{}'", f.as_of, f.name),
                                        detail::pointer(where, "as_of"), "name a timestamp field without a max_age of its own");
        if (found->audit_only && !f.audit_only)
            return detail::audit_only_error(error_kind::schema, "schema.audit_only", r, *found, detail::pointer(where, "as_of"));
        return {};
    }
};

OPSPILOT_INLINE std::string_view name(field_type type) noexcept {
    return detail::field_type_names[static_cast<std::size_t>(type)];
}
OPSPILOT_INLINE std::string_view name(role r) noexcept { return detail::role_names[static_cast<std::size_t>(r)]; }
OPSPILOT_INLINE std::string_view name(pii_class pii) noexcept { return detail::pii_names[static_cast<std::size_t>(pii)]; }

OPSPILOT_INLINE schema::schema() {
    schema_builder::add_implicit(*this);
    schema_builder::index_fields(*this);
}

OPSPILOT_INLINE result<schema> schema::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json document, detail::parse_json(text, error_kind::schema));
    OPSPILOT_CHECK(detail::check_object(document, document_fields(), "", error_kind::schema));
    schema made;
    for (const role r : {role::task, role::action, role::candidate}) {
        made.fields_[static_cast<std::size_t>(r)].clear();
        if (const auto found = document.find(name(r)); found != document.end())
            OPSPILOT_CHECK(schema_builder::read_role(made, r, *found));
    }
    schema_builder::add_implicit(made);
    schema_builder::index_fields(made);
    return made;
}

OPSPILOT_INLINE std::optional<std::uint32_t> schema::find(role r, std::string_view name) const noexcept {
    const std::uint32_t found = indexes_[static_cast<std::size_t>(r)].names.find(name);
    return found == no_code ? std::nullopt : std::optional(found);
}

OPSPILOT_INLINE result<std::uint32_t> schema::require(role r, std::string_view name, std::string_view where) const {
    if (const auto found = find(r, name)) return *found;
    const auto names = detail::field_names(fields(r));
    std::string hint = did_you_mean(name, names);
    if (hint.empty()) {
        // Right name, wrong record, is the other common slip.
        for (const role other : {role::task, role::action, role::candidate})
            if (other != r && find(other, name)) hint = fmt::format("'{}' is a field of {}", name, opspilot::name(other));
    }
    if (hint.empty() && names.size() <= 16 && !names.empty()) hint = fmt::format("known fields: {}", fmt::join(names, ", "));
    return detail::schema_error("schema.unknown_field", fmt::format("unknown field {} on {}", quote(name), opspilot::name(r)),
                                std::string(where), std::move(hint));
}

OPSPILOT_INLINE result<schema::path> schema::resolve(std::string_view dotted, std::string_view where) const {
    const std::size_t dot = dotted.find('.');
    const std::string_view record = dotted.substr(0, dot);
    const auto found = std::find(detail::role_names.begin(), detail::role_names.end(), record);
    if (found == detail::role_names.end() || dot == std::string_view::npos) {
        std::string hint = dot == std::string_view::npos ? std::string{} : did_you_mean(record, detail::role_names);
        if (hint.empty()) hint = "write task.NAME, action.NAME or candidate.NAME";
        return detail::schema_error("schema.bad_path", fmt::format("{} is not the path of a field", quote(dotted)),
                                    std::string(where), std::move(hint));
    }
    const auto r = static_cast<role>(found - detail::role_names.begin());
    OPSPILOT_TRY(const std::uint32_t index, require(r, dotted.substr(dot + 1), where));
    return path{r, index};
}

OPSPILOT_INLINE bool schema::allows(role r, std::uint32_t field, std::string_view text) const noexcept {
    const dictionary& allowed = indexes_[static_cast<std::size_t>(r)].values[field];
    return allowed.size() == 0 || allowed.find(text) != no_code;
}

namespace detail {

/// `scoring_only` leaves out what cannot change a score.
inline nlohmann::ordered_json schema_tree(const schema& s, bool scoring_only) {
    using tree = nlohmann::ordered_json;
    tree document = tree::object();
    for (const role r : {role::task, role::action, role::candidate}) {
        tree list = tree::array();
        for (const field& f : s.fields(r)) {
            tree node = tree::object();
            node["name"] = f.name;
            node["type"] = name(f.type);
            if (f.optional) node["optional"] = true;
            if (f.max_age_us != 0) node["max_age"] = format_duration(f.max_age_us);
            if (!f.as_of.empty()) node["as_of"] = f.as_of;
            std::visit(
                [&](const auto& value) {
                    if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) node["default"] = value;
                },
                f.default_value);
            if (!scoring_only) {
                if (f.pii != pii_class::none) node["pii"] = name(f.pii);
                if (!f.unit.empty()) node["unit"] = f.unit;
                if (!f.values.empty()) node["values"] = f.values;
                if (f.min) node["min"] = *f.min;
                if (f.max) node["max"] = *f.max;
                if (f.audit_only) node["use"] = "audit";
                if (!f.description.empty()) node["description"] = f.description;
            }
            list.push_back(std::move(node));
        }
        document[std::string(name(r))] = std::move(list);
    }
    return document;
}

}  // namespace detail

OPSPILOT_INLINE std::string schema::to_json() const { return detail::schema_tree(*this, false).dump(); }

OPSPILOT_INLINE std::string schema::fingerprint() const { return sha256_hex(detail::schema_tree(*this, true).dump()); }

OPSPILOT_INLINE std::span<const document_field> schema::document_fields() noexcept { return detail::schema_document; }
OPSPILOT_INLINE std::span<const document_field> schema::field_fields() noexcept { return detail::schema_field; }

OPSPILOT_INLINE bool operator==(const schema& a, const schema& b) { return a.to_json() == b.to_json(); }

OPSPILOT_INLINE result<std::int64_t> parse_duration(std::string_view text, std::string_view where) {
    const auto refuse = [&](std::string_view why) {
        return error{error_kind::schema, "schema.bad_duration", fmt::format("{} is not a duration: {}", quote(text), why),
                     std::string(where), "write a positive whole number and a unit, such as 250ms, 15m, 24h or 7d"};
    };
    std::int64_t count = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (problem == std::errc::result_out_of_range) return refuse("the number is too large");
    if (problem != std::errc{}) return refuse("it does not begin with a number");
    if (count <= 0) return refuse("it is not positive");
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    for (const detail::duration_unit& known : detail::duration_units) {
        if (known.name != unit) continue;
        if (count > std::numeric_limits<std::int64_t>::max() / known.microseconds) return refuse("the number is too large");
        return count * known.microseconds;
    }
    return refuse("the unit must be one of us, ms, s, m, h, d, w");
}

OPSPILOT_INLINE std::string format_duration(std::int64_t microseconds) {
    // Weeks are read but not written: "14d" is what people expect.
    for (const detail::duration_unit& unit : detail::duration_units)
        if (unit.name != "w" && microseconds % unit.microseconds == 0)
            return fmt::format("{}{}", microseconds / unit.microseconds, unit.name);
    return fmt::format("{}us", microseconds);
}

OPSPILOT_INLINE result<std::int64_t> parse_timestamp(std::string_view text, std::string_view where) {
    std::int64_t microseconds = 0;
    if (detail::read_rfc3339(text, microseconds)) return microseconds;
    return error{error_kind::schema, "schema.bad_timestamp", fmt::format("{} is not a timestamp", quote(text)),
                 std::string(where), "write RFC 3339, such as 2026-02-28T09:30:00Z, or whole microseconds since 1970 UTC"};
}

}  // namespace opspilot
