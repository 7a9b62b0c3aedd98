/// \file
/// Columns of Arrow data as values of CEL, by the C data interface; no Arrow library.
#pragma once

#include <cstdint>
#include <memory>

#include "opspilot/base/result.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/policy/cel/value.hpp"

namespace opspilot::cel {

/// One array, opened and checked. Reads bool, integers and floats of every width, texts and dictionaries of them, bytes,
/// timestamps, dates, durations, null, and lists of these.
class OPSPILOT_API arrow_values {
public:
    /// Checks the entries [from, from + count), which may then be read while the array is alive. `unsigned_values`: whole numbers
    /// become uint; else those that fit 64 bits with a sign are int. Errors: kind schema.
    [[nodiscard]] static result<arrow_values> open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from,
                                                   std::int64_t count, bool unsigned_values = false);

    /// The value of an entry, null for a null. Texts are views into the array, lists are made in `memory`. Errors: kind schema
    /// (a text that is no UTF-8, a time that CEL does not know), limit.
    [[nodiscard]] result<value> at(std::int64_t i, arena& memory) const;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot::cel

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/cel/arrow_values-inl.hpp"
#endif
