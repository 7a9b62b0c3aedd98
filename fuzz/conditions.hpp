// What the fuzz targets of conditions share: records with every type, missing fields and values at which comparisons turn.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/frame.hpp"
#include "opspilot/data/table.hpp"

namespace opspilot::fuzz {

inline constexpr std::string_view schema_text = R"({
  "task": [
    {"name": "tier", "type": "string", "optional": true}, {"name": "amount", "type": "double", "optional": true},
    {"name": "priority", "type": "int", "optional": true}, {"name": "paid", "type": "bool", "optional": true},
    {"name": "tags", "type": "list<string>", "optional": true}, {"name": "due", "type": "timestamp", "optional": true},
    {"name": "gone", "type": "int", "optional": true}],
  "action": [
    {"name": "kind", "type": "string", "optional": true}, {"name": "region", "type": "string", "optional": true},
    {"name": "risk", "type": "double", "optional": true}, {"name": "level", "type": "int", "optional": true},
    {"name": "manual", "type": "bool", "optional": true}, {"name": "since", "type": "timestamp", "optional": true},
    {"name": "queues", "type": "list<string>", "optional": true}],
  "candidate": [
    {"name": "age", "type": "int", "optional": true}, {"name": "note", "type": "string", "optional": true},
    {"name": "score", "type": "double", "optional": true}]
})";

/// Rows in one order and rows picked out, more than a word of bits has. The same in every run.
class records {
public:
    static constexpr std::size_t actions = 70;

    records() {
        task_.reset(fields, role::task);
        catalogue_.reset(fields, role::action);
        pairs_.reset(fields, role::candidate);
    }

    /// After the conditions were compiled, which put their texts into `strings`.
    void fill() {
        interner growing = interner::growing(strings);
        keep(task_.read_json(
            R"({"tier": "a", "amount": 2.5, "priority": 2, "paid": true, "tags": ["a", "b"], "due": 3600000000})", growing, 0));
        std::string rows = "[", others = "[";
        for (std::size_t i = 0; i < actions; ++i) {
            constexpr std::array texts{"a", "bb", "b", "", "ab\u00E4", "nowhere"};
            constexpr std::array numbers{"0.5", "-2.25", "3", "9007199254740992.0", "0", "1e300", "-0.0"};
            constexpr std::array wholes{"0", "1", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808"};
            std::string row = R"({"id": "r)" + std::to_string(i) + '"';
            const auto add = [&](const char* name, std::string value, std::size_t missing) {
                if (i % missing != 0) row += std::string(", \"") + name + "\": " + std::move(value);
            };
            add("kind", '"' + std::string(texts[i % texts.size()]) + '"', 7);
            add("region", '"' + std::string(texts[i / 3 % texts.size()]) + '"', 3);
            add("risk", numbers[i % numbers.size()], 11);
            add("level", wholes[i % wholes.size()], 5);
            add("manual", i % 2 == 0 ? "true" : "false", 13);
            add("since", std::to_string(static_cast<std::int64_t>(i) * 60'000'000 - 5), 9);
            add("queues", R"(["a", ")" + std::string(texts[i % texts.size()]) + "\"]", 4);
            rows += (i == 0 ? "" : ",") + row + "}";
            others += std::string(i == 0 ? "" : ",") +
                      (i % 4 == 0 ? "{}" : R"({"age": )" + std::to_string(i) + R"(, "note": "a", "score": 0.5})");
        }
        keep(catalogue_.read_json(rows + "]", growing, 0));
        keep(pairs_.read_json(others + "]", growing, 0));
        in_order_.resize(actions);
        std::iota(in_order_.begin(), in_order_.end(), 0U);
        for (std::uint32_t i = 0; i < actions; ++i) picked_.push_back(i * 37 % actions);
    }

    [[nodiscard]] frame view(bool picked, const interner& texts) const {
        return {.task = &task_,
                .actions = &catalogue_,
                .action_rows = picked ? picked_ : in_order_,
                .pairs = &pairs_,
                .strings = &texts,
                .now_us = 3'600'000'000};
    }
    [[nodiscard]] const table& catalogue() const noexcept { return catalogue_; }

    schema fields = schema::parse(schema_text).value();
    dictionary strings;

private:
    static void keep(const status& done) {
        if (!done) std::abort();
    }

    table task_, catalogue_, pairs_;
    std::vector<std::uint32_t> in_order_, picked_;
};

}  // namespace opspilot::fuzz
