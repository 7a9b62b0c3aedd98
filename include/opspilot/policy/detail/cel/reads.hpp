/// \file
/// Internal: which records each part of an expression reads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "opspilot/policy/detail/cel/checker.hpp"

namespace opspilot::cel::detail {

/// What an expression reads. A bit each; macro variables follow from bit 8.
enum dependency : std::uint32_t { reads_nothing = 0, reads_task = 1, reads_action = 2, reads_candidate = 4, reads_variables = 8 };

[[nodiscard]] constexpr std::uint32_t slot_bit(std::int64_t slot) noexcept { return std::uint32_t{256} << slot; }

/// Per node, the union over its subtree. A macro's own variable is not read by the macro as a whole.
[[nodiscard]] inline std::vector<std::uint32_t> find_reads(const checked& c) {
    std::vector<std::uint32_t> out(c.ast.nodes.size(), reads_nothing);
    for (std::uint32_t i = 0; i < c.ast.nodes.size(); ++i) {
        const node& n = c.ast.nodes[i];
        const meaning& m = c.meanings[i];
        std::uint32_t reads = reads_nothing;
        for (std::uint32_t k = 0; k < n.count; ++k) {
            std::uint32_t part = out[c.ast.child(i, k)];
            if (k > 0 && is_macro(n.kind)) part &= ~slot_bit(n.integer);
            reads |= part;
        }
        if (n.kind == node_kind::slot) reads |= slot_bit(n.integer);
        if (m.what == reference::variable || m.what == reference::path || m.what == reference::absorbed) reads |= reads_variables;
        if (m.what == reference::now) reads |= reads_task;
        if (m.what == reference::field) {
            constexpr std::array<std::uint32_t, 3> bit{reads_task, reads_action, reads_candidate};
            reads = bit[static_cast<std::size_t>(m.where.where)];
        }
        out[i] = reads;
    }
    return out;
}

}  // namespace opspilot::cel::detail
