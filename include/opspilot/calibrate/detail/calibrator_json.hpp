/// \file
/// Internal: calibrators as parts of JSON documents.
#pragma once

#include <array>
#include <string_view>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/calibrate/calibrator.hpp"

namespace opspilot::detail {

inline constexpr std::array<std::string_view, 7> calibrator_kinds{
    "none", "platt", "beta", "temperature", "isotonic", "venn_abers", "hierarchical_platt"};
inline constexpr std::array<std::string_view, 2> calibrator_inputs{"margin", "probability"};

inline constexpr std::array<document_field, 19> calibrator_fields{{
    {"kind", json_kind::text, true, "none, platt, beta, temperature, isotonic, venn_abers or hierarchical_platt",
     calibrator_kinds},
    {"input", json_kind::text, true, "what it reads: a margin, or a probability (of which platt takes the logit)",
     calibrator_inputs},
    {"a", json_kind::number, false, "platt: p = 1 / (1 + exp(a f + b)); beta: logit p = a ln s - b ln(1 - s) + c, a >= 0"},
    {"b", json_kind::number, false, "platt, beta (b >= 0)"},
    {"c", json_kind::number, false, "beta"},
    {"t", json_kind::number, false, "temperature: p = 1 / (1 + exp(-f / t)), t > 0"},
    {"score", json_kind::array, false, "isotonic: scores of the knots, ascending"},
    {"value", json_kind::array, false, "isotonic: probabilities at the knots, not falling"},
    {"lower_score", json_kind::array, false, "venn_abers: scores from which p0 is lower, ascending; 0 below"},
    {"lower", json_kind::array, false, "venn_abers: p0"},
    {"upper_score", json_kind::array, false, "venn_abers: scores up to which p1 is upper, ascending; 1 above"},
    {"upper", json_kind::array, false, "venn_abers: p1"},
    {"centre", json_kind::number, false, "hierarchical_platt: x = (f - centre) / spread"},
    {"spread", json_kind::number, false, "hierarchical_platt: above 0"},
    {"intercept", json_kind::number, false, "hierarchical_platt: logit p = intercept + offset + (slope + own slope) x, shrunk"},
    {"slope", json_kind::number, false, "hierarchical_platt"},
    {"offset_variance", json_kind::number, false, "hierarchical_platt: of the offsets of clients; that of new ones"},
    {"slope_variance", json_kind::number, false, "hierarchical_platt: of the slopes of clients with many labels"},
    {"clients", json_kind::object, false, "hierarchical_platt: deviations by the client's name, as tasks have it in 'client'"},
}};
inline constexpr std::array<document_field, 5> calibrator_client_fields{{
    {"offset", json_kind::number, true, "added to the intercept"},
    {"slope", json_kind::number, true, "added to the slope"},
    {"offset_variance", json_kind::number, true, "posterior variance of the offset"},
    {"covariance", json_kind::number, true, "of offset and slope"},
    {"slope_variance", json_kind::number, true, "posterior variance of the slope"},
}};

/// Reads the object at `where` of a document.
[[nodiscard]] result<score_calibrator> read_score_calibrator(const json& node, std::string_view where);
[[nodiscard]] json score_calibrator_json(const score_calibrator& c);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/calibrator-inl.hpp"
#endif
