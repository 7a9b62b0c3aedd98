#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/policy/detail/analysis/domain.hpp"
#include "opspilot/policy/detail/analysis/rows.hpp"

namespace opspilot::detail::analysis {

inline json json_of(const cel::value& v) {
    switch (v.what) {
        case cel::kind::boolean: return v.boolean;
        case cel::kind::integer: return v.integer;
        case cel::kind::number: return v.number;
        case cel::kind::text: return std::string(v.view());
        case cel::kind::timestamp: return static_cast<std::int64_t>(rank_of(v) ^ (std::uint64_t{1} << 63));
        case cel::kind::list: {
            json items = json::array();
            for (std::size_t i = 0; i < v.size; ++i) items.push_back(std::string(v.items[i].view()));
            return items;
        }
        default: return nullptr;
    }
}

/// Some allowed value of a field.
inline json any_value(const field& f, std::int64_t now_us) {
    switch (f.type) {
        case field_type::boolean: return false;
        case field_type::integer: {
            const double low = std::ceil(std::max(f.min.value_or(0), -9e15)),
                         high = std::floor(std::min(f.max.value_or(0), 9e15));
            const double v = f.min && low > 0 ? low : f.max && high < 0 ? high : 0;
            return static_cast<std::int64_t>(v);
        }
        case field_type::number: return f.min && *f.min > 0 ? *f.min : f.max && *f.max < 0 ? *f.max : 0.0;
        case field_type::text: return f.values.empty() ? std::string() : f.values.front();
        case field_type::timestamp: return now_us;
        case field_type::text_list: return json::array();
    }
    return nullptr;
}

OPSPILOT_INLINE std::string example::text() const {
    return fmt::format("{{\"task\":{},\"candidate\":{}{}}}", task.dump(), candidate.dump(),
                       timed ? fmt::format(",\"now\":{}", now_us) : "");
}

OPSPILOT_INLINE example_maker::example_maker(const schema& s, const dictionary& strings) : schema_(s), strings_(strings) {
    task_.reset(s, role::task);
    actions_.reset(s, role::action);
    pairs_.reset(s, role::candidate);
}

OPSPILOT_INLINE bool example_maker::make(const std::map<field_id, holding>& held, example& out) const {
    out = {};
    if (const auto now = held.find(time_of_decision); now != held.end()) {
        out.now_us = json_of(*now->second).get<std::int64_t>();
        out.timed = true;
    }
    json action = json::object(), pair = json::object();
    for (const role r : {role::task, role::action, role::candidate}) {
        json& into = r == role::task ? out.task : r == role::action ? action : pair;
        const auto fields = schema_.fields(r);
        for (std::uint32_t i = 0; i < fields.size(); ++i) {
            const field& f = fields[i];
            const auto given = held.find(id_of({r, i}));
            if (given != held.end() && given->second) {
                into[f.name] = json_of(*given->second);
            } else if (given == held.end() ? !f.optional && f.default_value.index() == 0 : !f.optional) {
                into[f.name] = any_value(f, out.now_us);  // of a missing one that is required: a value too old to stand
            }
        }
        // Dates: fresh where a value must stand, old where it must not.
        for (std::uint32_t i = 0; i < fields.size(); ++i) {
            const auto given = held.find(id_of({r, i}));
            if (fields[i].max_age_us == 0 || given == held.end()) continue;
            const std::uint32_t date = schema_.dated_by(r, i);
            if (date == no_field || held.contains(id_of({r, date}))) continue;
            if (given->second)
                into[fields[date].name] = out.now_us;
            else if (into.contains(fields[i].name) && !fields[date].optional)
                into[fields[date].name] = out.now_us - fields[i].max_age_us - 1;
        }
    }
    out.candidate = std::move(action);
    for (const auto& [name, value] : pair.items()) {
        // A candidate's row fills both tables where a name stands in both.
        if (out.candidate.contains(name) && out.candidate[name] != value) return false;
        out.candidate[name] = value;
    }
    return true;
}

OPSPILOT_INLINE bool example_maker::read(const example& e, frame& out) {
    task_.clear();
    actions_.clear();
    pairs_.clear();
    strings_.reset();
    const bool paired = !schema_.fields(role::candidate).empty();
    if (!task_.read_json(json::array({e.task}).dump(), strings_, e.now_us)) return false;
    if (!read_candidates_json(json::array({e.candidate}).dump(), {&actions_, paired ? &pairs_ : nullptr, nullptr}, strings_,
                              e.now_us, reader_))
        return false;
    out = {};
    out.task = &task_;
    out.actions = &actions_;
    out.action_rows = {&row_, 1};
    out.pairs = paired ? &pairs_ : nullptr;
    out.strings = &strings_;
    out.now_us = e.now_us;
    return true;
}

}  // namespace opspilot::detail::analysis
