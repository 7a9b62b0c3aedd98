#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/math.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/calibrate/detail/calibrator_json.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/errors.hpp"
#include "opspilot/calibrate/labels.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 1> threshold_scopes{"auto"};

inline constexpr std::array<document_field, 6> calibration_fields{{
    {"version", json_kind::integer, true, "version of this document's form: 1"},
    {"calibrator", json_kind::object, true, "how scores become probabilities"},
    {"thresholds", json_kind::array, true, "certified thresholds; may be empty: nothing is automated"},
    {"temperature", json_kind::number, false, "ranking scores are divided by it before their softmax; default 1"},
    {"abstain_below", json_kind::number, false, "a best candidate less probable than this is not even suggested; default 0"},
    {"recall_floors", json_kind::array, false, "floors under the recall of classes that must not be missed"},
}};
inline constexpr std::array<document_field, 4> threshold_fields{{
    {"scope", json_kind::text, true, "what it permits: auto", threshold_scopes},
    {"kind", json_kind::text, false, "action kind it is for; absent: any"},
    {"value", json_kind::any, true, "probability above which the verdict is permitted; null: the evidence did not suffice"},
    {"certificate", json_kind::object, true, "the evidence"},
}};
inline constexpr std::array<document_field, 18> certificate_fields{{
    {"model_fingerprint", json_kind::text, true, "of the model whose scores were certified"},
    {"calibrator", json_kind::text, true, "kind of the calibrator in front of the threshold", calibrator_kinds},
    {"calibrator_fingerprint", json_kind::text, false,
     "of that calibrator with its parameters; absent: only the kind is compared"},
    {"level", json_kind::text, false, "whose risk is bounded: a group or a pool by name; absent: the whole set"},
    {"sampling_unit", json_kind::text, true, "what one item of the set is"},
    {"not_covered", json_kind::text, false, "what the certificate does not speak of"},
    {"n", json_kind::integer, true, "items of the certificate set"},
    {"automated", json_kind::integer, true, "items above the threshold"},
    {"errors", json_kind::integer, true, "wrong ones among them"},
    {"needed", json_kind::integer, true, "zero-error minimum"},
    {"alpha", json_kind::number, true, "tolerated risk, in (0, 1)"},
    {"delta", json_kind::number, true, "probability that the certificate is false, in (0, 1)"},
    {"coverage", json_kind::number, true, "share of the set above the threshold"},
    {"risk_upper", json_kind::number, true, "Clopper-Pearson bound of the risk"},
    {"data_from", json_kind::integer, true, "first moment of the set, microseconds since 1970 UTC"},
    {"data_to", json_kind::integer, true, "last moment of the set, microseconds since 1970 UTC"},
    {"created_at", json_kind::integer, true, "microseconds since 1970 UTC"},
    {"expires_at", json_kind::integer, true, "not usable from this moment on, microseconds since 1970 UTC"},
}};
inline constexpr std::array<document_field, 7> recall_floor_fields{{
    {"label", json_kind::text, true, "the class that must not be missed"},
    {"value", json_kind::any, true, "flag from this score on; null: the evidence did not suffice"},
    {"min_recall", json_kind::number, true, "in (0, 1)"},
    {"confidence", json_kind::number, true, "in (0, 1)"},
    {"positives", json_kind::integer, true, "positives of the set"},
    {"misses_allowed", json_kind::integer, true, "positives below the value that the proof tolerates"},
    {"needed", json_kind::integer, true, "positives needed when none may be missed"},
}};

/// Counts are read as they are written: never negative.
inline result<std::uint64_t> read_certificate_count(const json& node, const char* key, std::string_view where) {
    const auto value = node.at(key).get<std::int64_t>();
    if (value < 0)
        return calibration_error_at("calibration.bad_count", fmt::format("'{}' is {}", key, value), pointer(where, key),
                                    "counts are not negative");
    return static_cast<std::uint64_t>(value);
}

/// A threshold's value: a finite number, or null.
inline result<std::optional<double>> read_value(const json& node, std::string_view where) {
    const json& value = node.at("value");
    if (value.is_null()) return std::optional<double>{};
    if (!value.is_number() || !std::isfinite(value.get<double>()))
        return calibration_error_at("calibration.wrong_kind",
                                    fmt::format("'value' must be a number or null, found {}", kind_name(value)),
                                    pointer(where, "value"));
    return std::optional<double>{value.get<double>()};
}

/// A number strictly between 0 and 1, with the place of the offending one.
inline result<double> read_open_unit(const json& node, const char* key, std::string_view what, std::string_view where) {
    const double value = node.at(key).get<double>();
    if (auto checked = check_open_unit(value, what); !checked) {
        checked.error().where = pointer(where, key);
        return std::move(checked).error();
    }
    return value;
}

inline result<certificate> read_certificate(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, certificate_fields, where, error_kind::calibration));
    certificate c;
    c.model_fingerprint = node.at("model_fingerprint").get<std::string>();
    c.calibrator = node.at("calibrator").get<std::string>();
    c.calibrator_fingerprint = text_or(node, "calibrator_fingerprint", "");
    c.level = text_or(node, "level", "");
    c.sampling_unit = node.at("sampling_unit").get<std::string>();
    c.not_covered = text_or(node, "not_covered", "");
    OPSPILOT_TRY(c.n, read_certificate_count(node, "n", where));
    OPSPILOT_TRY(c.automated, read_certificate_count(node, "automated", where));
    OPSPILOT_TRY(c.errors, read_certificate_count(node, "errors", where));
    OPSPILOT_TRY(c.needed, read_certificate_count(node, "needed", where));
    OPSPILOT_TRY(c.alpha, read_open_unit(node, "alpha", "max_risk", where));
    OPSPILOT_TRY(c.delta, read_open_unit(node, "delta", "confidence", where));
    c.coverage = node.at("coverage").get<double>();
    c.risk_upper = node.at("risk_upper").get<double>();
    c.data_from_us = node.at("data_from").get<std::int64_t>();
    c.data_to_us = node.at("data_to").get<std::int64_t>();
    c.created_at_us = node.at("created_at").get<std::int64_t>();
    c.expires_at_us = node.at("expires_at").get<std::int64_t>();
    if (c.automated > c.n || c.errors > c.automated)
        return calibration_error_at("calibration.bad_count",
                                    fmt::format("{} errors among {} automated of {}", c.errors, c.automated, c.n),
                                    std::string(where), "errors <= automated <= n");
    if (c.expires_at_us <= c.created_at_us || c.data_to_us < c.data_from_us)
        return calibration_error_at(
            "calibration.bad_window",
            c.data_to_us < c.data_from_us ? "the data end before they begin" : "the certificate expires before it was made",
            std::string(where));
    return c;
}

/// A value with a certificate that does not prove it is refused at load: nobody raises a threshold's claim by hand.
inline status check_claim(const threshold& t, std::string_view where) {
    if (!t.value) return {};
    const certificate& c = t.certificate;
    const double tail = binomial_cdf(c.errors, c.automated, c.alpha);
    if (tail <= c.delta && c.risk_upper <= c.alpha) return {};
    return calibration_error_at("calibration.unproven",
                                fmt::format("{} errors among {} do not prove a risk of at most {} with confidence {} (tail {})",
                                            c.errors, c.automated, c.alpha, 1.0 - c.delta, tail),
                                pointer(where, "certificate"), "certify again, or set the value to null");
}

inline result<threshold> read_threshold(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, threshold_fields, where, error_kind::calibration));
    threshold t;
    t.scope = node.at("scope").get<std::string>();
    t.kind = text_or(node, "kind", "");
    OPSPILOT_TRY(t.value, read_value(node, where));
    OPSPILOT_TRY(t.certificate, read_certificate(node.at("certificate"), pointer(where, "certificate")));
    OPSPILOT_CHECK(check_claim(t, where));
    return t;
}

inline result<recall_threshold> read_recall(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, recall_floor_fields, where, error_kind::calibration));
    recall_threshold r;
    r.label = node.at("label").get<std::string>();
    OPSPILOT_TRY(r.value, read_value(node, where));
    OPSPILOT_TRY(r.min_recall, read_open_unit(node, "min_recall", "min_recall", where));
    OPSPILOT_TRY(r.confidence, read_open_unit(node, "confidence", "confidence", where));
    OPSPILOT_TRY(r.positives, read_certificate_count(node, "positives", where));
    OPSPILOT_TRY(r.misses_allowed, read_certificate_count(node, "misses_allowed", where));
    OPSPILOT_TRY(r.needed, read_certificate_count(node, "needed", where));
    if (r.value && !(binomial_cdf(r.misses_allowed, r.positives, 1.0 - r.min_recall) <= 1.0 - r.confidence))
        return calibration_error_at(
            "calibration.unproven",
            fmt::format("{} misses among {} positives do not prove a recall of {}", r.misses_allowed, r.positives, r.min_recall),
            std::string(where), fmt::format("{} positives are needed when none may be missed", r.needed));
    return r;
}

inline status read_calibrator(const json& node, calibration& out) {
    OPSPILOT_TRY(out.calibrator, read_score_calibrator(node, "/calibrator"));
    out.kind = out.calibrator.kind();
    out.input = out.calibrator.input;
    if (const auto* line = std::get_if<platt>(&out.calibrator.curve)) out.curve = *line;
    return {};
}

inline json value_json(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

inline json certificate_json(const certificate& c) {
    json out{{"model_fingerprint", c.model_fingerprint},
             {"calibrator", c.calibrator},
             {"sampling_unit", c.sampling_unit},
             {"not_covered", c.not_covered},
             {"n", c.n},
             {"automated", c.automated},
             {"errors", c.errors},
             {"needed", c.needed},
             {"alpha", c.alpha},
             {"delta", c.delta},
             {"coverage", c.coverage},
             {"risk_upper", c.risk_upper},
             {"data_from", c.data_from_us},
             {"data_to", c.data_to_us},
             {"created_at", c.created_at_us},
             {"expires_at", c.expires_at_us}};
    if (!c.calibrator_fingerprint.empty()) out["calibrator_fingerprint"] = c.calibrator_fingerprint;
    if (!c.level.empty()) out["level"] = c.level;
    return out;
}

/// The calibrator as it stands in the document: what is written, and what is hashed.
inline json calibrator_json(const calibration& c) {
    score_calibrator written = c.calibrator;
    written.input = c.input;
    if (c.kind == calibrator_kind::none) written.curve = std::monostate{};
    if (c.kind == calibrator_kind::platt) written.curve = c.curve;
    return score_calibrator_json(written);
}

/// A moment as the UTC day it lies in: 2026-05-31. Years 1970 to 9999.
inline std::string utc_day(std::int64_t us) {
    const auto days = std::clamp<std::int64_t>(us, 0, 253'402'300'799'000'000) / 86'400'000'000;
    const std::chrono::year_month_day day{std::chrono::sys_days{std::chrono::days{static_cast<int>(days)}}};
    return fmt::format("{}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                       static_cast<unsigned>(day.day()));
}

}  // namespace detail

OPSPILOT_INLINE status certificate::usable(const situation& here) const {
    if (model_fingerprint.empty() || model_fingerprint != here.model_fingerprint)
        return detail::calibration_error_at("calibration.foreign_model",
                                            fmt::format("the certificate is of model {}, the scores are of {}",
                                                        quote(model_fingerprint), quote(here.model_fingerprint)),
                                            "", "certify the model that is served");
    if (!here.calibrator_fingerprint.empty() && calibrator_fingerprint != here.calibrator_fingerprint)
        return detail::calibration_error_at("calibration.foreign_calibrator",
                                            fmt::format("the certificate is of calibrator {}, the probabilities are of {}",
                                                        quote(calibrator_fingerprint), quote(here.calibrator_fingerprint)),
                                            "", "certify again behind the calibrator that is served");
    if (here.now_us < created_at_us)
        return detail::calibration_error_at("calibration.not_yet_valid",
                                            fmt::format("made at {}, asked at {}", created_at_us, here.now_us), "",
                                            "check the host's clock: microseconds since 1970 UTC");
    if (here.now_us >= expires_at_us)
        return detail::calibration_error_at("calibration.expired",
                                            fmt::format("expired at {}, asked at {}", expires_at_us, here.now_us), "",
                                            "certify again on recent labels");
    if (here.drifted)
        return detail::calibration_error_at("calibration.drifted", "traffic is not what it was when the certificate was made", "",
                                            "certify again on labels from after the change");
    return {};
}

OPSPILOT_INLINE std::string certificate::statement(bool sufficient) const {
    const std::string whose = level.empty() ? "" : fmt::format(" ({})", level);
    const std::string window = fmt::format("data from {} to {}", detail::utc_day(data_from_us), detail::utc_day(data_to_us));
    std::string out =
        sufficient ? fmt::format(
                         "At most {:.4g} % of automated decisions are wrong{}, with confidence {:.4g} %: {} errors among {} "
                         "automated of {} items, {}; upper bound {:.4g} %.",
                         100 * alpha, whose, 100 * (1 - delta), errors, automated, n, window, 100 * risk_upper)
                   : fmt::format(
                         "Insufficient{}: nothing is automated. A risk of at most {:.4g} % with confidence {:.4g} % needs at "
                         "least {} items without an error above the line; the set has {} items, {}.",
                         whose, 100 * alpha, 100 * (1 - delta), needed, n, window);
    out += fmt::format(" One item: {}. For model {} behind calibrator {}{}.",
                       sampling_unit.empty() ? "not stated" : sampling_unit, model_fingerprint.substr(0, 12), calibrator,
                       calibrator_fingerprint.empty() ? "" : " " + calibrator_fingerprint.substr(0, 12));
    out += fmt::format(" Holds from {} until {}, for data like its own.", detail::utc_day(created_at_us),
                       detail::utc_day(expires_at_us));
    if (!not_covered.empty()) out += fmt::format(" Not covered: {}.", not_covered);
    return out;
}

OPSPILOT_INLINE threshold threshold::from(const certified_threshold& certified, std::string_view action_kind) {
    threshold t;
    t.kind = action_kind;
    t.value = certified.value;
    t.certificate.calibrator = "platt";
    t.certificate.n = certified.n;
    t.certificate.automated = certified.automated;
    t.certificate.errors = certified.errors;
    t.certificate.needed = certified.needed;
    t.certificate.alpha = certified.max_risk;
    t.certificate.delta = certified.delta;
    t.certificate.coverage = certified.coverage;
    t.certificate.risk_upper = certified.risk_upper;
    return t;
}

OPSPILOT_INLINE result<calibration> calibration::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(text, error_kind::calibration));
    OPSPILOT_CHECK(detail::check_object(root, detail::calibration_fields, "", error_kind::calibration));
    if (root.at("version") != 1)
        return detail::calibration_error_at("calibration.version",
                                            fmt::format("version {} of the document", root.at("version").dump()), "/version",
                                            "this library reads version 1");
    calibration out;
    OPSPILOT_CHECK(detail::read_calibrator(root.at("calibrator"), out));
    for (std::size_t i = 0; i < root.at("thresholds").size(); ++i) {
        const std::string where = detail::pointer("/thresholds", i);
        OPSPILOT_TRY(threshold t, detail::read_threshold(root.at("thresholds")[i], where));
        for (const threshold& other : out.thresholds)
            if (other.scope == t.scope && other.kind == t.kind)
                return detail::calibration_error_at(
                    "calibration.duplicate_threshold",
                    fmt::format("two thresholds of scope {} and kind {}", quote(t.scope), quote(t.kind)), where,
                    "keep one of them");
        out.thresholds.push_back(std::move(t));
    }
    out.temperature = detail::number_or(root, "temperature", 1);
    if (!(out.temperature > 0) || !std::isfinite(out.temperature))
        return detail::calibration_error_at("calibration.bad_temperature", fmt::format("temperature {}", out.temperature),
                                            "/temperature", "it must be above 0");
    out.abstain_below = detail::number_or(root, "abstain_below", 0);
    if (!(out.abstain_below >= 0 && out.abstain_below < 1))
        return detail::calibration_error_at("calibration.bad_probability", fmt::format("abstain_below {}", out.abstain_below),
                                            "/abstain_below", "it must lie in [0, 1)");
    const auto floors = root.find("recall_floors");
    for (std::size_t i = 0; floors != root.end() && i < floors->size(); ++i) {
        OPSPILOT_TRY(recall_threshold r, detail::read_recall((*floors)[i], detail::pointer("/recall_floors", i)));
        out.recall_floors.push_back(std::move(r));
    }
    return out;
}

OPSPILOT_INLINE double calibration::probability(double score, std::uint32_t client) const noexcept {
    if (kind == calibrator_kind::none) return input == calibrator_input::probability ? score : platt{}.probability(score);
    if (kind != calibrator_kind::platt) return calibrator.probability(score, client);
    return curve.probability(input == calibrator_input::margin ? score : detail::kept_logit(score));
}

OPSPILOT_INLINE std::string calibration::calibrator_fingerprint() const {
    const detail::json about{{"calibrator", detail::calibrator_json(*this)}, {"temperature", temperature}};
    return sha256_hex(about.dump(-1, ' ', false, detail::json::error_handler_t::replace));
}

OPSPILOT_INLINE bool calibration::is_calibrator_of(const certificate& c) const {
    if (!c.calibrator_fingerprint.empty()) return c.calibrator_fingerprint == calibrator_fingerprint();
    return c.calibrator == detail::calibrator_kinds[static_cast<std::size_t>(kind)];
}

OPSPILOT_INLINE const threshold* calibration::find(std::string_view scope, std::string_view action_kind) const noexcept {
    const threshold* any = nullptr;
    for (const threshold& t : thresholds) {
        if (t.scope != scope) continue;
        if (!t.kind.empty() && t.kind == action_kind) return &t;
        if (t.kind.empty()) any = &t;
    }
    return any;
}

OPSPILOT_INLINE std::string calibration::to_json() const {
    detail::json root{{"version", 1},
                      {"calibrator", detail::calibrator_json(*this)},
                      {"temperature", temperature},
                      {"abstain_below", abstain_below},
                      {"thresholds", detail::json::array()},
                      {"recall_floors", detail::json::array()}};
    for (const threshold& t : thresholds) {
        detail::json entry{
            {"scope", t.scope}, {"value", detail::value_json(t.value)}, {"certificate", detail::certificate_json(t.certificate)}};
        if (!t.kind.empty()) entry["kind"] = t.kind;
        root["thresholds"].push_back(std::move(entry));
    }
    for (const recall_threshold& r : recall_floors)
        root["recall_floors"].push_back({{"label", r.label},
                                         {"value", detail::value_json(r.value)},
                                         {"min_recall", r.min_recall},
                                         {"confidence", r.confidence},
                                         {"positives", r.positives},
                                         {"misses_allowed", r.misses_allowed},
                                         {"needed", r.needed}});
    return root.dump(2, ' ', false, detail::json::error_handler_t::replace) + "\n";
}

OPSPILOT_INLINE calibration::tables calibration::fields() noexcept {
    return {detail::calibration_fields, detail::calibrator_fields, detail::threshold_fields, detail::certificate_fields,
            detail::recall_floor_fields};
}

}  // namespace opspilot
