// The stages of a decision, timed one by one: behind `opspilot bench`.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "arrow_export.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/decide/engine.hpp"
#include "opspilot/decide/stages.hpp"
#include "sources.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using stage_clock = std::chrono::steady_clock;

/// Columns by name, texts or numbers, as a host has them.
column_table columns_as_table(const py::dict& columns) {
    column_table out;
    for (const auto& [name, values] : columns) {
        const bool numbers = py::isinstance<py::array>(values);
        const std::size_t at = out.add(name.cast<std::string>(), numbers ? column_table::kind::number : column_table::kind::text);
        if (numbers)
            for (const double value : values.cast<std::vector<double>>()) out.number(at, value);
        else
            for (const std::string& value : values.cast<std::vector<std::string>>()) out.text(at, value);
    }
    return out;
}

/// A bundle, and one call's inputs at a time.
class stage_timer {
public:
    explicit stage_timer(std::shared_ptr<const bundle> b) : stages_(b), engine_(std::move(b)) {}

    static std::unique_ptr<stage_timer> make(const std::map<std::string, py::bytes>& parts) {
        part_map given;
        for (const auto& [name, content] : parts) given.emplace(name, std::string(content));
        return std::make_unique<stage_timer>(unwrap(bundle::draft(given)));
    }

    /// Seconds of single runs by stage, "decision" (all of it) and "record" among them. Every stage runs `inner` times in a row,
    /// as it would by itself; all take turns until the time is over.
    py::dict run(const py::bytes& task, const py::object& candidates, std::int64_t now_us, double seconds) {
        const std::string text = task;
        const rows_from_python rows(candidates, "candidates");
        const table_source tasks{.json = text};
        std::map<std::string, std::vector<double>> taken;
        {
            const py::gil_scoped_release free;
            const auto end = stage_clock::now() + std::chrono::duration<double>(seconds);
            do one_round(tasks, rows.view(), now_us, taken);
            while (stage_clock::now() < end);
        }
        py::dict out;
        for (auto& [name, list] : taken) out[name.c_str()] = list;
        return out;
    }

    /// Whole decisions with their records by so many threads at once: how many per second, and seconds of processors for each.
    std::pair<double, double> rate(const std::vector<std::string>& tasks, const py::object& candidates, std::int64_t now_us,
                                   double seconds, unsigned threads) {
        const rows_from_python rows(candidates, "candidates");
        const table_source offered = rows.view();
        std::atomic<std::size_t> done{0};
        std::atomic<bool> failed{false};
        const py::gil_scoped_release free;
        const std::clock_t used_before = std::clock();
        const auto began = stage_clock::now();
        const auto end = began + std::chrono::duration<double>(seconds);
        std::vector<std::thread> running;
        for (unsigned t = 0; t < threads; ++t)
            running.emplace_back([&, t] {
                workspace ws;
                decision d;
                std::string record;
                std::size_t own = 0;
                for (; stage_clock::now() < end; ++own) {
                    if (!engine_.decide({.json = tasks[(t + own) % tasks.size()]}, offered, now_us, ws, d)) failed = true;
                    record.clear();
                    d.write_record(record);
                }
                done += own;
            });
        for (std::thread& t : running) t.join();
        const double wall = std::chrono::duration<double>(stage_clock::now() - began).count();
        const double used = static_cast<double>(std::clock() - used_before) / CLOCKS_PER_SEC;
        const auto count = static_cast<double>(done);
        return failed ? std::pair{0.0, 0.0} : std::pair{count / wall, used / count};
    }

private:
    static constexpr int inner = 3;

    template <class F>
    static void timed(std::vector<double>& into, F&& body) {
        for (int i = 0; i < inner; ++i) {
            const auto began = stage_clock::now();
            body();
            into.push_back(std::chrono::duration<double>(stage_clock::now() - began).count());
        }
    }

    void one_round(const table_source& task, const table_source& candidates, std::int64_t now_us,
                   std::map<std::string, std::vector<double>>& taken) {
        check(stages_.prepare(task, candidates, now_us));
        for (std::size_t k = 0; k < decision_stage_names.size(); ++k) {
            const auto stage = static_cast<decision_stage>(k);
            if (stages_.has(stage)) timed(taken[std::string(decision_stage_names[k])], [&] { check(stages_.run(stage)); });
        }
        timed(taken["decision"], [&] {
            check(engine_.decide(task, candidates, now_us, scratch_, decision_));
            line_.clear();
            decision_.write_record(line_);
        });
        timed(taken["record"], [&] {
            line_.clear();
            decision_.write_record(line_);
        });
    }

    static void check(const status& done) {
        if (done) return;
        const py::gil_scoped_acquire hold;
        raise(done.error());
    }

    stage_runner stages_;
    engine engine_;
    workspace scratch_;
    decision decision_;
    std::string line_;
};

}  // namespace

void bind_stages(py::module_& m) {
    py::class_<stage_timer>(m, "StageTimer", "Times the stages of decisions one by one.")
        .def(py::init(&stage_timer::make), py::arg("parts"), py::pos_only())
        .def("run", &stage_timer::run, py::arg("task"), py::arg("candidates"), py::arg("now"), py::arg("seconds"), py::pos_only(),
             "Seconds of single runs of every stage, measured alone, and of whole decisions.")
        .def("rate", &stage_timer::rate, py::arg("tasks"), py::arg("candidates"), py::arg("now"), py::arg("seconds"),
             py::arg("threads"), py::pos_only(), "Decisions per second by so many threads, and processor seconds for each.");
    m.def("table_of", &columns_as_table, py::arg("columns"), py::pos_only(), "A table of lists of text and arrays of numbers.");
}

}  // namespace opspilot::python
