// Fifty rules over a task's candidates: by columns with a prepared catalogue and without, and by the scalar machine.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "opspilot/policy/policy.hpp"

using namespace opspilot;

namespace {

constexpr std::string_view schema_text = R"({
  "task": [{"name": "tier", "type": "string"}, {"name": "amount", "type": "double"}, {"name": "priority", "type": "int"},
           {"name": "region", "type": "string"}, {"name": "allowed", "type": "list<string>"},
           {"name": "penalty", "type": "double"}, {"name": "language", "type": "string"}],
  "action": [{"name": "kind", "type": "string"}, {"name": "name", "type": "string"}, {"name": "risk", "type": "double"},
             {"name": "requires_approval", "type": "bool"}, {"name": "region", "type": "string", "optional": true},
             {"name": "skill", "type": "int"}, {"name": "load", "type": "int"}, {"name": "cost", "type": "double"},
             {"name": "channel", "type": "string"}]
})";

/// Condition `i` of the shapes that policies have, in turn.
std::string condition(int i) {
    const int c = i / 8;
    switch (i % 8) {
        case 0:
            return fmt::format("task.tier == '{}' && action.risk > {:.2f} && !(action.kind in ['k{}', 'k{}'])",
                               c % 2 == 0 ? "gold" : "silver", 0.2 + 0.1 * c, c, c + 4);
        case 1: return fmt::format("task.amount < {}.0 || action.requires_approval", 100 * (c + 1));
        case 2: return fmt::format("action.name.startsWith('n{}') && task.priority >= {}", c % 10, c % 4);
        case 3: return fmt::format("action.name.matches('^n[0-9]*{}.*x$')", c % 10);
        case 4: return fmt::format("has(action.region) && action.region == task.region && action.skill > {}", c);
        case 5: return fmt::format("action.kind in task.allowed && action.load < {}", 10 * (c + 3));
        case 6: return fmt::format("action.cost * 2.0 + task.penalty * 0.5 > {}.0", 10 * (c + 4));
        default: return fmt::format("task.language in ['l{}'] && action.channel != 'c{}'", c % 2, c % 3);
    }
}

struct desk {
    schema fields = schema::parse(schema_text).value();
    dictionary frozen;
    policy_set policy;
    table task, actions;
    interner strings{frozen};
    std::vector<std::uint32_t> rows;
    policy_catalogue ready;
    frame f;
    policy_workspace scratch;
    policy_outcome out;

    desk(int rules, std::size_t candidates, bool picked) {
        std::string text;
        for (int i = 0; i < rules; ++i)
            text += fmt::format(R"({}{{"id": "r{}", "when": "{}", "effect": "{}", "because": "b"{}}})", i == 0 ? "" : ",", i,
                                condition(i),
                                i % 3 == 0   ? "require_approval"
                                : i % 3 == 1 ? "boost"
                                             : "suggest_only",
                                i % 3 == 1 ? R"(, "by": 0.1)" : "");
        text = R"({"layer": "business", "version": "1", "rules": [)" + text + "]}";
        const policy_set::document d{"bench", text};
        policy = policy_set::compile({&d, 1}, fields, frozen).value();
        const std::size_t catalogue = picked ? 4 * candidates : candidates;
        interner growing = interner::growing(frozen);
        std::mt19937_64 random(1);
        const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
        const auto set = [&](table& t, role r, const char* name, auto value) {
            const std::uint32_t k = *fields.find(r, name);
            status done;
            if constexpr (std::is_same_v<decltype(value), std::string>) done = t.set_text(k, value, growing);
            if constexpr (std::is_same_v<decltype(value), double>) done = t.set_number(k, value);
            if constexpr (std::is_same_v<decltype(value), int>) done = t.set_integer(k, value);
            if constexpr (std::is_same_v<decltype(value), bool>) done = t.set_boolean(k, value);
            if (!done) throw std::runtime_error(done.error().text());
        };
        actions.reset(fields, role::action);
        for (std::size_t i = 0; i < catalogue; ++i) {
            actions.begin_row();
            set(actions, role::action, "id", fmt::format("a{}", i));
            set(actions, role::action, "kind", fmt::format("k{}", below(12)));
            set(actions, role::action, "name", fmt::format("n{}{}", below(1500), below(2) == 0 ? "x" : "y"));
            set(actions, role::action, "risk", below(1000) / 1000.0);
            set(actions, role::action, "requires_approval", below(3) == 0);
            if (below(10) >= 3) set(actions, role::action, "region", fmt::format("g{}", below(4)));
            set(actions, role::action, "skill", below(10));
            set(actions, role::action, "load", below(100));
            set(actions, role::action, "cost", below(1000) / 10.0);
            set(actions, role::action, "channel", fmt::format("c{}", below(4)));
            if (!actions.end_row(growing, 0)) throw std::runtime_error("row");
        }
        task.reset(fields, role::task);
        task.begin_row();
        set(task, role::task, "tier", std::string("gold"));
        set(task, role::task, "amount", 320.0);
        set(task, role::task, "priority", 2);
        set(task, role::task, "region", std::string("g1"));
        const std::vector<std::string_view> allowed{"k1", "k2", "k5", "k7"};
        if (!task.set_list(*fields.find(role::task, "allowed"), allowed, growing)) throw std::runtime_error("list");
        set(task, role::task, "penalty", 40.0);
        set(task, role::task, "language", std::string("l0"));
        if (!task.end_row(growing, 0)) throw std::runtime_error("row");
        rows.resize(candidates);
        for (std::uint32_t i = 0; i < candidates; ++i)
            rows[i] = picked ? static_cast<std::uint32_t>(below(static_cast<int>(catalogue))) : i;
        ready = policy.prepare(actions, strings);
        f.task = &task;
        f.actions = &actions;
        f.action_rows = rows;
        f.strings = &strings;
        f.catalogue = true;
    }
};

void evaluate(benchmark::State& state, const char* engine, bool prepared, bool picked) {
    desk d(50, static_cast<std::size_t>(state.range(0)), picked);
    if (!d.scratch.use(engine)) return state.SkipWithError("not on this machine");
    for (auto _ : state) {
        d.policy.evaluate(d.f, d.scratch, d.out, prepared ? &d.ready : nullptr);
        benchmark::DoNotOptimize(d.out.cap.data());
    }
    state.counters["rules that acted"] = static_cast<double>(d.out.hits.size());
}

}  // namespace

BENCHMARK_CAPTURE(evaluate, prepared, "", true, false)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, picked, "", true, true)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, not_prepared, "", false, false)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, scalar_kernel, "scalar", true, false)->Arg(2000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluate, machine, "machine", false, false)->Arg(2000)->Unit(benchmark::kMicrosecond);

BENCHMARK_MAIN();
