// The example documents compile together without a finding, pass their own tests, and every rule is covered by one.
// Also: documents that were damaged, and what a decision allocates.
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;

// Counts what this executable allocates; a sanitizer brings its own operator new and is left alone.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(COUNTS_ALLOCATIONS)
#define COUNTS_ALLOCATIONS 1
#endif

namespace {
std::size_t allocations = 0;
}

#if COUNTS_ALLOCATIONS
void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
#endif

namespace {

std::string read(const std::string& name) {
    std::ifstream file(std::string(OPSPILOT_TEST_DATA) + "/../examples/policies/" + name);
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>(file), {}};
}

struct examples {
    schema fields = schema::parse(read("schema.json")).value();
    std::vector<std::pair<std::string, std::string>> texts{{"business.json", read("business.json")},
                                                           {"client.json", read("client.json")},
                                                           {"compliance.json", read("compliance.json")},
                                                           {"mandatory.json", read("mandatory.json")}};
    std::string limits = read("tables/credit-limits.json");
    dictionary strings;
    std::vector<policy_finding> findings;
    result<policy_set> compile() {
        const lookup_tables::document table{"credit-limits", limits};
        std::vector<policy_set::document> documents;
        for (const auto& [name, text] : texts) documents.push_back({name, text});
        findings.clear();
        return policy_set::compile(documents, fields, strings, &findings, policy_review::whole,
                                   lookup_tables::read({&table, 1}).value());
    }
};

}  // namespace

TEST_CASE("the example policies hold together") {
    examples e;
    const auto policy = e.compile();
    INFO((policy ? std::string{} : policy.error().text()));
    REQUIRE(policy.ok());
    for (const policy_finding& f : e.findings) FAIL_CHECK(f.where << ": " << f.message);
    const auto results = policy->run_tests();
    CHECK(results.size() == 23);
    for (const auto& r : results) {
        INFO(r.document << " test " << r.index << ": " << r.message);
        CHECK(r.passed);
    }
    const auto covered = policy->coverage();
    for (std::uint32_t r = 0; r < policy->rules(); ++r) {
        INFO(policy->rule(r).id);
        CHECK(covered[r] > 0);
    }
    CHECK(policy->rule(0).layer == "mandatory");
}

TEST_CASE("a warm workspace allocates nothing") {
    examples e;
    const auto policy = e.compile().value();
    interner texts(e.strings);
    table task(e.fields, role::task), actions(e.fields, role::action), pairs(e.fields, role::candidate);
    json_reader reader;
    REQUIRE(
        task.read_json(R"([{"intent": "refund", "text": "hello there", "paid": true, "amount": 900, "created": 0, "region": "eu",
                                "open_orders": ["A", "B"]}])",
                       texts, 0)
            .ok());
    std::string candidates = "[";
    for (int i = 0; i < 200; ++i)
        candidates += fmt::format(R"({}{{"id": "a{}", "kind": "{}", "order": "{}", "regions": ["eu"], "cost": {}}})",
                                  i > 0 ? "," : "", i, i % 3 == 0 ? "refund" : "close", i % 2 == 0 ? "A" : "C", i);
    REQUIRE(read_candidates_json(candidates + "]", {&actions, &pairs, nullptr}, texts, 0, reader).ok());
    std::vector<std::uint32_t> rows(200);
    for (std::uint32_t i = 0; i < 200; ++i) rows[i] = i;
    frame f;
    f.task = &task;
    f.actions = &actions;
    f.action_rows = rows;
    f.pairs = &pairs;
    f.strings = &texts;
    policy_workspace scratch;
    policy_outcome out;
    CHECK((COUNTS_ALLOCATIONS == 0 || allocations > 0));
    policy.evaluate(f, scratch, out);
    (void)policy.violated_invariant(f, 3, verdict::auto_execute, scratch);
    const std::size_t before = allocations;
    for (int i = 0; i < 20; ++i) {
        policy.evaluate(f, scratch, out);
        (void)policy.violated_invariant(f, 3, verdict::auto_execute, scratch);
    }
    CHECK(allocations == before);
    if (COUNTS_ALLOCATIONS == 0) WARN("a sanitizer is active: allocations were not counted");
    CHECK(out.allowed[0] == 1);
    CHECK(out.allowed[3] == 0);
    CHECK(out.cap[0] == verdict::require_approval);
}

TEST_CASE("damaged documents are refused with a place, or mean what they say") {
    examples e;
    std::mt19937_64 random(11);
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    const std::string original = e.texts[2].second;
    int refused = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string& text = e.texts[2].second;
        text = original;
        switch (pick(3)) {
            case 0: text.resize(pick(text.size())); break;
            case 1: text[pick(text.size())] = static_cast<char>(static_cast<unsigned char>(pick(256))); break;
            default: text.erase(pick(text.size()), 1 + pick(8));
        }
        const auto policy = e.compile();
        if (policy) continue;
        ++refused;
        const std::string_view where = policy.error().where;
        if (where.find("line ") == std::string_view::npos || where.find(" column ") == std::string_view::npos)
            FAIL("no place: " << policy.error().text());
    }
    CHECK(refused > 800);
}
