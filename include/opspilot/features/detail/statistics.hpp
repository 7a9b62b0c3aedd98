/// \file
/// Internal: target statistics and transition probabilities from counts, with one fold's labels left out when asked.
#pragma once

#include "opspilot/base/math.hpp"
#include "opspilot/features/detail/tokens.hpp"

namespace opspilot::detail {

/// Reads counts of all folds but one.
class counts_view {
public:
    counts_view(const statistics_state& state, std::uint32_t fold) noexcept
        : state_(state), left_out_(fold < state.folds.size() ? &state.folds[fold] : nullptr) {}

    [[nodiscard]] double seen(std::uint64_t key) const noexcept { return of(key, &count_table::seen); }
    [[nodiscard]] double chosen(std::uint64_t key) const noexcept { return of(key, &count_table::chosen); }
    [[nodiscard]] double total() const noexcept {
        return static_cast<double>(state_.total - (left_out_ != nullptr ? left_out_->total : 0));
    }
    [[nodiscard]] double positive() const noexcept {
        return static_cast<double>(state_.positive - (left_out_ != nullptr ? left_out_->positive : 0));
    }

private:
    [[nodiscard]] double of(std::uint64_t key, std::vector<std::uint32_t> count_table::* counts) const noexcept {
        const std::uint32_t at = state_.table.find(key);
        if (at == count_index::none) return 0;
        std::uint32_t value = (state_.table.*counts)[at];
        if (left_out_ != nullptr)
            if (const std::uint32_t own = left_out_->table.find(key); own != count_index::none)
                value -= (left_out_->table.*counts)[own];
        return static_cast<double>(value);
    }
    const statistics_state& state_;
    const statistics_state::fold_counts* left_out_;
};

[[nodiscard]] inline double statistics_value(double value, statistics_output output) noexcept {
    return output == statistics_output::log ? portable_log(value) : value;
}

/// The key of a target statistic for candidate i, given the task's part.
[[nodiscard]] inline std::uint64_t statistics_key(const statistics_state& state, const feature_run& run, std::uint64_t of_task,
                                                  std::size_t i) {
    std::uint64_t key = of_task;
    if (state.action_key != no_slot) {
        const std::size_t row = run.action_index != nullptr ? run.action_index[i] : i;
        key = mix_hashes(key, run.actions->keys[state.action_key][row]);
    }
    return state.pair_parts.empty() ? key : mix_hashes(key, key_of(run, state.pair_parts, i));
}

/// (choices + smoothing * prior) / (rows + smoothing) per key; the prior is the share of choices among all rows.
inline void run_statistics(const step& s, const feature_run& run, double* out, std::size_t n) {
    const statistics_state& state = *s.statistics;
    const counts_view counts(state, run.fold);
    const double prior = counts.total() > 0 ? counts.positive() / counts.total() : 0.0;
    const std::uint64_t of_task = key_of(run, state.parts, 0);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t key = statistics_key(state, run, of_task, i);
        double seen = counts.seen(key);
        double chosen = counts.chosen(key);
        if (seen < state.min_count) seen = chosen = 0;
        const double weight = seen + state.smoothing;
        if (state.output == statistics_output::count)
            out[i] = seen;
        else
            out[i] = statistics_value(weight > 0 ? (chosen + state.smoothing * prior) / weight : prior, state.output);
    }
}

/// The hash of the first `level` parts of a context; contexts of different length never meet.
[[nodiscard]] inline std::uint64_t context_key(const feature_run& run, const statistics_state& state, std::uint32_t level) {
    const std::span<const std::uint32_t> parts = state.parts;
    return mix_hashes(key_of(run, parts.first(level), 0), 0xC0117E47ULL + level);
}

/// P(action | context), each context smoothed towards the next shorter one and finally towards the share of the action in
/// all decisions plus one (so that an action never seen has a small probability, too).
inline void run_transition(const step& s, const feature_run& run, double* out, std::size_t n) {
    constexpr std::size_t most_levels = 16;
    struct context {
        std::uint64_t key;
        double seen;
    };
    const statistics_state& state = *s.statistics;
    const counts_view counts(state, run.fold);
    std::array<context, most_levels> contexts{};
    std::size_t levels = 0;
    for (std::size_t j = state.levels.size(); j-- > 0;) {  // shortest first
        const std::uint64_t key = context_key(run, state, state.levels[j]);
        const double seen = counts.seen(key);
        if (seen >= std::max<double>(1.0, state.min_count)) contexts[levels++] = {key, seen};
    }
    if (state.output == statistics_output::count) {
        const double seen = counts.seen(context_key(run, state, state.levels.front()));
        std::fill_n(out, n, seen < state.min_count ? 0.0 : seen);
        return;
    }
    const std::uint64_t root = context_key(run, state, 0);
    const double all = counts.total() + static_cast<double>(state.classes) + 1.0;
    const std::vector<std::uint64_t>& targets = run.actions->keys[state.action_key];
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t target = targets[run.action_index != nullptr ? run.action_index[i] : i];
        double p = (counts.seen(mix_hashes(root, target)) + 1.0) / all;
        for (std::size_t j = 0; j < levels; ++j)
            p = (counts.seen(mix_hashes(contexts[j].key, target)) + state.smoothing * p) / (contexts[j].seen + state.smoothing);
        out[i] = statistics_value(p, state.output);
    }
}

}  // namespace opspilot::detail
