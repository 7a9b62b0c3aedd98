/// \file
/// The declared shape of tasks, actions and candidates: every field with type, PII class, unit, maximum age and default.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/data/dictionary.hpp"

namespace opspilot {

/// Type of a field. In documents: "bool", "int", "double", "string", "timestamp", "list<string>".
/// A timestamp is microseconds since 1970 UTC as an integer, or RFC 3339 text in JSON.
enum class field_type : std::uint8_t { boolean, integer, number, text, timestamp, text_list };

/// Which record a field belongs to.
enum class role : std::uint8_t { task, action, candidate };

/// How personal a field is; decides what may reach models, messages and records.
enum class pii_class : std::uint8_t { none, pseudonymous, personal, sensitive };

[[nodiscard]] OPSPILOT_API std::string_view name(field_type type) noexcept;
[[nodiscard]] OPSPILOT_API std::string_view name(role r) noexcept;
[[nodiscard]] OPSPILOT_API std::string_view name(pii_class pii) noexcept;

/// A literal of a field's type, used for defaults. `monostate` = none declared.
using field_value = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>>;

/// One declared field.
struct field {
    std::string name;
    field_type type = field_type::text;
    bool optional = false;  ///< may be missing; a required field that is missing is an error unless it has a default
    pii_class pii = pii_class::none;
    std::string unit;                 ///< free text, shown beside values ("USD", "ms"); "" = none
    std::int64_t max_age_us = 0;      ///< older than this at decision time = stale; 0 = never
    std::string as_of;                ///< timestamp field of the same role that dates the value; required with max_age
    field_value default_value;        ///< takes the place of a missing or stale value
    std::vector<std::string> values;  ///< allowed texts, empty = any
    std::optional<double> min, max;   ///< inclusive bounds of numbers
    bool audit_only = false;          ///< for judging decisions afterwards: nothing that decides may read it
    std::string description;
};

inline constexpr std::uint32_t no_field = 0xFFFFFFFFU;

/// The fields of all three roles, in declared order. Immutable; shared by any number of threads.
/// `task.id`, `task.client` (optional strings, pseudonymous) and `action.id` (required string) exist even when not declared;
/// undeclared ones come first. Names are identifiers ([A-Za-z_][A-Za-z0-9_]*, at most 64 bytes), at most 4096 per role.
class OPSPILOT_API schema {
public:
    schema();  ///< only the implicit fields

    /// Reads a schema document: {"task": [field…], "action": [field…], "candidate": [field…]}.
    /// Errors: kind schema, JSON pointer of the offending key.
    [[nodiscard]] static result<schema> parse(std::string_view json);

    [[nodiscard]] std::span<const field> fields(role r) const noexcept { return fields_[static_cast<std::size_t>(r)]; }
    [[nodiscard]] std::optional<std::uint32_t> find(role r, std::string_view name) const noexcept;

    /// Like `find`, but the error names the nearest field: "unknown field 'amout' on task; did you mean 'amount'?".
    [[nodiscard]] result<std::uint32_t> require(role r, std::string_view name, std::string_view where = {}) const;

    /// "task.amount" -> (role, index).
    struct path {
        role where = role::task;
        std::uint32_t index = 0;
    };
    [[nodiscard]] result<path> resolve(std::string_view dotted, std::string_view where = {}) const;

    /// Index of the timestamp field that dates this one (`as_of`), or `no_field`.
    [[nodiscard]] std::uint32_t dated_by(role r, std::uint32_t field) const noexcept {
        return indexes_[static_cast<std::size_t>(r)].dated_by[field];
    }
    /// True when the text is among the field's declared values, or none are declared.
    [[nodiscard]] bool allows(role r, std::uint32_t field, std::string_view text) const noexcept;

    [[nodiscard]] const field& at(path p) const noexcept { return fields_[static_cast<std::size_t>(p.where)][p.index]; }

    /// The canonical document; `parse(to_json())` gives an equal schema.
    [[nodiscard]] std::string to_json() const;
    /// SHA-256 hex of what decides scoring: names, types, optionality, defaults, ages, order; not descriptions or units.
    [[nodiscard]] std::string fingerprint() const;

    /// The keys of a schema document and of one field in it: readers, JSON Schema and docs come from these lists.
    [[nodiscard]] static std::span<const document_field> document_fields() noexcept;
    [[nodiscard]] static std::span<const document_field> field_fields() noexcept;

private:
    friend struct schema_builder;  // the reader in detail

    struct lookup {        // derived from the fields, so that rows are read without searching
        dictionary names;  // code of a name = index of the field
        std::vector<std::uint32_t> dated_by;
        std::vector<dictionary> values;  // per field
    };
    std::array<std::vector<field>, 3> fields_;
    std::array<lookup, 3> indexes_;
};

/// Equal when the canonical documents are.
[[nodiscard]] OPSPILOT_API bool operator==(const schema& a, const schema& b);

/// "250ms", "15m", "1h", "24h", "7d" -> microseconds: a positive whole number and one of us, ms, s, m, h, d, w.
/// Errors: schema.bad_duration.
[[nodiscard]] OPSPILOT_API result<std::int64_t> parse_duration(std::string_view text, std::string_view where = {});

/// The text of a positive duration in its largest fitting unit up to days; `parse_duration` reads the same number back.
[[nodiscard]] OPSPILOT_API std::string format_duration(std::int64_t microseconds);

/// RFC 3339 text ("2026-02-28T09:30:00.25+01:00") -> microseconds since 1970 UTC; digits beyond the microsecond are cut.
/// Errors: schema.bad_timestamp.
[[nodiscard]] OPSPILOT_API result<std::int64_t> parse_timestamp(std::string_view text, std::string_view where = {});

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/data/schema-inl.hpp"
#endif
