#pragma once

#include <fmt/format.h>

#include <charconv>
#include <span>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/cel/printer.hpp"
#include "opspilot/policy/detail/document_tables.hpp"
#include "opspilot/policy/detail/json_places.hpp"
#include "opspilot/policy/format.hpp"

namespace opspilot {

namespace detail {

/// The source in canonical form, or what is wrong with it.
inline std::optional<cel::detail::problem> format_source(std::string_view source, std::string& out) {
    cel::detail::tree tree;
    if (auto wrong = cel::detail::parse(source, {}, tree)) return wrong;
    out = cel::detail::has_comments(source) ? std::string(source) : cel::detail::print(tree);
    return {};
}

/// Writes a document of known tables. Depth is bounded by the reader of JSON.
class document_writer {
public:
    using tree = nlohmann::ordered_json;
    static constexpr std::size_t width = 120;

    /// An object with the keys of the table first, in its order.
    static tree ordered(const tree& node, std::span<const document_field> table) {
        if (!node.is_object()) return node;
        tree out = tree::object();
        const auto take = [&](const std::string& key) {
            if (const auto found = node.find(key); found != node.end()) out[key] = *found;
        };
        take("$schema");
        for (const document_field& f : table) take(std::string(f.name));
        for (const auto& [key, value] : node.items()) out[key] = value;  // a key that is there already keeps its place
        return out;
    }

    /// `spread`: a key or an item a line, whatever fits.
    void value(const tree& node, std::size_t indent, bool spread = false) {
        if (!node.is_structured() || node.empty()) {
            out_ += text(node);
            return;
        }
        if (!spread) {
            const std::string line = flat(node);
            if (column() + line.size() + 1 <= width) {  // a comma may follow
                out_ += line;
                return;
            }
        }
        open(node.is_object() ? '{' : '[');
        bool first = true;
        for (const auto& [key, item] : node.items()) {
            begin(indent + 2, first);
            if (node.is_object()) out_ += text(tree(key)) + ": ";
            value(item, indent + 2);
        }
        close(node.is_object() ? '}' : ']', indent);
    }

    /// The root: rules, invariants and tests an item a line at least.
    std::string document(const tree& node) {
        open('{');
        bool first = true;
        for (const auto& [key, item] : node.items()) {
            begin(2, first);
            out_ += text(tree(key)) + ": ";
            if ((key == "rules" || key == "invariants" || key == "tests") && item.is_array() && !item.empty())
                items(item, key == "rules");
            else
                value(item, 2);
        }
        close('}', 0);
        return std::move(out_) + "\n";
    }

private:
    static std::string text(const tree& node) { return node.dump(-1, ' ', false, tree::error_handler_t::replace); }

    /// On one line, a space after commas and colons.
    static std::string flat(const tree& node) {
        if (!node.is_structured() || node.empty()) return text(node);
        std::string out(1, node.is_object() ? '{' : '[');
        for (const auto& [key, item] : node.items()) {
            if (out.size() > 1) out += ", ";
            if (node.is_object()) out += text(tree(key)) + ": ";
            out += flat(item);
            if (out.size() > width) return out;  // it does not fit, however it goes on
        }
        return out += node.is_object() ? '}' : ']';
    }
    void items(const tree& list, bool spread) {
        open('[');
        bool first = true;
        for (const tree& item : list) {
            begin(4, first);
            value(item, 4, spread && item.is_object());
        }
        close(']', 2);
    }
    void open(char bracket) { out_ += bracket; }
    void begin(std::size_t indent, bool& first) {
        out_ += first ? "\n" : ",\n";
        out_.append(indent, ' ');
        first = false;
    }
    void close(char bracket, std::size_t indent) {
        out_ += '\n';
        out_.append(indent, ' ');
        out_ += bracket;
    }
    [[nodiscard]] std::size_t column() const noexcept { return out_.size() - (out_.rfind('\n') + 1); }

    std::string out_;
};

}  // namespace detail

OPSPILOT_INLINE result<std::string> format_condition(std::string_view source) {
    std::string out;
    if (const auto wrong = detail::format_source(source, out))
        return error{error_kind::policy, wrong->code, wrong->message, cel::detail::line_and_column(source, wrong->offset),
                     wrong->hint};
    return out;
}

OPSPILOT_INLINE result<std::string> format_policy(const policy_set::document& document) {
    using writer = detail::document_writer;
    const detail::json_places places(document.text);
    const auto place = [&](std::size_t offset) {
        return fmt::format("policy document {} {}", quote(document.name), places.line_and_column(offset));
    };
    if (auto parsed = detail::parse_json(document.text, error_kind::policy); !parsed) {
        error wrong = std::move(parsed).error();
        std::size_t offset = 0;
        if (wrong.where.starts_with("byte "))
            std::from_chars(wrong.where.data() + 5, wrong.where.data() + wrong.where.size(), offset);
        wrong.where = place(offset);
        return wrong;
    } else if (!parsed->is_object()) {
        return error{error_kind::policy, "policy.wrong_kind",
                     fmt::format("a policy document is an object, found {}", detail::kind_name(*parsed)), place(0), ""};
    }
    const detail::policy_tables tables = detail::document_tables();
    writer::tree root = writer::ordered(writer::tree::parse(document.text), tables.document);
    for (const auto& [key, table] : {std::pair{"rules", tables.rule}, {"invariants", tables.invariant}, {"tests", tables.test}}) {
        const auto list = root.find(key);
        if (list == root.end() || !list->is_array()) continue;
        for (std::size_t i = 0; i < list->size(); ++i) {
            writer::tree& item = (*list)[i];
            item = writer::ordered(item, table);
            if (!item.is_object()) continue;
            if (const auto expect = item.find("expect"); expect != item.end()) *expect = writer::ordered(*expect, tables.expect);
            const auto when = item.find("when");
            if (when == item.end() || !when->is_string() || key == std::string_view("tests")) continue;
            std::string formatted;
            if (const auto wrong = detail::format_source(when->get_ref<const std::string&>(), formatted))
                return error{error_kind::policy, wrong->code, wrong->message,
                             place(places.inside(fmt::format("/{}/{}/when", key, i), wrong->offset)), wrong->hint};
            *when = std::move(formatted);
        }
    }
    return writer().document(root);
}

}  // namespace opspilot
