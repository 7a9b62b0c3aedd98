// A warm decision allocates nothing. Replaces operator new of this executable to count.
#include <atomic>
#include <cstdlib>
#include <new>

#include "catch.hpp"
#include "world.hpp"

namespace {
std::atomic<std::size_t> allocations{0};
std::atomic<bool> counting{false};
}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(std::size_t size) {
    if (counting) ++allocations;
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("a warm decision allocates nothing") {
    using namespace opspilot;
    const engine e(world::load());
    workspace ws;
    decision d;
    std::string record;
    const std::string_view tasks[] = {
        R"({"id": "t-1", "client": "acme", "intent": "refund", "amount": 120.5, "text": "please send my money back"})",
        R"({"intent": "billing", "amount": 3, "balance": 4, "balance_at": "2023-11-14T22:00:00Z"})",
        R"({"intent": "fraud", "text": "someone stole my card"})"};
    const std::string_view offered =
        R"([{"id": "refund_full", "match": 0.5}, {"id": "ask_receipt"}, {"id": "close", "match": 1.25}, {"id": "block_card", "match": 2}])";
    const auto round = [&] {
        bool fine = true;
        for (const std::string_view task : tasks)
            for (const std::string_view candidates : {std::string_view{}, offered}) {
                fine = fine && e.decide(task, candidates, world::now_us, ws, d).ok();
                record.clear();
                d.write_record(record);
            }
        return fine;
    };
    for (int i = 0; i < 3; ++i) REQUIRE(round());
    allocations = 0;
    counting = true;
    bool fine = true;
    for (int i = 0; i < 50; ++i) fine = fine && round();
    counting = false;
    CHECK(fine);
    CHECK(allocations == 0);
    counting = true;
    const auto* probe = new int(1);  // the counter counts
    counting = false;
    delete probe;
    CHECK(allocations == 1);
}
#endif
