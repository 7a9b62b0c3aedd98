/// \file
/// Internal: reading tokens and appending nodes, with the bounds of a tree. The grammar itself is in parser-inl.hpp.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/parser.hpp"

namespace opspilot::cel::detail {

/// Reads tokens and writes nodes: what the grammar below is made of.
class tree_writer {
protected:
    using index = std::uint32_t;
    using found = std::optional<index>;  // nothing = failed, the reason is in problem_

    tree_writer(std::string_view source, const parse_limits& limits, tree& out, const std::vector<token>& tokens)
        : source_(source), limits_(limits), out_(out), tokens_(tokens) {}

    [[nodiscard]] const token& now() const noexcept { return tokens_[at_]; }
    [[nodiscard]] const token& peek(std::size_t ahead = 1) const noexcept {
        return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
    }
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
        explicit level(tree_writer& p) : owner(p) { ++owner.depth_; }
        ~level() { --owner.depth_; }
        level(const level&) = delete;
        level& operator=(const level&) = delete;
        tree_writer& owner;
    };
    bool too_deep() {
        if (depth_ <= limits_.depth) return false;
        fail("policy.too_deep", fmt::format("nested more than {} levels deep", limits_.depth), now(), "split the expression");
        return true;
    }

    std::string_view source_;
    const parse_limits& limits_;
    tree& out_;
    const std::vector<token>& tokens_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    std::optional<problem> problem_;
};

}  // namespace opspilot::cel::detail
