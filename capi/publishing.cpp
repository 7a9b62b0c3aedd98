// What decides, and who may change it: swaps, policies, signed releases, shadows, the kill switch.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "opspilot.h"
#include "surface.hpp"

namespace opspilot::c_surface {

namespace {

/// Policies as a caller gave them, checked, as the library takes them. Views into the caller's texts.
class given_policies {
public:
    status read(const opspilot_document* documents, size_t documents_count, const opspilot_overlay* overlays,
                size_t overlays_count) {
        if (overlays_count > 0) OPSPILOT_CHECK(given(overlays, "overlays"));
        replaces_ = documents != nullptr;
        for (size_t i = 0; replaces_ && i < documents_count; ++i) {
            OPSPILOT_TRY(const std::string_view name, whole(documents[i].name, "name of a document"));
            OPSPILOT_TRY(const std::string_view document, whole(documents[i].text, "text of a document"));
            documents_.push_back({std::string(name), document});
        }
        for (size_t i = 0; i < overlays_count; ++i) {
            OPSPILOT_TRY(const std::string_view client, whole(overlays[i].client, "client of an overlay"));
            OPSPILOT_TRY(const std::string_view document, whole(overlays[i].text, "text of an overlay"));
            overlays_.push_back({.client = std::string(client), .document = {}});
            if (overlays[i].text.data != nullptr) overlays_.back().document = document;
        }
        return {};
    }
    [[nodiscard]] policy_change view() const {
        policy_change out{.policy = {}, .overlays = overlays_};
        if (replaces_) out.policy = documents_;
        return out;
    }

private:
    bool replaces_ = false;
    std::vector<policy_set::document> documents_;
    std::vector<policy_change::overlay> overlays_;
};

}  // namespace

}  // namespace opspilot::c_surface

using opspilot::status;
using namespace opspilot::c_surface;

extern "C" {

opspilot_status opspilot_engine_swap(opspilot_engine* engine, const opspilot_bundle* bundle, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", bundle, "bundle"));
        return engine->value.swap(bundle->value);
    });
}
opspilot_status opspilot_engine_publish(opspilot_engine* engine, const opspilot_document* documents, size_t documents_count,
                                        const opspilot_overlay* overlays, size_t overlays_count, int64_t now_us,
                                        opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        given_policies change;
        OPSPILOT_CHECK(change.read(documents, documents_count, overlays, overlays_count));
        return engine->value.publish(change.view(), now_us);
    });
}
opspilot_status opspilot_engine_trust(opspilot_engine* engine, const opspilot_text* keys, size_t count, int64_t last_policy,
                                      int64_t last_bundle, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        if (count > 0) OPSPILOT_CHECK(given(keys, "keys"));
        std::vector<opspilot::public_key> trusted;
        for (size_t i = 0; i < count; ++i) {
            OPSPILOT_TRY(const std::string_view hex, whole(keys[i], "key"));
            OPSPILOT_TRY(const opspilot::public_key key, opspilot::public_key::from_hex(hex));
            trusted.push_back(key);
        }
        return engine->value.trust(std::move(trusted), last_policy, last_bundle);
    });
}
opspilot_status opspilot_engine_publish_signed(opspilot_engine* engine, const char* envelope, size_t envelope_size,
                                               int64_t now_us, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", envelope, "envelope"));
        return engine->value.publish_signed({envelope, envelope_size}, now_us);
    });
}
opspilot_status opspilot_engine_swap_signed(opspilot_engine* engine, const opspilot_bundle* bundle, const char* envelope,
                                            size_t envelope_size, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", bundle, "bundle", envelope, "envelope"));
        return engine->value.swap_signed(bundle->value, {envelope, envelope_size});
    });
}
opspilot_status opspilot_engine_rollback(opspilot_engine* engine, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        return engine->value.rollback();
    });
}
opspilot_status opspilot_engine_kill(opspilot_engine* engine, int32_t scope, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        if (scope < OPSPILOT_KILL_NONE || scope > OPSPILOT_KILL_EVERYTHING)
            return usage("usage.kill_scope", "kill scope " + std::to_string(scope), "0 to 2");
        engine->value.kill(static_cast<opspilot::kill_scope>(scope));
        return {};
    });
}

opspilot_status opspilot_engine_shadow(opspilot_engine* engine, const opspilot_bundle* candidate, double share,
                                       opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        return engine->value.shadow(candidate == nullptr ? nullptr : candidate->value, share);
    });
}
opspilot_status opspilot_engine_shadow_policy(opspilot_engine* engine, const opspilot_document* documents, size_t documents_count,
                                              const opspilot_overlay* overlays, size_t overlays_count, double share,
                                              opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(engine, "engine"));
        given_policies change;
        OPSPILOT_CHECK(change.read(documents, documents_count, overlays, overlays_count));
        if (documents == nullptr && overlays_count == 0)
            return usage("usage.null_argument", "neither documents nor overlays", "opspilot_engine_shadow ends a shadow");
        OPSPILOT_TRY(auto candidate, engine->value.current()->with(change.view()));
        return engine->value.shadow(std::move(candidate), share);
    });
}
opspilot_status opspilot_engine_shadowed(const opspilot_engine* engine, opspilot_shadow* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", out, "out"));
        OPSPILOT_CHECK(reaches(out->size, sizeof(opspilot_shadow), "opspilot_shadow"));
        const opspilot::shadow_report r = engine->value.shadowed();
        out->running = r.running ? 1 : 0;
        out->reserved = 0;
        out->decided = r.decided;
        out->failed = r.failed;
        out->changed = r.changed;
        out->actions = r.actions;
        out->queues = r.queues;
        for (std::size_t live = 0; live < r.verdicts.size(); ++live)
            std::copy(r.verdicts[live].begin(), r.verdicts[live].end(), out->verdicts[live]);
        return {};
    });
}
opspilot_status opspilot_engine_describe_json(const opspilot_engine* engine, opspilot_workspace* workspace, opspilot_text* out,
                                              opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", workspace, "workspace", out, "out"));
        workspace->text = engine->value.describe_json();
        *out = text(workspace->text);
        return {};
    });
}

}  // extern "C"
