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
        const tree_op* const ops = p_.ops.data() + tree.first_op;
        const fold_node* const nodes = p_.folds.data() + tree.first_op;
        const std::uint8_t* const right_first = p_.right_first.data() + tree.first_op;
        const std::uint8_t* const known = a_.known.data();
        const std::int8_t* const answer = a_.rank.data();
        const std::size_t n = tree.ops;
        // Parents before children: what a candidate can still reach.
        if (n == 0)
            live_[256] = 1;
        else
            live_[n - 1] = 1;
        for (std::size_t i = n; i-- > 0;) {
            const tree_op op = ops[i];
            const unsigned is_known = known[op.column];
            const unsigned goes_right = answer[op.column] > op.rank ? 1U : 0U;
            const unsigned here = live_[i];
            live_[nodes[i].left] = static_cast<std::uint8_t>(here & ~(is_known & goes_right));
            live_[nodes[i].right] = static_cast<std::uint8_t>(here & ~(is_known & (goes_right ^ 1U)));
        }
        const std::size_t leaves = tree.leaves;
        const bool coarse = !p_.rounded.empty();
        for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
            const std::uint8_t live = live_[256 + leaf];
            if (p_.values.floats.empty())
                out_.doubles[value_] = p_.values.doubles[tree.first_value + leaf];
            else
                out_.floats[value_] = p_.values.floats[tree.first_value + leaf];
            value_ += live;
            count_[256 + leaf] = live;
            if (coarse) first_[256 + leaf] = p_.rounded[tree.first_value + leaf];
        }
        // Children before parents: unreached children count no leaves, so one sum serves answered and open splits alike.
        std::uint32_t depth = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const fold_node node = nodes[i];
            const std::uint32_t left = count_[node.left], right = count_[node.right];
            count_[i] = static_cast<std::uint16_t>(left + right);
            first_[i] = left != 0 ? first_[node.left] : first_[node.right];
            const std::uint32_t open = live_[i] & (known[ops[i].column] ^ 1U);
            const std::uint32_t l = left > 1 ? open : 0U, r = right > 1 ? open : 0U;
            const std::uint32_t base = depth - l - r;
            const std::uint32_t later = right_first[i];
            tree_op op = ops[i];
            op.step = static_cast<std::uint8_t>(left);
            op.left = static_cast<std::uint8_t>(l * (base + r * later + 1));
            op.right = static_cast<std::uint8_t>(r * (base + l * (later ^ 1U) + 1));
            op.dest = static_cast<std::uint8_t>(base + 1);
            op.coarse = static_cast<std::uint8_t>(first_[node.right] - first_[node.left]);
            out_.ops[op_] = op;
            op_ += open;
            depth = open != 0 ? base + 1 : depth;
        }
        folded.first_coarse = n == 0 ? first_[256] : first_[n - 1];
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
    std::uint8_t live_[512] = {};
    std::uint16_t count_[512] = {};
    std::uint8_t first_[512] = {};
};

}  // namespace opspilot::detail
