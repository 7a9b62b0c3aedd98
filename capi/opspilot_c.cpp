// The C surface: argument checks, conversions, and every exception caught. What is decided is decided elsewhere.
#include "opspilot.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "candidates.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/engine.hpp"

struct opspilot_bundle {
    std::shared_ptr<const opspilot::bundle> value;
    std::string description;
};
struct opspilot_engine {
    explicit opspilot_engine(std::shared_ptr<const opspilot::bundle> b) : value(std::move(b)) {}
    opspilot::engine value;
};
struct opspilot_workspace {
    opspilot::workspace value;
    std::string text;  // lent out until the next call
};
struct opspilot_candidates {
    opspilot::c_surface::candidate_columns value;
};
struct opspilot_decision {
    opspilot::decision own;
    const opspilot::decision* shown = &own;  // in a batch, the one being handed out
    std::string record;
};

namespace {

using opspilot::error;
using opspilot::error_kind;
using opspilot::status;

static_assert(static_cast<int>(error_kind::usage) == OPSPILOT_ERROR_USAGE);
static_assert(static_cast<int>(error_kind::internal) == OPSPILOT_ERROR_INTERNAL);
static_assert(static_cast<int>(opspilot::verdict::auto_execute) == OPSPILOT_VERDICT_AUTO_EXECUTE);
static_assert(static_cast<int>(opspilot::verdict::abstain) == OPSPILOT_VERDICT_ABSTAIN);
static_assert(static_cast<int>(opspilot::rung::full) == OPSPILOT_RUNG_FULL);
static_assert(static_cast<int>(opspilot::kill_scope::everything) == OPSPILOT_KILL_EVERYTHING);

/// Copies as much as fits, whole code points, and ends with a zero byte.
template <std::size_t N>
void copy_text(char (&to)[N], std::string_view from) noexcept {
    std::size_t length = std::min(from.size(), N - 1);
    if (length < from.size())
        while (length > 0 && (static_cast<unsigned char>(from[length]) & 0xC0U) == 0x80U) --length;
    std::memcpy(to, from.data(), length);
    to[length] = '\0';
}

opspilot_status fail(opspilot_error* out, opspilot_status returned, std::string_view code, std::string_view message,
                     std::string_view where = {}, std::string_view hint = {}) noexcept {
    if (out != nullptr && out->size >= sizeof(opspilot_error)) {
        out->status = returned;
        copy_text(out->code, code);
        copy_text(out->message, message);
        copy_text(out->where, where);
        copy_text(out->hint, hint);
    }
    return returned;
}

/// Runs the body of a function; whatever happens in it becomes a status.
template <class Body>
opspilot_status guarded(opspilot_error* out, Body&& body) noexcept {
    try {
        const status done = body();
        if (done) return OPSPILOT_OK;
        const error& e = done.error();
        return fail(out, static_cast<opspilot_status>(e.kind), e.code, e.message, e.where, e.hint);
    } catch (const std::bad_alloc&) {
        return fail(out, OPSPILOT_ERROR_MEMORY, "memory.exhausted", "memory ran out");
    } catch (const std::exception& e) {
        return fail(out, OPSPILOT_ERROR_INTERNAL, "internal.exception", e.what());
    } catch (...) {
        return fail(out, OPSPILOT_ERROR_INTERNAL, "internal.exception", "an exception that is not one of the standard's");
    }
}

error usage(std::string_view code, std::string message, std::string hint = {}) {
    return {error_kind::usage, code, std::move(message), "", std::move(hint)};
}

std::string_view text_of(const opspilot_text& t) { return t.size == 0 ? std::string_view{""} : std::string_view{t.data, t.size}; }

status given(const void* argument, const char* name) {
    if (argument != nullptr) return {};
    return usage("usage.null_argument", std::string("argument '") + name + "' is NULL");
}

template <class... Pairs>
status all_given(const void* first, const char* name, Pairs... rest) {
    OPSPILOT_CHECK(given(first, name));
    if constexpr (sizeof...(rest) > 0) return all_given(rest...);
    return {};
}

opspilot_text text(std::string_view view) noexcept { return {view.data(), view.size()}; }

/// Whether a caller's struct reaches as far as its first version did.
status reaches(std::size_t size, std::size_t first_version, const char* name) {
    if (size >= first_version) return {};
    return usage("usage.struct_size", std::string(name) + " of " + std::to_string(size) + " bytes",
                 std::string("set size to sizeof(") + name + ")");
}

opspilot::result<opspilot::decide_options> read_options(const opspilot_options* given_options) {
    opspilot_options o = OPSPILOT_OPTIONS_INIT;
    if (given_options != nullptr) {
        OPSPILOT_CHECK(reaches(given_options->size, offsetof(opspilot_options, explain), "opspilot_options"));
        std::memcpy(&o, given_options, std::min(given_options->size, sizeof o));
    }
    if (o.widest_rung < OPSPILOT_RUNG_HUMAN || o.widest_rung > OPSPILOT_RUNG_FULL)
        return usage("usage.option", "widest_rung " + std::to_string(o.widest_rung), "0 to 4");
    if (o.reserved != 0) return usage("usage.option", "reserved " + std::to_string(o.reserved), "0");
    return opspilot::decide_options{
        .widest = static_cast<opspilot::rung>(o.widest_rung), .staged = o.ignore_stage == 0, .explain = o.explain != 0};
}

/// Rows of candidates for the engine; none given: generate.
opspilot::table_source source(const opspilot_candidates* candidates) noexcept {
    return candidates == nullptr ? opspilot::table_source{} : candidates->value.source();
}

status fill(opspilot_reason* out, const opspilot::reason& reason) {
    OPSPILOT_CHECK(reaches(out->size, sizeof(opspilot_reason), "opspilot_reason"));
    out->code = text(reason.code);
    out->rule = text(reason.rule);
    out->layer = text(reason.layer);
    out->text = text(reason.text);
    out->failed = reason.failed ? 1 : 0;
    return {};
}

/// What was explained, or nothing.
const opspilot::score_explanation* explained(const opspilot_decision& d) noexcept {
    const opspilot::decision_explanation& e = d.shown->explanation;
    return e.asked && e.missing.empty() ? &e.of_score : nullptr;
}

status index_below(std::size_t index, std::size_t count) {
    if (index < count) return {};
    return usage("usage.index", "index " + std::to_string(index) + " of " + std::to_string(count));
}

template <class Object, class... Arguments>
opspilot_status make(Object** out, opspilot_error* e, Arguments&&... arguments) noexcept {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(out, "out"));
        *out = new Object{std::forward<Arguments>(arguments)...};
        return {};
    });
}

}  // namespace

extern "C" {

uint32_t opspilot_abi_version(void) { return OPSPILOT_ABI_VERSION; }

#define OPSPILOT_C_TEXT_OF(x) #x
#define OPSPILOT_C_VERSION(a, b, c) OPSPILOT_C_TEXT_OF(a) "." OPSPILOT_C_TEXT_OF(b) "." OPSPILOT_C_TEXT_OF(c)
const char* opspilot_version_string(void) {
    return OPSPILOT_C_VERSION(OPSPILOT_VERSION_MAJOR, OPSPILOT_VERSION_MINOR, OPSPILOT_VERSION_PATCH);
}

const char* opspilot_status_name(int32_t value) {
    if (value == OPSPILOT_OK) return "ok";
    if (value == OPSPILOT_ERROR_MEMORY) return "memory";
    if (value < OPSPILOT_ERROR_USAGE || value > OPSPILOT_ERROR_INTERNAL) return "unknown";
    return opspilot::name(static_cast<error_kind>(value)).data();  // literals, so they end with a zero byte
}

opspilot_status opspilot_bundle_load(const void* bytes, size_t size, opspilot_bundle** out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(bytes, "bytes", out, "out"));
        OPSPILOT_TRY(auto loaded, opspilot::bundle::load({static_cast<const char*>(bytes), size}));
        *out = new opspilot_bundle{std::move(loaded), {}};
        return {};
    });
}
void opspilot_bundle_free(opspilot_bundle* bundle) { delete bundle; }
opspilot_text opspilot_bundle_fingerprint(const opspilot_bundle* b) {
    return b == nullptr ? text({}) : text(b->value->fingerprint());
}
opspilot_text opspilot_bundle_name(const opspilot_bundle* b) { return b == nullptr ? text({}) : text(b->value->name()); }
opspilot_text opspilot_bundle_version(const opspilot_bundle* b) { return b == nullptr ? text({}) : text(b->value->version()); }
opspilot_text opspilot_bundle_region(const opspilot_bundle* b) { return b == nullptr ? text({}) : text(b->value->region()); }
opspilot_status opspilot_bundle_describe_json(opspilot_bundle* bundle, opspilot_text* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(bundle, "bundle", out, "out"));
        if (bundle->description.empty()) bundle->description = bundle->value->describe_json();
        *out = text(bundle->description);
        return {};
    });
}

opspilot_status opspilot_engine_new(const opspilot_bundle* bundle, opspilot_engine** out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(bundle, "bundle", out, "out"));
        *out = new opspilot_engine(bundle->value);
        return {};
    });
}
void opspilot_engine_free(opspilot_engine* engine) { delete engine; }
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
        if (overlays_count > 0) OPSPILOT_CHECK(given(overlays, "overlays"));
        std::vector<opspilot::policy_set::document> policy;
        for (size_t i = 0; documents != nullptr && i < documents_count; ++i)
            policy.push_back({std::string(text_of(documents[i].name)), text_of(documents[i].text)});
        std::vector<opspilot::policy_change::overlay> changed;
        for (size_t i = 0; i < overlays_count; ++i) {
            changed.push_back({.client = std::string(text_of(overlays[i].client)), .document = {}});
            if (overlays[i].text.data != nullptr) changed.back().document = text_of(overlays[i].text);
        }
        opspilot::policy_change change{.policy = {}, .overlays = changed};
        if (documents != nullptr) change.policy = policy;
        return engine->value.publish(change, now_us);
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

opspilot_status opspilot_workspace_new(opspilot_workspace** out, opspilot_error* e) { return make(out, e); }
void opspilot_workspace_free(opspilot_workspace* workspace) { delete workspace; }
opspilot_status opspilot_candidates_new(opspilot_candidates** out, opspilot_error* e) { return make(out, e); }
void opspilot_candidates_free(opspilot_candidates* candidates) { delete candidates; }
opspilot_status opspilot_decision_new(opspilot_decision** out, opspilot_error* e) { return make(out, e); }
void opspilot_decision_free(opspilot_decision* decision) { delete decision; }

opspilot_status opspilot_candidates_clear(opspilot_candidates* c, size_t rows, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(given(c, "candidates"));
        return c->value.clear(rows);
    });
}
opspilot_status opspilot_candidates_add_int64(opspilot_candidates* c, const char* name, size_t name_size, const int64_t* values,
                                              const uint8_t* is_given, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", name, "name"));
        return c->value.add_fixed({name, name_size}, "l", values, is_given);
    });
}
opspilot_status opspilot_candidates_add_double(opspilot_candidates* c, const char* name, size_t name_size, const double* values,
                                               const uint8_t* is_given, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", name, "name"));
        return c->value.add_fixed({name, name_size}, "g", values, is_given);
    });
}
opspilot_status opspilot_candidates_add_bool(opspilot_candidates* c, const char* name, size_t name_size, const uint8_t* values,
                                             const uint8_t* is_given, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", name, "name"));
        return c->value.add_bool({name, name_size}, values, is_given);
    });
}
opspilot_status opspilot_candidates_add_text(opspilot_candidates* c, const char* name, size_t name_size, const char* bytes,
                                             size_t bytes_size, const int64_t* offsets, const uint8_t* is_given,
                                             opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", name, "name"));
        return c->value.add_text({name, name_size}, {bytes, bytes_size, offsets}, is_given);
    });
}
opspilot_status opspilot_candidates_add_codes(opspilot_candidates* c, const char* name, size_t name_size, const uint32_t* codes,
                                              const char* bytes, size_t bytes_size, const int64_t* offsets, size_t texts,
                                              const uint8_t* is_given, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", name, "name"));
        return c->value.add_codes({name, name_size}, codes, {bytes, bytes_size, offsets}, texts, is_given);
    });
}
opspilot_status opspilot_candidates_set_arrow(opspilot_candidates* c, const struct ArrowSchema* schema,
                                              const struct ArrowArray* array, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(c, "candidates", schema, "schema", array, "array"));
        c->value.set_arrow(schema, array);
        return {};
    });
}

opspilot_status opspilot_engine_decide_json(const opspilot_engine* engine, opspilot_workspace* workspace, const char* task,
                                            size_t task_size, const char* candidates, size_t candidates_size, int64_t now_us,
                                            const opspilot_options* options, opspilot_decision* decision, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", workspace, "workspace", task, "task", decision, "decision"));
        OPSPILOT_TRY(const auto read, read_options(options));
        const std::string_view rows = candidates == nullptr ? std::string_view{} : std::string_view(candidates, candidates_size);
        return engine->value.decide(std::string_view(task, task_size), rows, now_us, workspace->value, decision->own, read);
    });
}
opspilot_status opspilot_engine_decide_columns(const opspilot_engine* engine, opspilot_workspace* workspace, const char* task,
                                               size_t task_size, const opspilot_candidates* candidates, int64_t now_us,
                                               const opspilot_options* options, opspilot_decision* decision, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", workspace, "workspace", task, "task", decision, "decision"));
        OPSPILOT_TRY(const auto read, read_options(options));
        return engine->value.decide({.json = {task, task_size}}, source(candidates), now_us, workspace->value, decision->own,
                                    read);
    });
}
opspilot_status opspilot_engine_decide_batch(const opspilot_engine* engine, opspilot_workspace* workspace,
                                             const struct ArrowSchema* task_schema, const struct ArrowArray* tasks,
                                             const opspilot_candidates* candidates, int64_t now_us,
                                             const opspilot_options* options, opspilot_decision_callback callback, void* user,
                                             opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", workspace, "workspace", task_schema, "task_schema", tasks, "tasks"));
        if (callback == nullptr) return given(nullptr, "callback");
        OPSPILOT_TRY(const auto read, read_options(options));
        opspilot_decision lent;
        const auto hand_out = [&](std::size_t task, const opspilot::decision& decided) {
            lent.shown = &decided;
            return callback(user, task, &lent) == 0;
        };
        return engine->value.decide_batch({.schema = task_schema, .chunks = {&tasks, 1}}, source(candidates), now_us,
                                          workspace->value, hand_out, read);
    });
}

opspilot_status opspilot_engine_record_outcome(const opspilot_engine* engine, opspilot_workspace* workspace,
                                               const char* decision_id, size_t decision_id_size, const char* outcome,
                                               size_t outcome_size, int64_t now_us, opspilot_text* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(
            all_given(engine, "engine", workspace, "workspace", decision_id, "decision_id", outcome, "outcome", out, "out"));
        std::string line;
        OPSPILOT_CHECK(engine->value.record_outcome(std::string_view(decision_id, decision_id_size),
                                                    std::string_view(outcome, outcome_size), now_us, line));
        workspace->text = std::move(line);
        *out = text(workspace->text);
        return {};
    });
}
opspilot_status opspilot_engine_metrics_text(const opspilot_engine* engine, opspilot_workspace* workspace, opspilot_text* out,
                                             opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(engine, "engine", workspace, "workspace", out, "out"));
        workspace->text = engine->value.metrics_text();
        *out = text(workspace->text);
        return {};
    });
}

opspilot_text opspilot_decision_id(const opspilot_decision* d) { return d == nullptr ? text({}) : text(d->shown->id); }
opspilot_verdict opspilot_decision_verdict(const opspilot_decision* d) {
    return d == nullptr ? OPSPILOT_VERDICT_ABSTAIN : static_cast<opspilot_verdict>(d->shown->verdict);
}
opspilot_verdict opspilot_decision_proposed(const opspilot_decision* d) {
    return d == nullptr ? OPSPILOT_VERDICT_ABSTAIN : static_cast<opspilot_verdict>(d->shown->proposed);
}
opspilot_text opspilot_decision_action(const opspilot_decision* d) { return d == nullptr ? text({}) : text(d->shown->action); }
opspilot_text opspilot_decision_queue(const opspilot_decision* d) { return d == nullptr ? text({}) : text(d->shown->queue); }
opspilot_text opspilot_decision_stage(const opspilot_decision* d) { return d == nullptr ? text({}) : text(d->shown->stage); }
double opspilot_decision_probability(const opspilot_decision* d) { return d == nullptr ? 0.0 : d->shown->probability; }
double opspilot_decision_threshold(const opspilot_decision* d) {
    return d == nullptr ? std::numeric_limits<double>::quiet_NaN() : d->shown->threshold;
}
double opspilot_decision_override_probability(const opspilot_decision* d) {
    return d == nullptr ? 0.0 : d->shown->override_probability;
}
opspilot_rung opspilot_decision_rung(const opspilot_decision* d) {
    return d == nullptr ? OPSPILOT_RUNG_HUMAN : static_cast<opspilot_rung>(d->shown->rung);
}
size_t opspilot_decision_ranked_count(const opspilot_decision* d) { return d == nullptr ? 0 : d->shown->ranked.size(); }
size_t opspilot_decision_reason_count(const opspilot_decision* d) { return d == nullptr ? 0 : d->shown->reasons.size(); }

opspilot_status opspilot_decision_ranked(const opspilot_decision* d, size_t index, opspilot_ranked* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        OPSPILOT_CHECK(index_below(index, d->shown->ranked.size()));
        OPSPILOT_CHECK(reaches(out->size, sizeof(opspilot_ranked), "opspilot_ranked"));
        const opspilot::ranked_candidate& c = d->shown->ranked[index];
        out->action = text(c.action);
        out->candidate = c.candidate;
        out->verdict = static_cast<std::int32_t>(c.decided);
        out->allowed = c.allowed ? 1 : 0;
        out->score = c.score;
        out->probability = c.probability;
        out->reasons = c.reasons;
        return {};
    });
}
opspilot_status opspilot_decision_reason(const opspilot_decision* d, size_t index, opspilot_reason* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        OPSPILOT_CHECK(index_below(index, d->shown->reasons.size()));
        return fill(out, d->shown->reasons[index]);
    });
}
opspilot_status opspilot_decision_ranked_reason(const opspilot_decision* d, size_t index, size_t reason, opspilot_reason* out,
                                                opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        OPSPILOT_CHECK(index_below(index, d->shown->ranked.size()));
        const auto reasons = d->shown->reasons_of(d->shown->ranked[index]);
        OPSPILOT_CHECK(index_below(reason, reasons.size()));
        return fill(out, reasons[reason]);
    });
}
opspilot_status opspilot_decision_explanation(const opspilot_decision* d, opspilot_explanation* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        OPSPILOT_CHECK(reaches(out->size, sizeof(opspilot_explanation), "opspilot_explanation"));
        const opspilot::decision_explanation& why = d->shown->explanation;
        const opspilot::score_explanation* const made = explained(*d);
        constexpr double none = std::numeric_limits<double>::quiet_NaN();
        out->action = text(why.asked ? why.action : std::string_view{});
        out->missing = text(why.asked ? why.missing : std::string_view{});
        out->stage = text(made != nullptr ? made->stage : std::string_view{});
        out->method = text(made != nullptr ? made->method : std::string_view{});
        out->score = made != nullptr ? made->score : none;
        out->base = made != nullptr ? made->base : none;
        out->others = made != nullptr ? made->others : none;
        out->contributions = made != nullptr ? made->parts.size() : 0;
        out->asked = why.asked ? 1 : 0;
        return {};
    });
}
opspilot_status opspilot_decision_contribution(const opspilot_decision* d, size_t index, opspilot_contribution* out,
                                               opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        const opspilot::score_explanation* const made = explained(*d);
        OPSPILOT_CHECK(index_below(index, made != nullptr ? made->parts.size() : 0));
        OPSPILOT_CHECK(reaches(out->size, sizeof(opspilot_contribution), "opspilot_contribution"));
        const opspilot::score_part& part = made->parts[index];
        out->feature = text(part.feature);
        out->contribution = part.contribution;
        out->personal = part.personal ? 1 : 0;
        return {};
    });
}
opspilot_status opspilot_decision_record_json(opspilot_decision* d, size_t top, opspilot_text* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        d->record.clear();
        d->shown->write_record(d->record, top);
        *out = text(d->record);
        return {};
    });
}

}  // extern "C"
