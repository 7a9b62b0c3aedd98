// Thresholds of a million scores: the first time, with critical ranks at hand, and what a search for the ranks costs.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <vector>

#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/rate_process.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace {

struct certified_set {
    std::vector<double> score;
    std::vector<std::uint8_t> error;
};

/// Distinct scores, or scores on a grid; errors as the score says.
const certified_set& million(bool ties) {
    static const auto make = [](bool rounded) {
        std::mt19937_64 random(1);
        std::uniform_real_distribution<double> uniform;
        certified_set out;
        for (int i = 0; i < 1'000'000; ++i) {
            double s = std::pow(uniform(random), 0.1);
            if (rounded) s = std::floor(s * 1000) / 1000;
            out.score.push_back(s);
            out.error.push_back(uniform(random) > s ? 1 : 0);
        }
        return out;
    };
    static const certified_set distinct = make(false), tied = make(true);
    return ties ? tied : distinct;
}

void threshold_of_a_million(benchmark::State& state) {
    const certified_set& set = million(state.range(0) != 0);
    const bool believed = state.range(1) != 0, first = state.range(2) != 0;
    double confidence = 0.95;
    for (auto _ : state) {
        if (first) confidence += 1e-9;  // another failure probability: no ranks are at hand
        opspilot::threshold_options options{.max_risk = 0.05, .confidence = confidence};
        if (believed) options.start_probability = set.score;
        benchmark::DoNotOptimize(opspilot::automation_threshold(set.score, set.error, options));
    }
}
BENCHMARK(threshold_of_a_million)
    ->ArgNames({"ties", "beliefs", "first"})
    ->ArgsProduct({{0, 1}, {0, 1}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

void ranks_up_to_a_million(benchmark::State& state) {
    for (auto _ : state) {
        opspilot::critical_ranks ranks(0.05, 0.05);
        benchmark::DoNotOptimize(ranks.allowed(1'000'000));
    }
}
BENCHMARK(ranks_up_to_a_million)->Unit(benchmark::kMillisecond);

void evidence_of_a_stream(benchmark::State& state) {
    const auto total = static_cast<std::uint64_t>(state.range(0));
    for (auto _ : state)
        benchmark::DoNotOptimize(opspilot::log_rate_evidence(total / 40, total, 0.02, 3.92, 192.08, opspilot::rate_side::above));
}
BENCHMARK(evidence_of_a_stream)->Arg(400)->Arg(100'000);

}  // namespace

BENCHMARK_MAIN();
