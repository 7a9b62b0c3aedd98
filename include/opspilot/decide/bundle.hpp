/// \file
/// One immutable, hashed artefact with everything a decision needs, checked and compiled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/decide/container.hpp"
#include "opspilot/policy/policy.hpp"
#define OPSPILOT_DECIDE_DECLARING  // the bodies wait until the bundle is declared too
#include "opspilot/decide/decision.hpp"
#undef OPSPILOT_DECIDE_DECLARING

namespace opspilot {

/// Limits of a decision, from bundle.json ("limits"), checked before any work is done.
struct decision_limits {
    std::size_t candidates = 10'000;
    std::size_t task_bytes = std::size_t{1} << 20;
    std::size_t candidate_bytes = std::size_t{64} << 20;
};

/// Policies that take the place of a bundle's, without its models and everything else being touched.
struct policy_change {
    /// Rules of one client's own, beside the bundle's: one document of the client layer; none: the overlay is taken away.
    struct overlay {
        std::string client;  ///< as tasks have it in `client`
        std::optional<std::string_view> document;
    };
    std::optional<std::span<const policy_set::document>> policy;  ///< all layers; none: they stay as they are
    std::span<const overlay> overlays;                            ///< those that change
};

/// A compiled bundle. Immutable; shared by any number of threads and engines.
class OPSPILOT_API bundle : public std::enable_shared_from_this<bundle> {
public:
    /// Opens, checks and compiles a packed bundle: every hash, every document, feature fingerprints of the models, and the
    /// golden rows, which must give the same bits again. The bytes may be released afterwards.
    /// Errors: any kind, with the part in `where`; an engine that runs another bundle is not touched.
    [[nodiscard]] static result<std::shared_ptr<const bundle>> load(std::string_view packed);

    /// Compiles parts without golden rows, to train, calibrate and certify with what will be served. A draft decides in shadow
    /// whatever its rollout says, and cannot be packed.
    [[nodiscard]] static result<std::shared_ptr<const bundle>> draft(const part_map& parts);

    /// Builds the packed form from parts as they stand in a folder: compiles them, decides the golden tasks, writes
    /// golden.jsonl with the answers and bundle.json with the parts' hashes, and loads the result once more as a proof.
    /// golden.jsonl of the folder holds {"task": …, "candidates": …?, "now": microseconds} per line; answers present are
    /// replaced. Errors: as `load`; bundle.golden_rows when fewer than 64 rows, or when a verdict that the bundle
    /// can reach is not among the answers (without a certificate it never automates).
    [[nodiscard]] static result<std::string> build(const part_map& parts);

    /// This bundle with other policies: checked, compiled and tested by the documents' own tests; ready to be swapped in. Models,
    /// calibration, catalogue and tables stay, so it takes the time of the documents alone. Rules of the bundle's client layer
    /// stand before an overlay's, its business layer below. `findings` as `policy_set::compile`, of
    /// rules by themselves (`policy_review::rules`).
    /// Errors: kind policy, as `policy_set::compile`; policy.test_failed; policy.overlay_layer; policy.duplicate_rule and
    /// policy.locked for an id that stands in the bundle's policy; usage.overlay_client.
    [[nodiscard]] result<std::shared_ptr<const bundle>> with(const policy_change& change,
                                                             std::vector<policy_finding>* findings = nullptr) const;

    /// A document that decides: a layer of the bundle's policy, or of one client's, or a table that conditions may look into
    /// (layer "table").
    struct layer_info {
        std::string_view layer, document, version, sha256;
        std::string_view client;  ///< "" for all clients
    };
    /// In the order in which they decide, overlays by client; tables last. Views live as long as the bundle.
    [[nodiscard]] std::vector<layer_info> layers() const;

    [[nodiscard]] const std::string& fingerprint() const noexcept;  ///< SHA-256 hex of the bundle as it was packed
    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] const std::string& version() const noexcept;
    [[nodiscard]] const std::string& region() const noexcept;
    [[nodiscard]] const version_set& versions() const noexcept;
    [[nodiscard]] const decision_limits& limits() const noexcept;
    [[nodiscard]] const opspilot::schema& schema() const noexcept;
    [[nodiscard]] const table& catalogue() const noexcept;
    [[nodiscard]] const dictionary& strings() const noexcept;
    /// The bytes it was loaded from. What `with` changed is not in them: see `published`.
    [[nodiscard]] std::string_view packed() const noexcept;
    /// Whether its policies are others than those of `packed` and `part`: it came from `with`.
    [[nodiscard]] bool published() const noexcept;
    /// The parts with the policies that decide now, for `build`, which makes a bundle of them that needs no publication.
    /// Errors: usage.overlays where clients have rules of their own, for which a bundle has no place.
    [[nodiscard]] result<part_map> parts_in_force() const;
    [[nodiscard]] std::string_view part(std::string_view name) const noexcept;  ///< content of a part, "" when absent
    [[nodiscard]] std::size_t golden_rows() const noexcept;
    [[nodiscard]] std::span<const std::string> stage_names() const noexcept;  ///< of the ranking, in order; none: no models
    [[nodiscard]] std::vector<std::pair<std::string_view, std::size_t>> part_sizes() const;  ///< names and bytes
    /// What the bundle contains as one JSON object: schema, features, stages, rules, certificates, stage, parts.
    [[nodiscard]] std::string describe_json() const;

    struct impl;
    [[nodiscard]] const impl& state() const noexcept { return *state_; }
    explicit bundle(std::unique_ptr<impl> state);
    ~bundle();
    bundle(const bundle&) = delete;
    bundle& operator=(const bundle&) = delete;

private:
    std::unique_ptr<impl> state_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/engine.hpp"  // brings the bodies of the whole room, once everything is declared
#endif
