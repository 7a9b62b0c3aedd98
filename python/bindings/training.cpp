#include "training.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "errors.hpp"
#include "module.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/rank/generator.hpp"
#include "sources.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

std::string_view utf8(const py::handle& value) {
    py::ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
    if (text == nullptr) throw py::error_already_set();
    return {text, static_cast<std::size_t>(size)};
}

/// One Python value into a cell; what has no form in a table is refused by type.
status set_cell(table& t, std::uint32_t field, const py::handle& value, interner& strings) {
    PyObject* object = value.ptr();
    if (value.is_none()) return t.set_missing(field);
    if (PyBool_Check(object)) return t.set_boolean(field, object == Py_True);
    if (PyUnicode_Check(object)) return t.set_text(field, utf8(value), strings);
    if (PyFloat_Check(object)) return t.set_number(field, PyFloat_AS_DOUBLE(object));
    if (PyIndex_Check(object)) {
        const long long number = py::reinterpret_steal<py::int_>(PyNumber_Index(object)).cast<long long>();
        return t.set_integer(field, number);
    }
    if (PyList_Check(object) || PyTuple_Check(object)) {
        std::vector<std::string_view> items;
        for (const py::handle item : py::reinterpret_borrow<py::sequence>(value)) items.push_back(utf8(item));
        return t.set_list(field, items, strings);
    }
    return t.set_number(field, value.cast<double>());
}

/// Appends a sequence of mappings row by row.
void append_rows(table& t, const py::sequence& rows, interner& strings, const std::vector<std::int64_t>& now) {
    const role of = t.role_of();
    std::size_t i = 0;
    for (const py::handle row : rows) {
        t.begin_row();
        for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(row))
            unwrap(set_cell(t, unwrap(t.schema_of().require(of, utf8(key))), value, strings));
        unwrap(t.end_row(strings, now[i++]));
    }
}

}  // namespace

training_data::training_data(const std::string& schema_json, const std::string& catalogue_json)
    : schema_(unwrap(schema::parse(schema_json))), interner_(interner::growing(strings_)) {
    catalogue_.reset(schema_, role::action);
    tasks_.reset(schema_, role::task);
    pairs_.reset(schema_, role::candidate);
    unwrap(catalogue_.read_json(catalogue_json, interner_, 0));
}

void training_data::add_tasks(const py::object& rows, const py::object& now) {
    const std::size_t before = tasks_.rows();
    const bool many = py::isinstance<py::array>(now) || py::isinstance<py::list>(now);
    std::vector<std::int64_t> times;
    if (many) times = now.cast<std::vector<std::int64_t>>();
    if (py::hasattr(rows, "__arrow_c_stream__") || py::hasattr(rows, "__arrow_c_array__")) {
        if (many)
            raise(error{error_kind::usage, "usage.now", "an Arrow table with one time per task", "now",
                        "give one time for all of them"});
        const rows_from_python source(rows, "tasks");
        for (const ArrowArray* chunk : source.view().chunks)
            unwrap(append_arrow(tasks_, *source.view().schema, *chunk, interner_, microseconds(now)));
    } else {
        const auto list = rows.cast<py::sequence>();
        if (!many) times.assign(list.size(), microseconds(now));
        if (times.size() != list.size())
            raise(error{error_kind::usage, "usage.length",
                        std::to_string(times.size()) + " times for " + std::to_string(list.size()) + " tasks", "now", ""});
        append_rows(tasks_, list, interner_, times);
    }
    if (times.empty()) times.assign(tasks_.rows() - before, microseconds(now));
    now_.insert(now_.end(), times.begin(), times.end());
}

void training_data::generate(const std::string& document) {
    const generator made = unwrap(generator::parse(document, schema_, catalogue_));
    generator_workspace scratch;
    std::vector<std::uint32_t> rows;
    offsets_.assign(1, 0);
    rows_.clear();
    for (std::size_t t = 0; t < tasks_.rows(); ++t) {
        made.generate(tasks_, t, scratch, rows);
        rows_.insert(rows_.end(), rows.begin(), rows.end());
        offsets_.push_back(static_cast<std::uint32_t>(rows_.size()));
    }
    pairs_.clear();
    if (schema_.fields(role::candidate).empty()) return;
    for (std::size_t t = 0; t < tasks_.rows(); ++t)
        for (std::uint32_t i = offsets_[t]; i < offsets_[t + 1]; ++i) {
            pairs_.begin_row();
            unwrap(pairs_.end_row(interner_, now_[t]));
        }
}

void training_data::set_candidates(const py::object& rows) {
    std::unordered_map<std::string_view, std::uint32_t> row_of;
    const std::uint32_t id = *schema_.find(role::action, "id");
    for (std::size_t r = 0; r < catalogue_.rows(); ++r)
        row_of[strings_.text(catalogue_.get(id, r).code)] = static_cast<std::uint32_t>(r);
    std::vector<std::uint32_t> counts(tasks_.rows() + 1, 0);
    rows_.clear();
    pairs_.clear();
    std::size_t previous = 0;
    for (const py::handle entry : rows.cast<py::sequence>()) {
        const auto row = py::reinterpret_borrow<py::dict>(entry);
        const auto task = row["task_index"].cast<std::size_t>();
        if (task >= tasks_.rows() || task < previous)
            raise(error{error_kind::schema, "schema.order",
                        "task_index " + std::to_string(task) + " does not ascend within the tasks", "", ""});
        previous = task;
        const auto found = row_of.find(utf8(row["id"]));
        if (found == row_of.end())
            raise(error{error_kind::schema, "schema.unknown_action",
                        "no such action in the catalogue: " + std::string(utf8(row["id"])), "", ""});
        rows_.push_back(found->second);
        ++counts[task + 1];
        pairs_.begin_row();
        for (const auto& [key, value] : row) {
            const std::string_view name = utf8(key);
            if (name == "task_index" || name == "id") continue;
            unwrap(set_cell(pairs_, unwrap(schema_.require(role::candidate, name)), value, interner_));
        }
        unwrap(pairs_.end_row(interner_, now_[task]));
    }
    offsets_.assign(1, 0);
    for (std::size_t t = 0; t < tasks_.rows(); ++t) offsets_.push_back(offsets_.back() + counts[t + 1]);
}

py::array_t<std::int32_t> training_data::set_chosen(const py::list& ids) {
    if (ids.size() != tasks_.rows() || offsets_.size() != tasks_.rows() + 1)
        raise(error{error_kind::usage, "usage.length",
                    std::to_string(ids.size()) + " choices for " + std::to_string(tasks_.rows()) + " tasks", "chosen",
                    "generate or set candidates first"});
    const std::uint32_t id = *schema_.find(role::action, "id");
    chosen_.assign(tasks_.rows(), -1);
    for (std::size_t t = 0; t < tasks_.rows(); ++t) {
        const py::object wanted = ids[t];
        if (wanted.is_none()) continue;
        const std::uint32_t code = strings_.find(utf8(wanted));
        for (std::uint32_t i = offsets_[t]; i < offsets_[t + 1]; ++i)
            if (catalogue_.get(id, rows_[i]).code == code) chosen_[t] = static_cast<std::int32_t>(i - offsets_[t]);
    }
    return py::array_t<std::int32_t>(static_cast<py::ssize_t>(chosen_.size()), chosen_.data());
}

void training_data::set_folds(const py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>& folds) {
    if (static_cast<std::size_t>(folds.size()) != tasks_.rows())
        raise(error{error_kind::usage, "usage.length",
                    std::to_string(folds.size()) + " folds for " + std::to_string(tasks_.rows()) + " tasks", "folds", ""});
    folds_.assign(folds.data(), folds.data() + folds.size());
}

training_set training_data::view() const {
    return {.tasks = &tasks_,
            .actions = &catalogue_,
            .pairs = schema_.fields(role::candidate).empty() ? nullptr : &pairs_,
            .candidate_offsets = offsets_,
            .action_rows = rows_,
            .chosen = chosen_,
            .fold = folds_,
            .now_us = now_,
            .strings = &interner_};
}

frame training_data::frame_of(std::size_t task) const {
    return {.task = &tasks_,
            .task_row = task,
            .actions = &catalogue_,
            .action_rows = std::span(rows_).subspan(offsets_[task], offsets_[task + 1] - offsets_[task]),
            .pairs = schema_.fields(role::candidate).empty() ? nullptr : &pairs_,
            .pair_begin = offsets_[task],
            .strings = &interner_,
            .now_us = now_[task],
            .catalogue = true};
}

py::array_t<std::int64_t> training_data::offsets() const {
    py::array_t<std::int64_t> out(static_cast<py::ssize_t>(offsets_.size()));
    std::copy(offsets_.begin(), offsets_.end(), out.mutable_data());
    return out;
}
py::array_t<std::uint32_t> training_data::rows() const {
    return py::array_t<std::uint32_t>(static_cast<py::ssize_t>(rows_.size()), rows_.data());
}
py::list training_data::action_ids() const {
    py::list out;
    const std::uint32_t id = *schema_.find(role::action, "id");
    for (std::size_t r = 0; r < catalogue_.rows(); ++r) {
        const std::string_view name = strings_.text(catalogue_.get(id, r).code);
        out.append(py::str(name.data(), name.size()));
    }
    return out;
}

parallel_for host_threads(std::size_t threads) {
    if (threads <= 1) return {};
    return [threads](std::size_t count, const std::function<void(std::size_t)>& body) {
        std::atomic<std::size_t> next{0};
        std::exception_ptr failure;
        std::mutex lock;
        const auto work = [&] {
            for (std::size_t i = next++; i < count; i = next++) try {
                    body(i);
                } catch (...) {
                    const std::lock_guard hold(lock);
                    failure = std::current_exception();
                }
        };
        std::vector<std::jthread> running;
        for (std::size_t t = 1; t < std::min(threads, count); ++t) running.emplace_back(work);
        work();
        running.clear();
        if (failure) std::rethrow_exception(failure);
    };
}

}  // namespace opspilot::python
