#pragma once

#include <algorithm>
#include <numeric>

#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/columns/catalogue.hpp"

namespace opspilot::cel::detail {

/// Takes the parts of one block after the other.
class catalogue_builder {
public:
    catalogue_builder(const graph& g, std::size_t rows) : g_(g) {
        out_.rows = rows;
        out_.words = (rows + 63) / 64;
        out_.entries.resize(g.parts.size());
        planes_.resize(2 * g.prepared.size(), std::vector<std::uint64_t>(out_.words));
        failing_.resize(g.prepared.size());
        for (const std::uint32_t part : g.prepared) {
            prepared_catalogue::entry& e = out_.entries[part];
            e.ready = true;
            if (g.parts[part].gives == lane::number) e.numbers.resize(rows);
            if (g.parts[part].gives == lane::integer || g.parts[part].gives == lane::moment) e.integers.resize(rows);
        }
    }

    void take(block_evaluator& block, std::size_t first, std::size_t rows) {
        const std::size_t word = first / 64, words = (rows + 63) / 64;
        for (std::size_t k = 0; k < g_.prepared.size(); ++k) {
            const std::uint32_t part = g_.prepared[k];
            prepared_catalogue::entry& e = out_.entries[part];
            const std::uint64_t* error = nullptr;
            if (g_.parts[part].gives == lane::truth) {
                const truths t = block.truth(part);
                std::copy_n(t.yes, words, planes_[2 * k].data() + word);
                error = t.error;
            } else {
                const column_view c = block.column(part);
                if (c.numbers != nullptr) std::copy_n(c.numbers, rows, e.numbers.data() + first);
                if (c.integers != nullptr) std::copy_n(c.integers, rows, e.integers.data() + first);
                error = c.error;
            }
            if (error == nullptr) continue;
            std::copy_n(error, words, planes_[2 * k + 1].data() + word);
            failing_[k] = true;
        }
    }

    prepared_catalogue finish() {
        for (std::size_t k = 0; k < g_.prepared.size(); ++k) {
            prepared_catalogue::entry& e = out_.entries[g_.prepared[k]];
            if (g_.parts[g_.prepared[k]].gives == lane::truth) e.yes = keep(planes_[2 * k]);
            if (failing_[k]) e.error = keep(planes_[2 * k + 1]);
        }
        out_.row_words = (out_.planes + 63) / 64;
        out_.by_row.assign(out_.rows * out_.row_words, 0);
        for (std::size_t p = 0; p < out_.planes; ++p)
            each_bit(out_.by_plane.data() + p * out_.words, out_.words,
                     [&](std::size_t row) { out_.by_row[row * out_.row_words + p / 64] |= std::uint64_t{1} << (p % 64); });
        return std::move(out_);
    }

private:
    std::uint32_t keep(const std::vector<std::uint64_t>& bits) {
        out_.by_plane.insert(out_.by_plane.end(), bits.begin(), bits.end());
        return static_cast<std::uint32_t>(out_.planes++);
    }

    const graph& g_;
    prepared_catalogue out_;
    std::vector<std::vector<std::uint64_t>> planes_;  // yes and error per prepared part
    std::vector<bool> failing_;
};

OPSPILOT_INLINE prepared_catalogue prepare_catalogue(const graph& g, const table& actions, const interner& strings) {
    std::vector<std::uint32_t> rows(actions.rows());
    std::iota(rows.begin(), rows.end(), 0U);
    frame f;
    f.actions = &actions;
    f.action_rows = rows;
    f.strings = &strings;
    machine m;
    arena memory(std::size_t{16} << 20);
    m.memory = &memory;
    column_scratch scratch;
    block_evaluator block(g, f, nullptr, *column_kernels().front(), m, scratch);
    catalogue_builder made(g, rows.size());
    for (std::size_t first = 0; first < rows.size(); first += block_rows) {
        const std::size_t here = std::min(block_rows, rows.size() - first);
        block.begin(first, here);
        made.take(block, first, here);
    }
    return made.finish();
}

}  // namespace opspilot::cel::detail
