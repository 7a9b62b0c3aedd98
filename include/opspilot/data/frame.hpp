/// \file
/// One task with its candidates, as features, policy and rank read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot {

/// A view of everything known about one decision. Owns nothing; valid while the tables and the interner are.
/// Candidate i is action `actions->row(action_rows[i])` with the pair fields in row `pair_begin + i` of `pairs`.
struct frame {
    const table* task = nullptr;                 ///< role::task
    std::size_t task_row = 0;                    ///< the row of `task` that is decided
    const table* actions = nullptr;              ///< role::action: the bundle's catalogue, or actions the host brought
    std::span<const std::uint32_t> action_rows;  ///< one per candidate
    const table* pairs = nullptr;                ///< role::candidate; null when the schema declares no candidate fields
    std::size_t pair_begin = 0;
    const interner* strings = nullptr;  ///< texts of all codes above
    std::int64_t now_us = 0;            ///< the host's time of decision
    bool catalogue = false;             ///< `actions` is the table that was prepared when the bundle was compiled

    [[nodiscard]] std::size_t size() const noexcept { return action_rows.size(); }
    /// The cell of a field for candidate i (ignored for task fields).
    [[nodiscard]] cell get(schema::path p, std::size_t i) const noexcept {
        switch (p.where) {
            case role::task: return task->get(p.index, task_row);
            case role::action: return actions->get(p.index, action_rows[i]);
            case role::candidate: return pairs->get(p.index, pair_begin + i);
        }
        return {};
    }
};

}  // namespace opspilot
