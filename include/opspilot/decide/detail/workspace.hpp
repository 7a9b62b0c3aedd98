/// \file
/// Internal: the scratch memory of one thread, and the inputs of one decision resolved against a bundle.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "opspilot/data/arrow.hpp"
#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/decide/detail/shadow_state.hpp"
#include "opspilot/decide/detail/tally.hpp"
#include "opspilot/decide/engine.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/policy/policy.hpp"
#include "opspilot/rank/generator.hpp"
#include "opspilot/rank/pipeline.hpp"

namespace opspilot {

namespace detail {

/// What stands for a candidate while candidates are ordered.
struct sort_key {
    std::uint64_t key = 0;
    std::uint32_t candidate = 0;
};

/// Candidates of one decision or of a whole batch: rows of the catalogue or of the host's own actions, and pair fields.
struct candidate_set {
    bool catalogue = true;            ///< `rows` index the bundle's catalogue, else `actions`
    bool distinguishable = false;     ///< ids of the catalogue can never be read as the host's own actions
    table ids;                        ///< ids alone, one row per candidate, when they name actions of the catalogue
    table actions;                    ///< the host's actions, one row per candidate
    table pairs;                      ///< candidate fields, one row per candidate
    std::vector<std::uint32_t> rows;  ///< one per candidate
    std::vector<std::uint64_t> seen;  ///< by code of the id: the mark of the task that last offered it
    std::uint64_t mark = 0;
};

}  // namespace detail

struct workspace::impl {
    std::shared_ptr<const opspilot::bundle> bound;  ///< everything below is shaped by it
    std::uint64_t generation = 0;                   ///< of the engine that bound it
    std::shared_ptr<detail::shadow_state> shadow;   ///< of the same engine, while one runs
    std::unique_ptr<workspace> shadow_scratch;      ///< shaped by its bundle
    detail::shadow_outline outline;                 ///< of the live decision
    detail::tally_lease counted;                    ///< of the same engine
    std::optional<interner> strings;
    opspilot::schema id_only;  ///< knows nothing but ids
    json_reader reader;
    arrow_reader arrow;
    table tasks;
    detail::candidate_set candidates;
    feature_workspace features;
    feature_matrix matrix;
    rank_workspace rank;
    policy_workspace policy;
    policy_outcome outcome;
    policy_outcome overlay_outcome;      ///< of the client's own rules, before they are added to `outcome`
    std::vector<rule_hit> overlay_hits;  ///< scratch
    generator_workspace generator;
    std::vector<double> model_scores;  ///< per candidate, as ranked by models or baseline
    std::vector<double> scores;        ///< the same with the policy's boosts
    std::vector<std::span<const double>>
        phases;                             ///< scores that order candidates without one: of the reranked stages, nearest first
    std::vector<double> probabilities;      ///< per candidate
    std::vector<detail::sort_key> sorting;  ///< scratch
    std::vector<std::uint32_t> order;       ///< candidates, best first
    std::vector<std::uint32_t> hit_starts;  ///< per candidate + 1, into `hits`
    std::vector<std::uint32_t> hit_fill;    ///< cursor while grouping
    std::vector<rule_hit> hits;             ///< of `outcome`, grouped by candidate
    std::vector<std::uint32_t> left_out;    ///< fields of the task that the policy keeps out of the record
    std::string identity;                   ///< bytes whose hash is the decision's id
};

}  // namespace opspilot
