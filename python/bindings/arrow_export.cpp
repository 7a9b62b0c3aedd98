#include "arrow_export.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "opspilot/data/arrow.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// Everything an exported array points to; freed by its release callback.
struct exported_array {
    std::vector<std::unique_ptr<exported_array>> children;
    std::vector<ArrowArray> child_arrays;
    std::vector<ArrowArray*> child_pointers;
    std::vector<std::uint8_t> validity, bits;
    std::vector<std::int64_t> words;
    std::vector<double> numbers;
    std::string bytes;
    std::array<const void*, 3> buffers{};
};
struct exported_schema {
    std::string name;
    std::vector<ArrowSchema> children;
    std::vector<ArrowSchema*> pointers;
};

void release_array(ArrowArray* array) {
    for (std::int64_t i = 0; i < array->n_children; ++i)
        if (array->children[i]->release != nullptr) array->children[i]->release(array->children[i]);
    delete static_cast<exported_array*>(array->private_data);
    array->release = nullptr;
}
void release_schema(ArrowSchema* schema) {
    for (std::int64_t i = 0; i < schema->n_children; ++i)
        if (schema->children[i]->release != nullptr) schema->children[i]->release(schema->children[i]);
    delete static_cast<exported_schema*>(schema->private_data);
    schema->release = nullptr;
}

std::vector<std::uint8_t> packed_bits(std::size_t rows, const auto& set) {
    std::vector<std::uint8_t> bits((rows + 7) / 8, 0);
    for (std::size_t i = 0; i < rows; ++i)
        if (set(i)) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (1U << (i % 8)));
    return bits;
}

const char* format_of(column_table::kind kind) {
    switch (kind) {
        case column_table::kind::text: return "U";
        case column_table::kind::number: return "g";
        case column_table::kind::integer: return "l";
        case column_table::kind::boolean: return "b";
        case column_table::kind::record: return "+s";
        case column_table::kind::records:
        case column_table::kind::list: return "+L";
        case column_table::kind::uinteger: return "L";
        case column_table::kind::bytes: return "Z";
        case column_table::kind::timestamp: return "tsu:UTC";
        case column_table::kind::duration: return "tDu";
        case column_table::kind::null: return "n";
    }
    return "U";
}

void export_table(const column_table& table, ArrowArray& to);

void export_column(const column_table::column& from, ArrowArray& to) {
    if (from.type == column_table::kind::record) return export_table(from.members.front(), to);
    auto owner = std::make_unique<exported_array>();
    const std::size_t rows = from.valid.size();
    if (from.type == column_table::kind::null) {
        to = ArrowArray{};
        to.length = to.null_count = static_cast<std::int64_t>(rows);
        to.buffers = owner->buffers.data();
        to.release = release_array;
        to.private_data = owner.release();
        return;
    }
    std::int64_t nulls = 0;
    for (const std::uint8_t v : from.valid) nulls += v == 0 ? 1 : 0;
    owner->validity = packed_bits(rows, [&](std::size_t i) { return from.valid[i] != 0; });
    owner->buffers[0] = owner->validity.data();
    std::int64_t buffers = 2;
    switch (from.type) {
        case column_table::kind::text:
        case column_table::kind::bytes:
            owner->words = from.offsets;
            owner->bytes = from.bytes;
            owner->buffers[1] = owner->words.data();
            owner->buffers[2] = owner->bytes.data();
            buffers = 3;
            break;
        case column_table::kind::number:
            owner->numbers = from.numbers;
            owner->buffers[1] = owner->numbers.data();
            break;
        case column_table::kind::integer:
        case column_table::kind::uinteger:
        case column_table::kind::timestamp:
        case column_table::kind::duration:
            owner->words = from.integers;
            owner->buffers[1] = owner->words.data();
            break;
        case column_table::kind::boolean:
            owner->bits = packed_bits(rows, [&](std::size_t i) { return from.integers[i] != 0; });
            owner->buffers[1] = owner->bits.data();
            break;
        case column_table::kind::records:
            owner->words = from.offsets;
            owner->buffers[1] = owner->words.data();
            owner->child_arrays.resize(1);
            export_table(from.members.front(), owner->child_arrays.front());
            owner->child_pointers.push_back(&owner->child_arrays.front());
            break;
        case column_table::kind::list:
            owner->words = from.offsets;
            owner->buffers[1] = owner->words.data();
            owner->child_arrays.resize(1);
            export_column(from.items.front(), owner->child_arrays.front());
            owner->child_pointers.push_back(&owner->child_arrays.front());
            break;
        case column_table::kind::record:
        case column_table::kind::null: break;
    }
    to = ArrowArray{};
    to.length = static_cast<std::int64_t>(rows);
    to.null_count = nulls;
    to.n_buffers = buffers;
    to.buffers = owner->buffers.data();
    to.n_children = static_cast<std::int64_t>(owner->child_pointers.size());
    to.children = owner->child_pointers.data();
    to.release = release_array;
    to.private_data = owner.release();
}

/// `children` are filled by then.
void finish_schema(std::unique_ptr<exported_schema> owner, const char* format, std::int64_t flags, ArrowSchema& to) {
    for (ArrowSchema& child : owner->children) owner->pointers.push_back(&child);
    to = ArrowSchema{};
    to.format = format;
    to.name = owner->name.c_str();
    to.flags = flags;
    to.n_children = static_cast<std::int64_t>(owner->pointers.size());
    to.children = owner->pointers.data();
    to.release = release_schema;
    to.private_data = owner.release();
}

void export_field(const column_table::column& column, ArrowSchema& to);

void export_schema(const column_table& table, std::string name, ArrowSchema& to) {
    auto owner = std::make_unique<exported_schema>();
    owner->name = std::move(name);
    owner->children.resize(table.columns().size());
    for (std::size_t i = 0; i < owner->children.size(); ++i) export_field(table.columns()[i], owner->children[i]);
    finish_schema(std::move(owner), "+s", 0, to);
}

void export_field(const column_table::column& column, ArrowSchema& to) {
    if (column.type == column_table::kind::record) return export_schema(column.members.front(), column.name, to);
    auto owner = std::make_unique<exported_schema>();
    owner->name = column.name;
    owner->children.resize(column.members.size() + column.items.size());
    for (std::size_t i = 0; i < column.members.size(); ++i) export_schema(column.members[i], "item", owner->children[i]);
    for (std::size_t i = 0; i < column.items.size(); ++i)
        export_field(column.items[i], owner->children[column.members.size() + i]);
    finish_schema(std::move(owner), format_of(column.type), ARROW_FLAG_NULLABLE, to);
}

void export_table(const column_table& table, ArrowArray& to) {
    auto owner = std::make_unique<exported_array>();
    const auto& columns = table.columns();
    owner->child_arrays.resize(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i) {
        export_column(columns[i], owner->child_arrays[i]);
        owner->child_pointers.push_back(&owner->child_arrays[i]);
    }
    to = ArrowArray{};
    to.length = static_cast<std::int64_t>(table.rows());
    to.n_buffers = 1;
    to.buffers = owner->buffers.data();
    to.n_children = static_cast<std::int64_t>(columns.size());
    to.children = owner->child_pointers.data();
    to.release = release_array;
    to.private_data = owner.release();
}

template <class Struct>
py::object capsule_of(std::unique_ptr<Struct> content, const char* name) {
    py::object made = py::reinterpret_steal<py::object>(PyCapsule_New(content.get(), name, [](PyObject* capsule) {
        auto* found = static_cast<Struct*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
        if (found->release != nullptr) found->release(found);
        delete found;
    }));
    if (!made) throw py::error_already_set();
    content.release();
    return made;
}

/// A stream of one batch.
struct exported_stream {
    column_table table;
    bool given = false;
};

}  // namespace

std::size_t column_table::add(std::string name, kind type) {
    column made;
    made.name = std::move(name);
    made.type = type;
    columns_.push_back(std::move(made));
    return columns_.size() - 1;
}
std::size_t column_table::add(std::string name, kind type, column_table members) {
    const std::size_t at = add(std::move(name), type);
    columns_[at].members.push_back(std::move(members));
    return at;
}
void column_table::text_or_null(std::size_t at, std::string_view value) {
    text(at, value);
    columns_[at].valid.back() = value.empty() ? 0 : 1;
}
void column_table::end_record(std::size_t at) { columns_[at].valid.push_back(1); }
void column_table::end_records(std::size_t at) {
    columns_[at].offsets.push_back(static_cast<std::int64_t>(columns_[at].members.front().rows()));
    columns_[at].valid.push_back(1);
}
void column_table::text(std::size_t at, std::string_view value) {
    columns_[at].bytes += value;
    columns_[at].offsets.push_back(static_cast<std::int64_t>(columns_[at].bytes.size()));
    columns_[at].valid.push_back(1);
}
void column_table::number(std::size_t at, double value) {
    columns_[at].numbers.push_back(value);
    columns_[at].valid.push_back(std::isnan(value) ? 0 : 1);
}
void column_table::integer(std::size_t at, std::int64_t value) {
    columns_[at].integers.push_back(value);
    columns_[at].valid.push_back(1);
}
void column_table::boolean(std::size_t at, bool value) { integer(at, value ? 1 : 0); }

py::object column_table::value(std::size_t at, std::size_t row) const {
    const column& c = columns_[at];
    if (c.valid[row] == 0) return py::none();
    switch (c.type) {
        case kind::text: {
            const auto first = static_cast<std::size_t>(c.offsets[row]);
            return py::str(c.bytes.data() + first, static_cast<std::size_t>(c.offsets[row + 1]) - first);
        }
        case kind::number: return py::float_(c.numbers[row]);
        case kind::integer: return py::int_(c.integers[row]);
        case kind::boolean: return py::bool_(c.integers[row] != 0);
        case kind::record: return c.members.front().row(row);
        case kind::records: {
            py::list out;
            for (auto i = c.offsets[row]; i < c.offsets[row + 1]; ++i)
                out.append(c.members.front().row(static_cast<std::size_t>(i)));
            return out;
        }
        default: return py::none();  // columns by themselves, which are no table's
    }
}

py::dict column_table::row(std::size_t at) const {
    py::dict out;
    for (std::size_t c = 0; c < columns_.size(); ++c) out[py::str(columns_[c].name)] = value(c, at);
    return out;
}

py::tuple column_table::to_arrow() const {
    auto schema = std::make_unique<ArrowSchema>();
    export_schema(*this, "", *schema);
    py::object schema_capsule = capsule_of(std::move(schema), "arrow_schema");
    auto array = std::make_unique<ArrowArray>();
    export_table(*this, *array);
    return py::make_tuple(schema_capsule, capsule_of(std::move(array), "arrow_array"));
}

py::tuple to_arrow(const column_table::column& column) {
    auto schema = std::make_unique<ArrowSchema>();
    export_field(column, *schema);
    py::object schema_capsule = capsule_of(std::move(schema), "arrow_schema");
    auto array = std::make_unique<ArrowArray>();
    export_column(column, *array);
    return py::make_tuple(schema_capsule, capsule_of(std::move(array), "arrow_array"));
}

py::object column_table::to_stream() const {
    auto stream = std::make_unique<ArrowArrayStream>();
    auto owner = std::make_unique<exported_stream>();
    owner->table = *this;
    *stream = ArrowArrayStream{};
    stream->get_schema = [](ArrowArrayStream* self, ArrowSchema* out) {
        export_schema(static_cast<exported_stream*>(self->private_data)->table, "", *out);
        return 0;
    };
    stream->get_next = [](ArrowArrayStream* self, ArrowArray* out) {
        auto* state = static_cast<exported_stream*>(self->private_data);
        *out = ArrowArray{};
        if (!state->given) export_table(state->table, *out);
        state->given = true;
        return 0;
    };
    stream->get_last_error = [](ArrowArrayStream*) -> const char* { return nullptr; };
    stream->release = [](ArrowArrayStream* self) {
        delete static_cast<exported_stream*>(self->private_data);
        self->release = nullptr;
    };
    stream->private_data = owner.release();
    return capsule_of(std::move(stream), "arrow_array_stream");
}

void bind_column_table(py::module_& m) {
    py::class_<column_table>(
        m, "Table", "Columns of one length. Reads as Arrow (pyarrow.table(t), polars.DataFrame(t)) without copies of its own.")
        .def("__len__", &column_table::rows)
        .def_property_readonly("column_names",
                               [](const column_table& t) {
                                   py::list names;
                                   for (const auto& c : t.columns()) names.append(c.name);
                                   return names;
                               })
        .def(
            "column",
            [](const column_table& t, const std::string& name) {
                for (std::size_t c = 0; c < t.columns().size(); ++c) {
                    if (t.columns()[c].name != name) continue;
                    py::list values;
                    for (std::size_t row = 0; row < t.rows(); ++row) values.append(t.value(c, row));
                    return values;
                }
                throw py::key_error(name);
            },
            py::arg("name"), "Values of a column as a list; None where there is none.")
        .def("to_dicts",
             [](const column_table& t) {
                 py::list rows;
                 for (std::size_t row = 0; row < t.rows(); ++row) rows.append(t.row(row));
                 return rows;
             })
        .def(
            "__arrow_c_array__", [](const column_table& t, const py::object&) { return t.to_arrow(); },
            py::arg("requested_schema") = py::none())
        .def(
            "__arrow_c_stream__", [](const column_table& t, const py::object&) { return t.to_stream(); },
            py::arg("requested_schema") = py::none());
}

}  // namespace opspilot::python
