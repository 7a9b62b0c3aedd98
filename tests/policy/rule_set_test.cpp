// A rule set over columns against dynamic expressions over maps: two ways into the language that share nothing but the machine's
// functions.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "made_conditions.hpp"
#include "opspilot/policy/cel/rule_set.hpp"

using namespace opspilot;
using namespace made;

namespace {

/// A row as a map of the fields that have a value.
cel::value record_of(const table& t, std::size_t row, const interner& strings, cel::arena& memory) {
    const auto fields = t.schema_of().fields(t.role_of());
    std::vector<cel::map_entry> entries;
    for (std::uint32_t k = 0; k < fields.size(); ++k) {
        const cell c = t.get(k, row);
        if (!c.has_value()) continue;
        cel::value v;
        switch (c.type) {
            case field_type::boolean: v = cel::make_boolean(c.integer != 0); break;
            case field_type::integer: v = cel::make_integer(c.integer); break;
            case field_type::number: v = cel::make_number(c.number); break;
            case field_type::text: v = cel::make_text(strings.text(c.code)); break;
            case field_type::timestamp: {
                const std::int64_t rest = (c.integer % 1'000'000 + 1'000'000) % 1'000'000;
                v = cel::make_timestamp((c.integer - rest) / 1'000'000, static_cast<std::uint32_t>(rest * 1000));
                break;
            }
            case field_type::text_list: {
                auto* const items = memory.array<cel::value>(c.codes.size());
                for (std::size_t i = 0; i < c.codes.size(); ++i) items[i] = cel::make_text(strings.text(c.codes[i]));
                v = cel::make_list({items, c.codes.size()});
            }
        }
        entries.push_back({cel::make_text(fields[k].name), v});
    }
    auto* const kept = memory.array<cel::map_entry>(entries.size());
    std::copy(entries.begin(), entries.end(), kept);
    REQUIRE(cel::sort_entries({kept, entries.size()}));
    return cel::make_map({kept, entries.size()});
}

}  // namespace

TEST_CASE("a rule set answers what expressions over the records answer") {
    expressions make(20260102);
    std::size_t compared = 0, matched = 0, failed = 0;
    for (int round = 0; round < 6; ++round) {
        floor_of floor;
        floor.random.seed(static_cast<std::uint64_t>(round));
        std::vector<std::string> sources;
        for (int r = 0; r < 60; ++r) sources.push_back(make.truth(r % 4));
        std::vector<cel::rule_set::refusal> refused;
        const auto rules = cel::rule_set::compile(sources, floor.fields, floor.frozen, &refused);
        REQUIRE(rules.ok());
        REQUIRE(rules->size() == sources.size());
        REQUIRE(refused.size() < 20);

        const std::size_t size = std::vector<std::size_t>{1, 63, 65, 200, 2048, 2050}[static_cast<std::size_t>(round)];
        interner growing = interner::growing(floor.frozen);
        floor.fill(floor.catalogue, role::action, size, growing, 20);
        interner strings(floor.frozen);
        floor.fill(floor.task, role::task, 1, strings, 20);
        floor.fill(floor.pairs, role::candidate, size, strings, 20);
        std::vector<std::uint32_t> rows(size);
        for (std::uint32_t i = 0; i < size; ++i)
            rows[i] = round % 2 == 0
                          ? i
                          : std::uniform_int_distribution<std::uint32_t>(0, static_cast<std::uint32_t>(size) - 1)(floor.random);
        frame f;
        f.task = &floor.task;
        f.actions = &floor.catalogue;
        f.action_rows = rows;
        f.pairs = &floor.pairs;
        f.strings = &strings;
        f.now_us = 3'600'000'000;

        std::vector<std::uint8_t> yes(sources.size() * size), error(yes.size());
        cel::arena kept, memory;
        const cel::value task = record_of(floor.task, 0, strings, kept);
        std::vector<cel::value> actions, pairs;
        for (std::size_t i = 0; i < size; ++i) {
            actions.push_back(record_of(floor.catalogue, rows[i], strings, kept));
            pairs.push_back(record_of(floor.pairs, i, strings, kept));
        }
        std::vector<std::uint8_t> wanted_yes(yes.size()), wanted_error(yes.size());
        for (std::size_t r = 0; r < sources.size(); ++r) {
            const auto plain = cel::expression::compile(sources[r]);
            REQUIRE(plain.ok());
            std::vector<cel::value> bound(plain->variables().size());
            for (std::size_t i = 0; i < size; ++i) {
                for (std::size_t v = 0; v < bound.size(); ++v) {
                    const std::string& name = plain->variables()[v];
                    if (name == "task") bound[v] = task;
                    if (name == "action") bound[v] = actions[i];
                    if (name == "candidate") bound[v] = pairs[i];
                    if (name == "now") bound[v] = cel::make_timestamp(3600, 0);
                }
                memory.reset();
                const cel::value v = plain->evaluate(bound, memory);
                wanted_yes[r * size + i] = v.is_true() ? 1 : 0;
                wanted_error[r * size + i] = v.is(cel::kind::boolean) ? 0 : 1;
            }
        }
        for (const cel::rule_set::refusal& r : refused) {  // fail for every candidate
            std::fill_n(wanted_yes.begin() + static_cast<std::ptrdiff_t>(r.expression * size), size, 0);
            std::fill_n(wanted_error.begin() + static_cast<std::ptrdiff_t>(r.expression * size), size, 1);
        }
        const auto ready = rules->prepare(floor.catalogue, strings);
        cel::rule_set::workspace scratch;
        for (const std::string_view engine : cel::rule_set::engines()) {
            REQUIRE(scratch.use(engine).ok());
            for (const auto* given : {&ready, static_cast<const cel::rule_set::catalogue*>(nullptr)}) {
                rules->evaluate(f, scratch, yes, error, given);
                for (std::size_t k = 0; k < yes.size(); ++k) {
                    if (yes[k] == wanted_yes[k] && error[k] == wanted_error[k]) continue;
                    FAIL(engine << ": candidate " << k % size << " of " << sources[k / size]);
                }
            }
        }
        for (std::size_t k = 0; k < yes.size(); ++k) {
            ++compared;
            matched += yes[k];
            failed += error[k];
        }
    }
    CHECK(compared > 200'000);
    CHECK(matched > 10'000);
    CHECK(failed > 10'000);
}

TEST_CASE("a rule set refuses what the checker refuses") {
    const schema fields = schema::parse(schema_text).value();
    dictionary strings;
    const std::vector<std::string> wrong{"task.paid", "task.amout > 1.0"};
    const auto refused = cel::rule_set::compile(wrong, fields, strings);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == "policy.unknown_field");
    CHECK(refused.error().where == "expression 1 line 1 column 6");
    CHECK(refused.error().hint.find("amount") != std::string::npos);
    std::vector<cel::rule_set::refusal> all;
    REQUIRE(
        cel::rule_set::compile(std::vector<std::string>{"1 +", "task.paid", "task", "action.level"}, fields, strings, &all).ok());
    REQUIRE(all.size() == 3);
    CHECK(all[0].expression == 0);
    CHECK(all[1].expression == 2);
    CHECK(all[2].expression == 3);
    CHECK(all[2].why.code == "policy.condition_type");
}

TEST_CASE("a prepared catalogue outlives its rule set, and is not used for another") {
    const schema fields = schema::parse(schema_text).value();
    dictionary strings;
    const auto compile = [&](std::string source) {
        return cel::rule_set::compile(std::vector<std::string>{std::move(source)}, fields, strings).value();
    };
    table task(fields, role::task), actions(fields, role::action), pairs(fields, role::candidate);
    interner texts = interner::growing(strings);
    REQUIRE(task.read_json("{}", texts, 0).ok());
    REQUIRE(actions.read_json(R"([{"id": "a", "level": 1}, {"id": "b", "level": 5}, {"id": "c"}])", texts, 0).ok());
    REQUIRE(pairs.read_json("[{}, {}, {}]", texts, 0).ok());
    const std::vector<std::uint32_t> rows{0, 1, 2};
    const frame f{.task = &task, .actions = &actions, .action_rows = rows, .pairs = &pairs, .strings = &texts};
    cel::rule_set::catalogue ready;
    {
        const cel::rule_set first = compile("action.level > 3");
        ready = first.prepare(actions, texts);
    }
    const cel::rule_set second = compile("action.level < 3");
    cel::rule_set::workspace scratch;
    std::vector<std::uint8_t> yes(3), error(3);
    second.evaluate(f, scratch, yes, error, &ready);
    CHECK(yes == std::vector<std::uint8_t>{1, 0, 0});
    CHECK(error == std::vector<std::uint8_t>{0, 0, 1});
}

TEST_CASE("tables of values hold what features may not") {
    const schema fields = schema::parse(schema_text).value();
    dictionary strings;
    interner texts = interner::growing(strings);
    std::vector<std::vector<cel::value>> columns(fields.fields(role::action).size());
    const auto set = [&](std::string_view name, std::vector<cel::value> values) {
        columns[*fields.find(role::action, name)] = std::move(values);
    };
    set("risk", {cel::make_number(std::nan("")), cel::make_number(std::numeric_limits<double>::infinity()), cel::make_null()});
    const std::vector<cel::value> queues{cel::make_text("a"), cel::make_text("")};
    set("queues", {cel::value{}, cel::make_list(queues), cel::make_list({})});
    const auto made = cel::table_of_values(fields, role::action, columns, 3, texts);
    REQUIRE(made.ok());
    const auto at = [&](std::string_view name, std::size_t row) { return made->get(*fields.find(role::action, name), row); };
    CHECK(std::isnan(at("risk", 0).number));
    CHECK(at("risk", 0).has_value());
    CHECK(std::isinf(at("risk", 1).number));
    CHECK(!at("risk", 2).has_value());
    CHECK(!at("queues", 0).has_value());
    CHECK(at("queues", 1).codes.size() == 2);
    CHECK(at("queues", 2).has_value());
    CHECK(at("queues", 2).codes.empty());
    CHECK(!at("id", 0).has_value());
    set("level", {cel::make_number(1)});
    const auto refused = cel::table_of_values(fields, role::action, columns, 3, texts);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == "schema.wrong_type");
    CHECK(refused.error().where == "/0/level");
}
