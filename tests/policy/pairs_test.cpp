// Pairs of conditions as policies have them, with the answers of Z3 (scripts/policy_pairs.py): none may differ.
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <string>

#include "catch.hpp"
#include "opspilot/policy/detail/analysis/decider.hpp"

using namespace opspilot;
using namespace opspilot::detail::analysis;
using opspilot::detail::json;

TEST_CASE("two hundred pairs: no answer differs from that of Z3, and few are not decided") {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/policy/pairs.jsonl");
    REQUIRE(file);
    std::string line;
    REQUIRE(std::getline(file, line));
    const schema fields = schema::parse(json::parse(line)["schema"].dump()).value();
    std::map<std::string, std::size_t> open;
    std::size_t pairs = 0, yes = 0, no = 0, undecided = 0;
    while (std::getline(file, line)) {
        const json pair = json::parse(line);
        dictionary strings;
        decider d(fields, strings);
        const auto a = d.add(pair["a"].get<std::string>()), b = d.add(pair["b"].get<std::string>());
        INFO(line);
        REQUIRE(a);
        REQUIRE(b);
        const decision given = pair["question"] == "implies" ? d.implies(*a, *b) : d.disjoint(*a, *b);
        ++pairs;
        if (given.what == decision::kind::unknown) {
            ++undecided;
            ++open[pair["shape"].get<std::string>()];
            UNSCOPED_INFO("not decided");
            continue;
        }
        const bool said_yes = given.what == decision::kind::yes;
        ++(said_yes ? yes : no);
        CHECK((said_yes ? "yes" : "no") == pair["answer"].get<std::string>());
        CHECK(given.row.has_value() == !said_yes);
    }
    std::string where;
    for (const auto& [shape, count] : open) where += fmt::format(" {} {}", count, shape);
    WARN(pairs << " pairs: " << yes << " yes, " << no << " no, " << undecided << " not decided" << where);
    CHECK(pairs == 200);
    CHECK(undecided * 5 <= pairs);
}
