#pragma once

#include <fmt/format.h>

#include <array>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/decide/release.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<document_field, 4> policy_release_fields{
    {{"sequence", json_kind::integer, true, "grows with every release"},
     {"bundle", json_kind::text, true, "name of the bundle it is for"},
     {"documents", json_kind::array, false, "all layers; left out: they stay"},
     {"overlays", json_kind::array, false, "of clients, those that change"}}};
inline constexpr std::array<document_field, 2> release_document_fields{
    {{"name", json_kind::text, true, "what the document is called"}, {"text", json_kind::text, true, "the document, as text"}}};
inline constexpr std::array<document_field, 2> release_overlay_fields{
    {{"client", json_kind::text, true, "whose rules these are"},
     {"text", json_kind::text, false, "the document, as text; left out: the overlay is taken away"}}};
inline constexpr std::array<document_field, 2> bundle_release_fields{
    {{"sequence", json_kind::integer, true, "grows with every release"},
     {"fingerprint", json_kind::text, true, "SHA-256 of the packed bundle, in hex"}}};

/// The payload of an envelope that verifies, checked against its fields, and who signed it.
struct opened_release {
    json payload;
    std::int64_t sequence = 0;
    public_key signer;
};
inline result<opened_release> open_release(std::string_view envelope, std::string_view type, std::span<const public_key> trusted,
                                           std::span<const document_field> fields, error_kind kind) {
    OPSPILOT_TRY(opened_envelope checked, open_envelope(envelope, type, trusted, kind));
    OPSPILOT_TRY(json payload, parse_json(checked.payload, kind));
    OPSPILOT_CHECK(check_object(payload, fields, "", kind));
    const std::int64_t sequence = integer_or(payload, "sequence", 0);
    if (sequence < 1)
        return error{kind, "signature.sequence", fmt::format("a release has a sequence from 1 on, not {}", sequence), "/sequence",
                     "count releases"};
    return opened_release{std::move(payload), sequence, checked.signer};
}

}  // namespace detail

OPSPILOT_INLINE std::string policy_release::sign(const signing_key& key) const {
    detail::json out{{"sequence", sequence}, {"bundle", bundle}};
    if (documents) {
        out["documents"] = detail::json::array();
        for (const document& d : *documents) out["documents"].push_back({{"name", d.name}, {"text", d.text}});
    }
    for (const overlay& o : overlays) {
        detail::json one{{"client", o.client}};
        if (o.text) one["text"] = *o.text;
        out["overlays"].push_back(std::move(one));
    }
    return seal(payload_type, out.dump(), key);
}

OPSPILOT_INLINE result<policy_release::opened> policy_release::open(std::string_view envelope,
                                                                    std::span<const public_key> trusted) {
    using namespace detail;
    constexpr error_kind kind = error_kind::policy;
    OPSPILOT_TRY(const opened_release read, open_release(envelope, payload_type, trusted, policy_release_fields, kind));
    const json& payload = read.payload;
    opened out{.release = {}, .signer = read.signer};
    out.release.sequence = read.sequence;
    out.release.bundle = text_or(payload, "bundle", "");
    if (const auto list = payload.find("documents"); list != payload.end()) {
        out.release.documents.emplace();
        for (std::size_t i = 0; i < list->size(); ++i) {
            OPSPILOT_CHECK(check_object((*list)[i], release_document_fields, pointer("/documents", i), kind));
            out.release.documents->push_back({text_or((*list)[i], "name", ""), text_or((*list)[i], "text", "")});
        }
    }
    if (const auto list = payload.find("overlays"); list != payload.end())
        for (std::size_t i = 0; i < list->size(); ++i) {
            const json& one = (*list)[i];
            OPSPILOT_CHECK(check_object(one, release_overlay_fields, pointer("/overlays", i), kind));
            overlay o{.client = text_or(one, "client", ""), .text = {}};
            if (one.contains("text")) o.text = text_or(one, "text", "");
            out.release.overlays.push_back(std::move(o));
        }
    return out;
}

OPSPILOT_INLINE std::string bundle_release::sign(const signing_key& key) const {
    const detail::json out{{"sequence", sequence}, {"fingerprint", fingerprint}};
    return seal(payload_type, out.dump(), key);
}

OPSPILOT_INLINE result<bundle_release::opened> bundle_release::open(std::string_view envelope,
                                                                    std::span<const public_key> trusted) {
    using namespace detail;
    OPSPILOT_TRY(const opened_release read,
                 open_release(envelope, payload_type, trusted, bundle_release_fields, error_kind::bundle));
    opened out{.release = {}, .signer = read.signer};
    out.release.sequence = read.sequence;
    out.release.fingerprint = text_or(read.payload, "fingerprint", "");
    return out;
}

}  // namespace opspilot
