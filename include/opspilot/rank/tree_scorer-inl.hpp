#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "opspilot/rank/detail/tree_engines.hpp"
#include "opspilot/rank/detail/tree_scoring.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace opspilot {

OPSPILOT_INLINE std::span<const std::string_view> tree_engines() noexcept {
    const detail::tree_kernel_list& known = detail::known_tree_kernels();
    return {known.names.data(), known.count};
}

OPSPILOT_INLINE tree_workspace::tree_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE tree_workspace::~tree_workspace() = default;
OPSPILOT_INLINE tree_workspace::tree_workspace(tree_workspace&&) noexcept = default;
OPSPILOT_INLINE tree_workspace& tree_workspace::operator=(tree_workspace&&) noexcept = default;

namespace detail {

inline status check_pieces(const tree_scorer& scorer, const task_candidates& c, std::size_t& candidates) {
    const std::size_t actions = c.catalogue != nullptr ? c.catalogue->actions() : c.actions.rows;
    const std::size_t action_columns = c.catalogue != nullptr ? c.catalogue->columns() : c.actions.columns;
    if (c.task.rows != 1 && c.task.columns != 0) return length_error("task rows", c.task.rows, 1);
    if (c.task.columns + action_columns + c.pairs.columns != scorer.features())
        return length_error("a candidate's row", c.task.columns + action_columns + c.pairs.columns, scorer.features());
    candidates = !c.index.empty() ? c.index.size() : action_columns != 0 ? actions : c.pairs.rows;
    if (c.pairs.columns != 0 && c.pairs.rows != candidates) return length_error("pair rows", c.pairs.rows, candidates);
    for (std::size_t i = 0; i < c.index.size(); ++i)
        if (c.index[i] < 0 || static_cast<std::size_t>(c.index[i]) >= actions)
            return error{error_kind::usage,
                         "usage.index",
                         fmt::format("row {} of {} actions", c.index[i], actions),
                         fmt::format("/index/{}", i),
                         {}};
    return {};
}

}  // namespace detail

OPSPILOT_INLINE std::size_t action_ranks::actions() const noexcept { return state_ ? state_->actions : 0; }
OPSPILOT_INLINE std::size_t action_ranks::columns() const noexcept { return state_ ? state_->columns : 0; }
OPSPILOT_INLINE std::size_t action_ranks::first_feature() const noexcept { return state_ ? state_->first_feature : 0; }

OPSPILOT_INLINE result<tree_scorer> tree_scorer::compile(const tree_ensemble& ensemble, std::string_view engine) {
    tree_scorer out;
    OPSPILOT_TRY(out.kernel_, detail::find_tree_kernel(engine));
    out.program_ = std::make_shared<const detail::tree_program>(detail::program_builder(ensemble).build());
    out.features_ = ensemble.features();
    out.outputs_ = ensemble.outputs();
    return out;
}

OPSPILOT_INLINE std::string_view tree_scorer::engine() const noexcept { return kernel_->name; }
OPSPILOT_INLINE std::size_t tree_scorer::bytes() const noexcept { return program_->bytes(); }

OPSPILOT_INLINE status tree_scorer::score(std::span<const float* const> columns, std::size_t rows, std::span<double> out,
                                          tree_workspace& scratch) const {
    return score({columns, rows, {}, {}}, out, scratch);
}

OPSPILOT_INLINE status tree_scorer::score(const candidate_columns& c, std::span<double> out, tree_workspace& scratch) const {
    if (c.columns.size() != features_) return detail::length_error("columns", c.columns.size(), features_);
    if (!c.constant.empty() && c.constant.size() != features_)
        return detail::length_error("marks of constant columns", c.constant.size(), features_);
    const std::size_t count = c.chosen.empty() ? c.rows : c.chosen.size();
    if (out.size() != count * outputs_) return detail::length_error("out", out.size(), count * outputs_);
    for (std::size_t i = 0; i < c.chosen.size(); ++i)
        if (c.chosen[i] >= c.rows)
            return error{error_kind::usage,
                         "usage.index",
                         fmt::format("row {} of {}", c.chosen[i], c.rows),
                         fmt::format("/chosen/{}", i),
                         {}};
    detail::tree_input in;
    in.candidates = c.rows;
    in.add(detail::column_piece(c.columns));
    if (in.count > 0 && !c.constant.empty()) in.pieces[0].constant = c.constant.data();
    detail::scoring call(*program_, *kernel_, in, *scratch.state);
    if (c.rows > 0) call.fold(count);
    call.scores(c.chosen.empty() ? std::span<const std::uint32_t>{} : c.chosen, out);
    return {};
}

OPSPILOT_INLINE status tree_scorer::score_rows(const number_table& rows, std::span<double> out, tree_workspace& scratch) const {
    if (rows.columns != features_) return detail::length_error("a row", rows.columns, features_);
    if (out.size() != rows.rows * outputs_) return detail::length_error("out", out.size(), rows.rows * outputs_);
    detail::tree_input in;
    in.candidates = rows.rows;
    in.add(detail::table_piece(0, rows));
    detail::scoring(*program_, *kernel_, in, *scratch.state).scores({}, out);
    return {};
}

OPSPILOT_INLINE result<action_ranks> tree_scorer::prepare_actions(const number_table& actions, std::size_t first_feature) const {
    if (first_feature + actions.columns > features_)
        return detail::length_error("a row up to its action columns", first_feature + actions.columns, features_);
    auto made = std::make_shared<detail::tree_catalogue>();
    made->owner = program_;
    made->actions = actions.rows;
    made->columns = actions.columns;
    made->first_feature = first_feature;
    const std::size_t size = actions.rows * actions.columns;
    if (actions.doubles != nullptr)
        made->doubles.assign(actions.doubles, actions.doubles + size);
    else
        made->floats.assign(actions.floats, actions.floats + size);
    const detail::tree_piece piece = detail::table_piece(first_feature, actions);
    const auto block = std::make_unique<detail::tree_block>();
    detail::block_ranker ranker(*program_, *kernel_, *block);
    bool any = false;
    for (const detail::feature_ranks& f : program_->ranks.features) {
        if (f.feature < piece.first || f.feature >= piece.end) continue;
        if (!any) made->first_column = f.first_column;
        any = true;
        made->bytes.resize((f.first_column + f.columns - made->first_column) * actions.rows);
        for (std::size_t first = 0; first < actions.rows; first += detail::tree_lanes) {
            const std::size_t lanes = std::min(detail::tree_lanes, actions.rows - first);
            std::iota(block->candidates, block->candidates + lanes, static_cast<std::uint32_t>(first));
            ranker.rank(f, piece, lanes, made->bytes.data() + (f.first_column - made->first_column) * actions.rows + first,
                        actions.rows);
        }
    }
    action_ranks out;
    out.state_ = std::move(made);
    return out;
}

namespace detail {

inline tree_input task_input(const task_candidates& c, const tree_catalogue* catalogue, std::size_t candidates) {
    tree_input in;
    in.candidates = candidates;
    tree_piece task = table_piece(0, c.task);
    task.same = true;
    in.add(task);
    tree_piece actions = table_piece(task.end, catalogue != nullptr ? catalogue->table() : c.actions);
    actions.prepared = catalogue;
    actions.index = c.index.empty() ? nullptr : c.index.data();
    in.add(actions);
    in.add(table_piece(actions.end, c.pairs));
    return in;
}

inline status check_catalogue(const tree_catalogue* catalogue, const tree_program* program, std::size_t task_columns) {
    if (catalogue == nullptr || (catalogue->owner.get() == program && catalogue->first_feature == task_columns)) return {};
    return error{error_kind::usage, "usage.catalogue", "the actions were prepared by another scorer or for other columns",
                 "catalogue", "prepare them by this scorer, with the number of task columns as first feature"};
}

}  // namespace detail

OPSPILOT_INLINE status tree_scorer::score_task(const task_candidates& c, std::span<double> out, tree_workspace& scratch) const {
    const detail::tree_catalogue* const catalogue = c.catalogue != nullptr ? c.catalogue->state_.get() : nullptr;
    OPSPILOT_CHECK(detail::check_catalogue(catalogue, program_.get(), c.task.columns));
    std::size_t candidates = 0;
    OPSPILOT_CHECK(detail::check_pieces(*this, c, candidates));
    if (out.size() != candidates * outputs_) return detail::length_error("out", out.size(), candidates * outputs_);
    const detail::tree_input in = detail::task_input(c, catalogue, candidates);
    detail::scoring call(*program_, *kernel_, in, *scratch.state);
    call.fold(candidates);
    call.scores({}, out);
    return {};
}

OPSPILOT_INLINE status tree_scorer::top_k(const task_candidates& c, std::span<std::int64_t> index, std::span<double> score,
                                          tree_workspace& scratch) const {
    const detail::tree_catalogue* const catalogue = c.catalogue != nullptr ? c.catalogue->state_.get() : nullptr;
    OPSPILOT_CHECK(detail::check_catalogue(catalogue, program_.get(), c.task.columns));
    std::size_t candidates = 0;
    OPSPILOT_CHECK(detail::check_pieces(*this, c, candidates));
    if (outputs_ != 1)
        return error{
            error_kind::usage, "usage.outputs", fmt::format("the best of {} outputs", outputs_), {}, "score all and sort one"};
    const std::size_t k = index.size();
    if (k > candidates || score.size() != k) return detail::length_error("the best", k, std::min(candidates, k));
    if (k == 0) return {};
    const detail::tree_input in = detail::task_input(c, catalogue, candidates);
    tree_workspace::impl& ws = *scratch.state;
    detail::scoring call(*program_, *kernel_, in, ws);
    std::vector<std::uint32_t>& order = ws.order;
    order.clear();
    call.fold(candidates);
    // Few candidates are scored sooner than sifted.
    if (program_->coarse && candidates >= 256 && k <= candidates / 4) {
        call.coarse();
        // A candidate whose sum, raised by all that rounding can have hidden, stays below the k-th, lowered likewise, is worse.
        order.resize(candidates);
        std::iota(order.begin(), order.end(), 0U);
        std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k - 1), order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return ws.coarse[a] > ws.coarse[b]; });
        const double least = static_cast<double>(ws.coarse[order[k - 1]]) - 2 * program_->error / program_->unit * (1 + 1e-9) - 1;
        order.clear();
        for (std::uint32_t i = 0; i < candidates; ++i)
            if (static_cast<double>(ws.coarse[i]) >= least) order.push_back(i);
    } else {
        order.resize(candidates);
        std::iota(order.begin(), order.end(), 0U);
    }
    ws.scores.resize(order.size());
    const bool all = order.size() == candidates;
    call.scores(all ? std::span<const std::uint32_t>{} : std::span<const std::uint32_t>(order), ws.scores);
    // Places in `scores` are in ascending order of candidates.
    std::vector<std::uint32_t>& places = ws.places;
    places.resize(order.size());
    std::iota(places.begin(), places.end(), 0U);
    std::partial_sort(
        places.begin(), places.begin() + static_cast<std::ptrdiff_t>(k), places.end(),
        [&](std::uint32_t a, std::uint32_t b) { return ws.scores[a] != ws.scores[b] ? ws.scores[a] > ws.scores[b] : a < b; });
    for (std::size_t i = 0; i < k; ++i) {
        index[i] = order[places[i]];
        score[i] = ws.scores[places[i]];
    }
    return {};
}

}  // namespace opspilot
