#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"

namespace opspilot::cel::detail {

/// Precedence climbing. Binary operators loop, unary ones are counted; only brackets, calls and conditionals recurse, and
/// `depth_` bounds them.
class parser {
public:
    parser(std::string_view source, const parse_limits& limits, tree& out, const std::vector<token>& tokens)
        : source_(source), limits_(limits), out_(out), tokens_(tokens) {}

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
    using index = std::uint32_t;
    using found = std::optional<index>;  // nothing = failed, the reason is in problem_

    [[nodiscard]] const token& now() const noexcept { return tokens_[at_]; }
    [[nodiscard]] const token& peek() const noexcept { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    [[nodiscard]] std::string_view text(const token& t) const noexcept { return source_.substr(t.offset, t.length); }
    [[nodiscard]] std::string shown() const {
        return now().kind == token_kind::end ? std::string("end of the expression") : fmt::format("{}", quote(text(now())));
    }
    bool accept(token_kind kind) noexcept {
        if (now().kind != kind) return false;
        ++at_;
        return true;
    }
    std::nullopt_t fail(std::string_view code, std::string message, const token& where, std::string hint = {}) {
        if (!problem_)
            problem_ = problem{code, std::move(message), std::move(hint), where.offset, std::max<std::uint32_t>(where.length, 1)};
        return std::nullopt;
    }
    bool expect(token_kind kind, std::string_view what) {
        if (accept(kind)) return true;
        fail("policy.syntax", fmt::format("expected {}, found {}", what, shown()), now());
        return false;
    }

    /// Appends a node over the given children. `begin` is the first node of the first child, or the node itself.
    found put(node n, std::span<const index> children) {
        if (out_.nodes.size() >= limits_.nodes)
            return fail("policy.too_many_nodes", fmt::format("the expression has more than {} parts", limits_.nodes), now(),
                        "split it into several rules");
        n.first = static_cast<index>(out_.children.size());
        n.count = static_cast<index>(children.size());
        n.begin = children.empty() ? static_cast<index>(out_.nodes.size()) : out_.nodes[children.front()].begin;
        out_.children.insert(out_.children.end(), children.begin(), children.end());
        n.stop = at_ > 0 ? tokens_[at_ - 1].offset + tokens_[at_ - 1].length : 0;
        out_.nodes.push_back(std::move(n));
        return static_cast<index>(out_.nodes.size() - 1);
    }
    [[nodiscard]] static node make(node_kind kind, std::uint32_t offset, std::uint32_t start) {
        node n;
        n.kind = kind;
        n.offset = offset;
        n.start = start;
        return n;
    }

    /// Counts one level of nesting while it lives.
    struct level {
        explicit level(parser& p) : owner(p) { ++owner.depth_; }
        ~level() { --owner.depth_; }
        level(const level&) = delete;
        level& operator=(const level&) = delete;
        parser& owner;
    };
    bool too_deep() {
        if (depth_ <= limits_.depth) return false;
        fail("policy.too_deep", fmt::format("nested more than {} levels deep", limits_.depth), now(), "split the expression");
        return true;
    }

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
                target = selector(*target, start);
            } else if (now().kind == token_kind::open_square) {
                const std::uint32_t offset = now().offset;
                ++at_;
                const found inner = expression();
                if (!inner || !expect(token_kind::close_square, "']'")) return {};
                target = put(make(node_kind::index, offset, start), std::array{*target, *inner});
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

    found selector(index target, std::uint32_t start) {
        const token name = now();
        if (name.kind != token_kind::identifier || is_literal_word(text(name)))
            return fail("policy.syntax", fmt::format("expected a field or function name after '.', found {}", shown()), now());
        ++at_;
        if (now().kind != token_kind::open_round) {
            node n = make(node_kind::select, name.offset, start);
            n.name = text(name);
            return put(std::move(n), std::array{target});
        }
        if (const auto kind = macro_of(text(name)); kind && peek().kind == token_kind::identifier)
            return macro(*kind, target, name, start);
        node n = make(node_kind::call, name.offset, start);
        n.name = text(name);
        n.member = true;
        ++at_;
        std::vector<index> arguments{target};
        if (!list_until(token_kind::close_round, "')'", arguments)) return {};
        return put(std::move(n), arguments);
    }

    [[nodiscard]] static bool is_literal_word(std::string_view word) noexcept {
        return word == "true" || word == "false" || word == "null";
    }

    [[nodiscard]] static std::optional<node_kind> macro_of(std::string_view name) noexcept {
        if (name == "all") return node_kind::all;
        if (name == "exists") return node_kind::exists;
        if (name == "exists_one" || name == "existsOne") return node_kind::exists_one;
        if (name == "map") return node_kind::map_each;
        if (name == "filter") return node_kind::filter;
        return {};
    }

    /// `range.all(x, body)` and the like; `range.map(x, condition, mapped)`.
    found macro(node_kind kind, index range, const token& name, std::uint32_t start) {
        ++at_;
        const token variable = now();
        if (is_reserved(text(variable)))
            return fail("policy.reserved_word", fmt::format("'{}' is a reserved word", text(variable)), variable,
                        "give the variable another name");
        ++at_;
        if (!expect(token_kind::comma, fmt::format("',' after the variable of '{}'", text(name)))) return {};
        if (scopes_.size() >= limits_.macro_nesting)
            return fail("policy.macro_nesting", fmt::format("macros nested more than {} deep", limits_.macro_nesting), name,
                        "compute part of it in a field of the task");
        node n = make(kind, name.offset, start);
        n.integer = static_cast<std::int64_t>(scopes_.size());
        scopes_.push_back(text(variable));
        out_.slots = std::max(out_.slots, static_cast<std::uint32_t>(scopes_.size()));
        std::vector<index> parts{range};
        const bool complete = list_until(token_kind::close_round, "')'", parts);
        scopes_.pop_back();
        if (!complete) return {};
        if (kind == node_kind::map_each && parts.size() == 3) n.kind = node_kind::map_filtered;
        if (parts.size() != (n.kind == node_kind::map_filtered ? 3U : 2U))
            return fail("policy.macro_arguments",
                        fmt::format("'{}' takes a variable and {}", text(name),
                                    kind == node_kind::map_each ? "one or two expressions" : "one expression"),
                        name);
        return put(std::move(n), parts);
    }

    /// Expressions separated by commas up to the closing token. A trailing comma is allowed in lists and maps only.
    bool list_until(token_kind close, std::string_view what, std::vector<index>& out, bool trailing = false) {
        if (accept(close)) return true;
        while (true) {
            const found item = expression();
            if (!item) return false;
            out.push_back(*item);
            if (accept(close)) return true;
            if (now().kind != token_kind::comma) {
                fail("policy.syntax", fmt::format("expected ',' or {}, found {}", what, shown()), now());
                return false;
            }
            ++at_;
            if (trailing && accept(close)) return true;
        }
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
            const found key = expression();
            if (!key || !expect(token_kind::colon, "':' after a map key")) return {};
            const found item = expression();
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
        if (now().kind == token_kind::open_round) return word == "has" && !global ? has(t) : call(t, start);
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

    found call(const token& t, std::uint32_t start) {
        ++at_;
        std::vector<index> arguments;
        if (!list_until(token_kind::close_round, "')'", arguments)) return {};
        node n = make(node_kind::call, t.offset, start);
        n.name = text(t);
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

    std::string_view source_;
    const parse_limits& limits_;
    tree& out_;
    const std::vector<token>& tokens_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    std::vector<std::string_view> scopes_;
    std::optional<problem> problem_;
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
