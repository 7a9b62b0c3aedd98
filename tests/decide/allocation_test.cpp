#include "allocation_count.hpp"
#include "catch.hpp"
#include "world.hpp"

TEST_CASE("a warm decision allocates nothing") {
    using namespace opspilot;
    const engine e(world::load());
    workspace ws, other;  // a workspace expects the form of candidates that it read last; another one costs an error message
    decision d;
    std::string record;
    const std::string_view tasks[] = {
        R"({"id": "t-1", "client": "acme", "intent": "refund", "amount": 120.5, "text": "please send my money back"})",
        R"({"intent": "billing", "amount": 3, "balance": 4, "balance_at": "2023-11-14T22:00:00Z"})",
        R"({"intent": "fraud", "text": "someone stole my card"})"};
    const std::string_view offered =
        R"([{"id": "refund_full", "match": 0.5}, {"id": "ask_receipt"}, {"id": "close", "match": 1.25}, {"id": "block_card", "match": 2}])";
    std::string many = "[";  // actions of the host's own, as many as one call may bring
    for (int i = 0; i < 2000; ++i)
        many += fmt::format(
            R"({}{{"id": "own_{}", "match": {}, "kind": "ask", "cost": 1, "intents": ["refund"], "reversible": true}})",
            i > 0 ? "," : "", i, i % 7);
    many += "]";
    const auto round = [&] {
        bool fine = true;
        for (const std::string_view task : tasks)
            for (const std::string_view candidates : {std::string_view{}, offered, std::string_view(many)}) {
                workspace& used = candidates == many ? other : ws;
                fine = fine && e.decide(task, candidates, world::now_us, used, d).ok();
                record.clear();
                d.write_record(record);
            }
        return fine;
    };
    for (int i = 0; i < 3; ++i) REQUIRE(round());
    REQUIRE(e.decide(tasks[0], offered, world::now_us, ws, d, {.explain = true, .clauses = true}));  // once; nobody asks again
    const std::size_t before = allocations_so_far();
    bool fine = true;
    for (int i = 0; i < 20; ++i) fine = fine && round();
    const std::size_t after = allocations_so_far();
    CHECK(fine);
    CHECK(after == before);
    if (counts_allocations) {
        const auto probe = std::make_unique<int>(1);  // the counter counts
        CHECK(allocations_so_far() > after);
    }
}
