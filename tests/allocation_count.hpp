// Counts the allocations of a whole test program.
#pragma once

#include <cstddef>

// Sanitizers bring operators of their own, which check that every pair matches; nothing is counted then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif

std::size_t allocations_so_far() noexcept;
/// Bytes of all of them, whether they were given back or not.
std::size_t allocated_bytes_so_far() noexcept;
