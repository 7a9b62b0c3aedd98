#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "cel_rows.hpp"
#include "cel_values.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/policy/cel/rule_set.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

using positions = vector_in<std::int64_t>;

/// Conditions compiled for one schema, with what threads evaluate them in.
class condition_set {
public:
    schema fields;
    dictionary strings;
    cel::rule_set rules;

    std::unique_ptr<cel::rule_set::workspace> take() const {
        const std::lock_guard<std::mutex> locked(mutex_);
        if (idle_.empty()) return std::make_unique<cel::rule_set::workspace>();
        auto taken = std::move(idle_.back());
        idle_.pop_back();
        return taken;
    }
    void give_back(std::unique_ptr<cel::rule_set::workspace> workspace) const {
        const std::lock_guard<std::mutex> locked(mutex_);
        idle_.push_back(std::move(workspace));
    }

private:
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<cel::rule_set::workspace>> idle_;
};

/// Actions as columns, and what their conditions are where the action alone decides.
struct condition_catalogue {
    std::shared_ptr<const condition_set> of;
    dictionary strings;
    table actions;
    cel::rule_set::catalogue ready;
};

/// (set, [(index, code, message, where, hint)] of the expressions that the checker refuses).
py::tuple compile_set(const std::vector<std::string>& expressions, const std::string& schema_json) {
    auto made = std::make_shared<condition_set>();
    made->fields = unwrap(schema::parse(schema_json));
    std::vector<cel::rule_set::refusal> refused;
    {
        const py::gil_scoped_release unlocked;
        auto compiled = cel::rule_set::compile(expressions, made->fields, made->strings, &refused);
        made->rules = std::move(compiled).value();  // every problem is a refusal
    }
    py::list out;
    for (const auto& r : refused)
        out.append(py::make_tuple(r.expression, text(r.why.code), text(r.why.message), text(r.why.where), text(r.why.hint)));
    return py::make_tuple(std::move(made), out);
}

/// The fields' columns of rows but for those named in `without`; of none, so many rows without a value.
table table_of(const schema& s, role r, cel_rows* given, std::size_t rows, interner& strings,
               const std::vector<std::string>& without) {
    const auto fields = s.fields(r);
    std::vector<std::vector<cel::value>> columns(fields.size());
    if (given != nullptr)
        for (std::size_t k = 0; k < fields.size(); ++k)
            if (given->has(fields[k].name) && std::find(without.begin(), without.end(), fields[k].name) == without.end())
                columns[k] = given->column(fields[k].name);
    const py::gil_scoped_release unlocked;
    auto made = cel::table_of_values(s, r, columns, rows, strings);
    if (made) return std::move(made).value();
    const py::gil_scoped_acquire locked;
    raise(made.error());
}

std::shared_ptr<condition_catalogue> prepare(const std::shared_ptr<condition_set>& set, cel_rows* actions, std::size_t rows,
                                             bool now, const std::vector<std::string>& without) {
    auto made = std::make_shared<condition_catalogue>();
    made->of = set;
    made->strings = set->strings;
    interner growing = interner::growing(made->strings);
    made->actions = table_of(set->fields, role::action, actions, rows, growing, without);
    const py::gil_scoped_release unlocked;
    if (now) made->ready = set->rules.prepare(made->actions, growing);
    return made;
}

std::vector<std::uint32_t> rows_from(const py::object& index, std::size_t count, std::size_t known) {
    std::vector<std::uint32_t> rows(count);
    if (index.is_none()) {
        std::iota(rows.begin(), rows.end(), 0U);
        return rows;
    }
    const auto given = index.cast<positions>();
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t at = given.data()[i];
        if (at < 0 || static_cast<std::uint64_t>(at) >= known)
            raise(error{error_kind::schema, "schema.out_of_range",
                        "row " + std::to_string(at) + " of " + std::to_string(known) + " actions",
                        "index[" + std::to_string(i) + "]", "give rows from 0 on"});
        rows[i] = static_cast<std::uint32_t>(at);
    }
    return rows;
}

py::array_t<bool> flags(std::size_t rules, std::size_t candidates) {
    return py::array_t<bool>({static_cast<py::ssize_t>(rules), static_cast<py::ssize_t>(candidates)});
}
std::span<std::uint8_t> bytes_of(py::array_t<bool>& a) {
    return {reinterpret_cast<std::uint8_t*>(a.mutable_data()), static_cast<std::size_t>(a.size())};
}

/// (matched, failed), a row per expression.
py::tuple evaluate_set(const condition_catalogue& c, cel_rows* task, cel_rows* pairs, const py::object& index, std::size_t count,
                       std::int64_t now_us, const std::vector<std::string>& without) {
    const condition_set& set = *c.of;
    interner strings(c.strings);
    const table tasks = table_of(set.fields, role::task, task, 1, strings, without);
    const bool paired = !set.fields.fields(role::candidate).empty();
    const table pair_rows = paired ? table_of(set.fields, role::candidate, pairs, count, strings, {}) : table{};
    const std::vector<std::uint32_t> rows = rows_from(index, count, c.actions.rows());
    py::array_t<bool> matched = flags(set.rules.size(), count), failed = flags(set.rules.size(), count);
    const auto yes = bytes_of(matched), error = bytes_of(failed);
    {
        const py::gil_scoped_release unlocked;
        const frame f{.task = &tasks,
                      .actions = &c.actions,
                      .action_rows = rows,
                      .pairs = paired ? &pair_rows : nullptr,
                      .strings = &strings,
                      .now_us = now_us};
        auto workspace = set.take();
        set.rules.evaluate(f, *workspace, yes, error, c.ready.state == nullptr ? nullptr : &c.ready);
        set.give_back(std::move(workspace));
    }
    return py::make_tuple(matched, failed);
}

// ---- what has no columns: the scalar machine, candidate by candidate ----

/// A record of each candidate as a map: what is null is not in it.
struct record {
    std::string name;
    std::vector<std::string> names;  // in the order of a map's keys
    std::vector<std::vector<cel::value>> columns;
    std::vector<std::uint32_t> rows;  // one per candidate
    std::vector<cel::map_entry> entries;

    void read(cel_rows& from) {
        std::vector<cel::map_entry> keys;
        for (const std::string& n : from.names()) keys.push_back({cel::make_text(n), {}});
        (void)cel::sort_entries(keys);
        for (const cel::map_entry& key : keys) names.emplace_back(key.key.view());
        for (const std::string& n : names) columns.push_back(from.column(n));
        entries.resize(names.size());
    }
    [[nodiscard]] cel::value at(std::size_t candidate) {
        std::size_t n = 0;
        for (std::size_t k = 0; k < names.size(); ++k) {
            const cel::value& v = columns[k][rows[candidate]];
            if (!v.is(cel::kind::unbound) && !v.is(cel::kind::null)) entries[n++] = {cel::make_text(names[k]), v};
        }
        return cel::make_map({entries.data(), n});
    }
};

/// `records`: name -> (rows, how they belong to candidates: 0 the first to all, 1 by `index`, 2 one each).
py::tuple evaluate_by_machine(const std::vector<cel::expression>& expressions, const py::dict& constants,
                              const std::vector<std::tuple<std::string, cel_rows*, int>>& records, const py::object& index,
                              std::size_t count) {
    std::vector<record> read(records.size());
    for (std::size_t r = 0; r < records.size(); ++r) {
        auto& [name, from, how] = records[r];
        read[r].name = name;
        read[r].read(*from);
        read[r].rows = rows_from(how == 1 ? index : py::object(py::none()), count, from->rows());
        if (how == 0) std::fill(read[r].rows.begin(), read[r].rows.end(), 0U);
    }
    cel::arena kept, memory;
    value_maker maker(kept);
    std::vector<std::vector<cel::value>> bound;
    std::vector<std::vector<std::pair<std::size_t, std::size_t>>> places;  // per expression: variable, record
    for (const cel::expression& e : expressions) {
        std::vector<cel::value>& values = bound.emplace_back(e.variables().size());
        auto& at = places.emplace_back();
        for (std::size_t v = 0; v < values.size(); ++v) {
            const std::string& name = e.variables()[v];
            if (constants.contains(text(name))) values[v] = maker.make(constants[text(name)]);
            for (std::size_t r = 0; r < read.size(); ++r)
                if (read[r].name == name) at.emplace_back(v, r);
        }
    }
    py::array_t<bool> matched = flags(expressions.size(), count), failed = flags(expressions.size(), count);
    const auto yes = bytes_of(matched), error = bytes_of(failed);
    {
        const py::gil_scoped_release unlocked;
        std::vector<cel::value> now(read.size());
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t r = 0; r < read.size(); ++r) now[r] = read[r].at(i);
            for (std::size_t e = 0; e < expressions.size(); ++e) {
                for (const auto& [variable, r] : places[e]) bound[e][variable] = now[r];
                memory.reset();
                const cel::value v = expressions[e].evaluate(bound[e], memory);
                yes[e * count + i] = v.is_true() ? 1 : 0;
                error[e * count + i] = v.is(cel::kind::boolean) ? 0 : 1;
            }
        }
    }
    return py::make_tuple(matched, failed);
}

std::string content_text(cel_rows& rows, const std::string& name) {
    const column_content found = rows.content(name);
    if (found.one == cel::kind::unbound) return "null";
    if (!found.in_columns) return "";
    switch (found.one) {
        case cel::kind::timestamp: return "timestamp";
        case cel::kind::list: return "list<string>";
        default: return std::string(cel::type_name(found.one));
    }
}

}  // namespace

void bind_cel_rules(py::module_& m) {
    py::class_<cel_rows>(m, "CelRows")
        .def(py::init<const py::object&, std::string, std::map<std::string, std::string>>(), py::arg("rows"), py::arg("what"),
             py::arg("declared") = std::map<std::string, std::string>{})
        .def("__len__", &cel_rows::rows)
        .def_property_readonly("names", &cel_rows::names)
        .def("content", &content_text, py::arg("name"),
             "The field type that holds all values of a column: 'null' where there are none, '' where none does.");
    py::class_<condition_catalogue, std::shared_ptr<condition_catalogue>>(m, "ConditionCatalogue")
        .def("evaluate", &evaluate_set, py::arg("task").none(true), py::arg("pairs").none(true), py::arg("index"),
             py::arg("count"), py::arg("now"), py::arg("without"));
    py::class_<condition_set, std::shared_ptr<condition_set>>(m, "ConditionSet")
        .def_static("compile", &compile_set, py::arg("expressions"), py::arg("schema"))
        .def_static("engines",
                    [] {
                        std::vector<std::string> names;
                        for (const std::string_view name : cel::rule_set::engines()) names.emplace_back(name);
                        return names;
                    })
        .def("prepare", &prepare, py::arg("actions").none(true), py::arg("rows"), py::arg("now"), py::arg("without"));
    m.def("evaluate_conditions", &evaluate_by_machine, py::arg("expressions"), py::arg("constants"), py::arg("records"),
          py::arg("index"), py::arg("count"));
}

}  // namespace opspilot::python
