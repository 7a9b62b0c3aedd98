// Folding: the splits on a task's own features have one answer for all of its candidates, so they are answered first, and only
// what still depends on a candidate is left of each tree.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_program.hpp"

namespace opspilot::detail {

/// What is left of a program for one task. Reused from task to task.
struct folded_program {
    std::vector<tree_op> ops;
    std::vector<double> doubles;
    std::vector<float> floats;
    std::vector<program_tree> trees;
};

/// Answers known for one task, per column.
struct task_answers {
    std::vector<std::uint8_t> known;  // 1: a column of the task
    std::vector<std::int8_t> rank;    // its byte
};

class tree_folder {
public:
    tree_folder(const tree_program& program, const task_answers& answers, folded_program& out) noexcept
        : p_(program), a_(answers), out_(out) {}

    /// Trees of one output only, none walked.
    void fold() {
        // Room for everything, so that emission may always write and advance by what is live.
        out_.ops.resize(p_.ops.size() + 1);
        out_.doubles.resize(p_.values.doubles.size() + 1);
        out_.floats.resize(p_.values.floats.size() + 1);
        out_.trees.resize(p_.trees.size());
        for (std::size_t t = 0; t < p_.trees.size(); ++t) {
            const program_tree& tree = p_.trees[t];
            program_tree& folded = out_.trees[t];
            folded = tree;
            folded.first_op = op_;
            folded.first_value = value_;
            if (tree.by_levels)
                fold_levels(tree, folded);
            else
                fold_splits(tree, folded);
            folded.ops = static_cast<std::uint16_t>(op_ - folded.first_op);
            folded.leaves = static_cast<std::uint16_t>(value_ - folded.first_value);
        }
    }

private:
    void fold_splits(const program_tree& tree, program_tree& folded) {
        // Everything stands in locals: a store of a byte could otherwise mean any member, which would be read again.
        const tree_op* const ops = p_.ops.data() + tree.first_op;
        const fold_node* const nodes = p_.folds.data() + tree.first_op;
        const std::uint8_t* const known = a_.known.data();
        const std::int8_t* const answer = a_.rank.data();
        const std::uint32_t n = tree.ops;
        const std::uint32_t leaves = tree.leaves;
        std::uint8_t* const live = live_;
        std::uint32_t* const left_of = left_over_;
        // Parents before children: what a candidate can still reach.
        live[n == 0 ? 256 : n - 1] = 1;
        for (std::uint32_t i = n; i-- > 0;) {
            const tree_op op = ops[i];
            const fold_node node = nodes[i];
            const std::uint32_t is_known = known[op.column];
            const std::uint32_t right = answer[op.column] > op.rank ? 1U : 0U;
            const std::uint32_t here = live[i];
            live[node.left & fold_child] = static_cast<std::uint8_t>(here & ~(is_known & right));
            live[node.right] = static_cast<std::uint8_t>(here & ~(is_known & (right ^ 1U)));
        }
        std::uint32_t value = value_;
        const std::uint8_t* const rounded = p_.rounded.empty() ? nothing_ : p_.rounded.data() + tree.first_value;
        const auto copy = [&](const auto* from, auto* to) {
            for (std::uint32_t leaf = 0; leaf < leaves; ++leaf) {
                const std::uint32_t lives = live[256 + leaf];
                to[value] = from[leaf];
                value += lives;
                left_of[256 + leaf] = lives | static_cast<std::uint32_t>(rounded[leaf]) << 16U;
            }
        };
        if (p_.values.floats.empty())
            copy(p_.values.doubles.data() + tree.first_value, out_.doubles.data());
        else
            copy(p_.values.floats.data() + tree.first_value, out_.floats.data());
        value_ = value;
        // Children before parents: unreached children count no leaves, so one sum serves answered and open splits alike.
        tree_op* out = out_.ops.data() + op_;
        std::uint32_t depth = 0;
        for (std::uint32_t i = 0; i < n; ++i) {
            tree_op op = ops[i];
            const fold_node node = nodes[i];
            const std::uint32_t left = left_of[node.left & fold_child];
            const std::uint32_t right = left_of[node.right];
            const std::uint32_t open = live[i] & (known[op.column] ^ 1U);
            const std::uint32_t left_count = left & 0xFFFFU;
            const std::uint32_t right_count = right & 0xFFFFU;
            left_of[i] = ((left_count != 0 ? left : right) & ~0xFFFFU) | (left_count + right_count);
            const std::uint32_t l = left_count > 1 ? open : 0U;
            const std::uint32_t r = right_count > 1 ? open : 0U;
            const std::uint32_t base = depth - l - r;
            const std::uint32_t later = node.left >> 15U;  // the right side was evaluated first
            op.step = static_cast<std::uint8_t>(left_count);
            op.left = static_cast<std::uint8_t>((0U - l) & (base + (r & later) + 1));
            op.right = static_cast<std::uint8_t>((0U - r) & (base + (l & (later ^ 1U)) + 1));
            op.dest = static_cast<std::uint8_t>(base + 1);
            op.coarse = static_cast<std::uint8_t>((right >> 16U) - (left >> 16U));
            *out = op;
            out += open;
            depth = base + open;
        }
        op_ = static_cast<std::uint32_t>(out - out_.ops.data());
        folded.first_coarse = static_cast<std::uint8_t>(left_of[n == 0 ? 256 : n - 1] >> 16U);
    }

    void fold_levels(const program_tree& tree, program_tree& folded) {
        std::uint32_t fixed = 0, open = 0;  // bits of a leaf's number
        for (std::uint32_t d = 0; d < tree.ops; ++d) {
            const tree_op op = p_.ops[tree.first_op + d];
            const std::uint32_t bit = 1U << (tree.ops - 1U - d);
            if (a_.known[op.column] == 0) {
                out_.ops[op_++] = op;
                open |= bit;
            } else if (a_.rank[op.column] > op.rank) {
                fixed |= bit;
            }
        }
        // All numbers whose bits outside `open` are `fixed`, in ascending order.
        for (std::uint32_t sub = 0;; sub = (sub - open) & open) {
            const std::uint32_t leaf = tree.first_value + (fixed | sub);
            if (p_.values.floats.empty())
                out_.doubles[value_] = p_.values.doubles[leaf];
            else
                out_.floats[value_] = p_.values.floats[leaf];
            ++value_;
            if (sub == open) break;
        }
        folded.by_levels = true;
    }

    const tree_program& p_;
    const task_answers& a_;
    folded_program& out_;
    std::uint32_t op_ = 0, value_ = 0;
    // Per operation, then per leaf (from 256 on). Words are written and read whole: half a word's store would stall its load.
    std::uint8_t live_[512] = {};
    std::uint32_t left_over_[512] = {};  // leaves that can be reached; above 16 bits the rounded value of the leftmost of them
    std::uint8_t nothing_[program_leaves] = {};
};

}  // namespace opspilot::detail
