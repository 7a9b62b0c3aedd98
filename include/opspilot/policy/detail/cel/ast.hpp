/// \file
/// Internal: the syntax tree of one expression, as a flat array in evaluation order.
///
/// Children stand before their parents, and the nodes of a subtree are contiguous: [begin, index]. So every pass is a loop,
/// not a recursion, however long a chain of operators is. Variables of macros are resolved to numbered slots by the parser.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opspilot::cel::detail {

enum class node_kind : std::uint8_t {
    null,
    boolean,   ///< `number` != 0
    integer,   ///< `integer`
    uinteger,  ///< `integer` as bits
    number,    ///< `number`
    text,      ///< `name`
    bytes,     ///< `name`
    variable,  ///< `name`; `global` for ".name"
    slot,      ///< variable of an enclosing macro: `integer` = its slot
    select,    ///< child 0 . `name`
    has,       ///< has(child 0 . `name`)
    index,     ///< child 0 [ child 1 ]
    call,      ///< function `name`; `member`: child 0 is the receiver
    negate,
    not_,
    add,
    subtract,
    multiply,
    divide,
    modulo,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    and_,
    or_,
    conditional,  ///< child 0 ? child 1 : child 2
    list,
    map,  ///< key, item, key, item, …
    // Macros: child 0 is the range, child 1 the body, child 2 (only map_filtered) the mapped expression; slot in `integer`.
    all,
    exists,
    exists_one,
    map_each,
    map_filtered,  ///< range.map(x, body, mapped)
    filter,
};

struct node {
    node_kind kind = node_kind::null;
    bool member = false;
    bool global = false;
    std::uint32_t begin = 0;   ///< index of the first node of this subtree
    std::uint32_t offset = 0;  ///< byte of the source this node is about: its operator, name or first byte
    std::uint32_t first = 0;   ///< where its children start in `tree::children`
    std::uint32_t count = 0;   ///< how many
    std::uint32_t start = 0;   ///< source range [start, stop)
    std::uint32_t stop = 0;
    std::string name;
    std::int64_t integer = 0;
    double number = 0;
};

struct tree {
    std::string source;
    std::vector<node> nodes;              ///< never empty; the root is the last
    std::vector<std::uint32_t> children;  ///< indices into nodes
    std::vector<std::uint32_t> parents;   ///< per node; the root's is its own index
    std::uint32_t slots = 0;              ///< how many macro variables live at once

    [[nodiscard]] std::uint32_t root() const noexcept { return static_cast<std::uint32_t>(nodes.size() - 1); }
    [[nodiscard]] std::uint32_t child(std::uint32_t of, std::uint32_t i) const noexcept { return children[nodes[of].first + i]; }
    [[nodiscard]] std::string_view text_of(std::uint32_t n) const noexcept {
        return std::string_view(source).substr(nodes[n].start, nodes[n].stop - nodes[n].start);
    }
};

[[nodiscard]] constexpr bool is_macro(node_kind k) noexcept { return k >= node_kind::all; }

[[nodiscard]] constexpr std::string_view macro_name(node_kind k) noexcept {
    switch (k) {
        case node_kind::all: return "all";
        case node_kind::exists: return "exists";
        case node_kind::exists_one: return "exists_one";
        case node_kind::filter: return "filter";
        default: return "map";
    }
}

}  // namespace opspilot::cel::detail
