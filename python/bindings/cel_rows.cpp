#include "cel_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "cel_values.hpp"
#include "errors.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/policy/cel/arrow_values.hpp"
#include "opspilot/policy/cel/expression.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

[[noreturn]] void refuse(error_kind kind, std::string_view code, std::string message, std::string where, std::string hint) {
    raise(error{kind, code, std::move(message), std::move(where), std::move(hint)});
}

/// Runs `make`; an exception of the package that names no place gets this one.
template <class Make>
auto placed(const std::string& where, Make&& make) {
    try {
        return make();
    } catch (py::error_already_set& problem) {
        if (py::hasattr(problem.value(), "where") && py::str(problem.value().attr("where")).cast<std::string>().empty())
            problem.value().attr("where") = text(where);
        throw;
    }
}

}  // namespace

cel_rows::cel_rows(const py::object& object, std::string what, std::map<std::string, std::string> declared)
    : what_(std::move(what)), declared_(std::move(declared)) {
    if (py::hasattr(object, "__arrow_c_stream__") || py::hasattr(object, "__arrow_c_array__")) {
        arrow_ = std::make_unique<rows_from_python>(object, what_.c_str());
    } else {
        given_ = object;
        by_column_ = py::isinstance<py::dict>(object);
    }
    count_rows();
}

std::string cel_rows::name_of(const py::handle& name) const {
    py::ssize_t size = 0;
    const char* const bytes = PyUnicode_Check(name.ptr()) ? PyUnicode_AsUTF8AndSize(name.ptr(), &size) : nullptr;
    if (bytes != nullptr) return {bytes, static_cast<std::size_t>(size)};
    PyErr_Clear();
    refuse(error_kind::usage, "usage.rows", "a field with the name " + py::repr(name).cast<std::string>(), what_,
           "names of fields are texts");
}

void cel_rows::count_rows() {
    if (arrow_ != nullptr) {
        const table_source source = arrow_->view();
        if (source.schema->format == nullptr || std::string_view(source.schema->format) != "+s")
            refuse(error_kind::schema, "schema.arrow_type", fmt::format("{} is no Arrow table", what_), "",
                   "give a table or a record batch, with a column per field");
        for (std::int64_t i = 0; i < source.schema->n_children; ++i) {
            const char* const name = source.schema->children[i]->name;
            names_.emplace_back(name == nullptr ? "" : name);
        }
        for (const ArrowArray* chunk : source.chunks) {
            if (chunk->length < 0 || chunk->offset < 0 || chunk->null_count > 0 || chunk->n_children != source.schema->n_children)
                refuse(error_kind::schema, "schema.arrow_malformed",
                       "malformed Arrow data: rows that are null, or columns that are missing", what_,
                       "the producer of the table is at fault");
            rows_ += static_cast<std::size_t>(chunk->length);
        }
        if (rows_ > static_cast<std::size_t>(arrow_row_limit))
            refuse(error_kind::limit, "limit.rows", fmt::format("{} has {} rows", what_, rows_), "", "give them in parts");
    } else if (by_column_) {
        bool first = true;
        for (const auto& [name, values] : py::dict(given_)) {
            names_.push_back(name_of(name));
            const std::size_t length = py::len(values);
            if (!first && length != rows_)
                refuse(error_kind::schema, "schema.shape", fmt::format("columns of {} and {} values", rows_, length),
                       place(0, names_.back()), "give columns of one length");
            rows_ = length;
            first = false;
        }
    } else {
        rows_ = py::len(given_);
        std::set<std::string> known;
        for (const py::handle row : given_)
            for (const auto& [name, value] : py::reinterpret_borrow<py::dict>(row))
                if (const std::string n = name_of(name); known.insert(n).second) names_.push_back(n);
    }
    std::vector<std::string> sorted = names_;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end())
        refuse(error_kind::schema, "schema.duplicate_field", fmt::format("column {} is there twice", quote(*twice)), what_,
               "keep one of them");
}

std::string cel_rows::place(std::size_t row, const std::string& name) const { return fmt::format("/{}/{}/{}", what_, row, name); }

bool cel_rows::has(std::string_view name) const noexcept { return std::find(names_.begin(), names_.end(), name) != names_.end(); }

std::vector<cel::value> cel_rows::column(const std::string& name) {
    if (!has(name)) return std::vector<cel::value>(rows_);
    if (arrow_ != nullptr) {
        auto values = from_arrow(name);
        convert(name, values);
        return values;
    }
    const auto known = made_.find(name);
    if (known != made_.end()) return known->second;
    auto values = from_python(name);
    convert(name, values);
    return made_.emplace(name, std::move(values)).first->second;
}

std::vector<cel::value> cel_rows::from_python(const std::string& name) {
    std::vector<cel::value> values(rows_);
    if (maker_ == nullptr) maker_ = std::make_unique<value_maker>(memory_);
    value_maker& maker = *maker_;
    const py::str key = text(name);
    if (by_column_) {
        std::size_t i = 0;
        for (const py::handle cell : given_[key]) {
            if (i == rows_) break;
            values[i] = placed(place(i, name), [&] { return maker.make(cell); });
            ++i;
        }
        return values;
    }
    std::size_t i = 0;
    for (const py::handle row : given_) {
        if (i == rows_) break;
        const py::handle cell = PyDict_GetItemWithError(row.ptr(), key.ptr());
        if (cell) values[i] = placed(place(i, name), [&] { return maker.make(cell); });
        ++i;
    }
    return values;
}

std::vector<cel::value> cel_rows::from_arrow(const std::string& name) {
    const table_source source = arrow_->view();
    const auto at = static_cast<std::size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    const auto declared = declared_.find(name);
    const bool as_unsigned = declared != declared_.end() && declared->second == "uint";
    std::vector<cel::value> values(rows_);
    std::size_t done = 0;
    const auto read = [&]() -> status {
        for (const ArrowArray* chunk : source.chunks) {
            OPSPILOT_TRY(const cel::arrow_values cells,
                         cel::arrow_values::open(*source.schema->children[at], *chunk->children[at], chunk->offset, chunk->length,
                                                 as_unsigned));
            for (std::int64_t i = 0; i < chunk->length; ++i, ++done) {
                OPSPILOT_TRY(values[done], cells.at(chunk->offset + i, memory_));
            }
        }
        return {};
    };
    status outcome = read();
    if (!outcome && outcome.error().where.empty()) outcome.error().where = place(done, name);
    unwrap(std::move(outcome));
    return values;
}

void cel_rows::convert(const std::string& name, std::vector<cel::value>& values) const {
    const auto declared = declared_.find(name);
    if (declared == declared_.end()) return;
    const bool number = declared->second == "double";
    const bool moment = declared->second == "timestamp" || declared->second == "google.protobuf.Timestamp";
    if (!number && !moment) return;
    for (std::size_t i = 0; i < values.size(); ++i) {
        cel::value& v = values[i];
        if (number && v.is(cel::kind::integer)) {
            const auto as_double = static_cast<double>(v.integer);
            if (cel::compare(v, cel::make_number(as_double)) != cel::ordering::equal)
                refuse(error_kind::schema, "schema.wrong_type", fmt::format("{} is no double", v.integer), place(i, name),
                       "declare the field int");
            v = cel::make_number(as_double);
        } else if (moment && v.is(cel::kind::text)) {
            auto parsed = cel::timestamp_from_text(v.view());
            if (!parsed) {
                parsed.error().where = place(i, name);
                raise(parsed.error());
            }
            v = *parsed;
        }
    }
}

column_content cel_rows::content(const std::string& name) {
    column_content found;
    for (const cel::value& v : column(name)) {
        if (v.is(cel::kind::unbound) || v.is(cel::kind::null)) continue;
        if (found.one != cel::kind::unbound && found.one != v.what) {
            found.mixed = true;
            found.in_columns = false;
        }
        found.one = v.what;
        switch (v.what) {
            case cel::kind::boolean:
            case cel::kind::integer:
            case cel::kind::number:
            case cel::kind::text: break;
            case cel::kind::timestamp: found.in_columns = found.in_columns && v.size % 1000 == 0; break;
            case cel::kind::list:
                for (std::size_t i = 0; i < v.size; ++i) found.in_columns = found.in_columns && v.items[i].is(cel::kind::text);
                break;
            default: found.in_columns = false;
        }
    }
    return found;
}

}  // namespace opspilot::python
