/// \file
/// Internal: sparse blocks: tokens of several sources hashed into one vector, weighted and scaled source by source.
#pragma once

#include "opspilot/features/detail/tokens.hpp"

namespace opspilot::detail {

/// Calls `take(bucket, count)` for the distinct buckets of a source, ascending.
template <class F>
inline void each_bucket(const sparse_program& block, const sparse_source& from, const feature_run& run, F&& take) {
    feature_workspace::impl& ws = run.ws;
    if (from.when != no_slot)
        if (const double x = run.number(from.when).at(0); x != x || x == 0.0) return;
    const token_source& source = run.plan.sources[from.source];
    std::span<const std::uint64_t> tokens;
    if (source.parts.size() == 1 && !source.joined) {
        tokens = task_part_tokens(run, source.parts[0]);
    } else {
        source_tokens(run, source, 0, ws.tokens[0]);
        tokens = ws.tokens[0];
    }
    std::uint32_t* to = ws.counted.start(tokens.size());
    for (const std::uint64_t token : tokens) *to++ = bucket_of(token, from.seed, block.bits);
    ws.counted.count(to, block.bits);
    for (std::size_t i = 0; i < ws.counted.size(); ++i) take(ws.counted.buckets()[i], std::size_t{ws.counted.count_of(i)});
}

inline void run_sparse(const sparse_program& block, const feature_run& run, feature_matrix::sparse_storage& out) {
    feature_workspace::impl& ws = run.ws;
    ws.entries.clear();  // bucket << 32 | place of its weight
    ws.weights.clear();
    const bool pruned = !block.idf.empty();
    for (const sparse_source& from : block.sources) {
        const std::size_t first = ws.weights.size();
        double squares = 0;
        each_bucket(block, from, run, [&](std::uint32_t bucket, std::size_t count) {
            const float idf = pruned ? block.idf[bucket] : 1.0F;
            if (idf == 0.0F) return;
            double weight = term_weight(count, from.tf);
            if (from.idf) weight *= static_cast<double>(idf);
            squares += weight * weight;
            ws.entries.push_back(std::uint64_t{bucket} << 32 | ws.weights.size());
            ws.weights.push_back(weight);
        });
        const double length = from.l2 && squares > 0 ? std::sqrt(squares) : 1.0;
        for (std::size_t i = first; i < ws.weights.size(); ++i) ws.weights[i] = ws.weights[i] / length * from.weight;
    }
    if (block.sources.size() > 1)
        sort_by_bucket(ws.entries, ws.entry_scratch, block.bits,
                       [](std::uint64_t e) { return static_cast<std::uint32_t>(e >> 32); });
    out.index.clear();
    out.value.clear();
    for (std::size_t i = 0; i < ws.entries.size();) {
        const std::uint64_t bucket = ws.entries[i] >> 32;
        double sum = 0;  // two sources may meet in a bucket; they add up in the order of the sources
        for (; i < ws.entries.size() && ws.entries[i] >> 32 == bucket; ++i) sum += ws.weights[ws.entries[i] & 0xFFFFFFFFU];
        out.index.push_back(static_cast<std::uint32_t>(bucket));
        out.value.push_back(static_cast<float>(sum));
    }
}

}  // namespace opspilot::detail
