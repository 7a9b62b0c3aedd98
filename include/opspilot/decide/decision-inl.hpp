#pragma once

#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"

namespace opspilot {

OPSPILOT_INLINE std::string_view name(rung r) noexcept {
    switch (r) {
        case rung::human: return "human";
        case rung::baseline: return "baseline";
        case rung::linear: return "linear";
        case rung::cached: return "cached";
        case rung::full: return "full";
    }
    return "human";
}

OPSPILOT_INLINE const version_set& decision::versions() const noexcept {
    static const version_set none;
    return bundle_ ? bundle_->versions() : none;
}

}  // namespace opspilot
