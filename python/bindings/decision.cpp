#include "decision.hpp"

#include <cmath>
#include <string>

#include "opspilot/audit/log.hpp"
#include "opspilot/audit/outcome.hpp"

namespace py = pybind11;

namespace opspilot::python {

py::dict versions_dict(const version_set& v) {
    py::dict out;
    out["bundle"] = v.bundle;
    out["bundle_version"] = v.bundle_version;
    out["schema"] = v.schema;
    out["features"] = v.features;
    out["model"] = v.model;
    out["policy"] = v.policy;
    out["calibration"] = v.calibration;
    out["library"] = v.library;
    return out;
}

void put_clauses(const rule_explanation& why, py::dict& into) {
    py::list clauses;
    for (const policy_clause& c : why.clauses) {
        py::dict entry, values;
        entry["text"] = text(c.text);
        entry["offset"] = c.offset;
        entry["gives"] = text(name(c.gives));
        if (!c.problem.empty()) entry["problem"] = text(c.problem);
        for (const policy_clause::seen& seen : c.values) values[text(seen.field)] = text(seen.value);
        entry["values"] = values;
        clauses.append(entry);
    }
    py::list change;
    for (const std::string& one : why.change) change.append(text(one));
    into["clauses"] = clauses;
    into["change"] = change;
}

namespace {

py::object number_or_none(double x) { return std::isnan(x) ? py::object(py::none()) : py::object(py::float_(x)); }

py::dict reason_dict(const reason& r) {
    py::dict out;
    out["code"] = text(r.code);
    if (!r.rule.empty()) out["rule"] = text(r.rule);
    if (!r.layer.empty()) out["layer"] = text(r.layer);
    out["text"] = text(r.text);
    if (r.failed) out["failed"] = true;
    return out;
}

template <class Reasons>
py::list reason_list(const Reasons& reasons) {
    py::list out;
    for (const reason& r : reasons) out.append(reason_dict(r));
    return out;
}

py::list ranked_list(const decision& d) {
    py::list out;
    for (const ranked_candidate& c : d.ranked)
        out.append(py::make_tuple(text(c.action), c.score, number_or_none(c.probability), text(name(c.decided)), c.candidate,
                                  c.allowed, reason_list(d.reasons_of(c))));
    return out;
}

/// None when it was not asked for.
py::object explanation_dict(const decision& d) {
    const decision_explanation& e = d.explanation;
    if (!e.asked) return py::none();
    py::dict out;
    const bool made = e.missing.empty();
    out["action"] = text_or_none(e.action);
    out["missing"] = text_or_none(e.missing);
    out["stage"] = made ? text_or_none(e.of_score.stage) : py::object(py::none());
    out["method"] = made ? text_or_none(e.of_score.method) : py::object(py::none());
    out["score"] = made ? number_or_none(e.of_score.score) : py::object(py::none());
    out["base"] = made ? number_or_none(e.of_score.base) : py::object(py::none());
    py::list parts;
    if (made)
        for (const score_part& part : e.of_score.parts) {
            py::dict entry;
            entry["feature"] = text(part.feature);
            entry["contribution"] = part.contribution;
            entry["personal"] = part.personal;
            parts.append(entry);
        }
    out["contributions"] = parts;
    out["others"] = made ? number_or_none(e.of_score.others) : py::object(py::none());
    return out;
}

/// None when they were not asked for.
py::object clauses_dict(const decision_clauses& all) {
    if (!all.asked) return py::none();
    py::list rules;
    for (const decision_clauses::rule& r : all.rules) {
        py::dict entry;
        entry["action"] = text_or_none(r.action);
        entry["rule"] = text(r.id);
        entry["layer"] = text(r.layer);
        entry["effect"] = text(r.effect);
        if (r.failed) entry["failed"] = true;
        put_clauses(r.why, entry);
        rules.append(entry);
    }
    py::dict out;
    out["missing"] = text_or_none(all.missing);
    out["rules"] = rules;
    out["left_out"] = all.left_out;
    return out;
}

}  // namespace

void bind_decision(py::module_& m) {
    py::class_<decision>(m, "Decision")
        .def_readonly("id", &decision::id)
        .def_property_readonly("verdict", [](const decision& d) { return text(name(d.verdict)); })
        .def_property_readonly("proposed", [](const decision& d) { return text(name(d.proposed)); })
        .def_property_readonly("action", [](const decision& d) { return text_or_none(d.action); })
        .def_property_readonly("queue", [](const decision& d) { return text_or_none(d.queue); })
        .def_property_readonly(
            "probability",
            [](const decision& d) { return d.action.empty() ? py::object(py::none()) : number_or_none(d.probability); })
        .def_property_readonly("threshold", [](const decision& d) { return number_or_none(d.threshold); })
        .def_property_readonly("override_probability", [](const decision& d) { return d.override_probability; })
        .def_property_readonly("ranked", [](const decision& d) { return ranked_list(d); })
        .def_property_readonly("reasons", [](const decision& d) { return reason_list(d.reasons); })
        .def_property_readonly("rung", [](const decision& d) { return text(name(d.rung)); })
        .def_property_readonly("explanation", [](const decision& d) { return explanation_dict(d); })
        .def_property_readonly("clauses", [](const decision& d) { return clauses_dict(d.clauses); })
        .def_property_readonly("stage", [](const decision& d) { return text(d.stage); })
        .def_property_readonly("task_id", [](const decision& d) { return text_or_none(d.task_id); })
        .def_property_readonly("client", [](const decision& d) { return text_or_none(d.client); })
        .def_readonly("now", &decision::now_us)
        .def_property_readonly("versions", [](const decision& d) { return versions_dict(d.versions()); })
        .def(
            "record",
            [](const decision& d, std::size_t top) {
                std::string out;
                d.write_record(out, top);
                return py::bytes(out);
            },
            py::arg("top") = 10);

    m.def("check_log", [](const py::bytes& content) {
        const log_summary s = check_log(std::string_view(content));
        py::dict out;
        out["ok"] = s.ok;
        out["records"] = s.records;
        out["bytes"] = s.bytes;
        out["first_time"] = s.first_time_us;
        out["last_time"] = s.last_time_us;
        out["shadow"] = s.shadow;
        py::dict verdicts;
        for (std::size_t v = 0; v < s.by_verdict.size(); ++v) verdicts[text(name(static_cast<verdict>(v)))] = s.by_verdict[v];
        out["verdicts"] = verdicts;
        out["outcomes"] = s.outcomes;
        py::dict kinds;
        for (std::size_t k = 0; k < s.by_outcome.size(); ++k) kinds[text(name(static_cast<outcome_kind>(k)))] = s.by_outcome[k];
        out["outcome_kinds"] = kinds;
        if (s.first_bad) {
            py::dict bad;
            bad["line"] = s.first_bad->line;
            bad["offset"] = s.first_bad->offset;
            bad["problem"] = s.first_bad->problem.text();
            out["first_bad"] = bad;
        } else {
            out["first_bad"] = py::none();
        }
        return out;
    });
}

}  // namespace opspilot::python
