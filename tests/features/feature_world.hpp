// A small world for the tests: a schema, tables from JSON, frames, and values of columns by name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/features/plan.hpp"

namespace world {

inline constexpr std::int64_t hour = 3'600'000'000;
inline constexpr std::int64_t now = 1'700'000'000'000'000;  // 2023-11-14 22:13:20 UTC, a Tuesday

inline std::string schema_text() {
    return R"({"task":[
        {"name":"amount","type":"double","optional":true},
        {"name":"count","type":"int","optional":true},
        {"name":"urgent","type":"bool","optional":true},
        {"name":"kind","type":"string","optional":true},
        {"name":"previous","type":"string","optional":true},
        {"name":"text","type":"string","optional":true},
        {"name":"opened","type":"timestamp","optional":true},
        {"name":"balance_at","type":"timestamp","optional":true},
        {"name":"balance","type":"double","optional":true,"max_age":"1h","as_of":"balance_at"},
        {"name":"score_at","type":"timestamp","optional":true},
        {"name":"score","type":"double","max_age":"1h","as_of":"score_at","default":7.5},
        {"name":"history","type":"list<string>","optional":true},
        {"name":"tags","type":"list<string>","optional":true}],
      "action":[
        {"name":"cost","type":"double","optional":true},
        {"name":"kind","type":"string","optional":true},
        {"name":"template","type":"string","optional":true},
        {"name":"since","type":"timestamp","optional":true},
        {"name":"tags","type":"list<string>","optional":true},
        {"name":"after","type":"list<string>","optional":true}],
      "candidate":[
        {"name":"position","type":"int","optional":true},
        {"name":"note","type":"string","optional":true}]})";
}

inline std::string document(std::string_view transforms) {
    std::string out = "{\"version\":1,\"transforms\":";
    out.append(transforms).append("}");
    return out;
}

struct setting {
    opspilot::schema fields;
    opspilot::dictionary frozen;
    opspilot::interner strings{frozen};
    opspilot::table tasks, actions, pairs;
    std::vector<std::uint32_t> rows;
    opspilot::feature_workspace scratch;
    opspilot::feature_matrix matrix;

    explicit setting(std::string_view schema_json = {}) {
        auto parsed = opspilot::schema::parse(schema_json.empty() ? schema_text() : std::string(schema_json));
        INFO((parsed.ok() ? std::string() : parsed.error().text()));
        REQUIRE(parsed.ok());
        fields = std::move(*parsed);
    }
    setting(const setting&) = delete;
    setting& operator=(const setting&) = delete;

    void fill(opspilot::table& t, opspilot::role r, std::string_view json) {
        t.reset(fields, r);
        const auto read = t.read_json(json, strings, now);
        INFO((read.ok() ? std::string() : read.error().text()));
        REQUIRE(read.ok());
    }
    void task(std::string_view json) { fill(tasks, opspilot::role::task, json); }
    void action(std::string_view json) {
        fill(actions, opspilot::role::action, json);
        rows.resize(actions.rows());
        std::iota(rows.begin(), rows.end(), 0U);
    }
    void pair(std::string_view json) { fill(pairs, opspilot::role::candidate, json); }

    opspilot::frame frame(std::size_t row = 0) const {
        opspilot::frame f;
        f.task = &tasks;
        f.task_row = row;
        f.actions = &actions;
        f.action_rows = rows;
        f.pairs = pairs.rows() > 0 ? &pairs : nullptr;
        f.strings = &strings;
        f.now_us = now;
        return f;
    }

    opspilot::feature_plan plan(std::string_view transforms) {
        auto parsed = opspilot::feature_plan::parse(document(transforms), fields, frozen);
        INFO((parsed.ok() ? std::string() : parsed.error().text()));
        REQUIRE(parsed.ok());
        return std::move(*parsed);
    }
    opspilot::error refused(std::string_view transforms) {
        auto parsed = opspilot::feature_plan::parse(document(transforms), fields, frozen);
        REQUIRE(!parsed.ok());
        return parsed.error();
    }
    void apply(const opspilot::feature_plan& p, std::size_t row = 0, const opspilot::prepared_actions* prepared = nullptr) {
        const auto done = p.apply(frame(row), prepared, scratch, matrix);
        INFO((done.ok() ? std::string() : done.error().text()));
        REQUIRE(done.ok());
    }
    /// The values of one column after `apply`.
    std::vector<float> column(const opspilot::feature_plan& p, std::string_view name) const {
        for (std::size_t j = 0; j < p.names().size(); ++j)
            if (p.names()[j] == name) return {matrix.column(j), matrix.column(j) + matrix.rows()};
        FAIL("no column " << name);
        return {};
    }
};

/// Equal bit for bit, NaN included.
inline bool same_bits(const opspilot::feature_matrix& a, const opspilot::feature_matrix& b) {
    if (a.rows() != b.rows() || a.columns() != b.columns() || a.sparse_blocks() != b.sparse_blocks()) return false;
    for (std::size_t j = 0; j < a.columns(); ++j)
        if (a.rows() > 0 && std::memcmp(a.column(j), b.column(j), a.rows() * sizeof(float)) != 0) return false;
    for (std::size_t j = 0; j < a.sparse_blocks(); ++j) {
        const auto x = a.sparse(j);
        const auto y = b.sparse(j);
        if (x.index.size() != y.index.size() || x.value.size() != y.value.size()) return false;
        if (!std::equal(x.index.begin(), x.index.end(), y.index.begin())) return false;
        if (!x.value.empty() && std::memcmp(x.value.data(), y.value.data(), x.value.size_bytes()) != 0) return false;
    }
    return true;
}

inline bool is_nan(float x) { return std::isnan(x); }

}  // namespace world
