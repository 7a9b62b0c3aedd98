/// \file
/// Internal: one decision on its way through a feature program: rows, operands, scratch.
#pragma once

#include <cstdint>
#include <vector>

#include "opspilot/features/detail/buckets.hpp"
#include "opspilot/features/detail/program.hpp"

namespace opspilot {

struct feature_workspace::impl {
    std::vector<double> task_values;
    std::vector<std::vector<double>> pair_values;  // per pair slot
    std::vector<std::vector<double>> gathered;     // per action slot that a pair step reads
    prepared_actions local;                        // action parts of actions that were not prepared
    // Text and tokens
    text_workspace text;
    word_text row_text;
    std::vector<word_text> task_texts;
    std::vector<std::uint8_t> text_ready;
    std::vector<std::vector<std::uint64_t>> part_tokens;  // of task parts
    std::vector<std::uint8_t> part_ready;
    std::vector<std::uint32_t> starts;
    std::vector<std::uint64_t> tokens[2], crossed, one_part, next_part;
    std::string join_bytes[3];
    std::vector<std::uint32_t> join_ends[3];
    // Look-up tables of one step
    std::vector<std::uint32_t> marks;  // per string code
    std::vector<std::uint8_t> hits;    // per word of a vocabulary, after one for none
    std::vector<double> weighted_hits;
    // Sparse blocks
    detail::bucket_counter counted;
    std::vector<std::uint64_t> entries, entry_scratch;
    std::vector<double> weights;
};

namespace detail {

/// Which fold's labels are left out.
inline constexpr std::uint32_t every_fold = no_slot;

/// Rows of one field as a phase walks them.
struct field_rows {
    const column* values = nullptr;
    const std::uint32_t* gather = nullptr;  // row i is gather[i]; null: base + i
    std::size_t base = 0;
    bool constant = false;  // row i is base
    [[nodiscard]] std::size_t at(std::size_t i) const noexcept { return constant ? base : gather ? gather[i] : base + i; }
};

/// A number operand: a column, or one value for all rows.
struct operand {
    const double* values = nullptr;
    double constant = 0;
    [[nodiscard]] double at(std::size_t i) const noexcept { return values ? values[i] : constant; }
};

struct feature_run {
    const feature_plan::impl& plan;
    const frame& f;
    const interner& strings;
    feature_workspace::impl& ws;
    const prepared_actions* actions = nullptr;    // what action operands read
    const std::uint32_t* action_index = nullptr;  // candidate -> row of `actions`; null: the same
    scope phase = scope::task;
    std::size_t n = 1;
    std::uint32_t fold = every_fold;

    [[nodiscard]] field_rows rows(const field_use& use) const noexcept {
        switch (use.path.where) {
            case role::task: return {&f.task->at(use.path.index), nullptr, f.task_row, true};
            case role::action: return {&f.actions->at(use.path.index), f.action_rows.data(), 0, false};
            case role::candidate: return {&f.pairs->at(use.path.index), nullptr, f.pair_begin, false};
        }
        return {};
    }
    [[nodiscard]] operand number(std::uint32_t index) const noexcept {
        const slot& s = plan.slots[index];
        switch (s.where) {
            case scope::task: return {nullptr, ws.task_values[s.place]};
            case scope::action:
                return {phase == scope::action ? actions->values[s.place].data() : ws.gathered[s.place].data(), 0};
            case scope::pair: return {ws.pair_values[s.place].data(), 0};
        }
        return {};
    }
};

/// Calls body(i, row) for all rows with the kind of walk decided outside the loop.
template <class F>
inline void each_row(const field_rows& r, std::size_t n, F&& body) {
    if (r.constant)
        for (std::size_t i = 0; i < n; ++i) body(i, r.base);
    else if (r.gather != nullptr)
        for (std::size_t i = 0; i < n; ++i) body(i, std::size_t{r.gather[i]});
    else
        for (std::size_t i = 0; i < n; ++i) body(i, r.base + i);
}

}  // namespace detail
}  // namespace opspilot
