// Rows from Python: mappings, JSON bytes, or anything that speaks the Arrow PyCapsule protocol.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "opspilot/data/arrow.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot::python {

/// Owns what a call borrows: JSON text, or Arrow chunks imported from capsules. Made and destroyed with the GIL held; usable
/// without it in between.
class rows_from_python {
public:
    /// `object`: None (not given), a mapping or a sequence of mappings, bytes of JSON, or an object with `__arrow_c_stream__` or
    /// `__arrow_c_array__`. `what` names it in errors. `columns`: keep only these columns of an Arrow table.
    rows_from_python(const pybind11::object& object, const char* what);
    ~rows_from_python();
    rows_from_python(const rows_from_python&) = delete;
    rows_from_python& operator=(const rows_from_python&) = delete;

    [[nodiscard]] table_source view() const noexcept;

private:
    void import_stream(const pybind11::object& object, const char* what);
    void import_array(const pybind11::object& object);

    bool is_json_ = false;
    std::string json_;
    ArrowSchema schema_{};
    std::vector<ArrowArray> arrays_;
    std::vector<const ArrowArray*> pointers_;
};

/// Integer microseconds since 1970 UTC, or an aware datetime.
std::int64_t microseconds(const pybind11::object& now);

}  // namespace opspilot::python
