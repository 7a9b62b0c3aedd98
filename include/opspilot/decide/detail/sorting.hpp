/// \file
/// Internal: the order of candidates.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot::detail {

/// A number whose ascending order is the descending one of scores; 0 and -0 are the same. Not for NaN.
inline std::uint64_t descending(double score) noexcept {
    const auto bits = std::bit_cast<std::uint64_t>(score + 0.0);
    constexpr std::uint64_t sign = std::uint64_t{1} << 63;
    return (bits & sign) != 0 ? bits : ~(bits | sign);
}

/// Those that a reranking stage left out stand last among their like: they go by the score they were left out for.
inline void sort_unscored(std::span<sort_key> keys, const workspace::impl& ws) {
    std::sort(keys.begin(), keys.end(), [&](const sort_key& x, const sort_key& y) {
        const std::uint32_t a = x.candidate, b = y.candidate;
        for (const std::span<const double> phase : ws.phases) {
            const bool first = std::isnan(phase[a]), second = std::isnan(phase[b]);
            if (first != second) return second;
            if (!first && phase[a] != phase[b]) return phase[a] > phase[b];
        }
        return a < b;
    });
}

/// Orders candidates: allowed before forbidden, higher scores first, ties by the host's order. A score that is not a number
/// goes last; those that a reranking stage left out go by the score they were left out for, whatever the policy's boosts.
/// Whole numbers are sorted, since a comparison of them is one instruction.
inline void order_candidates(workspace::impl& ws) {
    const std::size_t n = ws.scores.size();
    constexpr double last = -std::numeric_limits<double>::infinity();
    ws.sorting.resize(n);
    std::size_t allowed = 0;
    std::size_t forbidden = n;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (std::isnan(ws.scores[i])) ws.scores[i] = last;
        ws.sorting[ws.outcome.allowed[i] != 0 ? allowed++ : --forbidden] = {descending(ws.scores[i]), i};
    }
    const std::span<sort_key> all(ws.sorting);
    for (const std::span<sort_key> part : {all.first(allowed), all.subspan(allowed)}) {
        std::sort(part.begin(), part.end(), [](const sort_key& a, const sort_key& b) {
            return a.key != b.key ? a.key < b.key : a.candidate < b.candidate;
        });
        if (ws.phases.empty()) continue;
        const auto unscored = std::lower_bound(part.begin(), part.end(), descending(last),
                                               [](const sort_key& a, std::uint64_t key) { return a.key < key; });
        sort_unscored({unscored, part.end()}, ws);
    }
    ws.order.resize(n);
    for (std::size_t i = 0; i < n; ++i) ws.order[i] = ws.sorting[i].candidate;
}

}  // namespace opspilot::detail
