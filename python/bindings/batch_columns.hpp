// Decisions of a batch as a table with a row per task.
#pragma once

#include <cstddef>

#include "arrow_export.hpp"
#include "opspilot/decide/decision.hpp"

namespace opspilot::python {

class batch_columns {
public:
    /// With a column "explanation" when `explained`, whose records are what `Decision.explanation` is.
    explicit batch_columns(bool explained);
    void append(const decision& d);

    column_table table;

private:
    void append_explanation(const decision_explanation& e);

    std::size_t id_, verdict_, proposed_, action_, queue_, probability_, threshold_, score_, override_probability_, rung_, stage_,
        candidates_, reasons_;
    bool explained_;
    std::size_t explanation_ = 0;
};

}  // namespace opspilot::python
