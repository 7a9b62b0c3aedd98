/// \file
/// The stages of a decision one by one, for whoever measures them: the library has no clock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "opspilot/base/result.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

enum class decision_stage : std::uint8_t { reading, features, ranking, policies, calibration };
inline constexpr std::array<std::string_view, 5> decision_stage_names{"reading", "features", "ranking", "policies",
                                                                      "calibration"};

/// Runs single stages on one task again and again, each on what the stages before it left. Not thread-safe.
class OPSPILOT_API stage_runner {
public:
    explicit stage_runner(std::shared_ptr<const bundle> b);
    ~stage_runner();
    stage_runner(stage_runner&&) noexcept;
    stage_runner& operator=(stage_runner&&) noexcept;

    /// Whether the bundle has the stage: one without models ranks by rules alone.
    [[nodiscard]] bool has(decision_stage stage) const noexcept;
    /// Runs every stage once on these inputs, which must outlive the calls of `run`. Errors: as `engine::decide`.
    [[nodiscard]] status prepare(const table_source& task, const table_source& candidates, std::int64_t now_us);
    /// Runs one stage of the prepared task. Errors: usage.not_prepared; as the stage.
    [[nodiscard]] status run(decision_stage stage);

    struct impl;

private:
    std::unique_ptr<impl> state_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/stages-inl.hpp"
#endif
