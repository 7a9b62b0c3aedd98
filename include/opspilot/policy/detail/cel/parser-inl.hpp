#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/functions.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"
#include "opspilot/policy/detail/cel/tree_writer.hpp"

namespace opspilot::cel::detail {

/// Precedence climbing. Binary operators loop, unary ones are counted; only brackets, calls and conditionals recurse, and
/// `depth_` bounds them.
class parser : tree_writer {
public:
    parser(std::string_view source, const parse_limits& limits, tree& out, const std::vector<token>& tokens)
        : tree_writer(source, limits, out, tokens) {}

    std::optional<problem> run() {
        if (const auto root = expression(); root && now().kind != token_kind::end)
            fail("policy.syntax", fmt::format("unexpected {}", shown()), now(), "an operator is missing before it?");
        if (problem_) return std::move(problem_);
        out_.parents.assign(out_.nodes.size(), out_.root());
        for (std::uint32_t i = 0; i < out_.nodes.size(); ++i)
            for (std::uint32_t c = 0; c < out_.nodes[i].count; ++c) out_.parents[out_.child(i, c)] = i;
        return {};
    }

private:
    found expression() {
        const level deeper(*this);
        if (too_deep()) return {};
        const std::uint32_t start = now().offset;
        const found condition = binary(0);
        if (!condition || now().kind != token_kind::question) return condition;
        const std::uint32_t question = now().offset;
        ++at_;
        const found yes = binary(0);
        if (!yes || !expect(token_kind::colon, "':' of '? :'")) return {};
        const found no = expression();
        if (!no) return {};
        return put(make(node_kind::conditional, question, start), std::array{*condition, *yes, *no});
    }

    struct operation {
        int precedence = -1;
        node_kind kind = node_kind::null;
    };
    [[nodiscard]] static operation operation_of(token_kind kind) noexcept {
        switch (kind) {
            case token_kind::or_: return {0, node_kind::or_};
            case token_kind::and_: return {1, node_kind::and_};
            case token_kind::equal: return {2, node_kind::equal};
            case token_kind::not_equal: return {2, node_kind::not_equal};
            case token_kind::less: return {2, node_kind::less};
            case token_kind::less_equal: return {2, node_kind::less_equal};
            case token_kind::greater: return {2, node_kind::greater};
            case token_kind::greater_equal: return {2, node_kind::greater_equal};
            case token_kind::in: return {2, node_kind::in};
            case token_kind::plus: return {3, node_kind::add};
            case token_kind::minus: return {3, node_kind::subtract};
            case token_kind::star: return {4, node_kind::multiply};
            case token_kind::slash: return {4, node_kind::divide};
            case token_kind::percent: return {4, node_kind::modulo};
            default: return {};
        }
    }

    /// Operators of at least the precedence, left to right. Recursion is at most one call per precedence.
    found binary(int lowest) {
        const std::uint32_t start = now().offset;
        found left = unary();
        while (left) {
            const operation op = operation_of(now().kind);
            if (op.precedence < lowest) return left;
            const std::uint32_t offset = now().offset;
            ++at_;
            const found right = binary(op.precedence + 1);
            if (!right) return {};
            left = put(make(op.kind, offset, start), std::array{*left, *right});
        }
        return {};
    }

    found unary() {
        const std::size_t first = at_;
        const token_kind sign = now().kind;
        if (sign != token_kind::minus && sign != token_kind::not_) return member();
        while (now().kind == sign) ++at_;
        std::size_t count = at_ - first;
        found operand;
        if (sign == token_kind::minus && (now().kind == token_kind::integer || now().kind == token_kind::number)) {
            --count;  // the sign belongs to the literal, which is how -2^63 can be written
            operand = member(true);
        } else {
            operand = member();
        }
        for (; operand && count > 0; --count) {
            const std::uint32_t offset = tokens_[first + count - 1].offset;
            operand =
                put(make(sign == token_kind::minus ? node_kind::negate : node_kind::not_, offset, offset), std::array{*operand});
        }
        return operand;
    }

    /// A primary with its selectors, calls and indices.
    found member(bool negative = false) {
        const std::uint32_t start = now().offset - (negative ? 1 : 0);
        found target = primary(negative);
        while (target) {
            if (now().kind == token_kind::dot) {
                ++at_;
                target = accept(token_kind::question) ? optional_field(*target, start) : selector(*target, start);
            } else if (now().kind == token_kind::open_square) {
                const std::uint32_t offset = now().offset;
                ++at_;
                const node_kind kind = accept(token_kind::question) ? node_kind::optional_index : node_kind::index;
                const found inner = expression();
                if (!inner || !expect(token_kind::close_square, "']'")) return {};
                target = put(make(kind, offset, start), std::array{*target, *inner});
            } else if (now().kind == token_kind::open_curly && is_name(*target)) {
                return fail("policy.no_messages", "messages cannot be made here", now(), "use a map {'key': value}");
            } else {
                return target;
            }
        }
        return {};
    }

    [[nodiscard]] bool is_name(index n) const noexcept {
        return out_.nodes[n].kind == node_kind::variable || out_.nodes[n].kind == node_kind::select;
    }

    /// The field's name after a dot, in back quotes or not; nothing when there is none.
    std::optional<std::string_view> field_name() {
        const token name = now();
        if (accept(token_kind::quoted_name)) return text(name).substr(1, name.length - 2);
        if (name.kind == token_kind::identifier && !is_literal_word(text(name))) {
            ++at_;
            return text(name);
        }
        return fail("policy.syntax", fmt::format("expected a field or function name after '.', found {}", shown()), now());
    }

    found field(node_kind kind, index target, const token& name, std::string_view field, std::uint32_t start) {
        node n = make(kind, name.offset, start);
        n.name = field;
        return put(std::move(n), std::array{target});
    }

    /// `target.?name`.
    found optional_field(index target, std::uint32_t start) {
        const token name = now();
        const auto word = field_name();
        return word ? field(node_kind::optional_select, target, name, *word, start) : found{};
    }

    found selector(index target, std::uint32_t start) {
        const token name = now();
        const auto word = field_name();
        if (!word) return {};
        if (now().kind != token_kind::open_round || name.kind == token_kind::quoted_name)
            return field(node_kind::select, target, name, *word, start);
        const bool variable_follows = peek().kind == token_kind::identifier && peek(2).kind == token_kind::comma;
        const node& receiver = out_.nodes[target];
        if (receiver.kind == node_kind::variable) {
            // "math.abs(…)" is one name; the variable `math` was read too early.
            const std::string full = fmt::format("{}.{}", receiver.name, *word);
            const bool bind = full == "cel.bind" && variable_follows;
            if (bind || is_function(full)) {
                out_.nodes.pop_back();
                if (bind) return bound(name, start);
                return call(full, name.offset, start, {});
            }
        }
        if (const auto kind = macro_of(*word); kind && peek().kind == token_kind::identifier)
            return macro(*kind, target, name, start);
        return call(*word, name.offset, start, target);
    }

    [[nodiscard]] static bool is_literal_word(std::string_view word) noexcept {
        return word == "true" || word == "false" || word == "null";
    }

    [[nodiscard]] static std::optional<node_kind> macro_of(std::string_view name) noexcept {
        if (name == "all") return node_kind::all;
        if (name == "exists") return node_kind::exists;
        if (name == "exists_one" || name == "existsOne") return node_kind::exists_one;
        if (name == "map" || name == "transformList") return node_kind::map_each;
        if (name == "filter") return node_kind::filter;
        if (name == "transformMap") return node_kind::transform_map;
        if (name == "transformMapEntry") return node_kind::transform_entries;
        if (name == "optMap") return node_kind::opt_map;
        if (name == "optFlatMap") return node_kind::opt_flat_map;
        return {};
    }
    /// The form with a filter before the body, for macros that have one.
    [[nodiscard]] static std::optional<node_kind> filtered(node_kind kind) noexcept {
        if (kind == node_kind::map_each) return node_kind::map_filtered;
        if (kind == node_kind::transform_map) return node_kind::transform_map_filtered;
        if (kind == node_kind::transform_entries) return node_kind::transform_entries_filtered;
        return {};
    }

    /// A variable of a macro, and the comma after it.
    bool variable(std::string_view macro) {
        const token word = now();
        if (word.kind != token_kind::identifier) {
            fail("policy.syntax", fmt::format("expected a variable of '{}', found {}", macro, shown()), word);
            return false;
        }
        if (is_reserved(text(word))) {
            fail("policy.reserved_word", fmt::format("'{}' is a reserved word", text(word)), word,
                 "give the variable another name");
            return false;
        }
        ++at_;
        scopes_.push_back(text(word));
        return expect(token_kind::comma, fmt::format("',' after the variable of '{}'", macro));
    }

    /// Variables that live at once: a bit of `reads` each, and a register.
    bool too_many_variables(const token& name) {
        out_.slots = std::max(out_.slots, static_cast<std::uint32_t>(scopes_.size()));
        if (scopes_.size() <= most_slots) return false;
        fail("policy.macro_nesting", fmt::format("more than {} variables of macros at once", most_slots), name,
             "compute part of it in a field of the task");
        return true;
    }

    /// `range.all(x, body)` and the like; `range.map(x, condition, mapped)`; with two variables `range.all(i, v, body)`.
    found macro(node_kind kind, index range, const token& name, std::uint32_t start) {
        const std::string_view word = text(name);
        ++at_;
        node n = make(kind, name.offset, start);
        n.name = word;
        if (is_loop(kind) && loops_ >= limits_.macro_nesting)
            return fail("policy.macro_nesting", fmt::format("macros nested more than {} deep", limits_.macro_nesting), name,
                        "compute part of it in a field of the task");
        const bool always_two = word.starts_with("transform");
        const bool may_be_two = kind == node_kind::all || kind == node_kind::exists || kind == node_kind::exists_one;
        if (always_two || (may_be_two && peek(2).kind == token_kind::identifier && peek(3).kind == token_kind::comma))
            n.variables = 2;
        const std::size_t outside = scopes_.size();
        n.integer = static_cast<std::int64_t>(outside);
        std::vector<index> parts{range};
        const token second = peek(2);
        const bool named = variable(word) && (n.variables == 1 || variable(word)) && !too_many_variables(name);
        if (named && n.variables == 2 && scopes_[outside] == scopes_[outside + 1])
            return fail("policy.macro_arguments", fmt::format("both variables of '{}' have the same name", word), second);
        loops_ += is_loop(kind) ? 1U : 0U;
        const bool complete = named && list_until(token_kind::close_round, "')'", parts);
        loops_ -= is_loop(kind) ? 1U : 0U;
        scopes_.resize(outside);
        if (!complete) return {};
        if (const auto other = filtered(kind); other && parts.size() == 3) n.kind = *other;
        if (parts.size() != (is_filtered(n.kind) ? 3U : 2U))
            return fail("policy.macro_arguments",
                        fmt::format("'{}' takes {} and {}", word, n.variables == 2 ? "two variables" : "a variable",
                                    filtered(kind) ? "one or two expressions" : "one expression"),
                        name);
        return put(std::move(n), parts);
    }

    /// `cel.bind(x, value, body)`.
    found bound(const token& name, std::uint32_t start) {
        ++at_;
        node n = make(node_kind::bind, name.offset, start);
        n.name = "cel.bind";
        const std::size_t outside = scopes_.size();
        n.integer = static_cast<std::int64_t>(outside);
        if (!variable(n.name)) return {};
        const std::string_view word = scopes_.back();
        scopes_.pop_back();  // not known in its own value
        const found value = expression();
        if (!value || !expect(token_kind::comma, "',' after the value of 'cel.bind'")) return {};
        scopes_.push_back(word);
        const found body = too_many_variables(name) ? found{} : expression();
        scopes_.resize(outside);
        if (!body || !expect(token_kind::close_round, "')'")) return {};
        return put(std::move(n), std::array{*value, *body});
    }

    /// Expressions separated by commas up to the closing token. A trailing comma and "?x" are allowed in lists only.
    bool list_until(token_kind close, std::string_view what, std::vector<index>& out, bool literal = false) {
        if (accept(close)) return true;
        while (true) {
            const found item = literal ? maybe(now()) : expression();
            if (!item) return false;
            out.push_back(*item);
            if (accept(close)) return true;
            if (now().kind != token_kind::comma) {
                fail("policy.syntax", fmt::format("expected ',' or {}, found {}", what, shown()), now());
                return false;
            }
            ++at_;
            if (literal && accept(close)) return true;
        }
    }

    /// An item of a literal: x, or ?x which is there when the optional has a value.
    found maybe(const token& mark) {
        if (!accept(token_kind::question)) return expression();
        const found inner = expression();
        return inner ? put(make(node_kind::maybe, mark.offset, mark.offset), std::array{*inner}) : found{};
    }

    found primary(bool negative) {
        const token t = now();
        switch (t.kind) {
            case token_kind::integer:
            case token_kind::uinteger:
            case token_kind::number: return number(negative);
            case token_kind::text:
            case token_kind::bytes: {
                node n = make(t.kind == token_kind::text ? node_kind::text : node_kind::bytes, t.offset, t.offset);
                if (auto wrong = decode_literal(source_, t, n.name)) {
                    if (!problem_) problem_ = std::move(wrong);
                    return {};
                }
                ++at_;
                return put(std::move(n), {});
            }
            case token_kind::open_round: {
                ++at_;
                const found inner = expression();
                return inner && expect(token_kind::close_round, "')'") ? inner : found{};
            }
            case token_kind::open_square: {
                ++at_;
                std::vector<index> items;
                if (!list_until(token_kind::close_square, "']'", items, true)) return {};
                return put(make(node_kind::list, t.offset, t.offset), items);
            }
            case token_kind::open_curly: return map_literal();
            case token_kind::dot:
            case token_kind::identifier: return name();
            default: return fail("policy.syntax", fmt::format("expected a value, found {}", shown()), now());
        }
    }

    found number(bool negative) {
        const token t = now();
        const std::uint32_t start = t.offset - (negative ? 1 : 0);
        ++at_;
        std::string_view digits = text(t);
        if (t.kind == token_kind::number) {
            const auto v = parse_double(digits);
            if (!v) return fail("policy.bad_number", fmt::format("{} is out of the range of double", quote(digits)), t);
            node n = make(node_kind::number, t.offset, start);
            n.number = negative ? -*v : *v;
            return put(std::move(n), {});
        }
        if (t.kind == token_kind::uinteger) digits.remove_suffix(1);
        const auto magnitude = parse_magnitude(digits);
        constexpr std::uint64_t half = std::uint64_t{1} << 63;
        if (!magnitude || (t.kind == token_kind::integer && *magnitude > half - (negative ? 0 : 1)))
            return fail(
                "policy.bad_number",
                fmt::format("{} is out of the range of {}", quote(digits), t.kind == token_kind::integer ? "int" : "uint"), t);
        node n = make(t.kind == token_kind::integer ? node_kind::integer : node_kind::uinteger, t.offset, start);
        n.integer = static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude);
        return put(std::move(n), {});
    }

    found map_literal() {
        const token open = now();
        ++at_;
        std::vector<index> parts;
        while (!accept(token_kind::close_curly)) {
            const token mark = now();
            const bool optional = accept(token_kind::question);
            const found key = expression();
            if (!key || !expect(token_kind::colon, "':' after a map key")) return {};
            found item = expression();
            if (item && optional) item = put(make(node_kind::maybe, mark.offset, mark.offset), std::array{*item});
            if (!item) return {};
            parts.push_back(*key);
            parts.push_back(*item);
            if (accept(token_kind::close_curly)) break;
            if (!expect(token_kind::comma, "',' or '}'")) return {};
        }
        return put(make(node_kind::map, open.offset, open.offset), parts);
    }

    found name() {
        const std::uint32_t start = now().offset;
        const bool global = accept(token_kind::dot);
        const token t = now();
        if (t.kind != token_kind::identifier)
            return fail("policy.syntax", fmt::format("expected a name after '.', found {}", shown()), now());
        ++at_;
        const std::string_view word = text(t);
        if (is_literal_word(word) && !global) {
            node n = make(word == "null" ? node_kind::null : node_kind::boolean, t.offset, start);
            n.integer = word == "true" ? 1 : 0;
            return put(std::move(n), {});
        }
        if (is_reserved(word))
            return fail("policy.reserved_word", fmt::format("'{}' is a reserved word", word), t, "it can only name a field");
        if (now().kind == token_kind::open_round) return word == "has" && !global ? has(t) : call(word, t.offset, start, {});
        if (!global) {
            for (std::size_t i = scopes_.size(); i-- > 0;) {
                if (scopes_[i] != word) continue;
                node n = make(node_kind::slot, t.offset, start);
                n.integer = static_cast<std::int64_t>(i);
                n.name = word;
                return put(std::move(n), {});
            }
        }
        node n = make(node_kind::variable, t.offset, start);
        n.name = word;
        n.global = global;
        return put(std::move(n), {});
    }

    found call(std::string_view name, std::uint32_t offset, std::uint32_t start, found receiver) {
        node n = make(node_kind::call, offset, start);
        n.name = name;
        n.member = receiver.has_value();
        ++at_;
        std::vector<index> arguments;
        if (receiver) arguments.push_back(*receiver);
        if (!list_until(token_kind::close_round, "')'", arguments)) return {};
        return put(std::move(n), arguments);
    }

    /// has(a.b): the selection inside becomes the test.
    found has(const token& t) {
        ++at_;
        const found inner = expression();
        if (!inner || !expect(token_kind::close_round, "')' of has")) return {};
        node& selected = out_.nodes[*inner];
        if (selected.kind != node_kind::select)
            return fail("policy.has_argument", "has() takes a field, such as has(task.region)", t);
        selected.kind = node_kind::has;
        selected.start = t.offset;
        selected.stop = tokens_[at_ - 1].offset + tokens_[at_ - 1].length;
        return inner;
    }

    std::vector<std::string_view> scopes_;  // variables of the macros around
    std::size_t loops_ = 0;                 // macros over lists around
};

OPSPILOT_INLINE std::optional<problem> parse(std::string_view source, const parse_limits& limits, tree& out) {
    if (source.size() > limits.bytes)
        return problem{"policy.too_long", fmt::format("the expression has {} bytes, {} are allowed", source.size(), limits.bytes),
                       "split it into several rules", 0, 1};
    out = tree{};
    out.source = source;
    std::vector<token> tokens;
    if (auto wrong = tokenize(out.source, tokens)) return wrong;
    return parser(out.source, limits, out, tokens).run();
}

}  // namespace opspilot::cel::detail
