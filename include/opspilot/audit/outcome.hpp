/// \file
/// What came of a decision, recorded as one line beside the decisions in the same log and joined to them by id.
///
/// Outcomes come late, twice and out of order, so a log may hold any number of them for one decision, in any order, before
/// or after its decision, which may also stand in another log. All of them stand; nothing is overwritten. A reader asks one of
/// two questions, and the line with the largest time that answers it counts, of equal times the later line:
/// what people did (any kind but `observed`), and which reward was earned (any line with a reward). An outcome that is recorded
/// twice therefore changes nothing. The delay is the outcome's, or when it has none its time less the decision's.
///
/// There is no free text and nobody's name in an outcome: what a person wrote belongs to the host.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"

namespace opspilot {

/// What came of a decision.
enum class outcome_kind : std::uint8_t {
    accepted,    ///< a person did what was decided, or let it stand
    overridden,  ///< a person did something else
    reversed,    ///< it was done and then undone
    complaint,   ///< somebody complained about it
    observed,    ///< nothing but a reward is known
};

[[nodiscard]] OPSPILOT_API std::string_view name(outcome_kind kind) noexcept;

/// An outcome as a host tells it.
struct outcome {
    outcome_kind kind = outcome_kind::observed;
    std::string action;                    ///< overridden only: id of what the person did; "" = not known, or none
    std::optional<double> reward;          ///< finite, in the host's unit; observed: required
    std::optional<std::int64_t> delay_us;  ///< from the decision to what came of it, 0 or more
};

/// An outcome as it is logged.
struct outcome_record {
    std::string decision;      ///< id of the decision, 32 lower-case hex digits
    std::int64_t time_us = 0;  ///< microseconds since 1970 UTC, the host's time of recording
    outcome what;
};

/// Reads {"kind": …, "action": …?, "reward": …?, "delay_us": …?}.
/// Errors: kind schema: .json_syntax, .utf8, .unknown_field, .missing_field, .wrong_kind, .bad_choice and those of
/// `check_outcome`.
[[nodiscard]] OPSPILOT_API result<outcome> read_outcome(std::string_view json);

/// What holds beyond the kinds of fields. Errors: kind schema: .not_applicable (an action when nothing was overridden),
/// .missing_field (observed without a reward), .not_finite, .out_of_range (a negative delay).
[[nodiscard]] OPSPILOT_API status check_outcome(const outcome& what);

/// Whether the text is 32 lower-case hex digits, as ids of decisions are.
[[nodiscard]] OPSPILOT_API bool is_decision_id(std::string_view text) noexcept;

/// Whether the text has the form of an identifier: 1 to 128 bytes of ASCII letters, digits and _ - . : /
/// An action that no catalogue knows must have it, so that no sentence or address is recorded by mistake.
[[nodiscard]] OPSPILOT_API bool is_identifier(std::string_view text) noexcept;

/// Appends the outcome as one line of JSON with a final newline, keys always in the same order:
/// {"v":1,"type":"outcome","decision":…,"time":…,"kind":…,"action":…,"reward":…,"delay_us":…}; what is not given is "" or null.
OPSPILOT_API void write_json(const outcome_record& r, std::string& out);

/// Reads one such line (with or without its newline). Every key must be there, of its kind, and no other.
/// Errors: kind audit: the codes of `read_record`, .bad_id for an id of a decision, and those of `check_outcome`.
[[nodiscard]] OPSPILOT_API result<outcome_record> read_outcome_record(std::string_view line);

/// Keys of an outcome as a host tells it, and of its line: for their JSON Schemas.
[[nodiscard]] OPSPILOT_API std::span<const document_field> outcome_fields() noexcept;
[[nodiscard]] OPSPILOT_API std::span<const document_field> outcome_record_fields() noexcept;

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/audit/outcome-inl.hpp"
#endif
