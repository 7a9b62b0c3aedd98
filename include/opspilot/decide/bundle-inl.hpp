#pragma once

#include <fmt/format.h>

#include <array>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"
#include "opspilot/decide/detail/document_tables.hpp"
#include "opspilot/decide/detail/golden.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<document_field, 9> bundle_fields{
    {{"name", json_kind::text, true, "what the bundle is for"},
     {"version", json_kind::text, true, "version of the bundle, as its owners count"},
     {"region", json_kind::text, false, "region that may decide with it"},
     {"description", json_kind::text, false, "for people"},
     {"created", json_kind::text, false, "RFC 3339 time"},
     {"provenance", json_kind::object, false, "where data and models came from"},
     {"limits", json_kind::object, false, "limits of a decision"},
     {"demo", json_kind::object, false, "figures of the run that made it"},
     {"parts", json_kind::object, false, "SHA-256 of every other part, written by the builder"}}};
inline constexpr std::array<document_field, 3> limit_fields{
    {{"candidates", json_kind::integer, false, "most candidates of a task, default 10000"},
     {"task_bytes", json_kind::integer, false, "longest task in bytes, default 1 MiB"},
     {"candidate_bytes", json_kind::integer, false, "longest candidate list in bytes, default 64 MiB"}}};
inline constexpr std::array<document_field, 2> rollout_fields{
    {{"stage", json_kind::text, true, "shadow: record only, suggest, approve: up to require_approval, live", stage_names},
     {"note", json_kind::text, false, "for people"}}};

OPSPILOT_INLINE bundle_tables bundle_document_tables() noexcept { return {bundle_fields, limit_fields, rollout_fields}; }

/// Puts the name of a part before the place of an error that happened in it.
inline error in_part(error problem, std::string_view part) {
    problem.where = problem.where.empty() ? fmt::format("part '{}'", part) : fmt::format("part '{}' {}", part, problem.where);
    return problem;
}

inline constexpr std::array<std::string_view, 11> known_parts{
    "bundle.json",      "schema.json",  "catalogue.json", "candidates.json", "features.json", "rank/stages.json",
    "calibration.json", "rollout.json", "baseline.json",  "golden.jsonl",    "parity.jsonl"};

inline bool is_known_part(std::string_view name) noexcept {
    for (const std::string_view known : known_parts)
        if (name == known) return true;
    return name.starts_with("rank/") || name.starts_with("docs/") ||
           ((name.starts_with("policy/") || name.starts_with("tables/")) && name.ends_with(".json"));
}

inline result<std::string_view> required_part(const bundle::impl& b, std::string_view name) {
    const auto found = b.parts.parts.find(name);
    if (found == b.parts.parts.end())
        return error{error_kind::bundle, "bundle.missing_part", fmt::format("part '{}' is missing", name), "",
                     "see the bundle's layout in the docs"};
    return found->second.content;
}

inline status read_manifest(bundle::impl& b) {
    OPSPILOT_TRY(const std::string_view text, required_part(b, "bundle.json"));
    OPSPILOT_TRY(const json document, parse_json(text, error_kind::bundle));
    OPSPILOT_CHECK(check_object(document, bundle_fields, "", error_kind::bundle));
    b.name = text_or(document, "name", "");
    b.version = text_or(document, "version", "");
    b.region = text_or(document, "region", "");
    if (const auto limits = document.find("limits"); limits != document.end()) {
        OPSPILOT_CHECK(check_object(*limits, limit_fields, "/limits", error_kind::bundle));
        for (const auto& [key, value] : limits->items())
            if (value.get<std::int64_t>() < 1 || value.get<std::int64_t>() > (std::int64_t{1} << 40))
                return error{error_kind::bundle, "bundle.bad_limit", fmt::format("limit {} is out of range", key),
                             pointer("/limits", key), ""};
        b.limits.candidates =
            static_cast<std::size_t>(integer_or(*limits, "candidates", static_cast<std::int64_t>(b.limits.candidates)));
        b.limits.task_bytes =
            static_cast<std::size_t>(integer_or(*limits, "task_bytes", static_cast<std::int64_t>(b.limits.task_bytes)));
        b.limits.candidate_bytes =
            static_cast<std::size_t>(integer_or(*limits, "candidate_bytes", static_cast<std::int64_t>(b.limits.candidate_bytes)));
    }
    if (const auto parts = document.find("parts"); parts != document.end())
        for (const auto& [name, digest] : parts->items()) {
            const auto part = b.parts.parts.find(name);
            if (part == b.parts.parts.end())
                return error{error_kind::bundle, "bundle.missing_part", fmt::format("part {} is listed but missing", quote(name)),
                             pointer("/parts", name), ""};
            if (!digest.is_string() || digest.get<std::string>() != hex(part->second.digest))
                return error{error_kind::bundle, "bundle.part_hash",
                             fmt::format("part {} is not the one that was listed", quote(name)), pointer("/parts", name),
                             "build the bundle again from one folder"};
        }
    return {};
}

inline status read_rollout(bundle::impl& b) {
    const auto part = b.parts.parts.find("rollout.json");
    if (part == b.parts.parts.end()) return {};  // without a rollout a bundle decides in shadow
    OPSPILOT_TRY(const json document, parse_json(part->second.content, error_kind::bundle));
    OPSPILOT_CHECK(check_object(document, rollout_fields, "", error_kind::bundle));
    const std::string stage = text_or(document, "stage", "shadow");
    for (std::size_t i = 0; i < stage_names.size(); ++i)
        if (stage == stage_names[i]) b.stage = static_cast<rollout_stage>(i);
    return {};
}

inline status read_catalogue(bundle::impl& b, std::string_view text) {
    interner strings = interner::growing(b.strings);
    b.catalogue.reset(b.schema, role::action);
    OPSPILOT_CHECK(b.catalogue.read_json(text, strings, 0));
    const std::uint32_t id = *b.schema.find(role::action, "id");
    b.row_of_id.assign(b.strings.size(), no_code);
    for (std::size_t row = 0; row < b.catalogue.rows(); ++row) {
        std::uint32_t& slot = b.row_of_id[b.catalogue.get(id, row).code];
        if (slot != no_code)
            return error{error_kind::bundle, "bundle.duplicate_action",
                         fmt::format("action id {} stands twice", quote(b.strings.text(b.catalogue.get(id, row).code))),
                         fmt::format("/{}/id", row), fmt::format("the first one is /{}", slot)};
        slot = static_cast<std::uint32_t>(row);
    }
    return {};
}

/// Everything that decides a score, for the certificate: features and models with their stages.
inline std::string model_identity(const bundle::impl& b) {
    sha256_stream stream;
    stream.update(b.plan.fingerprint());
    for (const auto& [name, part] : b.parts.parts)
        if (name.starts_with("rank/")) {
            stream.update(name);
            stream.update({reinterpret_cast<const char*>(part.digest.data()), part.digest.size()});
        }
    return hex(stream.finish());
}

/// Runs `step` when the part exists; its errors name the part.
template <class Step>
inline status with_part(const bundle::impl& b, std::string_view name, Step&& step) {
    const auto part = b.parts.parts.find(name);
    if (part == b.parts.parts.end()) return {};
    if (status done = step(part->second.content); !done) return in_part(std::move(done).error(), name);
    return {};
}

inline status read_tables(bundle::impl& b) {
    constexpr std::string_view folder = "tables/", suffix = ".json";
    std::vector<lookup_tables::document> documents;
    for (const auto& [name, part] : b.parts.parts)
        if (name.starts_with(folder))
            documents.push_back(
                {std::string(name.substr(folder.size(), name.size() - folder.size() - suffix.size())), part.content});
    OPSPILOT_TRY(b.tables, lookup_tables::read(documents));
    return {};
}

inline status compile_policies(bundle::impl& b) {
    std::vector<policy_set::document> documents;
    for (const auto& [name, part] : b.parts.parts)
        if (name.starts_with("policy/")) documents.push_back({std::string(name), part.content});
    OPSPILOT_TRY(b.policy, policy_set::compile(documents, b.schema, b.strings, nullptr, policy_review::rules, b.tables));
    for (const policy_set::test_result& test : b.policy.run_tests())
        if (!test.passed)
            return error{error_kind::policy, "policy.test_failed", test.message,
                         fmt::format("part '{}' /tests/{}", test.document, test.index), ""};
    return with_part(b, "baseline.json", [&](std::string_view text) -> status {
        const std::array<policy_set::document, 1> only{{{"baseline.json", text}}};
        OPSPILOT_TRY(b.baseline, policy_set::compile(only, b.schema, b.strings, nullptr, policy_review::rules, b.tables));
        return {};
    });
}

inline status compile_models(bundle::impl& b) {
    OPSPILOT_CHECK(with_part(b, "features.json", [&](std::string_view text) -> status {
        OPSPILOT_TRY(b.plan, feature_plan::parse(text, b.schema, b.strings, &b.parts.parts.find("features.json")->second.digest));
        return {};
    }));
    return with_part(b, "rank/stages.json", [&](std::string_view text) -> status {
        if (b.parts.parts.find("features.json") == b.parts.parts.end())
            return error{error_kind::bundle, "bundle.missing_part", "models without features.json", "",
                         "add the transforms the models were trained with"};
        const auto load = [&](std::string_view name) -> result<std::string_view> { return required_part(b, name); };
        OPSPILOT_TRY(b.ranking, pipeline::parse(text, load, b.schema, b.plan, b.strings));
        return {};
    });
}

/// The automation thresholds as decisions use them. One that was certified for other models, or behind another calibrator,
/// certifies nothing.
inline void draw_lines(bundle::impl& b) {
    if (!b.confidence) return;
    for (const threshold& t : b.confidence->thresholds) {
        if (t.scope != "auto") continue;
        const bool own = !b.model_fingerprint.empty() && t.certificate.model_fingerprint == b.model_fingerprint;
        const bool own_scale = b.confidence->is_calibrator_of(t.certificate);
        b.lines.push_back({.kind = t.kind.empty() ? no_code : b.strings.insert(t.kind),
                           .certified = own && own_scale && t.value.has_value(),
                           .foreign_model = !own,
                           .foreign_calibrator = !own_scale,
                           .value = t.value.value_or(0),
                           .created_at_us = t.certificate.created_at_us,
                           .expires_at_us = t.certificate.expires_at_us});
    }
}

/// Compiles all parts of `b.parts`. The golden rows are the caller's to check.
inline status compile_bundle(bundle::impl& b) {
    b.fingerprint = hex(b.parts.fingerprint);
    for (const auto& [name, part] : b.parts.parts)
        if (!is_known_part(name))
            return error{error_kind::bundle, "bundle.unknown_part", fmt::format("no part of a bundle is called {}", quote(name)),
                         "", did_you_mean(name, known_parts).empty() ? "notes go to docs/" : did_you_mean(name, known_parts)};
    if (status done = read_manifest(b); !done) return in_part(std::move(done).error(), "bundle.json");
    if (status done = read_rollout(b); !done) return in_part(std::move(done).error(), "rollout.json");
    if (const auto part = required_part(b, "schema.json"); !part) return part.error();
    OPSPILOT_CHECK(with_part(b, "schema.json", [&](std::string_view text) -> status {
        OPSPILOT_TRY(b.schema, schema::parse(text));
        return {};
    }));
    b.catalogue.reset(b.schema, role::action);
    OPSPILOT_CHECK(with_part(b, "catalogue.json", [&](std::string_view text) { return read_catalogue(b, text); }));
    OPSPILOT_CHECK(compile_models(b));
    OPSPILOT_CHECK(read_tables(b));
    OPSPILOT_CHECK(compile_policies(b));
    OPSPILOT_CHECK(with_part(b, "candidates.json", [&](std::string_view text) -> status {
        OPSPILOT_TRY(b.generate, generator::parse(text, b.schema, b.catalogue));
        return {};
    }));
    OPSPILOT_CHECK(with_part(b, "calibration.json", [&](std::string_view text) -> status {
        OPSPILOT_TRY(b.confidence, calibration::parse(text));
        return {};
    }));
    const auto kind = b.schema.find(role::action, "kind");
    if (kind && b.schema.fields(role::action)[*kind].type == field_type::text) b.kind_field = kind;
    const interner strings(std::as_const(b.strings));
    b.policy_ready = b.policy.prepare(b.catalogue, strings);
    if (b.baseline) b.baseline_ready = b.baseline->prepare(b.catalogue, strings);
    if (b.plan.state) {
        OPSPILOT_TRY(b.prepared, b.plan.prepare(b.catalogue, strings));
    }
    b.model_fingerprint = b.ranking ? model_identity(b) : "";
    draw_lines(b);
    b.versions = {.bundle = b.fingerprint,
                  .bundle_version = b.version,
                  .schema = b.schema.fingerprint(),
                  .features = b.plan.state ? b.plan.fingerprint() : "",
                  .model = b.model_fingerprint,
                  .policy = b.policy.fingerprint(),
                  .calibration = {},
                  .library = fmt::format("{}.{}.{}", OPSPILOT_VERSION_MAJOR, OPSPILOT_VERSION_MINOR, OPSPILOT_VERSION_PATCH)};
    b.row_of_id.resize(b.strings.size(), no_code);  // the dictionary is complete now
    if (const auto part = b.parts.parts.find("calibration.json"); part != b.parts.parts.end())
        b.versions.calibration = hex(part->second.digest);
    return {};
}

inline result<std::shared_ptr<const bundle>> open_bundle(std::string packed) {
    auto state = std::make_unique<bundle::impl>();
    state->packed = std::make_shared<const std::string>(std::move(packed));
    OPSPILOT_TRY(state->parts, open_container(*state->packed));
    state->identity = state->parts.fingerprint;
    OPSPILOT_CHECK(compile_bundle(*state));
    return std::shared_ptr<const bundle>(std::make_shared<bundle>(std::move(state)));
}

}  // namespace detail

OPSPILOT_INLINE bundle::bundle(std::unique_ptr<impl> state) : state_(std::move(state)) {}
OPSPILOT_INLINE bundle::~bundle() = default;

OPSPILOT_INLINE result<std::shared_ptr<const bundle>> bundle::load(std::string_view packed) {
    OPSPILOT_TRY(auto made, detail::open_bundle(std::string(packed)));
    OPSPILOT_TRY(const std::string_view golden, detail::required_part(made->state(), "golden.jsonl"));
    OPSPILOT_TRY(const_cast<impl&>(made->state()).golden_rows, detail::check_golden(made, golden));
    return made;
}

OPSPILOT_INLINE result<std::shared_ptr<const bundle>> bundle::draft(const part_map& parts) {
    OPSPILOT_TRY(std::string packed, pack_container(parts));
    OPSPILOT_TRY(auto made, detail::open_bundle(std::move(packed)));
    const_cast<impl&>(made->state()).stage = rollout_stage::shadow;
    return made;
}

OPSPILOT_INLINE result<std::string> bundle::build(const part_map& parts) {
    part_map all = parts;
    const auto golden = all.find("golden.jsonl");
    if (golden == all.end())
        return error{error_kind::bundle, "bundle.golden_rows", "part 'golden.jsonl' is missing", "",
                     "add at least 64 lines {\"task\": …, \"now\": …}; the builder fills in the answers"};
    // The manifest lists what it stands for, so it is written last and not hashed into itself.
    const auto manifest = all.find("bundle.json");
    if (manifest == all.end()) return error{error_kind::bundle, "bundle.missing_part", "part 'bundle.json' is missing", "", ""};
    {
        auto document = detail::parse_json(manifest->second, error_kind::bundle);
        if (!document) return detail::in_part(std::move(document).error(), "bundle.json");
        if (document->is_object()) document->erase("parts");
        manifest->second = document->dump(2) + "\n";
    }
    OPSPILOT_TRY(const auto unproven, draft(all));
    OPSPILOT_TRY(golden->second, detail::make_golden(unproven, golden->second));
    detail::json document = detail::json::parse(manifest->second);
    for (const auto& [name, content] : all)
        if (name != "bundle.json") document["parts"][name] = sha256_hex(content);
    manifest->second = document.dump(2) + "\n";
    OPSPILOT_TRY(std::string packed, pack_container(all));
    OPSPILOT_TRY(const auto proof, load(packed));
    return packed;
}

OPSPILOT_INLINE const std::string& bundle::fingerprint() const noexcept { return state_->fingerprint; }
OPSPILOT_INLINE const std::string& bundle::name() const noexcept { return state_->name; }
OPSPILOT_INLINE const std::string& bundle::version() const noexcept { return state_->version; }
OPSPILOT_INLINE const std::string& bundle::region() const noexcept { return state_->region; }
OPSPILOT_INLINE const version_set& bundle::versions() const noexcept { return state_->versions; }
OPSPILOT_INLINE const decision_limits& bundle::limits() const noexcept { return state_->limits; }
OPSPILOT_INLINE const opspilot::schema& bundle::schema() const noexcept { return state_->schema; }
OPSPILOT_INLINE const table& bundle::catalogue() const noexcept { return state_->catalogue; }
OPSPILOT_INLINE const dictionary& bundle::strings() const noexcept { return state_->strings; }
OPSPILOT_INLINE std::string_view bundle::packed() const noexcept { return *state_->packed; }
OPSPILOT_INLINE bool bundle::published() const noexcept { return state_->origin != nullptr; }
OPSPILOT_INLINE std::string_view bundle::part(std::string_view name) const noexcept {
    const auto found = state_->parts.parts.find(name);
    return found == state_->parts.parts.end() ? std::string_view{} : found->second.content;
}
OPSPILOT_INLINE std::vector<std::pair<std::string_view, std::size_t>> bundle::part_sizes() const {
    std::vector<std::pair<std::string_view, std::size_t>> out;
    for (const auto& [name, part] : state_->parts.parts) out.emplace_back(name, part.content.size());
    return out;
}
OPSPILOT_INLINE std::size_t bundle::golden_rows() const noexcept { return state_->golden_rows; }
OPSPILOT_INLINE std::span<const std::string> bundle::stage_names() const noexcept {
    return state_->ranking ? state_->ranking->stage_names() : std::span<const std::string>{};
}

}  // namespace opspilot
