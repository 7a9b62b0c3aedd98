/// \file
/// Internal: what a compiled diff holds, and the memory of one thread that replays.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "opspilot/data/row_json.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/policy/diff.hpp"

namespace opspilot {

namespace detail {

/// A field that a rule of either policy reads, and why a record may lack it.
struct field_read {
    schema::path where;
    bool personal = false;  ///< left out of decision records
    bool required = false;  ///< by the schema as it is declared
    std::uint32_t reason = 0;
};

enum class rule_fate : std::uint8_t { same, edited, added, removed };

/// A rule by its id, in either policy or both.
struct joint_rule {
    std::string id, layer, effect, because;
    rule_fate fate = rule_fate::same;
};

// Reasons why a record is not exact; those of fields follow.
inline constexpr std::uint32_t reason_unlisted = 0, reason_unknown_action = 1, first_field_reason = 2;

}  // namespace detail

struct policy_diff::impl {
    schema fields;  ///< the declared one, made lenient
    dictionary strings;
    policy_set before, after;
    policy_catalogue before_ready, after_ready;
    table catalogue;
    std::vector<std::uint32_t> row_of_id;  ///< by code
    policy_diff_options options;
    std::vector<detail::joint_rule> rules;
    std::vector<std::uint32_t> before_rules, after_rules;  ///< index of each set's rule in `rules`
    std::vector<std::string> reasons;
    std::vector<detail::field_read> reads;
    std::uint32_t action_id = 0;
    std::optional<std::uint32_t> task_id, task_client;
    bool paired = false;
};

struct policy_diff_workspace::impl {
    std::shared_ptr<const policy_diff::impl> kept;  ///< the diff that everything below is shaped by
    std::optional<interner> strings;
    json_reader reader;
    arrow_reader arrow;
    simdjson::ondemand::parser parser;
    std::vector<char> padded;
    table task, actions, pairs, no_pairs;
    std::vector<std::uint32_t> rows, starts, task_index;
    std::vector<double> scores;
    policy_workspace before_scratch, after_scratch;
    policy_outcome before, after;
    std::vector<std::uint8_t> marks;       ///< per candidate and rule: acted before, acts after
    std::vector<std::uint8_t> implicated;  ///< per rule: acts otherwise on a changed candidate of this decision
    std::vector<std::uint32_t> listed;     ///< per candidate of a record: which of the listed ones it is
    std::vector<std::uint32_t> acted;      ///< per candidate of a record: rules of the old policy that act
};

}  // namespace opspilot
