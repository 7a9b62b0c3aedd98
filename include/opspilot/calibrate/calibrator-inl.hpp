#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/math.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/calibrator.hpp"
#include "opspilot/calibrate/detail/calibrator_json.hpp"
#include "opspilot/calibrate/detail/checks.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 2> platt_keys{"a", "b"};
inline constexpr std::array<std::string_view, 3> beta_keys{"a", "b", "c"};
inline constexpr std::array<std::string_view, 1> temperature_keys{"t"};
inline constexpr std::array<std::string_view, 2> isotonic_keys{"score", "value"};
inline constexpr std::array<std::string_view, 4> venn_abers_keys{"lower_score", "lower", "upper_score", "upper"};
inline constexpr std::array<std::string_view, 7> hierarchical_keys{"centre",  "spread",          "intercept",     "slope",
                                                                   "clients", "offset_variance", "slope_variance"};

/// The keys that the kind has, and no other.
inline status check_calibrator_keys(const json& node, calibrator_kind kind, std::string_view where) {
    const std::span<const std::string_view> own = score_calibrator::fields_of(kind);
    for (const document_field& field : std::span(calibrator_fields).subspan(2)) {
        const bool wanted = std::find(own.begin(), own.end(), field.name) != own.end(),
                   has = node.contains(std::string(field.name));
        if (has && !wanted)
            return calibration_error_at("calibration.unknown_field",
                                        fmt::format("'{}' belongs to another kind than {}", field.name, name(kind)),
                                        pointer(where, field.name), std::string(field.doc));
        if (wanted && !has)
            return calibration_error_at("calibration.missing_field", fmt::format("kind {} needs '{}'", name(kind), field.name),
                                        pointer(where, field.name), std::string(field.doc));
    }
    return {};
}

/// A finite number that is not below `least`.
inline result<double> read_coefficient(const json& node, const char* key, std::string_view where,
                                       double least = -std::numeric_limits<double>::infinity(), bool above = false) {
    const double value = node.at(key).get<double>();
    if (!std::isfinite(value))
        return calibration_error_at("calibration.not_finite", fmt::format("'{}' is not finite", key), pointer(where, key),
                                    "write the calibrator again");
    if (value < least || (above && value == least))
        return calibration_error_at("calibration.bad_coefficient", fmt::format("'{}' is {}", key, value), pointer(where, key),
                                    fmt::format("it must {} {}", above ? "be above" : "not be below", least));
    return value;
}

/// Numbers that ascend: strictly for scores, and within [0, 1] for probabilities.
inline result<std::vector<double>> read_ascending(const json& node, const char* key, std::string_view where, bool probability) {
    const json& list = node.at(key);
    if (list.empty())
        return calibration_error_at("calibration.empty", fmt::format("'{}' is empty", key), pointer(where, key),
                                    "write the calibrator again");
    std::vector<double> out;
    out.reserve(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto place = [&] { return pointer(pointer(where, key), i); };
        if (!list[i].is_number())
            return calibration_error_at("calibration.wrong_kind", fmt::format("found {}", kind_name(list[i])), place(),
                                        "numbers are wanted");
        const double value = list[i].get<double>();
        if (!std::isfinite(value))
            return calibration_error_at("calibration.not_finite", "a number that is not finite", place(),
                                        "write the calibrator again");
        if (probability && !(value >= 0.0 && value <= 1.0))
            return calibration_error_at("calibration.bad_probability", fmt::format("{} is not a probability", value), place(),
                                        "probabilities lie in [0, 1]");
        if (i > 0 && (probability ? value < out.back() : value <= out.back()))
            return calibration_error_at("calibration.not_ascending", fmt::format("{} after {}", value, out.back()), place(),
                                        probability ? "a calibrator never falls" : "scores of a table ascend strictly");
        out.push_back(value);
    }
    return out;
}

/// A table of scores and probabilities of one length.
inline status read_step_table(const json& node, const char* scores, const char* values, std::string_view where,
                              std::vector<double>& score, std::vector<double>& value) {
    OPSPILOT_TRY(score, read_ascending(node, scores, where, false));
    OPSPILOT_TRY(value, read_ascending(node, values, where, true));
    if (score.size() == value.size()) return {};
    return calibration_error_at("calibration.length_mismatch", fmt::format("{} scores but {} values", score.size(), value.size()),
                                pointer(where, values), "give one value per score");
}

inline result<venn_abers> read_venn_abers(const json& node, std::string_view where) {
    venn_abers out;
    OPSPILOT_CHECK(read_step_table(node, "lower_score", "lower", where, out.lower_score, out.lower));
    OPSPILOT_CHECK(read_step_table(node, "upper_score", "upper", where, out.upper_score, out.upper));
    // p0 rises only at its own scores, and p1 does not fall: there they are closest.
    for (std::size_t i = 0; i < out.lower.size(); ++i)
        if (const venn_abers_pair pair = out.interval(out.lower_score[i]); pair.p0 > pair.p1)
            return calibration_error_at("calibration.crossed_pair",
                                        fmt::format("p0 {} is above p1 {} at score {}", pair.p0, pair.p1, out.lower_score[i]),
                                        pointer(pointer(where, "lower"), i), "write the calibrator again");
    return out;
}

inline result<hierarchical_platt> read_hierarchical(const json& node, std::string_view where, std::vector<std::string>& names) {
    hierarchical_platt out;
    OPSPILOT_TRY(out.centre, read_coefficient(node, "centre", where));
    OPSPILOT_TRY(out.spread, read_coefficient(node, "spread", where, 0, true));
    OPSPILOT_TRY(out.intercept, read_coefficient(node, "intercept", where));
    OPSPILOT_TRY(out.slope, read_coefficient(node, "slope", where));
    OPSPILOT_TRY(out.offset_variance, read_coefficient(node, "offset_variance", where, 0));
    OPSPILOT_TRY(out.slope_variance, read_coefficient(node, "slope_variance", where, 0));
    const std::string place = pointer(where, "clients");
    for (const auto& [key, entry] : node.at("clients").items()) {  // in the order of the names
        const std::string own_place = pointer(place, key);
        OPSPILOT_CHECK(check_object(entry, calibrator_client_fields, own_place, error_kind::calibration));
        hierarchical_platt::client_curve own;
        OPSPILOT_TRY(own.offset, read_coefficient(entry, "offset", own_place));
        OPSPILOT_TRY(own.slope, read_coefficient(entry, "slope", own_place));
        OPSPILOT_TRY(own.offset_variance, read_coefficient(entry, "offset_variance", own_place, 0));
        OPSPILOT_TRY(own.covariance, read_coefficient(entry, "covariance", own_place));
        OPSPILOT_TRY(own.slope_variance, read_coefficient(entry, "slope_variance", own_place, 0));
        names.push_back(key);
        out.clients.push_back(own);
    }
    return out;
}

OPSPILOT_INLINE result<score_calibrator> read_score_calibrator(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, calibrator_fields, where, error_kind::calibration));
    score_calibrator out;
    const auto& given = node.at("kind").get_ref<const std::string&>();
    const auto kind = static_cast<calibrator_kind>(std::find(calibrator_kinds.begin(), calibrator_kinds.end(), given) -
                                                   calibrator_kinds.begin());
    out.input = node.at("input") == "probability" ? calibrator_input::probability : calibrator_input::margin;
    OPSPILOT_CHECK(check_calibrator_keys(node, kind, where));
    switch (kind) {
        case calibrator_kind::none: break;
        case calibrator_kind::platt: {
            platt curve;
            OPSPILOT_TRY(curve.a, read_coefficient(node, "a", where));
            OPSPILOT_TRY(curve.b, read_coefficient(node, "b", where));
            out.curve = curve;
            break;
        }
        case calibrator_kind::beta: {
            beta_curve curve;
            OPSPILOT_TRY(curve.a, read_coefficient(node, "a", where, 0));
            OPSPILOT_TRY(curve.b, read_coefficient(node, "b", where, 0));
            OPSPILOT_TRY(curve.c, read_coefficient(node, "c", where));
            out.curve = curve;
            break;
        }
        case calibrator_kind::temperature: {
            temperature_curve curve;
            OPSPILOT_TRY(curve.t, read_coefficient(node, "t", where, 0, true));
            out.curve = curve;
            break;
        }
        case calibrator_kind::isotonic: {
            isotonic curve;
            OPSPILOT_CHECK(read_step_table(node, "score", "value", where, curve.score, curve.value));
            out.curve = std::move(curve);
            break;
        }
        case calibrator_kind::venn_abers: {
            OPSPILOT_TRY(out.curve, read_venn_abers(node, where));
            break;
        }
        case calibrator_kind::hierarchical_platt: {
            OPSPILOT_TRY(out.curve, read_hierarchical(node, where, out.clients));
            break;
        }
    }
    return out;
}

OPSPILOT_INLINE json score_calibrator_json(const score_calibrator& c) {
    json out{{"kind", name(c.kind())}, {"input", calibrator_inputs[static_cast<std::size_t>(c.input)]}};
    if (const auto* line = std::get_if<platt>(&c.curve)) {
        out.update({{"a", line->a}, {"b", line->b}});
    } else if (const auto* beta = std::get_if<beta_curve>(&c.curve)) {
        out.update({{"a", beta->a}, {"b", beta->b}, {"c", beta->c}});
    } else if (const auto* scaled = std::get_if<temperature_curve>(&c.curve)) {
        out["t"] = scaled->t;
    } else if (const auto* steps = std::get_if<isotonic>(&c.curve)) {
        out.update({{"score", steps->score}, {"value", steps->value}});
    } else if (const auto* pair = std::get_if<venn_abers>(&c.curve)) {
        out.update({{"lower_score", pair->lower_score},
                    {"lower", pair->lower},
                    {"upper_score", pair->upper_score},
                    {"upper", pair->upper}});
    } else if (const auto* h = std::get_if<hierarchical_platt>(&c.curve)) {
        out.update({{"centre", h->centre},
                    {"spread", h->spread},
                    {"intercept", h->intercept},
                    {"slope", h->slope},
                    {"offset_variance", h->offset_variance},
                    {"slope_variance", h->slope_variance},
                    {"clients", json::object()}});
        for (std::size_t k = 0; k < std::min(c.clients.size(), h->clients.size()); ++k)
            out["clients"][c.clients[k]] = {{"offset", h->clients[k].offset},
                                            {"slope", h->clients[k].slope},
                                            {"offset_variance", h->clients[k].offset_variance},
                                            {"covariance", h->clients[k].covariance},
                                            {"slope_variance", h->clients[k].slope_variance}};
    }
    return out;
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(calibrator_kind kind) noexcept {
    return detail::calibrator_kinds[static_cast<std::size_t>(kind)];
}

OPSPILOT_INLINE double score_calibrator::probability(double score, std::uint32_t client) const noexcept {
    const bool given = input == calibrator_input::probability;
    const auto margin = [&] { return given ? detail::kept_logit(score) : score; };
    // Without std::visit, which may throw.
    if (const auto* line = std::get_if<platt>(&curve)) return line->probability(margin());
    if (const auto* beta = std::get_if<beta_curve>(&curve)) return beta->probability(given ? score : portable_logistic(score));
    if (const auto* scaled = std::get_if<temperature_curve>(&curve)) return scaled->probability(margin());
    if (const auto* steps = std::get_if<isotonic>(&curve)) return steps->probability(score);
    if (const auto* pair = std::get_if<venn_abers>(&curve)) return pair->probability(score);
    if (const auto* h = std::get_if<hierarchical_platt>(&curve)) return h->probability(margin(), client);
    return given ? score : portable_logistic(score);
}

OPSPILOT_INLINE std::uint32_t score_calibrator::client_number(std::string_view client) const noexcept {
    const auto at = std::lower_bound(clients.begin(), clients.end(), client);
    return at != clients.end() && *at == client ? static_cast<std::uint32_t>(at - clients.begin())
                                                : hierarchical_platt::new_client;
}

OPSPILOT_INLINE result<score_calibrator> score_calibrator::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(text, error_kind::calibration));
    return detail::read_score_calibrator(root, "");
}

OPSPILOT_INLINE std::string score_calibrator::to_json() const {
    return detail::score_calibrator_json(*this).dump(-1, ' ', false, detail::json::error_handler_t::replace);
}

OPSPILOT_INLINE std::span<const document_field> score_calibrator::fields() noexcept { return detail::calibrator_fields; }
OPSPILOT_INLINE std::span<const document_field> score_calibrator::client_fields() noexcept {
    return detail::calibrator_client_fields;
}
OPSPILOT_INLINE std::span<const std::string_view> score_calibrator::fields_of(calibrator_kind kind) noexcept {
    switch (kind) {
        case calibrator_kind::none: return {};
        case calibrator_kind::platt: return detail::platt_keys;
        case calibrator_kind::beta: return detail::beta_keys;
        case calibrator_kind::temperature: return detail::temperature_keys;
        case calibrator_kind::isotonic: return detail::isotonic_keys;
        case calibrator_kind::venn_abers: return detail::venn_abers_keys;
        case calibrator_kind::hierarchical_platt: return detail::hierarchical_keys;
    }
    return {};
}

}  // namespace opspilot
