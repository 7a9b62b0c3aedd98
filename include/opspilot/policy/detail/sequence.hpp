/// \file
/// Internal: effects that look at more than one candidate or decision: limits over time, diversity within a ranking.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "opspilot/base/hash.hpp"
#include "opspilot/policy/detail/apply.hpp"

namespace opspilot::detail {

/// Where limits are counted, and for whom.
struct limit_context {
    limit_counters& counters;
    std::string_view owner;
    policy_workspace& scratch;
};

/// The bucket of a limit for one candidate, or nothing when its key cannot be evaluated.
inline std::optional<std::uint64_t> bucket_of(const policy_rule& rule, const frame& f, std::size_t candidate,
                                              const limit_context& c) {
    const std::uint64_t own = xxh3(c.owner, xxh3(rule.id, static_cast<std::uint64_t>(rule.layer)));
    if (rule.key.code.empty()) return own;
    const cel::value key = run_condition(rule.key, f, c.scratch, candidate);
    const std::uint64_t seed = own ^ static_cast<std::uint64_t>(key.what);
    switch (key.what) {
        case cel::kind::text: return xxh3(key.view(), seed);
        case cel::kind::boolean: return xxh3(key.boolean ? "1" : "0", seed);
        case cel::kind::integer:
        case cel::kind::uinteger: return xxh3({reinterpret_cast<const char*>(&key.integer), sizeof key.integer}, seed);
        default: return {};
    }
}

inline void give_limits_back(const policy_set::impl& set, const frame& f, std::span<const rule_hit> hits,
                             const limit_context& c) {
    for (const rule_hit& hit : hits) {
        const policy_rule& rule = set.rules[hit.rule];
        if (rule.effect != policy_effect::limit) continue;
        if (const auto taken = bucket_of(rule, f, hit.candidate, c)) c.counters.give_back(*taken, rule.count, rule.per_us);
    }
}

inline std::uint32_t take_limits(const policy_set::impl& set, const frame& f, std::span<const rule_hit> hits,
                                 const limit_context& c) {
    for (std::size_t h = 0; h < hits.size(); ++h) {
        const policy_rule& rule = set.rules[hits[h].rule];
        if (rule.effect != policy_effect::limit) continue;
        std::optional<std::uint64_t> bucket;
        if (!hits[h].failed) bucket = bucket_of(rule, f, hits[h].candidate, c);
        if (bucket && c.counters.take(*bucket, rule.count, rule.per_us, f.now_us)) continue;
        give_limits_back(set, f, hits.first(h), c);
        return hits[h].rule + 1;
    }
    return 0;
}

/// What `diversify` counts by, or nothing where the candidate has no value.
inline std::optional<std::uint64_t> counted_value(const policy_rule& rule, const frame& f, std::size_t candidate) noexcept {
    if (rule.field.where == role::candidate && f.pairs == nullptr) return {};
    const cell c = f.get(rule.field, candidate);
    if (!c.has_value()) return {};
    return c.type == field_type::text ? c.code : static_cast<std::uint64_t>(c.integer);
}

inline void demote_repeats(const policy_set::impl& set, const frame& f, std::span<std::uint32_t> order, std::span<rule_hit> hits,
                           std::span<const std::uint32_t> starts, std::uint32_t first_rule, repeat_counter& seen) {
    const auto rule_of = [&](const rule_hit& hit) -> const policy_rule& { return set.rules[hit.rule - first_rule]; };
    const auto diversifies = [&](const rule_hit& hit) {
        return !hit.failed && hit.rule >= first_rule && hit.rule - first_rule < set.rules.size() &&
               rule_of(hit).effect == policy_effect::diversify;
    };
    seen.reset(static_cast<std::size_t>(std::count_if(hits.begin(), hits.end(), diversifies)));
    const auto over = [&](std::uint32_t candidate) {
        bool demoted = false;
        const auto mine = hits.subspan(starts[candidate], starts[candidate + 1] - starts[candidate]);
        for (rule_hit& hit : mine) {
            if (!diversifies(hit)) continue;
            const auto value = counted_value(rule_of(hit), f, candidate);
            hit.idle = !value || seen.of(hit.rule, *value) < rule_of(hit).count;
            demoted = demoted || !hit.idle;
        }
        if (demoted) return true;
        for (const rule_hit& hit : mine)
            if (diversifies(hit))
                if (const auto value = counted_value(rule_of(hit), f, candidate)) ++seen.of(hit.rule, *value);
        return false;
    };
    std::size_t kept = 0;
    seen.demoted.clear();
    for (const std::uint32_t candidate : order) {
        if (over(candidate))
            seen.demoted.push_back(candidate);
        else
            order[kept++] = candidate;
    }
    std::copy(seen.demoted.begin(), seen.demoted.end(), order.begin() + static_cast<std::ptrdiff_t>(kept));
}

}  // namespace opspilot::detail
