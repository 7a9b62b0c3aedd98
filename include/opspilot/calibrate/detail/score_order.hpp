/// \file
/// Internal: labelled scores in ascending order, as blocks of equal scores with exact counts.
#pragma once

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

/// The rows by ascending score, equal scores in the order of their rows. Radix sort: six passes of eleven bits over the keys, of
/// which those that all scores share are left out. Scores are finite, and fewer than 2^32.
inline std::vector<ordered_score> order_scores(std::span<const double> score) {
    constexpr std::size_t digits = 6, width = 11, values = std::size_t{1} << width;
    const std::size_t n = score.size();
    std::vector<ordered_score> from(n), to(n);
    std::vector<std::array<std::uint32_t, values>> counts(digits);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t key = score_order_key(score[i]);
        from[i] = {key, static_cast<std::uint32_t>(i)};
        for (std::size_t d = 0; d < digits; ++d) ++counts[d][(key >> (d * width)) & (values - 1)];
    }
    for (std::size_t d = 0; d < digits && n > 0; ++d) {
        std::array<std::uint32_t, values>& start = counts[d];
        if (start[(from[0].key >> (d * width)) & (values - 1)] == n) continue;
        std::exclusive_scan(start.begin(), start.end(), start.begin(), std::uint32_t{0});
        for (const ordered_score& entry : from) to[start[(entry.key >> (d * width)) & (values - 1)]++] = entry;
        std::swap(from, to);
    }
    return from;
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
