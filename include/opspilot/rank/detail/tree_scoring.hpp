// One call of a scorer: which way to go, block after block.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_costs.hpp"
#include "opspilot/rank/detail/tree_run.hpp"
#include "opspilot/rank/detail/tree_steps.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace opspilot {

struct tree_workspace::impl {
    detail::tree_block block;
    detail::task_answers answers;
    detail::folded_program folded;
    std::vector<float> float_rows;  // a block's rows, joined
    std::vector<double> double_rows;
    std::vector<std::uint16_t> coarse_sums;
    std::vector<std::uint32_t> coarse;  // per candidate
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> places;
    std::vector<double> scores;
};

namespace detail {

/// One call: an ensemble, an engine, and where the values come from.
class scoring {
public:
    scoring(const tree_program& p, const tree_kernel& kernel, const tree_input& in, tree_workspace::impl& ws) noexcept
        : p_(p), kernel_(kernel), in_(in), ws_(ws), costs_(p, kernel) {
        for (const feature_ranks& f : p.ranks.features) ranked_ += ranked_of(f);
    }

    /// Answers the splits on features that have one value for all candidates now, where that is to be had and pays. `count`:
    /// how many candidates will be scored.
    void fold(std::size_t count) {
        if (p_.has_walked || !p_.ranked || p_.outputs() != 1) return;
        std::size_t known = 0, known_features = 0;
        for (const feature_ranks& f : p_.ranks.features)
            if (in_.same(f.feature)) {
                known_features += ranked_of(f);
                for (std::uint32_t c = 0; c < f.columns; ++c) known += p_.ranks.columns[f.first_column + c].splits;
            }
        if (known_features == 0) return;
        ranked_ -= known_features;  // one value for all candidates
        const double share = costs_.left_over(known);
        const double folded = costs_.fold + costs_.program(count, share, ranked_);
        if (folded > costs_.program(count, 1.0, ranked_) || folded > costs_.walk(count)) return;
        const std::size_t columns = p_.ranks.columns.size();
        ws_.answers.known.assign(columns, 0);
        ws_.answers.rank.resize(columns);
        block_ranker ranker(p_, kernel_, ws_.block);
        ws_.block.candidates[0] = 0;
        for (const feature_ranks& f : p_.ranks.features) {
            if (!in_.same(f.feature)) continue;
            ranker.rank(f, in_.of(f.feature), 1, ws_.answers.rank.data() + f.first_column, 1);
            std::fill_n(ws_.answers.known.begin() + f.first_column, f.columns, std::uint8_t{1});
        }
        tree_folder(p_, ws_.answers, ws_.folded).fold();
        folded_ = true;
    }
    [[nodiscard]] bool folded() const noexcept { return folded_; }
    /// What ranking a feature costs, in numbers' ranks: a category set takes a lane a fraction of that.
    static std::size_t ranked_of(const feature_ranks& f) noexcept {
        return f.categorical ? 1 + (f.chunks != 0 ? f.columns / 16 : 2 * f.columns) : 1;
    }

    /// All scores of `candidates` (null: all, in order), candidates × outputs.
    void scores(std::span<const std::uint32_t> candidates, std::span<double> out) {
        const std::size_t outputs = p_.outputs();
        const std::size_t count = candidates.data() != nullptr ? candidates.size() : in_.candidates;
        const bool walk = !folded_ && (!p_.ranked || costs_.walk(count) < costs_.program(count, 1.0, ranked_));
        for (std::size_t first = 0; first < count; first += tree_lanes) {
            const std::size_t lanes = std::min(tree_lanes, count - first);
            name_lanes(candidates, first, lanes);
            double* const scores = out.data() + first * outputs;
            if (p_.float_sums)
                block<float>(lanes, walk, scores);
            else
                block<double>(lanes, walk, scores);
        }
        finish_tree_sums(p_, out);
    }

    /// Sums of rounded leaf values of all candidates, in ws.coarse.
    void coarse() {
        ws_.coarse.assign(in_.candidates, 0);
        ws_.coarse_sums.resize(tree_lanes);
        const program_view view = the_view();
        for (std::size_t first = 0; first < in_.candidates; first += tree_lanes) {
            const std::size_t lanes = std::min(tree_lanes, in_.candidates - first);
            const std::size_t padded = padded_lanes(lanes);
            name_lanes({}, first, lanes);
            rank_columns(lanes);
            std::fill(ws_.coarse_sums.begin(), ws_.coarse_sums.end(), std::uint16_t{0});
            std::size_t added = 0;
            const auto flush = [&] {
                for (std::size_t i = 0; i < lanes; ++i) ws_.coarse[first + i] += ws_.coarse_sums[i];
                std::fill(ws_.coarse_sums.begin(), ws_.coarse_sums.end(), std::uint16_t{0});
                added = 0;
            };
            for (const program_tree& tree : view.trees) {
                const std::uint8_t* const values = run_tree<true>(view, tree, kernel_, ws_.block, padded);
                kernel_.add_bytes(values, tree.first_coarse, ws_.coarse_sums.data(), padded);
                if (++added == 257) flush();  // 257 · 255 = 65,535
            }
            flush();
        }
    }

private:
    static std::size_t padded_lanes(std::size_t lanes) noexcept { return (lanes + 63) / 64 * 64; }
    [[nodiscard]] program_view the_view() const noexcept { return folded_ ? view_of(p_, ws_.folded) : view_of(p_); }

    void name_lanes(std::span<const std::uint32_t> candidates, std::size_t first, std::size_t lanes) noexcept {
        if (candidates.data() != nullptr)
            std::copy_n(candidates.data() + first, lanes, ws_.block.candidates);
        else
            std::iota(ws_.block.candidates, ws_.block.candidates + lanes, static_cast<std::uint32_t>(first));
    }

    void rank_columns(std::size_t lanes) {
        tree_block& block = ws_.block;
        block.columns.reserve(p_.ranks.columns.size() * tree_lanes);
        block_ranker ranker(p_, kernel_, block);
        for (const feature_ranks& f : p_.ranks.features) {
            const tree_piece& piece = in_.of(f.feature);
            const bool same = in_.same(f.feature);
            if (folded_ && same) continue;
            std::int8_t* const out = block.columns.data() + f.first_column * tree_lanes;
            if (same) {
                ranker.rank(f, piece, 1, out, tree_lanes);
                for (std::uint32_t c = 0; c < f.columns; ++c) std::fill_n(out + c * tree_lanes, tree_lanes, out[c * tree_lanes]);
                continue;
            }
            if (piece.prepared == nullptr) {
                ranker.rank(f, piece, lanes, out, tree_lanes);
                continue;
            }
            const tree_catalogue& catalogue = *piece.prepared;
            for (std::uint32_t c = 0; c < f.columns; ++c) {
                const std::int8_t* const bytes =
                    catalogue.bytes.data() + (f.first_column + c - catalogue.first_column) * catalogue.actions;
                std::int8_t* const to = out + c * tree_lanes;
                if (piece.index == nullptr && lanes > 1 && block.candidates[lanes - 1] - block.candidates[0] == lanes - 1)
                    std::copy_n(bytes + block.candidates[0], lanes, to);
                else
                    for (std::size_t i = 0; i < lanes; ++i) to[i] = bytes[piece.row(block.candidates[i])];
            }
        }
    }

    template <class Sum>
    void block(std::size_t lanes, bool walk, double* out) {
        Sum* const sums = block_sums<Sum>(ws_.block, p_.start_);
        if (walk) {
            walk_rows<Sum>(lanes, sums);
        } else {
            const std::size_t padded = padded_lanes(lanes);
            rank_columns(lanes);
            const program_view view = the_view();
            for (std::size_t t = 0; t < view.trees.size(); ++t) {
                const program_tree& tree = view.trees[t];
                if (tree.leaves == 0) {
                    walk_one<Sum>(t, lanes, sums);
                    continue;
                }
                add_leaves(view, tree, kernel_, run_tree<false>(view, tree, kernel_, ws_.block, padded), sums, padded);
            }
        }
        const std::size_t outputs = p_.outputs();
        for (std::size_t k = 0; k < outputs; ++k)
            for (std::size_t i = 0; i < lanes; ++i) out[i * outputs + k] = static_cast<double>(sums[k * tree_lanes + i]);
        joined_ = false;
    }

    [[nodiscard]] bool in_doubles() const noexcept {
        return !p_.ranks.float_values &&
               std::any_of(in_.pieces.begin(), in_.pieces.begin() + static_cast<std::ptrdiff_t>(in_.count),
                           [](const tree_piece& piece) { return piece.is_double(); });
    }
    /// The block's rows as T, `width` apart.
    template <class T>
    const T* rows(std::size_t lanes, std::size_t& width) {
        width = in_.pieces[in_.count - 1].end;
        std::vector<T>* joined = nullptr;
        const T* own = nullptr;
        if constexpr (std::is_same_v<T, float>) {
            joined = &ws_.float_rows;
            own = in_.pieces[0].table.floats;
        } else {
            joined = &ws_.double_rows;
            own = in_.pieces[0].table.doubles;
        }
        const std::uint32_t* const candidates = ws_.block.candidates;
        if (in_.count == 1 && own != nullptr && in_.pieces[0].index == nullptr &&
            candidates[lanes - 1] - candidates[0] == lanes - 1)
            return own + candidates[0] * width;
        if (!joined_) {
            if (joined->size() < lanes * width) joined->resize(lanes * width);
            for (std::size_t i = 0; i < lanes; ++i)
                for (std::size_t p = 0; p < in_.count; ++p)
                    for (std::size_t f = in_.pieces[p].first; f < in_.pieces[p].end; ++f)
                        (*joined)[i * width + f] = static_cast<T>(in_.pieces[p].value(candidates[i], f));
            joined_ = true;
        }
        return joined->data();
    }
    template <class Sum>
    void walk_rows(std::size_t lanes, Sum* sums) {
        const auto walk = [&](const auto* rows, std::size_t width) {
            if (lanes < walk_group)
                for (std::size_t i = 0; i < lanes; ++i) walk_row(p_, rows + i * width, sums + i, tree_lanes);
            else
                for (std::size_t t = 0; t < p_.trees.size(); ++t) walk_tree(p_, t, rows, width, lanes, sums, tree_lanes);
        };
        std::size_t width = 0;
        if (in_doubles()) {
            const double* const values = rows<double>(lanes, width);
            walk(values, width);
        } else {
            const float* const values = rows<float>(lanes, width);
            walk(values, width);
        }
    }
    template <class Sum>
    void walk_one(std::size_t t, std::size_t lanes, Sum* sums) {
        std::size_t width = 0;
        if (in_doubles()) {
            const double* const values = rows<double>(lanes, width);
            walk_tree(p_, t, values, width, lanes, sums, tree_lanes);
        } else {
            const float* const values = rows<float>(lanes, width);
            walk_tree(p_, t, values, width, lanes, sums, tree_lanes);
        }
    }

    const tree_program& p_;
    const tree_kernel& kernel_;
    const tree_input& in_;
    tree_workspace::impl& ws_;
    tree_costs costs_;
    std::size_t ranked_ = 0;  // features whose values differ from candidate to candidate
    bool folded_ = false;
    bool joined_ = false;
};

}  // namespace detail

}  // namespace opspilot
