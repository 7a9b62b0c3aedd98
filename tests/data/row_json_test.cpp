#include "opspilot/data/row_json.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>
#include <random>

#include "catch.hpp"

using namespace opspilot;

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Counts every allocation of this executable, so that "allocates nothing" is a number.
void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {
constexpr std::int64_t now = 1'700'000'000'000'000;

const schema& example() {
    static const schema made = schema::parse(R"({
        "task": [
            {"name": "amount", "type": "double", "max": 1e300},
            {"name": "count", "type": "int", "optional": true},
            {"name": "paid", "type": "bool", "optional": true},
            {"name": "opened", "type": "timestamp", "optional": true},
            {"name": "balance", "type": "double", "optional": true, "max_age": "15m", "as_of": "opened", "default": 7},
            {"name": "mood", "type": "string", "optional": true, "values": ["calm", "cross"]},
            {"name": "tags", "type": "list<string>", "optional": true},
            {"name": "name", "type": "string", "optional": true, "pii": "personal"},
            {"name": "account", "type": "string", "optional": true, "pii": "pseudonymous"}],
        "action": [{"name": "label", "type": "string", "optional": true}],
        "candidate": [{"name": "seen", "type": "int", "default": 0}]})")
                                   .value();
    return made;
}

struct reading {
    dictionary frozen;
    interner strings{frozen};
    json_reader reader;
    table rows{example(), role::task};

    status read(std::string_view text) { return rows.read_json(text, strings, now, reader); }
    error refusal(std::string_view text) {
        INFO(text);
        const status refused = read(text);
        REQUIRE_FALSE(refused.ok());
        CHECK(rows.rows() == 0);
        CHECK(rows.at(0).state.empty());
        return refused.error();
    }
    cell get(std::string_view name, std::size_t row = 0) { return rows.get(example().require(role::task, name).value(), row); }
};
}  // namespace

TEST_CASE("rows are read in any order of keys") {
    reading t;
    REQUIRE(t.read(R"([{"amount": 2, "count": -5, "paid": true, "opened": "2023-11-14T22:13:20Z", "balance": 1.5, "mood": "calm",
                        "tags": ["a", "b", "a"], "name": "Zoë 😀"},
                       {"tags": [], "count": null, "id": "x", "amount": 1e-3}])")
                .ok());
    REQUIRE(t.rows.rows() == 2);
    CHECK(t.get("amount").number == 2.0);
    CHECK(t.get("count").integer == -5);
    CHECK(t.get("opened").integer == now);
    CHECK(t.get("balance").number == 1.5);
    CHECK(t.strings.text(t.get("name").code) == "Zoë 😀");
    CHECK(t.get("tags").codes.size() == 3);
    CHECK(t.get("tags").codes[0] == t.get("tags").codes[2]);
    CHECK(t.get("amount", 1).number == 1e-3);
    CHECK(t.strings.text(t.get("id", 1).code) == "x");
    CHECK(t.get("count", 1).state == cell_state::missing);
    CHECK(t.get("tags", 1).state == cell_state::present);
    CHECK(t.get("balance", 1).state == cell_state::defaulted);
    REQUIRE(t.read(R"({"amount": 3})").ok());
    CHECK(t.rows.rows() == 1);
    REQUIRE(t.read(" [ ] ").ok());
    CHECK(t.rows.rows() == 0);
    REQUIRE(t.rows.read_json(R"([{"amount": 3}])", t.strings, now).ok());
    CHECK(t.rows.rows() == 1);
}

TEST_CASE("faulty rows are refused with the pointer and the cure") {
    reading t;
    CHECK(t.refusal(R"([{"amount": 1}, {"amout": 1}])").text() ==
          "/1/amout: unknown field 'amout' on task; did you mean 'amount'?");
    CHECK(t.refusal(R"({"amout": 1})").where == "/amout");
    CHECK(t.refusal(R"({"amount": "1"})").text() == "/amount: field 'amount' on task must be double, found a string");
    CHECK(t.refusal(R"([{"amount": 1}, {}])").where == "/1/amount");
    CHECK(t.refusal("{}").message == "field 'amount' on task is missing");
    CHECK(t.refusal(R"({"amount": null})").message == "field 'amount' on task is null");
    CHECK(t.refusal(R"({"amount": 1, "amount": 1})").code == "schema.duplicate_field");
    CHECK(t.refusal(R"({"count": null, "amount": 1, "count": 2})").code == "schema.duplicate_field");
    CHECK(t.refusal(R"({"amount": 1, "count": 3.0})").code == "schema.wrong_type");
    CHECK(t.refusal(R"({"amount": 1, "count": 9223372036854775808})").code == "schema.out_of_range");
    CHECK(t.refusal(R"({"amount": 1, "count": true})").code == "schema.wrong_type");
    CHECK(t.refusal(R"({"amount": 9007199254740993})").code == "schema.inexact");
    CHECK(t.refusal(R"({"amount": 18446744073709551615})").code == "schema.inexact");
    CHECK(t.refusal(R"({"amount": 1e301})").code == "schema.out_of_range");
    CHECK(t.refusal(R"({"amount": 1, "mood": "clam"})").hint == "did you mean 'calm'?");
    CHECK(t.refusal(R"({"amount": 1, "tags": "a"})").message == "field 'tags' on task must be list<string>, found a string");
    CHECK(t.refusal(R"([{"amount": 1, "tags": ["a", 1]}])").where == "/0/tags/1");
    CHECK(t.refusal(R"({"amount": {"a": 1}})").code == "schema.wrong_type");
    CHECK(t.refusal(R"({"amount": [1]})").code == "schema.wrong_type");
    CHECK(t.refusal("[1]").where == "/0");
    CHECK(t.refusal("7").code == "schema.wrong_kind");
    CHECK(t.refusal("null").where == "/");
}

TEST_CASE("whole numbers a double can hold are taken") {
    reading t;
    REQUIRE(t.read(R"({"amount": 9007199254740992})").ok());
    CHECK(t.get("amount").number == 9007199254740992.0);
    REQUIRE(t.read(R"({"amount": 9223372036854775808})").ok());
    CHECK(t.get("amount").number == 9223372036854775808.0);
    REQUIRE(t.read(R"({"amount": -9223372036854775808, "count": -9223372036854775808})").ok());
    CHECK(t.get("count").integer == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("what is not JSON is refused, with the byte") {
    reading t;
    CHECK(t.refusal("").code == "schema.json_syntax");
    CHECK(t.refusal(R"({"amount": 1)").where == "byte 12");
    CHECK(t.refusal(R"({"amount": 1} x)").where.starts_with("byte 14"));
    CHECK(t.refusal(R"({"amount": NaN})").where.starts_with("byte "));
    CHECK(t.refusal(R"({"amount": Infinity})").code == "schema.json_syntax");
    CHECK(t.refusal(R"({"amount": 01})").code == "schema.json_syntax");
    CHECK(t.refusal(R"({"amount": 1e999})").code == "schema.json_syntax");
    CHECK(t.refusal(R"([{"amount": 1},])").code == "schema.json_syntax");
    CHECK(t.refusal(R"([{"amount": 1}})").code == "schema.json_syntax");
    CHECK(t.refusal("{'amount': 1}").code == "schema.json_syntax");
    CHECK(t.refusal("{\"amount\": 1, \"name\": \"\xFF\"}").code == "schema.utf8");
    CHECK(t.refusal("{\"amount\": 1, \"name\": \"\xFF\"}").where == "byte 23");
    CHECK(t.refusal("{\"amount\": 1, \"name\": \"a\nb\"}").code == "schema.json_syntax");
    CHECK(t.refusal(R"({"amount": 1, "name": "\ud800"})").kind == error_kind::schema);
    CHECK(t.refusal(R"({"amount": 1, "name": "\udc00x"})").kind == error_kind::schema);
    CHECK(t.refusal(R"({"amount": 1, "tags": ["\udc00"]})").kind == error_kind::schema);
    CHECK(t.refusal(R"({"amount": 1, "\udc00": 1})").kind == error_kind::schema);
    CHECK(t.refusal(std::string(100000, '[')).code == "schema.json_syntax");
    CHECK(t.refusal(std::string(1000, '[') + std::string(1000, ']')).code == "schema.json_depth");
    REQUIRE(t.read(R"({"amount": 1, "name": "\ud83d\ude00\u0000"})").ok());
    CHECK(t.strings.text(t.get("name").code) == std::string_view("😀\0", 5));
}

TEST_CASE("sizes are bounded") {
    reading t;
    const auto named = [](std::size_t length) {
        std::string text = R"({"amount": 1, "name": ")";
        text.append(length, 'x');
        return text += "\"}";
    };
    REQUIRE(t.read(named(text_limit)).ok());
    CHECK(t.refusal(named(text_limit + 1)).code == "schema.text_too_long");
    CHECK(t.refusal(named(10'000'000)).message == "field 'name' on task has 10000000 bytes; the limit is 1048576");
    CHECK(t.refusal(named(json_limit)).code == "limit.json_size");
    const status many = t.rows.read_json(R"([{"amount": 1}, {"amount": 1}, {"amount": 1}])", t.strings, now, t.reader, 2);
    REQUIRE_FALSE(many.ok());
    CHECK(many.error().code == "limit.rows");
    CHECK(t.rows.rows() == 0);
    REQUIRE(t.read(R"({"amount": 1})").ok());  // the reader works on
}

TEST_CASE("cut and flipped texts never do worse than an error") {
    reading t;
    const std::string text = R"([{"amount": 2.5e3, "count": -5, "paid": true, "opened": "2023-11-14T22:13:20Z", "mood": "calm",
                                  "tags": ["a\u00e9\\", "b"], "name": "Zoë", "balance": null}])";
    REQUIRE(t.read(text).ok());
    for (std::size_t length = 0; length < text.size(); ++length) REQUIRE_FALSE(t.read(text.substr(0, length)).ok());
    std::mt19937 random(7);
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (int round = 0; round < 8; ++round) {
            std::string flipped = text;
            flipped[at] = static_cast<char>(random());
            const status done = t.read(flipped);
            // Whatever simdjson takes, nlohmann's parser takes too.
            if (done) REQUIRE(nlohmann::json::accept(flipped));
            if (!done) REQUIRE(t.rows.rows() == 0);
        }
        t.strings.reset();
    }
}

TEST_CASE("candidates fill the tables of actions and pairs at once") {
    reading t;
    table actions(example(), role::action);
    table pairs(example(), role::candidate);
    std::vector<std::uint32_t> tasks;
    const candidate_tables out{&actions, &pairs, &tasks};
    const auto read = [&](std::string_view text) { return read_candidates_json(text, out, t.strings, now, t.reader); };
    REQUIRE(read(R"([{"id": "a", "label": "A", "seen": 3, "task_index": 0}, {"task_index": 7, "id": "b"}])").ok());
    REQUIRE(actions.rows() == 2);
    REQUIRE(pairs.rows() == 2);
    CHECK(tasks == std::vector<std::uint32_t>{0, 7});
    CHECK(t.strings.text(actions.get(0, 1).code) == "b");
    CHECK(pairs.get(0, 0).integer == 3);
    CHECK(pairs.get(0, 1).state == cell_state::defaulted);
    const auto refusal = [&](std::string_view text) {
        const status refused = read(text);
        REQUIRE_FALSE(refused.ok());
        CHECK(actions.rows() == 0);
        CHECK(pairs.rows() == 0);
        CHECK(tasks.empty());
        return refused.error();
    };
    CHECK(refusal(R"([{"id": "a", "task_index": 0, "sen": 1}])").text() ==
          "/0/sen: unknown field 'sen' on candidate; did you mean 'seen'?");
    CHECK(refusal(R"([{"id": "a"}])").code == "schema.missing_field");
    CHECK(refusal(R"([{"id": "a", "task_index": -1}])").code == "schema.wrong_type");
    CHECK(refusal(R"([{"id": "a", "task_index": 0, "task_index": 0}])").code == "schema.duplicate_field");
    CHECK(refusal(R"([{"seen": 1, "task_index": 0}])").where == "/0/id");
    // Against a catalogue only the name of the action is taken.
    const schema names;
    table ids(names, role::action);
    REQUIRE(read_candidates_json(R"([{"id": "a", "seen": 3}])", {&ids, &pairs, nullptr}, t.strings, now, t.reader).ok());
    CHECK_FALSE(read_candidates_json(R"([{"id": "a", "label": "A"}])", {&ids, &pairs, nullptr}, t.strings, now, t.reader).ok());
    CHECK_FALSE(read_candidates_json(R"([{"id": "a", "seen": 1}])", {&ids, nullptr, nullptr}, t.strings, now, t.reader).ok());
}

TEST_CASE("a written row reads back as the same row") {
    reading t;
    reading again;
    std::string out;
    for (const char* text :
         {R"({"amount": 0.1, "count": -5, "paid": true, "opened": 1699999999000000, "balance": 1e22, "mood": "calm",
              "tags": ["a\"\\\n\u0001", ""], "name": "Zoë", "account": "k"})",
          R"({"amount": -0.0})", R"({"amount": 123456789012345678e2})", R"({"amount": 5e-324})", R"({"amount": 1e22})",
          R"({"amount": 1, "opened": 5, "balance": 3})",  // stale, dated
          R"({"amount": 1, "balance": 3})",               // stale, undated
          R"({"amount": 1, "tags": []})"}) {
        INFO(text);
        REQUIRE(t.read(text).ok());
        out.clear();
        write_row_json(t.rows, 0, t.strings, out, pii_class::sensitive);
        INFO(out);
        REQUIRE(nlohmann::json::accept(out));
        REQUIRE(again.read(out).ok());
        for (std::uint32_t i = 0; i < example().fields(role::task).size(); ++i) {
            const cell a = t.rows.get(i, 0);
            const cell b = again.rows.get(i, 0);
            CHECK(a.state == b.state);
            CHECK(a.valued == b.valued);
            CHECK(a.integer == b.integer);
            CHECK(std::bit_cast<std::uint64_t>(a.number) == std::bit_cast<std::uint64_t>(b.number));
            if (a.type == field_type::text) CHECK(t.strings.text(a.code) == again.strings.text(b.code));
            REQUIRE(a.codes.size() == b.codes.size());
            for (std::size_t k = 0; k < a.codes.size(); ++k) CHECK(t.strings.text(a.codes[k]) == again.strings.text(b.codes[k]));
        }
    }
    REQUIRE(t.read(R"({"amount": 1.5, "name": "Zoë", "account": "k", "id": "t"})").ok());
    out = "x";
    write_row_json(t.rows, 0, t.strings, out);
    CHECK(out == R"(x{"id":"t","amount":1.5,"account":"k"})");
    out.clear();
    write_row_json(t.rows, 0, t.strings, out, pii_class::none);
    CHECK(out == R"({"amount":1.5})");
}

TEST_CASE("a warm reader and writer allocate nothing") {
    reading t;
    const std::string first = R"({"id": "task-1", "amount": 2.5, "count": 7, "paid": true, "opened": "2023-11-14T22:13:20Z",
                                  "balance": 1.5, "mood": "calm", "tags": ["a", "a longer text than fits a small string"],
                                  "name": "somebody with a long name indeed", "account": "k"})";
    std::string out;
    for (int i = 0; i < 3; ++i) {
        t.strings.reset();
        REQUIRE(t.read(first).ok());
        out.clear();
        write_row_json(t.rows, 0, t.strings, out);
    }
    const std::size_t before = allocations.load();
    bool fine = true;
    for (int i = 0; i < 100; ++i) {
        t.strings.reset();
        fine = fine && t.read(first).ok();
        out.clear();
        write_row_json(t.rows, 0, t.strings, out);
    }
    const std::size_t after = allocations.load();
    CHECK(fine);
    CHECK(after - before == 0);
}
