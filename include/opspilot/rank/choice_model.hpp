/// \file
/// Which of a task's candidates is chosen: conditional logit (McFadden 1974) over columns and crosses of text with action fields.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/dictionary.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/rank/sparse_weights.hpp"

namespace opspilot {

/// Buffers of one thread for `choice_model`. Keep it: nothing is allocated once they have grown.
struct choice_scratch {
    std::vector<float> sums;  ///< one per slot, valid after `utilities`
    std::vector<sparse_view> views;
};

/// utility(candidate) = Σ columns · w + Σ keys s[key's value], where s = bias + Σ blocks · W has one slot per action field
/// value seen in training ("id" = "refund", "kind" = "ask", …): a task's text is multiplied once per slot, not once per
/// candidate, and 2,000 candidates gather. Values not seen in training contribute 0. With an outside option the model also
/// has the utility of choosing none of the candidates. Immutable, shared by any number of threads; copies are cheap.
class OPSPILOT_API choice_model {
public:
    /// A string field of actions that is crossed with the task's text, and its values seen in training.
    struct key {
        std::string field;                ///< name of a text or text_list field of actions; items of a list add up
        std::vector<std::string> values;  ///< unique
    };

    /// What a model is made of, before quantisation. Slots: the values of key 0, of key 1, …, then the outside option if any.
    struct parts {
        std::vector<std::string> columns;   ///< dense columns of any scope
        std::vector<float> centre;          ///< per column: subtracted first; a missing value (NaN) counts as the centre
        std::vector<float> column_weights;  ///< per column
        std::vector<key> keys;
        bool outside = false;
        std::vector<sparse_block> blocks;
        std::vector<float> bias;          ///< per slot
        sparse_weights::float_rows rows;  ///< buckets × slots
        std::string fingerprint;          ///< of the feature plan it was trained with; "" = none
        std::string training;             ///< JSON object kept with the model; "" = {}
    };

    /// Checks and quantises. The model made here is the model that is saved.
    [[nodiscard]] static result<choice_model> build(const parts& content);
    /// Reads a model file; as strict as `text_classifier::parse`. Errors: kind model.
    [[nodiscard]] static result<choice_model> parse(std::string_view bytes);
    [[nodiscard]] std::string to_bytes() const;

    [[nodiscard]] std::span<const std::string> columns() const noexcept;
    [[nodiscard]] std::span<const key> keys() const noexcept;
    [[nodiscard]] std::span<const sparse_block> blocks() const noexcept;
    [[nodiscard]] const std::string& fingerprint() const noexcept;
    [[nodiscard]] const std::string& training() const noexcept;
    [[nodiscard]] bool has_outside() const noexcept;
    [[nodiscard]] std::size_t slots() const noexcept;
    [[nodiscard]] const sparse_weights& weights() const noexcept;
    /// Weight per column, in the order of `columns()`.
    [[nodiscard]] std::span<const float> column_weights() const noexcept;

    /// The same model with columns, blocks, fields and values looked up; key values are inserted into `strings`, whose codes
    /// must be those of the frames to come. Errors: as `bind_features`; "schema.unknown_field" for a key; "schema.type" for a
    /// key that is no text.
    [[nodiscard]] result<choice_model> bound_to(const feature_names& offered, const schema& s, dictionary& strings) const;

    /// One utility per candidate; the model must be bound. `out.size() == f.size()`. Any number of candidates, 0 included.
    /// Errors: kind usage, "usage.length", "usage.unbound".
    [[nodiscard]] status utilities(const frame& f, const feature_matrix& features, std::span<double> out,
                                   choice_scratch& scratch) const;
    /// The same without frame and plan: `columns[j]` holds column j of the model for all candidates, `slots[i * keys + k]` the
    /// slot of candidate i for key k (counted through all keys; `no_slot` = value not seen in training).
    static constexpr std::uint32_t no_slot = 0xFFFFFFFFU;
    [[nodiscard]] status utilities(std::span<const float* const> columns, std::span<const std::uint32_t> slots,
                                   std::span<const sparse_view> views, std::span<double> out, choice_scratch& scratch) const;
    /// Utility of choosing none of the candidates, after `utilities` on this scratch; 0 without an outside option.
    [[nodiscard]] double outside_utility(const choice_scratch& scratch) const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

/// Replaces utilities by log-probabilities among the candidates (and the outside option when given), in place.
/// Returns the log-probability of the outside option, -infinity when none is given. A fixed order of operations, own exp and
/// log: the same bits on every machine.
OPSPILOT_API double log_softmax(std::span<double> utilities, std::optional<double> outside = std::nullopt) noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/choice_model-inl.hpp"
#endif
