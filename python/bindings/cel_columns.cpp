// One expression over the rows of a table: a column of results.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrow_export.hpp"
#include "cel_rows.hpp"
#include "cel_typed.hpp"
#include "cel_values.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/policy/cel/expression.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using column = column_table::column;
using column_kind = column_table::kind;

/// Results by themselves, which read as Arrow.
struct value_column {
    column values;
};

error refused_type(std::string message) {
    return {error_kind::usage, "usage.column_type", std::move(message), "",
            "columns hold one of bool, int, uint, double, string, bytes, timestamp, duration, or lists of one of them"};
}

std::optional<column_kind> kind_of(cel::kind k) noexcept {
    switch (k) {
        case cel::kind::null: return column_kind::null;
        case cel::kind::boolean: return column_kind::boolean;
        case cel::kind::integer: return column_kind::integer;
        case cel::kind::uinteger: return column_kind::uinteger;
        case cel::kind::number: return column_kind::number;
        case cel::kind::text: return column_kind::text;
        case cel::kind::bytes: return column_kind::bytes;
        case cel::kind::timestamp: return column_kind::timestamp;
        case cel::kind::duration: return column_kind::duration;
        case cel::kind::list: return column_kind::list;
        default: return {};
    }
}

/// The kind of a type by its CEL text; nothing where values must tell.
std::optional<column_kind> kind_of(const std::string& type) noexcept {
    for (const cel::kind k : {cel::kind::boolean, cel::kind::integer, cel::kind::uinteger, cel::kind::number, cel::kind::text,
                              cel::kind::bytes, cel::kind::timestamp, cel::kind::duration})
        if (type == cel::type_name(k)) return kind_of(k);
    if (type == "timestamp") return column_kind::timestamp;
    if (type == "duration") return column_kind::duration;
    return type.starts_with("list(") ? std::optional(column_kind::list) : std::nullopt;
}

/// Appends values of one kind, which the first one that is not null decides unless it is known before.
class column_writer {
public:
    column_writer(column& to, std::optional<column_kind> known) : to_(to), known_(known.has_value()) {
        to_.type = known.value_or(column_kind::null);
    }

    void null() { slot(false); }

    /// Errors: usage.column_type.
    status take(const cel::value& v, bool inside = false) {
        if (v.is(cel::kind::null)) return null(), status{};
        const auto found = kind_of(v.what);
        if (!found || (inside && v.is(cel::kind::list)))
            return refused_type(fmt::format("{} {}, which no column holds", inside ? "a list of" : "a", cel::type_name(v.what)));
        if (!known_) become(*found);
        if (to_.type != *found) return refused_type(fmt::format("a {} where others are of another type", cel::type_name(v.what)));
        OPSPILOT_CHECK(store(v));
        slot(true);
        return {};
    }

private:
    void become(column_kind type) {
        to_.type = type;
        known_ = true;
        const std::size_t nulls = to_.valid.size();
        to_.valid.clear();
        for (std::size_t i = 0; i < nulls; ++i) slot(false);
    }
    status store(const cel::value& v) {
        switch (v.what) {
            case cel::kind::boolean: to_.integers.push_back(v.boolean ? 1 : 0); break;
            case cel::kind::integer: to_.integers.push_back(v.integer); break;
            case cel::kind::uinteger: to_.integers.push_back(static_cast<std::int64_t>(v.uinteger)); break;
            case cel::kind::number: to_.numbers.push_back(v.number); break;
            case cel::kind::text:
            case cel::kind::bytes: to_.bytes += v.view(); break;
            case cel::kind::timestamp:
            case cel::kind::duration:
                to_.integers.push_back(v.integer * 1'000'000 + static_cast<std::int64_t>(v.size / 1000));
                break;
            default: {
                begin_items();
                column_writer items(to_.items.front(), inside_);
                for (std::size_t i = 0; i < v.size; ++i) OPSPILOT_CHECK(items.take(cel::item_at(v, i, nullptr), true));
                if (items.known_) inside_ = to_.items.front().type;
            }
        }
        return {};
    }
    void begin_items() {
        if (!to_.items.empty()) return;
        to_.items.emplace_back();
        to_.items.front().name = "item";
    }
    /// Ends a row; one without value has an empty place in the other buffers.
    void slot(bool valid) {
        to_.valid.push_back(valid ? 1 : 0);
        switch (to_.type) {
            case column_kind::text:
            case column_kind::bytes: to_.offsets.push_back(static_cast<std::int64_t>(to_.bytes.size())); break;
            case column_kind::list:
                begin_items();
                to_.offsets.push_back(static_cast<std::int64_t>(to_.items.front().valid.size()));
                break;
            case column_kind::number:
                if (!valid) to_.numbers.push_back(0);
                break;
            case column_kind::null: break;
            default:
                if (!valid) to_.integers.push_back(0);
        }
    }

    column& to_;
    bool known_;
    std::optional<column_kind> inside_;
};

/// (values, {row: error}).
py::tuple evaluate_columns(const cel::expression& e, cel_rows& rows, const py::dict& constants) {
    const auto names = e.variables();
    cel::arena kept, memory;
    value_maker maker(kept);
    std::vector<cel::value> bound(names.size());
    std::vector<std::pair<std::size_t, std::vector<cel::value>>> columns;  // variable, values
    for (std::size_t v = 0; v < names.size(); ++v) {
        if (rows.has(names[v])) columns.emplace_back(v, rows.column(names[v]));
        if (constants.contains(text(names[v]))) bound[v] = maker.make(constants[text(names[v])]);
    }
    auto made = std::make_unique<value_column>();
    column_writer writer(made->values, kind_of(e.type()));
    std::vector<std::pair<std::size_t, error>> failed;
    const auto run = [&]() -> status {
        const py::gil_scoped_release unlocked;
        for (std::size_t i = 0; i < rows.rows(); ++i) {
            for (const auto& [v, values] : columns) bound[v] = values[i];
            memory.reset();
            const cel::value found = e.evaluate(bound, memory);
            if (!found.failed()) {
                status taken = writer.take(found);
                if (!taken) {
                    taken.error().where = fmt::format("row {}", i);
                    return taken;
                }
            } else {
                failed.emplace_back(i, e.explain(found));
                writer.null();
            }
        }
        return {};
    };
    unwrap(run());
    py::dict errors;
    for (const auto& [row, problem] : failed)
        errors[py::int_(row)] = text(problem.where.empty() ? problem.message : problem.message + " (" + problem.where + ")");
    return py::make_tuple(std::move(made), errors);
}

py::object cell(const column& c, std::size_t row) {
    if (c.valid[row] == 0) return py::none();
    const auto part = [&] {
        const auto first = static_cast<std::size_t>(c.offsets[row]);
        return std::string_view(c.bytes).substr(first, static_cast<std::size_t>(c.offsets[row + 1]) - first);
    };
    std::size_t left = most_values;
    const auto time = [&](cel::value (*make)(std::int64_t, std::uint32_t) noexcept) {
        const std::int64_t us = c.integers[row], rest = (us % 1'000'000 + 1'000'000) % 1'000'000;
        return to_python(make((us - rest) / 1'000'000, static_cast<std::uint32_t>(rest * 1000)), left);
    };
    switch (c.type) {
        case column_kind::boolean: return py::bool_(c.integers[row] != 0);
        case column_kind::integer: return py::int_(c.integers[row]);
        case column_kind::uinteger: return to_python(cel::make_uinteger(static_cast<std::uint64_t>(c.integers[row])), left);
        case column_kind::number: return py::float_(c.numbers[row]);
        case column_kind::text: return text(part());
        case column_kind::bytes: return py::bytes(std::string(part()));
        case column_kind::timestamp: return time(&cel::make_timestamp);
        case column_kind::duration: return time(&cel::make_duration);
        case column_kind::list: {
            py::list out;
            for (auto i = c.offsets[row]; i < c.offsets[row + 1]; ++i)
                out.append(cell(c.items.front(), static_cast<std::size_t>(i)));
            return out;
        }
        default: return py::none();
    }
}

}  // namespace

void bind_cel_columns(py::module_& m) {
    py::class_<value_column>(m, "ValueColumn", "Results of an expression, a row each. Reads as Arrow (pyarrow.array(c)).")
        .def("__len__", [](const value_column& c) { return c.values.valid.size(); })
        .def("to_pylist",
             [](const value_column& c) {
                 py::list out;
                 for (std::size_t row = 0; row < c.values.valid.size(); ++row) out.append(cell(c.values, row));
                 return out;
             })
        .def(
            "__arrow_c_array__", [](const value_column& c, const py::object&) { return to_arrow(c.values); },
            py::arg("requested_schema") = py::none());
    m.def("evaluate_columns", &evaluate_columns, py::arg("expression"), py::arg("rows"), py::arg("constants"));
}

}  // namespace opspilot::python
