// The conformance cases of CEL (google/cel-spec, converted), by subset: core is everything over plain values, ext the extension
// libraries, check the types that the checker deduces.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "typed_value.hpp"

using typed::json;
namespace cel = opspilot::cel;

namespace {

std::string cases_path() {
    const char* data = std::getenv("OPSPILOT_DATA");
    const std::string root = data != nullptr ? data : std::string(OPSPILOT_TEST_DATA) + "/../../shared/data";
    return root + "/cel-conformance/cases.jsonl";
}

/// "" when the case passes, else what went wrong.
std::string failure_of(const json& c) {
    std::vector<cel::variable> variables;
    if (c.contains("type_env"))
        for (const json& v : c["type_env"])
            if (v.contains("type")) variables.push_back({v["name"], v["type"]});
    cel::options how;
    how.check = !c["disable_check"].get<bool>();
    how.container = c["container"].get<std::string>();
    if (how.check) how.variables = variables;
    const auto compiled = cel::expression::compile(c["expr"].get<std::string>(), how);
    const json& expect = c["expect"];
    if (!compiled) return expect.contains("error") ? "" : "refused: " + compiled.error().text();
    if (c.contains("deduced_type") && compiled->type() != c["deduced_type"].get<std::string>()) return "type " + compiled->type();
    if (c.value("check_only", false)) return "";

    typed::store keep;
    std::vector<cel::value> bound;
    for (const std::string& name : compiled->variables())
        bound.push_back(c["bindings"].contains(name) ? typed::decode(c["bindings"][name]["value"], keep) : cel::value{});
    cel::arena memory;
    const cel::value v = compiled->evaluate(bound, memory);
    if (expect.contains("error")) return v.failed() ? "" : "no error but " + cel::to_text(v);
    if (v.failed()) return compiled->explain(v).text();
    const cel::value wanted = typed::decode(expect["value"], keep);
    return typed::same(v, wanted) ? "" : "gave " + cel::to_text(v) + ", wanted " + cel::to_text(wanted);
}

struct tally {
    int total = 0, passed = 0;
    std::vector<std::string> misses;  // the expression and what it gave instead
};

/// Runs one subset and prints its line. Nothing when the cases are absent.
std::optional<tally> run(const std::string& subset) {
    std::ifstream file(cases_path());
    if (!file) {
        std::cout << "conformance " << subset << ": NOT RUN, " << cases_path() << " is absent (set OPSPILOT_DATA)\n";
        WARN("conformance cases are absent: nothing was checked");
        return {};
    }
    tally t;
    for (std::string line; std::getline(file, line);) {
        const json c = json::parse(line);
        if (c["subset"] != subset) continue;
        ++t.total;
        const std::string failure = failure_of(c);
        if (failure.empty()) {
            ++t.passed;
            continue;
        }
        t.misses.push_back(c["expr"].get<std::string>() + " -> " + failure);
        std::cout << "  miss: " << c["file"] << '/' << c["section"] << ": " << t.misses.back().substr(0, 200) << '\n';
    }
    std::cout << "conformance " << subset << ": " << t.passed << " / " << t.total << '\n';
    return t;
}

}  // namespace

TEST_CASE("conformance: core") {
    const auto t = run("core");
    if (!t) return;
    CHECK(t->total == 1084);
    CHECK(t->passed >= 1084);  // may only grow
}

TEST_CASE("conformance: extension libraries") {
    const auto t = run("ext");
    if (!t) return;
    CHECK(t->total == 551);
    CHECK(t->passed >= 546);  // may only grow
    for (const std::string& miss : t->misses) {
        INFO(miss);
        CHECK(miss.find("rules of named ones change") != std::string::npos);  // time zones by name: refused, with this reason
    }
}

TEST_CASE("conformance: deduced types") {
    const auto t = run("check");
    if (!t) return;
    CHECK(t->total == 9);
    CHECK(t->passed == 9);
}
