// The language by itself: what the conformance cases leave open, the door that bindings use, and random input.
#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/policy/cel/expression.hpp"
#include "opspilot/policy/policy.hpp"
#include "typed_value.hpp"

namespace cel = opspilot::cel;
using typed::json;

namespace {

/// Text of the value, or of the error with its place.
std::string eval(const std::string& source, const json& bindings = json::object(), bool check = false) {
    cel::options how;
    how.check = check;
    const auto e = cel::expression::compile(source, how);
    if (!e) return "refused " + e.error().text();
    typed::store keep;
    std::vector<cel::value> bound;
    for (const std::string& name : e->variables())
        bound.push_back(bindings.contains(name) ? typed::decode(bindings[name], keep) : cel::value{});
    cel::arena memory;
    const cel::value v = e->evaluate(bound, memory);
    return v.failed() ? e->explain(v).text() : cel::to_text(v);
}

}  // namespace

TEST_CASE("errors stand where they arise") {
    CHECK(eval("1 + 2 / 0") == "line 1 column 7: division by zero");
    CHECK(eval("x + 1") == "line 1 column 1: unknown variable: 'x'");
    CHECK(eval("{'a': 1}.b") == "line 1 column 10: no such key: 'b'");
    CHECK(eval("true &&\n  f(1)") == "line 2 column 3: unknown function: 'f'");
    CHECK(eval("'ä' + 1") == "line 1 column 5: no such overload: the operands have the wrong types");
    CHECK(eval("nope", {}, true).starts_with("refused line 1 column 1: unknown name 'nope'"));
}

TEST_CASE("absorption in both orders; everything else passes errors on") {
    for (const std::string bad : {"1/0 > 0", "x", "[1][5] == 1", "f()"}) {
        CHECK(eval("false && " + bad) == "false");
        CHECK(eval(bad + " && false") == "false");
        CHECK(eval("true || " + bad) == "true");
        CHECK(eval(bad + " || true") == "true");
        for (const std::string& failing :
             {"true && " + bad, bad + " && true", "false || " + bad, bad + " || false", "!(" + bad + ")", "(" + bad + ") ? 1 : 2",
              "[1, 2].exists(i, " + bad + ")", "[1, 2].map(i, " + bad + ")"})
            CHECK(eval(failing).starts_with("line 1 column"));
    }
    CHECK(eval("[1, 0].exists(i, 1 / i == 1)") == "true");
    CHECK(eval("[0, 1].exists(i, 1 / i == 1)") == "true");
    CHECK(eval("[0, 1].all(i, 1 / i == 2)") == "false");
    CHECK(eval("[1, 0].exists_one(i, 1 / i == 1)").find("division by zero") != std::string::npos);
    CHECK(eval("[1, 2, 3, 0].map(i, i > 1, 6 / i)") == "[3, 2]");  // the mapped part is not asked about the 0
    CHECK(eval("[0].map(i, 1 / i > 0, i)").find("division by zero") != std::string::npos);
}

TEST_CASE("numbers compare by value, not by rounding") {
    CHECK(eval("9007199254740993 == 9007199254740992.0") == "false");
    CHECK(eval("9007199254740993 > 9007199254740992.0") == "true");
    CHECK(eval("9223372036854775807 == 9223372036854775808.0") == "false");
    CHECK(eval("18446744073709551615u < 18446744073709551616.0") == "true");
    CHECK(eval("-1 < 0u && -0.5 < 0u && 1u > 0.5") == "true");
    CHECK(eval("0.0/0.0 == 0.0/0.0 || 0.0/0.0 < 1 || 1 < 0.0/0.0") == "false");
    CHECK(eval("1 in [1.0] && 1.0 in {1u: 2}") == "true");
    CHECK(eval("{1: 'a'}[1.0] + {2u: 'b'}[2]") == "'ab'");
}

TEST_CASE("dotted variables: the longest bound name wins, local names hide all") {
    const json bindings =
        json::parse(R"({"a": {"map": [[{"string": "b"}, {"int": "1"}]]}, "a.c": {"int": "2"}, "type": {"int": "3"}})");
    CHECK(eval("a.b", bindings) == "1");
    CHECK(eval("a.c", bindings) == "2");
    CHECK(eval("a.d", bindings) == "line 1 column 3: no such key: 'd'");
    CHECK(eval("has(a.b) && !has(a.d)", bindings) == "true");
    CHECK(eval("type", bindings) == "3");
    CHECK(eval("int") == "int");
    CHECK(eval("[5].map(a, a)", bindings) == "[5]");
    CHECK(eval("[[1, 2], [3]].map(x, x.map(y, y * size(x)))") == "[[2, 4], [3]]");
}

TEST_CASE("loops and memory are bounded") {
    std::string list = "[0";
    for (int i = 1; i < 300; ++i) list += fmt::format(",{}", i);
    list += "]";
    const std::string twice = fmt::format("{0}.all(a, {0}.all(b, a + b >= 0))", list);
    CHECK(eval(twice) == "true");
    CHECK(eval(fmt::format("{0}.all(a, {0}.all(b, {0}.all(c, a + b + c >= 0)))", list)).find("too many steps") !=
          std::string::npos);
    std::string doubling = "'0123456789abcdef'";
    for (int i = 0; i < 24; ++i) doubling = fmt::format("[{}].map(x{}, x{} + x{})[0]", doubling, i, i, i);
    CHECK(eval(doubling).find("too much memory") != std::string::npos);
    std::string growing = "s";
    for (int i = 0; i < 10; ++i)
        growing =
            fmt::format("[{}].map(x{}, x{} + x{} + x{} + x{} + x{} + x{} + x{} + x{})[0]", growing, i, i, i, i, i, i, i, i, i);
    CHECK(eval(growing, {{"s", {{"string", "0123456789"}}}}).find("too much memory") != std::string::npos);
}

TEST_CASE("declared variables and deduced types") {
    const std::vector<cel::variable> variables{{"n", "int"}, {"m", "map(string, list(double))"}};
    cel::options how;
    how.check = true;
    how.variables = variables;
    const auto type = [&](const std::string& source) {
        const auto e = cel::expression::compile(source, how);
        return e ? e->type() : e.error().text();
    };
    CHECK(type("m['x'][n]") == "double");
    CHECK(type("m.map(k, m[k])") == "list(list(double))");
    CHECK(type("[1, 'a']") == "list(dyn)");
    CHECK(type("n > 1 ? timestamp(n) : timestamp(0)") == "timestamp");
    CHECK(type("nn") == "line 1 column 1: unknown name 'nn'; did you mean 'n'?");
    CHECK(cel::expression::compile("n", how)->variables().size() == 2);
    const std::vector<cel::variable> wrong{{"n", "integer"}};
    how.variables = wrong;
    CHECK(type("1") == "variable 'n': 'integer' is no type of CEL; write int, string, list(string), map(string, dyn), …");
}

namespace {

/// A random condition over the fields of the differential test. Depth bounds it; every shape may fail.
class writer {
public:
    explicit writer(std::uint64_t seed) : random_(seed) {}
    std::string boolean(int depth) {
        switch (pick(depth > 0 ? 16 : 6)) {
            case 0: return any({"task.paid", "action.cheap", "candidate.fresh"});
            case 1:
                return fmt::format("has({})", any({"task.count", "action.kind", "candidate.age", "task.tags", "action.price"}));
            case 2: return any({"true", "false"});
            case 3: return fmt::format("{} == {}", text(0), text(0));
            case 4: return fmt::format("{} < {}", number(0), number(0));
            case 5: return fmt::format("{} in {}", text(0), list(0));
            case 6:
            case 7:
            case 8: return fmt::format("({} && {})", boolean(depth - 1), boolean(depth - 1));
            case 9:
            case 10: return fmt::format("({} || {})", boolean(depth - 1), boolean(depth - 1));
            case 11: return fmt::format("!({})", boolean(depth - 1));
            case 12: return fmt::format("({} ? {} : {})", boolean(depth - 1), boolean(depth - 1), boolean(depth - 1));
            case 13:
                return fmt::format("{}.{}({})", text(depth - 1), any({"startsWith", "contains", "endsWith"}), text(depth - 1));
            case 14:
                return fmt::format("{}.{}(x, {} == x || {})", list(depth - 1), any({"all", "exists", "exists_one"}), text(0),
                                   boolean(depth - 1));
            default:
                return fmt::format("{} {} {}", number(depth - 1), any({"<", "<=", ">", ">=", "==", "!="}), number(depth - 1));
        }
    }

private:
    std::size_t pick(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
    std::string any(std::vector<std::string> of) { return of[pick(of.size())]; }
    std::string text(int depth) {
        if (depth > 0 && pick(3) == 0) return fmt::format("({} + {})", text(depth - 1), text(depth - 1));
        return any({"task.name", "action.kind", "'a'", "'ab'", "''", "'b'"});
    }
    std::string list(int depth) {
        if (depth > 0 && pick(3) == 0) return fmt::format("{}.filter(y, y != {})", list(depth - 1), text(0));
        return any({"task.tags", "['a', 'b']", "[task.name, action.kind]", "['ab']"});
    }
    std::string number(int depth) {
        if (depth > 0) {
            switch (pick(5)) {
                case 0: return fmt::format("({} {} {})", number(depth - 1), any({"+", "-", "*", "/", "%"}), number(depth - 1));
                case 1: return fmt::format("size({})", pick(2) == 0 ? text(depth - 1) : list(depth - 1));
                case 2: return fmt::format("({} ? {} : {})", boolean(depth - 1), number(depth - 1), number(depth - 1));
                default: break;
            }
        }
        return any({"task.count", "candidate.age", "0", "1", "7", "9223372036854775807", "-3"});
    }
    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("over columns, split by what it reads, a condition gives what it gives over plain maps") {
    using namespace opspilot;
    const schema fields = schema::parse(R"({
      "task": [{"name": "paid", "type": "bool"}, {"name": "count", "type": "int", "optional": true}, {"name": "name", "type": "string"},
               {"name": "tags", "type": "list<string>", "optional": true}],
      "action": [{"name": "cheap", "type": "bool", "optional": true}, {"name": "kind", "type": "string", "optional": true},
                 {"name": "price", "type": "double", "optional": true}],
      "candidate": [{"name": "fresh", "type": "bool"}, {"name": "age", "type": "int", "optional": true}]})")
                              .value();
    struct given {
        json task, candidate;  // as typed maps
        std::string task_json, candidate_json;
    };
    const auto both = [](std::vector<std::tuple<std::string, std::string, json>> fields_given) {
        json map = json::array(), plain = json::object();
        for (const auto& [name, kind, v] : fields_given) {
            json typed_value;
            if (kind == "tags") {
                typed_value = {{"list", json::array()}};
                for (const json& item : v) typed_value["list"].push_back({{"string", item}});
            } else {
                typed_value = {{kind, kind == "int" || kind == "double" ? json(v.dump()) : v}};
            }
            map.push_back({{{"string", name}}, typed_value});
            plain[name] = v;
        }
        return std::pair{json{{"map", map}}, plain};
    };
    const auto t1 = both({{"paid", "bool", true}, {"count", "int", 5}, {"name", "string", "ab"}, {"tags", "tags", {"a", "ab"}}});
    const auto t2 = both({{"paid", "bool", false}, {"name", "string", "a"}});
    const std::vector<std::pair<json, json>> actions{
        both({{"id", "string", "1"}, {"cheap", "bool", true}, {"kind", "string", "a"}, {"price", "double", 2.5}}),
        both({{"id", "string", "2"}, {"kind", "string", "b"}}), both({{"id", "string", "3"}, {"cheap", "bool", false}})};
    const std::vector<std::pair<json, json>> pairs{both({{"fresh", "bool", true}, {"age", "int", 0}}),
                                                   both({{"fresh", "bool", false}}),
                                                   both({{"fresh", "bool", true}, {"age", "int", -7}})};
    dictionary strings;
    interner texts(strings);
    table task, action, pair;
    policy_workspace scratch;
    policy_outcome out;
    writer write(20260101);
    int refused = 0, failed = 0, held = 0;
    for (int round = 0; round < 3000; ++round) {
        const std::string when = write.boolean(4);
        const std::string text =
            fmt::format(R"({{"layer": "client", "version": "1", "rules": [{{"id": "r", "when": "{}", "effect": "boost",
            "by": 1, "because": "b"}}]}})",
                        when);
        const policy_set::document d{"p", text};
        const auto policy = policy_set::compile({&d, 1}, fields, strings);
        const auto plain = cel::expression::compile(when);
        REQUIRE(plain.ok());
        if (!policy) {  // constant conditions that fail; nesting
            ++refused;
            continue;
        }
        for (const auto& t : {t1, t2}) {
            texts.reset();
            task.reset(fields, role::task);
            action.reset(fields, role::action);
            pair.reset(fields, role::candidate);
            REQUIRE(task.read_json(json::array({t.second}).dump(), texts, 0).ok());
            json a = json::array(), p = json::array();
            for (int i = 0; i < 3; ++i) {
                a.push_back(actions[static_cast<std::size_t>(i)].second);
                p.push_back(pairs[static_cast<std::size_t>(i)].second);
            }
            REQUIRE(action.read_json(a.dump(), texts, 0).ok());
            REQUIRE(pair.read_json(p.dump(), texts, 0).ok());
            const std::vector<std::uint32_t> rows{0, 1, 2};
            frame f;
            f.task = &task;
            f.actions = &action;
            f.action_rows = rows;
            f.pairs = &pair;
            f.strings = &texts;
            policy->evaluate(f, scratch, out);
            for (std::size_t i = 0; i < 3; ++i) {
                typed::store keep;
                std::vector<cel::value> bound;
                for (const std::string& name : plain->variables())
                    bound.push_back(name == "task"        ? typed::decode(t.first, keep)
                                    : name == "action"    ? typed::decode(actions[i].first, keep)
                                    : name == "candidate" ? typed::decode(pairs[i].first, keep)
                                                          : cel::value{});
                cel::arena memory;
                const cel::value v = plain->evaluate(bound, memory);
                bool hit = false, fail = false;
                for (const rule_hit& h : out.hits)
                    if (h.candidate == i) {
                        hit = !h.failed;
                        fail = h.failed;
                    }
                INFO(when << " for candidate " << i << ": " << cel::to_text(v));
                REQUIRE(v.failed() == fail);
                REQUIRE(v.is_true() == hit);
                failed += fail ? 1 : 0;
                held += hit ? 1 : 0;
            }
        }
    }
    CHECK(refused < 600);
    CHECK(failed > 500);
    CHECK(held > 2000);
}

TEST_CASE("random bytes and mutated expressions never crash the compiler or the machine") {
    const std::vector<std::string> seeds{
        "task.amount > 500.0 && action.kind in ['a', 'b']",
        "has(a.b) ? [1, 2u, 3.0].map(x, x > 1, x * 2) : {}",
        "r'\\d+' + b'\\x00\\377' + \"\\u00e4\\U0001F600\"",
        "timestamp('2020-01-01T00:00:00Z') + duration('-1h30m')",
        "{1: [true, null], 'k': {}}[1][0] || !x.exists_one(e, e.f(1, .g))",
        "'''a\nb''' != \"\"\"c\"\"\" && -9223372036854775808 < 0x7fu",
        "size('x'.matches('(a|b)+')) % 3 / 0 - 1e-9 * .5",
        "string(int(uint(double('1.5')))) == type(dyn([]))",
        "a.?b[?'c'].optMap(x, x + 1).or(optional.none()).orValue([?d, 2]) == {?'k': optional.of(1)}",
        "cel.bind(x, [3, 2], x.transformMap(i, v, i > 0, v * i)).transformMapEntry(k, v, {v: k})",
        "'%s|%.3f|%x'.format([{'k': [b'z']}, 1.5, 'ä']).replace('|', '').split('', 3).join('ö')",
        "math.greatest([1, 2u, 3.5]) > math.bitShiftLeft(1, 70) || x.all(i, v, v.indexOf('', i) == i)",
        "base64.decode(base64.encode(b'\\xff')).size() + ' a'.trim().lastIndexOf('a', 1) + m.`a-b`"};
    const std::string alphabet = "()[]{}.,:?!&|<>=+-*/%'\"\\`abrxu019 \n\t_@\xC3\xA4\xFF\x80";
    std::mt19937_64 random(7);
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    int compiled = 0;
    for (int round = 0; round < 100'000; ++round) {
        std::string source;
        if (round % 4 == 0) {
            const std::size_t length = pick(40);
            for (std::size_t i = 0; i < length; ++i)
                source +=
                    round % 8 == 0 ? static_cast<char>(static_cast<unsigned char>(pick(256))) : alphabet[pick(alphabet.size())];
        } else {
            source = seeds[pick(seeds.size())];
            for (std::size_t edits = 1 + pick(3); edits > 0 && !source.empty(); --edits) {
                const std::size_t at = pick(source.size());
                switch (pick(4)) {
                    case 0: source.erase(at, 1 + pick(3)); break;
                    case 1: source.insert(at, 1, alphabet[pick(alphabet.size())]); break;
                    case 2: source[at] = alphabet[pick(alphabet.size())]; break;
                    default: {
                        const std::string& other = seeds[pick(seeds.size())];
                        source.insert(at, other.substr(pick(other.size()), 1 + pick(12)));
                    }
                }
            }
        }
        cel::options how;
        how.check = round % 2 == 0;
        std::vector<cel::remark> remarks;
        const auto e = cel::expression::compile(source, how, &remarks);
        if (!e) {
            if (remarks.empty() || e.error().where.empty()) FAIL("an error without a place: " << source);
            continue;
        }
        ++compiled;
        const std::vector<cel::value> bound(e->variables().size(), cel::make_integer(3));
        cel::arena memory(std::size_t{1} << 20);
        const cel::value v = e->evaluate(bound, memory);
        if (v.failed()) (void)e->explain(v).text();
        (void)cel::to_text(v);
    }
    CHECK(compiled > 5'000);
}
