// What a tree kernel can do, and the shapes it works on. One object per instruction set; all give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace opspilot::detail {

/// Candidates that are scored together. A row of bytes, one per lane, is a column of a block.
inline constexpr std::size_t tree_lanes = 256;

/// In a categorical split's column.
inline constexpr std::int8_t goes_left_byte = -128;
inline constexpr std::int8_t goes_right_byte = 127;

/// One split over a block: per lane, dest = rank column > rank ? right + step : left, in bytes that wrap around.
///
/// A subtree's byte says how many leaves of it lie left of the lane's leaf, so a child that is a leaf is the row of zeros,
/// slot 0, and `step` is the number of leaves on the left side. The same splits carry rounded leaf values when `coarse`, the
/// difference of the two sides' leftmost values, takes the place of `step`.
struct tree_op {
    std::uint16_t column = 0;
    std::int8_t rank = 0;
    std::uint8_t step = 0;
    std::uint8_t left = 0;  // slots
    std::uint8_t right = 0;
    std::uint8_t dest = 1;
    std::uint8_t coarse = 0;
};
static_assert(sizeof(tree_op) == 8);

/// Rows of bytes for results of splits: 0 is zero for ever, 1 takes the result of a tree. Evaluated larger side first, a tree
/// of 256 leaves needs 8 at a time.
inline constexpr std::size_t tree_slots = 12;

/// How the values of one feature become ranks.
template <class T>
struct rank_task {
    const T* values = nullptr;
    std::size_t lanes = 0;
    const T* thresholds = nullptr;  // count of them, then an infinity
    std::uint32_t count = 0;
    const std::uint8_t* cells = nullptr;  // with up to 255 thresholds, otherwise
    const std::uint16_t* wide_cells = nullptr;
    std::uint32_t cell_count = 0;  // 0: search by halves
    std::uint32_t steps = 0;
    float low = 0, scale = 0;
    std::int8_t* bytes = nullptr;  // with up to 255 thresholds: takes rank - 128, otherwise null and
    std::uint16_t* ranks = nullptr;
};

struct tree_kernel {
    std::string_view name;
    std::size_t width = 16;  // of its vectors in bytes
    /// Numbers of thresholds below each value. Returns whether some value is NaN, whose rank is then of no meaning.
    bool (*rank_floats)(const rank_task<float>& task) noexcept;
    bool (*rank_doubles)(const rank_task<double>& task) noexcept;
    /// out[i] = clamp(ranks[i] - base, 0, 255) - 128.
    void (*narrow)(const std::uint16_t* ranks, std::size_t lanes, std::uint32_t base, std::int8_t* out) noexcept;
    /// out[i] = bit codes[i] of the 256 in `bits` is set ? goes_left_byte : goes_right_byte; with `more`, what goes left already
    /// stays so. `lanes` is a multiple of 64.
    void (*members)(const std::uint8_t* codes, const std::uint8_t* bits, bool more, std::int8_t* out, std::size_t lanes) noexcept;
    /// Evaluates splits in order. `columns` and `slots` are rows of tree_lanes bytes; `lanes` is a multiple of 64.
    void (*splits)(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                   std::size_t lanes) noexcept;
    /// The same with `coarse` for `step`.
    void (*coarse_splits)(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* slots,
                          std::size_t lanes) noexcept;
    /// A tree whose levels ask one question each: out = the answers as bits, the first level's highest.
    void (*levels)(const tree_op* ops, std::size_t count, const std::int8_t* columns, std::uint8_t* out,
                   std::size_t lanes) noexcept;
    /// sums[i] += leaves[index[i]], of `count` leaves.
    void (*add_doubles)(const std::uint8_t* index, const double* leaves, std::size_t count, double* sums,
                        std::size_t lanes) noexcept;
    void (*add_floats)(const std::uint8_t* index, const float* leaves, std::size_t count, float* sums,
                       std::size_t lanes) noexcept;
    /// sums[i] += uint8(values[i] + base).
    void (*add_bytes)(const std::uint8_t* values, std::uint8_t base, std::uint16_t* sums, std::size_t lanes) noexcept;
};

}  // namespace opspilot::detail
