// Numpy arrays as the library's rows: checked for shape and type, copied only where memory is laid out otherwise.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace opspilot::python {

/// Numbers as rows one after the other, in float32 or float64. Holds the array it reads from.
class number_rows {
public:
    /// `object`: an array of `dimensions` dimensions (1 = a single row), or what numpy makes a float64 array of.
    /// Raises SchemaError: schema.shape, schema.dtype (no silent cast: integers and wider floats are refused). `what` names it.
    number_rows(const pybind11::object& object, const char* what, int dimensions = 2);

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] bool is_float32() const noexcept { return is_float32_; }
    [[nodiscard]] std::span<const float> floats() const noexcept { return {static_cast<const float*>(data_), rows_ * columns_}; }
    [[nodiscard]] std::span<const double> doubles() const noexcept {
        return {static_cast<const double*>(data_), rows_ * columns_};
    }
    [[nodiscard]] const pybind11::array& array() const noexcept { return array_; }

    /// Raises SchemaError unless there are so many columns.
    void want_columns(std::size_t count, const char* what) const;

private:
    pybind11::array array_;
    const void* data_ = nullptr;
    std::size_t rows_ = 0, columns_ = 0;
    bool is_float32_ = false;
};

template <class T>
using vector_in = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

template <class T>
std::span<const T> span_of(const vector_in<T>& a) {
    return {a.data(), static_cast<std::size_t>(a.size())};
}

/// The vector's own memory as an array: nothing is copied.
template <class T>
pybind11::array_t<T> array_of(std::vector<T>&& v) {
    auto owner = std::make_unique<std::vector<T>>(std::move(v));
    const auto size = static_cast<pybind11::ssize_t>(owner->size());
    const T* data = owner->data();
    const pybind11::capsule base(owner.release(), [](void* memory) { delete static_cast<std::vector<T>*>(memory); });
    return pybind11::array_t<T>(size, data, base);
}
template <class T>
pybind11::array_t<T> array_of(const std::vector<T>& v) {
    return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(v.size()), v.data());
}

}  // namespace opspilot::python
