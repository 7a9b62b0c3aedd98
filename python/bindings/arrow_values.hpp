// Columns of Arrow data as values of CEL.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "opspilot/data/detail/arrow_view.hpp"
#include "opspilot/policy/cel/value.hpp"

namespace opspilot::python {

/// One opened array. Reads bool, all integers and floats, texts and dictionaries of them, bytes, timestamps, dates, durations,
/// null, and lists of these.
class arrow_values {
public:
    /// Checks the entries [from, from + count). `unsigned_values`: whole numbers become uint. Errors: kind schema.
    static result<arrow_values> open(const ArrowSchema& schema, const ArrowArray& array, std::int64_t from, std::int64_t count,
                                     bool unsigned_values, int depth = 0);

    /// The value of an entry; texts are views into the array, lists are made in `memory`. Errors: kind schema.
    [[nodiscard]] result<cel::value> at(std::int64_t i, cel::arena& memory) const;

private:
    enum class meaning : std::uint8_t { null, boolean, integer, number, text, bytes, moment, span, list };

    [[nodiscard]] static bool read_format(std::string_view text, meaning& what, detail::arrow_format& format) noexcept;
    [[nodiscard]] cel::value time(std::int64_t value) const noexcept;

    meaning what_ = meaning::null;
    detail::arrow_view view_, entries_;
    bool coded_ = false, unsigned_ = false;
    std::unique_ptr<arrow_values> items_;
};

}  // namespace opspilot::python
