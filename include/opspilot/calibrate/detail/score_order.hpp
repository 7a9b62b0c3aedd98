/// \file
/// Internal: labelled scores in ascending order, as blocks of equal scores with exact counts.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace opspilot::detail {

/// A number whose unsigned order is the order of the scores; -0 and 0 are the same score.
inline std::uint64_t score_order_key(double score) noexcept {
    const auto bits = std::bit_cast<std::uint64_t>(score + 0.0);
    return (bits >> 63U) != 0 ? ~bits : bits | (std::uint64_t{1} << 63U);
}
inline double score_of_order_key(std::uint64_t key) noexcept {
    return std::bit_cast<double>((key >> 63U) != 0 ? key & ~(std::uint64_t{1} << 63U) : ~key);
}

/// One score in order, and the row it stood in.
struct ordered_score {
    std::uint64_t key;
    std::uint32_t row;
};

/// Sorts by key, equal keys in the order of their rows. Radix sort by the first 33 bits in which keys differ, in three passes;
/// what is equal so far is short, and is sorted by comparison. Entries come in the order of their rows.
inline std::vector<ordered_score> sort_by_key(std::vector<ordered_score> from) {
    constexpr unsigned digits = 3, width = 11, window = digits * width;
    constexpr std::size_t values = std::size_t{1} << width;
    const std::size_t n = from.size();
    std::vector<ordered_score> to(n);
    std::uint64_t varying = 0;
    for (const ordered_score& entry : from) varying |= entry.key ^ from.front().key;
    const auto bits = static_cast<unsigned>(std::bit_width(varying));
    const unsigned shift = bits > window ? bits - window : 0;
    std::vector<std::array<std::uint32_t, values>> starts(digits);
    for (const ordered_score& entry : from)
        for (unsigned d = 0; d < digits; ++d) ++starts[d][(entry.key >> (shift + d * width)) & (values - 1)];
    for (unsigned d = 0; d < digits && d * width < bits; ++d) {
        std::exclusive_scan(starts[d].begin(), starts[d].end(), starts[d].begin(), std::uint32_t{0});
        for (const ordered_score& entry : from) to[starts[d][(entry.key >> (shift + d * width)) & (values - 1)]++] = entry;
        std::swap(from, to);
    }
    if (shift == 0) return from;
    for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
        for (end = begin + 1; end < n && (from[end].key >> shift) == (from[begin].key >> shift);) ++end;
        if (end - begin > 1)
            std::sort(
                from.begin() + static_cast<std::ptrdiff_t>(begin), from.begin() + static_cast<std::ptrdiff_t>(end),
                [](const ordered_score& x, const ordered_score& y) { return x.key != y.key ? x.key < y.key : x.row < y.row; });
    }
    return from;
}

/// The rows by ascending score, equal scores in the order of their rows. Scores are finite, and fewer than 2^32.
inline std::vector<ordered_score> order_scores(std::span<const double> score) {
    std::vector<ordered_score> rows(score.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = {score_order_key(score[i]), static_cast<std::uint32_t>(i)};
    return sort_by_key(std::move(rows));
}

/// The same by descending score; keys are complements of `score_order_key`.
inline std::vector<ordered_score> best_first(std::span<const double> score) {
    std::vector<ordered_score> rows(score.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = {~score_order_key(score[i]), static_cast<std::uint32_t>(i)};
    return sort_by_key(std::move(rows));
}

/// All rows of one score: exact counts. Without weights, `weight` counts rows and `sum` positive labels.
template <class Number>
struct score_block {
    double score;
    Number weight;
    Number sum;
};

/// Blocks by ascending score. `weight` is empty (each row counts 1) or as long as `score`, and `label` 0 or 1.
template <class Number>
std::vector<score_block<Number>> score_blocks(std::span<const double> score, std::span<const std::uint8_t> label,
                                              std::span<const double> weight = {}) {
    std::vector<score_block<Number>> out;
    std::uint64_t last = 0;
    for (const ordered_score& entry : order_scores(score)) {
        const auto w = weight.empty() ? Number{1} : static_cast<Number>(weight[entry.row]);
        const Number positive = label[entry.row] != 0 ? w : Number{0};
        if (!out.empty() && entry.key == last) {
            out.back().weight += w;
            out.back().sum += positive;
        } else {
            out.push_back({score_of_order_key(entry.key), w, positive});
            last = entry.key;
        }
    }
    return out;
}

/// The first entry of an ascending table that is not below `x`, `size` if all are. Without branches that depend on the data.
inline std::size_t table_lower_bound(const double* table, std::size_t size, double x) noexcept {
    const double* first = table;
    while (size > 1) {
        const std::size_t half = size / 2;
        first += static_cast<std::size_t>(first[half - 1] < x) * half;
        size -= half;
    }
    return static_cast<std::size_t>(first - table) + static_cast<std::size_t>(size == 1 && *first < x);
}

}  // namespace opspilot::detail
