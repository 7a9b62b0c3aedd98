#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "decision.hpp"
#include "errors.hpp"
#include "findings.hpp"
#include "module.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/policy/clauses.hpp"
#include "opspilot/policy/policy.hpp"
#include "sources.hpp"

namespace py = pybind11;

namespace opspilot::python {

py::list findings_list(const std::vector<policy_finding>& findings) {
    py::list out;
    for (const policy_finding& f : findings) {
        py::dict entry;
        entry["error"] = f.is_error;
        entry["code"] = f.code;
        entry["rule"] = f.rule;
        entry["message"] = text(f.message);
        entry["where"] = text(f.where);
        entry["hint"] = text(f.hint);
        entry["excerpt"] = text(f.excerpt);
        out.append(entry);
    }
    return out;
}

namespace {

/// A compiled policy with the schema and the strings it was compiled for.
struct policy_handle {
    schema fields;
    dictionary strings;
    policy_set set;
    lookup_tables tables;
};

/// (policy or None, findings): with None at least one finding is an error.
py::tuple compile(const std::vector<std::pair<std::string, std::string>>& documents, const std::string& schema_json,
                  const lookup_tables& tables) {
    auto made = std::make_unique<policy_handle>();
    made->fields = unwrap(schema::parse(schema_json));
    made->tables = tables;
    std::vector<policy_set::document> given;
    for (const auto& [name, content] : documents) given.push_back({name, content});
    std::vector<policy_finding> findings;
    auto compiled = [&] {
        const py::gil_scoped_release unlocked;
        return policy_set::compile(given, made->fields, made->strings, &findings, policy_review::whole, tables);
    }();
    if (compiled) {
        made->set = std::move(*compiled);
        return py::make_tuple(std::move(made), findings_list(findings));
    }
    bool stated = false;
    for (const policy_finding& f : findings) stated = stated || f.is_error;
    if (!stated) raise(compiled.error());
    return py::make_tuple(py::none(), findings_list(findings));
}

status below(const char* place, status read) {
    if (!read) read.error().where = place + read.error().where;
    return read;
}

status read_task(table& into, const table_source& source, interner& strings, std::int64_t now_us) {
    if (source.schema == nullptr) {
        OPSPILOT_CHECK(into.read_json(source.json, strings, now_us, 1));
    } else {
        for (const ArrowArray* chunk : source.chunks) OPSPILOT_CHECK(append_arrow(into, *source.schema, *chunk, strings, now_us));
    }
    if (into.rows() == 1) return {};
    return error{error_kind::schema, "schema.not_one_task", "expected one task, found " + std::to_string(into.rows()), "",
                 "evaluate one task at a time"};
}

status read_candidates(const candidate_tables& into, const table_source& source, interner& strings, std::int64_t now_us) {
    json_reader reader;
    if (source.schema == nullptr) return read_candidates_json(source.json, into, strings, now_us, reader);
    arrow_reader arrow;
    for (const ArrowArray* chunk : source.chunks)
        OPSPILOT_CHECK(append_arrow_candidates(into, *source.schema, *chunk, strings, now_us, arrow));
    return {};
}

/// One tuple per candidate: allowed, cap, boost, queue, id of a broken invariant, reasons, threshold.
/// `why`: an explanation per hit, or nothing.
py::list outcome_list(const policy_set& set, const policy_outcome& out, const std::vector<std::string>& broken,
                      const std::vector<rule_explanation>& why) {
    std::vector<py::list> reasons(out.cap.size());
    for (std::size_t h = 0; h < out.hits.size(); ++h) {
        const rule_hit& hit = out.hits[h];
        const rule_info rule = set.rule(hit.rule);
        py::dict entry;
        if (!why.empty()) put_clauses(why[h], entry);
        entry["code"] = "policy." + std::string(rule.effect);
        entry["rule"] = text(rule.id);
        entry["layer"] = text(rule.layer);
        entry["text"] = text(rule.because);
        if (hit.failed) entry["failed"] = true;
        reasons[hit.candidate].append(entry);
    }
    py::list made;
    for (std::size_t i = 0; i < out.cap.size(); ++i) {
        const py::object threshold = out.threshold[i] == 0 ? py::object(py::none()) : py::object(py::float_(out.threshold[i]));
        const py::object queue = out.queue[i] == 0 ? py::object(py::none()) : py::object(text(set.rule(out.queue[i] - 1).queue));
        const py::object invariant = broken[i].empty() ? py::object(py::none()) : py::object(text(broken[i]));
        made.append(
            py::make_tuple(out.allowed[i] != 0, text(name(out.cap[i])), out.boost[i], queue, invariant, reasons[i], threshold));
    }
    return made;
}

py::list evaluate(const policy_handle& p, const py::object& task, const py::object& candidates, const py::object& now,
                  bool explain) {
    const rows_from_python task_rows(task, "task");
    const rows_from_python candidate_rows(candidates, "candidates");
    const std::int64_t now_us = microseconds(now);
    policy_outcome out;
    std::vector<std::string> broken;
    std::vector<rule_explanation> why;
    status done = [&]() -> status {
        const py::gil_scoped_release unlocked;
        interner strings(p.strings);
        table tasks(p.fields, role::task), actions(p.fields, role::action), pairs(p.fields, role::candidate);
        const bool paired = !p.fields.fields(role::candidate).empty();
        OPSPILOT_CHECK(below("/task", read_task(tasks, task_rows.view(), strings, now_us)));
        OPSPILOT_CHECK(below("/candidates", read_candidates({&actions, paired ? &pairs : nullptr, nullptr}, candidate_rows.view(),
                                                            strings, now_us)));
        std::vector<std::uint32_t> rows(actions.rows());
        std::iota(rows.begin(), rows.end(), 0U);
        const frame f{.task = &tasks,
                      .actions = &actions,
                      .action_rows = rows,
                      .pairs = paired ? &pairs : nullptr,
                      .strings = &strings,
                      .now_us = now_us};
        policy_workspace scratch;
        p.set.evaluate(f, scratch, out);
        broken.resize(rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i) broken[i] = p.set.violated_invariant(f, i, out.cap[i], scratch);
        if (!explain) return {};
        std::vector<schema::path> hidden;
        for (const std::uint32_t r : out.redacted) hidden.push_back(p.set.rule(r).field);
        for (const rule_hit& hit : out.hits) why.push_back(explain_rule(p.set, hit.rule, f, hit.candidate, scratch, hidden));
        return {};
    }();
    unwrap(std::move(done));
    return outcome_list(p.set, out, broken, why);
}

py::list rule_list(const policy_handle& p) {
    py::list out;
    for (std::uint32_t r = 0; r < p.set.rules(); ++r) {
        const rule_info rule = p.set.rule(r);
        py::dict entry;
        entry["id"] = text(rule.id);
        entry["layer"] = text(rule.layer);
        entry["effect"] = text(rule.effect);
        entry["when"] = text(rule.when);
        entry["because"] = text(rule.because);
        entry["queue"] = rule.queue.empty() ? py::object(py::none()) : py::object(text(rule.queue));
        entry["by"] = rule.by;
        entry["locked"] = rule.locked;
        entry["version"] = text(rule.version);
        out.append(entry);
    }
    return out;
}

/// By id: condition, verdict never reached, what the prover found, a row that refutes it, what the rules leave for it.
py::list proof_list(const policy_handle& p) {
    const std::vector<policy_set::proof> proofs = [&] {
        const py::gil_scoped_release unlocked;
        return p.set.prove();
    }();
    const std::vector<policy_set::invariant_info> invariants = p.set.invariants();
    constexpr std::array<const char*, 3> outcomes{"proved", "refuted", "not decided"};
    py::list out;
    for (std::size_t i = 0; i < proofs.size() && i < invariants.size(); ++i) {
        py::dict entry;
        entry["id"] = text(invariants[i].id);
        entry["when"] = text(invariants[i].when);
        entry["never"] = text(name(invariants[i].never));
        entry["outcome"] = outcomes[static_cast<std::size_t>(proofs[i].what)];
        entry["row"] = proofs[i].row.empty() ? py::object(py::none()) : py::object(text(proofs[i].row));
        entry["verdict"] = proofs[i].verdict.empty() ? py::object(py::none()) : py::object(text(proofs[i].verdict));
        out.append(entry);
    }
    return out;
}

lookup_tables read_tables(const std::vector<std::pair<std::string, std::string>>& given) {
    std::vector<lookup_tables::document> documents;
    for (const auto& [name, content] : given) documents.push_back({name, content});
    auto read = [&] {
        const py::gil_scoped_release unlocked;
        return lookup_tables::read(documents);
    }();
    return unwrap(std::move(read));
}

py::list table_infos(const lookup_tables& tables) {
    py::list out;
    for (const lookup_tables::info& t : tables.list()) {
        py::dict entry;
        entry["name"] = text(t.name);
        entry["version"] = text(t.version);
        entry["key"] = text(t.key);
        entry["value"] = text(t.value);
        entry["rows"] = t.rows;
        entry["has_default"] = t.has_default;
        entry["sha256"] = text(t.sha256);
        out.append(entry);
    }
    return out;
}

py::list guard_list(const policy_handle& p, const std::string& invariant) {
    py::list out;
    for (const policy_set::guard& g : p.set.guards(invariant))
        out.append(py::make_tuple(text(p.set.rule(g.rule).when), g.holds, g.lapses, g.fails));
    return out;
}

}  // namespace

void bind_policy(py::module_& m) {
    py::class_<lookup_tables>(m, "LookupTables").def(py::init(&read_tables), py::arg("documents")).def("infos", &table_infos);
    py::class_<policy_handle>(m, "PolicySet")
        .def_static("compile", &compile, py::arg("documents"), py::arg("schema"), py::arg("tables"))
        .def("evaluate", &evaluate, py::arg("task"), py::arg("candidates"), py::arg("now"), py::arg("explain"))
        .def("rules", &rule_list)
        .def("run_tests",
             [](const policy_handle& p) {
                 py::list out;
                 for (const policy_set::test_result& t : p.set.run_tests())
                     out.append(py::make_tuple(t.document, t.index, t.passed, text(t.message)));
                 return out;
             })
        .def("coverage", [](const policy_handle& p) { return p.set.coverage(); })
        .def("prove", &proof_list)
        .def("guards", &guard_list, py::arg("invariant"))
        .def("notes", [](const policy_handle& p) { return findings_list(p.set.notes()); })
        .def(
            "findings_at",
            [](const policy_handle& p, const py::object& now) { return findings_list(p.set.findings_at(microseconds(now))); },
            py::arg("now"))
        .def(
            "condition_tree",
            [](const policy_handle& p, const std::string& condition) {
                return text(unwrap(condition_tree(condition, p.fields, p.tables)));
            },
            py::arg("condition"))
        .def_property_readonly("tables", [](const policy_handle& p) { return p.tables; })
        .def_property_readonly("fingerprint", [](const policy_handle& p) { return p.set.fingerprint(); })
        .def_property_readonly("schema", [](const policy_handle& p) { return p.fields.to_json(); });
}

}  // namespace opspilot::python
