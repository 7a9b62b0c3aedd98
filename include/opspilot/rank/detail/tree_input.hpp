// Where the values of a block come from: rows, columns, one row for all, or ranks that were prepared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "opspilot/rank/detail/tree_kernel.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace opspilot::detail {

/// Byte columns of a catalogue: for each column of the model's tables whose feature is an action's, one byte per action.
struct tree_catalogue {
    std::shared_ptr<const tree_program> owner;  // kept alive, so that no later scorer can take its address
    std::size_t actions = 0;
    std::size_t columns = 0;  // of the model
    std::size_t first_feature = 0;
    std::uint32_t first_column = 0;  // byte columns
    std::vector<std::int8_t> bytes;  // column-major
    std::vector<float> floats;       // the values, for trees that are walked and calls with few candidates
    std::vector<double> doubles;
    [[nodiscard]] number_table table() const noexcept {
        return doubles.empty() ? number_table(floats.data(), actions, columns) : number_table(doubles.data(), actions, columns);
    }
};

/// Some neighbouring columns of the model.
struct tree_piece {
    std::size_t first = 0, end = 0;         // features
    number_table table;                     // rows, or
    const float* const* columns = nullptr;  // columns; either may be absent when `prepared` serves
    const tree_catalogue* prepared = nullptr;
    const std::int64_t* index = nullptr;     // row of a candidate; null: the candidate's own number
    bool same = false;                       // row 0 for every candidate
    const std::uint8_t* constant = nullptr;  // per column: not 0 where every row holds the same value; null: unknown

    [[nodiscard]] std::size_t row(std::size_t candidate) const noexcept {
        return same ? 0 : index != nullptr ? static_cast<std::size_t>(index[candidate]) : candidate;
    }
    [[nodiscard]] bool is_double() const noexcept { return table.doubles != nullptr; }
    [[nodiscard]] double value(std::size_t candidate, std::size_t feature) const noexcept {
        if (columns != nullptr) return static_cast<double>(columns[feature - first][row(candidate)]);
        const std::size_t at = row(candidate) * table.columns + (feature - first);
        return table.doubles != nullptr ? table.doubles[at] : static_cast<double>(table.floats[at]);
    }
};

inline tree_piece table_piece(std::size_t first, const number_table& table) noexcept {
    tree_piece piece;
    piece.first = first;
    piece.end = first + table.columns;
    piece.table = table;
    return piece;
}
inline tree_piece column_piece(std::span<const float* const> columns) noexcept {
    tree_piece piece;
    piece.end = columns.size();
    piece.columns = columns.data();
    return piece;
}

struct tree_input {
    std::array<tree_piece, 3> pieces;
    std::size_t count = 0;
    std::size_t candidates = 0;

    void add(const tree_piece& piece) noexcept {
        if (piece.first < piece.end) pieces[count++] = piece;
    }
    [[nodiscard]] const tree_piece& of(std::size_t feature) const noexcept {
        std::size_t p = 0;
        while (feature >= pieces[p].end) ++p;
        return pieces[p];
    }
    /// Whether a feature has one value for all candidates.
    [[nodiscard]] bool same(std::size_t feature) const noexcept {
        const tree_piece& piece = of(feature);
        return piece.same || (piece.constant != nullptr && piece.constant[feature - piece.first] != 0);
    }
};

/// Values of one feature for some candidates, one after the other.
template <class T>
void gather(const tree_piece& piece, std::size_t feature, const std::uint32_t* candidates, std::size_t lanes, T* out) noexcept {
    const auto read = [&](auto row_of) {
        if (piece.columns != nullptr) {
            const float* const column = piece.columns[feature - piece.first];
            for (std::size_t i = 0; i < lanes; ++i) out[i] = static_cast<T>(column[row_of(candidates[i])]);
            return;
        }
        const std::size_t width = piece.table.columns;
        const auto from = [&](const auto* values) {
            values += feature - piece.first;
            for (std::size_t i = 0; i < lanes; ++i) out[i] = static_cast<T>(values[row_of(candidates[i]) * width]);
        };
        piece.is_double() ? from(piece.table.doubles) : from(piece.table.floats);
    };
    if (piece.same)
        read([](std::uint32_t) { return std::size_t{0}; });
    else if (piece.index != nullptr)
        read([&](std::uint32_t c) { return static_cast<std::size_t>(piece.index[c]); });
    else
        read([](std::uint32_t c) { return std::size_t{c}; });
}

}  // namespace opspilot::detail
