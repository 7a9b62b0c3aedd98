// The decision procedure: what it decides by hand, and at random against every row of small domains, evaluated by the machine.
#include <fmt/format.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "made_conditions.hpp"
#include "opspilot/policy/detail/analysis/decider.hpp"

using namespace opspilot;
using namespace opspilot::detail::analysis;
using opspilot::detail::json;

namespace {

schema fields() {
    return schema::parse(R"({
      "task": [{"name": "amount", "type": "double"}, {"name": "limit", "type": "double", "optional": true},
               {"name": "count", "type": "int"}, {"name": "level", "type": "int", "min": 0, "max": 3},
               {"name": "tier", "type": "string", "values": ["free", "pro", "top"]}, {"name": "text", "type": "string"},
               {"name": "region", "type": "string", "optional": true}, {"name": "paid", "type": "bool"},
               {"name": "tags", "type": "list<string>"}, {"name": "opened", "type": "timestamp"},
               {"name": "fresh", "type": "double", "max_age": "1h", "as_of": "seen"},
               {"name": "seen", "type": "timestamp", "optional": true}],
      "action": [{"name": "kind", "type": "string"}, {"name": "region", "type": "string", "optional": true},
                 {"name": "cost", "type": "double"}, {"name": "share", "type": "double", "min": 0, "max": 1}]})")
        .value();
}

std::string answer(const decision& d) {
    return d.what == decision::kind::unknown ? "not decided" : d.what == decision::kind::yes ? "yes" : "no";
}

/// One question at a time, over the schema above.
struct asker {
    schema s = fields();
    dictionary strings;
    decider d{s, strings};
    std::uint32_t add(const std::string& text) {
        auto added = d.add(text);
        INFO(text);
        if (!added) FAIL(added.error().text());
        return *added;
    }
    std::string implies(const std::string& a, const std::string& b) { return answer(d.implies(add(a), add(b))); }
    std::string disjoint(const std::string& a, const std::string& b) { return answer(d.disjoint(add(a), add(b))); }
    std::string satisfiable(const std::string& a) { return answer(d.satisfiable(add(a))); }
    std::string valid(const std::string& a) { return answer(d.valid(add(a))); }
};

}  // namespace

TEST_CASE("one field: thresholds, sets, presence") {
    asker ask;
    CHECK(ask.implies("task.amount > 500.0", "task.amount > 100") == "yes");
    CHECK(ask.implies("task.amount > 100.0", "task.amount > 500.0") == "no");
    CHECK(ask.implies("task.amount >= 500.0", "task.amount > 500.0") == "no");
    CHECK(ask.implies("task.count > 4", "task.count >= 5") == "yes");  // whole numbers
    CHECK(ask.implies("task.count > 4.5", "task.count >= 5u") == "yes");
    CHECK(ask.disjoint("task.count > 9007199254740992", "task.count < 9007199254740993.0") == "yes");  // no rounding
    CHECK(ask.implies("task.tier == 'pro'", "task.tier in ['pro', 'top']") == "yes");
    CHECK(ask.implies("task.tier != 'free'", "task.tier in ['pro', 'top']") == "yes");  // nothing else is declared
    CHECK(ask.implies("action.kind != 'a'", "action.kind in ['b', 'c']") == "no");
    CHECK(ask.satisfiable("task.tier == 'gold'") == "no");
    CHECK(ask.valid("task.level >= 0 && task.level <= 3") == "yes");
    CHECK(ask.valid("task.level % 2 == 0 || task.level in [1, 3]") == "yes");
    CHECK(ask.satisfiable("action.share > 1.0") == "no");
    CHECK(ask.valid("has(task.limit) || true") == "yes");
    CHECK(ask.valid("task.limit > 1.0 || task.limit <= 1.0") == "no");  // it may be missing
    CHECK(ask.valid("!has(task.limit) || task.limit > 1.0 || task.limit <= 1.0") == "yes");
    CHECK(ask.implies("task.limit > 1.0", "has(task.limit)") == "yes");
    CHECK(ask.valid("task.?region.orValue('') != 'eu' || has(task.region)") == "yes");
    CHECK(ask.disjoint("!has(task.region)", "task.region == 'eu'") == "yes");
}

TEST_CASE("an error is no truth, and && and || absorb it") {
    asker ask;
    CHECK(ask.satisfiable("task.limit > 1.0 && !has(task.limit)") == "no");
    CHECK(ask.implies("!has(task.limit)", "task.limit > 1.0 || task.paid") == "no");
    CHECK(ask.implies("task.paid", "task.limit > 1.0 || task.paid") == "yes");
    CHECK(ask.implies("task.paid && !has(task.limit)", "!(task.limit > 1.0 && !task.paid)") == "yes");
    CHECK(ask.valid("(task.limit > 1.0) == (task.limit > 1.0)") == "no");
    CHECK(ask.valid("task.count + 1 > task.count || task.count + 1 <= task.count") == "no");  // overflow
}

TEST_CASE("arithmetic over one field keeps its rounding and its overflow") {
    asker ask;
    CHECK(ask.implies("task.amount * 2.0 > 10.0", "task.amount > 5.0") == "yes");
    CHECK(ask.implies("10.0 - task.amount > 4.0", "task.amount < 6.0") == "yes");
    CHECK(ask.implies("task.amount > 0.3", "task.amount + 0.1 > 0.4") == "no");  // 0.30000000000000004 + 0.1 is 0.4
    CHECK(ask.implies("task.count * -3 >= 9", "task.count <= -3") == "yes");
    CHECK(ask.implies("task.count > 0", "task.count + 1 > 1") == "no");  // the highest int
    CHECK(ask.implies("task.count > 0 && task.count < 1000", "task.count + 1 > 1") == "yes");
    CHECK(ask.implies("task.count / 10 == 3", "task.count in [30, 31, 32, 33, 34, 35, 36, 37, 38, 39]") == "yes");
    CHECK(ask.implies("double(task.count) > 2.5", "task.count >= 3") == "yes");
    CHECK(ask.implies("int(task.amount) == 2", "task.amount >= 2.0 && task.amount < 3.0") == "yes");
    CHECK(ask.implies("task.opened > timestamp('2026-01-02T00:00:00Z')",
                      "task.opened - duration('24h') > timestamp('2026-01-01T00:00:00Z')") == "no");  // years end at 9999
    CHECK(ask.implies("task.opened > timestamp('2026-01-02T00:00:00Z') && task.opened < timestamp('2027-01-01T00:00:00Z')",
                      "task.opened - duration('24h') > timestamp('2026-01-01T00:00:00Z')") == "yes");
}

TEST_CASE("texts and lists") {
    asker ask;
    CHECK(ask.implies("action.kind.startsWith('refund')", "action.kind.startsWith('re')") == "yes");
    CHECK(ask.implies("action.kind.startsWith('re')", "action.kind.startsWith('refund')") == "no");
    CHECK(ask.disjoint("action.kind.startsWith('ab')", "action.kind == 'ba'") == "yes");
    CHECK(ask.implies("action.kind == 'refund'", "action.kind.matches('^re')") == "yes");
    CHECK(ask.disjoint("task.text.matches('(?i)agent')", "!task.text.matches('(?i)agent')") == "yes");
    CHECK(ask.satisfiable("task.text.matches('(?i)agent') && !task.text.contains('agent')") != "no");
    CHECK(ask.satisfiable("task.text.contains('b') && task.text.startsWith('a') && task.text.endsWith('c')") == "yes");
    CHECK(ask.implies("'a' in task.tags && 'b' in task.tags", "'b' in task.tags") == "yes");
    CHECK(ask.implies("'a' in task.tags", "'b' in task.tags") == "no");
    CHECK(ask.disjoint("size(task.text) > 5", "size(task.text) <= 5") == "yes");
    CHECK(ask.satisfiable("size(task.text) < 0") == "no");
}

TEST_CASE("two fields") {
    asker ask;
    CHECK(ask.disjoint("action.cost > task.amount", "action.cost <= task.amount") == "yes");
    CHECK(ask.implies("action.cost > task.amount", "task.amount < action.cost") == "yes");
    CHECK(ask.implies("action.cost > task.amount && task.amount > 10.0", "action.cost > 10.0") == "yes");
    CHECK(ask.implies("action.cost > task.amount", "action.cost > 10.0") == "no");
    CHECK(ask.implies("action.region == task.region && task.region == 'eu'", "action.region == 'eu'") == "yes");
    CHECK(ask.disjoint("action.region == task.region", "task.region == 'eu' && action.region == 'us'") == "yes");
    CHECK(ask.satisfiable("has(action.region) && action.region != task.region") == "yes");
    CHECK(ask.implies("action.cost * 2.0 + task.amount * 0.5 > 10.0", "action.cost * 2.0 + task.amount * 0.5 > 5.0") == "yes");
    CHECK(ask.implies("action.cost * 2.0 + task.amount * 0.5 > 5.0", "action.cost * 2.0 + task.amount * 0.5 > 10.0") == "no");
    CHECK(ask.implies("action.kind in task.tags", "action.kind in task.tags || task.paid") == "yes");
    CHECK(ask.satisfiable("action.kind in task.tags && action.kind == 'x'") == "yes");
    CHECK(ask.satisfiable("now - task.opened > duration('1h')") == "yes");
}

TEST_CASE("a row that refutes is one of the readers' rows, and ages count") {
    asker ask;
    const decision d = ask.d.implies(ask.add("task.fresh > 1.0"), ask.add("task.count > 5 && task.fresh > 0.0"));
    REQUIRE(d.what == decision::kind::no);
    CHECK(d.row->text().find("\"fresh\":2.0") != std::string::npos);
    CHECK(d.row->text().find("\"seen\":0") != std::string::npos);
    CHECK(ask.valid("task.fresh > 1.0 || task.fresh <= 1.0") == "no");  // it may be too old to stand
}

namespace {

/// Tests over four small fields, and tables that two of them are looked up in.
class small_conditions final : public made::random_conditions {
public:
    using random_conditions::random_conditions;

private:
    std::string test() override {
        switch (pick(15)) {
            case 0:
            case 1: return fmt::format("task.n {} {}", comparison(), one({"-1", "0", "1", "2", "0.5", "1.5", "2u", "task.k"}));
            case 2: return fmt::format("task.k {} {}", comparison(), one({"0", "1", "0.5"}));
            case 3: return fmt::format("task.n {} 1 {} {}", one({"+", "-", "*"}), comparison(), one({"0", "1", "2", "task.k"}));
            case 4: return fmt::format("task.k {} task.n", comparison());
            case 5: return fmt::format("task.s {} {}", one({"==", "!="}), one({"'a'", "'b'", "'ab'", "task.t"}));
            case 6: return fmt::format("task.t in [{}]", one({"'a'", "'a', 'b'", "'ab'", "task.s, 'b'"}));
            case 7:
                return fmt::format("task.s.{}({})", one({"startsWith", "contains", "endsWith"}),
                                   one({"'a'", "'b'", "'ab'", "task.t"}));
            case 8: return fmt::format("has(task.{})", one({"n", "s"}));
            case 9: return fmt::format("task.n % task.k == {}", one({"0", "1"}));
            case 10: return fmt::format("task.?s.orValue('b') {} {}", one({"==", "!="}), one({"'b'", "task.t"}));
            case 11:
                return fmt::format("lookup('sizes', task.{}{}) {} {}", one({"s", "t"}), one({"", ", 3"}), comparison(),
                                   one({"0", "1", "task.k", "task.n"}));
            case 12:
                return fmt::format("lookup('names', task.{}) {} {}", one({"s", "t"}), one({"==", "!="}),
                                   one({"'a'", "'zz'", "task.t"}));
            case 13:
                return fmt::format("lookup('steps', task.{}) {} {}", one({"n", "k"}), comparison(),
                                   one({"0", "5", "lookup('sizes', task.t)"}));
            default: return fmt::format("task.k * task.n + 1 {} {}", comparison(), one({"1", "2", "3"}));
        }
    }
};

lookup_tables small_tables() {
    const std::vector<lookup_tables::document> documents{
        {"sizes", R"({"version": "1", "key": "string", "value": "int", "rows": {"a": 1, "b": 0, "zz": 7}})"},
        {"names", R"({"version": "1", "key": "string", "value": "string", "default": "a", "rows": {"a": "b", "ab": "zz"}})"},
        {"steps", R"({"version": "1", "key": "int", "value": "int", "default": -1, "rows": [[0, 5], [2, 0]]})"}};
    return lookup_tables::read(documents).value();
}

}  // namespace

TEST_CASE("random conditions: no answer differs from all rows tried one by one") {
    // Numbers in bounds and texts from lists, so that all rows can be tried. In every other round the numbers of the schema are
    // free and only some rows are tried: a row can then refute a yes, and a no carries its row.
    const std::string small = R"({"task": [{"name": "n", "type": "int", "min": -2, "max": 3, "optional": true},
        {"name": "k", "type": "int", "min": 0, "max": 2}, {"name": "s", "type": "string", "values": ["a", "b", "ab", "ba"], "optional": true},
        {"name": "t", "type": "string", "values": ["a", "b", "ab"]}]})";
    const std::string wide = R"({"task": [{"name": "n", "type": "int", "optional": true}, {"name": "k", "type": "int"},
        {"name": "s", "type": "string", "optional": true}, {"name": "t", "type": "string"}]})";
    std::size_t answers = 0, open = 0;
    for (const bool complete : {true, false}) {
        const schema s = schema::parse(complete ? small : wide).value();
        small_conditions make(complete ? 11 : 12);
        const lookup_tables tables = small_tables();
        std::vector<example> rows;
        for (int n = -3; n <= 3; ++n)
            for (int k = 0; k <= 2; ++k)
                for (const char* text : {"", "a", "b", "ab", "ba"})
                    for (const char* t : {"a", "b", "ab"}) {
                        example e;
                        if (n > -3) e.task["n"] = n;
                        e.task["k"] = k;
                        if (*text != '\0') e.task["s"] = text;
                        e.task["t"] = t;
                        e.candidate = json::object({{"id", ""}});
                        rows.push_back(e);
                    }
        for (int round = 0; round < 400; ++round) {
            dictionary strings;
            decider d(s, strings, tables);
            const std::string first = make.truth(2), second = make.truth(2);
            const std::uint32_t a = d.add(first).value(), b = d.add(second).value();
            const decision implied = d.implies(a, b), apart = d.disjoint(a, b), possible = d.satisfiable(a), always = d.valid(a);
            bool counter = false, together = false, once = false, ever = true;
            example_maker maker(s, strings);
            for (const example& e : rows) {
                frame f;
                REQUIRE(maker.read(e, f));
                const outcomes x = d.evaluate(a, f), y = d.evaluate(b, f);
                counter = counter || (x == holds && y != holds);
                together = together || (x == holds && y == holds);
                once = once || x == holds;
                ever = ever && x == holds;
            }
            INFO(first << "   |   " << second);
            const auto check = [&](const decision& given, bool yes, bool known) {
                ++answers;
                if (given.what == decision::kind::unknown) {
                    ++open;
                    return;
                }
                if (complete || known) CHECK((given.what == decision::kind::yes) == yes);
                if (given.row) {
                    frame f;
                    REQUIRE(maker.read(*given.row, f));
                }
            };
            check(implied, !counter, counter);
            check(apart, !together, together);
            check(possible, once, once);
            check(always, ever, !ever);
        }
    }
    UNSCOPED_INFO(answers << " answers, " << open << " not decided");
    CHECK(open < answers / 4);
    WARN(answers << " answers, " << open << " not decided");
}

namespace {

/// Tests over wide domains: doubles and ints at their ends, free texts, lists, times.
class wide_conditions final : public made::random_conditions {
public:
    using random_conditions::random_conditions;

private:
    std::string test() override {
        switch (pick(14)) {
            case 0: return fmt::format("task.x {} {}", comparison(), number());
            case 1: return fmt::format("task.x {} {} {} {}", one({"*", "/", "+", "-"}), factor(), comparison(), number());
            case 2: return fmt::format("{} - task.x * {} {} {}", factor(), factor(), comparison(), number());
            case 3: return fmt::format("int(task.x) {} {}", comparison(), one({"0", "1", "-1", "9223372036854775807"}));
            case 4:
                return fmt::format("task.n {} {} {} {}", one({"*", "+", "-", "/"}), one({"2", "-3", "1"}), comparison(), whole());
            case 5: return fmt::format("-task.n {} {}", comparison(), one({"3", "0.5", "9223372036854775807u"}));
            case 6: return fmt::format("double(task.n) {} task.x", comparison());
            case 7:
                return fmt::format("task.s.{}('{}')", one({"startsWith", "contains", "endsWith"}),
                                   one({"a", "ab", "b", "ba", "abc"}));
            case 8: return fmt::format("task.s {} {}", comparison(), one({"'a'", "'ab'", "'b'", "task.t"}));
            case 9: return fmt::format("{} in task.l", one({"'a'", "'b'", "task.s"}));
            case 10:
                return one(
                    {"task.l.exists(i, i == task.s)", "size(task.l) > 1", "task.s.matches('^a.*b$')", "size(task.s) <= 2"});
            case 11:
                return fmt::format("task.d {} duration('{}') {} timestamp('{}')", one({"+", "-"}), one({"1h", "-36h", "5ns"}),
                                   comparison(), moment());
            case 12: return fmt::format("task.d - timestamp('{}') {} duration('{}')", moment(), comparison(), one({"0s", "24h"}));
            default: return one({"has(task.x)", "has(task.d)", "task.x * 0.5 + double(task.n) > 1.0", "task.t == task.s"});
        }
    }
    std::string number() { return one({"0.3", "1.0", "-2.5", "1e308", "0", "3", "0.1", "0.6"}); }
    std::string factor() { return one({"3.0", "0.1", "-0.5", "1e200", "7.0"}); }
    std::string whole() { return one({"0", "1", "-7", "9223372036854775807", "-9223372036854775808", "2.5"}); }
    std::string moment() { return one({"2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z"}); }
};

}  // namespace

TEST_CASE("random conditions over wide domains: no row refutes a yes, and every no has its row") {
    const schema s = schema::parse(R"({"task": [{"name": "x", "type": "double", "optional": true}, {"name": "n", "type": "int"},
        {"name": "s", "type": "string"}, {"name": "t", "type": "string"}, {"name": "l", "type": "list<string>"},
        {"name": "d", "type": "timestamp", "optional": true}]})")
                         .value();
    wide_conditions make(21);
    const auto numbers = [] {
        std::vector<double> out;
        for (const double at : {0.3, 1.0, -2.5, 1e308, 0.0, 3.0, 0.1, 0.6, 0.2, 0.9, 5.0, 9.2e18, 1e108, 1.7e308, 0.03, 21.0})
            for (const double x : {at, -at, std::nextafter(at, HUGE_VAL), std::nextafter(at, -HUGE_VAL)})
                if (std::isfinite(x)) out.push_back(x);
        return out;
    }();
    const std::vector<std::int64_t> wholes{
        0, 1, -1, 2, 3, -7, -3, 7, 21, -2, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, INT64_MAX / 2, INT64_MAX / 2 + 1};
    const std::vector<std::int64_t> times{0,
                                          1767225600000000,
                                          1767225600000001,
                                          1767139200000000,
                                          -62135596800000000,
                                          -62135596800000001,
                                          253402300799999999,
                                          253402297200000000,
                                          INT64_MAX,
                                          INT64_MIN};
    std::vector<example> rows;
    for (int i = 0; i < 1500; ++i) {
        example e;
        if (make.pick(8) != 0) e.task["x"] = numbers[make.pick(numbers.size())];
        e.task["n"] = wholes[make.pick(wholes.size())];
        e.task["s"] = make.one({"a", "ab", "b", "ba", "abc", "", "xa", "aab", "zz"});
        e.task["t"] = make.one({"a", "ab", "zz", ""});
        e.task["l"] = json::array();
        for (const char* item : {"a", "b", "ab"})
            if (make.pick(2) == 0) e.task["l"].push_back(item);
        if (make.pick(8) != 0) e.task["d"] = times[make.pick(times.size())];
        e.candidate = json::object({{"id", ""}});
        rows.push_back(e);
    }
    std::size_t answers = 0, open = 0, yes = 0;
    for (int round = 0; round < 300; ++round) {
        dictionary strings;
        decider d(s, strings);
        const std::string first = make.truth(2), second = make.truth(2);
        INFO(first << "   |   " << second);
        const std::uint32_t a = d.add(first).value(), b = d.add(second).value();
        example_maker maker(s, strings);
        const auto outcome = [&](const example& e, std::uint32_t c) {
            frame f;
            REQUIRE(maker.read(e, f));
            return d.evaluate(c, f);
        };
        const auto check = [&](const decision& given, auto&& refutes, bool row_shows_yes) {
            ++answers;
            if (given.what == decision::kind::unknown) ++open;
            if (given.row) CHECK(refutes(outcome(*given.row, a), outcome(*given.row, b)));
            if (given.what != (row_shows_yes ? decision::kind::no : decision::kind::yes)) return;
            ++yes;
            bool refuted = false;
            for (const example& e : rows) refuted = refuted || refutes(outcome(e, a), outcome(e, b));
            CHECK(!refuted);
        };
        check(d.implies(a, b), [](outcomes x, outcomes y) { return x == holds && y != holds; }, false);
        check(d.disjoint(a, b), [](outcomes x, outcomes y) { return x == holds && y == holds; }, false);
        check(d.satisfiable(a), [](outcomes x, outcomes) { return x == holds; }, true);
        check(d.valid(a), [](outcomes x, outcomes) { return x != holds; }, false);
    }
    WARN(answers << " answers, " << yes << " of them that no row refutes, " << open << " not decided");
    CHECK(yes > answers / 20);
    CHECK(open < answers / 4);
}
