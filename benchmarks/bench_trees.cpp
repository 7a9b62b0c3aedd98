// Trees: one row, and blocks of rows and of one task's candidates. OPSPILOT_MODEL names a LightGBM text model; without it a
// made-up one of 500 trees × 64 leaves over 96 features.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_builder.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace {

using namespace opspilot;

constexpr std::size_t task_columns = 40;
constexpr std::size_t action_columns = 24;

/// Trees that split a random leaf at one of 254 thresholds of a random feature until they have 64.
tree_ensemble made_up() {
    constexpr std::size_t features = 96, trees = 500, leaves = 64;
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    std::vector<std::string> names;
    for (std::size_t f = 0; f < features; ++f) names.push_back(std::string("f").append(std::to_string(f)));
    std::vector<double> thresholds(254);
    for (double& t : thresholds) t = static_cast<double>(static_cast<float>(normal(random)));
    tree_builder builder;
    if (!builder.begin(std::move(names), 1, trees).ok()) std::abort();
    for (std::size_t t = 0; t < trees; ++t) {
        bool ok = builder.begin_tree(2 * leaves - 1, 0).ok();
        std::vector<std::uint32_t> open{0};
        for (std::uint32_t next = 1; next < 2 * leaves - 1; next += 2) {
            std::swap(open[random() % open.size()], open.back());
            const auto feature = static_cast<std::uint32_t>(random() % features);
            const double threshold = thresholds[random() % thresholds.size()];
            ok = ok && builder.split(open.back(), feature, threshold, missing_rule::none, false, next, next + 1).ok();
            open.back() = next;
            open.push_back(next + 1);
        }
        for (const std::uint32_t node : open) ok = ok && builder.leaf(node, normal(random)).ok();
        if (!ok || !builder.end_tree().ok()) std::abort();
    }
    return builder.finish().value();
}

const tree_ensemble& model() {
    static const tree_ensemble ensemble = [] {
        const char* const path = std::getenv("OPSPILOT_MODEL");
        if (path == nullptr) return made_up();
        std::ifstream file(path, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        return read_lightgbm(text).value();
    }();
    return ensemble;
}

const tree_scorer& scorer() {
    static const tree_scorer compiled = tree_scorer::compile(model()).value();
    return compiled;
}

template <class T>
std::vector<T> numbers(std::size_t count) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<T> out(count);
    for (T& value : out) value = static_cast<T>(normal(random));
    return out;
}

void compile_model(benchmark::State& state) {
    const tree_ensemble& ensemble = model();
    for (auto _ : state) benchmark::DoNotOptimize(tree_scorer::compile(ensemble).value());
    state.counters["bytes"] = static_cast<double>(scorer().bytes());
}
BENCHMARK(compile_model)->Unit(benchmark::kMillisecond);

/// Plain rows, each time the next ones of 4,096: a single row that is always the same would teach the branch predictor its way.
template <class T>
void rows(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const std::size_t width = scorer().features(), held = std::max<std::size_t>(4'096 / n, 1);
    const std::vector<T> values = numbers<T>(held * n * width);
    std::vector<double> out(n * scorer().outputs());
    tree_workspace scratch;
    std::size_t at = 0;
    for (auto _ : state) {
        if (!scorer().score_rows({values.data() + at * n * width, n, width}, out, scratch).ok())
            state.SkipWithError("score_rows");
        benchmark::DoNotOptimize(out.data());
        at = (at + 1) % held;
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(rows<double>)->Arg(1)->Arg(2'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(rows<float>)->Arg(1)->Arg(8)->Arg(64)->Arg(256)->Arg(2'000)->Unit(benchmark::kMicrosecond);

/// One task's candidates with a prepared catalogue, all of them (k = 0) or the best k.
void candidates(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto k = static_cast<std::size_t>(state.range(1));
    const std::size_t width = scorer().features();
    if (width <= task_columns + action_columns) return state.SkipWithError("too few columns for a task, an action and a pair");
    const std::size_t pair_columns = width - task_columns - action_columns;
    const std::vector<float> task = numbers<float>(task_columns), actions = numbers<float>(n * action_columns),
                             pairs = numbers<float>(n * pair_columns);
    const action_ranks catalogue = scorer().prepare_actions({actions.data(), n, action_columns}, task_columns).value();
    std::vector<std::int64_t> index(n), best(k);
    std::iota(index.begin(), index.end(), std::int64_t{0});
    std::vector<double> out(k == 0 ? n : k);
    task_candidates c;
    c.task = {task.data(), 1, task_columns};
    c.catalogue = &catalogue;
    c.index = index;
    c.pairs = {pairs.data(), n, pair_columns};
    tree_workspace scratch;
    for (auto _ : state) {
        const status done = k == 0 ? scorer().score_task(c, out, scratch) : scorer().top_k(c, best, out, scratch);
        if (!done.ok()) state.SkipWithError("score_task");
        benchmark::DoNotOptimize(out.data());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(candidates)->Args({200, 0})->Args({2'000, 0})->Args({2'000, 10})->Unit(benchmark::kMicrosecond);

/// The same as columns, as a bundle's stages hand them over: whether the task's are known to be constant, and how many are
/// chosen.
void columns(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto kept = static_cast<std::size_t>(state.range(2));
    const std::size_t width = scorer().features();
    if (width <= task_columns) return state.SkipWithError("too few columns for a task and its candidates");
    std::vector<float> values = numbers<float>(n * width);
    std::vector<const float*> pointers;
    for (std::size_t j = 0; j < width; ++j) {
        if (j < task_columns) std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(j * n), n, values[j * n]);
        pointers.push_back(values.data() + j * n);
    }
    std::vector<std::uint8_t> constant(width, 0);
    if (state.range(1) != 0) std::fill_n(constant.begin(), task_columns, std::uint8_t{1});
    std::vector<std::uint32_t> chosen;
    for (std::size_t i = 0; i < n && kept < n; i += n / kept) chosen.push_back(static_cast<std::uint32_t>(i));
    std::vector<double> out(chosen.empty() ? n : chosen.size());
    tree_workspace scratch;
    for (auto _ : state) {
        if (!scorer().score({pointers, n, constant, chosen}, out, scratch).ok()) state.SkipWithError("score");
        benchmark::DoNotOptimize(out.data());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(columns)
    ->ArgNames({"rows", "constant", "kept"})
    ->Args({2'000, 0, 2'000})
    ->Args({2'000, 1, 2'000})
    ->Args({2'000, 1, 200})
    ->Args({200, 0, 200})
    ->Args({200, 1, 200})
    ->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
