/// \file
/// The decision record: one decision as one line of JSON, written without allocation and read back strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot {

/// Why, for one reader: a stable code for machines, the rule, and a text for people.
struct record_reason {
    std::string_view code;
    std::string_view rule;   ///< id of the policy rule, "" for others
    std::string_view layer;  ///< layer of the rule, "" for others
    std::string_view text;
    bool failed = false;  ///< the rule's condition could not be evaluated
};

/// One ranked candidate as it is recorded.
struct record_candidate {
    std::string_view action;
    double score = 0;
    double probability = 0;
    std::string_view verdict;  ///< "auto_execute" … "abstain"
    bool allowed = true;
    std::span<const record_reason> reasons;
};

/// What made the score of the best candidate: score = base + Σ contributions + others. Names and numbers, no values.
struct record_explanation {
    struct part {
        std::string_view feature;
        double contribution = 0;
    };
    std::string_view action, stage;
    std::string_view method;   ///< "tree_shap", "linear", or "" when there is none
    std::string_view missing;  ///< code of why there is none, else ""
    double score = std::numeric_limits<double>::quiet_NaN();
    double base = std::numeric_limits<double>::quiet_NaN();
    double others = std::numeric_limits<double>::quiet_NaN();
    std::span<const part> contributions;  ///< the largest first
};

/// Why the rules acted on the best candidate and on refused ones: the clauses that decided, with the values that may be seen.
struct record_clauses {
    struct seen {
        std::string_view field, value;
    };
    struct clause {
        std::string_view text;
        std::uint32_t offset = 0, length = 0;  ///< in the condition, bytes
        std::string_view gives;                ///< "false", "true" or "error"
        std::string_view problem;              ///< of an error, else ""
        std::span<const seen> values;
    };
    struct rule {
        std::string_view action;  ///< the candidate, "" for the task as a whole
        std::string_view id, layer, effect;
        bool failed = false;
        std::span<const clause> clauses;
        std::span<const std::string_view> change;  ///< clauses that would all have to hold
    };
    std::string_view missing;  ///< code of why there are none, else ""
    std::span<const rule> rules;
    std::uint64_t left_out = 0;  ///< rules, clauses and changes beyond what is listed
};

/// A decision as it is logged. A view: all texts and spans belong to the caller and are only read while writing.
/// Doubles that are not finite are written as null, which is how "no threshold" and "no propensity" read.
struct record {
    std::string_view id;       ///< of the decision; outcomes refer to it
    std::int64_t time_us = 0;  ///< microseconds since 1970 UTC, the host's time of decision
    std::string_view client, task;
    std::string_view stage;     ///< rollout stage: "shadow", "suggest", "live"
    bool shadow = false;        ///< decided for the record only
    std::string_view verdict;   ///< after the rollout stage
    std::string_view proposed;  ///< before the rollout stage
    std::string_view action;    ///< id of the best allowed candidate, "" when there is none
    std::string_view queue;     ///< human queue of an escalation, "" when none is named
    double probability = 0;
    double threshold = std::numeric_limits<double>::quiet_NaN();
    double override_probability = 0;
    double propensity = std::numeric_limits<double>::quiet_NaN();  ///< with which the action was chosen
    std::string_view rung;
    std::span<const std::string_view> degraded;                                                      ///< what was not available
    std::string_view bundle, bundle_version, schema, features, model, policy, calibration, library;  ///< versions
    std::span<const record_reason> reasons;
    std::uint64_t candidates = 0;                     ///< how many were ranked; `ranked` may hold the best of them only
    std::span<const record_candidate> ranked;         ///< best first
    const record_explanation* explanation = nullptr;  ///< null: none was asked for, and the line has no such key
    const record_clauses* clauses = nullptr;          ///< as `explanation`
    std::string_view fields;                          ///< the task's recordable fields, a JSON object; "" = none
};

/// Version of the form of a line, written as "v".
inline constexpr std::int64_t record_version = 1;

/// Appends the record as one line of JSON with a final newline: keys always in the same order, numbers in the shortest form
/// that reads back to the same bits, texts as UTF-8 (what is not well-formed becomes U+FFFD). Line ends inside `fields` become
/// spaces. Allocates only while `out` grows: with a string that is cleared and reused, nothing once it has grown.
OPSPILOT_API void write_json(const record& r, std::string& out);

/// A record as it was read, owning its texts. Members mean what they mean in `record`.
struct parsed_record {
    struct reason {
        std::string code, rule, layer, text;
        bool failed = false;
    };
    struct candidate {
        std::string action;
        std::optional<double> score, probability;
        std::string verdict;
        bool allowed = true;
        std::vector<reason> reasons;
    };
    struct explanation {
        struct part {
            std::string feature;
            std::optional<double> contribution;
        };
        std::string action, stage, method, missing;
        std::optional<double> score, base, others;
        std::vector<part> contributions;
    };
    struct clause {
        struct seen {
            std::string field, value;
        };
        std::string text;
        std::uint32_t offset = 0, length = 0;
        std::string gives, problem;
        std::vector<seen> values;
    };
    struct explained_rule {
        std::string action, rule, layer, effect;
        bool failed = false;
        std::vector<clause> clauses;
        std::vector<std::string> change;
    };
    struct rule_clauses {
        std::string missing;
        std::vector<explained_rule> rules;
        std::uint64_t left_out = 0;
    };
    std::string id;
    std::int64_t time_us = 0;
    std::string client, task, stage;
    bool shadow = false;
    std::string verdict, proposed, action, queue;
    std::optional<double> probability, threshold, override_probability, propensity;
    std::string rung;
    std::vector<std::string> degraded;
    std::string bundle, bundle_version, schema, features, model, policy, calibration, library;
    std::vector<reason> reasons;
    std::uint64_t candidates = 0;
    std::vector<candidate> ranked;
    std::optional<explanation> explained;
    std::optional<rule_clauses> clauses;
    std::string fields;  ///< compact JSON object, keys sorted
};

/// Reads one line (with or without its newline). Every key but "explanation" and "clauses" must be there, of its kind, and no
/// other. Errors: kind audit: .json_syntax, .utf8, .unknown_field, .missing_field, .wrong_kind, .bad_choice (a line of another
/// type too), .bad_count, .json_size, .version.
[[nodiscard]] OPSPILOT_API result<parsed_record> read_record(std::string_view line);

/// Keys of a line, for its JSON Schema.
[[nodiscard]] OPSPILOT_API std::span<const document_field> record_fields() noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/audit/record-inl.hpp"
#endif
