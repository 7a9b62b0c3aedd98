/// \file
/// Signed releases: policies and bundles that an engine accepts only from whom it trusts, and never an older one again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/base/signature.hpp"
#include "opspilot/policy/policy.hpp"

namespace opspilot {

/// Everything that one publication of policies changes, under one signature: no document can be left out, added or renamed.
struct policy_release {
    struct document {
        std::string name, text;
    };
    struct overlay {
        std::string client;
        std::optional<std::string> text;  ///< none: the overlay is taken away
    };
    std::int64_t sequence = 0;  ///< grows with every release; an engine takes none that is not above the last it took
    std::string bundle;         ///< name of the bundle that it is for
    std::optional<std::vector<document>> documents;  ///< all layers; none: they stay as they are
    std::vector<overlay> overlays;

    static constexpr std::string_view payload_type = "application/vnd.opspilot.policy-release+json";

    [[nodiscard]] OPSPILOT_API std::string sign(const signing_key& key) const;
    struct opened;
    /// Errors: kind policy; those of `open_envelope`, and policy.* with JSON pointers into the payload.
    [[nodiscard]] OPSPILOT_API static result<opened> open(std::string_view envelope, std::span<const public_key> trusted);
};
struct policy_release::opened {
    policy_release release;
    public_key signer;
};

/// That a packed bundle may be run, as a signed statement beside the file.
struct bundle_release {
    std::int64_t sequence = 0;  ///< as of policies, counted by itself
    std::string fingerprint;    ///< of the bundle

    static constexpr std::string_view payload_type = "application/vnd.opspilot.bundle-release+json";

    [[nodiscard]] OPSPILOT_API std::string sign(const signing_key& key) const;
    struct opened;
    /// Errors: kind bundle, as `policy_release::open`.
    [[nodiscard]] OPSPILOT_API static result<opened> open(std::string_view envelope, std::span<const public_key> trusted);
};
struct bundle_release::opened {
    bundle_release release;
    public_key signer;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/release-inl.hpp"
#endif
