#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "opspilot/policy/detail/cel/lexer.hpp"
#include "opspilot/policy/detail/cel/printer.hpp"

namespace opspilot::cel::detail {

/// Prints nodes in the order of the array, children first; the text of a first child is moved into its parent's, so that a long
/// chain of operators costs its length.
class printer {
public:
    explicit printer(const tree& t) : t_(t), texts_(t.nodes.size()) { static_cast<void>(tokenize(t.source, tokens_)); }

    std::string run() {
        for (std::uint32_t i = 0; i < t_.nodes.size(); ++i) texts_[i] = text_of(i);
        return std::move(texts_.back());
    }

private:
    // How tightly a node holds together; children that hold less tightly than their place asks for get brackets.
    enum strength : std::uint8_t { choice, either, both, relation, sum, product, sign, whole };

    [[nodiscard]] static strength strength_of(node_kind kind) noexcept {
        switch (kind) {
            case node_kind::conditional: return choice;
            case node_kind::or_: return either;
            case node_kind::and_: return both;
            case node_kind::equal:
            case node_kind::not_equal:
            case node_kind::less:
            case node_kind::less_equal:
            case node_kind::greater:
            case node_kind::greater_equal:
            case node_kind::in: return relation;
            case node_kind::add:
            case node_kind::subtract: return sum;
            case node_kind::multiply:
            case node_kind::divide:
            case node_kind::modulo: return product;
            case node_kind::negate:
            case node_kind::not_: return sign;
            default: return whole;
        }
    }
    [[nodiscard]] static std::string_view symbol_of(node_kind kind) noexcept {
        switch (kind) {
            case node_kind::or_: return " || ";
            case node_kind::and_: return " && ";
            case node_kind::equal: return " == ";
            case node_kind::not_equal: return " != ";
            case node_kind::less: return " < ";
            case node_kind::less_equal: return " <= ";
            case node_kind::greater: return " > ";
            case node_kind::greater_equal: return " >= ";
            case node_kind::in: return " in ";
            case node_kind::add: return " + ";
            case node_kind::subtract: return " - ";
            case node_kind::multiply: return " * ";
            case node_kind::divide: return " / ";
            default: return " % ";
        }
    }

    [[nodiscard]] std::string take(std::uint32_t of, std::uint32_t i) { return std::move(texts_[t_.child(of, i)]); }
    [[nodiscard]] node_kind kind_of(std::uint32_t of, std::uint32_t i) const noexcept { return t_.nodes[t_.child(of, i)].kind; }
    [[nodiscard]] static std::string bracketed(const std::string& inner) { return fmt::format("({})", inner); }
    std::string operand(std::uint32_t of, std::uint32_t i, strength least) {
        std::string inner = take(of, i);
        return strength_of(kind_of(of, i)) < least ? bracketed(inner) : inner;
    }
    /// What a selector, a call or an index may follow. A number would take the dot, or a sign the whole of it.
    std::string target(std::uint32_t of) {
        const node_kind kind = kind_of(of, 0);
        const bool number = kind == node_kind::integer || kind == node_kind::uinteger || kind == node_kind::number;
        return number ? bracketed(take(of, 0)) : operand(of, 0, whole);
    }
    /// After a sign: minus signs before a number would belong to the number, and the two signs do not mix.
    std::string signed_operand(std::uint32_t n) {
        if (kind_of(n, 0) == t_.nodes[n].kind) return take(n, 0);
        std::string inner = operand(n, 0, whole);
        const auto digit = [&](std::size_t at) { return at < inner.size() && inner[at] >= '0' && inner[at] <= '9'; };
        const bool number = inner[0] == '-' || digit(0) || (inner[0] == '.' && digit(1));
        return number ? bracketed(inner) : inner;
    }
    /// A call; of a function that bears the name of a macro the first argument may not look like the macro's variable.
    std::string call(std::uint32_t i) {
        const node& n = t_.nodes[i];
        if (!n.member) return list(i, (n.name == "has" ? ".has" : n.name) + '(', 0, ')');
        constexpr std::array<std::string_view, 12> macros{
            "all",    "exists",       "exists_one",        "existsOne", "map",        "transformList",
            "filter", "transformMap", "transformMapEntry", "optMap",    "optFlatMap", "bind"};
        if (n.count > 1 && std::find(macros.begin(), macros.end(), n.name) != macros.end()) {
            std::string& first = texts_[t_.child(i, 1)];
            if (is_letter(first.front())) first = bracketed(first);
        }
        return list(i, target(i) + '.' + n.name + '(', 1, ')');
    }

    static bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
    static bool is_name(std::string_view word) noexcept {
        return !word.empty() && is_letter(word.front()) &&
               std::all_of(word.begin(), word.end(), [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
    }
    static std::string field(std::string_view name) {
        const bool plain = is_name(name) && name != "in" && name != "true" && name != "false" && name != "null";
        return plain ? std::string(name) : fmt::format("`{}`", name);
    }

    /// A literal as it is written; the sign of a number may stand apart from it.
    [[nodiscard]] std::string literal(const node& n) const {
        std::string out = n.start < n.offset ? "-" : "";
        return out += std::string_view(t_.source).substr(n.offset, n.stop - n.offset);
    }
    [[nodiscard]] std::string text_literal(const node& n) const {
        std::string out = literal(n);
        const bool plain = out.size() >= 2 && out.front() == '"' && out.compare(0, 3, R"(""")") != 0 &&
                           out.find_first_of("'\\") == std::string::npos;
        if (plain || out == R"("")") out.front() = out.back() = '\'';
        return out;
    }

    /// The variables of a macro, which no node holds: they stand behind its name in the source.
    [[nodiscard]] std::string variables(const node& n) const {
        const auto name = std::lower_bound(tokens_.begin(), tokens_.end(), n.offset,
                                           [](const token& t, std::uint32_t offset) { return t.offset < offset; });
        std::string out;
        for (std::ptrdiff_t v = 0; v < n.variables; ++v) {
            const token& t = *(name + 2 + 2 * v);
            out += std::string_view(t_.source).substr(t.offset, t.length);
            out += ", ";
        }
        return out;
    }

    std::string list(std::uint32_t n, std::string before, std::uint32_t from, char close) {
        for (std::uint32_t i = from; i < t_.nodes[n].count; ++i) {
            if (i > from) before += ", ";
            before += take(n, i);
        }
        return before += close;
    }
    std::string map(std::uint32_t n) {
        std::string out = "{";
        for (std::uint32_t i = 0; i < t_.nodes[n].count; i += 2) {
            if (i > 0) out += ", ";
            std::string item = take(n, i + 1);
            if (kind_of(n, i + 1) == node_kind::maybe) {  // the mark stands before the key
                out += '?';
                item.erase(0, 1);
            }
            out += take(n, i);
            out += ": ";
            out += item;
        }
        return out += '}';
    }

    std::string text_of(std::uint32_t i) {
        const node& n = t_.nodes[i];
        const strength own = strength_of(n.kind);
        switch (n.kind) {
            case node_kind::null: return "null";
            case node_kind::boolean: return n.integer != 0 ? "true" : "false";
            case node_kind::integer:
            case node_kind::uinteger:
            case node_kind::number:
            case node_kind::bytes: return literal(n);
            case node_kind::text: return text_literal(n);
            case node_kind::variable: return fmt::format("{}{}", n.global ? "." : "", n.name);
            case node_kind::slot: return n.name;
            case node_kind::select: return target(i) + '.' + field(n.name);
            case node_kind::optional_select: return target(i) + ".?" + field(n.name);
            case node_kind::has: return fmt::format("has({}.{})", target(i), field(n.name));
            case node_kind::index: return target(i) + '[' + take(i, 1) + ']';
            case node_kind::optional_index: return target(i) + "[?" + take(i, 1) + ']';
            case node_kind::maybe: return fmt::format("?{}", take(i, 0));
            case node_kind::call: return call(i);
            case node_kind::negate: return fmt::format("-{}", signed_operand(i));
            case node_kind::not_: return fmt::format("!{}", signed_operand(i));
            case node_kind::conditional: {
                std::string out = operand(i, 0, either) + " ? ";
                out += operand(i, 1, either) + " : ";
                return out += take(i, 2);
            }
            case node_kind::list: return list(i, "[", 0, ']');
            case node_kind::map: return map(i);
            case node_kind::bind: return list(i, fmt::format("cel.bind({}", variables(n)), 0, ')');
            default: break;
        }
        if (is_macro(n.kind)) return list(i, target(i) + '.' + n.name + '(' + variables(n), 1, ')');
        std::string out = operand(i, 0, own);
        out += symbol_of(n.kind);
        return out += operand(i, 1, static_cast<strength>(own + 1));
    }

    const tree& t_;
    std::vector<token> tokens_;
    std::vector<std::string> texts_;
};

OPSPILOT_INLINE std::string print(const tree& t) { return printer(t).run(); }

OPSPILOT_INLINE bool has_comments(std::string_view source) {
    std::vector<token> tokens;
    if (tokenize(source, tokens)) return false;
    std::size_t end = 0;
    for (const token& t : tokens) {
        const std::string_view gap = source.substr(end, t.offset - end);
        if (gap.find_first_not_of(" \t\n\r\f\v") != std::string_view::npos) return true;
        end = t.offset + t.length;
    }
    return false;
}

}  // namespace opspilot::cel::detail
