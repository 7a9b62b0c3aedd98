// Certificates beyond the plain threshold: grids, grades, costs, recall, ladders, streams, plans and noise.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "certificates.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/calibrate/binomial.hpp"
#include "opspilot/calibrate/bounded.hpp"
#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/calibrate/costs.hpp"
#include "opspilot/calibrate/grid_threshold.hpp"
#include "opspilot/calibrate/label_noise.hpp"
#include "opspilot/calibrate/label_plan.hpp"
#include "opspilot/calibrate/labels.hpp"
#include "opspilot/calibrate/ladder.hpp"
#include "opspilot/calibrate/rate_process.hpp"
#include "opspilot/calibrate/recall.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using doubles_in = vector_in<double>;

/// One dimension, or an exception that names the argument. None: nothing. Holds the array it reads from.
class optional_doubles {
public:
    optional_doubles(const py::object& given, const char* what) {
        if (given.is_none()) return;
        array_ = doubles_in(given);
        if (array_.ndim() != 1)
            raise(error{error_kind::calibration, "calibration.shape",
                        std::string(what) + " has " + std::to_string(array_.ndim()) + " dimensions", what, "give a 1-d array"});
        given_ = true;
    }
    [[nodiscard]] std::span<const double> span() const {
        return given_ ? std::span<const double>(array_.data(), static_cast<std::size_t>(array_.size()))
                      : std::span<const double>{};
    }

private:
    doubles_in array_;
    bool given_ = false;
};

/// Labels of 0 and 1.
class binary_column {
public:
    binary_column(const py::object& given, const char* what)
        : bytes_(unwrap(binary_labels(optional_doubles(given, what).span()))) {}
    [[nodiscard]] std::span<const std::uint8_t> span() const { return bytes_; }

private:
    std::vector<std::uint8_t> bytes_;
};

py::object value_or_none(const std::optional<double>& value) {
    return value ? py::object(py::float_(*value)) : py::object(py::none());
}

py::dict recall_dict(const certified_recall& made) {
    py::dict out;
    out["value"] = value_or_none(made.value);
    out["sufficient"] = made.sufficient;
    out["n"] = made.n;
    out["positives"] = made.positives;
    out["misses_allowed"] = made.misses_allowed;
    out["misses"] = made.misses;
    out["needed"] = made.needed;
    out["flagged"] = made.flagged;
    out["statement"] = statement(made);
    return out;
}

void bind_certified_lines(py::module_& m) {
    m.def("grid_threshold", [](const py::object& score, const py::object& error, const py::object& grid, double max_risk,
                               double confidence, std::optional<double> start_value, std::uint64_t start_errors) {
        const optional_doubles scores(score, "score"), values(grid, "grid");
        const binary_column errors(error, "error");
        const grid_options options{
            .max_risk = max_risk, .confidence = confidence, .start_value = start_value, .start_errors = start_errors};
        return threshold_dict(unwrap(grid_threshold(scores.span(), errors.span(), values.span(), options)));
    });
    m.def("expected_selection", [](const py::object& score, const py::object& error, const py::object& batch, double max_risk) {
        const optional_doubles scores(score, "score"), asked(batch, "batch");
        const binary_column errors(error, "error");
        auto made = unwrap(expected_selection(scores.span(), errors.span(), asked.span(), max_risk));
        return py::make_tuple(array_of(std::move(made.selected)), value_or_none(made.value), made.n, made.batch);
    });
    m.def("betting_p_value", [](const py::object& loss, double mean, double confidence, std::uint64_t seed) {
        const optional_doubles losses(loss, "loss");
        return unwrap(betting_p_value(losses.span(), mean, {.confidence = confidence, .seed = seed}));
    });
    m.def("betting_upper", [](const py::object& loss, double confidence, std::uint64_t seed) {
        const optional_doubles losses(loss, "loss");
        return unwrap(betting_upper(losses.span(), {.confidence = confidence, .seed = seed}));
    });
    m.def("graded_threshold", [](const py::object& score, const py::object& loss, double max_loss, double confidence,
                                 const py::object& start_loss, std::uint64_t seed) {
        const optional_doubles scores(score, "score"), losses(loss, "loss"), believed(start_loss, "start_loss");
        const graded_options options{.max_loss = max_loss, .confidence = confidence, .start_loss = believed.span(), .seed = seed};
        const graded_threshold_result made = unwrap(graded_threshold(scores.span(), losses.span(), options));
        py::list steps;
        for (const graded_step& s : made.steps) {
            py::dict step;
            step["value"] = s.value;
            step["tested"] = s.tested;
            step["mean"] = s.mean;
            step["p_value"] = s.p_value;
            step["passed"] = s.passed;
            steps.append(step);
        }
        py::dict out;
        out["value"] = value_or_none(made.value);
        out["sufficient"] = made.sufficient;
        out["reason"] = std::string(made.reason);
        out["coverage"] = made.coverage;
        out["mean"] = made.mean;
        out["upper"] = made.upper;
        out["n"] = made.n;
        out["automated"] = made.automated;
        out["needed"] = made.needed;
        out["max_loss"] = made.max_loss;
        out["confidence"] = made.confidence;
        out["steps"] = steps;
        return out;
    });
    m.def("automation_ladder", [](const py::object& score, const py::object& error, double max_risk, double confidence,
                                  const py::object& belief, const std::vector<std::uint32_t>& groups, std::uint32_t group_count,
                                  const std::vector<std::uint32_t>& parents, std::uint32_t parent_count) {
        const optional_doubles scores(score, "score"), beliefs(belief, "start_probability");
        const binary_column errors(error, "error");
        const ladder_options options{.max_risk = max_risk,
                                     .confidence = confidence,
                                     .start_probability = beliefs.span(),
                                     .groups = groups,
                                     .group_count = group_count,
                                     .parents = parents,
                                     .parent_count = parent_count};
        const certificate_ladder made = unwrap(automation_ladder(scores.span(), errors.span(), options));
        py::list steps, own, pools;
        for (const ladder_step& s : made.groups) {
            py::dict step;
            step["level"] = std::string(name(s.level));
            step["reason"] = std::string(s.reason);
            step["value"] = value_or_none(s.value);
            step["parent"] = s.parent;
            step["n"] = s.n;
            step["needed"] = s.needed;
            step["automated"] = s.automated;
            step["errors"] = s.errors;
            step["automation"] = s.automation;
            step["automation_low"] = s.automation_low;
            step["automation_high"] = s.automation_high;
            steps.append(step);
        }
        for (const certified_threshold& t : made.of_groups) own.append(threshold_dict(t));
        for (const certified_threshold& t : made.of_parents) pools.append(threshold_dict(t));
        return py::make_tuple(steps, own, pools, made.delta_each);
    });
    m.def("cost_threshold", [](const py::object& score, const py::object& error, const py::object& wrong, double review,
                               double most_wrong, double confidence, const py::object& belief, std::uint64_t seed) {
        const optional_doubles scores(score, "score"), prices(wrong, "wrong"), beliefs(belief, "start_probability");
        const binary_column errors(error, "error");
        const cost_options options{.review = review,
                                   .wrong = prices.span(),
                                   .most_wrong = most_wrong,
                                   .confidence = confidence,
                                   .start_probability = beliefs.span(),
                                   .seed = seed};
        const costed_threshold made = unwrap(cost_threshold(scores.span(), errors.span(), options));
        py::dict out;
        out["value"] = value_or_none(made.value);
        out["sufficient"] = made.sufficient;
        out["reason"] = std::string(made.reason);
        out["coverage"] = made.coverage;
        out["cost"] = made.cost;
        out["cost_upper"] = made.cost_upper;
        out["saving"] = made.saving;
        out["break_even"] = made.break_even;
        out["n"] = made.n;
        out["automated"] = made.automated;
        out["needed"] = made.needed;
        out["confidence"] = made.confidence;
        return out;
    });
    m.def("plan_reviews", [](const py::object& score, const py::object& gain, std::optional<double> line, std::uint64_t capacity,
                             std::uint64_t seed) {
        const optional_doubles scores(score, "score"), gains(gain, "gain");
        review_plan made = unwrap(plan_reviews(scores.span(), gains.span(), line, capacity, seed));
        py::dict out;
        out["automated"] = array_of(std::move(made.automated));
        out["reviewed"] = array_of(std::move(made.reviewed));
        out["waiting"] = array_of(std::move(made.waiting));
        out["audited"] = array_of(std::move(made.audited));
        out["audit_probability"] = made.audit_probability;
        out["worth"] = made.worth;
        out["next_gain"] = made.next_gain;
        return out;
    });
}

void bind_recall_floors(py::module_& m) {
    m.def("recall_floor", [](const py::object& score, const py::object& label, double min_recall, double confidence,
                             const py::object& inclusion, std::uint64_t seed) {
        const optional_doubles scores(score, "score"), drawn(inclusion, "inclusion");
        const binary_column labels(label, "label");
        return recall_dict(
            unwrap(weighted_recall_floor(scores.span(), labels.span(), drawn.span(), min_recall, confidence, seed)));
    });
    m.def("recall_and_risk", [](const py::object& flag, const py::object& label, const py::object& inclusion,
                                const py::object& score, const py::object& risk_flag, const py::object& error,
                                const py::object& belief, const std::vector<double>& min_recall, double max_risk,
                                double confidence) {
        const optional_doubles flags(flag, "flag"), drawn(inclusion, "inclusion"), scores(score, "score"),
            risk_flags(risk_flag, "flag"), beliefs(belief, "start_probability");
        const binary_column labels(label, "label"), errors(error, "error");
        const auto points = unwrap(recall_and_risk(
            {.flag = flags.span(), .label = labels.span(), .inclusion = drawn.span()},
            {.score = scores.span(), .flag = risk_flags.span(), .error = errors.span(), .start_probability = beliefs.span()},
            min_recall, max_risk, confidence));
        py::list out;
        for (const recall_price& point : points) {
            py::dict entry;
            entry["floor"] = recall_dict(point.floor);
            entry["automation"] = threshold_dict(point.automation);
            entry["flagged"] = point.flagged;
            entry["extra_flagged"] = point.extra_flagged;
            out.append(entry);
        }
        return out;
    });
}

void bind_label_streams(py::module_& m) {
    m.def("log_rate_evidence", [](std::uint64_t bad, std::uint64_t total, double limit, double a, double b, bool above) {
        if (bad > total || !(limit > 0 && limit < 1) || !(a > 0) || !(b > 0))
            raise(error{error_kind::calibration, "calibration.bad_count", "bad > total, or a limit or prior out of range", "",
                        "bad <= total, limit in (0, 1), a and b above 0"});
        return log_rate_evidence(bad, total, limit, a, b, above ? rate_side::above : rate_side::below);
    });
    m.def("spent_delta", &spent_delta);
    py::class_<recertification>(m, "Recertification", "A label stream at a fixed threshold.")
        .def(py::init(
            [](double max_risk, double confidence, double revoke_confidence, double certify_change, double revoke_change) {
                return unwrap(recertification::make({.max_risk = max_risk,
                                                     .confidence = confidence,
                                                     .revoke_confidence = revoke_confidence,
                                                     .certify_change = certify_change,
                                                     .revoke_change = revoke_change}));
            }))
        .def("add",
             [](recertification& r, std::uint64_t errors, std::uint64_t total) {
                 unwrap(r.add(errors, total));
                 return std::string(name(r.state()));
             })
        .def("merge",
             [](recertification& r, const recertification& shard) {
                 unwrap(r.merge(shard));
                 return std::string(name(r.state()));
             })
        .def_property_readonly("state", [](const recertification& r) { return std::string(name(r.state())); })
        .def_property_readonly("errors", &recertification::errors)
        .def_property_readonly("total", &recertification::total)
        .def_property_readonly("log_evidence_below", &recertification::log_evidence_below)
        .def_property_readonly("log_evidence_above", &recertification::log_evidence_above);
}

void bind_label_plans(py::module_& m) {
    m.def("plan_labels", [](const py::object& score, const py::object& right, double max_risk, double confidence,
                            std::uint64_t budget, double margin, double min_recall, const py::object& positive, double rate_above,
                            std::uint32_t simulations, std::uint64_t seed) {
        const optional_doubles scores(score, "score"), beliefs(right, "believed_right"), positives(positive, "believed_positive");
        const label_plan_options options{.max_risk = max_risk,
                                         .confidence = confidence,
                                         .budget = budget,
                                         .margin = margin,
                                         .min_recall = min_recall,
                                         .believed_positive = positives.span(),
                                         .rate_above = rate_above,
                                         .simulations = simulations,
                                         .seed = seed};
        auto planned = [&] {
            const py::gil_scoped_release release;
            return plan_labels(scores.span(), beliefs.span(), options);
        }();
        label_plan made = unwrap(std::move(planned));
        py::dict out;
        out["line"] = value_or_none(made.line);
        out["above"] = made.above;
        out["believed_risk"] = made.believed_risk;
        out["risk"] = array_of(std::move(made.risk));
        out["recall"] = array_of(std::move(made.recall));
        out["inclusion"] = array_of(std::move(made.inclusion));
        out["recall_needed"] = made.recall_needed;
        out["automation"] = made.automation;
        out["automation_random"] = made.automation_random;
        out["none"] = made.none;
        out["none_random"] = made.none_random;
        return out;
    });
    m.def("symmetric_noise", &symmetric_noise);
    m.def("majority_noise", &majority_noise);
    m.def("apparent_recall", &apparent_recall);
    m.def("label_noise", [](std::uint64_t disagreements, std::uint64_t pairs, double confidence) {
        const label_noise_bounds made = unwrap(label_noise(disagreements, pairs, confidence));
        return py::make_tuple(made.noise, made.lower, made.upper);
    });
    m.def("check_noise_floor", [](double max_risk, std::uint64_t disagreements, std::uint64_t pairs, double confidence) {
        unwrap(check_noise_floor(max_risk, unwrap(label_noise(disagreements, pairs, confidence))));
    });
    m.def("noise_corrected_upper",
          [](std::uint64_t errors, std::uint64_t n, std::uint64_t disagreements, std::uint64_t pairs, double confidence) {
              return unwrap(noise_corrected_upper(errors, n, disagreements, pairs, confidence));
          });
    m.def("two_phase_audit",
          [](std::uint64_t n, std::uint64_t apparent, std::uint64_t apparent_adjudicated, std::uint64_t apparent_confirmed,
             std::uint64_t rest_adjudicated, std::uint64_t rest_found, double confidence) {
              const two_phase_bound made = unwrap(two_phase_audit({.n = n,
                                                                   .apparent = apparent,
                                                                   .apparent_adjudicated = apparent_adjudicated,
                                                                   .apparent_confirmed = apparent_confirmed,
                                                                   .rest_adjudicated = rest_adjudicated,
                                                                   .rest_found = rest_found},
                                                                  confidence));
              return py::make_tuple(made.risk_upper, made.apparent_part, made.rest_part);
          });
    m.def("critical_rank", [](std::uint64_t errors, double alpha, double delta) {
        unwrap(check_open_unit(alpha, "max_risk"));
        unwrap(check_open_unit(delta, "confidence"));
        critical_ranks ranks(alpha, delta);
        if (errors > 1'000'000)
            raise(error{error_kind::calibration, "calibration.bad_count", "more than 1,000,000 errors", "", ""});
        return ranks.rank(errors, std::uint64_t{1} << 40U);
    });
    m.def(
        "calibrator_fingerprint",
        [](const py::bytes& document) { return unwrap(calibration::parse(std::string_view(document))).calibrator_fingerprint(); },
        "What certificates made behind the calibrator of a calibration document are bound to.");
}

}  // namespace

void bind_certificates(py::module_& m) {
    bind_certified_lines(m);
    bind_recall_floors(m);
    bind_label_streams(m);
    bind_label_plans(m);
}

}  // namespace opspilot::python
