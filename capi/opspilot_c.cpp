// The C surface: argument checks, conversions, and every exception caught. What is decided is decided elsewhere.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "opspilot.h"
#include "surface.hpp"

namespace {

using opspilot::error_kind;
using opspilot::status;
using namespace opspilot::c_surface;

static_assert(static_cast<int>(error_kind::usage) == OPSPILOT_ERROR_USAGE);
static_assert(static_cast<int>(error_kind::internal) == OPSPILOT_ERROR_INTERNAL);
static_assert(static_cast<int>(opspilot::verdict::auto_execute) == OPSPILOT_VERDICT_AUTO_EXECUTE);
static_assert(static_cast<int>(opspilot::verdict::abstain) == OPSPILOT_VERDICT_ABSTAIN);
static_assert(static_cast<int>(opspilot::rung::full) == OPSPILOT_RUNG_FULL);
static_assert(static_cast<int>(opspilot::kill_scope::everything) == OPSPILOT_KILL_EVERYTHING);

opspilot::result<opspilot::decide_options> read_options(const opspilot_options* given_options) {
    opspilot_options o = OPSPILOT_OPTIONS_INIT;
    if (given_options != nullptr) {
        OPSPILOT_CHECK(reaches(given_options->size, offsetof(opspilot_options, explain), "opspilot_options"));
        const bool whole_struct = given_options->size >= sizeof o;  // else no part of a member that is longer than an int
        std::memcpy(&o, given_options,
                    whole_struct ? sizeof o : std::min(given_options->size, offsetof(opspilot_options, about)));
    }
    if (o.widest_rung < OPSPILOT_RUNG_HUMAN || o.widest_rung > OPSPILOT_RUNG_FULL)
        return usage("usage.option", "widest_rung " + std::to_string(o.widest_rung), "0 to 4");
    if (o.about.data == nullptr && o.about.size > 0) return usage("usage.option", "about is NULL and has a size", "{NULL, 0}");
    return opspilot::decide_options{.widest = static_cast<opspilot::rung>(o.widest_rung),
                                    .staged = o.ignore_stage == 0,
                                    .explain = o.explain != 0,
                                    .clauses = o.clauses != 0,
                                    .about = {o.about.data, o.about.size}};
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
opspilot_status opspilot_decision_explanation_json(opspilot_decision* d, opspilot_text* out, opspilot_error* e) {
    return guarded(e, [&]() -> status {
        OPSPILOT_CHECK(all_given(d, "decision", out, "out"));
        d->record.clear();
        d->shown->write_explanation(d->record);
        *out = text(d->record);
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
