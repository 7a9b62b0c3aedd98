#pragma once

#include "opspilot/base/result.hpp"

namespace opspilot {

OPSPILOT_INLINE std::string_view name(error_kind kind) noexcept {
    switch (kind) {
        case error_kind::usage: return "usage";
        case error_kind::schema: return "schema";
        case error_kind::features: return "features";
        case error_kind::model: return "model";
        case error_kind::policy: return "policy";
        case error_kind::calibration: return "calibration";
        case error_kind::bundle: return "bundle";
        case error_kind::audit: return "audit";
        case error_kind::limit: return "limit";
        case error_kind::internal: return "internal";
    }
    return "internal";
}

OPSPILOT_INLINE std::string error::text() const {
    std::string out;
    if (!where.empty()) {
        out += where;
        out += ": ";
    }
    out += message;
    if (!hint.empty()) {
        out += "; ";
        out += hint;
    }
    return out;
}

}  // namespace opspilot
