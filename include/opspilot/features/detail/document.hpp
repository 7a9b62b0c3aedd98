/// \file
/// Internal: the feature document: operations, their keys, and what each key means. Reader, JSON Schema and docs share it.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/document.hpp"
#include "opspilot/features/detail/program.hpp"

namespace opspilot::detail {

/// What the reader of an operation builds.
enum class feature_op : std::uint8_t {
    number,
    clip,
    between,
    log,
    standardise,
    bucket,
    missing,
    dictionary,
    one_hot,
    hashed,
    target_statistics,
    text_hash,
    count,
    age,
    calendar,
    staleness,
    stale,
    equal,
    contains,
    ratio,
    difference,
    product,
    sum,
    overlap,
    last_equals,
    count_in_history,
    recency_in_history,
    transition,
};

inline constexpr std::array<std::string_view, 7> part_kinds{"value", "items", "set", "phrase", "words", "chars", "word_chars"};
inline constexpr std::array<std::string_view, 5> overlap_measures{"jaccard", "of_a", "of_b", "count", "any"};
inline constexpr std::array<std::string_view, 4> calendar_parts{"hour", "weekday", "day", "month"};
inline constexpr std::array<std::string_view, 3> statistics_outputs{"probability", "log", "count"};
inline constexpr std::array<std::string_view, 3> term_frequencies{"count", "binary", "log"};
inline constexpr std::array<std::string_view, 2> norms{"none", "l2"};
inline constexpr std::array<std::string_view, 2> backoffs{"prior", "drop_last"};

inline constexpr document_field feature_root_fields[] = {
    {"version", json_kind::integer, true, "1", {}},
    {"transforms", json_kind::array, true, "declared transforms in the order of their columns", {}},
};

inline constexpr document_field part_fields[] = {
    {"input", json_kind::text, true, "task.FIELD, action.FIELD, candidate.FIELD, or the name of an earlier transform", {}},
    {"kind", json_kind::text, false, "how the input becomes tokens; default value, for a list items", part_kinds},
    {"ngrams", json_kind::array, false, "[min, max] words or characters per token; default [1, 1], for characters [3, 5]", {}},
    {"edges", json_kind::array, false, "ascending numbers; a number becomes the count of edges not above it", {}},
    {"head", json_kind::integer, false, "keep only the first words or items", {}},
    {"tail", json_kind::integer, false, "keep only the last words or items", {}},
    {"counts", json_kind::integer, false, "items: each distinct item once, with its number of occurrences up to this", {}},
    {"last", json_kind::integer, false, "the k-th last item of a list alone; 1 = the last", {}},
    {"missing", json_kind::text, false, "token when there is none; default: no token", {}},
    {"casefold", json_kind::boolean, false, "fold case; default true", {}},
    {"strip_accents", json_kind::boolean, false, "drop accents; default false", {}},
    {"symbols", json_kind::text, false, "ASCII characters that are words of their own; default none", {}},
};

inline constexpr document_field source_fields[] = {
    {"name",
     json_kind::text,
     false,
     "tokens of sources with different names fall into different buckets; default: the place",
     {}},
    {"tokens", json_kind::any, true, "a part or a list of parts; several are crossed", {}},
    {"separator", json_kind::text, false, "join the texts of the parts with this instead of mixing their hashes", {}},
    {"when",
     json_kind::text,
     false,
     "number field of the task or earlier transform; where it is 0 or missing the source is left out",
     {}},
    {"weight", json_kind::number, false, "factor of the source; default 1", {}},
    {"tf", json_kind::text, false, "weight of a token that occurs n times: n, 1 or 1 + ln n; default count", term_frequencies},
    {"idf", json_kind::boolean, false, "multiply by ln((1 + N) / (1 + df)) + 1; default false", {}},
    {"norm", json_kind::text, false, "l2 scales the source to length 1 before its weight; default none", norms},
};

inline constexpr document_field token_set_fields[] = {
    {"tokens", json_kind::any, true, "a part or a list of parts; several are crossed", {}},
    {"separator", json_kind::text, false, "join the texts of the parts with this instead of mixing their hashes", {}},
};

inline constexpr document_field input_key{
    "input", json_kind::text, true, "task.FIELD, action.FIELD, candidate.FIELD, or an earlier transform", {}};
inline constexpr document_field state_key{"state", json_kind::object, false, "fitted values", {}};
inline constexpr document_field a_key{"a", json_kind::text, true, "first input", {}};
inline constexpr document_field b_key{"b", json_kind::text, true, "second input", {}};

inline constexpr document_field input_only[] = {input_key};
inline constexpr document_field clip_fields[] = {
    input_key, {"min", json_kind::number, false, "lower bound", {}}, {"max", json_kind::number, false, "upper bound", {}}};
inline constexpr document_field fitted_input[] = {input_key, state_key};
inline constexpr document_field bucket_fields[] = {
    input_key,
    state_key,
    {"edges", json_kind::array, false, "ascending numbers; the value is the count of edges not above", {}},
    {"bins", json_kind::integer, false, "instead of edges: fit edges to this many bins of equal count", {}}};
inline constexpr document_field dictionary_fields[] = {
    input_key,
    state_key,
    {"unseen", json_kind::number, false, "value of texts outside the dictionary; default missing", {}},
    {"limit", json_kind::integer, false, "at most so many values, the most frequent; default 65536", {}},
    {"min_count", json_kind::integer, false, "only values seen at least so often; default 1", {}}};
inline constexpr document_field one_hot_fields[] = {
    input_key,
    state_key,
    {"values", json_kind::array, false, "the texts; otherwise fitted", {}},
    {"limit", json_kind::integer, false, "at most so many fitted values; default 64", {}},
    {"min_count", json_kind::integer, false, "only values seen at least so often; default 1", {}}};
inline constexpr document_field hashed_fields[] = {input_key,
                                                   {"buckets", json_kind::integer, true, "number of buckets, at most 2^24", {}}};
inline constexpr document_field target_fields[] = {
    {"key", json_kind::any, true, "a part or a list of parts that give one token each", {}},
    state_key,
    {"smoothing", json_kind::number, false, "weight of the overall mean, in rows; default 1", {}},
    {"min_count", json_kind::integer, false, "keys seen less often count as unseen; default 1", {}},
    {"value", json_kind::text, false, "share of choices, its logarithm, or the number of rows; default probability",
     statistics_outputs}};
inline constexpr document_field transition_fields[] = {
    {"context", json_kind::any, true, "a part or a list of parts of the task that give one token each", {}},
    state_key,
    {"target", json_kind::text, false, "text field of the action; default action.id", {}},
    {"smoothing", json_kind::number, false, "weight of the shorter context, in decisions; default 1", {}},
    {"backoff", json_kind::text, false,
     "smooth towards the overall share, or towards the context without its last part; default prior", backoffs},
    {"min_count", json_kind::integer, false, "contexts seen less often count as unseen; default 1", {}},
    {"value", json_kind::text, false, "probability, its logarithm, or the number of decisions in the context; default log",
     statistics_outputs}};
inline constexpr document_field text_hash_fields[] = {
    {"sources", json_kind::array, true, "what is hashed into the block", {}},
    state_key,
    {"bits", json_kind::integer, false, "2^bits buckets, 8 to 24; default 18", {}},
    {"min_count", json_kind::integer, false, "leave out buckets met in fewer tasks of training; default 0", {}}};
inline constexpr document_field tokens_only[] = {
    {"tokens", json_kind::any, true, "a part or a list of parts; several are crossed", {}}};
inline constexpr document_field age_fields[] = {
    input_key, {"unit", json_kind::text, false, "duration that counts as 1, such as 1s, 1h or 1d; default 1s", {}}};
inline constexpr document_field calendar_fields[] = {
    {"input", json_kind::text, false, "timestamp field; default: the time of decision", {}},
    {"part", json_kind::text, true, "weekday: Monday = 0; day and month start at 1", calendar_parts},
    {"offset", json_kind::text, false, "local time minus UTC as a duration such as 2h or -90m; default 0", {}}};
inline constexpr document_field two_inputs[] = {a_key, b_key};
inline constexpr document_field contains_fields[] = {{"list", json_kind::text, true, "list<string> field", {}},
                                                     {"item", json_kind::text, true, "string field", {}}};
inline constexpr document_field overlap_fields[] = {
    {"a", json_kind::any, true, "tokens: a part, a list of parts, or {tokens, separator}", {}},
    {"b", json_kind::any, true, "tokens: a part, a list of parts, or {tokens, separator}", {}},
    {"measure", json_kind::text, false, "shared / all, / those of a, / those of b, their number, or any; default jaccard",
     overlap_measures},
    {"idf", json_kind::boolean, false, "weigh tokens by ln((1 + N) / (1 + df)) + 1 instead of 1; default false", {}},
    state_key};
inline constexpr document_field last_equals_fields[] = {
    {"history", json_kind::text, true, "list<string> field, oldest first", {}},
    {"equals", json_kind::text, false, "string or list<string> field; default action.id", {}},
    {"last", json_kind::integer, false, "which item: 1 = the last; default 1", {}}};
inline constexpr document_field history_fields[] = {{"history", json_kind::text, true, "list<string> field, oldest first", {}},
                                                    {"item", json_kind::text, false, "string field; default action.id", {}}};

/// One operation: its name and its own keys (all have "name", "op", "missing" and "output", too).
struct feature_op_info {
    std::string_view name;
    feature_op op;
    std::span<const document_field> fields;
    std::string_view doc;
};

inline constexpr feature_op_info feature_ops[] = {
    {"number", feature_op::number, input_only, "the value as a number"},
    {"clip", feature_op::clip, clip_fields, "the value within bounds"},
    {"between", feature_op::between, clip_fields, "1 where the value lies within bounds, otherwise 0"},
    {"log", feature_op::log, input_only, "sign(x) ln(1 + |x|)"},
    {"standardise", feature_op::standardise, fitted_input, "(x - mean) / standard deviation, fitted"},
    {"bucket", feature_op::bucket, bucket_fields, "index of the bin"},
    {"missing", feature_op::missing, input_only, "1 where there is no value, otherwise 0"},
    {"dictionary", feature_op::dictionary, dictionary_fields, "place of a text among the fitted values"},
    {"one_hot", feature_op::one_hot, one_hot_fields, "one 0/1 column per value, named NAME=VALUE"},
    {"hashed", feature_op::hashed, hashed_fields, "bucket of a text"},
    {"target_statistics", feature_op::target_statistics, target_fields,
     "smoothed share of choices per key, out of fold in training"},
    {"text_hash", feature_op::text_hash, text_hash_fields, "a sparse block of hashed tokens of the task"},
    {"count", feature_op::count, tokens_only, "number of tokens"},
    {"age", feature_op::age, age_fields, "time of decision minus a timestamp"},
    {"calendar", feature_op::calendar, calendar_fields, "hour, weekday, day or month at a fixed offset from UTC"},
    {"staleness", feature_op::staleness, input_only, "age of a value divided by its maximum age"},
    {"stale", feature_op::stale, input_only, "1 where the value was too old, otherwise 0"},
    {"equal", feature_op::equal, two_inputs, "1 where both are equal, 0 where they differ"},
    {"contains", feature_op::contains, contains_fields, "1 where the list holds the item, otherwise 0"},
    {"ratio", feature_op::ratio, two_inputs, "a / b; missing where b is 0"},
    {"difference", feature_op::difference, two_inputs, "a - b"},
    {"product", feature_op::product, two_inputs, "a * b"},
    {"sum", feature_op::sum, two_inputs, "a + b"},
    {"overlap", feature_op::overlap, overlap_fields, "how much two token sets share"},
    {"last_equals", feature_op::last_equals, last_equals_fields, "1 where the k-th last item equals the text or is in the list"},
    {"count_in_history", feature_op::count_in_history, history_fields, "how often the history holds the item"},
    {"recency_in_history", feature_op::recency_in_history, history_fields,
     "items after the last occurrence; missing where there is none"},
    {"transition", feature_op::transition, transition_fields, "P(action | context of the task), out of fold in training"},
};

inline constexpr document_field common_fields[] = {
    {"name", json_kind::text, true, "name of the column or block", {}},
    {"op", json_kind::text, true, "operation", {}},
    {"missing", json_kind::number, false, "value in place of a missing result; default: missing stays missing", {}},
    {"output", json_kind::boolean, false, "false: only an input of later transforms; default true", {}},
};

/// The keys of one operation, its own and the common ones.
inline std::vector<document_field> fields_of(const feature_op_info& info) {
    std::vector<document_field> out(std::begin(common_fields), std::end(common_fields));
    out.insert(out.end(), info.fields.begin(), info.fields.end());
    return out;
}

}  // namespace opspilot::detail
