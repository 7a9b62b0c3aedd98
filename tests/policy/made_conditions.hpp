// Conditions made at random over a schema that has a field of every type, and rows for them.
#pragma once

#include <fmt/format.h>

#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/policy/tables.hpp"

namespace made {

using namespace opspilot;

inline constexpr std::string_view schema_text = R"({
  "task": [
    {"name": "tier", "type": "string", "optional": true},
    {"name": "amount", "type": "double", "optional": true},
    {"name": "priority", "type": "int", "optional": true},
    {"name": "paid", "type": "bool", "optional": true},
    {"name": "tags", "type": "list<string>", "optional": true},
    {"name": "due", "type": "timestamp", "optional": true}],
  "action": [
    {"name": "kind", "type": "string", "optional": true},
    {"name": "region", "type": "string", "optional": true},
    {"name": "risk", "type": "double", "optional": true},
    {"name": "level", "type": "int", "optional": true},
    {"name": "manual", "type": "bool", "optional": true},
    {"name": "since", "type": "timestamp", "optional": true},
    {"name": "queues", "type": "list<string>", "optional": true}],
  "candidate": [
    {"name": "age", "type": "int", "optional": true},
    {"name": "note", "type": "string", "optional": true},
    {"name": "score", "type": "double", "optional": true}]
})";

/// A table of every kind of key and value, with a default and without.
inline lookup_tables tables() {
    static const std::vector<lookup_tables::document> documents{
        {"caps", R"({"version": "1", "key": "string", "value": "double", "rows": {"a": 0.5, "bb": 3, "abab": -2.25}})"},
        {"levels", R"({"version": "1", "key": "int", "value": "int", "default": 2,
                       "rows": [[0, 3], [1, -1], [3, 9223372036854775807], [-9223372036854775808, 0]]})"},
        {"teams", R"({"version": "1", "key": "string", "value": "string", "rows": {"a": "bb", "bb": "a", "": "nowhere else"}})"},
        {"risky", R"({"version": "1", "key": "string", "value": "bool", "default": false, "rows": {"a": true, "b": false}})"},
        {"near", R"({"version": "1", "key": "bool", "value": "list<string>", "rows": [[true, ["a", "bb"]], [false, []]]})"}};
    return lookup_tables::read(documents).value();
}

/// Conditions of a bool, made at random: connectives over tests, which a vocabulary makes. The same for the same seed.
class random_conditions {
public:
    explicit random_conditions(std::uint64_t seed) : random_(seed) {}
    virtual ~random_conditions() = default;

    std::string truth(int depth) {
        if (depth > 0) {
            switch (pick(9)) {
                case 0:
                case 1: return fmt::format("({} && {})", truth(depth - 1), truth(depth - 1));
                case 2:
                case 3: return fmt::format("({} || {})", truth(depth - 1), truth(depth - 1));
                case 4: return fmt::format("!({})", truth(depth - 1));
                case 5: return fmt::format("({} ? {} : {})", truth(depth - 1), truth(depth - 1), truth(depth - 1));
                case 6: return fmt::format("({}) {} ({})", truth(depth - 1), one({"==", "!="}), truth(depth - 1));
                default: break;
            }
        }
        return test();
    }
    std::size_t pick(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
    std::string one(std::vector<const char*> of) { return of[pick(of.size())]; }

protected:
    virtual std::string test() = 0;
    std::string comparison() { return one({"<", "<=", ">", ">=", "==", "!="}); }

private:
    std::mt19937_64 random_;
};

/// Tests over `schema_text`, mostly of forms the evaluator has columns for. `looks_up`: they look into `tables`.
class expressions final : public random_conditions {
public:
    explicit expressions(std::uint64_t seed, bool looks_up = false) : random_conditions(seed), looks_up_(looks_up) {}

private:
    std::string test() override {
        if (looks_up_ && pick(6) == 0)
            return pick(2) == 0 ? fmt::format("lookup('risky', {})", text())
                                : fmt::format("{} in lookup('near', {})", text(), one({"action.manual", "task.paid", "true"}));
        switch (pick(13)) {
            case 0: return fmt::format("{} {} {}", number(2), comparison(), number(2));
            case 1: return fmt::format("{} {} {}", whole(2), comparison(), whole(2));
            case 2:
                return fmt::format("{} {} {}", number(1), comparison(),
                                   one({"3", "-7", "task.priority", "9007199254740993", "5u"}));
            case 3:
                return fmt::format("{} {} {}", whole(1), comparison(),
                                   one({"2.5", "-3.0", "task.amount", "1e300", "18446744073709551615u"}));
            case 4: return fmt::format("{} {} {}", text(), one({"==", "!="}), text());
            case 5: return fmt::format("{} in ['a', 'bb', task.tier]", text());
            case 6: return fmt::format("{} in task.tags", text());
            case 7: return fmt::format("{}.{}({})", text(), one({"startsWith", "contains", "endsWith"}), text());
            case 8: return fmt::format("{}.matches('^[ab]+$')", text());
            case 9:
                return fmt::format("has({})",
                                   one({"action.region", "action.risk", "candidate.note", "task.amount", "action.level"}));
            case 10: return fmt::format("{} {} {}", moment(), comparison(), moment());
            case 11: return fmt::format("action.queues.exists(q, q == {})", text());
            default:
                return one({"action.manual", "task.paid", "action.kind in action.queues", "size(candidate.note) > 1",
                            "task.tags.all(t, t != action.kind)", "action.?region.orValue('bb') == 'bb'",
                            "candidate.?age.hasValue()", "action.queues.exists(i, q, i == 0 && q == action.kind)",
                            "action.manual == task.paid"});
        }
    }

    std::string number(int depth) {
        if (depth > 0 && pick(3) == 0)
            return fmt::format("({} {} {})", number(depth - 1), one({"+", "-", "*", "/"}), number(depth - 1));
        if (looks_up_ && pick(3) == 0)
            return fmt::format("lookup('caps', {}{})", text(), one({"", "", ", 1.5", ", action.risk"}));
        return one({"action.risk", "candidate.score", "task.amount", "0.5", "-2.25", "-action.risk", "double(action.level)",
                    "9007199254740992.0"});
    }
    std::string whole(int depth) {
        if (depth > 0 && pick(3) == 0)
            return fmt::format("({} {} {})", whole(depth - 1), one({"+", "-", "*", "/", "%"}), whole(depth - 1));
        if (looks_up_ && pick(3) == 0)
            return fmt::format("lookup('levels', {}{})", one({"action.level", "candidate.age", "task.priority", "1"}),
                               one({"", "", ", -7", ", candidate.age"}));
        return one({"action.level", "candidate.age", "task.priority", "3", "-1", "9223372036854775807", "-candidate.age"});
    }
    std::string text() {
        if (looks_up_ && pick(5) == 0)
            return fmt::format("lookup('teams', {}{})", one({"action.kind", "action.region", "task.tier", "'a'"}),
                               one({"", ", 'b'"}));
        return one({"action.kind", "action.region", "candidate.note", "task.tier", "'a'", "'bb'", "'nowhere'"});
    }
    std::string moment() {
        return one({"action.since", "task.due", "now", "timestamp('2026-01-01T00:00:00Z')",
                    "timestamp('1970-01-01T00:00:00.0000005Z')", "(now - duration('1h'))"});
    }
    bool looks_up_;
};

/// Random rows, cells missing now and then, with the values at which comparisons turn.
struct floor_of {
    schema fields = schema::parse(schema_text).value();
    dictionary frozen;
    table task, catalogue, brought, pairs;
    std::mt19937_64 random{7};

    bool chance(int percent) { return std::uniform_int_distribution<int>(0, 99)(random) < percent; }
    template <class T>
    T one(const std::vector<T>& of) {
        return of[std::uniform_int_distribution<std::size_t>(0, of.size() - 1)(random)];
    }

    void fill(table& t, role r, std::size_t rows, interner& strings, int missing) {
        t.reset(fields, r);
        const std::vector<std::string> texts{"a", "bb", "b", "", "nowhere else", "abab"};
        const std::vector<double> numbers{0.5, -2.25, 3, -7, 9007199254740992.0, 0, 1e300, -0.0};
        const std::vector<std::int64_t> wholes{
            0, 1, -1, 2, 3, 9007199254740993, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};
        const std::vector<std::int64_t> moments{0, 1, -1, 1767225600000000, 1767225600000001, 3'600'000'000};
        for (std::size_t i = 0; i < rows; ++i) {
            t.begin_row();
            for (std::uint32_t k = 0; k < fields.fields(r).size(); ++k) {
                const field& f = fields.fields(r)[k];
                if (f.name == "id" && r == role::action) {
                    REQUIRE(t.set_text(k, fmt::format("id{}", i % 97), strings).ok());
                    continue;
                }
                if (chance(missing)) continue;
                status done;
                switch (f.type) {
                    case field_type::boolean: done = t.set_boolean(k, chance(50)); break;
                    case field_type::integer: done = t.set_integer(k, one(wholes)); break;
                    case field_type::number: done = t.set_number(k, one(numbers)); break;
                    case field_type::text: done = t.set_text(k, one(texts), strings); break;
                    case field_type::timestamp: done = t.set_integer(k, one(moments)); break;
                    case field_type::text_list: {
                        const std::vector<std::string> items{one(texts), one(texts)};
                        const std::vector<std::string_view> views(items.begin(), items.end());
                        done = t.set_list(k, views, strings);
                        break;
                    }
                }
                REQUIRE(done.ok());
            }
            REQUIRE(t.end_row(strings, 0).ok());
        }
    }
};

}  // namespace made
