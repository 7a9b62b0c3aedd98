// Every kernel against the portable one, function by function. Where SIMDe is installed, the AVX-512 kernel's own source takes
// part on any machine, its intrinsics emulated.
#include "opspilot/rank/detail/tree_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "opspilot/rank/detail/tree_engines.hpp"

#if defined(OPSPILOT_EMULATED_AVX512)
#include "emulated_avx512.hpp"
#include "opspilot/rank/detail/tree_avx512.hpp"
#endif

#include "catch.hpp"

using namespace opspilot;
using namespace opspilot::detail;

namespace {

std::vector<tree_kernel> all_kernels() {
    std::vector<tree_kernel> out;
    const tree_kernel_list& known = known_tree_kernels();
    for (std::size_t i = 0; i < known.count; ++i) out.push_back(*known.kernels[i]);
#if defined(OPSPILOT_EMULATED_AVX512)
    struct emulated;
    out.push_back(make_tree_kernel<avx512_trees<emulated>>("avx512, emulated", 64));
#endif
    return out;
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct random_block {
    std::mt19937 random{7};
    std::vector<std::int8_t> columns = std::vector<std::int8_t>(40 * tree_lanes);
    std::vector<tree_op> ops;

    random_block() {
        for (std::int8_t& b : columns) b = static_cast<std::int8_t>(random() % 256);
        // Whatever the slots: kernels need not know what a tree is. Slot 0 stays zero.
        for (int i = 0; i < 200; ++i) {
            tree_op op;
            op.column = static_cast<std::uint16_t>(random() % 40);
            op.rank = static_cast<std::int8_t>(random() % 256);
            op.step = static_cast<std::uint8_t>(random());
            op.coarse = static_cast<std::uint8_t>(random());
            op.left = static_cast<std::uint8_t>(random() % tree_slots);
            op.right = static_cast<std::uint8_t>(random() % tree_slots);
            op.dest = static_cast<std::uint8_t>(1 + random() % (tree_slots - 1));
            ops.push_back(op);
        }
    }
};

}  // namespace

TEST_CASE("kernels choose the same sides") {
    random_block b;
    const tree_kernel& reference = tree_scalar;
    for (const tree_kernel& kernel : all_kernels())
        for (const std::size_t lanes : {std::size_t{64}, std::size_t{128}, std::size_t{192}, tree_lanes}) {
            CAPTURE(std::string(kernel.name), lanes);
            for (const bool coarse : {false, true}) {
                std::vector<std::uint8_t> expected(tree_slots * tree_lanes, 0), got = expected;
                (coarse ? reference.coarse_splits : reference.splits)(b.ops.data(), b.ops.size(), b.columns.data(),
                                                                      expected.data(), lanes);
                (coarse ? kernel.coarse_splits : kernel.splits)(b.ops.data(), b.ops.size(), b.columns.data(), got.data(), lanes);
                CHECK(same_bytes(got, expected));
                CHECK(expected[tree_lanes + 63] + expected[2 * tree_lanes + 5] + expected[3 * tree_lanes + 17] != 0);
            }
            std::vector<std::uint8_t> expected(tree_lanes, 0), got = expected;
            reference.levels(b.ops.data(), 7, b.columns.data(), expected.data(), lanes);
            kernel.levels(b.ops.data(), 7, b.columns.data(), got.data(), lanes);
            CHECK(same_bytes(got, expected));
        }
}

TEST_CASE("the portable kernel chooses as its contract says") {
    random_block b;
    std::vector<std::uint8_t> slots(tree_slots * tree_lanes, 0);
    for (const tree_op& op : b.ops) {
        std::vector<std::uint8_t> expected(tree_lanes);
        for (std::size_t i = 0; i < tree_lanes; ++i)
            expected[i] = b.columns[op.column * tree_lanes + i] > op.rank
                              ? static_cast<std::uint8_t>(slots[op.right * tree_lanes + i] + op.step)
                              : slots[op.left * tree_lanes + i];
        tree_scalar.splits(&op, 1, b.columns.data(), slots.data(), tree_lanes);
        CHECK(std::equal(expected.begin(), expected.end(), slots.begin() + op.dest * static_cast<std::ptrdiff_t>(tree_lanes)));
    }
}

TEST_CASE("kernels look up and add the same leaves") {
    std::mt19937 random(3);
    for (const std::size_t leaves : std::vector<std::size_t>{1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 128, 200, 256})
        for (const tree_kernel& kernel : all_kernels()) {
            CAPTURE(std::string(kernel.name), leaves);
            std::vector<std::uint8_t> index(tree_lanes);
            for (std::uint8_t& i : index) i = static_cast<std::uint8_t>(random() % leaves);
            // As many leaves as the table has: a kernel that read on would be caught by the sanitizers.
            std::vector<double> doubles(leaves), sums(tree_lanes), expected;
            std::vector<float> floats(leaves), float_sums(tree_lanes), float_expected;
            for (std::size_t i = 0; i < leaves; ++i) {
                doubles[i] = static_cast<double>(random()) / 7 - 3e8;
                floats[i] = static_cast<float>(doubles[i]);
            }
            for (std::size_t i = 0; i < tree_lanes; ++i) {
                sums[i] = static_cast<double>(random()) / 3;
                float_sums[i] = static_cast<float>(sums[i]);
            }
            expected = sums;
            float_expected = float_sums;
            for (std::size_t i = 0; i < tree_lanes; ++i) {
                expected[i] += doubles[index[i]];
                float_expected[i] += floats[index[i]];
            }
            kernel.add_doubles(index.data(), doubles.data(), leaves, sums.data(), tree_lanes);
            kernel.add_floats(index.data(), floats.data(), leaves, float_sums.data(), tree_lanes);
            CHECK(same_bytes(sums, expected));
            CHECK(same_bytes(float_sums, float_expected));
            std::vector<std::uint16_t> bytes(tree_lanes, 1000), bytes_expected(tree_lanes);
            for (std::size_t i = 0; i < tree_lanes; ++i)
                bytes_expected[i] = static_cast<std::uint16_t>(1000 + static_cast<std::uint8_t>(index[i] + 250));
            kernel.add_bytes(index.data(), 250, bytes.data(), tree_lanes);
            CHECK(same_bytes(bytes, bytes_expected));
        }
}

TEST_CASE("a category's bit says where it goes") {
    std::mt19937 random(5);
    for (const tree_kernel& kernel : all_kernels()) {
        CAPTURE(std::string(kernel.name));
        for (const std::size_t lanes : {std::size_t{64}, tree_lanes}) {
            std::vector<std::uint8_t> codes(lanes), bits(32);
            for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random());
            for (std::uint8_t& byte : bits) byte = static_cast<std::uint8_t>(random());
            std::vector<std::int8_t> out(lanes), before(lanes), expected(lanes);
            for (std::size_t i = 0; i < lanes; ++i) {
                before[i] = random() % 2 == 0 ? goes_left_byte : goes_right_byte;
                expected[i] = (bits[codes[i] / 8] >> codes[i] % 8 & 1) != 0 ? goes_left_byte : goes_right_byte;
            }
            kernel.members(codes.data(), bits.data(), false, out.data(), lanes);
            CHECK(out == expected);
            out = before;
            kernel.members(codes.data(), bits.data(), true, out.data(), lanes);
            for (std::size_t i = 0; i < lanes; ++i) expected[i] = std::min(expected[i], before[i]);
            CHECK(out == expected);
        }
    }
}

TEST_CASE("ranks narrow into runs") {
    std::vector<std::uint16_t> ranks(tree_lanes);
    std::mt19937 random(11);
    for (std::uint16_t& r : ranks) r = static_cast<std::uint16_t>(random() % 1200);
    for (const tree_kernel& kernel : all_kernels())
        for (const std::uint32_t base : {0U, 255U, 510U, 1020U, 65'280U}) {
            std::vector<std::int8_t> out(tree_lanes);
            kernel.narrow(ranks.data(), tree_lanes, base, out.data());
            bool same = true;
            for (std::size_t i = 0; i < tree_lanes; ++i)
                same &= out[i] == std::clamp(static_cast<int>(ranks[i]) - static_cast<int>(base), 0, 255) - 128;
            CHECK(same);
        }
}
