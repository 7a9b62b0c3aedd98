// The conformance cases of CEL (google/cel-spec, converted), subset core: everything over plain values.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

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

}  // namespace

TEST_CASE("conformance: core") {
    std::ifstream file(cases_path());
    if (!file) {
        std::cout << "conformance core: NOT RUN, " << cases_path() << " is absent (set OPSPILOT_DATA)\n";
        WARN("conformance cases are absent: nothing was checked");
        return;
    }
    int total = 0, passed = 0;
    std::map<std::string, int> subsets;
    for (std::string line; std::getline(file, line);) {
        const json c = json::parse(line);
        if (c["subset"] != "core") continue;
        ++total;
        const std::string failure = failure_of(c);
        if (failure.empty())
            ++passed;
        else
            std::cout << "  miss: " << c["file"] << '/' << c["section"] << ": " << c["expr"].get<std::string>().substr(0, 100)
                      << " -> " << failure << '\n';
    }
    std::cout << "conformance core: " << passed << " / " << total << '\n';
    CHECK(total == 1084);
    CHECK(passed >= 1084);  // may only grow
}
