#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/lookup.hpp"
#include "opspilot/policy/detail/document_tables.hpp"
#include "opspilot/policy/detail/json_places.hpp"
#include "opspilot/policy/tables.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 3> table_key_types{"string", "int", "bool"};
inline constexpr std::array<std::string_view, 5> table_value_types{"string", "int", "double", "bool", "list<string>"};
inline constexpr std::array<document_field, 6> table_fields{{
    {"version", json_kind::text, true, "version of this table", {}},
    {"description", json_kind::text, false, "what the table is for", {}},
    {"key", json_kind::text, true, "type of the keys", table_key_types},
    {"value", json_kind::text, true, "type of the values", table_value_types},
    {"default", json_kind::any, false, "value of every key that has no row; left out: looking one up is an error", {}},
    {"rows", json_kind::any, true, "a list of [key, value]; an object where keys are strings", {}},
}};

OPSPILOT_INLINE std::span<const document_field> lookup_table_fields() noexcept { return table_fields; }

/// Reads one table into a set.
class table_reader {
public:
    table_reader(const lookup_tables::document& given, cel::detail::lookup_set& into, std::size_t rows_left)
        : given_(given), memory_(into.memory), rows_left_(rows_left) {}

    result<cel::detail::lookup_table> read() {
        OPSPILOT_CHECK(named());
        auto parsed = parse_json(given_.text, error_kind::policy);
        if (!parsed) return placed(std::move(parsed).error());
        if (status structure = check_object(*parsed, table_fields, "", error_kind::policy); !structure)
            return placed(std::move(structure).error());
        const std::string key = text_or(*parsed, "key", ""), value = text_or(*parsed, "value", "");
        out_.name = given_.name;
        out_.version = text_or(*parsed, "version", "");
        out_.sha256 = sha256_hex(given_.text);
        out_.key = key == "string" ? cel::kind::text : key == "int" ? cel::kind::integer : cel::kind::boolean;
        constexpr std::array kinds{cel::kind::text, cel::kind::integer, cel::kind::number, cel::kind::boolean, cel::kind::list};
        out_.item = kinds[static_cast<std::size_t>(std::find(table_value_types.begin(), table_value_types.end(), value) -
                                                   table_value_types.begin())];
        type_ = value;
        if (const auto otherwise = parsed->find("default"); otherwise != parsed->end())
            if (status done = item(*otherwise, "/default", out_.otherwise); !done) return placed(std::move(done).error());
        if (status done = rows((*parsed)["rows"]); !done) return placed(std::move(done).error());
        find_ends();
        return std::move(out_);
    }

private:
    [[nodiscard]] status named() const {
        const auto plain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        };
        if (!given_.name.empty() && given_.name.size() <= 64 && std::all_of(given_.name.begin(), given_.name.end(), plain))
            return {};
        return error{error_kind::policy, "policy.table_name", fmt::format("{} is no name of a table", quote(given_.name)), "",
                     "use up to 64 letters, digits, '_', '-' and '.'"};
    }

    /// Puts the table and, where the text is not too long to go through once more, line and column before an error.
    [[nodiscard]] error placed(error wrong) const {
        constexpr std::size_t readable = std::size_t{4} << 20;
        const bool pointed = wrong.where.empty() || wrong.where.starts_with('/');
        if (pointed && given_.text.size() <= readable) {
            const json_places places(given_.text);
            wrong.where = places.line_and_column(places.value(wrong.where));
        }
        wrong.where = fmt::format("table {} {}", quote(given_.name), wrong.where);
        return wrong;
    }

    static error no_room(const std::string& at) {
        return {error_kind::limit, "policy.table_bytes", "the tables need too much memory", at,
                "leave out what no rule looks up"};
    }

    status rows(const json& given) {
        if (given.is_object() && out_.key != cel::kind::text)
            return error{error_kind::policy, "policy.wrong_kind", "the rows are an object, whose keys are strings", "/rows",
                         "write a list of [key, value]"};
        if (!given.is_object() && !given.is_array())
            return error{error_kind::policy, "policy.wrong_kind",
                         fmt::format("the rows are a list of [key, value], found {}", kind_name(given)), "/rows", ""};
        if (given.size() > rows_left_)
            return error{error_kind::limit, "policy.too_many_rows",
                         fmt::format("all tables together have more than {} rows", most_table_rows), "/rows",
                         "leave out what no rule looks up, or bring it as a field of the task"};
        cel::map_entry* const entries = memory_.array<cel::map_entry>(given.size());
        if (entries == nullptr) return no_room("/rows");
        std::size_t made = 0;
        if (given.is_object()) {
            for (const auto& [name, value] : given.items()) {
                OPSPILOT_TRY(entries[made].key, text(name, "/rows"));
                OPSPILOT_CHECK(item(value, pointer("/rows", name), entries[made++].item));
            }
        } else {
            for (std::size_t i = 0; i < given.size(); ++i, ++made) {
                const json& row = given[i];
                const std::string at = pointer("/rows", i);
                if (!row.is_array() || row.size() != 2)
                    return error{error_kind::policy, "policy.table_row", "a row is a list of two: [key, value]", at, ""};
                OPSPILOT_CHECK(key(row[0], at + "/0", entries[i].key));
                OPSPILOT_CHECK(item(row[1], at + "/1", entries[i].item));
            }
        }
        const std::span<cel::map_entry> all(entries, made);
        if (!cel::sort_entries(all)) return repeated(given);
        out_.rows = cel::make_map(all);
        return {};
    }

    /// The second row of a key that stands twice.
    static error repeated(const json& given) {
        std::vector<std::size_t> order(given.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return given[a][0] == given[b][0] ? a < b : given[a][0] < given[b][0]; });
        const auto twice = std::adjacent_find(order.begin(), order.end(),
                                              [&](std::size_t a, std::size_t b) { return given[a][0] == given[b][0]; });
        const std::size_t at = twice == order.end() ? 0 : *std::next(twice);
        return {error_kind::policy, "policy.duplicate_key",
                fmt::format("the key {} stands twice",
                            given[at][0].is_string() ? quote(given[at][0].get<std::string>()) : given[at][0].dump()),
                pointer(pointer("/rows", at), std::size_t{0}), "keep one of the rows"};
    }

    result<cel::value> text(const std::string& given, const std::string& at) {
        const std::string_view kept = memory_.copy(given);
        if (kept.data() == nullptr) return no_room(at);
        return cel::make_text(kept);
    }

    status key(const json& given, const std::string& at, cel::value& out) {
        const bool fits = out_.key == cel::kind::text      ? given.is_string()
                          : out_.key == cel::kind::boolean ? given.is_boolean()
                                                           : whole(given);
        if (!fits)
            return error{error_kind::policy, "policy.table_key",
                         fmt::format("a key of this table is {}, found {}",
                                     out_.key == cel::kind::text      ? "a string"
                                     : out_.key == cel::kind::boolean ? "a bool"
                                                                      : "an int",
                                     kind_name(given)),
                         at, "change the key, or what \"key\" says"};
        if (out_.key == cel::kind::text) {
            OPSPILOT_TRY(out, text(given.get_ref<const std::string&>(), at));
        } else {
            out = out_.key == cel::kind::boolean ? cel::make_boolean(given.get<bool>())
                                                 : cel::make_integer(given.get<std::int64_t>());
        }
        return {};
    }

    /// A whole number that fits 64 bits with a sign.
    static bool whole(const json& given) {
        return given.is_number_integer() &&
               (!given.is_number_unsigned() || given.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
    }

    status item(const json& given, const std::string& at, cel::value& out) {
        const auto wrong = [&] {
            return error{error_kind::policy, "policy.table_value",
                         fmt::format("a value of this table is of type {}, found {}", type_, kind_name(given)), at,
                         "change the value, or what \"value\" says"};
        };
        switch (out_.item) {
            case cel::kind::text: {
                if (!given.is_string()) return wrong();
                OPSPILOT_TRY(out, text(given.get_ref<const std::string&>(), at));
                return {};
            }
            case cel::kind::integer:
                if (!whole(given)) return wrong();
                out = cel::make_integer(given.get<std::int64_t>());
                return {};
            case cel::kind::number:
                if (!given.is_number()) return wrong();
                out = cel::make_number(given.get<double>());
                return {};
            case cel::kind::boolean:
                if (!given.is_boolean()) return wrong();
                out = cel::make_boolean(given.get<bool>());
                return {};
            default: break;
        }
        if (!given.is_array()) return wrong();
        cel::value* const items = memory_.array<cel::value>(given.size());
        if (items == nullptr) return no_room(at);
        for (std::size_t i = 0; i < given.size(); ++i) {
            if (!given[i].is_string())
                return error{error_kind::policy, "policy.table_value",
                             fmt::format("a list of this table holds strings, found {}", kind_name(given[i])), pointer(at, i),
                             ""};
            OPSPILOT_TRY(items[i], text(given[i].get_ref<const std::string&>(), at));
        }
        out = cel::make_list({items, given.size()});
        out.depth = 1;
        return {};
    }

    void find_ends() {
        bool first = true;
        const auto take = [&](const cel::value& v) {
            if (v.is(cel::kind::integer)) {
                out_.low = first ? v.integer : std::min(out_.low, v.integer);
                out_.high = first ? v.integer : std::max(out_.high, v.integer);
            } else if (v.is(cel::kind::number)) {
                out_.from = first ? v.number : std::min(out_.from, v.number);
                out_.to = first ? v.number : std::max(out_.to, v.number);
            }
            first = false;
        };
        for (std::size_t i = 0; i < out_.rows.size; ++i) take(out_.rows.entries[i].item);
        if (!out_.otherwise.is(cel::kind::unbound)) take(out_.otherwise);
    }

    const lookup_tables::document& given_;
    cel::arena& memory_;
    std::size_t rows_left_;
    std::string type_;
    cel::detail::lookup_table out_;
};

}  // namespace detail

OPSPILOT_INLINE result<lookup_tables> lookup_tables::read(std::span<const document> documents) {
    lookup_tables out;
    if (documents.empty()) return out;
    auto made = std::make_shared<cel::detail::lookup_set>();
    std::size_t rows = 0;
    for (const document& d : documents) {
        OPSPILOT_TRY(cel::detail::lookup_table table, detail::table_reader(d, *made, most_table_rows - rows).read());
        rows += table.rows.size;
        if (std::any_of(made->tables.begin(), made->tables.end(), [&](const auto& known) { return known.name == table.name; }))
            return error{error_kind::policy, "policy.duplicate_table", fmt::format("table {} stands twice", quote(d.name)), "",
                         "give one of them another name"};
        made->tables.push_back(std::move(table));
    }
    std::sort(made->tables.begin(), made->tables.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    out.state = std::move(made);
    return out;
}

OPSPILOT_INLINE std::vector<lookup_tables::info> lookup_tables::list() const {
    std::vector<info> out;
    if (state == nullptr) return out;
    const auto type_of = [](cel::kind k) -> std::string_view {
        return k == cel::kind::list ? "list<string>" : cel::type_name(k);
    };
    for (const cel::detail::lookup_table& t : state->tables)
        out.push_back({t.name, t.version, type_of(t.key), type_of(t.item), t.sha256, static_cast<std::size_t>(t.rows.size),
                       !t.otherwise.is(cel::kind::unbound)});
    return out;
}

}  // namespace opspilot
