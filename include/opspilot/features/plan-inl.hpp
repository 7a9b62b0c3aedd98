#pragma once

#include "opspilot/base/hash.hpp"
#include "opspilot/features/detail/compile.hpp"
#include "opspilot/features/detail/execute.hpp"
#include "opspilot/features/detail/fit.hpp"
#include "opspilot/features/detail/reference.hpp"
#include "opspilot/features/plan.hpp"

namespace opspilot {

OPSPILOT_INLINE feature_workspace::feature_workspace() : state(std::make_unique<impl>()) {}
OPSPILOT_INLINE feature_workspace::~feature_workspace() = default;
OPSPILOT_INLINE feature_workspace::feature_workspace(feature_workspace&&) noexcept = default;
OPSPILOT_INLINE feature_workspace& feature_workspace::operator=(feature_workspace&&) noexcept = default;

namespace detail {

/// A fitted document to a plan. `text` is what was parsed to `document`: it is kept and hashed as it is, since writing some
/// megabytes of state again would take a third of the time that a bundle needs to load. `digest` is its SHA-256.
inline result<std::shared_ptr<feature_plan::impl>> finish_plan(const json& document, std::string text,
                                                               const sha256_digest& digest, const schema& s,
                                                               const code_source& codes, fold_tables* folds) {
    auto out = std::make_shared<feature_plan::impl>();
    OPSPILOT_CHECK(compile_features(document, s, codes, *out, nullptr, folds));
    out->document = std::move(text);
    out->fingerprint = sha256_hex(s.fingerprint() + "\n" + hex(digest));
    return out;
}

[[nodiscard]] inline error bad_frame(std::string message) {
    return error{error_kind::usage, "usage.frame", std::move(message), "", ""};
}

inline status check_frame(const feature_plan::impl& plan, const frame& f, const prepared_actions* prepared) {
    if (f.task == nullptr || f.actions == nullptr || f.strings == nullptr)
        return bad_frame("a frame needs a task, actions and strings");
    if (f.task_row >= f.task->rows()) return bad_frame(fmt::format("task row {} of {}", f.task_row, f.task->rows()));
    std::uint32_t last = 0;
    for (const std::uint32_t row : f.action_rows) last = std::max(last, row);
    if (f.size() > 0 && last >= f.actions->rows()) return bad_frame(fmt::format("action row {} of {}", last, f.actions->rows()));
    if (prepared != nullptr && prepared->rows != f.actions->rows())
        return bad_frame(fmt::format("{} actions were prepared, the frame has {}", prepared->rows, f.actions->rows()));
    if (plan.pairs_needed && f.size() > 0 && (f.pairs == nullptr || f.pair_begin + f.size() > f.pairs->rows()))
        return bad_frame("the frame has no candidate fields, which a transform reads");
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<feature_plan> feature_plan::parse(std::string_view text, const schema& s, dictionary& strings,
                                                         const sha256_digest* digest) {
    OPSPILOT_TRY(const detail::json document, detail::parse_json(text, error_kind::features));
    const detail::code_source codes = [&](std::string_view value) { return strings.insert(value); };
    OPSPILOT_TRY(auto compiled,
                 detail::finish_plan(document, std::string(text), digest != nullptr ? *digest : sha256(text), s, codes, nullptr));
    feature_plan out;
    out.state = std::move(compiled);
    return out;
}

OPSPILOT_INLINE std::span<const std::string> feature_plan::names() const noexcept { return state->names; }
OPSPILOT_INLINE std::span<const scope> feature_plan::scopes() const noexcept { return state->scopes; }
OPSPILOT_INLINE std::span<const std::uint8_t> feature_plan::personal() const noexcept { return state->personal; }
OPSPILOT_INLINE std::span<const sparse_block> feature_plan::sparse_blocks() const noexcept { return state->blocks; }
OPSPILOT_INLINE std::string feature_plan::to_json() const { return state->document; }
OPSPILOT_INLINE const std::string& feature_plan::fingerprint() const noexcept { return state->fingerprint; }

OPSPILOT_INLINE result<std::shared_ptr<const prepared_actions>> feature_plan::prepare(const table& actions,
                                                                                      const interner& strings) const {
    if (actions.role_of() != role::action)
        return error{error_kind::usage, "usage.role",
                     fmt::format("a table of {}s cannot be prepared as actions", name(actions.role_of())), "", ""};
    feature_workspace scratch;
    detail::begin_decision(*state, *scratch.state);
    auto out = std::make_shared<prepared_actions>();
    frame f;
    f.actions = &actions;
    f.strings = &strings;
    detail::prepare_rows(*state, f, strings, *scratch.state, actions.rows(), *out);
    return std::shared_ptr<const prepared_actions>(std::move(out));
}

OPSPILOT_INLINE status feature_plan::apply(const frame& f, const prepared_actions* prepared, feature_workspace& scratch,
                                           feature_matrix& out) const {
    OPSPILOT_CHECK(detail::check_frame(*state, f, prepared));
    detail::run_features(*state, f, prepared, *scratch.state, detail::every_fold, out);
    return {};
}

OPSPILOT_INLINE result<feature_plan> fit_features(std::string_view text, const schema& s, const training_set& data) {
    OPSPILOT_TRY(detail::json document, detail::parse_json(text, error_kind::features));
    OPSPILOT_CHECK(detail::check_training(data));
    const detail::code_source codes = [&](std::string_view value) { return data.strings->find(value); };
    detail::fold_tables folds;
    for (;;) {
        feature_plan::impl present;
        std::vector<detail::pending_fit> pending;
        OPSPILOT_CHECK(detail::compile_features(document, s, codes, present, &pending));
        if (present.pairs_needed && data.pairs == nullptr && !data.action_rows.empty())
            return detail::bad_training("a transform reads candidate fields, and there are no pairs");
        if (pending.empty()) break;  // every pass fits at least one transform
        detail::fit_pass(present, std::move(pending), data, document, folds);
    }
    std::string fitted = document.dump();
    const sha256_digest digest = sha256(fitted);
    OPSPILOT_TRY(auto compiled, detail::finish_plan(document, std::move(fitted), digest, s, codes, &folds));
    feature_plan out;
    out.state = compiled;
    compiled->training_table = data.actions;
    OPSPILOT_TRY(compiled->training_actions, out.prepare(*data.actions, *data.strings));
    return out;
}

OPSPILOT_INLINE status apply_out_of_fold(const feature_plan& plan, const training_set& data, std::size_t t,
                                         feature_workspace& scratch, feature_matrix& out) {
    if (data.tasks == nullptr || t >= data.tasks->rows() || data.fold.size() != data.tasks->rows() ||
        data.candidate_offsets.size() != data.tasks->rows() + 1 || data.now_us.size() != data.tasks->rows())
        return detail::bad_training(fmt::format("no task {} in the training set", t));
    for (const auto* steps : {&plan.state->task_steps, &plan.state->pair_steps})
        for (const detail::step& s : *steps)
            if (s.statistics && s.statistics->folds.empty())
                return error{error_kind::features, "features.no_folds", "label statistics of this plan hold no counts per fold",
                             "", "use the plan that fit_features returned, not one read from a document"};
    if (data.candidate_offsets[t] > data.candidate_offsets[t + 1] || data.candidate_offsets[t + 1] > data.action_rows.size())
        return detail::bad_training(fmt::format("candidates of task {} lie outside the candidate rows", t));
    const frame f = detail::frame_of(data, t);
    const prepared_actions* const prepared =
        data.actions == plan.state->training_table ? plan.state->training_actions.get() : nullptr;
    OPSPILOT_CHECK(detail::check_frame(*plan.state, f, prepared));
    detail::run_features(*plan.state, f, prepared, *scratch.state, data.fold[t], out);
    return {};
}

OPSPILOT_INLINE std::string feature_reference() { return detail::feature_reference_text(); }
OPSPILOT_INLINE std::string feature_json_schema() { return detail::feature_schema_tree().dump(2); }

}  // namespace opspilot
