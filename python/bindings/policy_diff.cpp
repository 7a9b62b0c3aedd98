#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "module.hpp"
#include "opspilot/policy/diff.hpp"
#include "sources.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using named_documents = std::vector<std::pair<std::string, std::string>>;

/// A compiled diff with scratch memory for as many threads as replay at once.
class diff_handle {
public:
    static std::unique_ptr<diff_handle> compile(const named_documents& before, const named_documents& after,
                                                const std::string& schema_json, const std::string& catalogue,
                                                std::size_t examples, std::size_t clients, const lookup_tables& old_tables,
                                                const lookup_tables& new_tables) {
        auto made = std::make_unique<diff_handle>();
        auto compiled = [&]() -> result<policy_diff> {
            const py::gil_scoped_release unlocked;
            OPSPILOT_TRY(const schema fields, schema::parse(schema_json));
            return policy_diff::compile(views(before), views(after), fields, catalogue,
                                        {examples, clients, old_tables, new_tables});
        }();
        made->diff_ = unwrap(std::move(compiled));
        return made;
    }

    policy_diff_counts begin() const { return diff_.begin(); }

    policy_diff_counts replay_lines(const py::bytes& lines, std::uint64_t first_line) {
        const std::string_view text = lines;
        const py::gil_scoped_release unlocked;
        policy_diff_counts out = diff_.begin();
        auto scratch = take();
        diff_.replay_lines(text, first_line, *scratch, out);
        give(std::move(scratch));
        return out;
    }

    policy_diff_counts replay_rows(const py::object& tasks, const py::object& candidates, const std::vector<std::int64_t>& now,
                                   std::uint64_t first_task) {
        const rows_from_python task_rows(tasks, "tasks");
        const rows_from_python candidate_rows(candidates, "candidates");
        policy_diff_counts out = diff_.begin();
        status done = [&]() -> status {
            const py::gil_scoped_release unlocked;
            auto scratch = take();
            const table_source t = task_rows.view(), c = candidate_rows.view();
            status read =
                diff_.replay_rows({t.schema, t.chunks, t.json}, {c.schema, c.chunks, c.json}, now, first_task, *scratch, out);
            give(std::move(scratch));
            return read;
        }();
        unwrap(std::move(done));
        return out;
    }

    void merge(policy_diff_counts& into, policy_diff_counts& more) const { diff_.merge(into, std::move(more)); }
    std::string report(const policy_diff_counts& counts) const { return diff_.report(counts); }

private:
    static std::vector<policy_set::document> views(const named_documents& given) {
        std::vector<policy_set::document> out;
        for (const auto& [name, content] : given) out.push_back({name, content});
        return out;
    }
    std::unique_ptr<policy_diff_workspace> take() {
        const std::scoped_lock lock(guard_);
        if (idle_.empty()) return std::make_unique<policy_diff_workspace>();
        auto one = std::move(idle_.back());
        idle_.pop_back();
        return one;
    }
    void give(std::unique_ptr<policy_diff_workspace> one) {
        const std::scoped_lock lock(guard_);
        idle_.push_back(std::move(one));
    }

    policy_diff diff_;
    std::mutex guard_;
    std::vector<std::unique_ptr<policy_diff_workspace>> idle_;
};

}  // namespace

void bind_policy_diff(py::module_& m) {
    py::class_<policy_diff_counts>(m, "PolicyDiffCounts");
    py::class_<diff_handle>(m, "PolicyDiff")
        .def_static("compile", &diff_handle::compile, py::arg("before"), py::arg("after"), py::arg("schema"),
                    py::arg("catalogue"), py::arg("examples"), py::arg("clients"), py::arg("old_tables"), py::arg("new_tables"))
        .def("begin", &diff_handle::begin)
        .def("replay_lines", &diff_handle::replay_lines, py::arg("lines"), py::arg("first_line"))
        .def("replay_rows", &diff_handle::replay_rows, py::arg("tasks"), py::arg("candidates"), py::arg("now"),
             py::arg("first_task"))
        .def("merge", &diff_handle::merge, py::arg("into"), py::arg("more"))
        .def("report", &diff_handle::report, py::arg("counts"));
}

}  // namespace opspilot::python
