/* opspilot.h: the C surface of opspilot, C99.
 *
 * One library that decides: load a bundle, make an engine, bring a task and its candidates, read the decision.
 *
 *     opspilot_error error = OPSPILOT_ERROR_INIT;
 *     opspilot_bundle *bundle = NULL;
 *     if (opspilot_bundle_load(bytes, size, &bundle, &error) != OPSPILOT_OK) { ... error.message, error.where ... }
 *     opspilot_engine *engine = NULL;
 *     opspilot_workspace *workspace = NULL;
 *     opspilot_decision *decision = NULL;
 *     opspilot_engine_new(bundle, &engine, &error);
 *     opspilot_workspace_new(&workspace, &error);
 *     opspilot_decision_new(&decision, &error);
 *     opspilot_engine_decide_json(engine, workspace, task, task_size, NULL, 0, now_us, NULL, decision, &error);
 *     if (opspilot_decision_verdict(decision) == OPSPILOT_VERDICT_AUTO_EXECUTE) { ... }
 *
 * Rules that hold for every function, so that no comment below repeats them:
 *
 * - Failing functions return an opspilot_status other than OPSPILOT_OK and, when the last argument is not NULL, describe what
 *   went wrong in it. On a failure nothing else has changed: outputs are as they were.
 * - OPSPILOT_ERROR_USAGE with code "usage.null_argument" for a NULL that a comment does not allow;
 *   OPSPILOT_ERROR_MEMORY when memory runs out; OPSPILOT_ERROR_INTERNAL for a broken promise of the library. All of them
 *   can come from any function that returns a status.
 * - `..._new` and `..._load` give an object that the caller frees with the matching `..._free`. Freeing NULL does nothing.
 *   An object may be freed while others made from it live on: an engine keeps its bundle, a decision keeps what it names.
 * - Accessors of a NULL object give 0, an empty text or the narrowest verdict.
 * - Texts are UTF-8 of a stated length, not ended by a zero byte, and borrowed: they belong to the object they came from.
 * - Times are microseconds since 1970 UTC and come from the host. Nothing here reads a clock, a file, an environment variable
 *   or a random number, starts a thread, or prints.
 * - Threads: an `opspilot_bundle` and an `opspilot_engine` may be used by any number of threads at once. An
 *   `opspilot_workspace`, an `opspilot_candidates` and an `opspilot_decision` belong to one thread at a time.
 * - Structs whose first member is `size` grow at their end in later versions: set it to the size the caller was compiled with.
 *
 * Every declaration here: since ABI 1 (library 0.1.0).
 */
#ifndef OPSPILOT_H
#define OPSPILOT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define OPSPILOT_C_API
#else
#define OPSPILOT_C_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------------------------------------ */

/* ABI this header was written for. It changes when an existing declaration changes its meaning; additions do not change it. */
#define OPSPILOT_ABI_VERSION 1

/* ABI of the library that was loaded. Compare it with OPSPILOT_ABI_VERSION before anything else. Any thread. */
OPSPILOT_C_API uint32_t opspilot_abi_version(void);

/* "0.1.0": version of the library that was loaded, ended by a zero byte. Static; never freed. Any thread. */
OPSPILOT_C_API const char* opspilot_version_string(void);

/* ---- Errors ------------------------------------------------------------------------------------------------------------- */

/* The family of an error. Values are never reused; new ones may be added, so treat an unknown one as a failure. */
typedef enum opspilot_status {
    OPSPILOT_OK = 0,
    OPSPILOT_ERROR_USAGE = 1,       /* the caller broke the contract of a function */
    OPSPILOT_ERROR_SCHEMA = 2,      /* a record, a table or a schema document */
    OPSPILOT_ERROR_FEATURES = 3,    /* a transform, or a fingerprint that does not fit */
    OPSPILOT_ERROR_MODEL = 4,       /* a ranker or classifier file */
    OPSPILOT_ERROR_POLICY = 5,      /* a policy document or an expression in it */
    OPSPILOT_ERROR_CALIBRATION = 6, /* calibrators, thresholds, certificates */
    OPSPILOT_ERROR_BUNDLE = 7,      /* a bundle as a whole: parts missing, hashes, golden rows */
    OPSPILOT_ERROR_AUDIT = 8,       /* a decision record or a log */
    OPSPILOT_ERROR_LIMIT = 9,       /* a stated limit was exceeded: size, depth, count */
    OPSPILOT_ERROR_INTERNAL = 10,   /* please report */
    OPSPILOT_ERROR_MEMORY = 11      /* memory ran out */
} opspilot_status;

/* "schema" and so on; "unknown" for a value this library does not know. Static; never freed. Any thread. */
OPSPILOT_C_API const char* opspilot_status_name(int32_t status);

/* One error with its place and its cure. Owned by the caller, usually on the stack; nothing in it is ever freed. Texts end with
 * a zero byte and are cut at a code point when they are too long. Written on failure only. */
typedef struct opspilot_error {
    size_t size;       /* sizeof(opspilot_error), set by the caller; a smaller value than version 1 had: nothing is written */
    int32_t status;    /* the opspilot_status that was returned */
    char code[64];     /* stable dotted name: "schema.unknown_field" */
    char message[512]; /* what is wrong, with the offending value */
    char where[256];   /* JSON pointer, "byte 17", "line 3 column 18", "column 'x' row 17"; may be empty */
    char hint[256];    /* what to do about it; may be empty */
} opspilot_error;

#define OPSPILOT_ERROR_INIT {sizeof(opspilot_error), 0, {0}, {0}, {0}, {0}}

/* A borrowed text. `data` may be NULL when `size` is 0. */
typedef struct opspilot_text {
    const char* data;
    size_t size;
} opspilot_text;

/* ---- Bundle ------------------------------------------------------------------------------------------------------------- */

/* An immutable, checked, compiled bundle. */
typedef struct opspilot_bundle opspilot_bundle;

/* Opens a packed bundle: checks every hash and every document, compiles it, and re-scores its golden rows. `bytes` may be
 * released afterwards. Any thread. Errors: any status, with the part in `where`. */
OPSPILOT_C_API opspilot_status opspilot_bundle_load(const void* bytes, size_t size, opspilot_bundle** out, opspilot_error* error);

/* Frees a bundle; engines that use it go on. Any thread. */
OPSPILOT_C_API void opspilot_bundle_free(opspilot_bundle* bundle);

/* SHA-256 of the bundle, 64 hex digits; covers every byte of it. Lives as long as the bundle. */
OPSPILOT_C_API opspilot_text opspilot_bundle_fingerprint(const opspilot_bundle* bundle);

/* Name, version and region of the bundle as its owners wrote them. Live as long as the bundle. */
OPSPILOT_C_API opspilot_text opspilot_bundle_name(const opspilot_bundle* bundle);
OPSPILOT_C_API opspilot_text opspilot_bundle_version(const opspilot_bundle* bundle);
OPSPILOT_C_API opspilot_text opspilot_bundle_region(const opspilot_bundle* bundle);

/* What the bundle contains, as one JSON object: schema, features, stages, rules, certificates, parts. Made on the first call;
 * lives as long as the bundle. Not thread-safe against itself. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_bundle_describe_json(opspilot_bundle* bundle, opspilot_text* out, opspilot_error* error);

/* ---- Engine and workspace ----------------------------------------------------------------------------------------------- */

/* Decides with one bundle at a time. */
typedef struct opspilot_engine opspilot_engine;

/* All scratch memory of one thread; works with any engine. Grows to the traffic's size, then stays. */
typedef struct opspilot_workspace opspilot_workspace;

/* What a kill switch stops: nothing, automation (verdicts are capped at suggest), or every machine answer (all to people). */
typedef enum opspilot_kill_scope {
    OPSPILOT_KILL_NONE = 0,
    OPSPILOT_KILL_AUTOMATION = 1,
    OPSPILOT_KILL_EVERYTHING = 2
} opspilot_kill_scope;

/* Makes an engine that decides with `bundle`. Freed with opspilot_engine_free. Any thread. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_engine_new(const opspilot_bundle* bundle, opspilot_engine** out, opspilot_error* error);

/* Frees an engine. No other thread may be deciding with it. */
OPSPILOT_C_API void opspilot_engine_free(opspilot_engine* engine);

/* From the next decision on, decides with another bundle; decisions under way finish on the one they began with. The bundle
 * before stays at hand for opspilot_engine_rollback. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "signature.required" once keys are trusted. */
OPSPILOT_C_API opspilot_status opspilot_engine_swap(opspilot_engine* engine, const opspilot_bundle* bundle,
                                                    opspilot_error* error);

/* A policy document: a name for messages and its JSON text. */
typedef struct opspilot_document {
    opspilot_text name;
    opspilot_text text;
} opspilot_document;

/* Rules of one client beside the bundle's, as a document of the client layer; `text.data` NULL: taken away. */
typedef struct opspilot_overlay {
    opspilot_text client;
    opspilot_text text;
} opspilot_overlay;

/* From the next decision on, decides by other policies: `documents` take the place of all layers of the bundle (NULL: they stay),
 * `overlays` are those of clients that change. Models and everything else stay. The documents are checked, compiled and pass
 * their own tests first; until then, and on any error, what decides goes on. Undone by opspilot_engine_rollback. `now_us`: the
 * host's time, for records of publication. Everything is borrowed for the time of the call. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_POLICY with document, line and column; OPSPILOT_ERROR_USAGE "usage.overlay_client",
 * "usage.swapped_meanwhile", "signature.required" once keys are trusted. Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_publish(opspilot_engine* engine, const opspilot_document* documents,
                                                       size_t documents_count, const opspilot_overlay* overlays,
                                                       size_t overlays_count, int64_t now_us, opspilot_error* error);

/* From here on only what one of these keys signed is taken: opspilot_engine_publish_signed and opspilot_engine_swap_signed, while
 * opspilot_engine_publish and opspilot_engine_swap refuse. What decides already stays. `keys`: Ed25519 public keys of 64 hex
 * digits each, borrowed for the time of the call. Other keys may take their place, none may not: there is no way back but
 * another engine. `last_policy`, `last_bundle`: sequences of the releases that the host took last, which an engine made anew
 * does not know; 0 when there was none. Nothing is to be freed. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "usage.no_keys" for none, "signature.bad_key". Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_trust(opspilot_engine* engine, const opspilot_text* keys, size_t count,
                                                     int64_t last_policy, int64_t last_bundle, opspilot_error* error);

/* As opspilot_engine_publish, from an envelope that was signed (DSSE, JSON; `opspilot policy push` makes one). The envelope is
 * untrusted bytes and borrowed for the time of the call. A release that was taken is not taken again, and none from before it.
 * Any thread, at any time.
 * Errors: those of opspilot_engine_publish; OPSPILOT_ERROR_USAGE "usage.not_trusting" while no key is trusted;
 * OPSPILOT_ERROR_POLICY "signature.envelope", "signature.not_trusted", "signature.other_bundle", "signature.replayed", ...
 * Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_publish_signed(opspilot_engine* engine, const char* envelope, size_t envelope_size,
                                                              int64_t now_us, opspilot_error* error);

/* As opspilot_engine_swap, with an envelope that names this very bundle. Otherwise as above, with OPSPILOT_ERROR_BUNDLE.
 * Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_swap_signed(opspilot_engine* engine, const opspilot_bundle* bundle,
                                                           const char* envelope, size_t envelope_size, opspilot_error* error);

/* From the next decision on also decides with `candidate`, for opspilot_engine_shadowed alone: nothing of it reaches decisions,
 * records, limits or metrics. NULL ends it; the counts stay until another begins. `share`: of decisions, 0 to 1, the same ones
 * for the same ids. Costs as much as deciding. The bundle may be freed afterwards. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "usage.share". Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_shadow(opspilot_engine* engine, const opspilot_bundle* candidate, double share,
                                                      opspilot_error* error);

/* The same with other policies for the bundle that decides now, as opspilot_engine_publish takes them: `documents` NULL: the
 * layers stay, and only `overlays` are others. Errors: as opspilot_engine_publish, but for signatures: a shadow decides nothing.
 * Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_shadow_policy(opspilot_engine* engine, const opspilot_document* documents,
                                                             size_t documents_count, const opspilot_overlay* overlays,
                                                             size_t overlays_count, double share, opspilot_error* error);

/* What the shadow decided, in counts. "Changed" compares proposed verdict, action and queue. */
typedef struct opspilot_shadow {
    size_t size;      /* sizeof(opspilot_shadow) */
    int32_t running;  /* not 0: decisions are being made twice */
    int32_t reserved; /* 0 */
    uint64_t decided; /* twice */
    uint64_t failed;  /* the shadow refused what the live one took */
    uint64_t changed;
    uint64_t actions;        /* of these, another action */
    uint64_t queues;         /* another queue */
    uint64_t verdicts[5][5]; /* by the values of opspilot_verdict: [live][shadow] */
} opspilot_shadow;

/* For example `opspilot_shadow counts; memset(&counts, 0, sizeof counts); counts.size = sizeof counts;`. Fills `out`, which the
 * caller owns; 0 everywhere when there was no shadow. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "usage.struct_size" when out->size is too small. Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_shadowed(const opspilot_engine* engine, opspilot_shadow* out,
                                                        opspilot_error* error);

/* What decides now, as one JSON object: "bundle" with name, version and fingerprint, "policy" (fingerprint), "killed" ("none",
 * "auto", "all"), "layers": the policy documents in force in their order, overlays last, each with "layer", "document",
 * "version", "sha256", "client" (null for all) and "published_us" (0: since the bundle itself), and "shadow": the counts with
 * the first 20 decisions that changed. The text belongs to `workspace` and lives until the next call with it.
 * Any thread, with its own workspace. Errors: none of its own. Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_engine_describe_json(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                             opspilot_text* out, opspilot_error* error);

/* Goes back to what decided before the last swap or publication. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "usage.nothing_to_roll_back_to". */
OPSPILOT_C_API opspilot_status opspilot_engine_rollback(opspilot_engine* engine, opspilot_error* error);

/* Sets the kill switch to an opspilot_kill_scope, from the next decision on. Any thread, at any time.
 * Errors: OPSPILOT_ERROR_USAGE "usage.kill_scope" for a value that is none of the enumeration. */
OPSPILOT_C_API opspilot_status opspilot_engine_kill(opspilot_engine* engine, int32_t scope, opspilot_error* error);

/* Makes an empty workspace. Freed with opspilot_workspace_free. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_workspace_new(opspilot_workspace** out, opspilot_error* error);
OPSPILOT_C_API void opspilot_workspace_free(opspilot_workspace* workspace);

/* ---- Candidates in columns ---------------------------------------------------------------------------------------------- */

/* Rows of candidates as named columns of equal length. Column data are borrowed, not copied: they must stay as they are until
 * the last decision that reads them has returned. Columns are matched to the schema's action and candidate fields by name, in
 * any order; "id" names the action. What does not fit the schema is an error of the deciding function, with the nearest right
 * name. Cleared and filled again, an object allocates nothing once it has grown. */
typedef struct opspilot_candidates opspilot_candidates;

/* Makes an object without rows. Freed with opspilot_candidates_free. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_candidates_new(opspilot_candidates** out, opspilot_error* error);
OPSPILOT_C_API void opspilot_candidates_free(opspilot_candidates* candidates);

/* Forgets all columns and sets the number of rows that the next ones have. 0 is allowed here and refused when deciding; pass
 * NULL there to have candidates generated.
 * Errors: OPSPILOT_ERROR_LIMIT "limit.rows" above 2^20. */
OPSPILOT_C_API opspilot_status opspilot_candidates_clear(opspilot_candidates* candidates, size_t rows, opspilot_error* error);

/* Add one column. `name` is copied. `values` holds one value per row and may be NULL only when there are no rows.
 * `given` holds one byte per row, 0 where the value is missing; NULL when none is. `given` is copied, values are borrowed.
 *
 *   int64   integer and number fields, and timestamps in microseconds since 1970 UTC
 *   double  number fields; NaN means missing
 *   bool    boolean fields; one byte per row, 0 or not 0; copied
 *   text    string fields; row i is bytes[offsets[i]] ... bytes[offsets[i + 1] - 1], so `offsets` has rows + 1 entries
 *   codes   string fields of few distinct texts; row i is text `codes[i]` of the `texts` texts that `bytes` and the
 *           texts + 1 `offsets` hold as above: the fastest form, each distinct text is looked up once
 *
 * Errors: OPSPILOT_ERROR_USAGE "usage.column_name" for a name that is empty, holds a zero byte or stands already,
 * "usage.offsets" for offsets that do not start at 0 or above, fall, or end beyond `bytes_size`, "usage.codes" for a code of a
 * given row that is not below `texts`, "usage.arrow_set" while an Arrow table is set. */
OPSPILOT_C_API opspilot_status opspilot_candidates_add_int64(opspilot_candidates* candidates, const char* name, size_t name_size,
                                                             const int64_t* values, const uint8_t* given, opspilot_error* error);
OPSPILOT_C_API opspilot_status opspilot_candidates_add_double(opspilot_candidates* candidates, const char* name, size_t name_size,
                                                              const double* values, const uint8_t* given, opspilot_error* error);
OPSPILOT_C_API opspilot_status opspilot_candidates_add_bool(opspilot_candidates* candidates, const char* name, size_t name_size,
                                                            const uint8_t* values, const uint8_t* given, opspilot_error* error);
OPSPILOT_C_API opspilot_status opspilot_candidates_add_text(opspilot_candidates* candidates, const char* name, size_t name_size,
                                                            const char* bytes, size_t bytes_size, const int64_t* offsets,
                                                            const uint8_t* given, opspilot_error* error);
OPSPILOT_C_API opspilot_status opspilot_candidates_add_codes(opspilot_candidates* candidates, const char* name, size_t name_size,
                                                             const uint32_t* codes, const char* bytes, size_t bytes_size,
                                                             const int64_t* offsets, size_t texts, const uint8_t* given,
                                                             opspilot_error* error);

/* The two structs of the Arrow C data interface, under the guard that its specification asks for. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
    const char* format;
    const char* name;
    const char* metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema** children;
    struct ArrowSchema* dictionary;
    void (*release)(struct ArrowSchema*);
    void* private_data;
};
struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void** buffers;
    struct ArrowArray** children;
    struct ArrowArray* dictionary;
    void (*release)(struct ArrowArray*);
    void* private_data;
};
#endif

/* Takes the columns from a struct array in Arrow form instead, replacing what was there. Both are borrowed: they stay the
 * caller's to release, after the last decision that reads them. Their contents are checked when they are read.
 * Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_candidates_set_arrow(opspilot_candidates* candidates, const struct ArrowSchema* schema,
                                                             const struct ArrowArray* array, opspilot_error* error);

/* ---- Deciding ----------------------------------------------------------------------------------------------------------- */

/* A decision: a value with reasons. Filled by an engine; reuse one to decide without allocating. */
typedef struct opspilot_decision opspilot_decision;

/* The answers. Higher values let a machine do more; treat an unknown one as OPSPILOT_VERDICT_ABSTAIN. */
typedef enum opspilot_verdict {
    OPSPILOT_VERDICT_ABSTAIN = 0,
    OPSPILOT_VERDICT_ESCALATE = 1,
    OPSPILOT_VERDICT_SUGGEST = 2,
    OPSPILOT_VERDICT_REQUIRE_APPROVAL = 3,
    OPSPILOT_VERDICT_AUTO_EXECUTE = 4
} opspilot_verdict;

/* How much of the machinery stood behind a decision. Lower rungs never automate. */
typedef enum opspilot_rung {
    OPSPILOT_RUNG_HUMAN = 0,
    OPSPILOT_RUNG_BASELINE = 1,
    OPSPILOT_RUNG_LINEAR = 2,
    OPSPILOT_RUNG_CACHED = 3,
    OPSPILOT_RUNG_FULL = 4
} opspilot_rung;

/* What may differ from decision to decision. NULL stands for OPSPILOT_OPTIONS_INIT, and so does a member that a caller's `size`
 * does not reach, because the caller was compiled before the member was there. */
typedef struct opspilot_options {
    size_t size;          /* sizeof(opspilot_options) */
    int32_t widest_rung;  /* an opspilot_rung: do not climb above it */
    int32_t ignore_stage; /* not 0: as if the bundle were live (what-if) */
    int32_t explain;      /* not 0: say what made the score of the best candidate; read by opspilot_decision_explanation */
    int32_t clauses;     /* not 0: say why rules acted, down to the clause; read by opspilot_decision_explanation_json. Allocates,
                            and takes some milliseconds where many rules act */
    opspilot_text about; /* id of the one candidate whose rules are meant, which asks for `clauses`, too; empty: the best one and
                            those that are refused. Borrowed for the time of the call */
} opspilot_options;

#define OPSPILOT_OPTIONS_INIT {sizeof(opspilot_options), OPSPILOT_RUNG_FULL, 0, 0, 0, {NULL, 0}}

/* Makes an empty decision. Freed with opspilot_decision_free. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_decision_new(opspilot_decision** out, opspilot_error* error);
OPSPILOT_C_API void opspilot_decision_free(opspilot_decision* decision);

/* Decides one task given as a JSON object. `candidates`: a JSON array of objects, or NULL to generate them from the bundle's
 * catalogue. The texts may be released afterwards. `options` may be NULL. On an error `decision` is as it was.
 * Any thread, with its own workspace and decision; allocates nothing once these are warm.
 * Errors: OPSPILOT_ERROR_SCHEMA, _USAGE, _LIMIT with JSON pointers "/task/...", "/candidates/...";
 * OPSPILOT_ERROR_USAGE "usage.option" for an option that is out of range. */
OPSPILOT_C_API opspilot_status opspilot_engine_decide_json(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                           const char* task, size_t task_size, const char* candidates,
                                                           size_t candidates_size, int64_t now_us,
                                                           const opspilot_options* options, opspilot_decision* decision,
                                                           opspilot_error* error);

/* The same with candidates in columns. `candidates` may be NULL to generate them. The same answers as from JSON, bit for bit.
 * Places of errors are "column 'x' row 17". */
OPSPILOT_C_API opspilot_status opspilot_engine_decide_columns(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                              const char* task, size_t task_size,
                                                              const opspilot_candidates* candidates, int64_t now_us,
                                                              const opspilot_options* options, opspilot_decision* decision,
                                                              opspilot_error* error);

/* Called once per task, in order, with `user` as it was given. The decision is borrowed until the call returns.
 * Return 0 to go on; anything else stops the batch, which is no error. Must not unwind through the library. */
typedef int (*opspilot_decision_callback)(void* user, size_t task, opspilot_decision* decision);

/* Decides every row of a table of tasks in Arrow form (borrowed). `candidates`: columns with an ascending int64 column
 * "task_index" beside their fields, or NULL to generate them. The same answers as one decision at a time, bit for bit.
 * Nothing is decided when the inputs have an error. `options` may be NULL. Any thread, with its own workspace. */
OPSPILOT_C_API opspilot_status opspilot_engine_decide_batch(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                            const struct ArrowSchema* task_schema, const struct ArrowArray* tasks,
                                                            const opspilot_candidates* candidates, int64_t now_us,
                                                            const opspilot_options* options, opspilot_decision_callback callback,
                                                            void* user, opspilot_error* error);

/* ---- Outcomes and metrics ----------------------------------------------------------------------------------------------- */

/* What came of a decision, as one line of JSON ending in a newline for the log that holds the decisions. `decision_id`: 32
 * lower-case hex digits. `outcome`: a JSON object {"kind": "accepted" | "overridden" | "reversed" | "complaint" | "observed",
 * "action": ...?, "reward": ...?, "delay_us": ...?}: `action` is the id of what a person did instead (overridden only), `reward`
 * a number in the host's unit (required when observed), `delay_us` microseconds from the decision to what came of it, 0 or
 * more. There is no free text. Whether the decision exists is not known here. `now_us` is the time of recording.
 * Outcomes may be recorded late, twice and out of order: all lines stand, and of those that answer a question about a decision
 * (what people did, which reward) the one with the largest time counts, of equal times the later line.
 * The text belongs to `workspace` and lives until the next call with it. Any thread, with its own workspace.
 * Errors: OPSPILOT_ERROR_USAGE "usage.decision_id"; OPSPILOT_ERROR_SCHEMA with JSON pointers "/outcome/...". */
OPSPILOT_C_API opspilot_status opspilot_engine_record_outcome(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                              const char* decision_id, size_t decision_id_size,
                                                              const char* outcome, size_t outcome_size, int64_t now_us,
                                                              opspilot_text* out, opspilot_error* error);

/* What the engine did since it was made, in the Prometheus text format 0.0.4 (text/plain; version=0.0.4): decisions by verdict,
 * proposed verdict, rung, stage and reason, candidates, refused calls, outcomes, swaps, the kill switch and the bundle. Counters
 * outlive swaps and workspaces. There is no latency: the library has no clock, so the host measures its calls.
 * The text belongs to `workspace` and lives until the next call with it. Any thread, with its own workspace.
 * Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_engine_metrics_text(const opspilot_engine* engine, opspilot_workspace* workspace,
                                                            opspilot_text* out, opspilot_error* error);

/* ---- Reading a decision ------------------------------------------------------------------------------------------------- */
/* All texts live until the decision is filled again or freed. */

/* 32 hex digits from bundle, task, candidates and time: equal inputs, equal id. */
OPSPILOT_C_API opspilot_text opspilot_decision_id(const opspilot_decision* decision);

/* The verdict after the rollout stage, and the one before it: what shadow mode would have done. */
OPSPILOT_C_API opspilot_verdict opspilot_decision_verdict(const opspilot_decision* decision);
OPSPILOT_C_API opspilot_verdict opspilot_decision_proposed(const opspilot_decision* decision);

/* Id of the best allowed candidate; empty when there is none. */
OPSPILOT_C_API opspilot_text opspilot_decision_action(const opspilot_decision* decision);

/* Queue of an escalation; empty when none is named. */
OPSPILOT_C_API opspilot_text opspilot_decision_queue(const opspilot_decision* decision);

/* Rollout stage: "shadow", "suggest", "approve" or "live". */
OPSPILOT_C_API opspilot_text opspilot_decision_stage(const opspilot_decision* decision);

/* Calibrated probability that the action is right; NaN when nothing calibrated it. */
OPSPILOT_C_API double opspilot_decision_probability(const opspilot_decision* decision);

/* Automation needs a probability above this; NaN when nothing is certified. NaN for a NULL decision. */
OPSPILOT_C_API double opspilot_decision_threshold(const opspilot_decision* decision);

/* Probability that the operator would do none of the candidates. */
OPSPILOT_C_API double opspilot_decision_override_probability(const opspilot_decision* decision);

/* How much of the machinery stood behind the decision. */
OPSPILOT_C_API opspilot_rung opspilot_decision_rung(const opspilot_decision* decision);

/* One ranked candidate. */
typedef struct opspilot_ranked {
    size_t size;          /* sizeof(opspilot_ranked) */
    opspilot_text action; /* id */
    uint32_t candidate;   /* position in the host's order, or in the order of generation */
    int32_t verdict;      /* an opspilot_verdict */
    int32_t allowed;      /* 0: a rule forbids it */
    double score;         /* ranking score with the policies' boosts */
    double probability;   /* calibrated; NaN when nothing calibrated it */
    size_t reasons;       /* how many opspilot_decision_ranked_reason gives */
} opspilot_ranked;

#define OPSPILOT_RANKED_INIT {sizeof(opspilot_ranked), {NULL, 0}, 0, 0, 0, 0.0, 0.0, 0}

/* Why: a stable code, the policy rule and its layer where there is one, and a text for people. */
typedef struct opspilot_reason {
    size_t size;        /* sizeof(opspilot_reason) */
    opspilot_text code; /* "policy.escalate", "confidence.below_threshold", "stage.shadow", ... */
    opspilot_text rule;
    opspilot_text layer;
    opspilot_text text;
    int32_t failed; /* not 0: the rule's condition could not be evaluated and acted by its error semantics */
} opspilot_reason;

#define OPSPILOT_REASON_INIT {sizeof(opspilot_reason), {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0}

/* Number of ranked candidates, and of reasons of the decision as a whole. */
OPSPILOT_C_API size_t opspilot_decision_ranked_count(const opspilot_decision* decision);
OPSPILOT_C_API size_t opspilot_decision_reason_count(const opspilot_decision* decision);

/* Candidate `index`, best first; ties by the host's order, forbidden ones last. Fills `out`, which the caller owns.
 * Errors: OPSPILOT_ERROR_USAGE "usage.index" at or above the count, "usage.struct_size" when out->size is too small. */
OPSPILOT_C_API opspilot_status opspilot_decision_ranked(const opspilot_decision* decision, size_t index, opspilot_ranked* out,
                                                        opspilot_error* error);

/* Reason `index` of the decision as a whole. Errors as above. */
OPSPILOT_C_API opspilot_status opspilot_decision_reason(const opspilot_decision* decision, size_t index, opspilot_reason* out,
                                                        opspilot_error* error);

/* Reason `reason` of candidate `index`. Errors as above. */
OPSPILOT_C_API opspilot_status opspilot_decision_ranked_reason(const opspilot_decision* decision, size_t index, size_t reason,
                                                               opspilot_reason* out, opspilot_error* error);

/* What made the score of the best candidate: score = base + the contributions + others, to rounding. Names of features and
 * numbers, never values. */
typedef struct opspilot_explanation {
    size_t size;           /* sizeof(opspilot_explanation) */
    opspilot_text action;  /* the candidate: the first ranked one */
    opspilot_text missing; /* empty, or why there is none: "explanation.no_candidate", "explanation.rung" (rules ranked it), or
                              what the stage's model lacks: "model.no_covers", "model.no_contributions", ... */
    opspilot_text stage;   /* that ranked */
    opspilot_text method;  /* "tree_shap": exact Shapley values; "linear": weight times value */
    double score;          /* of that stage, before the policies' boosts */
    double base;           /* what a candidate nothing is known of gets; the intercept of a linear model */
    double others;         /* of the features that are not listed */
    size_t contributions;  /* how many opspilot_decision_contribution gives */
    int32_t asked;         /* not 0: opspilot_options.explain was set; all else is empty, NaN or 0 when it was not */
} opspilot_explanation;

#define OPSPILOT_EXPLANATION_INIT {sizeof(opspilot_explanation), {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0.0, 0.0, 0.0, 0, 0}

/* What one feature added to the score. */
typedef struct opspilot_contribution {
    size_t size;           /* sizeof(opspilot_contribution) */
    opspilot_text feature; /* as the model calls it */
    double contribution;
    int32_t personal; /* not 0: made from a personal or sensitive field, whose value it may tell; the record does not name it */
} opspilot_contribution;

#define OPSPILOT_CONTRIBUTION_INIT {sizeof(opspilot_contribution), {NULL, 0}, 0.0, 0}

/* Fills `out`, which the caller owns. Numbers are NaN when there is no explanation.
 * Errors: OPSPILOT_ERROR_USAGE "usage.struct_size" when out->size is too small. */
OPSPILOT_C_API opspilot_status opspilot_decision_explanation(const opspilot_decision* decision, opspilot_explanation* out,
                                                             opspilot_error* error);

/* Contribution `index`, the largest by magnitude first; at most 10 are listed.
 * Errors: OPSPILOT_ERROR_USAGE "usage.index" at or above the count, "usage.struct_size" when out->size is too small. */
OPSPILOT_C_API opspilot_status opspilot_decision_contribution(const opspilot_decision* decision, size_t index,
                                                              opspilot_contribution* out, opspilot_error* error);

/* What options.explain, options.clauses and options.about asked for, as one JSON object: "decision", "verdict", "action", and
 * "explanation" and "clauses" as they stand in the record. "clauses" has "rules": those that acted on the best candidate and on
 * refused ones (at most 32), each with "action", "rule", "layer", "effect", "failed", the "clauses" of its condition that
 * decided, with "text", "gives" ("true", "false", "error") and the "values" they saw, and "change": the clauses that would all
 * have to hold for the rule not to act. Values of personal, sensitive and redacted fields are not in it. The text belongs to
 * `decision` and lives until the next call on it. One thread at a time. Errors: none of its own. Since 0.1. */
OPSPILOT_C_API opspilot_status opspilot_decision_explanation_json(opspilot_decision* decision, opspilot_text* out,
                                                                  opspilot_error* error);

/* The decision as one line of JSON ending in a newline: the record that a host logs. The best `top` candidates are listed, at
 * most 64. An explanation and clauses stand in it when they were asked for; features made from personal or sensitive fields count
 * among its others there. The text belongs to `decision` and lives until the next call on it. Errors: none of its own. */
OPSPILOT_C_API opspilot_status opspilot_decision_record_json(opspilot_decision* decision, size_t top, opspilot_text* out,
                                                             opspilot_error* error);

#ifdef __cplusplus
}
#endif

#endif /* OPSPILOT_H */
