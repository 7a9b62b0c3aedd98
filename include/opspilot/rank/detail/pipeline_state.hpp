/// \file
/// Internal: stages as `pipeline::parse` compiles them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/schema.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/rank/choice_model.hpp"
#include "opspilot/rank/detail/lazy_explainer.hpp"
#include "opspilot/rank/linear.hpp"
#include "opspilot/rank/pipeline.hpp"
#include "opspilot/rank/text_classifier.hpp"
#include "opspilot/rank/tree_scorer.hpp"

namespace opspilot {

namespace detail {

enum class stage_kind : std::uint8_t { text_classifier, choice, linear, trees, host };
inline constexpr std::array<std::string_view, 5> stage_kind_names{"text_classifier", "choice", "linear", "trees", "host"};

/// What a later stage can read of an earlier one.
enum class stage_value : std::uint8_t { score, rank, margin, log_probability, probability, override_probability };
inline constexpr std::array<std::string_view, 6> stage_value_names{"",        "rank", "margin", "log_probability", "probability",
                                                                   "override"};

/// A column that a model reads: column `index` of the plan, or of the stage columns.
struct stage_input {
    bool staged = false;
    std::uint32_t index = 0;
};

/// A stage column: what, and of which stage.
struct stage_column {
    std::uint32_t stage = 0;
    stage_value value = stage_value::score;
};

struct stage {
    std::string name;
    stage_kind kind = stage_kind::host;
    std::optional<text_classifier> classifier;
    std::optional<choice_model> choice;
    std::optional<linear_ranker> linear;
    std::optional<tree_scorer> trees;
    std::shared_ptr<const lazy_explainer> explainer;  // of the trees
    std::size_t output = 0;                           // of the trees
    schema::path field;                               // of host scores and classes
    std::vector<std::uint32_t> class_of;              // class index by string code, no_code = none
    std::vector<stage_input> inputs;                  // of trees and linear models, in the model's order
    std::vector<std::string> input_names;
    std::vector<std::uint8_t> constant;  // per input: one value for all candidates
    std::vector<std::uint8_t> personal;  // per input
    int reranks = -1;                    // the stage whose best `rerank_count` candidates alone are scored here; -1: all are
    std::size_t rerank_count = 0;
    std::vector<std::uint32_t> blocks;  // of a linear model
    bool has_override = false;
};

}  // namespace detail

struct pipeline::impl {
    std::vector<detail::stage> stages;
    std::vector<std::string> names;
    std::vector<detail::stage_column> columns;  // grouped by nothing; few
    std::size_t plan_columns = 0;
    std::size_t plan_blocks = 0;
    std::size_t rank_by = 0;
    int linear = -1;
    int override_stage = -1;
};

struct rank_workspace::impl {
    std::vector<std::vector<double>> scores;  // per stage
    std::vector<double> override_of;          // per stage; 0 where it gives none or was not run
    std::size_t done = 0;                     // stages run by the last call
    feature_matrix columns;                   // stage columns
    std::vector<scope> scopes;
    std::vector<const float*> inputs;
    std::vector<float> floats;
    std::vector<double> outputs;
    std::vector<double> log_probabilities;
    std::vector<std::uint8_t> allowed;
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> chosen;  // of a reranking stage
    std::vector<sparse_view> views;
    classifier_scratch classifier;
    choice_scratch choice;
    tree_workspace trees;
    explain_workspace explain;
    std::vector<float> row;     // of one candidate
    std::vector<double> lines;  // contributions
};

}  // namespace opspilot
