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
    boolean,          ///< `number` != 0
    integer,          ///< `integer`
    uinteger,         ///< `integer` as bits
    number,           ///< `number`
    text,             ///< `name`
    bytes,            ///< `name`
    variable,         ///< `name`; `global` for ".name"
    slot,             ///< variable of an enclosing macro: `integer` = its slot
    select,           ///< child 0 . `name`
    optional_select,  ///< child 0 .? `name`
    has,              ///< has(child 0 . `name`)
    index,            ///< child 0 [ child 1 ]
    optional_index,   ///< child 0 [? child 1 ]
    maybe,            ///< in a list or map literal: ? child 0
    call,             ///< function `name`; `member`: child 0 is the receiver
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
    // Macros: child 0 is the range, child 1 the body; of filtered forms child 1 is the filter and child 2 the body. Variables are
    // the slot `integer` and, where there are two, the next one.
    all,
    exists,
    exists_one,
    map_each,
    map_filtered,
    filter,
    transform_map,  ///< a map with the keys of the range
    transform_map_filtered,
    transform_entries,  ///< a map of all entries that the bodies give
    transform_entries_filtered,
    bind,          ///< cel.bind(x, child 0, child 1)
    opt_map,       ///< child 0 is an optional
    opt_flat_map,  ///< the body gives one too
};

struct node {
    node_kind kind = node_kind::null;
    bool member = false;
    bool global = false;
    std::uint8_t variables = 1;  ///< of a macro: 1 or 2
    std::uint32_t begin = 0;     ///< index of the first node of this subtree
    std::uint32_t offset = 0;    ///< byte of the source this node is about: its operator, name or first byte
    std::uint32_t first = 0;     ///< where its children start in `tree::children`
    std::uint32_t count = 0;     ///< how many
    std::uint32_t start = 0;     ///< source range [start, stop)
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

/// Whether it runs over a list or map, and not over one value at most.
[[nodiscard]] constexpr bool is_loop(node_kind k) noexcept { return is_macro(k) && k < node_kind::bind; }
[[nodiscard]] constexpr bool is_filtered(node_kind k) noexcept {
    return k == node_kind::map_filtered || k == node_kind::transform_map_filtered || k == node_kind::transform_entries_filtered;
}
[[nodiscard]] constexpr bool makes_list(node_kind k) noexcept { return k >= node_kind::map_each && k <= node_kind::filter; }
[[nodiscard]] constexpr bool makes_map(node_kind k) noexcept {
    return k >= node_kind::transform_map && k <= node_kind::transform_entries_filtered;
}

}  // namespace opspilot::cel::detail
