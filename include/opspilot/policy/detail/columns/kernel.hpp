/// \file
/// Internal: the loops of the column evaluator, one set per instruction set: found once, named, equal bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

/// Every function writes ceil(n / 64) words: bit i is the answer for row i, bits from n on are 0. `op` is one of less,
/// less_equal, greater, greater_equal, equal; a NaN answers no. Exactly n values are read.
struct column_kernel {
    std::string_view name;  ///< "avx512", "avx2", "sse4" or "scalar"
    void (*numbers)(const double* x, std::size_t n, opcode op, double limit, std::uint64_t* out) noexcept;
    void (*integers)(const std::int64_t* x, std::size_t n, opcode op, std::int64_t limit, std::uint64_t* out) noexcept;
    void (*number_pairs)(const double* x, const double* y, std::size_t n, opcode op, std::uint64_t* out) noexcept;
    void (*integer_pairs)(const std::int64_t* x, const std::int64_t* y, std::size_t n, opcode op, std::uint64_t* out) noexcept;
    void (*codes)(const std::uint32_t* x, std::size_t n, std::uint32_t wanted, std::uint64_t* out) noexcept;  ///< x == wanted
    void (*bytes)(const std::uint8_t* x, std::size_t n, std::uint64_t* out) noexcept;                         ///< x != 0
};

/// The kernels of this build that this machine can run, best first; "scalar" is always the last.
[[nodiscard]] OPSPILOT_API std::span<const column_kernel* const> column_kernels() noexcept;

/// The kernel of that name, or the best one for "". Errors: usage.unknown_engine.
[[nodiscard]] OPSPILOT_API result<const column_kernel*> find_column_kernel(std::string_view name);

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/columns/kernel-inl.hpp"
#endif
