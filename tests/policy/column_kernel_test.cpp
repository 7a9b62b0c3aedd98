// Every kernel of the column evaluator against plain comparisons. Where SIMDe is installed, the AVX-512 kernel's own source takes
// part on any machine, its intrinsics emulated.
#include "opspilot/policy/detail/columns/kernel.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#if defined(OPSPILOT_EMULATED_AVX512)
#include "emulated_avx512.hpp"
#include "opspilot/policy/detail/columns/kernel_avx512.hpp"
#endif

#include "catch.hpp"

using namespace opspilot::cel::detail;

namespace {

std::vector<column_kernel> kernels_here() {
    std::vector<column_kernel> out;
    for (const column_kernel* kernel : column_kernels()) out.push_back(*kernel);
#if defined(OPSPILOT_EMULATED_AVX512)
    struct emulated_columns;
    out.push_back(column_loops<avx512_words<emulated_columns>>::make("avx512, emulated"));
#endif
    return out;
}

constexpr opcode comparisons[] = {opcode::less, opcode::less_equal, opcode::greater, opcode::greater_equal, opcode::equal};

template <class T>
bool compared(opcode op, const T& a, const T& b) {
    switch (op) {
        case opcode::less: return a < b;
        case opcode::less_equal: return a <= b;
        case opcode::greater: return a > b;
        case opcode::greater_equal: return a >= b;
        default: return a == b;
    }
}

/// Answers of rows, and nothing behind the last.
template <class Answer>
std::vector<std::uint64_t> bits(std::size_t n, Answer answer) {
    std::vector<std::uint64_t> out((n + 63) / 64, 0);
    for (std::size_t i = 0; i < n; ++i) out[i / 64] |= static_cast<std::uint64_t>(answer(i) ? 1 : 0) << (i % 64);
    return out;
}

/// Few values, so that equal ones meet; extremes among them.
template <class T>
std::vector<T> drawn(std::mt19937& random, std::size_t n, const std::vector<T>& of) {
    std::vector<T> out(n);
    for (T& x : out) x = of[random() % of.size()];
    return out;
}

const std::size_t lengths[] = {0, 1, 7, 63, 64, 65, 128, 200, 1000};

}  // namespace

TEST_CASE("kernels of columns compare as plain code does") {
    constexpr double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> numbers{0.0, -0.0, 1.0, -1.0, 0.5, 1e300, -1e300, 5e-324, inf, -inf, std::nan("")};
    const std::vector<std::int64_t> integers{0, 1, -1, 42, INT64_MAX, INT64_MIN, INT64_MAX - 1, std::int64_t{1} << 40};
    const std::vector<std::uint32_t> codes{0, 1, 2, 0x80000000U, 0x7FFFFFFFU, 0xFFFFFFFFU};
    const std::vector<std::uint8_t> bytes{0, 0, 1, 2, 128, 255};
    std::mt19937 random(11);
    for (const column_kernel& kernel : kernels_here()) {
        INFO(std::string(kernel.name));
        for (const std::size_t n : lengths) {
            const auto x = drawn(random, n, numbers), y = drawn(random, n, numbers);
            const auto i = drawn(random, n, integers), j = drawn(random, n, integers);
            const auto c = drawn(random, n, codes);
            const auto b = drawn(random, n, bytes);
            std::vector<std::uint64_t> out((n + 63) / 64, ~std::uint64_t{0});
            bool same = true;
            const auto check = [&](auto answer) { same = same && out == bits(n, answer); };
            for (const opcode op : comparisons) {
                for (const double limit : numbers) {
                    kernel.numbers(x.data(), n, op, limit, out.data());
                    check([&](std::size_t r) { return compared(op, x[r], limit); });
                }
                for (const std::int64_t limit : integers) {
                    kernel.integers(i.data(), n, op, limit, out.data());
                    check([&](std::size_t r) { return compared(op, i[r], limit); });
                }
                kernel.number_pairs(x.data(), y.data(), n, op, out.data());
                check([&](std::size_t r) { return compared(op, x[r], y[r]); });
                kernel.integer_pairs(i.data(), j.data(), n, op, out.data());
                check([&](std::size_t r) { return compared(op, i[r], j[r]); });
            }
            for (const std::uint32_t wanted : codes) {
                kernel.codes(c.data(), n, wanted, out.data());
                check([&](std::size_t r) { return c[r] == wanted; });
            }
            kernel.bytes(b.data(), n, out.data());
            check([&](std::size_t r) { return b[r] != 0; });
            CHECK(same);
        }
    }
}
