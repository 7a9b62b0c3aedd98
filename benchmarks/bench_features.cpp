// Pair transforms over a candidate set, and text hashing. The figures that must be reached: 2,000 candidates x 32 pair
// transforms in 0.3 ms; words and bigrams at 100 MB/s; with characters 3-5 at 25 MB/s.
#include <benchmark/benchmark.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "opspilot/data/frame.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/features/text.hpp"

namespace {

using namespace opspilot;

std::string words(std::mt19937& random, std::size_t count, unsigned vocabulary) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
        auto id = static_cast<unsigned>(random() % vocabulary);
        for (unsigned k = 2 + id % 7; k-- > 0; id = id * 31 + 7) out += static_cast<char>('a' + id % 26);
        out += ' ';
    }
    return out;
}

/// A catalogue and one task with every field the pair transforms read.
struct pair_world {
    schema fields;
    dictionary frozen;
    feature_plan plan;
    std::shared_ptr<const prepared_actions> prepared;
    std::unique_ptr<interner> strings;
    table task, actions;
    std::vector<std::uint32_t> rows;

    explicit pair_world(std::size_t candidates) {
        std::string task_fields;
        std::string action_fields;
        for (int i = 0; i < 8; ++i) {
            task_fields += R"({"name":"c)" + std::to_string(i) + R"(","type":"string"},{"name":"x)" + std::to_string(i) +
                           R"(","type":"double"},)";
            action_fields += R"({"name":"c)" + std::to_string(i) + R"(","type":"string"},{"name":"x)" + std::to_string(i) +
                             R"(","type":"double"},)";
        }
        fields = schema::parse(
                     R"({"task":[)" + task_fields + R"({"name":"text","type":"string"}],"action":[)" + action_fields +
                     R"({"name":"t0","type":"timestamp"},{"name":"t1","type":"timestamp"},{"name":"text","type":"string"}]})")
                     .value();
        std::string transforms;
        const auto add = [&](const std::string& text) { transforms.append(transforms.empty() ? "" : ",").append(text); };
        const auto name = [](const char* prefix, int i) {
            return std::string(R"({"name":")").append(prefix).append(std::to_string(i));
        };
        const auto n = [](int i) { return std::to_string(i); };
        for (int i = 0; i < 8; ++i)
            add(name("eq", i) + R"(","op":"equal","a":"task.c)" + n(i) + R"(","b":"action.c)" + n(i) + "\"}");
        for (int i = 0; i < 8; ++i)
            add(name("d", i) + (i % 2 ? R"(","op":"ratio","a":"task.x)" : R"(","op":"difference","a":"task.x)") + n(i) +
                R"(","b":"action.x)" + n(i) + "\"}");
        for (int i = 0; i < 8; ++i)
            add(name("e", i) + R"(","input":"d)" + n(i) +
                (i % 3 == 0   ? R"(","op":"clip","min":-2,"max":2})"
                 : i % 3 == 1 ? R"(","op":"log"})"
                              : R"(","op":"standardise","state":{"mean":0.5,"scale":3}})"));
        for (int i = 0; i < 4; ++i)
            add(name("b", i) + R"(","op":"bucket","input":"d)" + n(i) + R"(","edges":[-4,-2,-1,-0.5,0,0.5,1,2,4]})");
        for (int i = 0; i < 2; ++i) add(name("age", i) + R"(","op":"age","unit":"1h","input":"action.t)" + n(i) + "\"}");
        add(R"({"name":"o0","op":"overlap","a":{"input":"task.text","kind":"words"},"b":{"input":"action.text","kind":"words"}})");
        add(R"({"name":"o1","op":"overlap","measure":"of_b","a":{"input":"task.text","kind":"words"},"b":{"input":"action.text","kind":"words"}})");
        plan = feature_plan::parse(R"({"version":1,"transforms":[)" + transforms + "]}", fields, frozen).value();
        strings = std::make_unique<interner>(frozen);
        std::mt19937 random(1);
        const auto row = [&](bool action, std::size_t i) {
            std::string out = "{";
            if (action) out += R"("id":"a)" + std::to_string(i) + R"(","t0":1600000000000000,"t1":1650000000000000,)";
            for (int k = 0; k < 8; ++k) {
                out += R"("c)" + std::to_string(k) + R"(":"v)" + std::to_string(random() % 5) + R"(",)";
                out += R"("x)" + std::to_string(k) + R"(":)" +
                       std::to_string(static_cast<double>(random() % 10000) / 1000.0 - 4) + ",";
            }
            return out + R"("text":")" + words(random, 16, 600) + "\"}";
        };
        task.reset(fields, role::task);
        std::string one = "[";
        (void)task.read_json(one.append(row(false, 0)).append("]"), *strings, 0).ok();
        std::string all = "[";
        for (std::size_t i = 0; i < candidates; ++i) all.append(i > 0 ? "," : "").append(row(true, i));
        actions.reset(fields, role::action);
        if (!actions.read_json(all + "]", *strings, 0).ok() || task.rows() != 1) std::abort();
        prepared = plan.prepare(actions, *strings).value();
        rows.resize(candidates);
        std::iota(rows.begin(), rows.end(), 0U);
        std::shuffle(rows.begin(), rows.end(), random);
    }
    [[nodiscard]] frame view() const {
        frame f;
        f.task = &task;
        f.actions = &actions;
        f.action_rows = rows;
        f.strings = strings.get();
        f.now_us = 1'700'000'000'000'000;
        return f;
    }
};

void pair_transforms(benchmark::State& state) {
    const pair_world w(static_cast<std::size_t>(state.range(0)));
    feature_workspace scratch;
    feature_matrix out;
    const frame f = w.view();
    const prepared_actions* const prepared = state.range(1) != 0 ? w.prepared.get() : nullptr;
    for (auto _ : state) {
        if (!w.plan.apply(f, prepared, scratch, out).ok()) state.SkipWithError("apply");
        benchmark::DoNotOptimize(out.column(0));
    }
    state.counters["transforms"] = static_cast<double>(w.plan.names().size());
    state.counters["ns/value"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(w.plan.names().size() * f.size()) * 1e-9,
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(pair_transforms)->Args({2000, 1})->Args({100, 1})->Args({100, 0})->Unit(benchmark::kMicrosecond);

void hash_text(benchmark::State& state, const text_hash_options& options, std::size_t words_per_text) {
    std::mt19937 random(2);
    std::vector<std::string> texts;
    std::size_t bytes = 0;
    for (int i = 0; i < 200; ++i) {
        texts.push_back(words(random, words_per_text, 5000));
        bytes += texts.back().size();
    }
    const text_hasher hasher = text_hasher::make(options).value();
    text_workspace scratch;
    std::vector<std::uint32_t> index;
    std::vector<float> value;
    for (auto _ : state)
        for (const std::string& text : texts) {
            if (!hasher.transform(text, scratch, index, value).ok()) state.SkipWithError("transform");
            benchmark::DoNotOptimize(index.data());
        }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK_CAPTURE(hash_text, words_12_short, {.bits = 18}, 12);
BENCHMARK_CAPTURE(hash_text, words_12, {.bits = 18}, 100);
BENCHMARK_CAPTURE(hash_text, words_12_long, {.bits = 18}, 2000);
BENCHMARK_CAPTURE(hash_text, words_12_chars_35, {.bits = 18, .char_min = 3, .char_max = 5}, 100);
BENCHMARK_CAPTURE(hash_text, words_12_chars_35_long, {.bits = 18, .char_min = 3, .char_max = 5}, 2000);

}  // namespace

BENCHMARK_MAIN();
