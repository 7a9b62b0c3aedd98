/* Candidates in columns: the same bits as from JSON, by pointers, by codes and by Arrow; and what is refused. */
#include "check.h"

static const char task[] = "{\"id\": \"b\", \"intent\": \"billing\", \"amount\": 12.5}";
static const char rows[] =
    "[{\"id\": \"explain_bill\", \"match\": 0.9}, {\"id\": \"ask_receipt\"}, {\"id\": \"refund_half\", \"match\": 0.5}]";

static const char ids[] = "explain_billask_receiptrefund_half";
static const int64_t id_offsets[] = {0, 12, 23, 34};
static const char texts[] = "refund_halfexplain_billask_receipt";
static const int64_t text_offsets[] = {0, 11, 23, 34};
static const uint32_t codes[] = {1, 2, 0};
static const double match[] = {0.9, 0.0, 0.5};
static const uint8_t match_given[] = {1, 0, 1};

static void check_columns(desk* d, const opspilot_decision* expected, const opspilot_candidates* candidates) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    OK(opspilot_engine_decide_columns(d->engine, d->workspace, task, strlen(task), candidates, NOW, NULL, d->decision, &problem));
    CHECK(opspilot_decision_ranked_count(d->decision) == 3);
    CHECK(same_decision(d->decision, expected));
}

static void same_as_json(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_candidates* c = NULL;
    opspilot_decision* expected = NULL;
    int round;
    desk d = open_desk();
    OK(opspilot_decision_new(&expected, &problem));
    OK(opspilot_candidates_new(&c, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, task, strlen(task), rows, strlen(rows), NOW, NULL, expected, &problem));
    for (round = 0; round < 3; ++round) {
        OK(opspilot_candidates_clear(c, 3, &problem));
        OK(opspilot_candidates_add_text(c, "id", 2, ids, strlen(ids), id_offsets, NULL, &problem));
        OK(opspilot_candidates_add_double(c, "match", 5, match, match_given, &problem));
        check_columns(&d, expected, c);

        OK(opspilot_candidates_clear(c, 3, &problem));
        OK(opspilot_candidates_add_double(c, "match", 5, match, match_given, &problem)); /* in any order */
        OK(opspilot_candidates_add_codes(c, "id", 2, codes, texts, strlen(texts), text_offsets, 3, NULL, &problem));
        check_columns(&d, expected, c);
    }
    opspilot_candidates_free(c);
    opspilot_decision_free(expected);
    close_desk(&d);
}

static void from_arrow(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_candidates* c = NULL;
    opspilot_decision* expected = NULL;
    uint8_t validity = 5; /* rows 0 and 2 */
    int32_t offsets[] = {0, 12, 23, 34};
    const void* id_buffers[] = {NULL, offsets, ids};
    const void* match_buffers[] = {&validity, match};
    const void* no_buffers[] = {NULL};
    struct ArrowSchema id_schema = {"u", "id", NULL, 2, 0, NULL, NULL, keep_schema, NULL};
    struct ArrowSchema match_schema = {"g", "match", NULL, 2, 0, NULL, NULL, keep_schema, NULL};
    struct ArrowArray id_array = {3, 0, 0, 3, 0, id_buffers, NULL, NULL, keep_array, NULL};
    struct ArrowArray match_array = {3, 1, 0, 2, 0, match_buffers, NULL, NULL, keep_array, NULL};
    struct ArrowSchema* schemas[] = {&id_schema, &match_schema};
    struct ArrowArray* arrays[] = {&id_array, &match_array};
    struct ArrowSchema schema = {"+s", "", NULL, 0, 2, schemas, NULL, keep_schema, NULL};
    struct ArrowArray array = {3, 0, 0, 1, 2, no_buffers, arrays, NULL, keep_array, NULL};
    desk d = open_desk();
    OK(opspilot_decision_new(&expected, &problem));
    OK(opspilot_candidates_new(&c, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, task, strlen(task), rows, strlen(rows), NOW, NULL, expected, &problem));
    OK(opspilot_candidates_set_arrow(c, &schema, &array, &problem));
    check_columns(&d, expected, c);
    CHECK(opspilot_candidates_add_double(c, "match", 5, match, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.arrow_set") == 0);
    match_schema.name = "mach";
    CHECK(opspilot_engine_decide_columns(d.engine, d.workspace, task, strlen(task), c, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_SCHEMA);
    CHECK(strstr(problem.hint, "match") != NULL);
    CHECK(same_decision(d.decision, expected)); /* as it was */
    opspilot_candidates_free(c);
    opspilot_decision_free(expected);
    close_desk(&d);
}

static void own_actions(void) {
    /* Actions outside the catalogue bring their action fields, here with booleans; a list column is not given, so it fails. */
    static const double cost[] = {1.5, 2.5};
    static const uint8_t reversible[] = {1, 0};
    static const int64_t offsets[] = {0, 2, 4};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_candidates* c = NULL;
    desk d = open_desk();
    OK(opspilot_candidates_new(&c, &problem));
    OK(opspilot_candidates_clear(c, 2, &problem));
    OK(opspilot_candidates_add_text(c, "id", 2, "n1n2", 4, offsets, NULL, &problem));
    OK(opspilot_candidates_add_text(c, "kind", 4, "abab", 4, offsets, NULL, &problem));
    OK(opspilot_candidates_add_double(c, "cost", 4, cost, NULL, &problem));
    OK(opspilot_candidates_add_bool(c, "reversible", 10, reversible, NULL, &problem));
    CHECK(opspilot_engine_decide_columns(d.engine, d.workspace, task, strlen(task), c, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_SCHEMA);
    CHECK(problem.message[0] != '\0');
    opspilot_candidates_free(c);
    close_desk(&d);
}

static void refusals(void) {
    static const int64_t falling[] = {0, 12, 11, 34};
    static const int64_t beyond[] = {0, 12, 23, 35};
    static const int64_t negative[] = {-1, 12, 23, 34};
    static const uint32_t high[] = {0, 3, 0};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_candidates* c = NULL;
    desk d = open_desk();
    OK(opspilot_candidates_new(&c, &problem));
    CHECK(opspilot_candidates_clear(c, (size_t)1 << 30, &problem) == OPSPILOT_ERROR_LIMIT);
    OK(opspilot_candidates_clear(c, 3, &problem));
    CHECK(opspilot_candidates_add_text(c, "id", 2, ids, strlen(ids), falling, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.offsets") == 0);
    CHECK(opspilot_candidates_add_text(c, "id", 2, ids, strlen(ids), beyond, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_candidates_add_text(c, "id", 2, ids, strlen(ids), negative, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_candidates_add_text(c, "id", 2, NULL, 34, id_offsets, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_candidates_add_codes(c, "id", 2, high, texts, strlen(texts), text_offsets, 3, NULL, &problem) ==
          OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.codes") == 0 && strstr(problem.where, "row 1") != NULL);
    CHECK(opspilot_candidates_add_double(c, "", 0, match, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_candidates_add_double(c, "a\0b", 3, match, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.column_name") == 0);
    CHECK(opspilot_candidates_add_double(c, "match", 5, NULL, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    OK(opspilot_candidates_add_double(c, "match", 5, match, NULL, &problem));
    CHECK(opspilot_candidates_add_double(c, "match", 5, match, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    /* No id column. */
    CHECK(opspilot_engine_decide_columns(d.engine, d.workspace, task, strlen(task), c, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_SCHEMA);
    /* No rows at all: a host that has none to offer passes NULL. */
    OK(opspilot_candidates_clear(c, 0, &problem));
    OK(opspilot_candidates_add_text(c, "id", 2, NULL, 0, NULL, NULL, &problem));
    CHECK(opspilot_engine_decide_columns(d.engine, d.workspace, task, strlen(task), c, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_SCHEMA);
    CHECK(strcmp(problem.code, "schema.no_candidates") == 0);
    opspilot_candidates_free(c);
    close_desk(&d);
}

void test_columns(void) {
    same_as_json();
    from_arrow();
    own_actions();
    refusals();
}
