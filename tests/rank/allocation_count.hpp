// Counts the allocations of the whole test program.
#pragma once

#include <cstddef>

std::size_t allocations_so_far() noexcept;
