/// \file
/// Deciding: tasks and candidates in, decisions out; thread-safe, without allocation once warm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/audit/outcome.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/release.hpp"
#include "opspilot/decide/shadow.hpp"
#include "opspilot/features/matrix.hpp"

namespace opspilot {

/// All scratch memory of one thread. Grows to the traffic's size, then stays. One per thread; any engine.
class OPSPILOT_API workspace {
public:
    workspace();
    ~workspace();
    workspace(workspace&&) noexcept;
    workspace& operator=(workspace&&) noexcept;
    struct impl;
    std::unique_ptr<impl> state;
};

/// What may differ from decision to decision.
struct decide_options {
    rung widest = rung::full;     ///< do not climb above this rung
    bool staged = true;           ///< false: ignore the rollout stage (golden rows, what-if)
    bool explain = false;         ///< fill `decision::explanation`
    bool clauses = false;         ///< fill `decision::clauses`: allocates, and takes some milliseconds where many rules act
    std::string_view about = {};  ///< id of the one candidate whose rules are meant, which asks for `clauses`, too; borrowed
};

/// Scope of a kill switch: nothing, automation only, or every machine answer.
enum class kill_scope : std::uint8_t { none, automation, everything };

/// Rows that a host brings, in one of two forms: a JSON array of objects (for a single task: one object), or chunks of Arrow
/// struct arrays of one schema. Borrowed for the time of the call.
struct table_source {
    std::string_view json = {};
    const ArrowSchema* schema = nullptr;
    std::span<const ArrowArray* const> chunks = {};

    [[nodiscard]] bool given() const noexcept { return json.data() != nullptr || schema != nullptr; }
};

/// Decides with one bundle at a time. `decide*` may be called from any number of threads, each with its own workspace and
/// decision; everything else from any thread at any time: decisions in flight finish on what they began with.
class OPSPILOT_API engine {
public:
    explicit engine(std::shared_ptr<const bundle> b);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// Decides one task: a JSON object or one Arrow row. Candidates carry "id", candidate fields, and for actions outside the
    /// catalogue their action fields; none given: they are generated from the catalogue.
    /// `now_us`: the host's time, microseconds since 1970 UTC.
    /// Errors: kind schema, usage, limit, with JSON pointers "/task/…", "/candidates/…"; `out` is as it was.
    [[nodiscard]] status decide(const table_source& task, const table_source& candidates, std::int64_t now_us, workspace& scratch,
                                decision& out, const decide_options& options = {}) const;
    /// The same in JSON; candidates without data are generated.
    [[nodiscard]] status decide(std::string_view task, std::string_view candidates, std::int64_t now_us, workspace& scratch,
                                decision& out, const decide_options& options = {}) const {
        return decide(table_source{.json = task}, table_source{.json = candidates}, now_us, scratch, out, options);
    }

    /// Decides many tasks, in order; `sink(task, decision)` is called once per task and may stop by returning false.
    /// Candidates carry an ascending integer `task_index` beside their fields; none given: they are generated.
    /// The same answers as `decide`, bit for bit. Nothing is decided when the inputs have an error.
    [[nodiscard]] status decide_batch(const table_source& tasks, const table_source& candidates, std::int64_t now_us,
                                      workspace& scratch, const std::function<bool(std::size_t, const decision&)>& sink,
                                      const decide_options& options = {}) const;

    /// The features of every task's candidates as the models would read them, by the code that serves them; for `parity` and
    /// explanations. Inputs and errors as `decide_batch`. Error usage.no_features when the bundle declares none.
    [[nodiscard]] status features(const table_source& tasks, const table_source& candidates, std::int64_t now_us,
                                  workspace& scratch, const std::function<bool(std::size_t, const feature_matrix&)>& sink) const;

    /// Decides many tasks as `decide_batch` does, at full rung and without the rollout stage, and shows beside each decision what
    /// every stage of the ranking made of its candidates: `scores[k][c]` is stage k's (`bundle::stage_names`) for candidate
    /// `ranked[…].candidate` == c, NaN where the stage has none. A stage that could not be run, or that the decision had to do
    /// without, has no scores at all: `scores[k]` is empty. Stages that come after the one that ranks are run too. For judging
    /// stages; not counted in `metrics_text`, and no kill switch applies. Inputs and errors as `decide_batch`.
    [[nodiscard]] status stage_scores(
        const table_source& tasks, const table_source& candidates, std::int64_t now_us, workspace& scratch,
        const std::function<bool(std::size_t, const decision&, std::span<const std::span<const double>> scores)>& sink) const;

    /// Appends what came of a decision to `out`, as one line for the log that holds the decisions; see audit/outcome.hpp for what
    /// readers make of outcomes that come late, twice and out of order. Whether the decision exists is not known here.
    /// Errors: usage.decision_id; kind schema with JSON pointers "/outcome/…" as `check_outcome`, schema.free_text for an action
    /// that the running bundle's catalogue does not hold and that has not the form of an id. `out` is then as it was.
    [[nodiscard]] status record_outcome(std::string_view decision_id, const outcome& what, std::int64_t now_us,
                                        std::string& out) const;
    /// The same from JSON, as `read_outcome` reads it, with its errors.
    [[nodiscard]] status record_outcome(std::string_view decision_id, std::string_view json, std::int64_t now_us,
                                        std::string& out) const;

    /// What this engine did since it was made, in the Prometheus text format 0.0.4 (text/plain; version=0.0.4): decisions by
    /// verdict, proposed verdict, rung, stage and reason, candidates, refused calls, outcomes, swaps, the kill switch and the
    /// bundle. Counters outlive swaps and workspaces; golden rows are not counted. Exact for calls that have returned; one under
    /// way may stand in some families and not yet in others.
    /// There is no latency here: the library has no clock, so the host measures its calls.
    [[nodiscard]] std::string metrics_text() const;

    /// The bundle that the next decision uses.
    [[nodiscard]] std::shared_ptr<const bundle> current() const;
    /// Publishes another bundle; the one before stays at hand for `rollback`. Errors: signature.required once keys are trusted.
    [[nodiscard]] status swap(std::shared_ptr<const bundle> b);
    /// Publishes other policies for the running bundle (`bundle::with`, whose errors leave the live ones in place). Decisions in
    /// flight finish on what they began with; none sees a mixture. `now_us`: the host's time, shown by `layers`.
    [[nodiscard]] status publish(const policy_change& change, std::int64_t now_us,
                                 std::vector<policy_finding>* findings = nullptr);
    /// From here on only what one of these keys signed is published: bundles by `swap_signed`, policies by `publish_signed`, and
    /// `swap` and `publish` refuse. What runs already stays. Other keys may take their place, none may not: there is no way back
    /// but another engine. `last_policy`, `last_bundle`: sequences of the releases that the host took last, which an engine made
    /// anew does not know; they only ever grow. Errors: usage.no_keys.
    [[nodiscard]] status trust(std::vector<public_key> keys, std::int64_t last_policy = 0, std::int64_t last_bundle = 0);
    /// As `publish`, from an envelope of `policy_release`. Errors further: those of `policy_release::open`; usage.not_trusting
    /// while no key is trusted; signature.other_bundle for a release for another bundle; signature.replayed for a sequence that
    /// is not above that of the last release taken.
    [[nodiscard]] status publish_signed(std::string_view envelope, std::int64_t now_us,
                                        std::vector<policy_finding>* findings = nullptr);
    /// As `swap`, with the envelope of a `bundle_release` that names this bundle; errors as above.
    [[nodiscard]] status swap_signed(std::shared_ptr<const bundle> b, std::string_view envelope);
    /// Goes back to what decided before the last swap or publication. Errors: usage.nothing_to_roll_back_to.
    [[nodiscard]] status rollback();
    /// From the next decision on also decides with `candidate` (such as `current()->with(…)`), for `shadowed` alone: nothing of
    /// it reaches decisions, records, limits or counters. `share` of decisions, by their ids; of batches, by their first one.
    /// Costs as much as deciding. Null ends it; the report stays until another begins. Errors: usage.share outside [0, 1].
    [[nodiscard]] status shadow(std::shared_ptr<const bundle> candidate, double share = 1);
    [[nodiscard]] shadow_report shadowed() const;
    /// From the next decision on: `automation` caps verdicts at suggest, `everything` escalates to people.
    void kill(kill_scope scope) noexcept;
    [[nodiscard]] kill_scope killed() const noexcept;

    /// A document that decides now, and since when: 0 = since the bundle itself.
    struct live_layer {
        std::string layer, document, version, sha256, client;
        std::int64_t published_us = 0;
    };
    [[nodiscard]] std::vector<live_layer> layers() const;
    /// The bundle that decides now, the kill switch, `layers` and `shadowed`, as one JSON object.
    [[nodiscard]] std::string describe_json() const;

private:
    struct impl;
    std::unique_ptr<impl> state_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/decide/bundle-inl.hpp"
#include "opspilot/decide/decision-inl.hpp"
#include "opspilot/decide/describe-inl.hpp"
#include "opspilot/decide/engine-inl.hpp"
#include "opspilot/decide/metrics-inl.hpp"
#include "opspilot/decide/publish-inl.hpp"
#endif
