#include "arrays.hpp"

#include <string>

#include "errors.hpp"

namespace py = pybind11;

namespace opspilot::python {

namespace {

/// Rows one after the other, aligned: what the kernels read without a copy.
constexpr int as_rows = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};

[[noreturn]] void refuse(std::string_view code, std::string message, const char* what, std::string hint) {
    raise(error{error_kind::schema, code, std::move(message), what, std::move(hint)});
}

template <class T>
py::array aligned_rows(const py::array& a) {
    if ((a.flags() & as_rows) == as_rows) return a;
    return py::array_t<T, as_rows>::ensure(a);
}

}  // namespace

number_rows::number_rows(const py::object& object, const char* what, int dimensions) {
    array_ = py::isinstance<py::array>(object) ? py::reinterpret_borrow<py::array>(object) : py::array::ensure(object);
    if (!array_)
        refuse("schema.shape", "no array of numbers can be made of it", what, "give a numpy array of float32 or float64");
    if (array_.ndim() != dimensions)
        refuse("schema.shape", std::string("an array of ") + std::to_string(array_.ndim()) + " dimensions", what,
               dimensions == 1 ? "give one row: shape (features,)" : "give one row per line: shape (n, features)");
    is_float32_ = py::isinstance<py::array_t<float, 0>>(array_);
    if (is_float32_)
        array_ = aligned_rows<float>(array_);
    else if (py::isinstance<py::array_t<double, 0>>(array_))
        array_ = aligned_rows<double>(array_);
    else
        refuse("schema.dtype", "numbers of type " + std::string(py::str(py::handle(array_.dtype()))), what,
               "give float32 or float64, such as X.astype(numpy.float64)");
    if (!array_) throw py::error_already_set();
    data_ = array_.data();
    rows_ = dimensions == 1 ? 1 : static_cast<std::size_t>(array_.shape(0));
    columns_ = static_cast<std::size_t>(array_.shape(dimensions - 1));
}

void number_rows::want_columns(std::size_t count, const char* what) const {
    if (columns_ != count)
        refuse("schema.shape", std::to_string(columns_) + " columns, the model has " + std::to_string(count) + " features", what,
               "give one column per feature, in the order of feature_names");
}

}  // namespace opspilot::python
