/// \file
/// Internal: what the column evaluator prepares for a catalogue, and the memory it works in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "opspilot/policy/detail/columns/graph.hpp"
#include "opspilot/policy/detail/columns/planes.hpp"

namespace opspilot::cel::detail {

/// A column of one block: numbers, or whole numbers and microseconds.
struct column_view {
    const double* numbers = nullptr;
    const std::int64_t* integers = nullptr;
    const std::uint64_t* error = nullptr;  ///< null where nothing failed
};

/// The parts of `graph::prepared` for every row of a catalogue. Immutable.
struct prepared_catalogue {
    static constexpr std::uint32_t none = 0xFFFFFFFFU;
    struct entry {
        std::uint32_t yes = none, error = none;  ///< planes
        std::vector<double> numbers;
        std::vector<std::int64_t> integers;
        bool ready = false;
    };
    std::size_t rows = 0, words = 0;      ///< words of a plane
    std::vector<entry> entries;           ///< per part of the graph
    std::vector<std::uint64_t> by_plane;  ///< planes one after the other, for rows taken as they come
    std::vector<std::uint64_t> by_row;    ///< `row_words` per row, a bit per plane, for rows picked out
    std::size_t planes = 0, row_words = 0;
};

/// Reused between decisions, so that a warm one allocates nothing. Not thread-safe.
struct column_scratch {
    struct state {
        std::uint64_t block = 0;  ///< of which block `truth` or `column` is
        std::uint64_t task = 0;   ///< of which task `scalar` is
        std::uint64_t texts = 0;  ///< mark of this part's answers in `answers`
        truths truth;
        column_view column;
        value scalar;
    };
    std::vector<state> states;
    std::vector<plane> planes;            ///< yes and error per part
    std::vector<double> numbers;          ///< block_rows per column
    std::vector<std::int64_t> integers;   ///< block_rows per column
    std::vector<std::uint64_t> answers;   ///< per text code: mark of the part, answer
    std::vector<value> values;            ///< per text code: what a part of numbers gave, where `answers` has its mark
    std::vector<std::uint64_t> gathered;  ///< planes of a catalogue, for the rows of the block
    std::vector<double> left_numbers = std::vector<double>(block_rows), right_numbers = std::vector<double>(block_rows);
    std::vector<std::int64_t> left_integers = std::vector<std::int64_t>(block_rows),
                              right_integers = std::vector<std::int64_t>(block_rows);
    std::vector<std::uint32_t> codes = std::vector<std::uint32_t>(block_rows),
                               other_codes = std::vector<std::uint32_t>(block_rows);
    std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(block_rows);
    std::uint64_t marks = 0;  ///< of blocks, tasks and texts: never given twice
};

}  // namespace opspilot::cel::detail
