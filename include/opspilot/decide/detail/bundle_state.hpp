/// \file
/// Internal: the compiled parts of a bundle.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/policy/policy.hpp"
#include "opspilot/rank/generator.hpp"
#include "opspilot/rank/pipeline.hpp"

namespace opspilot {

/// How far a rollout lets verdicts go (rollout.json, "stage").
enum class rollout_stage : std::uint8_t {
    shadow,   ///< decide and record; capped at suggest, and the host shows nothing
    suggest,  ///< capped at suggest
    approve,  ///< capped at require_approval
    live,     ///< no cap
};

namespace detail {

/// Names of the stages, in order.
inline constexpr std::array<std::string_view, 4> stage_names{"shadow", "suggest", "approve", "live"};

/// What of a threshold a decision needs: looked up by the code of the action's kind, checked without work.
struct automation_line {
    std::uint32_t kind = no_code;  ///< code of the action kind it is for; `no_code` = any
    bool certified = false;        ///< a value, for this very model behind this very calibrator
    /// Where not: whether the certificate is of other models or of another calibrator, else the evidence did not suffice.
    bool foreign_model = false, foreign_calibrator = false;
    double value = 0;
    std::int64_t created_at_us = 0, expires_at_us = 0;
};

/// The rules of one client beside the bundle's.
struct client_overlay {
    std::string client;
    policy_set rules;
    policy_catalogue ready;  ///< for the bundle's catalogue
    version_set versions;    ///< of decisions for this client
};

}  // namespace detail

/// `bundle::with` copies it whole, so that nothing can be forgotten: every member is a value, shared and immutable, or refers to
/// a part of the loaded bundle, which stays (as the catalogue does to its schema).
struct bundle::impl {
    std::shared_ptr<const std::string> packed;
    container parts;                       ///< views into `packed`
    std::shared_ptr<const bundle> origin;  ///< the loaded bundle of which this one differs in policies alone; or null
    sha256_digest identity{};              ///< of everything that decides
    std::string fingerprint, name, version, region;
    version_set versions;
    decision_limits limits;
    opspilot::schema schema;
    dictionary strings;
    table catalogue;
    std::vector<std::uint32_t> row_of_id;  ///< by code of an action id: its row in the catalogue, or `no_code`
    feature_plan plan;
    std::shared_ptr<const prepared_actions> prepared;
    std::optional<pipeline> ranking;  ///< empty: the bundle has no models and decides by its baseline
    std::optional<opspilot::generator> generate;
    lookup_tables tables;
    policy_set policy;
    std::optional<policy_set> baseline;
    policy_catalogue policy_ready, baseline_ready;                                              ///< for `catalogue`
    std::unordered_map<std::uint32_t, std::shared_ptr<const detail::client_overlay>> overlays;  ///< by code of the client
    std::optional<calibration> confidence;
    std::vector<detail::automation_line> lines;
    std::optional<std::uint32_t> kind_field;  ///< action.kind, when the schema declares it as text
    std::string model_fingerprint;            ///< SHA-256 hex of features and models: what a certificate is bound to
    rollout_stage stage = rollout_stage::shadow;
    std::size_t golden_rows = 0;
};

namespace detail {
inline std::uint32_t id_field_of(const bundle::impl& b) noexcept { return *b.schema.find(role::action, "id"); }
}  // namespace detail

}  // namespace opspilot
