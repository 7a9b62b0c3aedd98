/// \file
/// Internal: truths of many candidates as bits, 64 a word: a plane of yeses and, where something can fail, a plane of errors.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace opspilot::cel::detail {

/// Candidates per block: its planes and columns stay in the nearest caches.
inline constexpr std::size_t block_rows = 2048;
inline constexpr std::size_t block_words = block_rows / 64;

using plane = std::array<std::uint64_t, block_words>;

/// Bits of no yes and no error are noes. Bits beyond the block's rows are 0 in both.
struct truths {
    const std::uint64_t* yes = nullptr;
    const std::uint64_t* error = nullptr;  ///< null where nothing failed
};

/// Calls `use(row)` for every bit.
template <class Use>
inline void each_bit(const std::uint64_t* words, std::size_t count, Use&& use) {
    for (std::size_t w = 0; w < count; ++w)
        for (std::uint64_t bits = words[w]; bits != 0; bits &= bits - 1)
            use(w * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
}

/// The first `rows` bits.
inline void fill_rows(std::uint64_t* words, std::size_t rows) noexcept {
    std::size_t w = 0;
    for (; 64 * (w + 1) <= rows; ++w) words[w] = ~std::uint64_t{0};
    if (rows % 64 != 0) words[w] = (std::uint64_t{1} << (rows % 64)) - 1;
}

/// Exchanges bit c of word r with bit r of word c: quarters, then quarters of quarters.
/// H. S. Warren, Hacker's Delight, 2nd edition, section 7-3.
inline void transpose_64(std::uint64_t* words) noexcept {
    std::uint64_t mask = 0x00000000FFFFFFFFULL;
    for (unsigned half = 32; half != 0; half /= 2, mask ^= mask << half) {
        for (unsigned r = 0; r < 64; r = (r + half + 1) & ~half) {
            const std::uint64_t swapped = ((words[r] >> half) ^ words[r + half]) & mask;
            words[r + half] ^= swapped;
            words[r] ^= swapped << half;
        }
    }
}

}  // namespace opspilot::cel::detail
