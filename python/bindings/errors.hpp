// Errors as values become exceptions of the Python package: one class per kind, with code, where and hint.
#pragma once

#include <pybind11/pybind11.h>

#include <string_view>
#include <utility>

#include "opspilot/base/result.hpp"

namespace opspilot::python {

/// A Python string of UTF-8. Untrusted bytes may stand in a message; what is not UTF-8 is replaced, never a second error.
pybind11::str text(std::string_view bytes);

/// Raises the class of `opspilot.errors` that belongs to the error's kind. Needs the GIL.
[[noreturn]] void raise(const error& problem);
/// The same with a class of `opspilot.errors` given by name.
[[noreturn]] void raise_as(const char* class_name, const error& problem);

/// The value, or the exception. Needs the GIL.
template <class T>
T unwrap(result<T>&& outcome) {
    if (!outcome) raise(outcome.error());
    return std::move(outcome).value();
}
inline void unwrap(status&& outcome) {
    if (!outcome) raise(outcome.error());
}

}  // namespace opspilot::python
