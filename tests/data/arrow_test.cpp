#include "opspilot/data/arrow.hpp"

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <memory>

#include "catch.hpp"

using namespace opspilot;

namespace {
constexpr std::int64_t now = 1'700'000'000'000'000;

/// An array and its schema, built by hand. Nothing is released but the structs' own marks.
struct node {
    ArrowSchema schema{};
    ArrowArray array{};
    std::string format, name;
    std::vector<const void*> buffers;
    std::deque<std::string> storage;  // keeps what the buffers point to; addresses stay
    std::vector<std::unique_ptr<node>> children;
    std::unique_ptr<node> dictionary;
    std::vector<ArrowSchema*> child_schemas;
    std::vector<ArrowArray*> child_arrays;

    node(std::string column, std::string type, std::int64_t length) : format(std::move(type)), name(std::move(column)) {
        array.length = length;
        schema.release = [](ArrowSchema* s) { s->release = nullptr; };
        array.release = [](ArrowArray* a) { a->release = nullptr; };
    }
    template <class T>
    node& buffer(const std::vector<T>& values) {
        storage.emplace_back();
        storage.back().resize(values.size() * sizeof(T) + 1);
        if (!values.empty()) std::memcpy(storage.back().data(), values.data(), values.size() * sizeof(T));
        buffers.push_back(storage.back().data());
        return *this;
    }
    node& bytes(std::string_view text) { return buffer(std::vector<char>(text.begin(), text.end())); }
    node& no_buffer() {
        buffers.push_back(nullptr);
        return *this;
    }
    node& nulls(const std::vector<bool>& valid) {
        std::vector<std::uint8_t> bits((valid.size() + 7) / 8);
        for (std::size_t i = 0; i < valid.size(); ++i)
            if (valid[i]) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << i % 8);
        array.null_count = -1;
        return buffer(bits);
    }
    void link() {
        schema.format = format.c_str();
        schema.name = name.c_str();
        array.buffers = buffers.data();
        array.n_buffers = static_cast<std::int64_t>(buffers.size());
        for (auto& child : children) {
            child->link();
            child_schemas.push_back(&child->schema);
            child_arrays.push_back(&child->array);
        }
        schema.children = child_schemas.data();
        array.children = child_arrays.data();
        schema.n_children = array.n_children = static_cast<std::int64_t>(children.size());
        if (dictionary) {
            dictionary->link();
            schema.dictionary = &dictionary->schema;
            array.dictionary = &dictionary->array;
        }
    }
};
using column_ptr = std::unique_ptr<node>;

template <class T>
column_ptr numbers(std::string name, std::string format, const std::vector<T>& values) {
    auto made = std::make_unique<node>(std::move(name), std::move(format), static_cast<std::int64_t>(values.size()));
    made->no_buffer().buffer(values);
    return made;
}
template <class Offset = std::int32_t>
column_ptr texts(std::string name, const std::vector<std::string>& values) {
    auto made =
        std::make_unique<node>(std::move(name), sizeof(Offset) == 4 ? "u" : "U", static_cast<std::int64_t>(values.size()));
    std::vector<Offset> offsets{0};
    std::string all;
    for (const std::string& value : values) {
        all += value;
        offsets.push_back(static_cast<Offset>(all.size()));
    }
    made->no_buffer().buffer(offsets).bytes(all);
    return made;
}
column_ptr text_views(std::string name, const std::vector<std::string>& values) {
    auto made = std::make_unique<node>(std::move(name), "vu", static_cast<std::int64_t>(values.size()));
    std::string views, block;
    for (const std::string& value : values) {
        std::array<char, 16> view{};
        const auto size = static_cast<std::int32_t>(value.size());
        std::memcpy(view.data(), &size, 4);
        if (size <= 12) {
            std::memcpy(view.data() + 4, value.data(), value.size());
        } else {
            const std::int32_t at = static_cast<std::int32_t>(block.size());
            std::memcpy(view.data() + 4, value.data(), 4);
            std::memcpy(view.data() + 12, &at, 4);
            block += value;
        }
        views.append(view.data(), 16);
    }
    made->no_buffer().bytes(views).bytes(block).buffer(std::vector<std::int64_t>{static_cast<std::int64_t>(block.size())});
    return made;
}
column_ptr booleans(std::string name, std::int64_t rows, std::uint8_t bits) {
    auto made = numbers<std::uint8_t>(std::move(name), "b", {bits});
    made->array.length = rows;
    return made;
}
column_ptr coded(std::string name, const std::vector<std::int8_t>& codes, column_ptr entries) {
    auto made = numbers(std::move(name), "c", codes);
    made->dictionary = std::move(entries);
    return made;
}
column_ptr lists(std::string name, const std::vector<std::int32_t>& offsets, column_ptr items) {
    auto made = std::make_unique<node>(std::move(name), "+l", static_cast<std::int64_t>(offsets.size()) - 1);
    made->no_buffer().buffer(offsets);
    made->children.push_back(std::move(items));
    return made;
}

/// A record batch of the columns; rows: length of the struct.
template <class... Columns>
std::unique_ptr<node> batch(std::int64_t rows, Columns... columns) {
    auto made = std::make_unique<node>("", "+s", rows);
    made->no_buffer();
    (made->children.push_back(std::move(columns)), ...);
    made->link();
    return made;
}

const schema& example() {
    static const schema made = schema::parse(R"({
        "task": [
            {"name": "amount", "type": "double", "min": -5},
            {"name": "count", "type": "int", "optional": true},
            {"name": "paid", "type": "bool", "optional": true},
            {"name": "opened", "type": "timestamp", "optional": true},
            {"name": "balance", "type": "double", "optional": true, "max_age": "15m", "as_of": "opened", "default": 7},
            {"name": "mood", "type": "string", "optional": true, "values": ["calm", "a rather long mood indeed"]},
            {"name": "tags", "type": "list<string>", "optional": true, "default": ["none", "at all"]},
            {"name": "note", "type": "string", "default": "-"}],
        "action": [{"name": "label", "type": "string", "optional": true}],
        "candidate": [{"name": "seen", "type": "int", "default": 0}]})")
                                   .value();
    return made;
}

struct reading {
    dictionary frozen;
    interner strings{frozen};
    table rows{example(), role::task};
    status append(const node& b, const char* ignore = nullptr) {
        return append_arrow(rows, b.schema, b.array, strings, now, ignore);
    }
    cell get(std::string_view name, std::size_t row) { return rows.get(example().require(role::task, name).value(), row); }
    std::string text(std::string_view name, std::size_t row) { return std::string(strings.text(get(name, row).code)); }
    error refusal(const node& b) {
        const std::size_t before = rows.rows();
        const status refused = append(b);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().kind == error_kind::schema);
        CHECK(rows.rows() == before);
        for (std::uint32_t i = 0; i < example().fields(role::task).size(); ++i) CHECK(rows.at(i).state.size() == before);
        CHECK(rows.at(8).offsets.size() == before + 1);
        return refused.error();
    }
};
}  // namespace

TEST_CASE("every layout arrives as the field's type") {
    reading t;
    REQUIRE(t.append(*batch(2, text_views("note", {"short", "longer than twelve bytes"}),
                            coded("mood", {1, 0}, texts("", {"calm", "a rather long mood indeed"})),
                            lists("tags", {0, 2, 2}, texts("item", {"a", "b"})), numbers<double>("amount", "g", {1.5, -2}),
                            booleans("paid", 2, 2), numbers<std::int16_t>("count", "s", {-7, 300}),
                            numbers<std::int64_t>("opened", "tsn:Europe/Berlin", {-1, 1'700'000'000'000'000'999})))
                .ok());
    REQUIRE(t.rows.rows() == 2);
    CHECK(t.text("note", 0) == "short");
    CHECK(t.text("note", 1) == "longer than twelve bytes");
    CHECK(t.text("mood", 0) == "a rather long mood indeed");
    CHECK(t.text("mood", 1) == "calm");
    REQUIRE(t.get("tags", 0).codes.size() == 2);
    CHECK(t.strings.text(t.get("tags", 0).codes[1]) == "b");
    CHECK(t.get("tags", 1).codes.empty());
    CHECK(t.get("tags", 1).state == cell_state::present);
    CHECK(t.get("amount", 1).number == -2);
    CHECK(t.get("paid", 0).integer == 0);
    CHECK(t.get("paid", 1).integer == 1);
    CHECK(t.get("count", 0).integer == -7);
    CHECK(t.get("opened", 0).integer == -1);  // nanoseconds are cut downwards
    CHECK(t.get("opened", 1).integer == now);
    CHECK(t.get("balance", 1).state == cell_state::defaulted);
    CHECK(t.get("id", 1).state == cell_state::missing);
    // A second batch goes behind the first.
    REQUIRE(t.append(*batch(1, numbers<float>("amount", "f", {0.25F}), texts<std::int64_t>("note", {"x"}))).ok());
    CHECK(t.rows.rows() == 3);
    CHECK(t.get("amount", 2).number == 0.25);
    CHECK(t.get("tags", 2).codes.size() == 2);
    CHECK(t.get("tags", 2).state == cell_state::defaulted);
}

TEST_CASE("numbers of any width") {
    const auto amount = [](column_ptr column) {
        reading t;
        REQUIRE(t.append(*batch(1, std::move(column))).ok());
        return t.get("amount", 0).number;
    };
    CHECK(amount(numbers<std::int8_t>("amount", "c", {-3})) == -3);
    CHECK(amount(numbers<std::uint8_t>("amount", "C", {253})) == 253);
    CHECK(amount(numbers<std::uint16_t>("amount", "S", {65535})) == 65535);
    CHECK(amount(numbers<std::uint32_t>("amount", "I", {4294967295U})) == 4294967295.0);
    CHECK(amount(numbers<std::int32_t>("amount", "i", {-3})) == -3);
    CHECK(amount(numbers<std::uint64_t>("amount", "L", {1ULL << 60})) == 1152921504606846976.0);
    // Half precision: the table of IEEE 754 binary16 examples (1, smallest subnormal, largest, one third).
    CHECK(amount(numbers<std::uint16_t>("amount", "e", {0x3C00})) == 1);
    CHECK(amount(numbers<std::uint16_t>("amount", "e", {0x0001})) == 5.9604644775390625e-08);
    CHECK(amount(numbers<std::uint16_t>("amount", "e", {0x7BFF})) == 65504);
    CHECK(amount(numbers<std::uint16_t>("amount", "e", {0x3555})) == 0.333251953125);
    CHECK(amount(numbers<std::uint16_t>("amount", "e", {0xC000})) == -2);
}

TEST_CASE("instants of any unit") {
    const auto opened = [](column_ptr column) {
        reading t;
        REQUIRE(t.append(*batch(1, numbers<double>("amount", "g", {1}), std::move(column))).ok());
        return t.get("opened", 0).integer;
    };
    CHECK(opened(numbers<std::int64_t>("opened", "tss:", {-2})) == -2'000'000);
    CHECK(opened(numbers<std::int64_t>("opened", "tsm:UTC", {3})) == 3'000);
    CHECK(opened(numbers<std::int64_t>("opened", "tsu:", {now})) == now);
    CHECK(opened(numbers<std::int32_t>("opened", "tdD", {-1})) == -86'400'000'000);
    CHECK(opened(numbers<std::int64_t>("opened", "tdm", {86'400'000})) == 86'400'000'000);
    CHECK(opened(numbers<std::int64_t>("opened", "l", {now})) == now);
    CHECK(opened(texts("opened", {"1970-01-01T00:00:01Z"})) == 1'000'000);
    CHECK(opened(coded("opened", {0}, texts("", {"1970-01-01T00:00:01Z"}))) == 1'000'000);
    reading t;
    CHECK(t.refusal(*batch(1, numbers<double>("amount", "g", {1}), numbers<std::int64_t>("opened", "tss:", {INT64_MAX / 1000})))
              .code == "schema.out_of_range");
    CHECK(t.refusal(*batch(1, numbers<double>("amount", "g", {1}), texts("opened", {"soon"}))).where == "column 'opened' row 0");
}

TEST_CASE("nulls, NaN and ages are those of rows read otherwise") {
    reading t;
    auto mood = std::make_unique<node>("mood", "u", 3);
    mood->nulls({false, true, true}).buffer(std::vector<std::int32_t>{0, 0, 4, 8}).bytes("calmcalm");
    auto tags = std::make_unique<node>("tags", "+l", 3);
    tags->nulls({true, false, true}).buffer(std::vector<std::int32_t>{0, 1, 1, 2});
    tags->children.push_back(coded("item", {0, 0}, texts("", {"t"})));
    REQUIRE(t.append(*batch(3, numbers<double>("amount", "g", {1, 2, 3}), std::move(mood), std::move(tags),
                            numbers<double>("balance", "g", {1, std::nan(""), 3}), std::make_unique<node>("count", "n", 3),
                            numbers<std::int64_t>("opened", "tsu:", {now, now, now - 900'000'001})))
                .ok());
    CHECK(t.get("mood", 0).state == cell_state::missing);
    CHECK(t.text("mood", 1) == "calm");
    CHECK(t.get("count", 2).state == cell_state::missing);
    CHECK(t.get("balance", 0).number == 1);
    CHECK(t.get("balance", 1).state == cell_state::defaulted);
    CHECK(t.get("balance", 2).state == cell_state::stale);
    CHECK(t.get("balance", 2).number == 7);
    CHECK(t.get("tags", 0).codes.size() == 1);
    CHECK(t.get("tags", 1).codes.size() == 2);
    CHECK(t.get("tags", 2).codes.size() == 1);
    CHECK(t.get("tags", 2).state == cell_state::present);
    CHECK(t.rows.at(8).offsets == std::vector<std::uint32_t>{0, 1, 3, 4});
}

TEST_CASE("slices of structs, columns, lists and dictionaries") {
    reading t;
    auto amount = numbers<double>("amount", "g", {9, 9, 9, 1, 2});
    amount->array.offset = 1;
    amount->array.length = 4;
    auto note = texts("note", {"z", "z", "x", "y"});
    auto tags = lists("tags", {0, 0, 0, 1, 3}, texts("item", {"?", "a", "b", "c"}));
    tags->children[0]->array.offset = 1;
    tags->children[0]->array.length = 3;
    auto mood = coded("mood", {0, 0, 0, 1}, texts("", {"?", "calm", "a rather long mood indeed"}));
    mood->dictionary->array.offset = 1;
    mood->dictionary->array.length = 2;
    auto sliced = batch(2, std::move(amount), std::move(note), std::move(tags), std::move(mood));
    sliced->array.offset = 2;
    REQUIRE(t.append(*sliced).ok());
    CHECK(t.get("amount", 0).number == 1);
    CHECK(t.get("amount", 1).number == 2);
    CHECK(t.text("note", 0) == "x");
    CHECK(t.text("mood", 0) == "calm");
    CHECK(t.text("mood", 1) == "a rather long mood indeed");
    REQUIRE(t.get("tags", 0).codes.size() == 1);
    CHECK(t.strings.text(t.get("tags", 0).codes[0]) == "a");
    REQUIRE(t.get("tags", 1).codes.size() == 2);
    CHECK(t.strings.text(t.get("tags", 1).codes[1]) == "c");
}

TEST_CASE("wrong columns and values are named") {
    reading t;
    REQUIRE(t.append(*batch(1, numbers<double>("amount", "g", {1}))).ok());
    const auto amount = [] { return numbers<double>("amount", "g", {1, 2}); };
    CHECK(t.refusal(*batch(2, numbers<double>("amout", "g", {1, 2}))).text() ==
          "column 'amout': unknown field 'amout' on task; did you mean 'amount'?");
    CHECK(t.refusal(*batch(2, amount(), amount())).code == "schema.duplicate_field");
    CHECK(t.refusal(*batch(2, texts("amount", {"1", "2"}))).text() ==
          "column 'amount': field 'amount' on task must be double, found a string (Arrow format 'u')");
    CHECK(t.refusal(*batch(2, numbers<std::int64_t>("count", "l", {1, 2}))).message == "field 'amount' on task is missing");
    CHECK(t.refusal(*batch(2, numbers<double>("amount", "g", {1, -6}))).text() ==
          "column 'amount' row 1: field 'amount' on task must be at least -5, found -6");
    CHECK(t.refusal(*batch(2, numbers<double>("amount", "g", {1, std::nan("")}))).where == "column 'amount' row 1");
    CHECK(t.refusal(*batch(2, numbers<double>("amount", "g", {1, HUGE_VAL}))).code == "schema.not_finite");
    CHECK(t.refusal(*batch(1, numbers<std::int64_t>("amount", "l", {(1LL << 53) + 1}))).code == "schema.inexact");
    CHECK(t.refusal(*batch(2, amount(), numbers<double>("count", "g", {1, 2}))).code == "schema.wrong_type");
    CHECK(t.refusal(*batch(2, amount(), numbers<std::uint64_t>("count", "L", {1, ~0ULL}))).code == "schema.out_of_range");
    CHECK(t.refusal(*batch(2, amount(), texts("mood", {"calm", "clam"}))).hint == "did you mean 'calm'?");
    CHECK(t.refusal(*batch(2, amount(), texts("note", {"ok", "\xFF"}))).code == "schema.utf8");
    CHECK(t.refusal(*batch(2, amount(), texts("note", {"ok", std::string(text_limit + 1, 'x')}))).code == "schema.text_too_long");
    CHECK(t.refusal(*batch(2, amount(), coded("note", {0, 1}, texts("", {"ok", "\xFF"})))).where == "column 'note' row 1");
    CHECK(t.refusal(*batch(2, amount(), lists("tags", {0, 1, 1}, texts("item", {"\xFF"})))).code == "schema.utf8");
    CHECK(t.refusal(*batch(2, amount(), lists("tags", {0, 1, 1}, numbers<double>("item", "g", {1})))).code ==
          "schema.arrow_type");
    CHECK(t.refusal(*batch(2, amount(), lists("tags", {0, 1, 1}, std::make_unique<node>("item", "n", 1)))).code ==
          "schema.wrong_type");
    CHECK(t.refusal(*batch(2, amount(), numbers<double>("note", "d:10,2", {1, 2}))).code == "schema.arrow_type");
    CHECK(t.refusal(*numbers<double>("amount", "g", {1})).code == "schema.arrow_malformed");  // not linked: no format
    auto plain = numbers<double>("amount", "g", {1});
    plain->link();
    CHECK(t.refusal(*plain).code == "schema.arrow_type");
    const auto extra = batch(2, amount(), numbers<std::int64_t>("task_index", "l", {0, 1}));
    CHECK(t.refusal(*extra).code == "schema.unknown_field");
    CHECK(t.append(*extra, "task_index").ok());
    CHECK(t.rows.rows() == 3);
    CHECK(t.append(*batch(0)).ok());  // no rows, no columns: nothing is missing
    CHECK(t.append(*batch(0, numbers<double>("amout", "g", {}))).error().code == "schema.unknown_field");
}

TEST_CASE("malformed arrays are refused before they are read") {
    reading t;
    REQUIRE(t.append(*batch(1, numbers<double>("amount", "g", {1}))).ok());
    const auto whole = [] {
        return batch(2, numbers<double>("amount", "g", {1, 2}), texts("note", {"ab", "c"}),
                     lists("tags", {0, 1, 2}, coded("item", {0, 1}, texts("", {"x", "y"}))),
                     coded("mood", {0, 0}, texts("", {"calm"})), booleans("paid", 2, 3));
    };
    REQUIRE(t.append(*whole()).ok());
    constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
    const std::vector<std::function<void(node&)>> faults{
        [](node& n) { n.schema.release = nullptr; },
        [](node& n) { n.array.release = nullptr; },
        [](node& n) { n.array.length = -1; },
        [](node& n) { n.array.offset = -1; },
        [](node& n) { n.array.offset = huge; },
        [](node& n) { n.array.offset = 1; },
        [](node& n) { n.array.length = 3; },
        [](node& n) { n.array.n_buffers = 2; },
        [](node& n) { n.array.buffers = nullptr; },
        [](node& n) { n.array.null_count = 1; },
        [](node& n) { n.array.n_children = 4; },
        [](node& n) { n.schema.n_children = -1; },
        [](node& n) { n.array.children = nullptr; },
        [](node& n) { n.schema.children = nullptr; },
        [](node& n) { n.child_arrays[1] = nullptr; },
        [](node& n) { n.child_schemas[1] = nullptr; },
        [](node& n) { n.children[0]->array.release = nullptr; },
        [](node& n) { n.children[0]->schema.format = nullptr; },
        [](node& n) { n.children[0]->array.length = 1; },
        [](node& n) { n.children[0]->array.length = huge; },
        [](node& n) { n.children[0]->array.offset = -1; },
        [](node& n) { n.children[0]->array.offset = huge; },
        [](node& n) { n.children[0]->array.null_count = -2; },
        [](node& n) { n.children[0]->array.null_count = 3; },
        [](node& n) { n.children[0]->array.null_count = 1; },
        [](node& n) { n.children[0]->array.n_buffers = 1; },
        [](node& n) { n.children[0]->array.n_buffers = 3; },
        [](node& n) { n.children[0]->array.buffers = nullptr; },
        [](node& n) { n.children[0]->buffers[1] = nullptr; },
        [](node& n) { n.children[0]->array.n_children = 1; },
        [](node& n) { n.children[1]->buffers[1] = nullptr; },
        [](node& n) { n.children[1]->buffers[2] = nullptr; },
        [](node& n) { n.children[1]->array.n_buffers = 2; },
        [](node& n) { n.children[2]->array.n_children = 0; },
        [](node& n) { n.children[2]->schema.n_children = 0; },
        [](node& n) { n.children[2]->array.children = nullptr; },
        [](node& n) { n.children[2]->child_arrays[0] = nullptr; },
        [](node& n) { n.children[2]->child_schemas[0] = nullptr; },
        [](node& n) { n.children[2]->children[0]->array.length = 1; },
        [](node& n) { n.children[2]->children[0]->array.dictionary = nullptr; },
        [](node& n) { n.children[2]->children[0]->dictionary->array.length = 1; },
        [](node& n) { n.children[3]->array.dictionary = nullptr; },
        [](node& n) { n.children[3]->dictionary->schema.format = nullptr; },
        [](node& n) { n.children[3]->dictionary->array.length = 0; },
        [](node& n) { n.children[3]->dictionary->array.n_buffers = 0; },
        [](node& n) { n.children[3]->schema.format = "g"; },
    };
    for (std::size_t i = 0; i < faults.size(); ++i) {
        INFO("fault " << i);
        const auto broken = whole();
        faults[i](*broken);
        CHECK(t.refusal(*broken).code == "schema.arrow_malformed");
    }
    const auto offsets = [&](std::vector<std::int32_t> values) {
        auto note = std::make_unique<node>("note", "u", 2);
        note->no_buffer().buffer(values).bytes("abcdef");
        return t.refusal(*batch(2, numbers<double>("amount", "g", {1, 2}), std::move(note))).code;
    };
    CHECK(offsets({0, 3, 2}) == "schema.arrow_malformed");
    CHECK(offsets({-1, 3, 4}) == "schema.arrow_malformed");
    CHECK(offsets({0, 2, -4}) == "schema.arrow_malformed");
    const auto tags = [&](std::vector<std::int32_t> values) {
        return t.refusal(*batch(2, numbers<double>("amount", "g", {1, 2}), lists("tags", values, texts("item", {"a", "b"}))))
            .code;
    };
    CHECK(tags({0, 1, 3}) == "schema.arrow_malformed");
    CHECK(tags({0, 2, 1}) == "schema.arrow_malformed");
    CHECK(tags({-2, 0, 1}) == "schema.arrow_malformed");
    const auto index = [&](std::int8_t code) {
        return t.refusal(*batch(2, numbers<double>("amount", "g", {1, 2}), coded("mood", {0, code}, texts("", {"calm"})))).code;
    };
    CHECK(index(1) == "schema.arrow_malformed");
    CHECK(index(-1) == "schema.arrow_malformed");
    const auto view = [&](std::size_t word, std::int32_t value) {
        auto note = text_views("note", {"longer than twelve bytes", "longer than twelve bytes"});
        std::memcpy(note->storage[0].data() + 16 + 4 * word, &value, 4);
        return t.refusal(*batch(2, numbers<double>("amount", "g", {1, 2}), std::move(note))).code;
    };
    CHECK(view(0, -1) == "schema.arrow_malformed");
    CHECK(view(0, 25) == "schema.arrow_malformed");
    CHECK(view(2, 1) == "schema.arrow_malformed");
    CHECK(view(2, -1) == "schema.arrow_malformed");
    CHECK(view(3, 25) == "schema.arrow_malformed");
    CHECK(view(3, -1) == "schema.arrow_malformed");
    auto empty_row = batch(2, numbers<double>("amount", "g", {1, 2}));
    const std::uint8_t first_only = 1;
    empty_row->buffers[0] = &first_only;
    empty_row->array.null_count = 1;
    CHECK(t.refusal(*empty_row).where == "row 1");
    // A column of nulls needs no memory to claim any length; the table would.
    CHECK(t.append(*batch(huge / 2, std::make_unique<node>("count", "n", huge / 2))).error().code == "limit.rows");
    CHECK(t.rows.rows() == 3);
}

TEST_CASE("candidates fill both tables and the task index") {
    dictionary frozen;
    interner strings(frozen);
    table actions(example(), role::action);
    table pairs(example(), role::candidate);
    std::vector<std::uint32_t> tasks;
    const candidate_tables out{&actions, &pairs, &tasks};
    arrow_reader reader;
    const auto append = [&](const node& b) { return append_arrow_candidates(out, b.schema, b.array, strings, now, reader); };
    REQUIRE(append(*batch(2, texts("id", {"a", "b"}), numbers<std::int32_t>("task_index", "i", {0, 5}),
                          numbers<std::int64_t>("seen", "l", {3, 4})))
                .ok());
    CHECK(actions.rows() == 2);
    CHECK(pairs.get(0, 1).integer == 4);
    CHECK(tasks == std::vector<std::uint32_t>{0, 5});
    const auto refusal = [&](const node& b) {
        const status refused = append(b);
        REQUIRE_FALSE(refused.ok());
        CHECK(actions.rows() == 2);
        CHECK(pairs.rows() == 2);
        CHECK(tasks.size() == 2);
        return refused.error();
    };
    CHECK(refusal(*batch(1, texts("id", {"a"}))).where == "column 'task_index'");
    CHECK(refusal(*batch(1, texts("id", {"a"}), numbers<std::int32_t>("task_index", "i", {-1}))).where ==
          "column 'task_index' row 0");
    CHECK(refusal(*batch(1, texts("id", {"a"}), texts("task_index", {"0"}))).code == "schema.wrong_type");
    CHECK(refusal(*batch(1, texts("id", {"a"}), numbers<std::int32_t>("task_index", "i", {0}),
                         numbers<std::int32_t>("sen", "i", {0})))
              .hint == "did you mean 'seen'?");
    CHECK(refusal(*batch(1, texts("id", {"a"}), numbers<std::int32_t>("task_index", "i", {0}), texts("seen", {"0"}))).where ==
          "column 'seen'");
}

namespace {
/// A stream of the given batches; counts releases.
struct batches {
    std::vector<std::unique_ptr<node>> parts;
    std::size_t next = 0;
    int fail_at = -1;
    ArrowArrayStream stream{};
    static inline int released = 0;

    batches() {
        released = 0;
        stream.private_data = this;
        stream.get_schema = [](ArrowArrayStream* s, ArrowSchema* out) {
            auto& self = *static_cast<batches*>(s->private_data);
            if (self.parts.empty()) return 5;
            *out = self.parts[0]->schema;
            out->release = [](ArrowSchema* mine) { ++released, mine->release = nullptr; };
            return 0;
        };
        stream.get_next = [](ArrowArrayStream* s, ArrowArray* out) {
            auto& self = *static_cast<batches*>(s->private_data);
            if (static_cast<int>(self.next) == self.fail_at) return 5;
            if (self.next == self.parts.size()) {
                out->release = nullptr;
                return 0;
            }
            *out = self.parts[self.next++]->array;
            out->release = [](ArrowArray* mine) { ++released, mine->release = nullptr; };
            return 0;
        };
        stream.get_last_error = [](ArrowArrayStream*) { return "disk on fire"; };
        stream.release = [](ArrowArrayStream* s) { ++released, s->release = nullptr; };
    }
};
}  // namespace

TEST_CASE("streams are read whole or not at all, and released once") {
    reading t;
    {
        batches b;
        for (const double value : {1.0, 2.0, 3.0}) b.parts.push_back(batch(2, numbers<double>("amount", "g", {value, value})));
        REQUIRE(append_arrow_stream(t.rows, b.stream, t.strings, now).ok());
        CHECK(t.rows.rows() == 6);
        CHECK(t.get("amount", 5).number == 3);
        CHECK(batches::released == 5);
        CHECK(b.stream.release == nullptr);
        CHECK(append_arrow_stream(t.rows, b.stream, t.strings, now).error().code == "schema.arrow_malformed");
    }
    {
        batches b;
        for (const double value : {1.0, -9.0}) b.parts.push_back(batch(2, numbers<double>("amount", "g", {1, value})));
        CHECK(append_arrow_stream(t.rows, b.stream, t.strings, now).error().where == "column 'amount' row 3");
        CHECK(t.rows.rows() == 6);
        CHECK(batches::released == 4);
    }
    {
        batches b;
        for (const double value : {1.0, 2.0}) b.parts.push_back(batch(2, numbers<double>("amount", "g", {1, value})));
        b.fail_at = 1;
        const status failed = append_arrow_stream(t.rows, b.stream, t.strings, now);
        CHECK(failed.error().message == "the Arrow stream gave no batch: 'disk on fire'");
        CHECK(t.rows.rows() == 6);
        CHECK(batches::released == 3);
    }
    {
        batches b;
        CHECK(append_arrow_stream(t.rows, b.stream, t.strings, now).error().code == "schema.arrow_stream");
        CHECK(batches::released == 1);
    }
}
