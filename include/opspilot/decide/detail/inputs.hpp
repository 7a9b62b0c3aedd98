/// \file
/// Internal: what a host gives, read and checked against a bundle before anything is decided.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/order.hpp"
#include "opspilot/decide/detail/workspace.hpp"

namespace opspilot::detail {

/// What a call brings.
struct call_inputs {
    table_source tasks;
    table_source candidates;
    std::int64_t now_us = 0;
};

/// Shapes the workspace for a bundle.
void bind(workspace::impl& ws, const std::shared_ptr<const bundle>& b);

/// Reads one task and its candidates; the frame is good until the workspace reads again.
[[nodiscard]] result<frame> read_one(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws);

/// Reads one task and its candidates, then decides. On an error `out` is as it was.
[[nodiscard]] status decide_one(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                const circumstances& now, decision& out);

/// Reads all rows, then visits the frame of every task; a visitor that returns false ends it.
[[nodiscard]] status for_each_frame(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                    const std::function<bool(std::size_t, const frame&)>& visit);

/// Reads all rows, then decides task by task.
[[nodiscard]] status decide_many(const std::shared_ptr<const bundle>& b, const call_inputs& in, workspace::impl& ws,
                                 const circumstances& now, const std::function<bool(std::size_t, const decision&)>& sink);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/detail/inputs-inl.hpp"
#endif
