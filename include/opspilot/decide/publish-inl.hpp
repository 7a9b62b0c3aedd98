#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"

namespace opspilot {

namespace detail {

/// The documents' own tests must hold before a policy decides anything.
inline status check_policy_tests(const policy_set& policy, std::string_view of) {
    for (const policy_set::test_result& test : policy.run_tests())
        if (!test.passed)
            return error{error_kind::policy, "policy.test_failed", test.message,
                         fmt::format("{} '{}' /tests/{}", of, test.document, test.index), ""};
    return {};
}

/// No overlay may have a rule of an id that the bundle's policy has: nobody could tell which one a record names.
inline status check_overlay_ids(const policy_set& base, const client_overlay& own) {
    for (std::uint32_t i = 0; i < own.rules.rules(); ++i)
        for (std::uint32_t k = 0; k < base.rules(); ++k) {
            const rule_info mine = own.rules.rule(i), other = base.rule(k);
            if (mine.id != other.id) continue;
            const std::string where = fmt::format("overlay of client {} rule {}", quote(own.client), quote(mine.id));
            return error{error_kind::policy, other.locked ? "policy.locked" : "policy.duplicate_rule",
                         fmt::format("rule {} {} the {} layer of the bundle", quote(mine.id),
                                     other.locked ? "is locked by" : "stands in", other.layer),
                         where, "choose another id"};
        }
    return {};
}

inline result<std::shared_ptr<const client_overlay>> compile_overlay(bundle::impl& b, const policy_change::overlay& given,
                                                                     std::vector<policy_finding>* findings) {
    auto made = std::make_shared<client_overlay>();
    made->client = given.client;
    const std::string name = fmt::format("overlay of {}", given.client);
    const policy_set::document only{name, *given.document};
    OPSPILOT_TRY(made->rules, policy_set::compile({&only, 1}, b.schema, b.strings, findings, policy_review::rules, b.tables));
    for (const policy_set::document_info& d : made->rules.documents())
        if (d.layer != "client")
            return error{error_kind::policy, "policy.overlay_layer",
                         fmt::format("an overlay belongs to the client layer, this one says '{}'", d.layer), name,
                         "write \"layer\": \"client\""};
    OPSPILOT_CHECK(check_policy_tests(made->rules, "overlay"));
    return std::shared_ptr<const client_overlay>(std::move(made));
}

/// Bundle, policy and overlays: whatever decides, in an order that does not depend on the map's.
inline sha256_digest identity_of(const bundle::impl& b) {
    std::vector<std::string> lines;
    for (const auto& [client, own] : b.overlays) lines.push_back(fmt::format("{} {}\n", own->rules.fingerprint(), own->client));
    std::sort(lines.begin(), lines.end());
    sha256_stream stream;
    stream.update("opspilot.publication.1\n");
    stream.update({reinterpret_cast<const char*>(b.parts.fingerprint.data()), b.parts.fingerprint.size()});
    stream.update(b.policy.fingerprint());
    for (const std::string& line : lines) stream.update(line);
    return stream.finish();
}

}  // namespace detail

OPSPILOT_INLINE result<std::shared_ptr<const bundle>> bundle::with(const policy_change& change,
                                                                   std::vector<policy_finding>* findings) const {
    auto made = std::make_unique<impl>(*state_);
    if (made->origin == nullptr) made->origin = shared_from_this();
    if (change.policy) {
        OPSPILOT_TRY(made->policy, policy_set::compile(*change.policy, made->schema, made->strings, findings,
                                                       policy_review::rules, made->tables));
        OPSPILOT_CHECK(detail::check_policy_tests(made->policy, "document"));
        made->versions.policy = made->policy.fingerprint();
    }
    for (const policy_change::overlay& given : change.overlays) {
        if (given.client.empty())
            return error{error_kind::usage, "usage.overlay_client", "an overlay names its client", "", "give the client's id"};
        const std::uint32_t client = made->strings.insert(given.client);
        if (!given.document) {
            made->overlays.erase(client);
            continue;
        }
        OPSPILOT_TRY(made->overlays[client], detail::compile_overlay(*made, given, findings));
    }
    const interner strings(std::as_const(made->strings));
    if (change.policy) made->policy_ready = made->policy.prepare(made->catalogue, strings);
    for (auto& [client, own] : made->overlays) {
        // Codes of an overlay that stays are of a dictionary that only grew since, so they hold.
        OPSPILOT_CHECK(detail::check_overlay_ids(made->policy, *own));
        auto fitted = std::make_shared<detail::client_overlay>(*own);
        if (fitted->ready.state == nullptr) fitted->ready = fitted->rules.prepare(made->catalogue, strings);
        fitted->versions = made->versions;
        fitted->versions.policy = sha256_hex(made->policy.fingerprint() + own->rules.fingerprint());
        own = std::move(fitted);
    }
    made->row_of_id.resize(made->strings.size(), no_code);
    made->identity = detail::identity_of(*made);
    return std::shared_ptr<const bundle>(std::make_shared<bundle>(std::move(made)));
}

OPSPILOT_INLINE result<part_map> bundle::parts_in_force() const {
    if (!state_->overlays.empty())
        return error{error_kind::usage, "usage.overlays",
                     fmt::format("{} of clients, for which a bundle has no place",
                                 state_->overlays.size() == 1 ? "there is an overlay" : "there are overlays"),
                     fmt::format("client {}", quote(state_->overlays.begin()->second->client)),
                     "take the overlays away, save, and publish them again"};
    constexpr std::string_view folder = "policy/", suffix = ".json";
    part_map out;
    for (const auto& [name, part] : state_->parts.parts)
        if (!published() || !name.starts_with(folder)) out.emplace(name, part.content);
    if (!published()) return out;
    for (const policy_set::document_info& d : state_->policy.documents()) {
        // Documents that a host published may be called anything.
        std::string stem(d.name.starts_with(folder) ? d.name.substr(folder.size()) : d.name);
        if (stem.ends_with(suffix)) stem.resize(stem.size() - suffix.size());
        for (char& c : stem)
            if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '_';
        if (stem.empty() || stem == "." || stem == "..") stem = d.layer;
        std::string name = fmt::format("{}{}{}", folder, stem, suffix);
        for (int again = 2; out.contains(name); ++again) name = fmt::format("{}{} {}{}", folder, stem, again, suffix);
        out.emplace(std::move(name), d.text);
    }
    return out;
}

OPSPILOT_INLINE std::vector<bundle::layer_info> bundle::layers() const {
    std::vector<layer_info> out;
    const auto add = [&](const policy_set& policy, std::string_view client) {
        for (const policy_set::document_info& d : policy.documents())
            out.push_back({d.layer, d.name, d.version, d.sha256, client});
    };
    add(state_->policy, {});
    const std::size_t own = out.size();
    for (const auto& [code, overlay] : state_->overlays) add(overlay->rules, overlay->client);
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(own), out.end(),
              [](const layer_info& a, const layer_info& b) { return a.client < b.client; });
    for (const lookup_tables::info& t : state_->tables.list()) out.push_back({"table", t.name, t.version, t.sha256, {}});
    return out;
}

}  // namespace opspilot
