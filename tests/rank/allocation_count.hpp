// Counts the allocations of the whole test program.
#pragma once

#include <cstddef>

std::size_t allocations_so_far() noexcept;
/// Bytes of all of them, whether they were given back or not.
std::size_t allocated_bytes_so_far() noexcept;
