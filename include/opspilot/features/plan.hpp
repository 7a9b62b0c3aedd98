/// \file
/// Declared transforms, compiled: one implementation for training and serving.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/features/matrix.hpp"

namespace opspilot {

/// Action-only columns and token sets of a whole catalogue, computed once.
class prepared_actions;

/// Scratch of one thread for `feature_plan::apply`. Keeps its memory.
class OPSPILOT_API feature_workspace {
public:
    feature_workspace();
    ~feature_workspace();
    feature_workspace(feature_workspace&&) noexcept;
    feature_workspace& operator=(feature_workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// A sparse block that a plan produces: its name and number of hash buckets.
struct sparse_block {
    std::string name;
    std::uint32_t dimension = 0;
};

/// The fitted transforms of a bundle (features.json). Immutable after `parse` or `fit`; shared by any number of threads.
class OPSPILOT_API feature_plan {
public:
    /// Compiles a fitted document against the schema. Strings the transforms know (dictionary values, history keys) are
    /// inserted into `strings`. Errors: kind features, JSON pointer; unknown inputs name the nearest field.
    /// `digest`: `sha256(json)` where the caller has it already, as a bundle has, so that no byte is hashed twice.
    [[nodiscard]] static result<feature_plan> parse(std::string_view json, const schema& s, dictionary& strings,
                                                    const sha256_digest* digest = nullptr);

    [[nodiscard]] std::span<const std::string> names() const noexcept;  ///< dense columns, in order
    [[nodiscard]] std::span<const scope> scopes() const noexcept;       ///< of each dense column
    /// Of each dense column: 1 when it is made from a personal or sensitive field, so that it may tell its value.
    [[nodiscard]] std::span<const std::uint8_t> personal() const noexcept;
    [[nodiscard]] std::span<const sparse_block> sparse_blocks() const noexcept;

    /// Computes everything that depends on actions alone, for every row of a catalogue.
    [[nodiscard]] result<std::shared_ptr<const prepared_actions>> prepare(const table& actions, const interner& strings) const;

    /// Transforms one decision into `out`. `prepared` must come from `prepare` on `f.actions`; null computes action parts
    /// afresh (the host's own actions). Same bits either way, and the same in training, single and batch use.
    [[nodiscard]] status apply(const frame& f, const prepared_actions* prepared, feature_workspace& scratch,
                               feature_matrix& out) const;

    /// The fitted document as it was fitted or parsed; `parse(to_json())` is the same plan with the same fingerprint.
    [[nodiscard]] std::string to_json() const;
    /// SHA-256 hex of the schema's fingerprint and the SHA-256 of the document's bytes; models store it.
    [[nodiscard]] const std::string& fingerprint() const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

/// What a feature document may say, from the tables that read it: as Markdown, and as JSON Schema (2020-12).
[[nodiscard]] OPSPILOT_API std::string feature_reference();
[[nodiscard]] OPSPILOT_API std::string feature_json_schema();

/// What fitting needs: tasks, for each task its candidates, which one was chosen, and which fold it belongs to.
struct training_set {
    const table* tasks = nullptr;
    const table* actions = nullptr;
    const table* pairs = nullptr;                      ///< one row per candidate row, or null
    std::span<const std::uint32_t> candidate_offsets;  ///< tasks + 1
    std::span<const std::uint32_t> action_rows;        ///< one per candidate row
    std::span<const std::int32_t> chosen;              ///< per task: index within its candidates, -1 = none of them
    std::span<const std::uint32_t> fold;               ///< per task, 0-based; statistics for fold k never see fold k's labels
    std::span<const std::int64_t> now_us;              ///< per task
    const interner* strings = nullptr;
};

/// Fits the transforms of an unfitted document: standardisation over tasks, actions or candidate rows (by the scope of its
/// input), quantile bins, dictionaries, idf, target statistics, transition counts; transforms that have a state keep it.
/// The plan reads tables whose codes come from `data.strings`; for a bundle, `feature_plan::parse(to_json(), …)` gives the
/// same plan for the bundle's own dictionary. What is fitted on values that depend on labels is refused (features.leak).
/// The actions table must outlive the plan's use in `apply_out_of_fold`, unchanged.
[[nodiscard]] OPSPILOT_API result<feature_plan> fit_features(std::string_view json, const schema& s, const training_set& data);

/// Like `feature_plan::apply` for task `t` of the training set, but label-dependent statistics leave out the task's own fold.
/// Only for the plan that `fit_features` returned for this training set: counts per fold are not part of the document.
[[nodiscard]] OPSPILOT_API status apply_out_of_fold(const feature_plan& plan, const training_set& data, std::size_t t,
                                                    feature_workspace& scratch, feature_matrix& out);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/features/plan-inl.hpp"
#endif
