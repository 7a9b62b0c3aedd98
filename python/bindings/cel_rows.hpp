// Rows whose cells become values of CEL: mappings, columns, or Arrow data.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cel_values.hpp"
#include "opspilot/policy/cel/value.hpp"
#include "sources.hpp"

namespace opspilot::python {

/// What a column holds, its nulls aside.
struct column_content {
    cel::kind one = cel::kind::unbound;  ///< the kind of all values; unbound when there are none
    bool mixed = false;                  ///< of several kinds
    bool in_columns = true;              ///< whether a table of the library can hold them
};

class cel_rows {
public:
    /// `object`: a list of dicts, a dict of lists of one length, or something with `__arrow_c_stream__` or `__arrow_c_array__`.
    /// `what` names it in errors. `declared`: name -> CEL type; whole numbers then become doubles, texts timestamps.
    cel_rows(const pybind11::object& object, std::string what, std::map<std::string, std::string> declared);

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    [[nodiscard]] bool has(std::string_view name) const noexcept;
    /// A value per row: unbound where the row does not have it, null where it is null. Valid as long as this object. Needs the
    /// GIL. Raises for what CEL has no kind for, with the place.
    [[nodiscard]] std::vector<cel::value> column(const std::string& name);
    [[nodiscard]] column_content content(const std::string& name);

private:
    void count_rows();
    [[nodiscard]] std::string name_of(const pybind11::handle& name) const;
    std::vector<cel::value> from_python(const std::string& name);
    std::vector<cel::value> from_arrow(const std::string& name);
    void convert(const std::string& name, std::vector<cel::value>& values) const;
    [[nodiscard]] std::string place(std::size_t row, const std::string& name) const;

    std::string what_;
    std::map<std::string, std::string> declared_;
    std::vector<std::string> names_;
    std::size_t rows_ = 0;
    bool by_column_ = false;
    pybind11::object given_;  // a list of dicts, or a dict of lists
    std::unique_ptr<rows_from_python> arrow_;
    cel::arena memory_{std::size_t{4} << 30};
    std::unique_ptr<value_maker> maker_;
    std::map<std::string, std::vector<cel::value>> made_;  // of Python's objects, which are slow to read
};

}  // namespace opspilot::python
