/// \file
/// Internal: policy documents read into rules, and what every effect is.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/policy/detail/cel/program.hpp"
#include "opspilot/policy/detail/columns/graph.hpp"
#include "opspilot/policy/detail/json_places.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot::detail {

enum class policy_layer : std::uint8_t { mandatory, compliance, client, business };

enum class policy_effect : std::uint8_t {
    forbid,
    allow_only,
    require_approval,
    escalate,
    suggest_only,
    boost,
    penalise,
    pin,
    route,
    limit,
    redact,
    set_threshold,
    diversify,
    kill,
};

/// What rules of some effects say beside their condition; a bit each.
enum effect_parameter : std::uint16_t {
    takes_nothing = 0,
    takes_queue = 1,
    takes_by = 2,
    takes_key = 4,
    takes_count = 8,
    takes_per = 16,
    takes_value = 32,
    takes_field = 64,
    takes_at_most = 128,
    takes_scope = 256,
};

/// What is true of an effect whatever the rule.
struct effect_traits {
    std::string_view name;
    bool narrowing = true;       ///< acts when its condition fails; may not be skipped on error
    bool per_candidate = false;  ///< tells candidates apart; a condition on the task alone is probably a mistake
    std::uint16_t takes = takes_nothing;
    std::uint16_t needs = takes_nothing;
};
[[nodiscard]] const effect_traits& traits_of(policy_effect effect) noexcept;

enum class on_error : std::uint8_t { by_effect, abstain, skip };

struct policy_rule {
    std::string id, when, because, queue;
    policy_effect effect = policy_effect::forbid;
    policy_layer layer = policy_layer::business;
    on_error failing = on_error::by_effect;
    bool locked = false;
    bool whole = false;  ///< of kill: every machine answer, not only automation
    double by = 0;
    double threshold = 0;     ///< of set_threshold
    std::int64_t count = 0;   ///< of limit and diversify
    std::int64_t per_us = 0;  ///< of limit
    schema::path field;       ///< of redact and diversify
    std::int64_t valid_from_us = std::numeric_limits<std::int64_t>::min();
    std::int64_t valid_until_us = std::numeric_limits<std::int64_t>::max();  ///< the first microsecond that it is not
    std::uint32_t document = 0;
    cel::detail::program condition;  ///< for the scalar machine
    std::uint32_t part = 0;          ///< the same, of the graph of all rules
    cel::detail::program key;        ///< of limit: what is counted; without code: everything together

    [[nodiscard]] bool valid_at(std::int64_t now_us) const noexcept { return now_us >= valid_from_us && now_us < valid_until_us; }
    /// Whether its condition needs no candidate.
    [[nodiscard]] bool of_task() const noexcept {
        return (condition.reads & (cel::detail::reads_action | cel::detail::reads_candidate)) == 0;
    }
};

/// "When this holds, the verdict is never as wide as that."
struct policy_invariant {
    std::string id, when;
    verdict never = verdict::auto_execute;
    std::uint32_t document = 0;
    cel::detail::program condition;
};

struct policy_test {
    std::uint32_t document = 0;
    std::size_t index = 0;  ///< in the document
    json task, candidate;
    std::int64_t now_us = 0;
    std::optional<opspilot::verdict> verdict;
    std::optional<bool> allowed;
    std::optional<double> boost, threshold;
    std::optional<std::string> rule, queue;
};

struct policy_document {
    std::string name, text, version, sha256;
    policy_layer layer = policy_layer::business;
};

/// All documents, in order of layers.
struct policy_parts {
    lookup_tables tables;
    std::vector<bool> looked_into;  ///< per table: whether some condition names it
    std::vector<policy_document> documents;
    std::vector<policy_rule> rules;
    std::vector<policy_invariant> invariants;
    std::vector<policy_test> tests;
};

/// Collects findings and remembers the first error.
class finding_log {
public:
    explicit finding_log(std::vector<policy_finding>* out) : out_(out) {}
    /// `code` must have static lifetime.
    void add(bool is_error, std::string_view code, std::string_view rule, std::string message, std::string where,
             std::string hint);
    [[nodiscard]] std::optional<error>& first_error() noexcept { return first_; }

private:
    std::vector<policy_finding>* out_;
    std::optional<error> first_;
};

/// Where a document is read into.
struct policy_sink {
    const schema& fields;
    dictionary& strings;
    policy_parts& out;
    cel::detail::graph_builder& columns;
    finding_log& log;
};
/// Reads one document: rules, invariants and tests are appended to `out`, the rules' conditions are entered into `columns`,
/// everything wrong goes to `log`.
void read_policy_document(const policy_set::document& given, const policy_sink& into);

/// Name of a layer: "mandatory", "compliance", "client", "business".
[[nodiscard]] std::string_view name(policy_layer layer) noexcept;
[[nodiscard]] std::optional<verdict> verdict_named(std::string_view name) noexcept;

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/rules-inl.hpp"
#endif
