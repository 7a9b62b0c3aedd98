#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrow_export.hpp"
#include "batch_columns.hpp"
#include "decision.hpp"
#include "errors.hpp"
#include "findings.hpp"
#include "module.hpp"
#include "opspilot/decide/engine.hpp"
#include "sources.hpp"
#include "stage_columns.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

struct bundle_handle {
    std::shared_ptr<const bundle> ptr;
};

/// Workspaces of the threads that decide: one is borrowed per call and handed back.
class workspace_pool {
public:
    std::unique_ptr<workspace> borrow() {
        const std::lock_guard hold(lock_);
        if (free_.empty()) return std::make_unique<workspace>();
        auto taken = std::move(free_.back());
        free_.pop_back();
        return taken;
    }
    void give_back(std::unique_ptr<workspace> w) {
        const std::lock_guard hold(lock_);
        free_.push_back(std::move(w));
    }

private:
    std::mutex lock_;
    std::vector<std::unique_ptr<workspace>> free_;
};

struct engine_handle {
    explicit engine_handle(const bundle_handle& b) : core(b.ptr) {}
    engine core;
    workspace_pool workspaces;
};

using named_texts = std::vector<std::pair<std::string, std::string>>;
using client_texts = std::vector<std::pair<std::string, std::optional<std::string>>>;

/// Documents as Python gave them, and the view of them that the library takes.
class given_change {
public:
    given_change(const std::optional<named_texts>& documents, const client_texts& overlays) : replaces_(documents.has_value()) {
        if (documents)
            for (const auto& [name, content] : *documents) policy_.push_back({name, content});
        for (const auto& [client, content] : overlays)
            overlays_.push_back({client, content ? std::optional<std::string_view>(*content) : std::nullopt});
    }
    [[nodiscard]] policy_change view() const {
        policy_change out{.policy = {}, .overlays = overlays_};
        if (replaces_) out.policy = policy_;
        return out;
    }

private:
    bool replaces_;
    std::vector<policy_set::document> policy_;
    std::vector<policy_change::overlay> overlays_;
};

status publish(engine& core, const std::optional<named_texts>& documents, const client_texts& overlays, std::int64_t now_us,
               std::vector<policy_finding>& findings) {
    const given_change change(documents, overlays);
    return core.publish(change.view(), now_us, &findings);
}

py::dict report_dict(const shadow_report& r) {
    py::dict out, verdicts;
    for (std::size_t live = 0; live < r.verdicts.size(); ++live)
        for (std::size_t other = 0; other < r.verdicts[live].size(); ++other)
            if (r.verdicts[live][other] != 0)
                verdicts[text(std::string(name(static_cast<verdict>(live))) + " -> " +
                              std::string(name(static_cast<verdict>(other))))] = r.verdicts[live][other];
    py::list examples;
    for (const shadow_report::example& x : r.examples) {
        py::dict entry;
        entry["decision"] = text(x.decision);
        entry["task"] = text(x.task);
        entry["verdict"] = py::make_tuple(text(name(x.live)), text(name(x.shadow)));
        entry["action"] = py::make_tuple(text_or_none(x.live_action), text_or_none(x.shadow_action));
        entry["queue"] = py::make_tuple(text_or_none(x.live_queue), text_or_none(x.shadow_queue));
        examples.append(entry);
    }
    out["running"] = r.running;
    out["policy"] = text_or_none(r.policy);
    out["decided"] = r.decided;
    out["failed"] = r.failed;
    out["changed"] = r.changed;
    out["actions"] = r.actions;
    out["queues"] = r.queues;
    out["verdicts"] = verdicts;
    out["examples"] = examples;
    return out;
}

/// (whether it was, findings). An error that no finding states is raised.
py::tuple published(const status& done, const std::vector<policy_finding>& findings) {
    bool stated = false;
    for (const policy_finding& f : findings) stated = stated || f.is_error;
    if (!done && !stated) raise(done.error());
    return py::make_tuple(done.ok(), findings_list(findings));
}

std::vector<public_key> keys_of(const std::vector<std::string>& texts) {
    std::vector<public_key> out;
    for (const std::string& text : texts) out.push_back(unwrap(public_key::from_hex(text)));
    return out;
}

rung rung_from(const std::string& wanted) {
    for (const rung r : {rung::human, rung::baseline, rung::linear, rung::cached, rung::full})
        if (name(r) == wanted) return r;
    raise(error{error_kind::usage, "usage.rung", "no rung is called '" + wanted + "'", "rung",
                "one of: full, cached, linear, baseline, human"});
}

kill_scope scope_from(const std::string& wanted) {
    if (wanted == "none") return kill_scope::none;
    if (wanted == "auto") return kill_scope::automation;
    if (wanted == "all") return kill_scope::everything;
    raise(error{error_kind::usage, "usage.kill_scope", "no kill scope is called '" + wanted + "'", "scope",
                "one of: none, auto, all"});
}

/// A decision's features, copied so that they outlive the workspace.
struct copied_features {
    explicit copied_features(const feature_matrix& m) : rows(m.rows()), columns(m.columns()), values(rows * columns) {
        for (std::size_t j = 0; j < columns; ++j)
            for (std::size_t i = 0; i < rows; ++i) values[i * columns + j] = m.at(i, j);
        for (std::size_t b = 0; b < m.sparse_blocks(); ++b) {
            const sparse_view block = m.sparse(b);
            sparse.emplace_back(std::vector<std::uint32_t>(block.index.begin(), block.index.end()),
                                std::vector<float>(block.value.begin(), block.value.end()));
        }
    }
    [[nodiscard]] py::tuple to_python() const {
        py::array_t<float> dense({rows, columns});
        std::copy(values.begin(), values.end(), dense.mutable_data());
        py::list blocks;
        for (const auto& [index, value] : sparse)
            blocks.append(py::make_tuple(py::array_t<std::uint32_t>(static_cast<py::ssize_t>(index.size()), index.data()),
                                         py::array_t<float>(static_cast<py::ssize_t>(value.size()), value.data())));
        return py::make_tuple(dense, blocks);
    }
    std::size_t rows, columns;
    std::vector<float> values;
    std::vector<std::pair<std::vector<std::uint32_t>, std::vector<float>>> sparse;
};

}  // namespace

void bind_decide(py::module_& m) {
    bind_decision(m);
    bind_column_table(m);
    py::class_<bundle_handle>(m, "Bundle")
        .def_static("from_bytes",
                    [](const py::bytes& packed) {
                        const std::string_view bytes = packed;
                        auto made = [&] {
                            const py::gil_scoped_release unlocked;
                            return bundle::load(bytes);
                        }();
                        return bundle_handle{unwrap(std::move(made))};
                    })
        .def_static("draft",
                    [](const std::map<std::string, py::bytes>& parts) {
                        part_map all;
                        for (const auto& [name, content] : parts) all[name] = std::string(content);
                        auto made = [&] {
                            const py::gil_scoped_release unlocked;
                            return bundle::draft(all);
                        }();
                        return bundle_handle{unwrap(std::move(made))};
                    })
        .def_static("build_parts",
                    [](const std::map<std::string, py::bytes>& parts) {
                        part_map all;
                        for (const auto& [name, content] : parts) all[name] = std::string(content);
                        auto made = [&] {
                            const py::gil_scoped_release unlocked;
                            return bundle::build(all);
                        }();
                        return py::bytes(unwrap(std::move(made)));
                    })
        .def_property_readonly("fingerprint", [](const bundle_handle& b) { return b.ptr->fingerprint(); })
        .def_property_readonly("model_fingerprint", [](const bundle_handle& b) { return b.ptr->versions().model; })
        .def_property_readonly("name", [](const bundle_handle& b) { return b.ptr->name(); })
        .def_property_readonly("version", [](const bundle_handle& b) { return b.ptr->version(); })
        .def_property_readonly("golden_rows", [](const bundle_handle& b) { return b.ptr->golden_rows(); })
        .def_property_readonly("stage_names",
                               [](const bundle_handle& b) {
                                   const auto names = b.ptr->stage_names();
                                   return std::vector<std::string>(names.begin(), names.end());
                               })
        .def_property_readonly("versions", [](const bundle_handle& b) { return versions_dict(b.ptr->versions()); })
        .def("parts_in_force",
             [](const bundle_handle& b) {
                 py::dict out;
                 for (const auto& [name, content] : unwrap(b.ptr->parts_in_force())) out[text(name)] = py::bytes(content);
                 return out;
             })
        .def_property_readonly("published", [](const bundle_handle& b) { return b.ptr->published(); })
        .def("packed", [](const bundle_handle& b) { return py::bytes(b.ptr->packed().data(), b.ptr->packed().size()); })
        .def("parts",
             [](const bundle_handle& b) {
                 py::dict out;
                 for (const auto& [name, size] : b.ptr->part_sizes()) out[text(name)] = size;
                 return out;
             })
        .def("part",
             [](const bundle_handle& b, const std::string& name) {
                 const std::string_view content = b.ptr->part(name);
                 return py::bytes(content.data(), content.size());
             })
        .def("describe_json", [](const bundle_handle& b) { return b.ptr->describe_json(); });

    py::class_<engine_handle>(m, "Engine")
        .def(py::init<const bundle_handle&>())
        .def("decide",
             [](engine_handle& e, const py::object& task, const py::object& candidates, const py::object& now,
                const std::string& rung, bool explain, bool clauses, const std::string& about) {
                 const rows_from_python tasks(task, "task");
                 const rows_from_python rows(candidates, "candidates");
                 const std::int64_t now_us = microseconds(now);
                 const decide_options options{.widest = rung_from(rung), .explain = explain, .clauses = clauses, .about = about};
                 auto out = std::make_unique<decision>();
                 status done = [&] {
                     const py::gil_scoped_release unlocked;
                     auto ws = e.workspaces.borrow();
                     status decided = e.core.decide(tasks.view(), rows.view(), now_us, *ws, *out, options);
                     e.workspaces.give_back(std::move(ws));
                     return decided;
                 }();
                 unwrap(std::move(done));
                 return out;
             })
        .def("decide_batch",
             [](engine_handle& e, const py::object& tasks, const py::object& candidates, const py::object& now,
                const std::string& rung, bool explain, bool clauses, const py::object& audit) {
                 const rows_from_python task_rows(tasks, "tasks");
                 const rows_from_python candidate_rows(candidates, "candidates");
                 const std::int64_t now_us = microseconds(now);
                 const decide_options options{.widest = rung_from(rung), .explain = explain, .clauses = clauses, .about = {}};
                 batch_columns out(explain);
                 std::string records;
                 const bool record = !audit.is_none();
                 status done = [&] {
                     const py::gil_scoped_release unlocked;
                     auto ws = e.workspaces.borrow();
                     status decided = e.core.decide_batch(
                         task_rows.view(), candidate_rows.view(), now_us, *ws,
                         [&](std::size_t, const decision& d) {
                             out.append(d);
                             if (record) d.write_record(records);
                             return true;
                         },
                         options);
                     e.workspaces.give_back(std::move(ws));
                     return decided;
                 }();
                 unwrap(std::move(done));
                 if (record) audit(py::bytes(records));
                 return std::move(out.table);
             })
        .def("features",
             [](engine_handle& e, const py::object& tasks, const py::object& candidates, const py::object& now) {
                 const rows_from_python task_rows(tasks, "tasks");
                 const rows_from_python candidate_rows(candidates, "candidates");
                 std::vector<copied_features> copies;
                 const std::int64_t now_us = microseconds(now);
                 status done = [&] {
                     const py::gil_scoped_release unlocked;
                     auto ws = e.workspaces.borrow();
                     status computed = e.core.features(task_rows.view(), candidate_rows.view(), now_us, *ws,
                                                       [&](std::size_t, const feature_matrix& computed_features) {
                                                           copies.emplace_back(computed_features);
                                                           return true;
                                                       });
                     e.workspaces.give_back(std::move(ws));
                     return computed;
                 }();
                 unwrap(std::move(done));
                 py::list out;
                 for (const copied_features& c : copies) out.append(c.to_python());
                 return out;
             })
        .def("stage_scores",
             [](engine_handle& e, const py::object& tasks, const py::object& candidates, const py::object& now) {
                 const rows_from_python task_rows(tasks, "tasks");
                 const rows_from_python candidate_rows(candidates, "candidates");
                 const std::int64_t now_us = microseconds(now);
                 stage_columns out;
                 status done = [&] {
                     const py::gil_scoped_release unlocked;
                     auto ws = e.workspaces.borrow();
                     status decided = e.core.stage_scores(task_rows.view(), candidate_rows.view(), now_us, *ws,
                                                          [&](std::size_t, const decision& d, auto scores) {
                                                              out.append(d, scores);
                                                              return true;
                                                          });
                     e.workspaces.give_back(std::move(ws));
                     return decided;
                 }();
                 unwrap(std::move(done));
                 return std::move(out).to_python();
             })
        .def("record_outcome",
             [](const engine_handle& e, const py::object& decision_id, const py::object& outcome, const py::object& now) {
                 if (!py::isinstance<py::str>(decision_id))
                     raise(error{error_kind::usage, "usage.decision_id", "an id of a decision is a str", "decision_id",
                                 "give the id as the decision has it: decision.id"});
                 const rows_from_python read(outcome, "outcome");
                 if (read.view().json.data() == nullptr)
                     raise(error{error_kind::usage, "usage.outcome", "no outcome, or a table of them", "outcome",
                                 "give a mapping or JSON as bytes, one outcome at a time"});
                 const std::string id = py::bytes(decision_id.attr("encode")("utf-8", "replace"));
                 std::string line;
                 unwrap(e.core.record_outcome(id, read.view().json, microseconds(now), line));
                 return py::bytes(line);
             })
        .def("metrics_text", [](const engine_handle& e) { return e.core.metrics_text(); })
        .def("swap", [](engine_handle& e, const bundle_handle& b) { unwrap(e.core.swap(b.ptr)); })
        .def("publish",
             [](engine_handle& e, const std::optional<named_texts>& documents, const client_texts& overlays,
                const py::object& now) {
                 std::vector<policy_finding> findings;
                 const std::int64_t now_us = microseconds(now);
                 const status done = [&] {
                     const py::gil_scoped_release unlocked;
                     return publish(e.core, documents, overlays, now_us, findings);
                 }();
                 return published(done, findings);
             })
        .def("trust", [](engine_handle& e, const std::vector<std::string>& keys, std::int64_t last_policy,
                         std::int64_t last_bundle) { unwrap(e.core.trust(keys_of(keys), last_policy, last_bundle)); })
        .def("publish_signed",
             [](engine_handle& e, const py::bytes& envelope, const py::object& now) {
                 const std::string content = envelope;
                 std::vector<policy_finding> findings;
                 const std::int64_t now_us = microseconds(now);
                 const status done = [&] {
                     const py::gil_scoped_release unlocked;
                     return e.core.publish_signed(content, now_us, &findings);
                 }();
                 return published(done, findings);
             })
        .def("swap_signed", [](engine_handle& e, const bundle_handle& b,
                               const py::bytes& envelope) { unwrap(e.core.swap_signed(b.ptr, std::string(envelope))); })
        .def("shadow",
             [](engine_handle& e, const std::optional<bundle_handle>& candidate, const std::optional<named_texts>& documents,
                const client_texts& overlays, double share) {
                 std::shared_ptr<const bundle> other = candidate ? candidate->ptr : nullptr;
                 std::vector<policy_finding> findings;
                 if (!candidate && (documents || !overlays.empty())) {
                     const given_change change(documents, overlays);
                     auto made = e.core.current()->with(change.view(), &findings);
                     if (!made) return published(made.error(), findings);
                     other = std::move(*made);
                 }
                 unwrap(e.core.shadow(std::move(other), share));
                 return published({}, findings);
             })
        .def("shadow_report", [](const engine_handle& e) { return report_dict(e.core.shadowed()); })
        .def("layers",
             [](const engine_handle& e) {
                 py::list out;
                 for (const engine::live_layer& d : e.core.layers()) {
                     py::dict entry;
                     entry["layer"] = d.layer;
                     entry["document"] = text(d.document);
                     entry["version"] = text(d.version);
                     entry["sha256"] = d.sha256;
                     entry["client"] = d.client.empty() ? py::object(py::none()) : py::object(text(d.client));
                     entry["published_us"] = d.published_us;
                     out.append(entry);
                 }
                 return out;
             })
        .def("rollback", [](engine_handle& e) { unwrap(e.core.rollback()); })
        .def("kill", [](engine_handle& e, const std::string& scope) { e.core.kill(scope_from(scope)); })
        .def_property_readonly("bundle", [](const engine_handle& e) { return bundle_handle{e.core.current()}; });
}

}  // namespace opspilot::python
