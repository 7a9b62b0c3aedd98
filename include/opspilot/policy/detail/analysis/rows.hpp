/// \file
/// Internal: rows made for an example: from what some fields hold to JSON and to a frame, as the readers accept it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/policy/detail/analysis/tests.hpp"

namespace opspilot::detail::analysis {

/// A task with one candidate, as documents' tests write them.
struct example {
    json task = json::object(), candidate = json::object();
    std::int64_t now_us = 0;
    bool timed = false;  ///< the time of decision matters
    /// {"task": {…}, "candidate": {…}, "now": …}
    [[nodiscard]] std::string text() const;
};

/// Makes examples and reads them back.
class example_maker {
public:
    /// `strings`: the dictionary that conditions were compiled with; it does not grow.
    example_maker(const schema& s, const dictionary& strings);

    /// Fields that `held` does not name get whatever is allowed. False when no row can hold this.
    [[nodiscard]] bool make(const std::map<field_id, holding>& held, example& out) const;

    /// The example as a decision over one candidate; false when the readers refuse it. Valid until the next call.
    [[nodiscard]] bool read(const example& e, frame& out);

private:
    const schema& schema_;
    interner strings_;
    table task_, actions_, pairs_;
    json_reader reader_;
    std::uint32_t row_ = 0;
};

}  // namespace opspilot::detail::analysis

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/analysis/rows-inl.hpp"
#endif
