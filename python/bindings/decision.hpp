/// \file
/// Decisions as Python values.
#pragma once

#include <pybind11/pybind11.h>

#include <string_view>

#include "errors.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/policy/clauses.hpp"

namespace opspilot::python {

inline pybind11::object text_or_none(std::string_view s) {
    return s.empty() ? pybind11::object(pybind11::none()) : pybind11::object(text(s));
}

[[nodiscard]] pybind11::dict versions_dict(const version_set& v);

/// Puts "clauses" and "change" into what is said about a rule.
void put_clauses(const rule_explanation& why, pybind11::dict& into);

/// The class, and what reads logs of it.
void bind_decision(pybind11::module_& m);

}  // namespace opspilot::python
