#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "errors.hpp"
#include "module.hpp"
#include "opspilot/features/text.hpp"
#include "opspilot/learn/choice.hpp"
#include "opspilot/rank/choice_model.hpp"
#include "opspilot/rank/text_classifier.hpp"
#include "training.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

std::vector<std::pair<std::string, std::uint32_t>> block_list(std::span<const sparse_block> blocks) {
    std::vector<std::pair<std::string, std::uint32_t>> out;
    for (const sparse_block& b : blocks) out.emplace_back(b.name, b.dimension);
    return out;
}

term_frequency frequency_from(const std::string& wanted) {
    if (wanted == "count") return term_frequency::count;
    if (wanted == "binary") return term_frequency::binary;
    if (wanted == "log") return term_frequency::log;
    raise(error{error_kind::features, "features.bad_value", "no term frequency is called '" + wanted + "'", "tf",
                "one of: count, binary, log"});
}

/// Texts of a Python sequence, valid as long as this object and filled with the GIL held.
class borrowed_texts {
public:
    explicit borrowed_texts(const py::object& object) {
        if (py::isinstance<py::str>(object) || py::isinstance<py::bytes>(object))
            refuse("schema.type", "one text where a list of texts is expected", "", "put it into a list");
        items_ = py::tuple(object);
        views_.reserve(items_.size());
        for (std::size_t i = 0; i < items_.size(); ++i) {
            PyObject* const item = PyTuple_GET_ITEM(items_.ptr(), static_cast<py::ssize_t>(i));
            const std::string where = "text " + std::to_string(i);
            if (!PyUnicode_Check(item))
                refuse("schema.type", std::string("a ") + Py_TYPE(item)->tp_name + " where a str is expected", where, "");
            py::ssize_t size = 0;
            const char* const bytes = PyUnicode_AsUTF8AndSize(item, &size);
            if (bytes == nullptr) {
                PyErr_Clear();
                refuse("schema.utf8", "a text with a lone surrogate", where, "decode the text with its real encoding");
            }
            views_.emplace_back(bytes, static_cast<std::size_t>(size));
        }
    }
    [[nodiscard]] std::span<const std::string_view> views() const noexcept { return views_; }

private:
    [[noreturn]] static void refuse(std::string_view code, std::string message, std::string where, std::string hint) {
        raise(error{error_kind::schema, code, std::move(message), std::move(where), std::move(hint)});
    }
    py::tuple items_;
    std::vector<std::string_view> views_;
};

py::tuple hash_texts(const text_hasher& hasher, const py::object& object) {
    const borrowed_texts texts(object);
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> index, row;
    std::vector<float> value, numbers;
    std::size_t bytes = 0;
    for (const std::string_view text : texts.views()) bytes += text.size();
    status done = [&]() -> status {
        const py::gil_scoped_release unlocked;
        static thread_local text_workspace scratch;
        // Words give about one entry in three bytes, characters about one per byte and length: grown once or not at all.
        index.reserve(bytes);
        value.reserve(bytes);
        offsets.reserve(texts.views().size() + 1);
        for (std::size_t i = 0; i < texts.views().size(); ++i) {
            if (status hashed = hasher.transform(texts.views()[i], scratch, row, numbers); !hashed) {
                hashed.error().where =
                    "text " + std::to_string(i) + (hashed.error().where.empty() ? "" : ", ") + hashed.error().where;
                return hashed;
            }
            index.insert(index.end(), row.begin(), row.end());
            value.insert(value.end(), numbers.begin(), numbers.end());
            offsets.push_back(static_cast<std::int64_t>(index.size()));
        }
        return {};
    }();
    unwrap(std::move(done));
    return py::make_tuple(array_of(std::move(offsets)), array_of(std::move(index)), array_of(std::move(value)));
}

void bind_text_hasher(py::module_& m) {
    py::class_<text_hasher>(m, "TextHasher")
        .def(py::init([](unsigned bits, std::pair<unsigned, unsigned> words, std::pair<unsigned, unsigned> characters,
                         bool within_words, bool casefold, bool strip_accents, const std::string& symbols, const std::string& tf,
                         bool l2) {
                 text_hash_options o;
                 o.bits = bits;
                 o.text = {.casefold = casefold, .strip_accents = strip_accents, .symbols = symbols};
                 std::tie(o.word_min, o.word_max) = words;
                 std::tie(o.char_min, o.char_max) = characters;
                 o.within_words = within_words;
                 o.tf = frequency_from(tf);
                 o.l2 = l2;
                 return unwrap(text_hasher::make(o));
             }),
             py::arg("bits"), py::arg("words"), py::arg("characters"), py::arg("within_words"), py::arg("casefold"),
             py::arg("strip_accents"), py::arg("symbols"), py::arg("tf"), py::arg("l2"))
        .def_property_readonly("dimension", &text_hasher::dimension)
        .def("transform", &hash_texts, py::arg("texts"));
}

/// Rows as scipy keeps them, checked against a model's buckets. Raises SchemaError with the row.
csr_view rows_of(const vector_in<std::int64_t>& offsets, const vector_in<std::uint32_t>& index, const vector_in<float>& value,
                 std::size_t buckets) {
    const csr_view x{.offsets = span_of(offsets), .index = span_of(index), .value = span_of(value)};
    const auto refuse = [](std::string message, std::size_t row) {
        raise(error{error_kind::schema, "schema.sparse", std::move(message), "row " + std::to_string(row),
                    "give canonical compressed rows"});
    };
    if (x.offsets.empty() || x.offsets.front() != 0 || x.index.size() != x.value.size() ||
        x.offsets.back() != static_cast<std::int64_t>(x.index.size()))
        refuse("offsets, indices and values that do not belong together", 0);
    for (std::size_t r = 0; r < x.rows(); ++r)
        if (x.offsets[r] > x.offsets[r + 1] || x.offsets[r] < 0) refuse("offsets that descend", r);
    for (std::size_t r = 0; r < x.rows(); ++r) {
        const sparse_view row = x.row(r);
        for (std::size_t k = 0; k < row.index.size(); ++k)
            if (row.index[k] >= buckets || (k > 0 && row.index[k] <= row.index[k - 1]))
                refuse("column " + std::to_string(row.index[k]) + " is out of order, or beyond the model's " +
                           std::to_string(buckets),
                       r);
    }
    return x;
}

py::array_t<double> classify(const text_classifier& model, const vector_in<std::int64_t>& offsets,
                             const vector_in<std::uint32_t>& index, const vector_in<float>& value, std::size_t threads) {
    const csr_view x = rows_of(offsets, index, value, model.weights().dimension());
    if (!model.columns().empty())
        raise(error{error_kind::model, "model.needs_columns", "the model also reads dense columns", "X",
                    "use it in a bundle that has its features"});
    const std::size_t classes = model.classes().size();
    py::array_t<double> out({static_cast<py::ssize_t>(x.rows()), static_cast<py::ssize_t>(classes)});
    const std::span<double> all{out.mutable_data(), x.rows() * classes};
    constexpr std::size_t piece = 256;
    const std::size_t pieces = (x.rows() + piece - 1) / piece;
    std::vector<status> states(pieces);
    {
        const py::gil_scoped_release unlocked;
        const auto body = [&](std::size_t p) {
            classifier_scratch scratch;
            for (std::size_t r = p * piece; r < std::min(x.rows(), (p + 1) * piece) && states[p]; ++r)
                states[p] = model.log_probabilities(x.row(r), {}, {}, all.subspan(r * classes, classes), scratch);
        };
        if (const parallel_for run = host_threads(threads))
            run(pieces, body);
        else
            for (std::size_t p = 0; p < pieces; ++p) body(p);
    }
    for (status& s : states) unwrap(std::move(s));
    return out;
}

void bind_classifier_model(py::module_& m) {
    py::class_<text_classifier>(m, "ClassifierModel")
        .def_static(
            "parse", [](const py::bytes& content) { return unwrap(text_classifier::parse(std::string_view(content))); },
            py::arg("content"))
        .def("to_bytes", [](const text_classifier& c) { return py::bytes(c.to_bytes()); })
        .def("log_probabilities", &classify, py::arg("offsets"), py::arg("index"), py::arg("value"), py::arg("threads") = 1)
        .def_property_readonly(
            "classes", [](const text_classifier& c) { return std::vector<std::string>(c.classes().begin(), c.classes().end()); })
        .def_property_readonly("blocks", [](const text_classifier& c) { return block_list(c.blocks()); })
        .def_property_readonly(
            "columns", [](const text_classifier& c) { return std::vector<std::string>(c.columns().begin(), c.columns().end()); })
        .def_property_readonly("fingerprint", [](const text_classifier& c) { return c.fingerprint(); })
        .def_property_readonly("training", [](const text_classifier& c) { return c.training(); })
        .def_property_readonly("buckets", [](const text_classifier& c) { return c.weights().rows(); });
}

py::tuple choose(const choice_model& model, const vector_in<std::int64_t>& offsets, const vector_in<std::uint32_t>& index,
                 const vector_in<float>& value, const vector_in<std::int64_t>& candidate_offsets,
                 const vector_in<std::uint32_t>& slots, const vector_in<float>& dense, std::size_t threads) {
    choice_data data{.blocks = model.blocks(),
                     .x = {.offsets = span_of(offsets), .index = span_of(index), .value = span_of(value)},
                     .candidate_offsets = span_of(candidate_offsets),
                     .keys = model.keys(),
                     .slots = span_of(slots),
                     .outside = model.has_outside(),
                     .columns = model.columns(),
                     .dense = span_of(dense),
                     .chosen = {},
                     .weights = {},
                     .fingerprint = {}};
    const std::size_t tasks = data.candidate_offsets.empty() ? 0 : data.candidate_offsets.size() - 1;
    const std::vector<std::int32_t> unknown(tasks, -1);
    data.chosen = unknown;
    std::vector<double> out(
        static_cast<std::size_t>(data.candidate_offsets.empty() ? 0 : std::max<std::int64_t>(data.candidate_offsets.back(), 0)),
        0.0);
    std::vector<double> none(data.outside ? tasks : 0, 0.0);
    status done = [&] {
        const py::gil_scoped_release unlocked;
        return predict_rows(model, data, {}, out, none, host_threads(threads));
    }();
    unwrap(std::move(done));
    return py::make_tuple(array_of(out), array_of(none));
}

void bind_choice_model(py::module_& m) {
    auto c = py::class_<choice_model>(m, "ChoiceModelFile");
    c.def_static(
         "parse", [](const py::bytes& content) { return unwrap(choice_model::parse(std::string_view(content))); },
         py::arg("content"))
        .def("to_bytes", [](const choice_model& model) { return py::bytes(model.to_bytes()); })
        .def("log_probabilities", &choose, py::arg("offsets"), py::arg("index"), py::arg("value"), py::arg("candidate_offsets"),
             py::arg("slots"), py::arg("dense"), py::arg("threads") = 1)
        .def_property_readonly(
            "columns",
            [](const choice_model& model) { return std::vector<std::string>(model.columns().begin(), model.columns().end()); })
        .def_property_readonly("keys",
                               [](const choice_model& model) {
                                   std::vector<std::pair<std::string, std::vector<std::string>>> out;
                                   for (const choice_model::key& k : model.keys()) out.emplace_back(k.field, k.values);
                                   return out;
                               })
        .def_property_readonly("column_weights",
                               [](const choice_model& model) {
                                   const std::span<const float> w = model.column_weights();
                                   return py::array_t<float>(static_cast<py::ssize_t>(w.size()), w.data());
                               })
        .def_property_readonly("outside", &choice_model::has_outside)
        .def_property_readonly("blocks", [](const choice_model& model) { return block_list(model.blocks()); })
        .def_property_readonly("fingerprint", [](const choice_model& model) { return model.fingerprint(); })
        .def_property_readonly("training", [](const choice_model& model) { return model.training(); });
    c.attr("NO_SLOT") = choice_model::no_slot;
}

}  // namespace

void bind_classifiers(py::module_& m) {
    bind_text_hasher(m);
    bind_classifier_model(m);
    bind_choice_model(m);
}

}  // namespace opspilot::python
