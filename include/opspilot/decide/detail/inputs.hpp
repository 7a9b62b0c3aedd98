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

/// One decision in JSON. `candidates` without data: generate from the catalogue.
struct json_inputs {
    std::string_view task;
    std::string_view candidates;
    std::int64_t now_us = 0;
};

/// Shapes the workspace for a bundle.
void bind(workspace::impl& ws, const std::shared_ptr<const bundle>& b);

/// Reads the inputs, then decides. On an error `out` is as it was.
[[nodiscard]] status decide_json(const std::shared_ptr<const bundle>& b, const json_inputs& inputs, workspace::impl& ws,
                                 const circumstances& now, decision& out);
/// For callers that own a whole workspace.
[[nodiscard]] status decide_json(const std::shared_ptr<const bundle>& b, const json_inputs& inputs, workspace& ws,
                                 const circumstances& now, decision& out);

/// Reads all columns, then decides task by task.
[[nodiscard]] status decide_arrow(const std::shared_ptr<const bundle>& b, const arrow_batch& batch, std::int64_t now_us,
                                  workspace::impl& ws, const circumstances& now,
                                  const std::function<bool(std::size_t, const decision&)>& sink);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/detail/inputs-inl.hpp"
#endif
