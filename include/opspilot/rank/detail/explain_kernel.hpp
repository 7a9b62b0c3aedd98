// Shapley values of one tree for one row: a pass from the root and one back, at four points of the quadrature a vector.
//
// At the point t every feature is known with probability t. `above` of a node is the weight of coming there, `below` the
// expected value from there on. Where the row goes to the side T and not to O, whose share of the training rows is z, and the
// split's feature is unknown with probability r there (1 - t, or less when the row passed an earlier split on it):
//     above(O) = above · r · z          above(T) = above - above(O)
//     below = below(T) - r · z · (below(T) - below(O))
// and knowing the feature changes the expectation by k · above · z · (below(T) - below(O)). An earlier split on the feature that
// the row failed leaves r = 1, k = 0. With p the share of the training rows that passes all earlier ones and g = p (1 - t) + t:
// r = p (1 - t) / g, k = p / g^2. The row's answers decide between ready r and k; nothing is divided here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace opspilot::detail {

struct explain_split {
    double threshold = 0;
    double other_share[2] = {};  // of the training rows here: of those that go left, of those that go right
    std::uint32_t feature = 0;
    std::uint32_t ratio = 0;  // row of r and k when the row passed the earlier splits on the feature
    std::uint32_t left = 0;   // nodes: the splits of the tree, then its leaves
    std::uint32_t right = 0;
    std::uint32_t before = 0;  // 1 + the nearest split above on the same feature; 0 = none
    std::uint32_t categories = 0;
    std::uint8_t side = 1;  // of `before`, where this split lies: 1 = left
    bool categorical = false;
    bool missing_left = false;  // where NaN goes
    bool zero_missing = false;  // so does 0
};

/// Rows of a table of r and k.
inline constexpr std::uint32_t ratio_first = 0;  // no earlier split on the feature
inline constexpr std::uint32_t ratio_off = 1;    // the row failed one

/// An answered split on its way back.
struct explain_step {
    double other_share = 0;
    std::uint32_t taken = 0, other = 0;  // nodes
    std::uint32_t ratio = 0;
    std::uint32_t feature = 0;
};

struct explain_task {
    const explain_split* splits = nullptr;
    std::size_t count = 0;
    const double* leaves = nullptr;  // (count + 1) × width
    std::size_t width = 1;
    const double* weights = nullptr;  // of the pass's points
    const double* ratios = nullptr;   // per row of the table: r, then k, of the pass's points
    // Per split, one further on: bit 0 = the row goes left, bit 1 = it passed the earlier splits on the feature.
    const std::uint8_t* answers = nullptr;
    bool leaves_laid = false;  // `below` of the leaves stands from the call before
    double* above = nullptr;   // (2 count + 1) nodes × points
    double* below = nullptr;
    explain_step* steps = nullptr;  // count
    double* out = nullptr;          // per output of the tree, `stride` apart: one value per feature, added to
    std::size_t stride = 0;
};

inline constexpr std::size_t explain_lanes = 4;
inline constexpr std::size_t explain_packs = 4;  // at most, of points a pass

struct explain_kernel {
    std::string_view name;
    /// By packs of four points, from 1 on.
    void (*run[explain_packs])(const explain_task& task) noexcept;
};

/// Nothing here calls a function of the standard library or one that is no template: those have one copy for all sets.
template <class Four, std::size_t Packs>
void explain_tree_row(const explain_task& t) noexcept {
    constexpr std::size_t points = explain_lanes * Packs;
    const std::size_t count = t.count;
    const explain_split* const splits = t.splits;
    const std::uint8_t* const answers = t.answers + 1;
    const double* const ratios = t.ratios;
    explain_step* const steps = t.steps;
    double* const above = t.above;
    double* const below = t.below;
    for (std::size_t p = 0; p < points; p += explain_lanes) Four::load(t.weights + p).store(above + p);
    for (std::size_t i = 0; i < count; ++i) {
        // Which way a row goes is hard to foresee, so nothing branches on it.
        const explain_split& s = splits[i];
        const std::uint32_t left = answers[i] & 1U;
        const std::uint32_t flip = (s.left ^ s.right) & (0U - left);
        const std::uint32_t passed = 0U - (answers[i] >> 1U);
        const std::uint32_t taken = s.right ^ flip;
        const std::uint32_t other = s.left ^ flip;
        const std::uint32_t ratio = ((s.ratio ^ ratio_off) & passed) ^ ratio_off;
        steps[i] = {s.other_share[left], taken, other, ratio, s.feature};
        const Four share = Four::all(s.other_share[left]);
        const double* const unknown = ratios + std::size_t{ratio} * 2 * points;
        for (std::size_t p = 0; p < points; p += explain_lanes) {
            const Four weight = Four::load(above + i * points + p);
            const Four away = weight * (Four::load(unknown + p) * share);
            away.store(above + std::size_t{other} * points + p);
            (weight - away).store(above + std::size_t{taken} * points + p);
        }
    }
    for (std::size_t k = 0; k < t.width; ++k) {
        if (!t.leaves_laid || t.width > 1)
            for (std::size_t l = 0; l <= count; ++l) {
                const Four value = Four::all(t.leaves[l * t.width + k]);
                for (std::size_t p = 0; p < points; p += explain_lanes) value.store(below + (count + l) * points + p);
            }
        double* const out = t.out + k * t.stride;
        for (std::size_t i = count; i-- > 0;) {
            const explain_step step = steps[i];
            const Four share = Four::all(step.other_share);
            const double* const unknown = ratios + std::size_t{step.ratio} * 2 * points;
            const double* const gain = unknown + points;
            Four sum = Four::all(0.0);
            for (std::size_t p = 0; p < points; p += explain_lanes) {
                const Four value = Four::load(below + std::size_t{step.taken} * points + p);
                const Four change = (value - Four::load(below + std::size_t{step.other} * points + p)) * share;
                sum = sum + change * (Four::load(above + i * points + p) * Four::load(gain + p));
                (value - change * Four::load(unknown + p)).store(below + i * points + p);
            }
            out[step.feature] += sum.total();
        }
    }
}

template <class Four>
constexpr explain_kernel make_explain_kernel(std::string_view name) noexcept {
    return {name,
            {&explain_tree_row<Four, 1>, &explain_tree_row<Four, 2>, &explain_tree_row<Four, 3>, &explain_tree_row<Four, 4>}};
}

/// Four doubles in plain code.
struct plain_four {
    double v[explain_lanes];

    static plain_four load(const double* from) noexcept { return {{from[0], from[1], from[2], from[3]}}; }
    static plain_four all(double x) noexcept { return {{x, x, x, x}}; }
    void store(double* to) const noexcept {
        for (std::size_t i = 0; i < explain_lanes; ++i) to[i] = v[i];
    }
    friend plain_four operator+(const plain_four& a, const plain_four& b) noexcept {
        return {{a.v[0] + b.v[0], a.v[1] + b.v[1], a.v[2] + b.v[2], a.v[3] + b.v[3]}};
    }
    friend plain_four operator-(const plain_four& a, const plain_four& b) noexcept {
        return {{a.v[0] - b.v[0], a.v[1] - b.v[1], a.v[2] - b.v[2], a.v[3] - b.v[3]}};
    }
    friend plain_four operator*(const plain_four& a, const plain_four& b) noexcept {
        return {{a.v[0] * b.v[0], a.v[1] * b.v[1], a.v[2] * b.v[2], a.v[3] * b.v[3]}};
    }
    [[nodiscard]] double total() const noexcept { return (v[0] + v[2]) + (v[1] + v[3]); }
};

}  // namespace opspilot::detail
