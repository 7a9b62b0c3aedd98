/// \file
/// Internal: the loops of a column kernel, written once over an instruction set's comparisons of 64 values at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "opspilot/policy/detail/columns/kernel.hpp"

namespace opspilot::cel::detail {

struct is_less {
    template <class T>
    [[gnu::always_inline]] auto operator()(const T& a, const T& b) const noexcept {
        return a < b;
    }
};
struct is_less_equal {
    template <class T>
    [[gnu::always_inline]] auto operator()(const T& a, const T& b) const noexcept {
        return a <= b;
    }
};
struct is_greater {
    template <class T>
    [[gnu::always_inline]] auto operator()(const T& a, const T& b) const noexcept {
        return a > b;
    }
};
struct is_greater_equal {
    template <class T>
    [[gnu::always_inline]] auto operator()(const T& a, const T& b) const noexcept {
        return a >= b;
    }
};
struct is_equal {
    template <class T>
    [[gnu::always_inline]] auto operator()(const T& a, const T& b) const noexcept {
        return a == b;
    }
};

/// `Words::word(x, constant, test)`: the answers for 64 values against a constant; `Words::pair(x, y, test)`: against 64 others.
template <class Words>
struct column_loops {
    template <class T, class Test>
    static void against(const T* x, std::size_t n, T limit, Test test, std::uint64_t* out) noexcept {
        std::size_t i = 0;
        for (; i + 64 <= n; i += 64) *out++ = Words::word(x + i, limit, test);
        if (i == n) return;
        std::uint64_t last = 0;
        for (std::size_t k = 0; i + k < n; ++k) last |= static_cast<std::uint64_t>(test(x[i + k], limit)) << k;
        *out = last;
    }
    template <class T, class Test>
    static void pairwise(const T* x, const T* y, std::size_t n, Test test, std::uint64_t* out) noexcept {
        std::size_t i = 0;
        for (; i + 64 <= n; i += 64) *out++ = Words::pair(x + i, y + i, test);
        if (i == n) return;
        std::uint64_t last = 0;
        for (std::size_t k = 0; i + k < n; ++k) last |= static_cast<std::uint64_t>(test(x[i + k], y[i + k])) << k;
        *out = last;
    }
    /// Calls `use` with the test that `op` names.
    template <class Use>
    static void with(opcode op, Use use) noexcept {
        switch (op) {
            case opcode::less: return use(is_less{});
            case opcode::less_equal: return use(is_less_equal{});
            case opcode::greater: return use(is_greater{});
            case opcode::greater_equal: return use(is_greater_equal{});
            default: return use(is_equal{});
        }
    }

    template <class T>
    static void limit(const T* x, std::size_t n, opcode op, T limit, std::uint64_t* out) noexcept {
        with(op, [&](auto test) { against(x, n, limit, test, out); });
    }
    template <class T>
    static void pairs(const T* x, const T* y, std::size_t n, opcode op, std::uint64_t* out) noexcept {
        with(op, [&](auto test) { pairwise(x, y, n, test, out); });
    }
    static void codes(const std::uint32_t* x, std::size_t n, std::uint32_t wanted, std::uint64_t* out) noexcept {
        against(x, n, wanted, is_equal{}, out);
    }
    static void bytes(const std::uint8_t* x, std::size_t n, std::uint64_t* out) noexcept {
        against(x, n, std::uint8_t{0}, is_equal{}, out);
        for (std::size_t w = 0; w < (n + 63) / 64; ++w) out[w] = ~out[w];
        if (n % 64 != 0) out[n / 64] &= (std::uint64_t{1} << (n % 64)) - 1;
    }

    static constexpr column_kernel make(std::string_view name) noexcept {
        return {name, &limit<double>, &limit<std::int64_t>, &pairs<double>, &pairs<std::int64_t>, &codes, &bytes};
    }
};

/// Value by value. `Tag` keeps the functions of differently compiled sources apart.
template <class Tag>
struct portable_words {
    template <class T, class Test>
    static std::uint64_t word(const T* x, T limit, Test test) noexcept {
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; ++k) out |= static_cast<std::uint64_t>(test(x[k], limit)) << k;
        return out;
    }
    template <class T, class Test>
    static std::uint64_t pair(const T* x, const T* y, Test test) noexcept {
        std::uint64_t out = 0;
        for (unsigned k = 0; k < 64; ++k) out |= static_cast<std::uint64_t>(test(x[k], y[k])) << k;
        return out;
    }
};

}  // namespace opspilot::cel::detail
