// The published baseline: QuickScorer (Lucchese et al., SIGIR 2015), eight rows at a time as in V-QuickScorer (2016), plainly
// written: AVX-512 or AVX2 where the machine has them. Reads the models that the library reads, and gives the same bits. A C
// surface for compare_trees.py; up to 64 leaves a tree, one output, numerical splits without missing values.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include "opspilot/rank/lightgbm.hpp"

namespace {

using opspilot::tree_ensemble;
using opspilot::tree_split;
using opspilot::tree_view;

constexpr std::size_t lanes = 8;
constexpr std::size_t leaves_per_tree = 64;

/// A split as QuickScorer sees it: rows above the threshold lose the leaves on its left.
struct condition {
    float threshold;
    std::uint32_t tree;
    std::uint64_t keeps;
};

struct model {
    std::vector<condition> conditions;  // by feature, then by rising threshold
    std::vector<std::size_t> first;     // features + 1
    std::vector<double> leaves;         // trees × 64
    std::size_t trees = 0;
    double zero = -1;
    double start = 0, divisor = 1, scale = 1, bias = 0;
};

/// Leaves the state of each tree with the bits of the leaves that its rows may still reach; `values` is features × lanes.
using mask_function = void (*)(const model&, const float* values, std::uint64_t* state);

void mask_scalar(const model& m, const float* values, std::uint64_t* state) {
    for (std::size_t f = 0; f + 1 < m.first.size(); ++f)
        for (std::size_t lane = 0; lane < lanes; ++lane)
            for (std::size_t c = m.first[f]; c < m.first[f + 1]; ++c) {
                if (!(values[f * lanes + lane] > m.conditions[c].threshold)) break;
                state[m.conditions[c].tree * lanes + lane] &= m.conditions[c].keeps;
            }
}

__attribute__((target("avx2"))) void mask_avx2(const model& m, const float* values, std::uint64_t* state) {
    for (std::size_t f = 0; f + 1 < m.first.size(); ++f) {
        const __m256 x = _mm256_loadu_ps(values + f * lanes);
        for (std::size_t c = m.first[f]; c < m.first[f + 1]; ++c) {
            const __m256 above = _mm256_cmp_ps(x, _mm256_set1_ps(m.conditions[c].threshold), _CMP_GT_OQ);
            if (_mm256_movemask_ps(above) == 0) break;
            const __m256i which = _mm256_castps_si256(above);
            const __m256i lost = _mm256_set1_epi64x(static_cast<long long>(~m.conditions[c].keeps));
            auto* const at = reinterpret_cast<__m256i*>(state + m.conditions[c].tree * lanes);
            const __m256i low = _mm256_and_si256(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(which)), lost);
            const __m256i high = _mm256_and_si256(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(which, 1)), lost);
            _mm256_storeu_si256(at, _mm256_andnot_si256(low, _mm256_loadu_si256(at)));
            _mm256_storeu_si256(at + 1, _mm256_andnot_si256(high, _mm256_loadu_si256(at + 1)));
        }
    }
}

__attribute__((target("avx512f,avx512vl"))) void mask_avx512(const model& m, const float* values, std::uint64_t* state) {
    for (std::size_t f = 0; f + 1 < m.first.size(); ++f) {
        const __m256 x = _mm256_loadu_ps(values + f * lanes);
        for (std::size_t c = m.first[f]; c < m.first[f + 1]; ++c) {
            const __mmask8 above = _mm256_cmp_ps_mask(x, _mm256_set1_ps(m.conditions[c].threshold), _CMP_GT_OQ);
            if (above == 0) break;
            std::uint64_t* const at = state + m.conditions[c].tree * lanes;
            const __m512i bits = _mm512_loadu_si512(at);
            const __m512i keeps = _mm512_set1_epi64(static_cast<long long>(m.conditions[c].keeps));
            _mm512_storeu_si512(at, _mm512_mask_and_epi64(bits, above, bits, keeps));
        }
    }
}

struct engine {
    const char* name;
    mask_function mask;
};

engine best() {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return {"avx512", mask_avx512};
    if (__builtin_cpu_supports("avx2")) return {"avx2", mask_avx2};
    return {"scalar", mask_scalar};
}

/// The largest float that is no larger: comparing floats with it is comparing them with the threshold.
float rounded_down(double threshold) {
    const auto rounded = static_cast<float>(threshold);
    return static_cast<double>(rounded) > threshold ? std::nextafter(rounded, -std::numeric_limits<float>::infinity()) : rounded;
}

/// Adds a tree's splits, per feature. Children stand behind their parents and leaves are numbered from left to right.
bool add(const tree_view& tree, std::size_t number, std::vector<std::vector<condition>>& by_feature) {
    if (tree.leaves.size() > leaves_per_tree || tree.width != 1) return false;
    std::vector<std::array<std::uint32_t, 2>> covers(tree.splits.size());  // first and last leaf below a split
    for (std::size_t s = tree.splits.size(); s-- > 0;) {
        const tree_split& split = tree.splits[s];
        if (split.categorical || split.missing != opspilot::missing_rule::none) return false;
        const auto below = [&](std::int32_t child, std::size_t end) {
            return child < 0 ? static_cast<std::uint32_t>(~child) : covers[static_cast<std::size_t>(child)][end];
        };
        covers[s] = {below(split.left, 0), below(split.right, 1)};
        std::uint64_t left = 0;
        for (std::uint32_t leaf = below(split.left, 0); leaf <= below(split.left, 1); ++leaf) left |= std::uint64_t{1} << leaf;
        by_feature[split.feature].push_back({rounded_down(split.threshold), static_cast<std::uint32_t>(number), ~left});
    }
    return true;
}

std::unique_ptr<model> lay_out(const tree_ensemble& ensemble) {
    if (ensemble.outputs() != 1) return nullptr;
    auto m = std::make_unique<model>();
    m->trees = ensemble.trees();
    m->leaves.resize(m->trees * leaves_per_tree);
    m->zero = ensemble.arithmetic().zero_threshold;
    m->start = ensemble.start()[0];
    m->divisor = ensemble.divisor();
    m->scale = ensemble.scale();
    m->bias = ensemble.bias()[0];
    std::vector<std::vector<condition>> by_feature(ensemble.features());
    for (std::size_t t = 0; t < m->trees; ++t) {
        const tree_view tree = ensemble.tree(t);
        if (!add(tree, t, by_feature)) return nullptr;
        std::copy(tree.leaves.begin(), tree.leaves.end(), m->leaves.begin() + static_cast<std::ptrdiff_t>(t * leaves_per_tree));
    }
    m->first.push_back(0);
    for (std::vector<condition>& conditions : by_feature) {
        std::stable_sort(conditions.begin(), conditions.end(),
                         [](const condition& a, const condition& b) { return a.threshold < b.threshold; });
        m->conditions.insert(m->conditions.end(), conditions.begin(), conditions.end());
        m->first.push_back(m->conditions.size());
    }
    return m;
}

void score(const model& m, const float* rows, std::size_t n, double* out, mask_function mask) {
    const std::size_t features = m.first.size() - 1;
    std::vector<float> values(features * lanes);
    std::vector<std::uint64_t> state(m.trees * lanes);
    for (std::size_t base = 0; base < n; base += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const float* const row = rows + std::min(base + lane, n - 1) * features;
            for (std::size_t f = 0; f < features; ++f)  // NaN is read as 0, too
                values[f * lanes + lane] = std::abs(static_cast<double>(row[f])) > m.zero ? row[f] : 0.0F;
        }
        std::fill(state.begin(), state.end(), ~std::uint64_t{0});
        mask(m, values.data(), state.data());
        std::array<double, lanes> sums{};
        sums.fill(m.start);
        for (std::size_t t = 0; t < m.trees; ++t)
            for (std::size_t lane = 0; lane < lanes; ++lane)
                sums[lane] += m.leaves[t * leaves_per_tree + static_cast<std::size_t>(std::countr_zero(state[t * lanes + lane]))];
        for (std::size_t lane = 0; lane < lanes && base + lane < n; ++lane)
            out[base + lane] = sums[lane] / m.divisor * m.scale + m.bias;
    }
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) const char* quickscorer_engine() { return best().name; }

/// Null for a model that it does not read. Kept until the process ends.
__attribute__((visibility("default"))) const void* quickscorer_read(const char* text, std::size_t length) {
    const auto ensemble = opspilot::read_lightgbm(std::string_view(text, length));
    return ensemble ? lay_out(*ensemble).release() : nullptr;
}

/// `rows` is n × features, row by row; `out` has n elements.
__attribute__((visibility("default"))) void quickscorer_score(const void* handle, const float* rows, std::size_t n, double* out) {
    score(*static_cast<const model*>(handle), rows, n, out, best().mask);
}

}  // extern "C"
