/// \file
/// Internal: what a feature document compiles to, and the memory that runs it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/data/frame.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/features/detail/counts.hpp"
#include "opspilot/features/matrix.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/features/text.hpp"

namespace opspilot::detail {

inline constexpr std::uint32_t no_slot = std::numeric_limits<std::uint32_t>::max();
/// Items of a list that take part in crossed tokens: the last ones.
inline constexpr std::uint32_t most_items = 256;
/// Tokens that one source of one record may give; what is beyond is left out.
inline constexpr std::size_t most_tokens = std::size_t{1} << 20;

/// One field as a step reads it.
struct field_use {
    schema::path path{};
    field_type type = field_type::text;
    friend bool operator==(const field_use& a, const field_use& b) noexcept {
        return a.path.where == b.path.where && a.path.index == b.path.index && a.type == b.type;
    }
};

enum class opcode : std::uint8_t {
    load_number,   ///< field -> slot
    is_missing,    ///< field
    is_stale,      ///< field
    age,           ///< field (timestamp), p0 = microseconds per unit
    staleness,     ///< field (the as_of timestamp), p0 = maximum age
    calendar,      ///< field or the time of decision; k = calendar_part, p0 = offset in microseconds
    clip,          ///< in, p0 = min, p1 = max
    between,       ///< in, p0 = min, p1 = max: 1 inside, 0 outside
    log,           ///< in
    standardise,   ///< in, p0 = mean, p1 = scale
    bucket,        ///< in, edges
    slot_missing,  ///< in
    ratio,         ///< in, in
    difference,
    product,
    sum,
    code_lookup,  ///< field (text); codes -> ordinal
    code_equal,   ///< field (text or list), k = code: one column of a one-hot block
    hashed,       ///< field (text), k = buckets
    equal,        ///< field, field
    contains,     ///< fields: list, text
    last_equals,  ///< fields: history list, text or list; k = 1 for the last item
    count_in,     ///< fields: list, text
    recency_in,   ///< fields: list, text: 0 = last item
    token_count,  ///< source
    overlap,      ///< sources a, b; k = overlap_measure; place = action source that stands for b (or a, when swapped)
    statistics,   ///< extra = statistics_state
    transition,   ///< extra = statistics_state
};

enum class calendar_part : std::int32_t { hour, weekday, day, month };
enum class overlap_measure : std::int32_t { jaccard, of_a, of_b, count, any };
enum class statistics_output : std::int32_t { value, log, count };

/// One part of a token: how a field (or an earlier column) becomes tokens.
struct token_part {
    enum class kind : std::uint8_t { value, items, set, phrase, words, chars, word_chars };
    kind how = kind::value;
    bool from_slot = false;
    field_use field{};
    std::uint32_t slot = no_slot;
    scope where = scope::task;
    std::uint32_t low = 1, high = 1;  // n-gram sizes
    std::vector<double> edges;        // numbers become the index of their bin
    bool binned = false;
    std::uint32_t head = 0, tail = 0;  // keep only the first / last words or items; 0 = all
    std::uint32_t counts = 0;          // items become "item|min(count, counts)"
    std::uint32_t last = 0;            // the k-th last item only
    bool has_missing = false;
    std::string missing;  // token that stands for "no token"
    text_options text;
    std::uint32_t cache = no_slot;  // normalised text shared by parts of one task field
    /// May give more than one token.
    [[nodiscard]] bool many() const noexcept {
        return how == kind::items ? field.type == field_type::text_list : how >= kind::words;
    }
    friend bool operator==(const token_part& a, const token_part& b) = default;
};

/// Tokens of a record: every combination of its parts' tokens, as 64-bit hashes.
struct token_source {
    std::vector<std::uint32_t> parts;
    scope where = scope::task;
    bool joined = false;  // hash of the texts with `separator` between, instead of a mix of the parts' hashes
    std::string separator;
};

/// idf per token hash of an overlap, sorted by hash.
struct token_weights {
    count_table table;
    std::uint64_t documents = 0;
    double unseen = 1.0;
    std::vector<double> weight;  // per entry of the table
    [[nodiscard]] double of(std::uint64_t token) const noexcept {
        const std::uint32_t at = table.find(token);
        return at == no_slot ? unseen : weight[at];
    }
};

/// Counts behind target statistics and transitions.
struct statistics_state {
    bool labels_of_tasks = false;           ///< transition: counts tasks and choices; otherwise candidate rows and choices
    std::vector<std::uint32_t> levels;      ///< transition: number of leading parts of each context, longest first
    std::vector<std::uint32_t> parts;       ///< of the task: of the key (target statistics) or the context (transition)
    std::vector<std::uint32_t> pair_parts;  ///< of the pair
    std::uint32_t action_key = no_slot;     ///< column of the action part of the key (transition: of the action alone)
    double smoothing = 1.0;
    std::uint32_t min_count = 1;
    statistics_output output = statistics_output::value;
    // fitted
    count_table table;
    std::uint64_t total = 0;     ///< rows or tasks that were counted
    std::uint64_t positive = 0;  ///< of them with a choice
    std::uint64_t classes = 0;   ///< transition: actions known when it was fitted
    // of training, in memory only: the same counts of each fold
    struct fold_counts {
        count_table table;
        std::uint64_t total = 0, positive = 0;
    };
    std::vector<fold_counts> folds;
};

struct step {
    opcode op = opcode::load_number;
    scope where = scope::task;
    std::uint32_t out = no_slot;
    std::array<std::uint32_t, 2> in{no_slot, no_slot};
    std::array<field_use, 2> fields{};
    bool from_now = false;  // calendar of the time of decision
    double p0 = 0, p1 = 0;
    std::int32_t k = 0;
    double missing = std::numeric_limits<double>::quiet_NaN();  // stands in for a missing result
    std::vector<double> edges;
    std::vector<float> lookup;  // code -> ordinal
    double unseen = std::numeric_limits<double>::quiet_NaN();
    std::array<std::uint32_t, 2> sources{no_slot, no_slot};
    std::uint32_t place = no_slot;  // among the action sources
    bool swapped = false;           // source a is the action's
    std::shared_ptr<const token_weights> weights;
    std::shared_ptr<const statistics_state> statistics;
};

struct slot {
    scope where = scope::task;
    std::uint32_t place = 0;   // index among the slots of its scope
    bool gathered = false;     // action slot that a pair step reads
    bool fitted = true;        // false while fitting: its step cannot run yet
    bool from_labels = false;  // depends on what was chosen
    bool personal = false;     // made from a personal or sensitive field
};

/// A dense output column.
struct output_column {
    std::string name;
    std::uint32_t slot = 0;
};

struct sparse_source {
    std::uint32_t source = 0;
    std::uint64_t seed = 0;
    std::uint32_t when = no_slot;  // a number of the task; the source counts only where it is there and not 0
    double weight = 1.0;
    bool idf = false;
    bool l2 = false;
    term_frequency tf = term_frequency::count;
};

struct sparse_program {
    std::string name;
    unsigned bits = 18;
    std::vector<sparse_source> sources;
    std::vector<float> idf;  // per bucket; 0 = left out; empty when no state is needed
};

/// A token source of actions that an overlap step reads against tokens of the task.
struct action_source {
    std::uint32_t source = 0;
    std::shared_ptr<const token_weights> weights;  // null: every token counts 1
};

/// Tokens of a row are stored in multiples of this, so that walking them is a branch per so many and mostly foreseen.
inline constexpr std::size_t token_stride = 8;

/// Distinct tokens of an `action_source` over the rows of a table, as small numbers.
struct action_tokens {
    std::vector<std::size_t> offsets;   // rows + 1
    std::vector<std::uint32_t> ids;     // 1 + place in `vocabulary`, by ascending token hash; zeros fill up to `token_stride`
    std::vector<std::uint8_t> present;  // per row: the field had a value
    std::vector<double> total;          // per row: sum of the weights of its tokens
    std::vector<std::uint64_t> vocabulary;
    std::vector<double> weight;  // per word of the vocabulary
    count_index index;           // token hash -> id
};

/// The action part of a statistic's key: parts of action fields, in order.
struct action_key {
    std::vector<std::uint32_t> parts;
};

}  // namespace opspilot::detail

namespace opspilot {

class prepared_actions {
public:
    std::size_t rows = 0;
    std::vector<std::vector<double>> values;       // per action slot
    std::vector<std::vector<float>> columns;       // per action slot, rounded; filled for output slots
    std::vector<detail::action_tokens> tokens;     // per action source
    std::vector<std::vector<std::uint64_t>> keys;  // per action key
};

struct feature_plan::impl {
    // Outputs
    std::vector<std::string> names;
    std::vector<scope> scopes;
    std::vector<std::uint8_t> personal;  // per column: made from a personal or sensitive field
    std::vector<sparse_block> blocks;
    // Program
    std::vector<detail::slot> slots;
    std::uint32_t slots_of[3] = {0, 0, 0};
    std::vector<detail::step> task_steps, action_steps, pair_steps;
    std::vector<detail::output_column> outputs;
    std::vector<detail::token_part> parts;
    std::vector<detail::token_source> sources;
    std::vector<detail::action_source> action_sources;  // prepared per action
    std::vector<detail::action_key> keys;               // prepared per action
    struct text_cache {
        schema::path path;
        text_options text;
    };
    std::vector<text_cache> caches;  // normalised task texts
    bool actions_needed = false;     // there is anything to prepare
    bool pairs_needed = false;       // candidate fields are read
    std::vector<detail::sparse_program> sparse;
    // Identity
    std::string document;
    std::string fingerprint;
    // Training only
    std::shared_ptr<const prepared_actions> training_actions;
    const table* training_table = nullptr;
};

}  // namespace opspilot
