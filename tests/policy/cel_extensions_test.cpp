// CEL's extension libraries beyond the conformance cases: against oracles, at their bounds, and with hostile input.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/expression.hpp"
#include "opspilot/policy/policy.hpp"
#include "typed_value.hpp"

namespace cel = opspilot::cel;
using typed::json;

namespace {

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
    return v.failed() ? e->explain(v).text() : cel::to_text(v, nullptr, 2000);
}

json text(const std::string& s) { return {{"string", s}}; }
json whole(std::int64_t i) { return {{"int", std::to_string(i)}}; }

/// The text as CEL code points, one std::u32string: what the byte-wise functions are compared with.
std::u32string points(const std::string& s) {
    std::u32string out;
    for (std::size_t i = 0; i < s.size();) {
        const auto lead = static_cast<unsigned char>(s[i]);
        const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        char32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) point = (point << 6) | (static_cast<unsigned char>(s[i + k]) & 0x3FU);
        out += point;
        i += length;
    }
    return out;
}
std::string bytes(const std::u32string& s) {
    std::string out;
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    for (const char32_t p : s) {
        if (p < 0x80) {
            put(p);
        } else if (p < 0x800) {
            put(0xC0 | (p >> 6));
            put(0x80 | (p & 0x3F));
        } else if (p < 0x10000) {
            put(0xE0 | (p >> 12));
            put(0x80 | ((p >> 6) & 0x3F));
            put(0x80 | (p & 0x3F));
        } else {
            put(0xF0 | (p >> 18));
            put(0x80 | ((p >> 12) & 0x3F));
            put(0x80 | ((p >> 6) & 0x3F));
            put(0x80 | (p & 0x3F));
        }
    }
    return out;
}

}  // namespace

TEST_CASE("text functions give what std::u32string gives, position by position") {
    std::mt19937_64 random(11);
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    const std::vector<std::string> alphabet{"a", "b", "ä", "\u20ac", "\U0001F600"};
    const auto word = [&](std::size_t longest) {
        std::string s;
        for (std::size_t n = pick(longest + 1); n > 0; --n) s += alphabet[pick(longest > 30 ? 2 : alphabet.size())];
        return s;
    };
    const std::string source =
        "[s.indexOf(p) == first, s.lastIndexOf(p) == last, s.indexOf(p, i) == first_from, s.lastIndexOf(p, i) == last_from,"
        " s.substring(i) == tail, s.substring(i, j) == part, s.charAt(i) == letter, s.replace(p, q) == replaced,"
        " s.split(p).join(p) == s, s.reverse().reverse() == s, s.contains(p) == (first >= 0),"
        " s.split('').join() == s, size(s.split('')) == size(s)].all(x, x)";
    const auto e = cel::expression::compile(source).value();
    for (int round = 0; round < 5000; ++round) {
        // Long texts of two letters meet the other way of searching.
        const std::string s = word(round % 5 == 0 ? 400 : 12);
        std::string p = word(round % 5 == 0 ? 40 : 3), q = word(3);
        if (round % 5 == 0 && s.size() > 40) p = s.substr(pick(s.size() - 30), 17 + pick(10));
        const std::u32string us = points(s), up = points(p), uq = points(q);
        const std::size_t i = pick(us.size() + 1), j = i + pick(us.size() - i + 1);
        const auto position = [](std::size_t at) {
            return at == std::u32string::npos ? whole(-1) : whole(static_cast<std::int64_t>(at));
        };
        std::u32string replaced;
        for (std::size_t at = 0; at <= us.size();) {
            const std::size_t found = up.empty() ? at : us.find(up, at);
            if (found == std::u32string::npos || (up.empty() && at == us.size())) {
                replaced += us.substr(at);
                if (up.empty()) replaced += uq;
                break;
            }
            replaced += us.substr(at, found - at) + uq;
            if (up.empty()) replaced += us[at];
            at = found + std::max<std::size_t>(1, up.size());
            if (!up.empty()) at = found + up.size();
        }
        const json given{{"s", text(s)},
                         {"p", text(p)},
                         {"q", text(q)},
                         {"i", whole(static_cast<std::int64_t>(i))},
                         {"j", whole(static_cast<std::int64_t>(j))},
                         {"first", position(us.find(up))},
                         {"last", position(us.rfind(up))},
                         {"first_from", position(us.find(up, i))},
                         {"last_from", position(us.rfind(up, i))},
                         {"tail", text(bytes(us.substr(i)))},
                         {"part", text(bytes(us.substr(i, j - i)))},
                         {"letter", text(i == us.size() ? "" : bytes(us.substr(i, 1)))},
                         {"replaced", text(bytes(replaced))}};
        typed::store keep;
        std::vector<cel::value> bound;
        for (const std::string& name : e.variables()) bound.push_back(typed::decode(given[name], keep));
        cel::arena memory;
        const cel::value v = e.evaluate(bound, memory);
        INFO(given.dump());
        REQUIRE(v.is_true());
    }
}

TEST_CASE("formats of numbers are those of printf") {
    std::mt19937_64 random(12);
    for (int round = 0; round < 2000; ++round) {
        const double d = std::bit_cast<double>(random());
        if (!std::isfinite(d)) continue;
        const int precision = static_cast<int>(random() % (round % 4 == 0 ? 1001 : 20));
        const auto whole_number = static_cast<std::int64_t>(random());
        std::string expected(4000, '\0');
        const std::string pattern = fmt::format("%.{0}f %.{0}e", precision);
        expected.resize(static_cast<std::size_t>(std::snprintf(expected.data(), expected.size(), "%.*f %.*e %lld %llx %llo",
                                                               precision, d, precision, d, static_cast<long long>(whole_number),
                                                               static_cast<unsigned long long>(whole_number),
                                                               static_cast<unsigned long long>(whole_number))));
        typed::store keep;
        const auto e = cel::expression::compile("f.format([d, d, i, u, u])").value();
        std::vector<cel::value> bound;
        const std::string whole_pattern = pattern + " %d %x %o";
        for (const std::string& name : e.variables())
            bound.push_back(name == "f"   ? cel::make_text(whole_pattern)
                            : name == "d" ? cel::make_number(d)
                            : name == "i" ? cel::make_integer(whole_number)
                                          : cel::make_uinteger(static_cast<std::uint64_t>(whole_number)));
        cel::arena memory;
        const cel::value v = e.evaluate(bound, memory);
        REQUIRE(v.is(cel::kind::text));
        REQUIRE(std::string(v.view()) == expected);
    }
}

TEST_CASE("texts: what the conformance cases leave open") {
    CHECK(eval("'abc'.replace('', '-')") == "'-a-b-c-'");
    CHECK(eval("'abc'.replace('', '-', 2)") == "'-a-bc'");
    CHECK(eval("'aaa'.replace('a', '', -1)") == "''");
    CHECK(eval("'a,b,c'.split(',', 2)") == "['a', 'b,c']");
    CHECK(eval("'äöü'.split('', 2)") == "['ä', 'öü']");
    CHECK(eval("[''.split(','), ''.split('')]") == "[[''], []]");
    CHECK(eval("'abc'.lastIndexOf('', 3)") == "3");
    CHECK(eval("['a', 1].join()") == "line 1 column 10: no such overload: the operands have the wrong types");
    CHECK(eval("'%s'.format([1.0])") == "'1'");
    CHECK(eval("'%d|%b|%x'.format([-5, -5, -255])") == "'-5|-101|-ff'");
    CHECK(eval("'%'.format([])") == "line 1 column 5: the format and its values do not go together: '%'");
    CHECK(eval("'%.f'.format([1.0])").find("do not go together: '%.f'") != std::string::npos);
    CHECK(eval("'x%q'.format([1])").find("do not go together: '%q'") != std::string::npos);
    CHECK(eval("'%s'.format([b'\\xff'])").find("the bytes are not UTF-8") != std::string::npos);
    CHECK(eval("'%s'.format([optional.of(1)])").find("no such overload") != std::string::npos);
    CHECK(eval("base64.decode('a')").find("cannot be converted") != std::string::npos);
    CHECK(eval("base64.decode('a.b=')").find("cannot be converted") != std::string::npos);
    CHECK(eval("base64.encode(b'') + base64.encode(b'a') + base64.encode(b'ab')") == "'YQ==YWI='");
    CHECK(eval("math.greatest([])") == "line 1 column 6: value out of range");
    CHECK(eval("math.least(1, 0.0 / 0.0)") == "1");
    CHECK(eval("math.sqrt(9) + math.sqrt(2.25)") == "4.5");
    CHECK(eval("math.sign(-0.0) == 0.0 && math.round(-0.5) == -1.0 && math.round(2.5) == 3.0") == "true");
}

TEST_CASE("optionals: chains, errors and equality") {
    const json bindings = json::parse(R"({"m": {"map": [[{"string": "a"}, {"map": [[{"string": "b"}, {"int": "1"}]]}]]}})");
    CHECK(eval("m.?a.b", bindings) == "optional.of(1)");
    CHECK(eval("m.?x.b.c.d", bindings) == "optional.none()");
    CHECK(eval("m.?a.?b.orValue(0) + m.?z.orValue(5)", bindings) == "6");
    CHECK(eval("m.a.b.?c", bindings) == "line 1 column 8: the value has no fields: 'c'");
    CHECK(eval("m.?x.value()", bindings) == "line 1 column 6: the optional has no value");
    CHECK(eval("m[?'a'].optMap(x, x.b + 1)", bindings) == "optional.of(2)");
    CHECK(eval("optional.of(1).optMap(x, x / 0)") == "line 1 column 28: division by zero");
    CHECK(eval("optional.none().optMap(x, x / 0)") == "optional.none()");
    CHECK(eval("optional.of(1).optFlatMap(x, x)").find("no such overload") != std::string::npos);
    CHECK(eval("[1, ?optional.none(), ?optional.of(2)] + [?m.?q]", bindings) == "[1, 2]");
    CHECK(eval("{?'a': optional.none(), 'b': 1}") == "{'b': 1}");
    CHECK(eval("{?'a': optional.of(1), 'a': 2}").find("repeated") != std::string::npos);
    CHECK(eval("[?1]").find("no such overload") != std::string::npos);
    CHECK(eval("optional.of(1) == optional.of(1.0) && optional.of(1) != 1") == "true");
    CHECK(eval("type(optional.of(1))") == "optional_type");
    CHECK(eval("has(m.?a)", bindings).starts_with("refused line 1 column 1: has() takes a field"));
    CHECK(eval("optional.ofNonZeroValue([0])") == "optional.of([0])");
}

TEST_CASE("cel.bind and macros of two variables") {
    CHECK(eval("cel.bind(x, 1 / 0, true || x > 0)") == "true");  // an error matters where the variable is read
    CHECK(eval("cel.bind(x, 1 / 0, x + 1)") == "line 1 column 15: division by zero");
    CHECK(eval("cel.bind(x, 2, cel.bind(y, x * x, [1, 2].map(z, z + y + x)))") == "[7, 8]");
    CHECK(eval("cel.bind(x, 1, cel.bind(x, x + 1, x))") == "2");
    CHECK(eval("['a', 'b'].transformMap(i, v, v + string(i))") == "{0: 'a0', 1: 'b1'}");
    CHECK(eval("['a', 'b'].transformMapEntry(i, v, {v: i})") == "{'a': 0, 'b': 1}");
    CHECK(eval("['a', 'b'].transformMapEntry(i, v, i > 0, {v: i, v + v: i})") == "{'b': 1, 'bb': 1}");
    CHECK(eval("['a', 'a'].transformMapEntry(i, v, {v: i})") == "line 1 column 12: a map key is repeated");
    CHECK(eval("['a'].transformMapEntry(i, v, v)").find("no such overload") != std::string::npos);
    CHECK(eval("[3, 4].all(i, v, v == i + 3) && [3].exists_one(i, v, i == 0)") == "true");
    CHECK(eval("[[1, 2], [3]].transformList(i, row, row.transformList(j, v, v * 10 + i + j))") == "[[10, 21], [31]]");
    CHECK(eval("[1].all(i, i, true)").find("both variables of 'all' have the same name") != std::string::npos);
    CHECK(eval("[1].transformList(i, v)").find("expected ',' after the variable of 'transformList'") != std::string::npos);
    CHECK(eval("[1].transformList(i, v, 1, 2, 3)").find("takes two variables and one or two expressions") != std::string::npos);
    std::string many = "1";
    for (int i = 0; i < 25; ++i) many = fmt::format("cel.bind(x{}, 1, {})", i, many);
    CHECK(eval(many).find("more than 24 variables of macros at once") != std::string::npos);
}

TEST_CASE("names of libraries give way to variables and are hinted at") {
    CHECK(eval("strings.join('-')", json::parse(R"({"strings": {"list": [{"string": "a"}, {"string": "b"}]}})")) == "'a-b'");
    CHECK(eval("[1.5].map(math, math)") == "[1.5]");
    const auto says = [](const std::string& source) { return eval(source, json::object(), true); };
    CHECK(says("math.ciel(1.5)") == "refused line 1 column 6: unknown function 'math.ciel'; did you mean 'math.ceil'?");
    CHECK(says("ceil(1.5)") == "refused line 1 column 1: unknown function 'ceil'; did you mean 'math.ceil'?");
    CHECK(says("'a'.lowerAsci()") == "refused line 1 column 5: unknown function 'lowerAsci'; did you mean 'lowerAscii'?");
    CHECK(says("'a'.charAt('b')") == "refused line 1 column 5: 'charAt' does not take (string, string)");
    CHECK(says("optional.of(1).orValue('a')") ==
          "refused line 1 column 16: 'orValue' does not take (optional_type(int), string)");
    CHECK(says("math.least(1, 'a')") == "refused line 1 column 6: 'math.least' does not take (int, string)");
    CHECK(says("[?1]") ==
          "refused line 1 column 2: '?' takes an optional, found int; leave the '?' out, or wrap it in "
          "optional.of(…)");
    CHECK(says("[1].optMap(x, x)") == "refused line 1 column 5: 'optMap' takes an optional, found list(int)");
    CHECK(says("timestamp(0).getHours('Europe/Berlin')").find("rules of named ones change") != std::string::npos);
    CHECK(says("{'a': 1}.`b c/d-e.f`") == "line 1 column 10: no such key: 'b c/d-e.f'");
    CHECK(says("{'a': 1}.`b").find("a name in back quotes") != std::string::npos);
}

TEST_CASE("deduced types of the libraries") {
    const std::vector<cel::variable> variables{{"m", "map(string, int)"}, {"o", "optional_type(string)"}};
    cel::options how;
    how.check = true;
    how.variables = variables;
    const auto type = [&](const std::string& source) {
        const auto e = cel::expression::compile(source, how);
        return e ? e->type() : e.error().text();
    };
    CHECK(type("m.?a") == "optional_type(int)");
    CHECK(type("m[?'a'].orValue(1)") == "int");
    CHECK(type("o.optMap(x, size(x))") == "optional_type(int)");
    CHECK(type("'a b'.split(' ')") == "list(string)");
    CHECK(type("m.transformMap(k, v, double(v))") == "map(string, double)");
    CHECK(type("m.transformList(k, v, k)") == "list(string)");
    CHECK(type("math.least(1, 2)") == "int");
    CHECK(type("math.least(1, 2.0)") == "dyn");
    CHECK(type("cel.bind(x, m, x.a)") == "int");
    CHECK(type("[?o, 'x']") == "list(string)");
    CHECK(type("{?'a': m.?b}") == "map(string, int)");
    CHECK(type("optional.none()") == "optional_type(dyn)");
    CHECK(type("[][0]") == "dyn");
    std::string deep = "[1]";
    for (int i = 0; i < 1000; ++i) deep += ".map(a, [a])";
    CHECK(type(deep).starts_with("list(list("));
}

TEST_CASE("hostile input meets a bound, whatever the function") {
    // A text that doubles 40 times: by replace, join, format, quote.
    for (const std::string step : {"x.replace('', x)", "[x, x].join(x)", "'%s%s'.format([x, x])", "x.replace('a', x + x)",
                                   "strings.quote(x + x)", "base64.encode(bytes(x + x))"}) {
        std::string chain = "'aaaaaaaa'";
        for (int i = 0; i < 40; ++i) chain = fmt::format("[{}].map(x, {})[0]", chain, step);
        const std::string said = eval(chain + " == s", {{"s", text("b")}});
        INFO(step << ": " << said);
        CHECK((said.find("too much memory") != std::string::npos || said.find("too many steps") != std::string::npos));
    }
    // Lists that share their items: 2^100 values in a few bytes.
    std::string shared = "s";
    for (int i = 0; i < 100; ++i) shared += ".map(x, [x, x])";
    const json given{{"s", {{"list", {whole(1)}}}}};
    CHECK(eval(shared + " == " + shared, given).find("too many steps") != std::string::npos);
    CHECK(eval(shared + " in [" + shared + "]", given).find("too many steps") != std::string::npos);
    CHECK(eval("'%s'.format([" + shared + "])", given).find("too much memory") != std::string::npos);
    // Values that nest deeper and deeper, without any depth in the source.
    for (const std::string step : {".map(x, [x])", ".map(x, {'a': x})", ".map(x, optional.of(x))", ".transformMap(i, x, [x])"}) {
        std::string deep = "s";
        for (int i = 0; i < 600; ++i) deep += step;
        INFO(step);
        CHECK(eval(deep, given).find("nests too deep") != std::string::npos);
    }
    std::string optional = "optional.of(s)";
    for (int i = 0; i < 600; ++i) optional += ".optMap(x, optional.of(x))";
    CHECK(eval(optional, given).find("nests too deep") != std::string::npos);
    // Digits without end, splits into too many parts, texts that are slow to search in other ways.
    CHECK(eval("size('%.1000f'.format([1e308]))") == "1310");
    CHECK(eval("'%.1001f'.format([1.0])").find("do not go together") != std::string::npos);
    CHECK(eval("'%.99999999999999999999f'.format([1.0])").find("do not go together") != std::string::npos);
    std::string a(std::size_t{1} << 22, 'a');
    CHECK(eval("size(s.split(''))", {{"s", text(a)}}).find("too much memory") != std::string::npos);
    CHECK(eval("s.contains(p) || s.indexOf(p) >= 0 || s.lastIndexOf(p) >= 0 || s.replace(p, '') != s || size(s.split(p)) != 1",
               {{"s", text(a)}, {"p", text(a.substr(0, a.size() / 2) + "b")}}) == "false");
    CHECK(eval("s.substring(9223372036854775807)", {{"s", text("a")}}).find("index out of range") != std::string::npos);
    CHECK(eval("s.split('a', 9223372036854775807).size()", {{"s", text("bab")}}) == "2");
    std::string least = "math.least(0";
    for (int i = 1; i < 5000; ++i) least += fmt::format(",{}", i);
    CHECK(eval(least + ")") == "0");
}

TEST_CASE("conditions of policies over optional fields") {
    using namespace opspilot;
    const schema fields = schema::parse(R"({"task": [{"name": "region", "type": "string", "optional": true}],
        "action": [{"name": "region", "type": "string", "optional": true}, {"name": "load", "type": "double", "optional": true}]})")
                              .value();
    const std::string rules = R"json({"layer": "client", "version": "1", "rules": [
        {"id": "same", "when": "action.?region.orValue('none') == task.?region.orValue('none')",
         "effect": "boost", "by": 1, "because": "b"},
        {"id": "load", "when": "action.?load.optMap(x, math.round(x) >= 2.0).orValue(false)",
         "effect": "boost", "by": 1, "because": "b"},
        {"id": "bind", "when": "cel.bind(r, action.region, r.lowerAscii() == 'eu' || r == task.region)",
         "effect": "boost", "by": 1, "because": "b"}]})json";
    dictionary strings;
    interner texts(strings);
    const policy_set::document d{"p", rules};
    const auto policy = policy_set::compile({&d, 1}, fields, strings);
    REQUIRE(policy.ok());
    table task, action;
    task.reset(fields, role::task);
    action.reset(fields, role::action);
    REQUIRE(task.read_json(R"([{}])", texts, 0).ok());
    REQUIRE(action
                .read_json(R"([{"id": "1"}, {"id": "2", "region": "EU", "load": 1.5}, {"id": "3", "region": "us", "load": 0.5}])",
                           texts, 0)
                .ok());
    const std::vector<std::uint32_t> rows{0, 1, 2};
    frame f;
    f.task = &task;
    f.actions = &action;
    f.action_rows = rows;
    f.strings = &texts;
    policy_workspace scratch;
    policy_outcome out;
    policy->evaluate(f, scratch, out);
    std::vector<std::string> hits;
    for (const rule_hit& h : out.hits) hits.push_back(fmt::format("{} {}{}", h.rule, h.candidate, h.failed ? " failed" : ""));
    std::sort(hits.begin(), hits.end());
    CHECK(hits == std::vector<std::string>{"0 0", "1 1", "2 0 failed", "2 1", "2 2 failed"});
}
