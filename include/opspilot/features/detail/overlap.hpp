/// \file
/// Internal: how much two token sets share.
#pragma once

#include "opspilot/features/detail/tokens.hpp"

namespace opspilot::detail {

[[nodiscard]] inline double overlap_value(double shared, double a, double b, overlap_measure measure) noexcept {
    switch (measure) {
        case overlap_measure::jaccard: return a + b - shared > 0 ? shared / (a + b - shared) : 0.0;
        case overlap_measure::of_a: return a > 0 ? shared / a : 0.0;
        case overlap_measure::of_b: return b > 0 ? shared / b : 0.0;
        case overlap_measure::count: return shared;
        case overlap_measure::any: return shared > 0 ? 1.0 : 0.0;
    }
    return not_a_number;
}

/// Sum of the weights of some tokens; their number when there are no weights.
[[nodiscard]] inline double total_weight(std::span<const std::uint64_t> tokens, const token_weights* weights) noexcept {
    if (weights == nullptr) return static_cast<double>(tokens.size());
    double sum = 0;
    for (const std::uint64_t token : tokens) sum += weights->of(token);
    return sum;
}

/// Weight of the tokens that two ascending sets share, summed in ascending order.
[[nodiscard]] inline double shared_weight(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b,
                                          const token_weights* weights) noexcept {
    if (a.size() > b.size()) std::swap(a, b);
    double sum = 0;
    constexpr std::size_t much_longer = 16;
    const bool search = b.size() / much_longer > a.size();  // a few words against a long text
    auto at = b.begin();
    for (const std::uint64_t token : a) {
        if (search)
            at = std::lower_bound(at, b.end(), token);
        else
            while (at != b.end() && *at < token) ++at;
        if (at == b.end()) break;
        if (*at == token) sum += weights == nullptr ? 1.0 : weights->of(token);
    }
    return sum;
}

/// Numbers the distinct tokens of an action source and stores each row's. Keeps memory it already has.
inline void prepare_tokens(const feature_run& run, const action_source& wanted, std::size_t rows, action_tokens& out) {
    const token_source& source = run.plan.sources[wanted.source];
    out.offsets.assign(1, 0);
    out.ids.clear();
    out.vocabulary.clear();
    out.weight.clear();
    out.index.clear();
    out.present.resize(rows);
    out.total.resize(rows);
    std::vector<std::uint64_t>& tokens = run.ws.tokens[0];
    for (std::size_t i = 0; i < rows; ++i) {
        out.present[i] = source_present(run, source, i) ? 1 : 0;
        source_set(run, source, i, tokens);
        out.total[i] = total_weight(tokens, wanted.weights.get());
        for (const std::uint64_t token : tokens) {
            std::uint32_t id = out.index.find(token, out.vocabulary);
            if (id == count_index::none) {
                id = static_cast<std::uint32_t>(out.vocabulary.size());
                out.vocabulary.push_back(token);
                out.index.add_last(out.vocabulary);
                if (wanted.weights) out.weight.push_back(wanted.weights->of(token));
            }
            out.ids.push_back(id + 1);
        }
        out.ids.resize((out.ids.size() + token_stride - 1) / token_stride * token_stride, 0);
        out.offsets.push_back(out.ids.size());
    }
}

/// The task's set against every candidate's: mark the task's tokens in the actions' vocabulary, then add up marks.
template <class Sum, class Hit>
inline void add_hits(const feature_run& run, const action_tokens& actions, const std::vector<Hit>& hits, double* out,
                     std::size_t n) {
    const std::uint32_t* const ids = actions.ids.data();
    const std::size_t* const offsets = actions.offsets.data();
    const Hit* const marks = hits.data();
    const auto row_of = [&](std::size_t i) { return run.action_index != nullptr ? std::size_t{run.action_index[i]} : i; };
    constexpr std::size_t ahead = 8;  // candidates stand anywhere in the catalogue: their tokens are asked for early
    for (std::size_t i = 0; i < n; ++i) {
        if (i + ahead < n) __builtin_prefetch(ids + offsets[row_of(i + ahead)]);
        const std::size_t row = row_of(i);
        Sum sum = 0;
        for (std::size_t j = offsets[row]; j < offsets[row + 1]; j += token_stride)
            for (std::size_t k = j; k < j + token_stride; ++k) sum += marks[ids[k]];
        out[i] = static_cast<double>(sum);
    }
}

/// Turns the shared weights in `out` into a measure, which is decided outside the loop.
inline void measure_hits(const feature_run& run, const action_tokens& actions, double task_total, const step& s, double* out,
                         std::size_t n) {
    const auto all = [&](auto measure) {
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t row = run.action_index != nullptr ? run.action_index[i] : i;
            const double a = s.swapped ? actions.total[row] : task_total;
            const double b = s.swapped ? task_total : actions.total[row];
            const double value = overlap_value(out[i], a, b, measure());
            out[i] = actions.present[row] != 0 ? value : not_a_number;
        }
    };
    switch (static_cast<overlap_measure>(s.k)) {
        case overlap_measure::jaccard: all([] { return overlap_measure::jaccard; }); break;
        case overlap_measure::of_a: all([] { return overlap_measure::of_a; }); break;
        case overlap_measure::of_b: all([] { return overlap_measure::of_b; }); break;
        case overlap_measure::count: all([] { return overlap_measure::count; }); break;
        case overlap_measure::any: all([] { return overlap_measure::any; }); break;
    }
}

inline void overlap_with_actions(const step& s, const feature_run& run, double* out, std::size_t n) {
    const token_source& source = run.plan.sources[s.sources[s.swapped ? 1 : 0]];
    if (!source_present(run, source, 0)) {
        std::fill_n(out, n, not_a_number);
        return;
    }
    std::vector<std::uint64_t>& tokens = run.ws.tokens[0];
    source_set(run, source, 0, tokens);
    const double total = total_weight(tokens, s.weights.get());
    const action_tokens& actions = run.actions->tokens[s.place];
    const auto mark = [&](auto& hits, auto value) {
        if (hits.size() < actions.vocabulary.size() + 1) hits.resize(actions.vocabulary.size() + 1);
        for (const std::uint64_t token : tokens)
            if (const std::uint32_t id = actions.index.find(token, actions.vocabulary); id != count_index::none)
                hits[id + 1] = value(id);
    };
    if (s.weights) {
        mark(run.ws.weighted_hits, [&](std::uint32_t id) { return actions.weight[id]; });
        add_hits<double>(run, actions, run.ws.weighted_hits, out, n);
        mark(run.ws.weighted_hits, [](std::uint32_t) { return 0.0; });
    } else {
        mark(run.ws.hits, [](std::uint32_t) { return std::uint8_t{1}; });
        add_hits<std::uint32_t>(run, actions, run.ws.hits, out, n);
        mark(run.ws.hits, [](std::uint32_t) { return std::uint8_t{0}; });
    }
    measure_hits(run, actions, total, s, out, n);
}

/// Any two sources, row by row; a source of the task is evaluated once.
inline void overlap_rows(const step& s, const feature_run& run, double* out, std::size_t n) {
    const token_source* const sources[2] = {&run.plan.sources[s.sources[0]], &run.plan.sources[s.sources[1]]};
    double totals[2] = {0, 0};
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t side = 0; side < 2; ++side) {
            if (i > 0 && sources[side]->where == scope::task) continue;
            source_set(run, *sources[side], i, run.ws.tokens[side]);
            totals[side] = total_weight(run.ws.tokens[side], s.weights.get());
        }
        out[i] = source_present(run, *sources[0], i) && source_present(run, *sources[1], i)
                     ? overlap_value(shared_weight(run.ws.tokens[0], run.ws.tokens[1], s.weights.get()), totals[0], totals[1],
                                     static_cast<overlap_measure>(s.k))
                     : not_a_number;
    }
}

inline void run_token_count(const step& s, const feature_run& run, double* out, std::size_t n) {
    const token_source& source = run.plan.sources[s.sources[0]];
    for (std::size_t i = 0; i < n; ++i) {
        source_tokens(run, source, i, run.ws.tokens[0]);
        out[i] = source_present(run, source, i) ? static_cast<double>(run.ws.tokens[0].size()) : not_a_number;
    }
}

}  // namespace opspilot::detail
