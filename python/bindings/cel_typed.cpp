#include "cel_typed.hpp"

#include <charconv>
#include <utility>

#include "errors.hpp"
#include "opspilot/policy/cel/expression.hpp"

namespace py = pybind11;

namespace opspilot::python {

void refuse_value(std::string message, std::string hint) {
    raise(error{error_kind::usage, "usage.value", std::move(message), "", std::move(hint)});
}

void count_value(std::size_t& left) {
    if (left > 0) {
        --left;
        return;
    }
    raise(error{error_kind::limit, "limit.cel_values", "the result has more than " + std::to_string(most_values) + " values", "",
                "its lists share their items; return a part of it"});
}

namespace {

std::string_view kept(const std::string& s, cel::arena& memory) {
    const std::string_view copy = memory.copy(s);
    if (copy.data() == nullptr) raise(error{error_kind::limit, "limit.cel_memory", "the values need too much memory", "", ""});
    return copy;
}

template <class T>
T number_of(const std::string& text) {
    T n{};
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc{} || end != text.data() + text.size()) refuse_value("'" + text + "' is no number of 64 bits", "");
    return n;
}

cel::value type_named(const std::string& name) {
    for (int k = static_cast<int>(cel::kind::null); k <= static_cast<int>(cel::kind::optional); ++k)
        if (cel::type_name(static_cast<cel::kind>(k)) == name) return cel::make_type(static_cast<cel::kind>(k));
    refuse_value("'" + name + "' is no type of a value", "");
}

cel::value decode(const py::handle& typed, cel::arena& memory, int depth);

cel::value* items_of(const py::sequence& given, cel::arena& memory, int depth) {
    cel::value* const items = memory.array<cel::value>(given.size());
    if (items == nullptr) raise(error{error_kind::limit, "limit.cel_memory", "the values need too much memory", "", ""});
    std::size_t at = 0;
    for (const auto& item : given) items[at++] = decode(item, memory, depth + 1);
    return items;
}

cel::value map_of(const py::sequence& given, cel::arena& memory, int depth) {
    cel::map_entry* const entries = memory.array<cel::map_entry>(given.size());
    if (entries == nullptr) raise(error{error_kind::limit, "limit.cel_memory", "the values need too much memory", "", ""});
    std::size_t at = 0;
    for (const auto& entry : given) {
        const auto pair = py::cast<py::sequence>(entry);
        if (pair.size() != 2) refuse_value("an entry of a map is [key, value]", "");
        entries[at++] = {decode(pair[0], memory, depth + 1), decode(pair[1], memory, depth + 1)};
    }
    if (!cel::sort_entries({entries, at}))
        refuse_value("a map with a repeated key, or one that is no bool, int, uint or string", "");
    return cel::make_map({entries, at});
}

cel::value decode(const py::handle& typed, cel::arena& memory, int depth) {
    if (depth > deepest_given) refuse_value("a value nested deeper than " + std::to_string(deepest_given), "");
    if (!py::isinstance<py::dict>(typed) || py::len(typed) != 1)
        refuse_value("a typed value is a dict of one key", "such as {'int': '5'}");
    const auto& [key, v] = *py::reinterpret_borrow<py::dict>(typed).begin();
    const auto stated = py::cast<std::string>(key);
    if (stated == "null") return cel::make_null();
    if (stated == "bool") return cel::make_boolean(py::cast<bool>(v));
    if (stated == "list") {
        const auto given = py::cast<py::sequence>(v);
        return cel::make_list({items_of(given, memory, depth), given.size()});
    }
    if (stated == "map") return map_of(py::cast<py::sequence>(v), memory, depth);
    if (stated == "optional") return cel::make_optional(v.is_none() ? nullptr : items_of(py::make_tuple(v), memory, depth));
    if (!py::isinstance<py::str>(v)) refuse_value("a typed value of kind '" + stated + "'", "such as {'" + stated + "': '…'}");
    const auto text = py::cast<std::string>(v);
    if (stated == "int") return cel::make_integer(number_of<std::int64_t>(text));
    if (stated == "uint") return cel::make_uinteger(number_of<std::uint64_t>(text));
    if (stated == "double") return cel::make_number(number_of<double>(text));
    if (stated == "string") return cel::make_text(kept(text, memory));
    if (stated == "bytes") {
        try {
            return cel::make_bytes(kept(py::cast<std::string>(py::module_::import("base64").attr("b64decode")(v)), memory));
        } catch (py::error_already_set& problem) {
            if (!problem.matches(PyExc_ValueError)) throw;
            refuse_value("bytes that are no base64", "");
        }
    }
    if (stated == "type") return type_named(text);
    if (stated == "timestamp") return unwrap(cel::timestamp_from_text(text));
    if (stated == "duration") return unwrap(cel::duration_from_text(text));
    refuse_value("a typed value of kind '" + stated + "'", "messages and enums of protocol buffers are not values here");
}

}  // namespace

cel::value from_typed(const py::handle& typed, cel::arena& memory) {
    try {
        return decode(typed, memory, 0);
    } catch (const py::builtin_exception&) {  // casts to what it is not
        refuse_value("a typed value of another shape", "write {'list': [typed, …]}, {'map': [[key, value], …]}, {'bool': true}");
    }
}

py::dict to_typed(const cel::value& v, std::size_t& left) {
    count_value(left);
    py::dict out;
    switch (v.what) {
        case cel::kind::boolean: out["bool"] = py::bool_(v.boolean); break;
        case cel::kind::integer: out["int"] = std::to_string(v.integer); break;
        case cel::kind::uinteger: out["uint"] = std::to_string(v.uinteger); break;
        case cel::kind::number: {
            const auto shortest = py::cast<std::string>(py::repr(py::float_(v.number)));
            out["double"] = shortest == "nan"    ? "NaN"
                            : shortest == "inf"  ? "Infinity"
                            : shortest == "-inf" ? "-Infinity"
                                                 : shortest;
            break;
        }
        case cel::kind::text: out["string"] = text(v.view()); break;
        case cel::kind::bytes:
            out["bytes"] = py::module_::import("base64")
                               .attr("b64encode")(py::bytes(v.data, static_cast<std::size_t>(v.size)))
                               .attr("decode")();
            break;
        case cel::kind::list: {
            py::list items;
            for (std::size_t i = 0; i < v.size; ++i) items.append(to_typed(cel::item_at(v, i, nullptr), left));
            out["list"] = items;
            break;
        }
        case cel::kind::map: {
            py::list entries;
            for (std::size_t i = 0; i < v.size; ++i) {
                py::list entry;
                entry.append(to_typed(v.entries[i].key, left));
                entry.append(to_typed(v.entries[i].item, left));
                entries.append(entry);
            }
            out["map"] = entries;
            break;
        }
        case cel::kind::optional: out["optional"] = v.size > 0 ? py::object(to_typed(*v.items, left)) : py::none(); break;
        case cel::kind::type: out["type"] = text(cel::type_name(static_cast<cel::kind>(v.code))); break;
        case cel::kind::timestamp: out["timestamp"] = cel::timestamp_text(v); break;
        case cel::kind::duration: out["duration"] = cel::duration_text(v); break;
        default: out["null"] = py::none();
    }
    return out;
}

}  // namespace opspilot::python
